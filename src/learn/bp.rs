//! Backpropagation (Rumelhart, Hinton & Williams 1986):
//!
//! a_l = g_l = ∂L/∂h_l = (∂h_{l+1}/∂h_l)ᵀ g_{l+1}.
//!
//! The forward pass is not cut, and one backward pass gives every parameter its exact gradient. Its
//! credit is the reference gradient itself, so that its cosine is 1 by construction: a check of the
//! probe, not a finding.

use super::{Card, Entry, ExactRule, Given, Rule};
use crate::config::Config;
use crate::model::Outline;

/// Backpropagation.
pub struct Bp;

impl Rule for Bp {
    const CARD: Card = Card {
        paper: "Rumelhart, Hinton & Williams 1986",
        equation: "a_l = (∂h_{l+1}/∂h_l)ᵀ a_{l+1}",
        differs: "nothing",
        limits: "the reference itself: its cosine is 1 by construction",
        proof: "a_step_of_every_rule_on_the_resmlp_is_pytorchs",
        given: Given::Everywhere,
    };

    fn layout(_: &Config, _: &Outline) -> Vec<Entry> {
        Vec::new()
    }
}

impl ExactRule for Bp {}
