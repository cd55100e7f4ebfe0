//! Direct random target projection (Frenkel, Lefebvre & Bol 2021; protocol §11):
//!
//! a_l = −B_l onehot(y),  B_l ∈ R^{d×C} fixed and random.
//!
//! The sign is that of the error e = softmax(logits) − onehot(y) at its label, which it stands for:
//! descent moves f_l against a_l. No credit depends on what the network puts out.

use super::{Card, Credit, Entry, Given, Known, LocalRule, Rule, Scene, dfa};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::model::{Network, Outline};

/// Direct random target projection.
pub struct Drtp;

impl Rule for Drtp {
    const CARD: Card = Card {
        paper: "Frenkel, Lefebvre & Bol 2021",
        equation: "a_l = −B_l onehot(y)",
        differs: "blocks and not single layers are given credit, scaled to an RMS of 1",
        limits: "does not end, whatever is learned: unbounded hidden states grow along the mean of all targets",
        proof: "drtp_is_dfa_of_outputs_that_give_no_class_a_chance",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        dfa::layout(config, outline)
    }
}

impl LocalRule for Drtp {
    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        let target = known.target.as_outputs(&known.error);
        dfa::credit(target.neg(), &dfa::whole(scene), known.blocks)
    }
}
