//! Which failures are the user's words, and which the world's: they have different exit codes. And
//! what is neither: a defect of the program.

use anyhow::{Result, anyhow};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

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

/// Does `work`. A panic, also in a thread that it waits for, becomes an error that says what happened,
/// in which file and on which line. What `work` was changing is not to be used afterwards.
///
/// # Errors
/// What `work` returns, or a panic.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    survived(work).unwrap_or_else(|said| Err(of_panic(&said)))
}

fn of_panic(said: &str) -> anyhow::Error {
    // The one panic of the standard library that is no defect: libraries list directories, too, such
    // as the system's own on the processor's caches.
    if said.starts_with("unexpected error during closedir") {
        return anyhow!("the system failed: {said}");
    }
    anyhow!("a defect of fa-audit {}, please report it: {said}", env!("CARGO_PKG_VERSION"))
}

/// Panics in order: what a scope or a lock says of the first comes after it.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many pieces of work are being survived, one inside another or in several threads.
static SURVIVED: AtomicUsize = AtomicUsize::new(0);

/// Does `work`. Of a panic, as in [`caught`], its words.
///
/// # Errors
/// The words.
pub fn survived<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if SURVIVED.load(Ordering::SeqCst) == 0 {
                return before(panic);
            }
            let what = panic.payload_as_str().unwrap_or("no message");
            let place = panic.location().map_or("an unknown place".into(), ToString::to_string);
            panics().push(format!("{what} (at {place})"));
        }));
    });
    SURVIVED.fetch_add(1, Ordering::SeqCst);
    let done = catch_unwind(AssertUnwindSafe(work));
    SURVIVED.fetch_sub(1, Ordering::SeqCst);
    done.map_err(|_| std::mem::take(&mut *panics()).join("; then "))
}

fn panics() -> MutexGuard<'static, Vec<String>> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_says_what_happened_in_which_file_and_line_also_in_a_thread() {
        let line = line!() + 3;
        let failure = caught(|| -> Result<()> {
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("the cat sat on {}", "it"));
            });
            Ok(())
        });
        let said = failure.unwrap_err().to_string();
        let place = format!("the cat sat on it (at {}:{line}:", file!());
        assert!(said.contains(&place), "{said}");
        assert!(said.contains("a defect of fa-audit") && said.contains("; then "), "{said}");
    }

    #[test]
    fn a_directory_that_cannot_be_closed_is_no_defect() {
        let said = of_panic("unexpected error during closedir: EIO").to_string();
        assert_eq!(said, "the system failed: unexpected error during closedir: EIO");
        assert!(of_panic("the cat").to_string().contains("a defect"));
    }

    #[test]
    fn what_does_not_panic_is_returned_as_it_is() {
        assert_eq!(caught(|| Ok(3)).unwrap(), 3);
        assert_eq!(caught::<()>(|| Err(anyhow!("full"))).unwrap_err().to_string(), "full");
    }
}
