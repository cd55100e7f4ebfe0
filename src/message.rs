//! Messages to a person, on standard error.

use crate::shown;
use std::io::Write;

/// Says `text` on a line of its own, or on several, whose later ones are set in.
pub fn tell(text: impl AsRef<str>) {
    let line = shown::message(text.as_ref()) + "\n";
    // A reader that is gone or a full disk: the work goes on, whether or not it is told.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
