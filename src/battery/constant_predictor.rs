//! Does one class for every image get exactly that class's share?
//!
//! A head whose weights are zero names the class of its largest bias. Run through the program's own
//! evaluation it must be right on that class's images and on no other: what counts otherwise counts
//! wrong for every network.

use super::{Subject, counts, predicted};
use crate::backend::Differentiable;
use crate::evidence::{Checked, Part};
use crate::model::batch_tensors;
use crate::trace::LayerTrace;
use crate::train::checkpoint::unpack;
use crate::train::evaluate_on;
use crate::words::percent_fine;
use anyhow::Result;

pub const CHECK: &str = "constant predictor";

/// Evaluates the network that names the most frequent class; `accuracy` is the run's on the whole test
/// set.
///
/// # Errors
/// If a tensor of the checkpoint does not fill its shape.
pub(super) fn constant_predictor<B: Differentiable>(
    subject: &Subject<B>,
    accuracy: f64,
) -> Result<Checked> {
    let Subject { checkpoint, data, device, .. } = subject;
    let samples = subject.samples();
    let classes = data.provenance.classes;
    let labels = |n: usize| counts(data.test.labels[..n].iter().map(|&y| usize::from(y)), classes);
    let (class, count) = most_frequent(&labels(samples));
    let bias = (0..classes).map(|c| f32::from(u8::from(c == class))).collect();
    let learner = unpack(&checkpoint.learner)?;
    let Some(trainee) = subject.with_head(checkpoint, Some(bias), &learner)? else {
        return Ok(Checked::not_checkable(
            CHECK,
            "The network has no head with weights and a bias.",
        ));
    };
    let found =
        evaluate_on(&trainee, samples, |range| batch_tensors::<B>(data.test_batch(range), device));
    if !found.loss.is_finite() {
        return Ok(Checked::not_checkable(CHECK, "The hidden states are not finite."));
    }
    let all = data.test.len();
    let (_, most) = most_frequent(&labels(all));
    let remark = no_better(accuracy, most as f64 / all as f64);
    Ok(judged(found.accuracy, class, count, samples).remarking(remark))
}

/// What the recorded predictions are worth beside the most frequent recorded class.
pub(super) fn of_trace(trace: &LayerTrace) -> Checked {
    let Some((right, samples)) = trace.classified() else {
        return Checked::not_checkable(CHECK, "Logits or labels were not recorded.");
    };
    let mut classes = 0;
    let (mut labels, mut named) = (Vec::new(), Vec::new());
    for batch in &trace.batches {
        if let (Some(logits), Some(own)) = (&batch.logits, &batch.labels) {
            classes = classes.max(logits.cols());
            labels.extend(own.iter().map(|&y| y as usize));
            named.extend(logits.iter_rows().map(predicted));
        }
    }
    let (class, count) = most_frequent(&counts(labels, classes));
    let (only, all) = most_frequent(&counts(named.iter().copied(), classes));
    let (found, share) = (right as f64 / samples as f64, count as f64 / samples as f64);
    if all == samples {
        let why = format!(
            "The recorded network is the constant predictor itself: it names class {only} for all {samples} \
             samples, {} of them rightly.",
            percent_fine(found)
        );
        return Checked::not_checkable(CHECK, why);
    }
    let finding = format!(
        "Naming class {class}, the most frequent, would be right for {} of the {samples} recorded samples; \
         the logits are for {}.",
        percent_fine(share),
        percent_fine(found)
    );
    Checked::holds(CHECK, finding).remarking(no_better(found, share))
}

fn judged(accuracy: f64, class: usize, count: usize, samples: usize) -> Checked {
    let share = count as f64 / samples as f64;
    let said = format!("class {class}, of which {count} of {samples} test images are,");
    if accuracy == share {
        let finding = format!("A network that names {said} is right on exactly these.");
        return Checked::holds(CHECK, finding);
    }
    let finding = format!(
        "A network that names {said} for every image is found right on {} and not on {}: the evaluation \
         does not count what the outputs name, or uses other labels than the data's.",
        percent_fine(accuracy),
        percent_fine(share)
    );
    Checked::contradicted(CHECK, &[Part::DepthUtility], finding)
}

/// A run that is worth no more than the most frequent class.
fn no_better(accuracy: f64, share: f64) -> Option<String> {
    (accuracy <= share).then(|| {
        format!(
            "An accuracy of {} is no more than naming the most frequent class for every sample gets ({}).",
            percent_fine(accuracy),
            percent_fine(share)
        )
    })
}

/// The first of the most frequent classes, and how often it is there.
fn most_frequent(counts: &[usize]) -> (usize, usize) {
    let more = |best: usize, c: usize| if counts[c] > counts[best] { c } else { best };
    let class = (1..counts.len()).fold(0, more);
    (class, counts.get(class).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Standing;

    #[test]
    fn an_evaluation_that_counts_one_image_too_many_is_named() {
        assert_eq!(judged(0.3, 2, 30, 100).standing, Standing::Holds);
        let found = judged(0.31, 2, 30, 100);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(found.finding.contains("right on 31.00% and not on 30.00%"), "{}", found.finding);
    }

    #[test]
    fn a_run_worth_no_more_than_the_most_frequent_class_is_remarked() {
        assert_eq!(no_better(0.31, 0.30), None);
        assert!(no_better(0.30, 0.30).is_some_and(|said| said.contains("no more than naming")));
    }
}
