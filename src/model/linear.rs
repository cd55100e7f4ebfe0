//! An affine map of rows: x W + b.

use super::Pass;
use crate::backend::{Affine, Kernels};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// weight [in, out], bias [out].
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    pub weight: Param<Tensor<B, 2>>,
    pub bias: Param<Tensor<B, 1>>,
    /// Its parameters' names begin with it: `blocks.0.linear1`.
    pub name: String,
}

impl<B: Kernels> Linear<B> {
    /// [n, out] of [n, in].
    pub fn forward(&self, x: Tensor<B, 2>, pass: &Pass<B>) -> Tensor<B, 2> {
        B::affine(x, self.affine(pass))
    }

    pub(super) fn affine(&self, pass: &Pass<B>) -> Affine<B> {
        Affine {
            weight: self.weight.val(),
            bias: self.bias.val(),
            back: pass.back.back(&self.name),
        }
    }
}
