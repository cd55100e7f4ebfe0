//! (a) Scale stability, D1: how much a single block multiplies the hidden state's norm.
//!
//! ```text
//! n_l   = mean over samples of ‖h_l‖₂          (all batches pooled)
//! value = max over l of n_{l+1} / n_l,  l = 0 … L−1
//! ```
//!
//! A ratio of means (protocol §4 (a); arXiv:2606.21126): a mean of per-sample ratios would follow
//! the few samples whose h_l is near zero. An earlier form, max ‖h‖/‖h_0‖ > 10, gave false alarms
//! on the cls token of a ViT, whose norm starts near zero.

use super::{Measured, Measurement, Unmeasured, batches, norm};
use crate::number::{Number, numbers};
use crate::trace::LayerTrace;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Growth {
    /// n_{l+1} / n_l, for each of the L blocks.
    pub per_block: Vec<Number>,
    /// n_0 … n_L.
    pub hidden_norms: Vec<Number>,
}

/// The largest growth over one block; NaN if any block's is.
pub fn growth(trace: &LayerTrace) -> Measured<Growth> {
    let norms = hidden_norms(trace)?;
    let (per_block, largest) = largest_growth(&norms);
    Ok(Measurement {
        value: largest.ok_or(Unmeasured::NoBlocks)?,
        detail: Growth { per_block: numbers(&per_block), hidden_norms: numbers(&norms) },
    })
}

/// n_{l+1} / n_l of each block, and the largest of them; `None` without blocks.
pub fn largest_growth(norms: &[f64]) -> (Vec<f64>, Option<f64>) {
    let per_block: Vec<f64> = norms.windows(2).map(|pair| ratio(pair[1], pair[0])).collect();
    // f64::max would drop a NaN.
    let largest = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
    let value = per_block.iter().copied().reduce(largest);
    (per_block, value)
}

/// NaN after an infinite norm, where plain division would call the finite next one calm.
fn ratio(after: f64, before: f64) -> f64 {
    if before.is_finite() { after / before } else { f64::NAN }
}

/// n_0 … n_L: the mean per-sample L2 norm of each hidden state.
pub fn hidden_norms(trace: &LayerTrace) -> Result<Vec<f64>, Unmeasured> {
    let batches = batches(trace)?;
    let samples: usize = batches.iter().map(|b| b.samples()).sum();
    let layers = batches[0].hidden.len();
    let mean_norm = |l: usize| {
        let rows = batches.iter().flat_map(|b| b.hidden[l].iter_rows());
        rows.map(norm).sum::<f64>() / samples as f64
    };
    Ok((0..layers).map(mean_norm).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, close, matrix, random_trace, trace};
    use super::*;
    use crate::trace::Matrix;

    /// Running averages over samples, squares scaled by the largest entry, largest ratio by hand.
    fn naive(trace: &LayerTrace) -> f64 {
        let mut ratios = Vec::new();
        for l in 0..trace.blocks() {
            let mut averages = [0.0f64; 2];
            for (side, average) in averages.iter_mut().enumerate() {
                let mut seen = 0.0;
                for batch in &trace.batches {
                    for i in 0..batch.samples() {
                        let mut largest = 0.0f64;
                        for &v in batch.hidden[l + side].row(i) {
                            largest = largest.max(v.abs());
                        }
                        let mut squares = 0.0;
                        for &v in batch.hidden[l + side].row(i) {
                            squares += (v / largest) * (v / largest);
                        }
                        seen += 1.0;
                        *average += (largest * squares.sqrt() - *average) / seen;
                    }
                }
            }
            ratios.push(averages[1] / averages[0]);
        }
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() - 1]
    }

    #[test]
    fn agrees_with_a_naive_computation() {
        for seed in 0..40 {
            let trace = random_trace(seed);
            let (value, expected) = (growth(&trace).unwrap().value, naive(&trace));
            assert!(close(value, expected), "seed {seed}: {value} {expected}");
        }
    }

    #[test]
    fn it_is_a_ratio_of_means_pooled_over_batches() {
        // ‖h_0‖: 5, 10 | 15 (mean 10). ‖h_1‖: 10, 10 | 40 (mean 20). ‖h_2‖: all 5.
        // The mean of the per-sample ratios would be (2 + 1 + 8/3)/3 instead of 2.
        let first = batch(vec![
            matrix(&[&[3.0, 4.0], &[6.0, 8.0]]),
            matrix(&[&[10.0, 0.0], &[0.0, -10.0]]),
            matrix(&[&[3.0, 4.0], &[3.0, 4.0]]),
        ]);
        let second =
            batch(vec![matrix(&[&[9.0, 12.0]]), matrix(&[&[0.0, 40.0]]), matrix(&[&[-3.0, -4.0]])]);
        let found = growth(&trace(vec![first, second])).unwrap();
        assert_eq!(found.value, 2.0);
        assert_eq!(found.detail.per_block, numbers(&[2.0, 0.25]));
        assert_eq!(found.detail.hidden_norms, numbers(&[10.0, 20.0, 5.0]));
    }

    #[test]
    fn a_nan_or_an_infinity_reaches_the_value() {
        let layers = |middle: f64| {
            vec![matrix(&[&[1.0]]), matrix(&[&[middle]]), matrix(&[&[1.0]]), matrix(&[&[7.0]])]
        };
        assert!(growth(&trace(vec![batch(layers(f64::NAN))])).unwrap().value.is_nan());
        let last = vec![matrix(&[&[1.0]]), matrix(&[&[f64::INFINITY]])];
        let infinite = growth(&trace(vec![batch(last)])).unwrap();
        assert_eq!(infinite.value, f64::INFINITY);
        let calmed = vec![matrix(&[&[f64::INFINITY]]), matrix(&[&[1.0]]), matrix(&[&[1.0]])];
        assert!(growth(&trace(vec![batch(calmed)])).unwrap().value.is_nan());
        let from_zero = growth(&trace(vec![batch(layers(0.0))])).unwrap();
        assert_eq!(from_zero.value, f64::INFINITY);
    }

    #[test]
    fn a_network_without_blocks_is_not_evaluated() {
        let lone = trace(vec![batch(vec![matrix(&[&[1.0]])])]);
        assert_eq!(growth(&lone), Err(Unmeasured::NoBlocks));
        assert_eq!(hidden_norms(&lone).unwrap(), [1.0]);
    }

    #[test]
    fn an_empty_last_batch_changes_nothing() {
        let full = batch(vec![matrix(&[&[1.0]]), matrix(&[&[3.0]])]);
        let empty = batch(vec![Matrix::new(0, 1, vec![]), Matrix::new(0, 1, vec![])]);
        assert_eq!(growth(&trace(vec![full, empty])).unwrap().value, 3.0);
    }
}
