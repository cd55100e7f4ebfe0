//! Sign-symmetry (Liao, Leibo & Poggio 2016; Moskovitz, Litwin-Kumar & Abbott 2018; protocol §11):
//! every affine map above the first is crossed through a matrix with the signs of its own weights,
//!
//! dx = dy Bᵀ,  B = M ∘ sign(W),
//!
//! - `usf`: M = s everywhere, s the deviation of W's initialisation;
//! - `brsf`: M = |R|, R drawn anew for every batch with the deviation s;
//! - `frsf`: M = |R|, R drawn once.

use super::{Card, Entry, ExactRule, Given, Own, Rule, Turn};
use crate::backend::float_tensor;
use crate::config::Config;
use crate::model::{Draw, Map, Outline, draw_values};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

const PROOF: &str = "crossing_maps_through_their_own_transposes_is_backpropagation";

/// Uniform sign-symmetry.
pub struct Usf;

/// Batch-wise random magnitude sign-symmetry.
pub struct Brsf;

/// Fixed random magnitude sign-symmetry.
pub struct Frsf;

impl Rule for Usf {
    const CARD: Card = Card {
        paper: "Liao, Leibo & Poggio 2016",
        equation: "dx = dy (s sign(W))ᵀ",
        differs: "s is the deviation of W's initialisation; batch manhattan and BatchNorm are left out",
        limits: "a strong positive control: signs carry most of a gradient's direction",
        proof: PROOF,
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        outline.maps.iter().map(|map| scale(config, map)).collect()
    }
}

impl ExactRule for Usf {
    const CROSSES: bool = true;

    fn back<B: Backend>(
        map: &str,
        weight: Tensor<B, 2>,
        own: &Own<B>,
        _: Turn,
    ) -> Option<Tensor<B, 2>> {
        Some(weight.sign() * own.get(&scale_name(map))?.clone())
    }
}

impl Rule for Brsf {
    const CARD: Card = Card {
        paper: "Moskovitz, Litwin-Kumar & Abbott 2018",
        equation: "dx = dy (|R| ∘ sign(W))ᵀ, R anew for every batch",
        differs: "R has the deviation of W's initialisation and is normal",
        limits: "as usf; a measured credit uses a draw of its own, which trained nothing",
        proof: PROOF,
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        Usf::layout(config, outline)
    }
}

impl ExactRule for Brsf {
    const CROSSES: bool = true;

    fn back<B: Backend>(
        map: &str,
        weight: Tensor<B, 2>,
        own: &Own<B>,
        turn: Turn,
    ) -> Option<Tensor<B, 2>> {
        let scale = own.get(&scale_name(map))?.clone();
        let [rows, columns] = weight.dims();
        let Turn { seed, epoch, step } = turn;
        let stream = format!("feedback/{epoch}/{step}/{map}");
        let drawn = draw_values(seed, &stream, rows * columns, Draw::Normal(1.0));
        let drawn = TensorData::new(drawn, [rows, columns]);
        let drawn: Tensor<B, 2> = float_tensor(drawn, &weight.device());
        Some(drawn.abs() * weight.sign() * scale)
    }
}

impl Rule for Frsf {
    const CARD: Card = Card {
        paper: "Moskovitz, Litwin-Kumar & Abbott 2018",
        equation: "dx = dy (|R| ∘ sign(W))ᵀ, R fixed",
        differs: "R has the deviation of W's initialisation",
        limits: "as usf",
        proof: PROOF,
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        outline.maps.iter().map(|map| Entry::like(config, map)).collect()
    }
}

impl ExactRule for Frsf {
    const CROSSES: bool = true;

    fn back<B: Backend>(
        map: &str,
        weight: Tensor<B, 2>,
        own: &Own<B>,
        _: Turn,
    ) -> Option<Tensor<B, 2>> {
        Some(own.feedback(map)?.clone().abs() * weight.sign())
    }
}

fn scale_name(map: &str) -> String {
    format!("scale.{map}")
}

/// s of `map` [1, 1], kept so that a checkpoint tells what trained it.
fn scale(config: &Config, map: &Map) -> Entry {
    let draw = Draw::Constant(config.feedback_scale * map.weight.std());
    Entry::fixed(scale_name(&map.name), [1, 1], draw)
}
