//! The identity card of a rule: what it is, where it differs from its paper, and what proves it.

use serde::Serialize;

/// How a rule makes gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// One backward pass over the whole network, in which a map may be crossed through another
    /// matrix than its own transpose.
    Exact,
    /// A forward pass that is cut at every block; each block is trained by a credit of its own.
    Local,
    /// The difference of two relaxed states.
    TwoPhase,
}

impl Family {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Local => "local",
            Self::TwoPhase => "two-phase",
        }
    }
}

/// At which of the layers 0 … L a rule is handed the reference gradient itself, so that a cosine of 1
/// there is neither a finding nor a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Given {
    Nowhere,
    /// At h_L, and so nearly at h_{L−1} under a skip.
    Top,
    Everywhere,
    /// Nowhere; but what it learns, or the relaxation that it runs, may bring its credit there, at every
    /// layer.
    Approached,
}

/// What a rule's file says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    pub paper: &'static str,
    pub equation: &'static str,
    /// What differs from the paper, and why.
    pub differs: &'static str,
    pub limits: &'static str,
    /// The test that proves it.
    pub proof: &'static str,
    pub given: Given,
}
