//! Whether the feedback in a checkpoint is its run's own: what the seed draws, and what the run's record
//! says. With another run's, or with two layers' matrices in each other's place, every cosine would be
//! that of another network.

use super::checkpoint::{Checkpoint, unpack};
use crate::learn::{draw, feedback_hash, layout};
use crate::model::NamedTensors;
use anyhow::Result;
use std::collections::BTreeSet;

/// What of the checkpoint's feedback contradicts its seed, or `recorded`, the `feedback_hash` of its
/// run's record. Nothing where another program drew it. What has slots of an update rule, or follows
/// what has, is no longer as it was drawn: the rule learns it.
///
/// # Errors
/// If the checkpoint's tensors are none.
pub fn contradictions(checkpoint: &Checkpoint, recorded: Option<&str>) -> Result<Vec<String>> {
    let config = &checkpoint.config;
    if checkpoint.imported.is_some() {
        return Ok(Vec::new());
    }
    let classes = checkpoint.data.classes;
    let has_slots = |name: &String| checkpoint.slots.contains_key(name);
    let learned: BTreeSet<String> = layout(config, classes)
        .into_iter()
        .filter(|entry| has_slots(entry.average.as_ref().map_or(&entry.name, |a| &a.of)))
        .map(|entry| entry.name)
        .collect();
    let held = unpack(&checkpoint.learner)?;
    let mut drawn = draw(config, classes, config.seed);
    drawn.retain(|name, _| !learned.contains(name));
    let mut found = unlike(&held, &drawn, config.seed);
    let hash = feedback_hash(&held);
    let recorded = recorded.filter(|recorded| learned.is_empty() && *recorded != hash);
    if let Some(recorded) = recorded {
        found.push(format!(
            "the run's record says feedback of hash {recorded}, the checkpoint holds that of {hash}"
        ));
    }
    Ok(found)
}

/// The matrices that are not as they were drawn, and whose place they have where another's.
fn unlike(held: &NamedTensors, drawn: &NamedTensors, seed: u64) -> Vec<String> {
    let differs = |(name, expected): (&String, &_)| {
        let own = held.get(name)?;
        if own == expected {
            return None;
        }
        let other = drawn.iter().find(|(_, other)| *other == own);
        Some(match other {
            Some((other, _)) => format!("{name} holds what seed {seed} draws for {other}"),
            None => format!("{name} is not what seed {seed} draws"),
        })
    };
    drawn.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn matrices(values: [f32; 3]) -> NamedTensors {
        let named = |(l, value)| (format!("feedback.{l}"), TensorData::new(vec![value], [1, 1]));
        values.into_iter().enumerate().map(named).collect()
    }

    #[test]
    fn matrices_in_each_others_place_and_foreign_ones_are_told_apart() {
        let drawn = matrices([1.0, 2.0, 3.0]);
        assert_eq!(unlike(&drawn, &drawn, 42), [""; 0]);
        let found = unlike(&matrices([2.0, 1.0, 9.0]), &drawn, 42);
        assert_eq!(
            found,
            [
                "feedback.0 holds what seed 42 draws for feedback.1",
                "feedback.1 holds what seed 42 draws for feedback.0",
                "feedback.2 is not what seed 42 draws",
            ]
        );
    }
}
