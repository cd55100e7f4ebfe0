//! Is the feedback that is measured the one that trained?
//!
//! The matrices of a checkpoint are held against what the run's seed draws and against the hash in the
//! run's record. With feedback drawn anew between training and evaluation, another run's, or two layers'
//! in each other's place, every cosine is that of another network.

use crate::evidence::{Checked, Part};
use crate::train::checkpoint::Checkpoint;
use crate::train::identity::{contradictions, incomparable};
use anyhow::Result;

pub const CHECK: &str = "the run's own feedback";

/// `recorded` is the `feedback_hash` of the run's record.
///
/// # Errors
/// If the checkpoint's tensors are none.
pub fn own_feedback(checkpoint: &Checkpoint, recorded: Option<&str>) -> Result<Checked> {
    if let Some(why) = incomparable(checkpoint) {
        return Ok(Checked::not_checkable(CHECK, why));
    }
    let found = contradictions(checkpoint, recorded)?;
    if found.is_empty() {
        let held = match recorded {
            Some(_) => "The feedback is what the run's seed draws, and what its record says.",
            None => "The feedback is what the run's seed draws.",
        };
        return Ok(Checked::holds(CHECK, held));
    }
    let finding = format!(
        "The feedback is not the run's: {}. Every cosine would be that of other feedback.",
        found.join("; ")
    );
    Ok(Checked::contradicted(CHECK, &[Part::Cosine, Part::Null], finding))
}
