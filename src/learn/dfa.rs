//! Direct feedback alignment (Nøkland 2016; protocol §2.1):
//!
//! a_l = B_l e,  B_l ∈ R^{d×C} fixed and random,  e = softmax(logits) − onehot(y),
//!
//! the error not divided by the batch size. A measurement at h_L uses B_{L−1} again.

use super::{Card, Credit, Entry, Given, Known, LocalRule, Own, Rule, Scene};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::model::{Network, Outline};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Direct feedback alignment.
pub struct Dfa;

impl Rule for Dfa {
    const CARD: Card = Card {
        paper: "Nøkland 2016",
        equation: "a_l = B_l e",
        differs: "blocks and not single layers are given credit, scaled to an RMS of 1",
        limits: "the credit of a block does not depend on the blocks above it",
        proof: "dfa_with_the_product_of_the_weights_above_is_backpropagation",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        layout(config, outline)
    }
}

impl LocalRule for Dfa {
    const DIRECT: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        credit(known.error.clone(), scene.own, known.blocks)
    }
}

/// B_0 … B_{L−1}; a network without blocks has one, for its only hidden state.
pub fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
    let blocks = outline.blocks.len().max(1);
    let shapes = outline.widths().take(blocks).map(|d| [d, outline.outputs]);
    Entry::feedbacks(config, shapes).collect()
}

/// a_0 … a_L [N, d] of the error e [N, C].
pub fn credit<B: Backend>(error: Tensor<B, 2>, own: &Own<B>, blocks: usize) -> Credit<B> {
    let mut layers: Vec<_> =
        own.layers().map(|b| error.clone().matmul(b.clone().transpose())).collect();
    // A network without blocks has one matrix, for its only hidden state.
    if blocks > 0 {
        layers.extend(layers.last().cloned());
    }
    Credit { layers, embed: None }
}
