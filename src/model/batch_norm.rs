//! BatchNorm (Ioffe & Szegedy 2015) over the rows of a matrix: with a batch's own statistics while it
//! trains, with running ones otherwise. As in PyTorch the running ones begin as mean 0 and variance 1
//! and move by the momentum 0.1, the variance unbiased; a batch of one row moves it by 0.

use super::init::{Draw, Init};
use super::pass::Buffer;
use super::{Mode, Pass};
use crate::backend::{Kernels, ScaleShift, Statistics, float_tensor};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

const MOMENTUM: f64 = 0.1;

/// Scale γ and shift β, each [d], where they are wanted.
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    gamma: Option<Param<Tensor<B, 1>>>,
    beta: Option<Param<Tensor<B, 1>>>,
    /// Its buffers' names begin with it: `blocks.0.norm`.
    name: String,
}

fn buffer_names(name: &str) -> [String; 2] {
    ["running_mean", "running_var"].map(|of| format!("{name}.{of}"))
}

/// Those of the norm `name` over d features.
pub(super) fn buffers(name: &str, d: usize) -> Vec<Buffer> {
    let [mean, variance] = buffer_names(name);
    vec![
        Buffer { name: mean, length: d, initial: 0.0 },
        Buffer { name: variance, length: d, initial: 1.0 },
    ]
}

impl<B: Kernels> BatchNorm<B> {
    /// Over d features; γ = 1 and β = 0, trained where it is `affine`.
    pub(super) fn new(init: &mut Init<B>, name: &str, d: usize, affine: bool) -> Self {
        let mut param =
            |of: &str, value| affine.then(|| init.param(of, [d], Draw::Constant(value)));
        Self { gamma: param("gamma", 1.0), beta: param("beta", 0.0), name: name.into() }
    }

    /// [n, d] of [n, d].
    ///
    /// # Panics
    /// If the pass has no running statistics of this norm.
    pub fn forward(&self, x: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        let [n, d] = x.dims();
        let device = x.device();
        let or = |param: &Option<Param<Tensor<B, 1>>>, value: f64| match param {
            Some(param) => param.val(),
            None => float_tensor(TensorData::new(vec![value; d], [d]), &device),
        };
        let norm = ScaleShift { gamma: or(&self.gamma, 1.0), beta: or(&self.beta, 0.0) };
        let [mean, variance] = buffer_names(&self.name);
        let running = Statistics {
            mean: pass.buffers[&mean].clone(),
            variance: pass.buffers[&variance].clone(),
        };
        if pass.mode == Mode::Eval {
            return B::batch_norm(x, norm, Some(running)).0;
        }
        let (y, of_batch) = B::batch_norm(x, norm, None);
        let unbiased = n as f64 / n.saturating_sub(1).max(1) as f64;
        let next = |old: Tensor<B, 1>, new: Tensor<B, 1>, scale: f64| {
            old.mul_scalar(1.0 - MOMENTUM) + new.mul_scalar(MOMENTUM * scale)
        };
        pass.buffers.insert(mean, next(running.mean, of_batch.mean, 1.0));
        pass.buffers.insert(variance, next(running.variance, of_batch.variance, unbiased));
        y
    }
}
