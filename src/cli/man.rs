//! `fa-audit man`: the manual pages, made from the same words as `--help`.

use super::{DONE, print};
use crate::failure::usage;
use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;

/// Print the manual page of the program or of a subcommand
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit man | man -l -
  fa-audit man train > ~/.local/share/man/man1/fa-audit-train.1")]
pub struct Args {
    /// A subcommand [default: the whole program]
    #[arg(value_name = "SUBCOMMAND")]
    subcommand: Vec<String>,
}

pub fn run(args: &Args, program: Command) -> Result<u8> {
    print(&page(program, &args.subcommand)?)?;
    Ok(DONE)
}

/// The page, in roff, of the subcommand that `path` leads to.
///
/// # Errors
/// A usage error where there is no such subcommand.
pub(super) fn page(mut program: Command, path: &[String]) -> Result<String> {
    // Gives the subcommands their full names and the flags that all share.
    program.build();
    let mut command = &program;
    for name in path {
        let names = command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ");
        let found = command.find_subcommand(name);
        command =
            found.ok_or_else(|| usage(format!("man: no `{name}`, expected one of {names}")))?;
    }
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("writing a manual page")?;
    String::from_utf8(page).context("writing a manual page")
}
