//! Finite-step descent: does the method's own update of a block lower the loss, and by how much of
//! what backpropagation's update of equal length does?
//!
//! ```text
//! Δ(u)  = CE(θ_l − s·u/‖u‖) − CE(θ_l),   s = relative step · ‖θ_l‖,   mean CE over the samples
//! ratio = Δ(method's update) / Δ(backpropagation's update)
//! ```
//!
//! Protocol §13: cosine and ρ are one quantity pooled twice; a true loss change along the update is
//! independent evidence. The step is finite, so a ratio above 1 can happen: the gradient is the
//! steepest direction only for steps that vanish. Computed in f64 where the backend has it: at a
//! collapsed reference the changes are smaller than f32 resolves.

use crate::number::Number;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descent {
    /// Length of the step over the norm of the block's parameters.
    pub relative_step: Number,
    pub samples: usize,
    /// `f64` or `f32`: the arithmetic in which the losses were computed.
    pub precision: String,
    pub per_block: Vec<DescentBlock>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescentBlock {
    /// Length of both steps.
    pub length: Number,
    /// Change of the mean loss along the method's own update; negative is good.
    pub method: Number,
    /// The same along backpropagation's.
    pub backpropagation: Number,
    /// method / backpropagation: 1 is as good as the gradient, 0 useless, below 0 harmful. NaN
    /// where backpropagation's own step does not lower the loss.
    pub ratio: Number,
    /// Cosine of the two updates of this block's parameters.
    pub cosine: Number,
}

/// Mean losses, in nats, around one block's steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSteps {
    /// Length of both steps.
    pub length: f64,
    pub before: f64,
    /// After the step along the method's own update.
    pub method: f64,
    /// After the step along backpropagation's.
    pub backpropagation: f64,
    /// Cosine of the two updates.
    pub cosine: f64,
}

/// The loss changes of each block's steps. `relative_step` is their length over ‖θ_l‖; `precision`
/// names the arithmetic of the losses.
pub fn descent(
    blocks: &[BlockSteps],
    relative_step: f64,
    samples: usize,
    precision: &str,
) -> Descent {
    let block = |steps: &BlockSteps| {
        let method = steps.method - steps.before;
        let backpropagation = steps.backpropagation - steps.before;
        // Over a rise, the ratio would call a method harmful because it descends.
        let ratio = if backpropagation < 0.0 { method / backpropagation } else { f64::NAN };
        DescentBlock {
            length: Number(steps.length),
            method: Number(method),
            backpropagation: Number(backpropagation),
            ratio: Number(ratio),
            cosine: Number(steps.cosine),
        }
    };
    Descent {
        relative_step: Number(relative_step),
        samples,
        precision: precision.into(),
        per_block: blocks.iter().map(block).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::rng;
    use super::*;
    use rand::RngExt;

    fn one(before: f64, method: f64, backpropagation: f64) -> DescentBlock {
        let steps = BlockSteps { length: 0.5, before, method, backpropagation, cosine: 0.25 };
        descent(&[steps], 1e-3, 64, "f64").per_block.remove(0)
    }

    #[test]
    fn losses_2_1_75_and_1_5_are_half_as_good_as_the_gradient() {
        let found = one(2.0, 1.75, 1.5);
        assert_eq!((found.method.0, found.backpropagation.0, found.ratio.0), (-0.25, -0.5, 0.5));
        assert_eq!((found.length.0, found.cosine.0), (0.5, 0.25));
        assert_eq!(one(2.0, 2.25, 1.5).ratio.0, -0.5);
        assert_eq!(one(2.0, 2.0, 1.5).ratio.0, 0.0);
        assert_eq!(one(2.0, 1.5, 1.5).ratio.0, 1.0);
    }

    /// On CE = ‖θ‖²/2 the changes are known: Δ = s²/2 − s·⟨θ, û⟩.
    #[test]
    fn a_quadratic_loss_gives_the_changes_of_the_expansion() {
        let mut rng = rng(1);
        let mut worse = 0;
        for _ in 0..100 {
            let mut draw = || -> [f64; 3] { std::array::from_fn(|_| rng.random_range(-1.0..1.0)) };
            let (theta, update) = (draw(), draw());
            let dot = |a: &[f64; 3], b: &[f64; 3]| -> f64 { (0..3).map(|i| a[i] * b[i]).sum() };
            let norm = |a: &[f64; 3]| dot(a, a).sqrt();
            let length = 0.1 * norm(&theta);
            let loss_after = |u: &[f64; 3]| {
                let moved: [f64; 3] = std::array::from_fn(|i| theta[i] - length * u[i] / norm(u));
                dot(&moved, &moved) / 2.0
            };
            let cosine = dot(&theta, &update) / (norm(&theta) * norm(&update));
            let steps = BlockSteps {
                length,
                before: dot(&theta, &theta) / 2.0,
                method: loss_after(&update),
                backpropagation: loss_after(&theta),
                cosine,
            };
            let found = descent(&[steps, steps], 0.1, 1, "f64");
            let block = &found.per_block[1];
            let expected = |cosine: f64| length * length / 2.0 - length * norm(&theta) * cosine;
            assert!((block.method.0 - expected(cosine)).abs() < 1e-12);
            assert!((block.backpropagation.0 - expected(1.0)).abs() < 1e-12);
            // Over s = .1 ‖θ‖: (.05 − cos) / (.05 − 1).
            assert!((block.ratio.0 - (cosine - 0.05) / 0.95).abs() < 1e-9);
            worse += usize::from(block.ratio.0 < 0.0);
        }
        assert!((20..80).contains(&worse));
    }

    #[test]
    fn where_the_gradient_itself_does_not_descend_there_is_no_ratio() {
        let overshot = one(2.0, 1.5, 2.5);
        assert!(overshot.ratio.0.is_nan());
        assert_eq!((overshot.method.0, overshot.backpropagation.0), (-0.5, 0.5));
        assert!(one(2.0, 1.5, 2.0).ratio.0.is_nan());
    }

    #[test]
    fn what_is_not_finite_reaches_change_and_ratio() {
        let nan = one(2.0, f64::NAN, 1.5);
        assert!(nan.method.0.is_nan() && nan.ratio.0.is_nan());
        let exploded = one(2.0, f64::INFINITY, 1.5);
        assert_eq!((exploded.method.0, exploded.ratio.0), (f64::INFINITY, f64::NEG_INFINITY));
        assert!(one(f64::INFINITY, 1.0, 1.0).ratio.0.is_nan());
        assert!(one(2.0, 1.5, f64::NAN).ratio.0.is_nan());
    }

    #[test]
    fn the_setting_stands_beside_the_changes() {
        let found = descent(&[], 1e-3, 64, "f32");
        assert_eq!((found.relative_step.0, found.samples, &*found.precision), (1e-3, 64, "f32"));
        assert!(found.per_block.is_empty());
    }
}
