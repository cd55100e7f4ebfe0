//! Learned DFA: direct feedback that learns what the readout makes of an error,
//!
//! a_l = B_l e,  B_l minimises mean ½‖B_l e − N ∂(mean loss)/∂h_L‖².
//!
//! Behind a linear readout with weight W [d, C] the target is W e, so that B_l comes to W.

use super::{Card, Credit, Entry, Given, Gradients, Known, LocalRule, Rule, Scene, dfa};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::model::{Network, Outline};

/// Direct feedback that learns.
pub struct LearnedDfa;

impl Rule for LearnedDfa {
    const CARD: Card = Card {
        paper: "none: an example",
        equation: "a_l = B_l e, B_l by least squares on the readout's gradient",
        differs: "nothing",
        limits: "knows the readout and nothing of the blocks",
        proof: "the_guides_learned_feedback_comes_to_the_readout",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        dfa::layout(config, outline)
    }
}

impl LocalRule for LearnedDfa {
    const NEEDS_TOP: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        dfa::credit(known.error.clone(), scene.own, known.blocks)
    }

    fn learn<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Gradients<B> {
        let top = known.top.clone().expect("the readout's gradient");
        let error = known.error.clone();
        let n = error.dims()[0] as f64;
        let mut gradients = Gradients::<B>::new();
        for (l, b) in scene.own.layers().enumerate() {
            let residual = error.clone().matmul(b.clone().transpose()) - top.clone().mul_scalar(n);
            let gradient = residual.transpose().matmul(error.clone()).div_scalar(n);
            gradients.insert(format!("feedback.{l}"), gradient.flatten(0, 1));
        }
        gradients
    }
}
