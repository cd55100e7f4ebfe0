//! Muon (Jordan et al. 2024; protocol §11) for the blocks' matrices, [`AdamWRule`] for all else:
//!
//! u ← μ u + (1 − μ) g,  n = (1 − μ) g + μ u (Nesterov),
//! θ ← (1 − η'λ) θ − η' √max(1, out/in) · O(n),
//!
//! O five steps X ← a X + (b A + c A²) X, A = X Xᵀ, (a, b, c) = (3.4445, −4.7750, 2.0315), from
//! X = n/(‖n‖_F + 1e-7), on the side with fewer rows. They bring the singular values near 1, not to
//! it. η' is `muon_learning_rate`, on the schedule of the learning rate.

use super::adamw::{self, AdamWRule};
use super::{Parameter, Slots, UpdateRule};
use crate::backend::Kernels;
use crate::config::Config;
use crate::model::Part;
use burn::tensor::Tensor;

const MOMENTUM: &str = "momentum";
const STEPS: usize = 5;
/// a, b and c.
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// Muon, with AdamW for what is no matrix of a block.
pub(super) struct Muon {
    adamw: AdamWRule,
    momentum: f64,
    weight_decay: f64,
    /// η'/η
    rate: f64,
}

impl Muon {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            adamw: AdamWRule::of(config),
            momentum: config.muon_momentum,
            weight_decay: config.weight_decay,
            rate: config.muon_learning_rate / config.learning_rate,
        }
    }
}

impl<B: Kernels> UpdateRule<B> for Muon {
    fn slots(&self) -> &'static [&'static [&'static str]] {
        &[adamw::SLOTS, &[MOMENTUM]]
    }

    fn update(
        &self,
        rate: f64,
        parameter: &Parameter,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        mut slots: Slots<B>,
    ) -> (Tensor<B, 1>, Slots<B>) {
        let (Part::Block(_), &[inputs, outputs]) = (parameter.part, parameter.shape) else {
            return self.adamw.update(rate, parameter, value, gradient, slots);
        };
        let (rate, mu) = (rate * self.rate, self.momentum);
        let gradient = gradient.mul_scalar(1.0 - mu);
        let momentum = match slots.values.remove(MOMENTUM) {
            Some(before) => before.mul_scalar(mu) + gradient.clone(),
            None => gradient.clone(),
        };
        let along = gradient + momentum.clone().mul_scalar(mu);
        let along = orthogonalised(along.reshape([inputs, outputs])).reshape([inputs * outputs]);
        let scale = (outputs as f64 / inputs as f64).max(1.0).sqrt();
        let value = value.mul_scalar(1.0 - rate * self.weight_decay);
        let slots = Slots { time: slots.time + 1, values: [(MOMENTUM, momentum)].into() };
        (value - along.mul_scalar(rate * scale), slots)
    }
}

/// A matrix with the singular vectors of `x` and singular values near 1.
fn orthogonalised<B: Kernels>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, columns] = x.dims();
    if rows > columns {
        return orthogonalised(x.transpose()).transpose();
    }
    let norm = x.clone().square().sum().sqrt().add_scalar(1e-7);
    let mut x = x / norm.unsqueeze_dim(0);
    let [a, b, c] = QUINTIC;
    for _ in 0..STEPS {
        let square = x.clone().matmul(x.clone().transpose());
        let along = square.clone().mul_scalar(b) + square.clone().matmul(square).mul_scalar(c);
        x = x.clone().mul_scalar(a) + along.matmul(x);
    }
    x
}
