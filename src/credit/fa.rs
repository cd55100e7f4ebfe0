//! Block-wise feedback alignment (after Lillicrap et al. 2016; protocol §2.2):
//!
//! a_{L−1} = ∂(mean CE)/∂h_L, exact, through the readout alone,
//! a_l = B_l a_{l+1},  B_l ∈ R^{d×d} fixed and random,  l = L−2 … 0.
//!
//! Credit passes from block to block without an identity path and without the blocks' Jacobians:
//! the layer-wise form (BioTorch) keeps those, and its deep cosines are not comparable. The
//! gradient is that of the batch mean, so a_l carries a factor 1/N: with the ε of the RMS
//! normalisation this is what keeps FA bounded as ‖h_L‖ grows.
//!
//! `embed_signal = mapped` gives the embedding B_e a_0. With B_l and B_e the transposed Jacobians
//! of blocks l+1 and 0, that rule is backpropagation; with a_0 itself the embedding would learn
//! from the credit one block above it.

use super::feedback::{Shape, embed, layers};
use super::{Credit, CreditRule, Feedback, Known};
use crate::config::{Config, EmbedSignal};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Block-wise feedback alignment.
pub struct Fa;

impl CreditRule for Fa {
    const NEEDS_TOP: bool = true;

    /// B_0 … B_{L−2}, and B_e where the embedding has a map of its own.
    fn layout(config: &Config, _: usize) -> Vec<Shape> {
        let shape = [config.width, config.width];
        let mapped = (config.embed_signal == EmbedSignal::Mapped).then(|| embed(shape));
        layers(config.blocks().saturating_sub(1), shape).chain(mapped).collect()
    }

    fn credit<B: Backend>(known: &Known<B>, feedback: &Feedback<B>) -> Credit<B> {
        credit(known.top.clone().expect("fa is given the readout's gradient"), feedback)
    }
}

/// a_0 … a_L [N, d] of the readout's gradient at h_L [N, d]; a_L is that gradient again.
pub fn credit<B: Backend>(top: Tensor<B, 2>, feedback: &Feedback<B>) -> Credit<B> {
    let mut layers = vec![top.clone(), top];
    for b in feedback.layers().rev() {
        let above = layers[layers.len() - 1].clone();
        layers.push(above.matmul(b.clone().transpose()));
    }
    layers.reverse();
    let embed = feedback.embed().map(|b| layers[0].clone().matmul(b.clone().transpose()));
    Credit { layers, embed }
}
