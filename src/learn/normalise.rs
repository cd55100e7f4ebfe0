//! Scaling a credit before it trains (protocol §2): ã = a / (RMS(a) + ε), the RMS over the d
//! features of each sample. Without it DFA on random targets does not explode, and the published
//! numbers are not reached.

use crate::backend::Kernels;
use crate::config::{Config, Normalise};
use burn::tensor::Tensor;

/// How credits are scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normaliser {
    Rms { epsilon: f64 },
    None,
}

impl Normaliser {
    /// The scaling that `config` asks for.
    pub fn of(config: &Config) -> Self {
        match config.normalise {
            Normalise::Rms => Self::Rms { epsilon: config.rms_epsilon },
            Normalise::None => Self::None,
        }
    }

    /// ã [N, d] of a [N, d].
    pub fn apply<B: Kernels>(&self, credit: Tensor<B, 2>) -> Tensor<B, 2> {
        self.scale(credit.clone(), credit)
    }

    /// The rows of x [N, _] scaled as those of a [N, d] are: with a = x Bᵀ this gives ã = x̃ Bᵀ.
    pub fn scale<B: Kernels>(&self, x: Tensor<B, 2>, credit: Tensor<B, 2>) -> Tensor<B, 2> {
        match *self {
            Self::None => x,
            Self::Rms { epsilon } => B::rms_scaled(x, credit, epsilon),
        }
    }
}
