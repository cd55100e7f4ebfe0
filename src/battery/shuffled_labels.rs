//! Is the accuracy on shuffled labels chance, and were the labels that trained the data's?
//!
//! Labels that were permuted once owe nothing to the images. Of N samples, of which the network names
//! P_c and the labels say Q_c, the right ones are then
//!
//! ```text
//! mean      Σ_c P_c Q_c / N
//! variance  Σ_c P_c Q_c (N − P_c)(N − Q_c) / N²(N − 1)  +  Σ_{c≠k} P_c Q_c P_k Q_k / N²(N − 1)
//! ```
//!
//! (the diagonal of a table with fixed margins). An evaluation that finds more looks at something else
//! than the labels it is given. And a network that fitted its training labels, as its run recorded, is
//! right on the training images by the data's own labels: where it is at chance, other labels trained it.

use super::{CHANCE, Subject, counts, predicted};
use crate::backend::Differentiable;
use crate::config::Method;
use crate::data::{Dataset, PIXELS, Split};
use crate::evidence::{Checked, Part};
use crate::model::batch_tensors;
use crate::rng;
use crate::trace::{LayerTrace, Matrix};
use crate::train::evaluate_on;
use crate::words::percent_fine;
use rand::seq::SliceRandom;

pub const CHECK: &str = "shuffled labels";

/// The check of the labels that trained.
pub const TRAINED: &str = "labels of the training";

/// A recorded training accuracy this far above the measured one is of other labels: an epoch's running
/// accuracy lags behind the network, and dropouts do not occur here.
const FITTED: f64 = 0.3;

/// Evaluates the network on labels that were shuffled once.
pub(super) fn shuffled_labels<B: Differentiable>(
    subject: &Subject<B>,
    outputs: &Matrix,
) -> Checked {
    let Subject { checkpoint, trainee, data, device, .. } = subject;
    let samples = subject.samples();
    let labels = shuffled(
        data.test.labels[..samples].iter().map(|&y| u32::from(y)).collect(),
        checkpoint.config.seed,
    );
    let found = evaluate_on(trainee, samples, |range| {
        let mut batch = data.test_batch(range.clone());
        batch.labels = labels[range].to_vec();
        batch_tensors::<B>(batch, device)
    });
    judged(found.accuracy, &Margins::of(outputs, &labels))
}

/// The same on the recorded logits, by the program's own count.
pub(super) fn of_trace(trace: &LayerTrace, seed: u64) -> Checked {
    let mut trace = trace.clone();
    let recorded = trace.batches.iter().all(|b| b.logits.is_some() && b.labels.is_some());
    let labels: Vec<u32> =
        trace.batches.iter().filter_map(|b| b.labels.clone()).flatten().collect();
    if !recorded || labels.len() < 2 {
        return Checked::not_checkable(CHECK, "Logits or labels were not recorded.");
    }
    let labels = shuffled(labels, seed);
    let mut left = labels.as_slice();
    let mut rows = Vec::new();
    for batch in &mut trace.batches {
        let (own, rest) = left.split_at(batch.samples());
        (batch.labels, left) = (Some(own.to_vec()), rest);
        rows.extend(batch.logits.iter().flat_map(Matrix::iter_rows).flatten().copied());
    }
    let Some((right, samples)) = trace.classified() else {
        return Checked::not_checkable(CHECK, "Logits or labels were not recorded.");
    };
    let outputs = Matrix::new(samples, rows.len() / samples, rows);
    judged(right as f64 / samples as f64, &Margins::of(&outputs, &labels))
}

fn shuffled(mut labels: Vec<u32>, seed: u64) -> Vec<u32> {
    labels.shuffle(&mut rng::stream(seed, "control/shuffled-labels"));
    labels
}

/// How often each class is named, and how often it is a label.
struct Margins {
    /// Without samples whose largest output several classes share: what counts as named then is not said.
    named: Vec<usize>,
    ties: usize,
    labels: Vec<usize>,
    samples: usize,
}

impl Margins {
    fn of(outputs: &Matrix, labels: &[u32]) -> Self {
        let classes = outputs.cols();
        let largest = |row: &[f64]| row.iter().filter(|v| **v >= row[predicted(row)]).count();
        let alone = || outputs.iter_rows().filter(|row| largest(row) == 1);
        Self {
            named: counts(alone().map(predicted), classes),
            ties: outputs.rows() - alone().count(),
            labels: counts(labels.iter().map(|&y| y as usize), classes),
            samples: labels.len(),
        }
    }

    /// Mean and standard deviation of the share of right samples.
    fn chance(&self) -> (f64, f64) {
        let n = self.samples as f64;
        let both: Vec<(f64, f64)> =
            self.named.iter().zip(&self.labels).map(|(p, q)| (*p as f64, *q as f64)).collect();
        let products: f64 = both.iter().map(|(p, q)| p * q).sum();
        let alone: f64 = both.iter().map(|(p, q)| p * q * (n - p) * (n - q)).sum();
        let squares: f64 = both.iter().map(|(p, q)| (p * q).powi(2)).sum();
        let variance = (alone + products * products - squares) / (n * n * (n - 1.0).max(1.0));
        (products / (n * n), variance.max(0.0).sqrt() / n)
    }
}

fn judged(accuracy: f64, margins: &Margins) -> Checked {
    let (mean, deviation) = margins.chance();
    let found = format!(
        "On labels that were shuffled once {} of {} samples are right, where chance makes {} ± {}",
        percent_fine(accuracy),
        margins.samples,
        percent_fine(mean),
        percent_fine(deviation)
    );
    // One sample is the least that can differ.
    let limit = CHANCE * deviation + (1 + margins.ties) as f64 / margins.samples as f64;
    if (accuracy - mean).abs() <= limit {
        return Checked::holds(CHECK, format!("{found}."));
    }
    Checked::contradicted(
        CHECK,
        &[Part::DepthUtility],
        format!("{found}: the accuracy is not that of the labels it is measured on."),
    )
}

/// Whether the labels that trained are the data's: `recorded` is the training accuracy of the
/// checkpoint's epoch as the run recorded it.
pub(super) fn of_training<B: Differentiable>(subject: &Subject<B>, recorded: f64) -> Checked {
    let Subject { checkpoint, trainee, data, device, .. } = subject;
    if checkpoint.config.method == Method::RandomTarget {
        return Checked::not_checkable(
            TRAINED,
            "The run was trained on random labels, as it says.",
        );
    }
    if !data.kind.has_images() {
        return Checked::not_checkable(TRAINED, "The data have wanted outputs and no labels.");
    }
    let samples = checkpoint.config.control_samples.min(data.train.len());
    let train = &data.train;
    let split = Split {
        images: train.images[..samples * PIXELS].to_vec(),
        labels: train.labels[..samples].to_vec(),
        ..Split::default()
    };
    let seen = Dataset {
        kind: data.kind,
        train: Split::default(),
        test: split,
        mean: data.mean,
        std: data.std,
        provenance: data.provenance.clone(),
    };
    let measured =
        evaluate_on(trainee, samples, |range| batch_tensors::<B>(seen.test_batch(range), device));
    let share = counts(seen.test.labels.iter().map(|&y| usize::from(y)), data.provenance.classes);
    let most = share.into_iter().max().unwrap_or(0) as f64 / samples as f64;
    fitted(recorded, measured.accuracy, most, samples)
}

/// `most` is the share of the most frequent class among the training images that were looked at.
fn fitted(recorded: f64, measured: f64, most: f64, samples: usize) -> Checked {
    let chance = most + CHANCE * (most * (1.0 - most) / samples as f64).sqrt();
    let (said, found) = (percent_fine(recorded), percent_fine(measured));
    if recorded <= chance {
        let why = format!("The run recorded a training accuracy of {said}, which fits any labels.");
        return Checked::not_checkable(TRAINED, why);
    }
    if measured <= chance && recorded - measured >= FITTED {
        let finding = format!(
            "The run recorded a training accuracy of {said}, and by the data's own labels the network is \
             right on {found} of the first {samples} training images, no more than chance: it was trained \
             on other labels, shuffled ones perhaps, or lost in its last steps what it had learned."
        );
        return Checked::contradicted(TRAINED, &[Part::DepthUtility], finding);
    }
    let finding = format!(
        "By the data's own labels the network is right on {found} of the first {samples} training images; \
         in training {said} were recorded."
    );
    Checked::holds(TRAINED, finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Standing;
    use rand::RngExt;

    /// 400 samples of four classes, of which the network names three quarters rightly.
    fn margins() -> (Matrix, Vec<u32>) {
        let mut rng = rng::stream(3, "test");
        let labels: Vec<u32> = (0..400).map(|_| rng.random_range(0..4)).collect();
        let outputs = labels.iter().flat_map(|&y| {
            let named = if rng.random_range(0..4) > 0 { y } else { rng.random_range(0..4) };
            (0..4).map(move |c| f64::from(u8::from(c == named)))
        });
        (Matrix::new(400, 4, outputs.collect()), labels)
    }

    /// The formula against a thousand permutations.
    #[test]
    fn chance_is_what_permutations_show() {
        let (outputs, mut labels) = margins();
        let (mean, deviation) = Margins::of(&outputs, &labels).chance();
        let mut rng = rng::stream(4, "test");
        let mut found = Vec::new();
        for _ in 0..1000 {
            labels.shuffle(&mut rng);
            let rows = outputs.iter_rows().zip(&labels);
            let right = rows.filter(|(row, y)| predicted(row) == **y as usize).count();
            found.push(right as f64 / 400.0);
        }
        assert!((crate::stats::mean(&found) - mean).abs() < 4.0 * deviation / 1000f64.sqrt());
        let spread = crate::stats::sample_std(&found).unwrap() / deviation;
        assert!((0.9..1.1).contains(&spread), "{spread}");
    }

    #[test]
    fn an_evaluation_that_keeps_to_the_true_labels_is_named() {
        let (outputs, labels) = margins();
        let margins = Margins::of(&outputs, &labels);
        let (mean, _) = margins.chance();
        assert_eq!(judged(mean, &margins).standing, Standing::Holds);
        let found = judged(0.81, &margins);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(found.finding.contains("not that of the labels"), "{}", found.finding);
        // Nor may it be wrong wherever a label is right.
        assert_eq!(judged(0.02, &margins).standing, Standing::Contradicted);
    }

    #[test]
    fn a_network_that_fitted_labels_which_are_not_the_datas_is_named() {
        let found = fitted(0.95, 0.11, 0.12, 1000);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(found.finding.contains("trained on other labels"), "{}", found.finding);
        assert_eq!(fitted(0.95, 0.97, 0.12, 1000).standing, Standing::Holds);
        assert_eq!(fitted(0.50, 0.35, 0.12, 1000).standing, Standing::Holds);
        assert_eq!(fitted(0.11, 0.10, 0.12, 1000).standing, Standing::NotCheckable);
    }
}
