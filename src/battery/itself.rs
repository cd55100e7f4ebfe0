//! Has a network depth utility 0 over itself, and is the frozen twin another network?
//!
//! The margin of a network over itself is zero, exactly: what is left is the harness's own. And a twin
//! that holds the run's parameters, bit by bit, makes every margin zero.

use super::Subject;
use crate::backend::Differentiable;
use crate::diagnostics::depth_utility::{FrozenBaseline, depth_utility};
use crate::evidence::{Checked, Part};
use crate::model::batch_tensors;
use crate::train::checkpoint::{Checkpoint, unpack};
use crate::train::evaluate_on;
use crate::words::short;
use anyhow::Result;

pub const CHECK: &str = "depth utility against itself";

/// The check of the twin.
pub const TWIN: &str = "the twin is another network";

/// Evaluates the network twice, the second time as its own frozen twin.
pub(super) fn itself<B: Differentiable>(subject: &Subject<B>) -> Checked {
    let Subject { trainee, data, device, .. } = subject;
    let accuracy = || {
        let batch = |range| batch_tensors::<B>(data.test_batch(range), device);
        evaluate_on(trainee, subject.samples(), batch).accuracy
    };
    judged(accuracy(), accuracy())
}

fn judged(accuracy: f64, again: f64) -> Checked {
    let twin = FrozenBaseline {
        accuracy: again,
        method: "itself".into(),
        source: "itself".into(),
        differs: Vec::new(),
    };
    match depth_utility(Some(accuracy), Some(&twin), None) {
        Ok(found) if found.value == 0.0 => {
            Checked::holds(CHECK, "A network's margin over itself is 0, exactly.")
        }
        Ok(found) => Checked::contradicted(
            CHECK,
            &[Part::DepthUtility],
            format!(
                "The network has a margin of {} points over itself: its evaluation is not the same twice, \
                 and every margin holds that, too.",
                short(found.value)
            ),
        ),
        Err(why) => Checked::not_checkable(CHECK, format!("{why}.")),
    }
}

/// Whether `twin` is not the run itself.
///
/// # Errors
/// If a tensor of a checkpoint does not fill its shape.
pub fn twin(run: &Checkpoint, twin: &Checkpoint) -> Result<Checked> {
    if run.progress.epoch == 0 || run.config.blocks() == 0 {
        let why = "Before training, or without blocks, run and twin are one network.";
        return Ok(Checked::not_checkable(TWIN, why));
    }
    if unpack(&run.network)? != unpack(&twin.network)? {
        return Ok(Checked::holds(TWIN, "Run and frozen twin hold different parameters."));
    }
    let finding = "The frozen twin is the run itself: their parameters are equal, bit by bit.";
    Ok(Checked::contradicted(TWIN, &[Part::DepthUtility], finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Standing;

    #[test]
    fn an_evaluation_that_differs_from_itself_is_named() {
        assert_eq!(judged(0.5, 0.5).standing, Standing::Holds);
        let found = judged(0.5, 0.499);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(found.finding.contains("0.10 points over itself"), "{}", found.finding);
    }
}
