//! (b) Reference validity, D2: is the gradient that the credit is compared with large enough to
//! mean something?
//!
//! ```text
//! value = median over samples of ‖∂L̄/∂h_L‖₂,   L̄ the batch-MEAN cross-entropy
//! ```
//!
//! Protocol §4 (b); arXiv:2606.21126. The mean puts a factor 1/N into every sample's gradient, so
//! the absolute floor 1e-7 says nothing without the batch size: it was calibrated at N = 128. A
//! trace recorded under a summed loss is divided by its N, so that one floor judges one quantity;
//! the same quantity at N = 128 and the per-sample loss's gradient (free of N) stand beside it.

use super::{Measured, Measurement, Unmeasured, batches, gradient, norm, share};
use crate::number::{Number, numbers};
use crate::stats::{mean, median};
use crate::trace::{LayerTrace, LossReduction};
use serde::{Deserialize, Serialize};

/// The batch size of the published audit, at which the floor was calibrated.
pub const CALIBRATED_BATCH: usize = 128;

/// The clamp on each norm in PyTorch's `cosine_similarity` (2.0 to 2.15; protocol §13).
pub const PYTORCH_CLAMP: f64 = 1e-8;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// Median over samples of ‖∂L̄/∂h_l‖, l = 0 … L.
    pub per_layer: Vec<Number>,
    /// The same, means.
    pub per_layer_mean: Vec<Number>,
    /// N of the first batch with samples.
    pub batch_size: Option<usize>,
    /// The reduction under which the trace was recorded; the values here are all of the mean.
    pub loss: Option<LossReduction>,
    /// Median at layer L of the gradient of each sample's own loss: free of N.
    pub per_sample_loss: Option<Number>,
    /// What `value` would be at N = 128: `per_sample_loss` / 128.
    pub at_batch_128: Option<Number>,
    /// Share of samples that do not reach the floor, each layer.
    pub under_floor: Vec<Number>,
    /// Share of samples that PyTorch's clamp at 1e-8 would distort (of the gradient as recorded),
    /// each layer.
    pub under_clamp: Vec<Number>,
}

/// The median gradient norm at h_L. `floor` is counted against, and decides nothing here.
pub fn reference(trace: &LayerTrace, floor: f64) -> Measured<Reference> {
    let batches = batches(trace)?;
    gradient(batches[0])?;
    let reduction = trace.loss_reduction.ok_or(Unmeasured::NoLossReduction)?;
    let (mut per_layer, mut means, mut under_floor, mut under_clamp) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut per_sample_loss = f64::NAN;
    for l in 0..batches[0].hidden.len() {
        let (mut recorded, mut of_mean, mut of_sample) = (Vec::new(), Vec::new(), Vec::new());
        for batch in &batches {
            let n = batch.samples() as f64;
            for row in gradient(batch)?[l].iter_rows() {
                let norm = norm(row);
                recorded.push(norm);
                match reduction {
                    LossReduction::Mean => {
                        of_mean.push(norm);
                        of_sample.push(norm * n);
                    }
                    LossReduction::Sum => {
                        of_mean.push(norm / n);
                        of_sample.push(norm);
                    }
                }
            }
        }
        per_layer.push(median(&of_mean));
        means.push(mean(&of_mean));
        // A NaN reaches no floor.
        under_floor.push(share(&of_mean, |v| v < floor || v.is_nan()));
        under_clamp.push(share(&recorded, |v| v < PYTORCH_CLAMP || v.is_nan()));
        per_sample_loss = median(&of_sample);
    }
    Ok(Measurement {
        value: per_layer.last().copied().unwrap_or(f64::NAN),
        detail: Reference {
            per_layer: numbers(&per_layer),
            per_layer_mean: numbers(&means),
            batch_size: Some(batches[0].samples()),
            loss: Some(reduction),
            per_sample_loss: Some(Number(per_sample_loss)),
            at_batch_128: Some(Number(per_sample_loss / CALIBRATED_BATCH as f64)),
            under_floor: numbers(&under_floor),
            under_clamp: numbers(&under_clamp),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Unmeasured;
    use super::super::testing::{batch, close, matrix, random_trace, same_everywhere, trace};
    use super::*;

    /// The median as the value with as many samples below as above, found by counting.
    fn naive(trace: &LayerTrace, layer: usize) -> f64 {
        let mut norms = Vec::new();
        for batch in &trace.batches {
            let g = &batch.gradient.as_ref().unwrap()[layer];
            for i in 0..g.rows() {
                let mut squares = 0.0f64;
                for j in 0..g.cols() {
                    squares += g.row(i)[j] * g.row(i)[j];
                }
                norms.push(squares.sqrt());
            }
        }
        let below = |v: f64| norms.iter().filter(|&&w| w < v).count();
        let reached = |v: f64| norms.iter().filter(|&&w| w <= v).count();
        let rank = |k: usize| *norms.iter().find(|v| below(**v) <= k && k < reached(**v)).unwrap();
        (rank((norms.len() - 1) / 2) + rank(norms.len() / 2)) / 2.0
    }

    #[test]
    fn agrees_with_a_naive_computation_at_every_layer() {
        for seed in 0..40 {
            let trace = random_trace(seed);
            let found = reference(&trace, 1e-7).unwrap();
            for (l, value) in found.detail.per_layer.iter().enumerate() {
                assert!(close(value.0, naive(&trace, l)), "seed {seed} layer {l}");
            }
            assert_eq!(found.value, found.detail.per_layer[trace.blocks()].0);
        }
    }

    #[test]
    fn the_median_pools_samples_and_the_loss_gradient_is_free_of_the_batch_size() {
        // Norms at h_1: 5e-8, 10e-8 (N = 2) and 4e-8 (N = 1): median 5e-8.
        // Times N of the own batch: 10e-8, 20e-8, 4e-8: median 10e-8.
        let two = same_everywhere(vec![
            matrix(&[&[1.0, 0.0], &[1.0, 0.0]]),
            matrix(&[&[3e-8, 4e-8], &[6e-8, 8e-8]]),
        ]);
        let one = same_everywhere(vec![matrix(&[&[1.0, 0.0]]), matrix(&[&[0.0, -4e-8]])]);
        let found = reference(&trace(vec![two, one]), 6e-8).unwrap();
        let detail = found.detail;
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-6;
        assert!(near(found.value, 5e-8));
        assert!(near(detail.per_sample_loss.unwrap().0, 1e-7));
        assert!(near(detail.at_batch_128.unwrap().0, 1e-7 / 128.0));
        assert!(near(detail.per_layer_mean[1].0, 19e-8 / 3.0));
        assert_eq!(detail.under_floor, numbers(&[0.0, 2.0 / 3.0]));
        assert_eq!(detail.under_clamp, numbers(&[0.0, 0.0]));
        assert_eq!((detail.batch_size, detail.loss), (Some(2), Some(LossReduction::Mean)));
    }

    #[test]
    fn a_summed_loss_is_judged_as_the_mean_it_stands_for() {
        let rows: Vec<&[f64]> = vec![&[8e-8]; 4];
        let batch = same_everywhere(vec![matrix(&rows), matrix(&rows)]);
        let summed = LayerTrace { loss_reduction: Some(LossReduction::Sum), ..trace(vec![batch]) };
        let found = reference(&summed, 1e-7).unwrap();
        assert!((found.value / 2e-8 - 1.0).abs() < 1e-6);
        assert!((found.detail.per_sample_loss.unwrap().0 / 8e-8 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn entries_of_1e_30_are_small_and_not_zero() {
        let tiny = same_everywhere(vec![matrix(&[&[3e-30, 4e-30]])]);
        let found = reference(&trace(vec![tiny]), 1e-7).unwrap();
        assert!((found.value / 5e-30 - 1.0).abs() < 1e-6);
        assert_eq!(found.detail.under_clamp, numbers(&[1.0]));
    }

    #[test]
    fn one_sample_that_is_nan_reaches_the_value_and_the_shares() {
        let bad = same_everywhere(vec![matrix(&[&[1.0], &[f64::NAN], &[1.0], &[1.0]])]);
        let found = reference(&trace(vec![bad]), 1e-7).unwrap();
        assert!(found.value.is_nan());
        assert_eq!(found.detail.under_floor, numbers(&[0.25]));
    }

    #[test]
    fn without_a_gradient_in_every_batch_nothing_is_evaluated() {
        let with = same_everywhere(vec![matrix(&[&[1.0]])]);
        let without = batch(vec![matrix(&[&[1.0]])]);
        let mixed = trace(vec![with, without]);
        assert_eq!(reference(&mixed, 1e-7), Err(Unmeasured::NoGradient));
    }
}
