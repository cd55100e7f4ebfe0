//! The layers of the networks that are a stack, w = `width`.

use super::Layer;
use crate::config::{Arch, Config};

/// The layers of the network of `config`, the embedding's first.
///
/// # Panics
/// If that network is no stack.
pub(super) fn plan(config: &Config) -> Vec<Layer> {
    match config.arch {
        Arch::SmallCnn => small_cnn(config.width),
        other => unreachable!("{other} is no stack of layers"),
    }
}

/// The small convolutional network (protocol §3.2), w 32 as published: 3 → w → 2w → 4w channels, the last
/// two pooled by 2, then 64 · 4w → 8w. The paper speaks of BatchNorm, the program's text shows none:
/// `activity_norm` is `batch`, behind each convolution, or `none`.
fn small_cnn(w: usize) -> Vec<Layer> {
    let map = Layer::same;
    vec![map(w, 1), map(2 * w, 2), map(4 * w, 2), Layer::Whole { features: 8 * w }]
}
