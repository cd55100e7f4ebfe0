//! The stages of the residual networks, w = `width`.

use crate::config::{Arch, Config};

/// Blocks of one number of features, of which the first strides.
pub(super) struct Stage {
    pub features: usize,
    pub blocks: usize,
    pub stride: usize,
}

/// The stages of the network of `config`; the stem has w features.
///
/// # Panics
/// If that network is none of them.
pub(super) fn stages(config: &Config) -> Vec<Stage> {
    let w = config.width;
    let blocks = match config.arch {
        // Of the audited paper's only BatchNorm, residual form and no LayerNorm are known (protocol §3.3).
        Arch::SmallResNet => vec![1; 3],
        // He et al. 2016, on CIFAR-10: 6 n + 2 layers, n = 3 and 9.
        Arch::ResNet20 => vec![3; 3],
        Arch::ResNet56 => vec![9; 3],
        // Of the same paper's network for ImageNet, with a stem of 3 × 3 that neither strides nor pools.
        Arch::ResNet18 => vec![2; 4],
        other => unreachable!("{other} is no residual network of feature maps"),
    };
    let stage =
        |(k, blocks)| Stage { features: w << k, blocks, stride: if k == 0 { 1 } else { 2 } };
    blocks.into_iter().enumerate().map(stage).collect()
}
