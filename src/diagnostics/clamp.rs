//! The clamp of PyTorch's `cosine_similarity`: what it makes of the per-layer cosines.
//!
//! ```text
//! clamped_i(l) = ⟨a_l, g_l⟩ / (max(‖a_l‖, 1e-8) · max(‖g_l‖, 1e-8))        sample i
//! ```
//!
//! Protocol §7 (pitfall 2), §13; measured in PyTorch 2.0 to 2.15, which clamps each norm (its older
//! documentation clamps their product). The clamp shrinks |cos| and never inflates it, for healthy
//! networks too: a well-fitted sample's gradient under a mean loss is below 1e-8. It is applied to
//! the gradients as recorded, as a script that calls PyTorch would, so it depends on the batch size.

use super::reference::PYTORCH_CLAMP;
use super::{NORM_FLOOR, Unmeasured, batches, credit, floored_cosine, gradient, norm};
use crate::number::Number;
use crate::stats::mean;
use crate::trace::LayerTrace;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clamp {
    /// The clamp on each norm.
    pub clamp: Number,
    /// Layers 0 … L.
    pub per_layer: Vec<ClampLayer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClampLayer {
    /// Share of samples where the norm of credit or gradient is under the clamp.
    pub under: Number,
    /// Mean cosine with the clamp, as PyTorch reports it.
    pub clamped: Number,
    /// Mean cosine without.
    pub unclamped: Number,
}

/// The mean cosines of credit and reference gradient at layers 0 … L, with and without the clamp.
pub fn clamp(trace: &LayerTrace) -> Result<Clamp, Unmeasured> {
    let batches = batches(trace)?;
    let mut per_layer = Vec::new();
    for l in 0..batches[0].hidden.len() {
        let (mut clamped, mut unclamped, mut under) = (Vec::new(), Vec::new(), 0);
        for batch in &batches {
            let (a, g) = (&credit(batch)?[l], &gradient(batch)?[l]);
            for (a, g) in a.iter_rows().zip(g.iter_rows()) {
                clamped.push(floored_cosine(a, g, PYTORCH_CLAMP));
                unclamped.push(floored_cosine(a, g, NORM_FLOOR));
                // A NaN reaches no clamp.
                let reached = norm(a) >= PYTORCH_CLAMP && norm(g) >= PYTORCH_CLAMP;
                under += usize::from(!reached);
            }
        }
        per_layer.push(ClampLayer {
            under: Number(under as f64 / clamped.len() as f64),
            clamped: Number(mean(&clamped)),
            unclamped: Number(mean(&unclamped)),
        });
    }
    Ok(Clamp { clamp: Number(PYTORCH_CLAMP), per_layer })
}

#[cfg(test)]
mod tests {
    use super::super::cosine::cosine;
    use super::super::testing::{batch, matrix, random_trace, same_everywhere, trace};
    use super::*;
    use crate::trace::{BatchTrace, Matrix};

    /// One layer with this credit and gradient.
    fn one(credit: &[&[f64]], gradient: &[&[f64]]) -> ClampLayer {
        let gradient = matrix(gradient);
        let pair = BatchTrace {
            credit: Some(vec![matrix(credit)]),
            gradient: Some(vec![gradient.clone()]),
            ..batch(vec![gradient])
        };
        clamp(&trace(vec![pair])).unwrap().per_layer.remove(0)
    }

    /// The cosine of the directions, shrunk by what each norm lacks to the clamp.
    fn naive(trace: &LayerTrace, l: usize) -> (f64, f64) {
        let (mut sum, mut under, mut n) = (0.0, 0.0, 0.0);
        let direction = |row: &[f64]| {
            let length = row.iter().fold(0.0, |s: f64, &v| s.hypot(v));
            (length, row.iter().map(|v| v / length).collect::<Vec<_>>())
        };
        for batch in &trace.batches {
            let at = |m: &Option<Vec<Matrix>>, i| direction(m.as_ref().unwrap()[l].row(i));
            for i in 0..batch.samples() {
                let ((length_a, a), (length_g, g)) = (at(&batch.credit, i), at(&batch.gradient, i));
                let cosine: f64 = a.iter().zip(&g).map(|(x, y)| x * y).sum();
                sum += cosine * (length_a / 1e-8).min(1.0) * (length_g / 1e-8).min(1.0);
                under += f64::from(u8::from(length_a.min(length_g) < 1e-8));
                n += 1.0;
            }
        }
        (sum / n, under / n)
    }

    #[test]
    fn agrees_with_the_shrunk_cosine_and_with_the_diagnostic() {
        let (mut distorted, mut untouched) = (0, 0);
        for seed in 0..40 {
            let trace = random_trace(seed);
            let found = clamp(&trace).unwrap();
            let right = cosine(&trace).unwrap().detail;
            for (l, layer) in found.per_layer.iter().enumerate() {
                let (expected, under) = naive(&trace, l);
                let scale = expected.abs().max(1e-12 * layer.unclamped.0.abs());
                assert!((layer.clamped.0 - expected).abs() <= 1e-6 * scale, "seed {seed} {l}");
                assert!((layer.under.0 - under).abs() < 1e-12, "seed {seed} {l}");
                assert_eq!(layer.unclamped, right.per_layer[l], "seed {seed} {l}");
                match under {
                    0.0 => untouched += 1,
                    _ => distorted += 1,
                }
            }
        }
        assert!(distorted > 30 && untouched > 30, "{distorted} {untouched}");
    }

    #[test]
    fn each_norm_is_clamped_and_not_their_product() {
        // Protocol §13: the product, 1e-7, is over the clamp and would leave 1.
        let found = one(&[&[100.0, 0.0]], &[&[1e-9, 0.0]]);
        assert!((found.clamped.0 - 0.1).abs() < 1e-7);
        assert!((found.unclamped.0 - 1.0).abs() < 1e-7);
        assert_eq!(found.under.0, 1.0);
        // Pitfall 2: norms 5 and 1e-10 leave .01, and both small shrink twice.
        let pitfall = one(&[&[3.0, 4.0]], &[&[6e-11, 8e-11]]);
        assert!((pitfall.clamped.0 - 0.01).abs() < 1e-8);
        let both = one(&[&[-1e-9, 0.0]], &[&[1e-9, 0.0]]);
        assert!((both.clamped.0 + 0.01).abs() < 1e-8 && (both.unclamped.0 + 1.0).abs() < 1e-7);
    }

    #[test]
    fn samples_are_counted_and_averaged_over_batches() {
        // Cosines 1, −1 | 1 with the second under: clamped 1, −.1 | 1.
        let pair = |a: &[&[f64]], g: &[&[f64]]| BatchTrace {
            credit: Some(vec![matrix(a)]),
            gradient: Some(vec![matrix(g)]),
            ..batch(vec![matrix(g)])
        };
        let first = pair(&[&[1.0, 0.0], &[1.0, 0.0]], &[&[1e-8, 1e-20], &[-1e-9, 0.0]]);
        let second = pair(&[&[1.0, 0.0]], &[&[1.0, 0.0]]);
        let found = clamp(&trace(vec![first, second])).unwrap().per_layer.remove(0);
        assert!((found.unclamped.0 - 1.0 / 3.0).abs() < 1e-7);
        assert!((found.clamped.0 - 1.9 / 3.0).abs() < 1e-7);
    }

    #[test]
    fn a_nan_reaches_both_cosines_and_counts_as_under() {
        for (a, g) in [(f64::NAN, 1.0), (1.0, f64::NAN)] {
            let found = one(&[&[a], &[1.0]], &[&[g], &[1.0]]);
            assert!(found.clamped.0.is_nan() && found.unclamped.0.is_nan());
            assert_eq!(found.under.0, 0.5);
        }
        let infinite = one(&[&[f64::INFINITY]], &[&[1.0]]);
        assert!(infinite.clamped.0.is_nan() && infinite.unclamped.0.is_nan());
    }

    #[test]
    fn without_credit_or_gradient_nothing_is_measured() {
        let whole = || same_everywhere(vec![matrix(&[&[1.0]])]);
        let bare = BatchTrace { credit: None, ..whole() };
        assert_eq!(clamp(&trace(vec![whole(), bare])), Err(Unmeasured::NoCredit));
        let blind = BatchTrace { gradient: None, ..whole() };
        assert_eq!(clamp(&trace(vec![blind])), Err(Unmeasured::NoGradient));
    }
}
