//! Error-sign DFA (sDFA; Frenkel, Lefebvre & Bol 2021):
//!
//! a_l = B_l sign(e),  B_l ∈ R^{d×C} fixed and random,  e = softmax(logits) − onehot(y).

use super::feedback::{Shape, layers};
use super::{Credit, CreditRule, Feedback, Known, dfa};
use crate::config::Config;
use burn::tensor::backend::Backend;

/// Error-sign direct feedback alignment.
pub struct Sdfa;

impl CreditRule for Sdfa {
    /// B_0 … B_{L−1}; a network without blocks has one, for its only hidden state.
    fn layout(config: &Config, classes: usize) -> Vec<Shape> {
        layers(config.blocks().max(1), [config.width, classes]).collect()
    }

    fn credit<B: Backend>(known: &Known<B>, feedback: &Feedback<B>) -> Credit<B> {
        dfa::credit(known.error.clone().sign(), feedback)
    }
}
