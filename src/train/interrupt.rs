//! Ctrl-C: the first asks the run to finish its step and save, the second ends the process.

use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted program.
pub const EXIT_CODE: i32 = 130;

/// Catches SIGINT and SIGTERM from now on.
///
/// # Errors
/// If the system refuses the handler.
pub fn catch() -> Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE);
        }
    })
    .context("cannot catch Ctrl-C")
}

/// Whether an interrupt was asked for.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
