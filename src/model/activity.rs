//! What follows a map in a plain network: a norm, where one is wanted, and an activation.

use super::init::{Draw, Init};
use super::pass::Buffer;
use super::{BatchNorm, LayerNorm, Pass, Size, batch_norm};
use crate::backend::{Kernels, LAYER_NORM_EPSILON};
use crate::config::{Activation, ActivityNorm, Config};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, activation};

/// What normalises the hidden activity, between map and activation.
#[derive(Module, Debug)]
pub enum Norm<B: Backend> {
    Layer(LayerNorm<B>),
    Rms(RmsNorm<B>),
    Batch(BatchNorm<B>),
}

/// x/√(mean x² + ε) · γ over the features of each row (Zhang & Sennrich 2019).
#[derive(Module, Debug)]
pub struct RmsNorm<B: Backend> {
    gamma: Param<Tensor<B, 1>>,
}

impl<B: Kernels> Norm<B> {
    /// The one that `config` asks for, called `name`, over d features.
    pub(super) fn of(init: &mut Init<B>, config: &Config, name: &str, d: usize) -> Option<Self> {
        match config.activity_norm {
            ActivityNorm::None => None,
            ActivityNorm::Layer => Some(Self::Layer(init.layer_norm(d))),
            ActivityNorm::Rms => {
                let gamma = init.param("gamma", [d], Draw::Constant(1.0));
                Some(Self::Rms(RmsNorm { gamma }))
            }
            ActivityNorm::Batch => {
                Some(Self::Batch(BatchNorm::new(init, name, d, config.norm_affine)))
            }
        }
    }

    /// [n, d] of [n, d].
    pub(super) fn forward(&self, x: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
            Self::Batch(norm) => norm.forward(x, pass),
        }
    }
}

impl<B: Backend> RmsNorm<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let square = x.clone().square().mean_dim(1).add_scalar(LAYER_NORM_EPSILON);
        x / square.sqrt() * self.gamma.val().unsqueeze_dim(0)
    }
}

/// Its size over d features.
pub(super) fn size(config: &Config, d: usize) -> Size {
    match config.activity_norm {
        ActivityNorm::None => Size::NONE,
        ActivityNorm::Layer => Size::norm(d),
        ActivityNorm::Rms => Size { parameters: d as u64, multiply_adds: 0 },
        ActivityNorm::Batch if config.norm_affine => Size::norm(d),
        ActivityNorm::Batch => Size::NONE,
    }
}

/// The buffers of the norm `name` over d features.
pub(super) fn buffers(config: &Config, name: &str, d: usize) -> Vec<Buffer> {
    match config.activity_norm {
        ActivityNorm::None | ActivityNorm::Layer | ActivityNorm::Rms => Vec::new(),
        ActivityNorm::Batch => batch_norm::buffers(name, d),
    }
}

/// φ(x)
pub(super) fn active<B: Kernels>(activation: Activation, x: Tensor<B, 2>) -> Tensor<B, 2> {
    match activation {
        Activation::Relu => activation::relu(x),
        Activation::Tanh => x.tanh(),
        Activation::Gelu => B::exact_gelu(x),
    }
}
