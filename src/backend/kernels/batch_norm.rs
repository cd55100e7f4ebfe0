//! BatchNorm (Ioffe & Szegedy 2015) over the rows of a matrix: y = (x − mean)/√(var + ε) γ + β, with
//! the statistics of each column.

use super::{BATCH_NORM_EPSILON, Kernels, NormGradients, ScaleShift};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Of each column [d].
#[derive(Clone, Debug)]
pub struct Statistics<B: Backend> {
    pub mean: Tensor<B, 1>,
    /// Divided by the number of rows.
    pub variance: Tensor<B, 1>,
}

pub(super) fn statistics<B: Backend>(x: Tensor<B, 2>) -> Statistics<B> {
    let mean = x.clone().mean_dim(0);
    let variance = (x - mean.clone()).square().mean_dim(0);
    Statistics { mean: mean.squeeze_dim(0), variance: variance.squeeze_dim(0) }
}

pub(super) fn normalised<B: Backend>(
    x: Tensor<B, 2>,
    statistics: Statistics<B>,
    norm: ScaleShift<B>,
) -> Tensor<B, 2> {
    let (normed, _) = standardise(x, statistics);
    normed * norm.gamma.unsqueeze_dim(0) + norm.beta.unsqueeze_dim(0)
}

pub(super) fn backward<B: Kernels>(
    x: Tensor<B, 2>,
    statistics: Statistics<B>,
    gamma: Tensor<B, 1>,
    dy: Tensor<B, 2>,
    of_batch: bool,
) -> NormGradients<B> {
    let [n, _] = x.dims();
    let (normed, inverse) = standardise(x, statistics);
    let along = B::sum_rows(dy.clone() * normed.clone());
    let level = B::sum_rows(dy.clone());
    let centred = match of_batch {
        false => dy,
        true => {
            let each = |sum: &Tensor<B, 1>| sum.clone().div_scalar(n as f64).unsqueeze_dim(0);
            dy - each(&level) - normed * each(&along)
        }
    };
    let x = centred * (gamma.unsqueeze_dim(0) * inverse);
    NormGradients { x: Some(x), gamma: along, beta: level }
}

/// The columns with mean 0 and variance 1, and 1/√(var + ε) of each [1, d].
fn standardise<B: Backend>(
    x: Tensor<B, 2>,
    Statistics { mean, variance }: Statistics<B>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let inverse = variance.add_scalar(BATCH_NORM_EPSILON).sqrt().recip().unsqueeze_dim(0);
    ((x - mean.unsqueeze_dim(0)) * inverse.clone(), inverse)
}
