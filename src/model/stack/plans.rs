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
        Arch::AlexNet => alexnet(config.width),
        Arch::Vgg16 => vgg_16(config.width),
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

/// AlexNet (Krizhevsky et al. 2012) in the form for CIFAR that has one affine map behind its five convolutions,
/// w 64 in the usual one (2,472,266 parameters for ten classes): 11 × 11 by 4, then 5 × 5, then three of 3 × 3,
/// pooled by 2 behind the first, second and last.
fn alexnet(w: usize) -> Vec<Layer> {
    let map = |features, kernel, pool| Layer::Map {
        features,
        kernel,
        stride: 1,
        padding: kernel / 2,
        pool,
    };
    let first = Layer::Map { features: w, kernel: 11, stride: 4, padding: 5, pool: 2 };
    vec![first, map(3 * w, 5, 2), map(6 * w, 3, 1), map(4 * w, 3, 1), map(4 * w, 3, 2)]
}

/// VGG-16 (Simonyan & Zisserman 2015, configuration D) in the form for CIFAR that has one affine map behind its
/// thirteen convolutions, w 64 in the usual one (14,728,266 parameters with BatchNorm, for ten classes).
fn vgg_16(w: usize) -> Vec<Layer> {
    let stage = |(features, maps): (usize, usize)| {
        (1..=maps).map(move |k| Layer::same(features, if k == maps { 2 } else { 1 }))
    };
    [(w, 2), (2 * w, 2), (4 * w, 3), (8 * w, 3), (8 * w, 3)].into_iter().flat_map(stage).collect()
}
