//! The command line: what was typed, and exit codes. One file a subcommand.

mod audit;
mod data;
mod diagnose;
mod options;
mod pitfalls;
mod report;
mod results;
mod train;

use crate::failure::Usage;
use crate::train::interrupt;
use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Done.
pub const DONE: u8 = 0;
/// Something failed.
pub const FAILED: u8 = 1;
/// What was typed or configured cannot be done.
pub const USAGE: u8 = 2;
/// A verdict that `--fail-on` names.
pub const VERDICT: u8 = 3;
/// Interrupted; the state is saved.
pub const INTERRUPTED: u8 = interrupt::EXIT_CODE as u8;

/// Tells whether a feedback-alignment training run can be believed.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    show: Show,
}

const EXAMPLES: &str = "\
Examples:
  fa-audit audit                                    the demonstration study, on embedded data
  fa-audit train --method dfa --dataset cifar10 --data-dir ~/data --epochs 30
  fa-audit diagnose runs/dfa-resmlp-cifar10-s42-1c9b0d7e/checkpoint.mpk

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a verdict that --fail-on names,
130 interrupted (state saved).";

/// What is shown beside results.
#[derive(clap::Args, Clone, Copy)]
struct Show {
    /// No messages on standard error but errors
    #[arg(long, short, global = true, display_order = 900)]
    quiet: bool,
    /// No progress bars
    #[arg(long, global = true, display_order = 901)]
    no_progress: bool,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
    Diagnose(diagnose::Args),
    Audit(audit::Args),
    Report(report::Args),
    Pitfalls(pitfalls::Args),
    Data(data::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the program: parses, runs, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            let _ = message.print();
            return ExitCode::from(message.exit_code() as u8);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(|| run(cli)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(anyhow::anyhow!("a defect of fa-audit, please report it: {text}"))
    });
    ExitCode::from(match result {
        Ok(code) => code,
        // A closed pipe is how `| head` ends.
        Err(error) if is_closed_pipe(&error) => DONE,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Usage>() { USAGE } else { FAILED }
        }
    })
}

fn run(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Train(args) => train::run(args, cli.show),
        Command::Diagnose(args) => diagnose::run(args, cli.show),
        Command::Audit(args) => audit::run(args, cli.show),
        Command::Report(args) => report::run(&args),
        Command::Pitfalls(args) => pitfalls::run(&args),
        Command::Data(args) => data::run(args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "fa-audit", &mut std::io::stdout());
            Ok(DONE)
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes a result to standard output.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Whether results may be coloured.
fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
