//! Direct feedback alignment (Nøkland 2016; protocol §2.1):
//!
//! a_l = B_l e,  B_l ∈ R^{d×C} fixed and random,  e = softmax(logits) − onehot(y),
//!
//! the error not divided by the batch size. A measurement at h_L uses B_{L−1} again.

use super::feedback::{Shape, layers};
use super::{Credit, CreditRule, Feedback, Known};
use crate::config::Config;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Direct feedback alignment.
pub struct Dfa;

impl CreditRule for Dfa {
    const DIRECT: bool = true;

    /// B_0 … B_{L−1}; a network without blocks has one, for its only hidden state.
    fn layout(config: &Config, classes: usize) -> Vec<Shape> {
        layers(config.blocks().max(1), [config.width, classes]).collect()
    }

    fn credit<B: Backend>(known: &Known<B>, feedback: &Feedback<B>) -> Credit<B> {
        credit(known.error.clone(), feedback)
    }
}

/// a_0 … a_L [N, d] of the error e [N, C].
pub fn credit<B: Backend>(error: Tensor<B, 2>, feedback: &Feedback<B>) -> Credit<B> {
    let mut layers: Vec<_> =
        feedback.layers().map(|b| error.clone().matmul(b.clone().transpose())).collect();
    // A network without blocks has one matrix, for its only hidden state.
    if feedback.blocks() > 0 {
        layers.extend(layers.last().cloned());
    }
    Credit { layers, embed: None }
}
