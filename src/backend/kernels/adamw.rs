//! AdamW (Loshchilov & Hutter 2019) for one parameter:
//!
//! m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,
//! θ ← θ − η w θ − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The constants of a step.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    pub beta_1: f32,
    pub beta_2: f32,
    pub epsilon: f32,
    /// w, the decay coupled to the learning rate alone.
    pub weight_decay: f64,
    /// η
    pub rate: f64,
}

/// m and v of one parameter after `time` steps.
#[derive(Clone, Debug)]
pub struct Moments<B: Backend> {
    pub time: usize,
    pub first: Tensor<B, 1>,
    pub second: Tensor<B, 1>,
}

impl AdamW {
    /// 1 − β₁ᵗ and 1 − β₂ᵗ at step `time`.
    pub(super) fn corrections(&self, time: usize) -> [f32; 2] {
        [self.beta_1, self.beta_2].map(|beta| 1.0 - beta.powi(time as i32))
    }
}

pub(super) fn composed<B: Backend>(
    adamw: AdamW,
    parameter: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    moments: Option<Moments<B>>,
) -> (Tensor<B, 1>, Moments<B>) {
    let first = gradient.clone().mul_scalar(1.0 - adamw.beta_1);
    let second = gradient.square().mul_scalar(1.0 - adamw.beta_2);
    let moments = match moments {
        None => Moments { time: 1, first, second },
        Some(old) => Moments {
            time: old.time + 1,
            first: old.first.mul_scalar(adamw.beta_1) + first,
            second: old.second.mul_scalar(adamw.beta_2) + second,
        },
    };
    let [correction_1, correction_2] = adamw.corrections(moments.time);
    let spread = moments.second.clone().div_scalar(correction_2).sqrt().add_scalar(adamw.epsilon);
    let delta = moments.first.clone().div_scalar(correction_1) / spread;
    let decayed = parameter.clone() - parameter.mul_scalar(adamw.rate * adamw.weight_decay);
    (decayed - delta.mul_scalar(adamw.rate), moments)
}
