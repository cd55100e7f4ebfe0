//! (c) Cross-batch stability: do the gradients of different batches share one direction?
//!
//! ```text
//! ḡ_k   = mean over the samples of batch k of g_l,   l = ⌊L/2⌋
//! value = mean over all pairs k < m of cos(ḡ_k, ḡ_m)
//! ```
//!
//! Protocol §4 (c), from the v1 draft; needs at least eight disjoint batches (of 128). Above 0.30
//! it is called "drift". It separates nothing cleanly (trained BP .10, DFA .05 to .35), so it names
//! a sub-mode and never decides a verdict. The v1 text averages normalised per-sample directions
//! instead: that value is kept beside it.

use super::{Measured, Measurement, NORM_FLOOR, Unmeasured, batches, gradient, norm};
use crate::number::Number;
use crate::stats::mean;
use crate::trace::{LayerTrace, Matrix};
use serde::{Deserialize, Serialize};

/// Fewer batches than this are too few to say anything.
pub const MIN_BATCHES: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stability {
    /// The layer looked at, ⌊L/2⌋.
    pub layer: Option<usize>,
    /// Batches whose average gradient has a direction.
    pub batches: usize,
    /// Batches left out because theirs has none (its norm is under 1e-30).
    pub without_direction: usize,
    /// The v1 variant: the same with each sample's gradient scaled to length one first.
    pub normalised: Option<Number>,
}

/// The mean pairwise cosine of the batch-averaged gradients. With fewer than [`MIN_BATCHES`] the
/// value is there and the verdict is to call it inconclusive.
pub fn stability(trace: &LayerTrace) -> Measured<Stability> {
    let batches = batches(trace)?;
    let layer = (batches[0].hidden.len() - 1) / 2;
    let (mut averages, mut directions) = (Vec::new(), Vec::new());
    for batch in &batches {
        let g = &gradient(batch)?[layer];
        averages.push(row_mean(g, |_| 1.0));
        directions.push(row_mean(g, |row| 1.0 / norm(row).max(NORM_FLOOR)));
    }
    let total = averages.len();
    averages.retain(|v| has_direction(v));
    directions.retain(|v| has_direction(v));
    let value = pairwise_cosine(&averages).ok_or(Unmeasured::TooFewBatches(averages.len()))?;
    Ok(Measurement {
        value,
        detail: Stability {
            layer: Some(layer),
            batches: averages.len(),
            without_direction: total - averages.len(),
            normalised: pairwise_cosine(&directions).map(Number),
        },
    })
}

/// The mean of the rows, each scaled first: [N, d] → [d].
fn row_mean(matrix: &Matrix, scale: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut sum = vec![0.0; matrix.cols()];
    for row in matrix.iter_rows() {
        let scale = scale(row) / matrix.rows() as f64;
        for (total, &v) in sum.iter_mut().zip(row) {
            *total += v * scale;
        }
    }
    sum
}

/// A vector that is not finite stays: it must reach the value.
fn has_direction(v: &[f64]) -> bool {
    norm(v) >= NORM_FLOOR || norm(v).is_nan()
}

/// Mean cosine over all pairs; `None` without a pair.
fn pairwise_cosine(vectors: &[Vec<f64>]) -> Option<f64> {
    let units: Vec<Vec<f64>> = vectors
        .iter()
        .map(|v| {
            let length = norm(v);
            v.iter().map(|x| x / length).collect()
        })
        .collect();
    let mut cosines = Vec::new();
    for (k, a) in units.iter().enumerate() {
        for b in &units[k + 1..] {
            cosines.push(a.iter().zip(b).map(|(x, y)| x * y).sum());
        }
    }
    (!cosines.is_empty()).then(|| mean(&cosines))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, matrix, random_trace, same_everywhere, trace};
    use super::*;

    /// From ‖Σ u_k‖² = K + 2 Σ_{k<m} cos(k, m), without ever forming a pair.
    fn naive(trace: &LayerTrace, normalise: bool) -> f64 {
        let layer = trace.blocks() / 2;
        let mut sum = Vec::new();
        for batch in &trace.batches {
            let g = &batch.gradient.as_ref().unwrap()[layer];
            let mut average = vec![0.0f64; g.cols()];
            for (i, row) in g.iter_rows().enumerate() {
                let weight = if normalise { 1.0 / norm(row) } else { 1.0 };
                for (j, slot) in average.iter_mut().enumerate() {
                    let x = row[j] * weight;
                    *slot += (x - *slot) / (i + 1) as f64;
                }
            }
            let length = average.iter().map(|x| x * x).sum::<f64>().sqrt();
            sum.resize(average.len(), 0.0);
            for (total, x) in sum.iter_mut().zip(&average) {
                *total += x / length;
            }
        }
        let k = trace.batches.len() as f64;
        (sum.iter().map(|x| x * x).sum::<f64>() - k) / (k * (k - 1.0))
    }

    #[test]
    fn agrees_with_the_norm_of_the_summed_directions() {
        let mut compared = 0;
        for seed in 0..40 {
            let trace = random_trace(seed);
            let Ok(found) = stability(&trace) else {
                assert_eq!(trace.batches.len(), 1, "seed {seed}");
                continue;
            };
            let normalised = found.detail.normalised.unwrap().0;
            assert!((found.value - naive(&trace, false)).abs() < 1e-9, "seed {seed}");
            assert!((normalised - naive(&trace, true)).abs() < 1e-9, "seed {seed}");
            compared += 1;
        }
        assert!(compared > 25);
    }

    /// Layers 0 … L, of which only layer l holds `rows`.
    fn at(layer: usize, layers: usize, rows: &[&[f64]]) -> crate::trace::BatchTrace {
        let other = matrix(&vec![&[9.0, 9.0][..]; rows.len()]);
        let mut all = vec![other; layers];
        all[layer] = matrix(rows);
        same_everywhere(all)
    }

    #[test]
    fn three_directions_give_the_mean_of_three_cosines_at_the_middle_layer() {
        // (1,0), (0,1), (1,1)/√2: cosines 0, 1/√2, 1/√2. L = 3, so layer 1.
        let batches = vec![
            at(1, 4, &[&[2.0, 1.0], &[2.0, -1.0]]),
            at(1, 4, &[&[0.0, 5.0]]),
            at(1, 4, &[&[3.0, 3.0]]),
        ];
        let found = stability(&trace(batches)).unwrap();
        assert!((found.value - 2.0f64.sqrt() / 3.0).abs() < 1e-12);
        assert_eq!(found.detail.layer, Some(1));
        assert_eq!(found.detail.batches, 3);
    }

    #[test]
    fn the_v1_variant_weighs_every_sample_alike() {
        // One long sample along x outweighs one short along y, unless both are normalised.
        let batches = vec![at(0, 1, &[&[1000.0, 0.0], &[0.0, 1.0]]), at(0, 1, &[&[1.0, 0.0]])];
        let found = stability(&trace(batches)).unwrap();
        assert!(found.value > 0.999);
        assert!((found.detail.normalised.unwrap().0 - 0.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_zero_gradient_is_left_out_and_counted() {
        let batches = vec![
            at(0, 1, &[&[1.0, 0.0]]),
            at(0, 1, &[&[1.0, 0.0], &[-1.0, 0.0]]),
            at(0, 1, &[&[1.0, 0.0]]),
        ];
        let found = stability(&trace(batches)).unwrap();
        assert!((found.value - 1.0).abs() < 1e-12);
        assert_eq!((found.detail.batches, found.detail.without_direction), (2, 1));
    }

    #[test]
    fn a_nan_gradient_reaches_the_value_and_a_lone_batch_has_no_pair() {
        let good = || at(0, 1, &[&[1.0, 0.0]]);
        let bad = at(0, 1, &[&[f64::NAN, 0.0]]);
        assert!(stability(&trace(vec![good(), bad])).unwrap().value.is_nan());
        assert_eq!(stability(&trace(vec![good()])), Err(Unmeasured::TooFewBatches(1)));
        let blind = trace(vec![batch(vec![matrix(&[&[1.0]])])]);
        assert_eq!(stability(&blind), Err(Unmeasured::NoGradient));
    }
}
