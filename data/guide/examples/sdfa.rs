//! Error-sign DFA (sDFA; Frenkel, Lefebvre & Bol 2021):
//!
//! a_l = B_l sign(e),  B_l ∈ R^{d×C} fixed and random,  e = softmax(logits) − onehot(y).

use super::{Card, Credit, Entry, Given, Known, LocalRule, Rule, Scene, dfa};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::model::{Network, Outline};

/// Error-sign direct feedback alignment.
pub struct Sdfa;

impl Rule for Sdfa {
    const CARD: Card = Card {
        paper: "Frenkel, Lefebvre & Bol 2021",
        equation: "a_l = B_l sign(e)",
        differs: "blocks and not single layers are given credit, scaled to an RMS of 1",
        limits: "a sample that is classified well has as much credit as any",
        proof: "error_sign_dfa_is_dfa_of_the_errors_sign",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        dfa::layout(config, outline)
    }
}

impl LocalRule for Sdfa {
    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        dfa::credit(known.error.clone().sign(), scene.own, known.blocks)
    }
}
