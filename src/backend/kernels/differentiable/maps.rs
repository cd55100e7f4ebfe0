//! The operations on feature maps.

use super::{Operation, Parts, record, unwrap, wrap};
use crate::backend::kernels::{Affine, Kernels, NormGradients, ScaleShift, Statistics, Window};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

type Tracking<B, C, const D: usize> = Tensor<Autodiff<B, C>, D>;

/// `back` is W, or what stands for it where a gradient crosses the map.
#[derive(Clone, Debug)]
struct ConvolutionNode<B: Backend> {
    x: FloatTensor<B>,
    back: FloatTensor<B>,
    window: Window,
}

impl<B: Kernels> Operation<B, 3> for ConvolutionNode<B> {
    fn backward(self, dy: FloatTensor<B>, wanted: [bool; 3]) -> [Option<FloatTensor<B>>; 3] {
        let (x, back, dy) = (wrap::<B, 2>(self.x), wrap(self.back), wrap::<B, 2>(dy));
        let window = self.window;
        [
            wanted[0].then(|| unwrap(B::convolution_backward_x(back, dy.clone(), window))),
            wanted[1].then(|| unwrap(B::convolution_backward_weight(x, dy.clone(), window))),
            wanted[2].then(|| unwrap(B::sum_rows(dy))),
        ]
    }
}

pub(super) fn convolution<B: Kernels, C: CheckpointStrategy>(
    x: Tracking<B, C, 2>,
    window: Window,
    map: Affine<Autodiff<B, C>>,
) -> Tracking<B, C, 2> {
    let x = unwrap(x);
    let Parts { weight, bias, inner, back } = Parts::of(map);
    let y = unwrap(B::convolution(wrap(x.primitive.clone()), window, inner));
    let node = ConvolutionNode::<B> { x: x.primitive.clone(), back, window };
    wrap(record::<B, C, _, _>([&x, &weight, &bias], node, y))
}

#[derive(Clone, Debug)]
struct MaxPoolNode<B: Backend> {
    x: FloatTensor<B>,
    sides: [usize; 2],
    size: usize,
}

impl<B: Kernels> Operation<B, 1> for MaxPoolNode<B> {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        let Self { x, sides, size } = self;
        [Some(unwrap(B::max_pool_backward(wrap(x), wrap(dy), sides, size)))]
    }
}

pub(super) fn max_pool<B: Kernels, C: CheckpointStrategy>(
    x: Tracking<B, C, 2>,
    sides: [usize; 2],
    size: usize,
) -> Tracking<B, C, 2> {
    let x = unwrap(x);
    let y = unwrap(B::max_pool(wrap(x.primitive.clone()), sides, size));
    let node = MaxPoolNode::<B> { x: x.primitive.clone(), sides, size };
    wrap(record::<B, C, _, _>([&x], node, y))
}

#[derive(Clone, Debug)]
struct BatchNormNode<B: Backend> {
    x: FloatTensor<B>,
    statistics: Statistics<B>,
    gamma: FloatTensor<B>,
    of_batch: bool,
}

impl<B: Kernels> Operation<B, 3> for BatchNormNode<B> {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 3]) -> [Option<FloatTensor<B>>; 3] {
        let Self { x, statistics, gamma, of_batch } = self;
        let NormGradients { x, gamma, beta } =
            B::batch_norm_backward(wrap(x), statistics, wrap(gamma), wrap(dy), of_batch);
        [x.map(unwrap), Some(unwrap(gamma)), Some(unwrap(beta))]
    }
}

pub(super) fn batch_norm<B: Kernels, C: CheckpointStrategy>(
    x: Tracking<B, C, 2>,
    norm: ScaleShift<Autodiff<B, C>>,
    given: Option<Statistics<Autodiff<B, C>>>,
) -> (Tracking<B, C, 2>, Statistics<Autodiff<B, C>>) {
    let (x, gamma, beta) = (unwrap(x), unwrap(norm.gamma), unwrap(norm.beta));
    let of_batch = given.is_none();
    let given = given.map(|Statistics { mean, variance }| Statistics {
        mean: mean.inner(),
        variance: variance.inner(),
    });
    let inner =
        ScaleShift { gamma: wrap(gamma.primitive.clone()), beta: wrap(beta.primitive.clone()) };
    let (y, statistics) = B::batch_norm(wrap(x.primitive.clone()), inner, given);
    let used = Statistics {
        mean: Tensor::from_inner(statistics.mean.clone()),
        variance: Tensor::from_inner(statistics.variance.clone()),
    };
    let gamma_primitive = gamma.primitive.clone();
    let node =
        BatchNormNode::<B> { x: x.primitive.clone(), statistics, gamma: gamma_primitive, of_batch };
    (wrap(record::<B, C, _, _>([&x, &gamma, &beta], node, unwrap(y))), used)
}
