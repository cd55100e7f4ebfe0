//! `fa-audit watch`: how far the runs of a study have come.

use super::{DONE, colour, print};
use crate::report::terminal;
use crate::report::watch::watch as drawn;
use crate::study::watch::watch;
use anyhow::Result;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// Tell how far runs have come, and which diagnostics have fired so far
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit watch runs/main           until all of its runs are over; Ctrl-C ends it, not them
  fa-audit watch runs --once         the runs in a folder, as they are now

On a terminal the table is drawn anew; elsewhere it is written once, as with --once.")]
pub struct Args {
    /// The directory of a study or of a run, or a folder with runs in it
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// Look once
    #[arg(long)]
    once: bool,
}

/// Clears the screen and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub fn run(args: &Args) -> Result<u8> {
    let again = !args.once && std::io::stdout().is_terminal();
    loop {
        let runs = watch(&args.dir)?;
        let table = terminal::panels(&[drawn(&runs)], colour()).concat();
        print(&if again { format!("{CLEAR}{table}") } else { table })?;
        if !again || runs.iter().all(|run| run.standing.is_over()) {
            return Ok(DONE);
        }
        std::thread::sleep(Duration::from_secs(args.every));
    }
}
