//! Per-layer cosine Γ_l: how far the credit points along the true gradient.
//!
//! ```text
//! cos_i(l)  = ⟨a_l, g_l⟩ / (max(‖a_l‖, 1e-30) · max(‖g_l‖, 1e-30))      sample i
//! Γ_l       = mean over samples of cos_i(l)
//! aggregate = mean of Γ_0 … Γ_{L−1}
//! ```
//!
//! Protocol §4 (Γ_l), §13; arXiv:2606.21126. The aggregate runs over block positions: a_L trains no
//! block and stays out, though Γ_L is listed (without blocks, Γ_0 is the aggregate). The floor keeps
//! a zero vector from dividing by zero and is far below anything real: PyTorch's clamp at 1e-8 would
//! shrink the cosine of healthy networks too. Nothing is thresholded; a cosine can be read only where
//! the reference (b) passes.

use super::{
    Measured, Measurement, NORM_FLOOR, Unmeasured, batches, cosine_over, credit, gradient, norm,
    share,
};
use crate::number::Number;
use crate::stats::{mean, sample_std};
use crate::trace::LayerTrace;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cosine {
    /// Γ_0 … Γ_L.
    pub per_layer: Vec<Number>,
    /// Sample standard deviation over samples, each layer; `None` for fewer than two.
    pub std: Vec<Option<Number>>,
    /// Share of samples whose cosine is above zero, each layer.
    pub share_positive: Vec<Number>,
    /// Samples in each layer's mean.
    pub n: Vec<usize>,
    /// Samples among them where either norm is under 1e-30 (their cosine is near zero), each layer.
    pub under_floor: Vec<usize>,
    /// The layers that the aggregate is over, where they are not 0 … L−1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trains: Option<Vec<usize>>,
}

impl Cosine {
    /// The layers whose credit trains: 0 … L−1 (0 alone without blocks), or those that were said.
    pub fn positions(&self) -> Vec<usize> {
        let all = self.per_layer.len();
        match &self.trains {
            Some(layers) => layers.iter().copied().filter(|&l| l < all).collect(),
            None => (0..all.saturating_sub(1).max(all.min(1))).collect(),
        }
    }

    /// Γ_l at those layers.
    pub fn block_positions(&self) -> Vec<Number> {
        self.positions().into_iter().map(|l| self.per_layer[l]).collect()
    }
}

/// The cosines of credit and reference gradient; the value is the aggregate.
pub fn cosine(trace: &LayerTrace) -> Measured<Cosine> {
    let batches = batches(trace)?;
    let mut found = Cosine { trains: trace.credit_trains.clone(), ..Cosine::default() };
    for l in 0..batches[0].hidden.len() {
        let (mut cosines, mut under_floor) = (Vec::new(), 0);
        for batch in &batches {
            let (a, g) = (&credit(batch)?[l], &gradient(batch)?[l]);
            for (a, g) in a.iter_rows().zip(g.iter_rows()) {
                let (length_a, length_g) = (norm(a), norm(g));
                // max() ignores a NaN norm; the entries keep it.
                let lengths = [length_a.max(NORM_FLOOR), length_g.max(NORM_FLOOR)];
                cosines.push(cosine_over(a, g, lengths));
                under_floor += usize::from(length_a < NORM_FLOOR || length_g < NORM_FLOOR);
            }
        }
        found.per_layer.push(Number(mean(&cosines)));
        found.std.push(sample_std(&cosines).map(Number));
        found.share_positive.push(Number(share(&cosines, |v| v > 0.0)));
        found.n.push(cosines.len());
        found.under_floor.push(under_floor);
    }
    let positions: Vec<f64> = found.block_positions().iter().map(|v| v.0).collect();
    Ok(Measurement { value: mean(&positions), detail: found })
}

/// Γ_0 … Γ_L alone.
///
/// # Errors
/// As [`cosine`].
pub fn per_layer(trace: &LayerTrace) -> Result<Vec<f64>, Unmeasured> {
    Ok(cosine(trace)?.detail.per_layer.iter().map(|v| v.0).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, matrix, random_trace, same_everywhere, trace};
    use super::*;
    use crate::number::numbers;
    use crate::trace::{BatchTrace, Matrix};

    #[test]
    fn the_aggregate_is_over_the_layers_that_were_said_as_far_as_they_are_there() {
        let said = |per_layer: usize, trains: Option<Vec<usize>>| {
            let per_layer = vec![Number(0.5); per_layer];
            Cosine { per_layer, trains, ..Cosine::default() }.positions()
        };
        assert_eq!(said(3, Some(vec![0, 2, 3, 4])), [0, 2]);
        assert_eq!(said(3, None), [0, 1]);
        assert_eq!(said(1, None), [0]);
        assert!(said(0, None).is_empty());
    }

    /// By the polarisation identity: cos = (‖û + v̂‖² − ‖û − v̂‖²) / 4, running mean over samples.
    fn naive(trace: &LayerTrace, layer: usize) -> f64 {
        let (mut average, mut seen) = (0.0, 0.0);
        for batch in &trace.batches {
            let a = &batch.credit.as_ref().unwrap()[layer];
            let g = &batch.gradient.as_ref().unwrap()[layer];
            for i in 0..batch.samples() {
                let unit = |row: &[f64]| -> Vec<f64> {
                    let length = row.iter().fold(0.0, |s: f64, &v| s.hypot(v));
                    row.iter().map(|v| v / length).collect()
                };
                let (u, v) = (unit(a.row(i)), unit(g.row(i)));
                let mut quarter = 0.0;
                for (x, y) in u.iter().zip(&v) {
                    quarter += ((x + y).powi(2) - (x - y).powi(2)) / 4.0;
                }
                seen += 1.0;
                average += (quarter - average) / seen;
            }
        }
        average
    }

    #[test]
    fn agrees_with_the_polarisation_identity_at_every_layer() {
        for seed in 0..40 {
            let trace = random_trace(seed);
            let found = cosine(&trace).unwrap();
            let mut sum = 0.0;
            for (l, value) in found.detail.per_layer.iter().enumerate() {
                assert!((value.0 - naive(&trace, l)).abs() < 1e-9, "seed {seed} layer {l}");
                if l < trace.blocks() {
                    sum += value.0;
                }
            }
            let aggregate = sum / trace.blocks() as f64;
            assert!((found.value - aggregate).abs() < 1e-12, "seed {seed}");
        }
    }

    /// One layer with this credit and gradient.
    fn pair(credit: Matrix, gradient: Matrix) -> BatchTrace {
        BatchTrace {
            credit: Some(vec![credit]),
            gradient: Some(vec![gradient.clone()]),
            ..batch(vec![gradient])
        }
    }

    #[test]
    fn known_angles_give_known_means_deviations_and_shares() {
        // Parallel, orthogonal, opposite, 60°: 1, 0, −1, 0.5; mean 1/8, variance 35/48.
        let credit = matrix(&[&[2.0, 0.0], &[0.0, 3.0], &[-1.0, 0.0], &[1.0, 3f64.sqrt()]]);
        let gradient = matrix(&[&[1.0, 0.0][..]; 4]);
        let found = cosine(&trace(vec![pair(credit, gradient)])).unwrap().detail;
        assert!((found.per_layer[0].0 - 0.125).abs() < 1e-7);
        assert!((found.std[0].unwrap().0 - (35.0f64 / 48.0).sqrt()).abs() < 1e-7);
        assert_eq!(found.share_positive, numbers(&[0.5]));
        assert_eq!((found.n[0], found.under_floor[0]), (4, 0));
    }

    #[test]
    fn parallel_vectors_have_cosine_one_however_small() {
        // Pitfall 2 of the protocol: PyTorch's clamp makes 0.01 of the first.
        for scale in [1e-10, 1e-25, 1e25] {
            let found = cosine(&trace(vec![pair(
                matrix(&[&[30.0, 40.0]]),
                matrix(&[&[3.0 * scale, 4.0 * scale]]),
            )]));
            assert!((found.unwrap().value - 1.0).abs() < 1e-6, "{scale}");
        }
    }

    #[test]
    fn a_zero_vector_counts_as_cosine_zero_and_is_counted() {
        let credit = matrix(&[&[0.0, 0.0], &[1.0, 0.0]]);
        let gradient = matrix(&[&[1.0, 0.0], &[1.0, 0.0]]);
        let found = cosine(&trace(vec![pair(credit, gradient)])).unwrap();
        assert_eq!(found.value, 0.5);
        assert_eq!(found.detail.under_floor, [1]);
        let both = pair(matrix(&[&[0.0]]), matrix(&[&[0.0]]));
        let found = cosine(&trace(vec![both])).unwrap();
        assert_eq!((found.value, found.detail.under_floor[0]), (0.0, 1));
    }

    #[test]
    fn a_nan_on_either_side_reaches_the_layer_and_the_aggregate() {
        for (a, g) in [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, 1.0)] {
            let bad = pair(matrix(&[&[a], &[1.0]]), matrix(&[&[g], &[1.0]]));
            let found = cosine(&trace(vec![bad])).unwrap();
            assert!(found.value.is_nan() && found.detail.per_layer[0].0.is_nan());
            assert_eq!(found.detail.n, [2]);
        }
    }

    #[test]
    fn the_last_position_stays_out_of_the_aggregate() {
        let up = || matrix(&[&[1.0, 0.0]]);
        let side = || matrix(&[&[0.0, 1.0]]);
        let mut three = same_everywhere(vec![up(), up(), up()]);
        three.credit = Some(vec![up(), side(), side()]);
        assert_eq!(cosine(&trace(vec![three.clone()])).unwrap().value, 0.5);
        three.credit = Some(vec![up(), up(), side()]);
        assert_eq!(cosine(&trace(vec![three])).unwrap().value, 1.0);
    }

    #[test]
    fn missing_credit_is_not_evaluated_and_never_one() {
        let mut bare = same_everywhere(vec![matrix(&[&[1.0]])]);
        bare.credit = None;
        assert_eq!(cosine(&trace(vec![bare])), Err(Unmeasured::NoCredit));
        let mut blind = same_everywhere(vec![matrix(&[&[1.0]])]);
        blind.gradient = None;
        assert_eq!(cosine(&trace(vec![blind])), Err(Unmeasured::NoGradient));
    }
}
