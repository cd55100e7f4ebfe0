//! Common mode: how much of the hidden state is the same for every sample?
//!
//! ```text
//! energy(l)   = ‖mean_i h_i‖² · N / Σ_i ‖h_i‖²                             in one batch
//! pairwise(l) = mean over i < j of cos(h_i, h_j) = (‖Σ_i ĥ_i‖² − N) / (N (N − 1))
//! ```
//!
//! then the mean over batches. 0 for samples that share nothing (1/N for independent ones, so name
//! the batch size), 1 where the network says the same of every input: in an exploded network a large
//! cosine, norm or stability can be this shared part alone. A sample under the norm floor 1e-30 has
//! no direction and stays out of the pairs; a batch of one sample says nothing and stays out.
//! Protocol §4 (norms) and §13; the quantity is ours and published nowhere.

use super::{NORM_FLOOR, Unmeasured, batches, norm};
use crate::number::Number;
use crate::stats::mean;
use crate::trace::{LayerTrace, Matrix};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonMode {
    /// Layers 0 … L.
    pub per_layer: Vec<CommonModeLayer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonModeLayer {
    /// Share of the hidden state's energy in its batch mean.
    pub mean_energy: Number,
    /// Mean pairwise cosine between samples.
    pub pairwise_cosine: Number,
}

/// The shared part of h_0 … h_L. NaN where no batch has two samples (with a direction).
pub fn common_mode(trace: &LayerTrace) -> Result<CommonMode, Unmeasured> {
    let batches = batches(trace)?;
    let layer = |l: usize| {
        let hidden = || batches.iter().map(|b| &b.hidden[l]).filter(|h| h.rows() > 1);
        CommonModeLayer {
            mean_energy: Number(mean(&hidden().map(mean_energy).collect::<Vec<_>>())),
            pairwise_cosine: Number(mean(
                &hidden().filter_map(pairwise_cosine).collect::<Vec<_>>(),
            )),
        }
    };
    Ok(CommonMode { per_layer: (0..batches[0].hidden.len()).map(layer).collect() })
}

/// ‖mean‖² · N / Σ‖h‖²; NaN where every row is zero.
fn mean_energy(hidden: &Matrix) -> f64 {
    let lengths: Vec<f64> = hidden.iter_rows().map(norm).collect();
    let sum = length_of_sum(hidden.iter_rows().map(|row| (row, 1.0)), hidden.cols());
    // A ratio of norms: their squares may be too large.
    (sum / norm(&lengths)).powi(2) / hidden.rows() as f64
}

/// `None` where fewer than two rows have a direction.
fn pairwise_cosine(hidden: &Matrix) -> Option<f64> {
    // A norm that is NaN stays: it must reach the value.
    let directed = |length: f64| length >= NORM_FLOOR || length.is_nan();
    let lengths = hidden.iter_rows().map(|row| (row, norm(row)));
    let directed: Vec<_> = lengths.filter(|&(_, length)| directed(length)).collect();
    let n = directed.len() as f64;
    let units = directed.into_iter().map(|(row, length)| (row, 1.0 / length));
    let sum = length_of_sum(units, hidden.cols()).powi(2);
    (n > 1.0).then(|| (sum - n) / (n * (n - 1.0)))
}

/// ‖Σ w·row‖.
fn length_of_sum<'a>(rows: impl Iterator<Item = (&'a [f64], f64)>, cols: usize) -> f64 {
    let mut sum = vec![0.0; cols];
    for (row, weight) in rows {
        for (total, &v) in sum.iter_mut().zip(row) {
            *total += v * weight;
        }
    }
    norm(&sum)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, close, matrix, noise, random_trace, rng, trace};
    use super::*;

    /// 1 − variance/energy, and every pair by itself; batches of one sample left out.
    fn naive(trace: &LayerTrace, l: usize) -> (f64, f64) {
        let (mut energies, mut cosines) = (Vec::new(), Vec::new());
        for batch in &trace.batches {
            let n = batch.samples();
            if n < 2 {
                continue;
            }
            let rows: Vec<Vec<f64>> = (0..n).map(|i| batch.hidden[l].row(i).to_vec()).collect();
            let (mut spread, mut energy) = (0.0, 0.0);
            for j in 0..rows[0].len() {
                let centre = rows.iter().map(|r| r[j]).sum::<f64>() / n as f64;
                spread += rows.iter().map(|r| (r[j] - centre).powi(2)).sum::<f64>();
                energy += rows.iter().map(|r| r[j].powi(2)).sum::<f64>();
            }
            energies.push(1.0 - spread / energy);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            let (mut total, mut pairs) = (0.0, 0.0);
            for i in 0..n {
                for j in 0..i {
                    let (a, b) = (&rows[i], &rows[j]);
                    total += dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                    pairs += 1.0;
                }
            }
            cosines.push(total / pairs);
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        (mean(&energies), mean(&cosines))
    }

    #[test]
    fn agrees_with_the_variance_and_with_every_pair() {
        let mut compared = 0;
        for seed in 0..40 {
            let trace = random_trace(seed);
            let found = common_mode(&trace).unwrap();
            assert_eq!(found.per_layer.len(), trace.blocks() + 1);
            for (l, layer) in found.per_layer.iter().enumerate() {
                let (energy, cosine) = naive(&trace, l);
                if energy.is_nan() {
                    assert!(layer.mean_energy.0.is_nan() && layer.pairwise_cosine.0.is_nan());
                    continue;
                }
                assert!((layer.mean_energy.0 - energy).abs() < 1e-12, "seed {seed} layer {l}");
                assert!((layer.pairwise_cosine.0 - cosine).abs() < 1e-12, "seed {seed} layer {l}");
                compared += 1;
            }
        }
        assert!(compared > 100);
    }

    #[test]
    fn three_four_five_by_hand_averaged_over_batches_not_samples() {
        // (3, ±4): mean (3, 0), 9 · 2 / 50 = .36; cos = (9 − 16)/25 = −.28.
        // Three times (0, 2): 1 and 1. The means of .36, 1 and of −.28, 1.
        let first = batch(vec![matrix(&[&[3.0, 4.0], &[3.0, -4.0]])]);
        let second = batch(vec![matrix(&[&[0.0, 2.0][..]; 3])]);
        let found = common_mode(&trace(vec![first, second])).unwrap();
        let layer = &found.per_layer[0];
        assert!(close(layer.mean_energy.0, 0.68), "{layer:?}");
        assert!(close(layer.pairwise_cosine.0, 0.36), "{layer:?}");
    }

    #[test]
    fn energy_weighs_by_length_and_the_cosine_does_not() {
        // (9, 0), (0, 1): energy 82/4 · 2/82 = 1/2 whatever the lengths, cosine 0.
        // (9, 0), (9, 0), (−1, 0): 17² / (3 · 163); cosines 1, −1, −1.
        let lengths = matrix(&[&[9.0, 0.0], &[9.0, 0.0], &[-1.0, 0.0]]);
        let across = matrix(&[&[9.0, 0.0], &[0.0, 1.0], &[0.0, 0.0]]);
        let found = common_mode(&trace(vec![batch(vec![lengths, across])])).unwrap();
        assert!(close(found.per_layer[0].mean_energy.0, 289.0 / 489.0));
        assert!(close(found.per_layer[0].pairwise_cosine.0, -1.0 / 3.0));
        // The zero row counts among N = 3 and has no pair.
        assert!(close(found.per_layer[1].mean_energy.0, 1.0 / 3.0));
        assert!(found.per_layer[1].pairwise_cosine.0.abs() < 1e-15);
    }

    #[test]
    fn a_common_part_shows_at_any_scale() {
        let mut rng = rng(1);
        for scale in [1e-25f32, 1.0, 1e9, 1e30] {
            let own = noise(&mut rng, 200, 64, scale);
            let shared: Vec<f64> =
                own.iter_rows().flatten().map(|v| v + 10.0 * f64::from(scale)).collect();
            let layers = vec![own, Matrix::new(200, 64, shared)];
            let found = common_mode(&trace(vec![batch(layers)])).unwrap();
            assert!(found.per_layer[0].mean_energy.0 < 0.01);
            assert!(found.per_layer[0].pairwise_cosine.0.abs() < 0.01);
            assert!(found.per_layer[1].mean_energy.0 > 0.99);
            assert!(found.per_layer[1].pairwise_cosine.0 > 0.99);
        }
    }

    #[test]
    fn a_lone_last_sample_changes_nothing_and_lone_samples_alone_are_nan() {
        let full = || batch(vec![matrix(&[&[3.0, 4.0], &[3.0, -4.0]])]);
        let lone = || batch(vec![matrix(&[&[1.0, 0.0]])]);
        let found = common_mode(&trace(vec![full(), lone()])).unwrap();
        assert_eq!(found, common_mode(&trace(vec![full()])).unwrap());
        // Nor, for the cosine, does a batch of which a single sample has a direction.
        let directed = batch(vec![matrix(&[&[1.0, 0.0], &[0.0, 0.0]])]);
        let found = common_mode(&trace(vec![full(), directed])).unwrap();
        assert!(close(found.per_layer[0].pairwise_cosine.0, -0.28), "{found:?}");
        let none = common_mode(&trace(vec![lone(), lone()])).unwrap();
        let layer = &none.per_layer[0];
        assert!(layer.mean_energy.0.is_nan() && layer.pairwise_cosine.0.is_nan());
    }

    #[test]
    fn what_is_not_finite_reaches_both_values() {
        for bad in [f64::NAN, f64::INFINITY] {
            let hidden = matrix(&[&[bad, 1.0], &[1.0, 1.0], &[2.0, 1.0]]);
            let layer = common_mode(&trace(vec![batch(vec![hidden])])).unwrap().per_layer.remove(0);
            assert!(layer.mean_energy.0.is_nan() && layer.pairwise_cosine.0.is_nan(), "{bad}");
        }
        assert_eq!(common_mode(&trace(vec![])), Err(Unmeasured::NoSamples));
    }
}
