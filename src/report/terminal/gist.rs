//! What a reader should have seen last: each method's verdict with its reason.

use super::draw::wrapped;
use crate::verdict::{Audit, gists as of};

/// A line a method; nothing where all are baselines.
pub fn gists(audits: &[Audit]) -> String {
    of(audits).iter().map(|line| wrapped("", line) + "\n").collect()
}
