//! Who trains a run: an advisory lock on `RUN/.lock`, which the system releases when its holder is
//! gone, however it went. The file says who took it last. A study takes the lock of a run and hands
//! the open file to its worker as standard input, so that the lock lasts as long as the worker does,
//! even where the study was killed; two programs on one directory never train the same run.

use crate::files;
use crate::shown;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Held while a run is trained.
#[derive(Debug)]
pub struct Lock(File);

/// Who took a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    pid: u32,
    host: String,
    /// UTC, to the second (RFC 3339).
    since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "process {} on {} since {}", self.pid, self.host, self.since)
    }
}

/// A program that only asks whether a lock is held has it for an instant.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

impl Lock {
    /// Takes the lock of the run in `dir`, or finds that it was handed to this program; `None` where
    /// another program has it.
    ///
    /// # Errors
    /// If the file cannot be made or written.
    pub fn take(dir: &Path) -> Result<Option<Self>> {
        let path = file(dir);
        let mut lock = match handed_over(&path) {
            Some(lock) => lock,
            None => open(&path).with_context(|| format!("cannot write {}", path.display()))?,
        };
        for look in 1..=LOOKS {
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) if look == LOOKS => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_LOOKS),
                // A file system without locks: it is up to the user then.
                Ok(()) | Err(TryLockError::Error(_)) => break,
            }
        }
        let sign = |lock: &mut File| -> Result<()> {
            let mut line = serde_json::to_string(&Holder::this())?;
            line.push('\n');
            lock.seek(SeekFrom::Start(0))?;
            lock.write_all(line.as_bytes())?;
            Ok(lock.set_len(line.len() as u64)?)
        };
        sign(&mut lock).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(Self(lock)))
    }

    /// Whether a program has the lock of the run in `dir`.
    ///
    /// # Errors
    /// If the lock's file is there and cannot be opened.
    pub fn is_held(dir: &Path) -> Result<bool> {
        let path = file(dir);
        let lock = match OpenOptions::new().write(true).open(&path) {
            Err(e) if files::is_absence(&e) => return Ok(false),
            other => other.with_context(|| format!("cannot look at {}", path.display()))?,
        };
        Ok(matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The lock as a child's standard input, which then holds it, too.
    ///
    /// # Errors
    /// If the system has no handle left.
    pub fn share(&self) -> Result<Stdio> {
        Ok(self.0.try_clone().context("sharing a lock")?.into())
    }
}

impl Holder {
    fn this() -> Self {
        Self { pid: std::process::id(), host: host(), since: crate::now() }
    }

    /// Who took the lock of the run in `dir` last, as far as its file tells: for messages alone.
    pub fn of(dir: &Path) -> Option<Self> {
        let text = files::read(&file(dir), 4096).ok()?;
        let Self { pid, host, since } = serde_json::from_slice(&text).ok()?;
        Some(Self { pid, host: shown::line(&host), since: shown::line(&since) })
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join(".lock")
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Standard input, where it is the lock's file.
#[cfg(unix)]
fn handed_over(path: &Path) -> Option<File> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
    let (input_is, lock_is) = (input.metadata().ok()?, path.metadata().ok()?);
    let same = (input_is.dev(), input_is.ino()) == (lock_is.dev(), lock_is.ino());
    same.then_some(input)
}

#[cfg(not(unix))]
fn handed_over(_: &Path) -> Option<File> {
    None
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this machine".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_trainer_at_a_time_and_it_has_a_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Lock::is_held(dir.path()).unwrap());
        assert_eq!(Holder::of(dir.path()), None);
        let first = Lock::take(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(Lock::is_held(dir.path()).unwrap());
        assert!(Lock::take(dir.path()).unwrap().is_none());
        let holder = Holder::of(dir.path()).unwrap();
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.host.is_empty());
        drop(first);
        assert!(Lock::take(dir.path()).unwrap().is_some());
    }

    #[test]
    fn asking_does_not_take_a_lock_from_one_who_wants_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), "").unwrap();
        let asking = OpenOptions::new().write(true).open(file(dir.path())).unwrap();
        asking.try_lock_shared().unwrap();
        let asker = std::thread::spawn(move || {
            std::thread::sleep(BETWEEN_LOOKS);
            drop(asking);
        });
        assert!(Lock::take(dir.path()).unwrap().is_some());
        asker.join().unwrap();
    }
}
