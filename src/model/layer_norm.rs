//! LayerNorm over the features of each row (Ba, Kiros & Hinton 2016), affine, ε = 1e-5.

use super::Pass;
use super::linear::Linear;
use crate::backend::{Kernels, ScaleShift};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Scale γ and shift β, each [d].
#[derive(Module, Debug)]
pub struct LayerNorm<B: Backend> {
    pub gamma: Param<Tensor<B, 1>>,
    pub beta: Param<Tensor<B, 1>>,
}

impl<B: Kernels> LayerNorm<B> {
    /// [n, d] of [n, d].
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        B::layer_norm_rows(x, self.scale_shift())
    }

    /// `linear` of the normalised rows, as one operation.
    pub fn then(&self, linear: &Linear<B>, x: Tensor<B, 2>, pass: &Pass<B>) -> Tensor<B, 2> {
        B::normed_affine(x, self.scale_shift(), linear.affine(pass))
    }

    fn scale_shift(&self) -> ScaleShift<B> {
        ScaleShift { gamma: self.gamma.val(), beta: self.beta.val() }
    }
}
