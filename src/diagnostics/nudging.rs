//! Nudging: does the loss fall when h_l takes one step against the credit?
//!
//! ```text
//! Δ_l(η) = mean over samples of CE(h_l − η·â_l) − CE(h_l),   â_l = a_l / RMS(a_l)
//! ```
//!
//! Protocol §5; arXiv:2606.21126 (η = .003 and .01; that â is normalised by its RMS is inferred).
//! Negative is good. The same step along the reference gradient and along a random vector are the
//! controls: they say what the best direction and none at all would bring. Published with a penalty,
//! η = .01, mean over the deep layers: DFA −5e-5, SB −1.9e-3.

use super::deep;
use crate::number::Number;
use crate::stats::mean;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nudging {
    /// η
    pub step: Number,
    pub samples: usize,
    /// Layers 0 … L.
    pub per_layer: Vec<NudgingLayer>,
    /// Mean Δ of the credit over layers 1 … L−1; absent with fewer than two blocks.
    pub deep: Option<Number>,
}

/// Mean loss changes Δ_l; negative is good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NudgingLayer {
    pub credit: Number,
    /// Positive control: along the reference gradient.
    pub gradient: Number,
    /// Negative control: along a random vector.
    pub random: Number,
    /// Share of samples whose loss falls along the credit.
    pub share_falling: Number,
}

/// Per-sample losses at one layer, in nats: before the step and after one along each direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NudgedLosses {
    pub before: Vec<f64>,
    pub credit: Vec<f64>,
    pub gradient: Vec<f64>,
    pub random: Vec<f64>,
}

/// The mean loss changes at layers 0 … L under steps of size `step` (η).
pub fn nudging(layers: &[NudgedLosses], step: f64) -> Nudging {
    let layer = |losses: &NudgedLosses| {
        let change = |after: &[f64]| Number(mean_change(&losses.before, after));
        let falling = losses.credit.iter().zip(&losses.before).filter(|(a, b)| a < b).count();
        NudgingLayer {
            credit: change(&losses.credit),
            gradient: change(&losses.gradient),
            random: change(&losses.random),
            share_falling: Number(falling as f64 / losses.before.len() as f64),
        }
    };
    let per_layer: Vec<NudgingLayer> = layers.iter().map(layer).collect();
    let credit: Vec<f64> = per_layer.iter().map(|l| l.credit.0).collect();
    Nudging {
        step: Number(step),
        samples: layers.first().map_or(0, |l| l.before.len()),
        deep: deep(&credit).map(Number),
        per_layer,
    }
}

/// The mean of the changes: a difference of means would lose what is small beside the losses.
fn mean_change(before: &[f64], after: &[f64]) -> f64 {
    mean(&after.iter().zip(before).map(|(a, b)| a - b).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::testing::rng;
    use super::*;
    use rand::RngExt;

    #[test]
    fn agrees_with_the_difference_of_running_means() {
        let running = |values: &[f64]| {
            let step = |(seen, m): (f64, f64), v: &f64| (seen + 1.0, m + (v - m) / (seen + 1.0));
            values.iter().fold((0.0, 0.0), step).1
        };
        let mut rng = rng(1);
        for _ in 0..40 {
            let (layers, count) = (rng.random_range(1..6), rng.random_range(1..20));
            let losses: Vec<NudgedLosses> = (0..layers)
                .map(|_| {
                    let mut draw = || (0..count).map(|_| rng.random_range(0.0..3.0)).collect();
                    NudgedLosses {
                        before: draw(),
                        credit: draw(),
                        gradient: draw(),
                        random: draw(),
                    }
                })
                .collect();
            let found = nudging(&losses, 0.01);
            let mut deep = Vec::new();
            for (l, (found, losses)) in found.per_layer.iter().zip(&losses).enumerate() {
                let near = |v: Number, after: &[f64]| {
                    (v.0 - (running(after) - running(&losses.before))).abs() < 1e-12
                };
                assert!(near(found.credit, &losses.credit));
                assert!(near(found.gradient, &losses.gradient));
                assert!(near(found.random, &losses.random));
                let mut risen = 0.0;
                for i in 0..count {
                    risen += f64::from(u8::from(losses.credit[i] >= losses.before[i]));
                }
                assert!((found.share_falling.0 + risen / count as f64 - 1.0).abs() < 1e-12);
                if l > 0 && l < layers - 1 {
                    deep.push(found.credit.0);
                }
            }
            let expected = (!deep.is_empty()).then(|| running(&deep));
            assert_eq!(found.deep.is_some(), expected.is_some());
            assert!(found.deep.is_none_or(|v| (v.0 - expected.unwrap()).abs() < 1e-12));
        }
    }

    #[test]
    fn four_samples_give_the_changes_by_hand() {
        let losses = NudgedLosses {
            before: vec![1.0, 2.0, 3.0, 4.0],
            credit: vec![0.5, 2.0, 2.0, 4.5],
            gradient: vec![0.0, 1.0, 2.0, 3.0],
            random: vec![2.0, 2.0, 3.0, 4.0],
        };
        // −.5, 0, −1, +.5: mean −.25; two of four fall, one stays.
        let found = nudging(&[losses], 0.003);
        let layer = &found.per_layer[0];
        assert_eq!((layer.credit.0, layer.gradient.0, layer.random.0), (-0.25, -1.0, 0.25));
        assert_eq!(layer.share_falling.0, 0.5);
        assert_eq!((found.samples, found.step.0, found.deep), (4, 0.003, None));
    }

    #[test]
    fn the_first_and_the_last_layer_stay_out_of_the_deep_mean() {
        let falls = |by: f64| NudgedLosses {
            before: vec![8.0],
            credit: vec![8.0 - by],
            gradient: vec![8.0],
            random: vec![8.0],
        };
        let found = nudging(&[falls(100.0), falls(1.0), falls(3.0), falls(-50.0)], 0.01);
        assert_eq!(found.deep, Some(Number(-2.0)));
    }

    #[test]
    fn changes_that_are_tiny_beside_the_losses_are_kept() {
        // 2⁻⁴⁰ on losses up to 2¹²: a difference of means over many samples would round it.
        let tiny = 2f64.powi(-40);
        let before: Vec<f64> = (0..1001).map(|i| 4096.0 / (1.0 + f64::from(i))).collect();
        let before: Vec<f64> = before.iter().map(|v| (v / tiny).round() * tiny).collect();
        let credit: Vec<f64> = before.iter().map(|v| v - tiny).collect();
        assert_ne!(mean(&credit) - mean(&before), -tiny);
        let losses = NudgedLosses { credit, before, ..NudgedLosses::default() };
        assert_eq!(nudging(&[losses], 0.01).per_layer[0].credit.0, -tiny);
    }

    #[test]
    fn a_loss_that_is_not_finite_reaches_the_change() {
        let losses = NudgedLosses {
            before: vec![1.0, 1.0],
            credit: vec![f64::NAN, 0.0],
            gradient: vec![f64::INFINITY, 0.0],
            random: vec![1.0, 1.0],
        };
        let layer = &nudging(&[losses], 0.01).per_layer[0];
        assert!(layer.credit.0.is_nan());
        assert_eq!((layer.gradient.0, layer.random.0), (f64::INFINITY, 0.0));
        assert_eq!(layer.share_falling.0, 0.5);
    }
}
