//! Block-wise feedback alignment (after Lillicrap et al. 2016; protocol §2.2):
//!
//! a_{L−1} = ∂(mean CE)/∂h_L, exact, through the readout alone,
//! a_l = B_l a_{l+1},  B_l ∈ R^{d×d} fixed and random,  l = L−2 … 0.
//!
//! Credit passes from block to block without an identity path and without the blocks' Jacobians:
//! the layer-wise form (`layer-fa`) keeps those, and its deep cosines are not comparable. The
//! gradient is that of the batch mean, so a_l carries a factor 1/N: with the ε of the RMS
//! normalisation this is what keeps FA bounded as ‖h_L‖ grows.
//!
//! `embed_signal = mapped` gives the embedding B_e a_0. With B_l and B_e the transposed Jacobians
//! of blocks l+1 and 0, that rule is backpropagation; with a_0 itself the embedding would learn
//! from the credit one block above it.

use super::own::EMBED;
use super::{Card, Credit, Entry, Given, Known, LocalRule, Own, Rule, Scene};
use crate::backend::Differentiable;
use crate::config::{Config, EmbedSignal};
use crate::model::{Network, Outline};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Block-wise feedback alignment.
pub struct Fa;

impl Rule for Fa {
    const CARD: Card = Card {
        paper: "after Lillicrap et al. 2016; arXiv:2606.21126",
        equation: "a_{L−1} = ∂(mean loss)/∂h_L, a_l = B_l a_{l+1}",
        differs: "maps from block to block, past the blocks' Jacobians and without an identity path",
        limits: "its deep cosines are not those of layer-wise FA; the last block's is near 1",
        proof: "fa_with_the_transposed_weights_is_backpropagation_to_the_bit",
        given: Given::Top,
    };

    /// B_0 … B_{L−2}, and B_e where the embedding has a map of its own.
    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        // a_l belongs to h_{l+1}: block l is trained by what reaches its output.
        let widths: Vec<usize> = outline.widths().collect();
        let blocks = outline.blocks.len();
        let shapes = (1..blocks).map(|l| [widths[l], widths[l + 1]]);
        let embed = || Entry::feedback(config, EMBED, [widths[0], widths[blocks.min(1)]]);
        let mapped = (config.embed_signal == EmbedSignal::Mapped).then(embed);
        Entry::feedbacks(config, shapes).chain(mapped).collect()
    }
}

impl LocalRule for Fa {
    const NEEDS_TOP: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        credit(known.top.clone().expect("fa is given the readout's gradient"), scene.own)
    }
}

/// a_0 … a_L [N, d] of the readout's gradient at h_L [N, d]; a_L is that gradient again.
pub fn credit<B: Backend>(top: Tensor<B, 2>, own: &Own<B>) -> Credit<B> {
    let mut layers = vec![top.clone(), top];
    let feedback: Vec<_> = own.layers().collect();
    for b in feedback.into_iter().rev() {
        let above = layers[layers.len() - 1].clone();
        layers.push(above.matmul(b.clone().transpose()));
    }
    layers.reverse();
    let embed = own.embed().map(|b| layers[0].clone().matmul(b.clone().transpose()));
    Credit { layers, embed }
}
