//! GELU(x) = x · Φ(x) = x/2 · (1 + erf(x/√2)) (Hendrycks & Gimpel 2016), composed of primitive
//! operations. Burn 0.21's own `gelu` has the exact value on every backend, but on two of them the
//! derivative of the tanh approximation: an audit against the true gradient cannot use it.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::f64::consts::FRAC_1_SQRT_2;

/// The exact GELU, whose gradient is its derivative on every backend.
pub fn gelu<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let phi = x.clone().mul_scalar(FRAC_1_SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5);
    x * phi
}
