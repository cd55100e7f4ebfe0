//! Are the batches different samples, and does the stated accuracy fit their logits?
//!
//! Samples are compared by the bits of their first state and their logits. The recorded samples are
//! taken as a draw from the test set, so that the number of right ones is binomial around the stated
//! accuracy (a draw without replacement varies less).

use super::scale::batches;
use super::{Checked, Part, Recording};
use crate::trace::LayerTrace;
use crate::words::percent_fine;
use statrs::distribution::{Binomial, DiscreteCDF};
use std::collections::{HashMap, HashSet};

pub const CHECK: &str = "samples and batches";

/// Under this probability the stated accuracy is not the recorded samples'. One healthy trace in a
/// million is that unlucky.
const UNLIKELY: f64 = 1e-6;

/// Accuracies are stated rounded, at worst to a whole per cent.
const ROUNDED: f64 = 0.005;

/// Batches that share this part of their samples are called the same.
const SHARED: f64 = 0.5;

/// Compares batches, and the stated accuracy with the logits.
pub(super) fn samples(recording: &Recording) -> Checked {
    if let Some((first, again, same)) = repeated(recording) {
        let how = if same { "the same samples" } else { "samples of each other" };
        let finding = format!(
            "{} hold {how}: their first states and logits are equal, bit by bit. The number of samples \
             is not what it seems, and nothing was learnt of other batches.",
            batches(&[first, again]).replacen('b', "B", 1)
        );
        return Checked::contradicted(CHECK, &[Part::Stability], finding);
    }
    let (Some(accuracy), Some((right, samples))) =
        (recording.said.accuracy, recording.trace.classified())
    else {
        return Checked::not_checkable(
            CHECK,
            "The batches are different; accuracy, logits or labels to compare with each other were not \
             recorded.",
        );
    };
    let found = percent_fine(right as f64 / samples as f64);
    let stated = percent_fine(accuracy);
    if probability(right, samples, accuracy) < UNLIKELY {
        let finding = format!(
            "The stated accuracy is {stated}, and of the {samples} recorded samples {found} are \
             classified correctly: accuracy and logits are of other samples, weights or labels."
        );
        return Checked::contradicted(CHECK, &[Part::DepthUtility], finding);
    }
    Checked::holds(
        CHECK,
        format!("The batches are different, and {found} of the recorded samples fit {stated}."),
    )
}

/// What keeps a frozen twin's accuracy from being compared with the run's, as far as both recorded it:
/// another test set or another order, or the run itself.
pub fn twin(run: &LayerTrace, twin: &LayerTrace) -> Option<Checked> {
    const CHECK: &str = "samples of the twin";
    let pairs = || run.batches.iter().zip(&twin.batches);
    let differ = pairs().position(|(run, twin)| {
        let labels = run.labels.as_ref().zip(twin.labels.as_ref());
        labels.is_some_and(|(run, twin)| run.iter().zip(twin).any(|(a, b)| a != b))
    });
    if let Some(k) = differ {
        let finding = format!(
            "The run and its frozen twin were recorded on different samples: the labels of batch {k} \
             differ. Accuracies of different test sets are not compared."
        );
        return Some(Checked::contradicted(CHECK, &[Part::DepthUtility], finding));
    }
    let itself = pairs().count() > 0
        && pairs().all(|(run, twin)| run.hidden == twin.hidden && run.logits == twin.logits);
    itself.then(|| {
        let finding =
            "The frozen twin is the run itself: its states and logits are equal, bit by bit.";
        Checked::contradicted(CHECK, &[Part::DepthUtility], finding)
    })
}

/// Two-sided probability of a count this far from n·p, for the p in favour among those that are
/// stated like this.
fn probability(right: usize, samples: usize, p: f64) -> f64 {
    let seen = right as f64 / samples as f64;
    let p = seen.clamp((p - ROUNDED).max(0.0), (p + ROUNDED).min(1.0));
    let (right, n) = (right as u64, samples as u64);
    let Ok(law) = Binomial::new(p, n) else { return 1.0 };
    let below = law.cdf(right);
    let above = if right == 0 { 1.0 } else { 1.0 - law.cdf(right - 1) };
    (2.0 * below.min(above)).min(1.0)
}

/// The first two batches that share most of their samples, and whether all in the same order.
fn repeated(recording: &Recording) -> Option<(usize, usize, bool)> {
    let keys: Vec<Vec<Vec<u64>>> = (recording.batches.iter())
        .map(|batch| {
            (0..batch.samples())
                .map(|i| {
                    let logits = batch.logits.iter().flat_map(|z| z.row(i));
                    batch.hidden[0].row(i).iter().chain(logits).map(|v| v.to_bits()).collect()
                })
                .collect()
        })
        .collect();
    let mut seen = HashMap::<&[u64], usize>::new();
    for (k, rows) in keys.iter().enumerate() {
        let distinct: HashSet<&[u64]> = rows.iter().map(Vec::as_slice).collect();
        // Few different inputs, or states that collapsed, repeat of themselves.
        if 2 * distinct.len() <= rows.len() || rows.len() < 2 {
            return None;
        }
        let mut shared = HashMap::<usize, usize>::new();
        for row in &distinct {
            if let Some(earlier) = seen.get(row) {
                *shared.entry(*earlier).or_default() += 1;
            }
        }
        let most = shared.into_iter().max_by_key(|(earlier, count)| (*count, usize::MAX - earlier));
        if let Some((earlier, count)) = most
            && count as f64 > SHARED * distinct.len() as f64
        {
            return Some((earlier, k, keys[earlier] == *rows));
        }
        for row in distinct {
            seen.entry(row).or_insert(k);
        }
    }
    None
}
