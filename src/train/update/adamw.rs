//! AdamW (Loshchilov & Hutter 2019) with PyTorch's ε and decay:
//!
//! m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,
//! θ ← (1 − ηλ) θ − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).

use super::{Parameter, Slots, UpdateRule};
use crate::backend::{AdamW, Kernels, Moments};
use crate::config::Config;
use burn::tensor::Tensor;

const FIRST: &str = "moment_1";
const SECOND: &str = "moment_2";
pub(super) const SLOTS: &[&str] = &[FIRST, SECOND];

/// AdamW, as the backend does it.
pub(super) struct AdamWRule(AdamW);

impl AdamWRule {
    pub(super) fn of(config: &Config) -> Self {
        Self(AdamW {
            beta_1: config.beta_1 as f32,
            beta_2: config.beta_2 as f32,
            epsilon: config.epsilon as f32,
            weight_decay: f64::from(config.weight_decay as f32),
            rate: 0.0,
        })
    }
}

impl<B: Kernels> UpdateRule<B> for AdamWRule {
    fn slots(&self) -> &'static [&'static [&'static str]] {
        &[SLOTS]
    }

    fn update(
        &self,
        rate: f64,
        _: &Parameter,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        mut slots: Slots<B>,
    ) -> (Tensor<B, 1>, Slots<B>) {
        let moments = match (slots.values.remove(FIRST), slots.values.remove(SECOND)) {
            (Some(first), Some(second)) => Some(Moments { time: slots.time, first, second }),
            _ => None,
        };
        let adamw = AdamW { rate, ..self.0 };
        let (value, Moments { time, first, second }) = B::adamw(adamw, value, gradient, moments);
        (value, Slots { time, values: [(FIRST, first), (SECOND, second)].into() })
    }
}
