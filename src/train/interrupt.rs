//! Ctrl-C: the first asks the run to finish its step and save, a later one ends the process.

use anyhow::{Context, Result};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static ASKED: OnceLock<Instant> = OnceLock::new();

/// A worker may hear of one interrupt twice: from its study, and from a scheduler that signals every
/// process of a job. Only what comes later than this is impatience.
const ONE_INTERRUPT: Duration = Duration::from_secs(1);

/// The exit code of an interrupted program.
pub const EXIT_CODE: i32 = 130;

/// Catches SIGINT and SIGTERM from now on.
///
/// # Errors
/// If the system refuses the handler.
pub fn catch() -> Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.get_or_init(Instant::now).elapsed() > ONE_INTERRUPT {
            std::process::exit(EXIT_CODE);
        }
    })
    .context("cannot catch Ctrl-C")
}

/// Whether an interrupt was asked for.
pub fn asked() -> bool {
    ASKED.get().is_some()
}
