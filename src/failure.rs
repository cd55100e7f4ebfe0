//! Which failures are the user's words, and which the world's: they have different exit codes.

use anyhow::{Result, anyhow};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A mistake in flags, keys or how the command was used (exit code 2).
#[derive(Debug)]
pub struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A usage error with this message.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Runs `task`, whose panic becomes an error. What it was changing is not to be used afterwards.
///
/// # Errors
/// As the task; or names the defect.
pub fn caught<T>(task: impl FnOnce() -> Result<T>) -> Result<T> {
    survived(task)
        .unwrap_or_else(|text| Err(anyhow!("a defect of fa-audit, please report it: {text}")))
}

/// Runs `task`; what it said where it panicked.
///
/// # Errors
/// The text of the panic.
pub fn survived<T>(task: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(task)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
    })
}
