//! Gradient descent with momentum, as PyTorch's SGD without dampening:
//!
//! u ← μ u + (g + λ θ),  θ ← θ − η u;  u starts as the first g + λ θ.

use super::{Parameter, Slots, UpdateRule};
use crate::backend::Kernels;
use crate::config::Config;
use burn::tensor::Tensor;

const MOMENTUM: &str = "momentum";

/// Gradient descent.
pub(super) struct Sgd {
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    pub(super) fn of(config: &Config) -> Self {
        Self { momentum: config.momentum, weight_decay: config.weight_decay }
    }
}

impl<B: Kernels> UpdateRule<B> for Sgd {
    fn slots(&self) -> &'static [&'static [&'static str]] {
        if self.momentum == 0.0 { &[&[]] } else { &[&[MOMENTUM]] }
    }

    fn update(
        &self,
        rate: f64,
        _: &Parameter,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        mut slots: Slots<B>,
    ) -> (Tensor<B, 1>, Slots<B>) {
        let along = gradient + value.clone().mul_scalar(self.weight_decay);
        let along = match slots.values.remove(MOMENTUM) {
            Some(before) => before.mul_scalar(self.momentum) + along,
            None => along,
        };
        let kept = (self.momentum != 0.0).then(|| (MOMENTUM, along.clone()));
        let slots = Slots { time: slots.time + 1, values: kept.into_iter().collect() };
        (value - along.mul_scalar(rate), slots)
    }
}
