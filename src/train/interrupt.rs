//! Ctrl-C: the first asks the run to finish its step and save, a later one ends the process.

use anyhow::{Context, Error, Result};
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
    .map_err(said)
    .context("cannot catch Ctrl-C")
}

/// The crate keeps what the system said to itself.
fn said(error: ctrlc::Error) -> Error {
    match error {
        ctrlc::Error::System(error) => error.into(),
        other => other.into(),
    }
}

/// Whether an interrupt was asked for.
pub fn asked() -> bool {
    ASKED.get().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_of_a_handler_that_it_refused_is_told() {
        let error = said(ctrlc::Error::System(std::io::Error::from_raw_os_error(11)));
        let text = format!("{:#}", error.context("cannot catch Ctrl-C"));
        assert!(text.contains("Resource temporarily unavailable"), "{text}");
        assert!(format!("{:#}", said(ctrlc::Error::MultipleHandlers)).contains("already"));
    }
}
