//! Layer-wise feedback alignment (Lillicrap et al. 2016; protocol §11): in the backward pass every
//! affine map y = x W + b above the first is crossed through a fixed random matrix,
//!
//! dx = dy B,  B ∈ R^{out×in} fixed and random,  in the place of dx = dy Wᵀ.
//!
//! Activations, norms and skips keep their exact Jacobians, and ∂W = xᵀ dy is what the dy that
//! arrives makes it. B is drawn with the deviation of W's own initialisation.

use super::{Card, Entry, ExactRule, Given, Own, Rule, Turn};
use crate::config::Config;
use crate::model::Outline;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Layer-wise feedback alignment.
pub struct LayerFa;

impl Rule for LayerFa {
    const CARD: Card = Card {
        paper: "Lillicrap et al. 2016",
        equation: "dx = dy B in the place of dx = dy Wᵀ, for every affine map but the embedding's",
        differs: "skips, norms and activations, which the paper's networks lack, stay exact (as in BioTorch)",
        limits: "under a skip part of the credit is exact, so that a cosine above 0 is no alignment",
        proof: "crossing_maps_through_their_own_transposes_is_backpropagation",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        outline.maps.iter().map(|map| Entry::like(config, map)).collect()
    }
}

impl ExactRule for LayerFa {
    const CROSSES: bool = true;

    fn back<B: Backend>(map: &str, _: Tensor<B, 2>, own: &Own<B>, _: Turn) -> Option<Tensor<B, 2>> {
        own.feedback(map).cloned()
    }
}
