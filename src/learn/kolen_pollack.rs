//! Kolen–Pollack learning (Kolen & Pollack 1994; Akrout et al. 2019; protocol §11): layer-wise
//! feedback whose matrices learn,
//!
//! dx = dy Bᵀ,  ΔB = ΔW,  both with the same decay λ,  B and W in the layout [in, out].
//!
//! B is given W's own gradient under the same update rule, whose state it shares from the first
//! step, so that W − B shrinks by the factor 1 − ηλ a step, whatever is learned: feedback comes to
//! be the transpose. Under `sgd` with momentum the decay goes through the momentum, as PyTorch's
//! does, and the factor holds without momentum alone.

use super::{Card, Entry, ExactRule, Given, Gradients, Own, Rule, Turn};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::model::{Outline, Part};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Kolen–Pollack learning.
pub struct KolenPollack;

impl Rule for KolenPollack {
    const CARD: Card = Card {
        paper: "Kolen & Pollack 1994; Akrout et al. 2019",
        equation: "dx = dy B, ΔB = ΔWᵀ, both with the same decay",
        differs: "the increments are those of the run's update rule, not of plain descent",
        limits: "learns the transpose by sharing increments: a control, not a local rule",
        proof: "kolen_pollack_brings_feedback_to_the_weights_by_one_factor",
        given: Given::Approached,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        let entry = |map| {
            let entry = Entry::like(config, map);
            Entry { part: Part::of(&map.name), ..entry }
        };
        outline.maps.iter().map(entry).collect()
    }
}

impl ExactRule for KolenPollack {
    const CROSSES: bool = true;

    fn back<B: Backend>(map: &str, _: Tensor<B, 2>, own: &Own<B>, _: Turn) -> Option<Tensor<B, 2>> {
        own.feedback(map).cloned()
    }

    fn learn<B: Differentiable>(network: &Gradients<B>) -> Gradients<B> {
        let of_feedback = |(name, gradient): (&String, &Tensor<B::InnerBackend, 1>)| {
            let map = name.strip_suffix(".weight")?;
            Some((format!("feedback.{map}"), gradient.clone()))
        };
        network.iter().filter_map(of_feedback).collect()
    }
}
