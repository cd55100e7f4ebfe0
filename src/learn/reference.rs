//! The gradient of the mean loss at every hidden state.
//!
//! A leaf of zeros is added to every hidden state: what reaches it in one backward pass is exactly
//! ∂L/∂h_l. The forward pass is not cut, whatever rule trained the network.

use crate::backend::{Differentiable, differentiating};
use crate::config::Objective;
use crate::model::{Network, Pass, Target};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// One forward pass and the gradient at every hidden state.
pub struct Reference<B: Backend> {
    /// h_0 … h_L, each [N, T, d].
    pub hidden: Vec<Tensor<B, 3>>,
    /// ∂(mean loss)/∂h_l, each [N, T, d]: true where the pass crosses maps through their own
    /// transposes, else what reaches h_l instead.
    pub gradient: Vec<Tensor<B, 3>>,
    /// [N, classes]
    pub outputs: Tensor<B, 2>,
}

/// Runs `net` forward, uncut, and the mean loss back to every hidden state.
pub fn forward_and_back<B: Differentiable, N: Network<B>>(
    net: &N,
    mut pass: Pass<B>,
    objective: Objective,
    images: Tensor<B, 2>,
    target: impl Into<Target<B>>,
) -> Reference<B::InnerBackend> {
    let _turn = differentiating();
    let pass = &mut pass;
    let mut leaves = Vec::with_capacity(net.blocks() + 1);
    let mut hidden = Vec::with_capacity(net.blocks() + 1);
    let mut tap = |h: Tensor<B, 3>| {
        let leaf = h.zeros_like().require_grad();
        let h = h + leaf.clone();
        leaves.push(leaf);
        hidden.push(h.clone().inner());
        h
    };
    let mut h = tap(net.embed(images, pass));
    for l in 0..net.blocks() {
        let branch = net.branch(l, h.clone(), pass);
        h = tap(net.advance(l, h, branch, pass));
    }
    let outputs = net.readout(h, pass);
    let gradients = objective.mean_loss(outputs.clone(), target).backward();
    let gradient = leaves
        .iter()
        .map(|leaf| leaf.grad(&gradients).unwrap_or_else(|| leaf.clone().inner()))
        .collect();
    Reference { hidden, gradient, outputs: outputs.inner() }
}
