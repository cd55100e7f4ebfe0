//! Who trains a run: a lock on `RUN/.lock`. The worker inherits the open file as its standard
//! input, so the lock lasts as long as the worker does, even where the program that started it was
//! killed; two programs on one directory never train the same run.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Held while a run is trained.
pub struct Lock(File);

impl Lock {
    /// Takes the lock of the run in `dir`; `None` where another program has it.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn take(dir: &Path) -> Result<Option<Self>> {
        let path = file(dir);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = open.with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks: it is up to the user then.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Self(lock))),
        }
    }

    /// Whether a program has the lock of the run in `dir`.
    pub fn is_held(dir: &Path) -> bool {
        let Ok(lock) = OpenOptions::new().write(true).open(file(dir)) else { return false };
        matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// The lock as a child's standard input, which then holds it, too.
    ///
    /// # Errors
    /// If the system has no handle left.
    pub fn share(&self) -> Result<Stdio> {
        Ok(self.0.try_clone().context("sharing a lock")?.into())
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join(".lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_trainer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Lock::is_held(dir.path()));
        let first = Lock::take(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(Lock::is_held(dir.path()));
        assert!(Lock::take(dir.path()).unwrap().is_none());
        drop(first);
        assert!(Lock::take(dir.path()).unwrap().is_some());
    }
}
