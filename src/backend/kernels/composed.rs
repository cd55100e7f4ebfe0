//! The defaults of [`Kernels`], composed of Burn's own operations in whatever precision the tensors
//! have. The equations stand there.

use super::{Affine, Kernels, LAYER_NORM_EPSILON, NormGradients, ScaleShift};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

pub(super) fn affine<B: Kernels>(x: Tensor<B, 2>, map: Affine<B>) -> Tensor<B, 2> {
    x.matmul(map.weight) + map.bias.unsqueeze_dim(0)
}

pub(super) fn affine_backward_x<B: Kernels>(
    weight: Tensor<B, 2>,
    dy: Tensor<B, 2>,
) -> Tensor<B, 2> {
    dy.matmul(weight.transpose())
}

pub(super) fn affine_backward_weight<B: Kernels>(
    x: Tensor<B, 2>,
    dy: Tensor<B, 2>,
) -> Tensor<B, 2> {
    x.transpose().matmul(dy)
}

pub(super) fn sum_rows<B: Kernels>(dy: Tensor<B, 2>) -> Tensor<B, 1> {
    dy.sum_dim(0).squeeze_dim(0)
}

pub(super) fn exact_gelu<B: Kernels>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    x.clone() * normal_cdf(x)
}

pub(super) fn exact_gelu_backward<B: Kernels>(x: Tensor<B, 2>, dy: Tensor<B, 2>) -> Tensor<B, 2> {
    let density = x.clone().square().mul_scalar(-0.5).exp();
    let density = density.mul_scalar(1.0 / (2.0 * PI).sqrt());
    dy * (normal_cdf(x.clone()) + x * density)
}

pub(super) fn layer_norm_rows<B: Kernels>(x: Tensor<B, 2>, norm: ScaleShift<B>) -> Tensor<B, 2> {
    let (normed, _) = standardise(x);
    normed * norm.gamma.unsqueeze_dim(0) + norm.beta.unsqueeze_dim(0)
}

pub(super) fn layer_norm_rows_backward<B: Kernels>(
    x: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    dy: Tensor<B, 2>,
    wants_x: bool,
) -> NormGradients<B> {
    let (normed, inverse) = standardise(x);
    let gradient = NormGradients {
        x: None,
        gamma: B::sum_rows(dy.clone() * normed.clone()),
        beta: B::sum_rows(dy.clone()),
    };
    let x = wants_x.then(|| {
        let g = dy * gamma.unsqueeze_dim(0);
        let along = (g.clone() * normed.clone()).mean_dim(1);
        (g.clone() - g.mean_dim(1) - normed * along) * inverse
    });
    NormGradients { x, ..gradient }
}

pub(super) fn behind_scale_shift<B: Kernels>(
    norm: ScaleShift<B>,
    weight: Tensor<B, 2>,
    g: Tensor<B, 2>,
    dbias: Tensor<B, 1>,
) -> (NormGradients<B>, Tensor<B, 2>) {
    let [d, _] = weight.dims();
    let gamma = (weight.clone() * g.clone()).sum_dim(1).reshape([d]);
    let beta = weight.matmul(dbias.clone().unsqueeze_dim(1)).reshape([d]);
    let shifted = norm.beta.unsqueeze_dim::<2>(1) * dbias.unsqueeze_dim(0);
    let weight = g * norm.gamma.unsqueeze_dim(1) + shifted;
    (NormGradients { x: None, gamma, beta }, weight)
}

pub(super) fn inner_product<B: Kernels>(
    x: Tensor<B, 2>,
    credit: Tensor<B, 2>,
    scale: f64,
) -> Tensor<B, 1> {
    let ([rows, d], [n, _]) = (x.dims(), credit.dims());
    (x.reshape([n, rows / n, d]) * credit.unsqueeze_dim(1)).sum().mul_scalar(scale)
}

pub(super) fn inner_product_backward<B: Kernels>(
    credit: Tensor<B, 2>,
    tokens: usize,
    g: Tensor<B, 1>,
    scale: f64,
) -> Tensor<B, 2> {
    let [n, d] = credit.dims();
    let each = credit * g.mul_scalar(scale).unsqueeze_dim(0);
    each.unsqueeze_dim::<3>(1).expand([n, tokens, d]).reshape([n * tokens, d])
}

pub(super) fn rms_scaled<B: Kernels>(
    x: Tensor<B, 2>,
    by: Tensor<B, 2>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let rms = by.square().mean_dim(1).sqrt();
    x / rms.add_scalar(epsilon)
}

pub(super) fn merge_heads<B: Kernels>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n, heads, tokens, k] = x.dims();
    x.swap_dims(1, 2).reshape([n * tokens, heads * k])
}

pub(super) fn scaled_softmax<B: Kernels>(x: Tensor<B, 2>, scale: f64) -> Tensor<B, 2> {
    burn::tensor::activation::softmax(x.mul_scalar(scale), 1)
}

pub(super) fn scaled_softmax_backward<B: Kernels>(
    y: Tensor<B, 2>,
    dy: Tensor<B, 2>,
    scale: f64,
) -> Tensor<B, 2> {
    let along = (y.clone() * dy.clone()).sum_dim(1);
    (y * (dy - along)).mul_scalar(scale)
}

/// Φ(x) = (1 + erf(x/√2))/2.
fn normal_cdf<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    x.mul_scalar(FRAC_1_SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5)
}

/// The rows with mean 0 and variance 1, and 1/√(var + ε) of each.
fn standardise<B: Backend>(x: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    let inverse = variance.add_scalar(LAYER_NORM_EPSILON).sqrt().recip();
    (centred * inverse.clone(), inverse)
}
