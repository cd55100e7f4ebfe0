//! The defaults of [`Kernels`] on feature maps, composed of Burn's own operations: a convolution is an
//! affine map of the patches that its window sees, each k · k · C values, row by row and channels last.

use super::{Affine, Kernels, Window};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor, TensorData};

pub(super) fn convolution<B: Kernels>(
    x: Tensor<B, 2>,
    window: Window,
    map: Affine<B>,
) -> Tensor<B, 2> {
    B::affine(patches(x, window), map)
}

pub(super) fn convolution_backward_x<B: Kernels>(
    weight: Tensor<B, 2>,
    dy: Tensor<B, 2>,
    window: Window,
) -> Tensor<B, 2> {
    let (samples, channels) =
        (dy.dims()[0] / window.outputs(), weight.dims()[0] / window.covered());
    let each = B::affine_backward_x(weight, dy);
    let each = each.reshape([samples, window.outputs() * window.covered(), channels]);
    let device = each.device();
    let with_rim = [samples, window.inputs() + 1, channels];
    let sum = Tensor::<B, 3>::zeros(with_rim, (&device, each.dtype()));
    let sum = sum.select_assign(1, sources(window, &device), each, IndexingUpdateOp::Add);
    sum.narrow(1, 0, window.inputs()).reshape([samples * window.inputs(), channels])
}

pub(super) fn convolution_backward_weight<B: Kernels>(
    x: Tensor<B, 2>,
    dy: Tensor<B, 2>,
    window: Window,
) -> Tensor<B, 2> {
    B::affine_backward_weight(patches(x, window), dy)
}

/// [N · outputs, k · k · C] of maps [N · inputs, C].
fn patches<B: Backend>(x: Tensor<B, 2>, window: Window) -> Tensor<B, 2> {
    let [rows, channels] = x.dims();
    let (samples, device) = (rows / window.inputs(), x.device());
    let x = x.reshape([samples, window.inputs(), channels]);
    let rim = x.clone().narrow(1, 0, 1).zeros_like();
    let seen = Tensor::cat(vec![x, rim], 1).select(1, sources(window, &device));
    seen.reshape([samples * window.outputs(), window.covered() * channels])
}

/// The position of the map that each position of each patch lies on; behind the last one in the padding.
fn sources<B: Backend>(window: Window, device: &B::Device) -> Tensor<B, 1, Int> {
    let [height, width] = window.output();
    let (rim, k) = (window.inputs() as i32, window.kernel);
    let mut sources = vec![rim; window.outputs() * window.covered()];
    for (patch, sources) in sources.chunks_exact_mut(window.covered()).enumerate() {
        let (first, count, column) = window.columns(patch % width);
        for i in 0..k {
            let Some(row) = window.row(patch / width, i) else { continue };
            let from = row * window.sides[1] + column;
            for (j, source) in sources[i * k + first..][..count].iter_mut().enumerate() {
                *source = (from + j) as i32;
            }
        }
    }
    debug_assert_eq!(sources.len(), height * width * k * k);
    let count = sources.len();
    Tensor::from_data(TensorData::new(sources, [count]), device)
}

pub(super) fn max_pool<B: Backend>(
    x: Tensor<B, 2>,
    sides: [usize; 2],
    size: usize,
) -> Tensor<B, 2> {
    let [rows, channels] = x.dims();
    let (best, _) = tournament(pieces(x, sides, size));
    best.reshape([rows / (size * size), channels])
}

pub(super) fn max_pool_backward<B: Backend>(
    x: Tensor<B, 2>,
    dy: Tensor<B, 2>,
    sides: [usize; 2],
    size: usize,
) -> Tensor<B, 2> {
    let [rows, channels] = x.dims();
    let (_, mut wins) = tournament(pieces(x, sides, size));
    let shape = wins[0].dims();
    let dy: Tensor<B, 6> = dy.reshape(shape);
    let mut beaten = wins[0].clone().bool_and(wins[0].clone().bool_not());
    let mut parts = Vec::with_capacity(wins.len());
    while let Some(win) = wins.pop() {
        let holds = win.clone().bool_and(beaten.clone().bool_not());
        parts.push(dy.clone().mask_fill(holds.bool_not(), 0.0));
        beaten = beaten.bool_or(win);
    }
    parts.reverse();
    let row = |parts: &[Tensor<B, 6>]| Tensor::cat(parts.to_vec(), 4);
    let lines = parts.chunks(size).map(row).collect();
    Tensor::cat(lines, 2).reshape([rows, channels])
}

/// Of each position of the window the values of all maps, each [N, H/s, 1, W/s, 1, C].
fn pieces<B: Backend>(x: Tensor<B, 2>, sides: [usize; 2], size: usize) -> Vec<Tensor<B, 6>> {
    let ([rows, channels], [height, width]) = (x.dims(), sides);
    let (samples, down, right) = (rows / (height * width), height / size, width / size);
    let x: Tensor<B, 6> = x.reshape([samples, down, size, right, size, channels]);
    let piece = |k: usize| x.clone().narrow(2, k / size, 1).narrow(4, k % size, 1);
    (0..size * size).map(piece).collect()
}

type Wins<B> = Vec<Tensor<B, 6, Bool>>;

/// The largest, and where each was larger than all before it. NaN is larger than any number.
fn tournament<B: Backend>(pieces: Vec<Tensor<B, 6>>) -> (Tensor<B, 6>, Wins<B>) {
    let mut pieces = pieces.into_iter();
    let mut best = pieces.next().expect("a window of one position at the least");
    let mut wins = vec![best.clone().equal(best.clone()).bool_or(best.clone().is_nan())];
    for piece in pieces {
        let win = piece.clone().greater(best.clone()).bool_or(piece.clone().is_nan());
        best = best.mask_where(win.clone(), piece);
        wins.push(win);
    }
    (best, wins)
}
