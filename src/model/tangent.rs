//! Forward derivatives of the maps that networks are made of: of a map y = f(x) the pair f(x), f'(x) dx, each
//! [n, d] of x and dx [n, d].

use super::layer_norm::LayerNorm;
use super::linear::Linear;
use crate::backend::{Kernels, LAYER_NORM_EPSILON};
use burn::tensor::Tensor;

/// x W + b; its derivative dx W has no bias.
pub(super) fn linear<B: Kernels>(map: &Linear<B>, [x, dx]: [Tensor<B, 2>; 2]) -> [Tensor<B, 2>; 2] {
    let (weight, bias) = (map.weight.val(), map.bias.val());
    [x.matmul(weight.clone()) + bias.unsqueeze(), dx.matmul(weight)]
}

/// With z = (x − mean)/s, s = √(var + ε): y = z γ + β, dy = (dx − mean dx − z · mean(z dx))/s · γ.
pub(super) fn layer_norm<B: Kernels>(
    norm: &LayerNorm<B>,
    [x, dx]: [Tensor<B, 2>; 2],
) -> [Tensor<B, 2>; 2] {
    let (gamma, beta) = (norm.gamma.val().unsqueeze::<2>(), norm.beta.val().unsqueeze::<2>());
    let centred = x.clone() - x.mean_dim(1);
    let scale = centred.clone().square().mean_dim(1).add_scalar(LAYER_NORM_EPSILON).sqrt();
    let z = centred / scale.clone();
    let turned = dx.clone() - dx.clone().mean_dim(1) - z.clone() * (z.clone() * dx).mean_dim(1);
    [z * gamma.clone() + beta, turned / scale * gamma]
}

/// x Φ(x); its derivative Φ(x) + x φ(x).
pub(super) fn gelu<B: Kernels>([x, dx]: [Tensor<B, 2>; 2]) -> [Tensor<B, 2>; 2] {
    let below = x.clone().div_scalar(2f64.sqrt()).erf().add_scalar(1.0).div_scalar(2.0);
    let density =
        x.clone().square().div_scalar(-2.0).exp().div_scalar((2.0 * std::f64::consts::PI).sqrt());
    let slope = below.clone() + x.clone() * density;
    [x * below, dx * slope]
}
