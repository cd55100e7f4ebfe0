//! The operations on feature maps against plain loops, and their derivatives against central
//! differences of those loops, in f64.

use crate::common::{host, relative, wave};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use fa_audit::backend::{
    Affine, Differentiable, Kernels, ScaleShift, Statistics, Window, differentiating,
};

type Single = Autodiff<Flex>;
type Second = Autodiff<NdArray>;
type Double = Autodiff<NdArray<f64>>;

const MAPS: usize = 2;
const CHANNELS: usize = 3;
const FEATURES: usize = 4;
const SIDES: [usize; 2] = [6, 4];

/// Arguments or their gradients, flat.
type Values = Vec<Vec<f64>>;

fn tensor<B: Backend, const D: usize>(
    values: &[f64],
    shape: [usize; D],
    dtype: DType,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Default::default(), dtype))
}

/// What a gradient is formed of: ⟨y, these⟩.
fn along(count: usize) -> Vec<f64> {
    wave(6, count, 1.0)
}

/// The value of `f` and the derivative of ⟨f, fixed numbers⟩ by every argument.
fn by_differences(arguments: &Values, f: impl Fn(&Values) -> Vec<f64>) -> Values {
    const STEP: f64 = 1e-5;
    let value = f(arguments);
    let along = along(value.len());
    let total =
        |arguments: &Values| -> f64 { f(arguments).iter().zip(&along).map(|(y, a)| y * a).sum() };
    let mut found = vec![value];
    for (k, argument) in arguments.iter().enumerate() {
        let slope = |i: usize| {
            let moved = |by: f64| {
                let mut arguments = arguments.clone();
                arguments[k][i] += by;
                total(&arguments)
            };
            (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
        };
        found.push((0..argument.len()).map(slope).collect());
    }
    found
}

/// The value of an operation of leaves, and their gradients.
fn by_graph<B: Differentiable, const D: usize>(
    leaves: &[Tensor<B, 1>],
    f: impl Fn(&[Tensor<B, 1>]) -> Tensor<B, D>,
) -> Values {
    let _turn = differentiating();
    let leaves: Vec<_> = leaves.iter().map(|leaf| leaf.clone().require_grad()).collect();
    let y = f(&leaves);
    let shape: [usize; D] = y.dims();
    let along = tensor(&along(shape.iter().product()), shape, y.dtype());
    let gradients = (y.clone() * along).sum().backward();
    let reached = |leaf: &Tensor<B, 1>| host(leaf.grad(&gradients).expect("a leaf"));
    std::iter::once(host(y.inner())).chain(leaves.iter().map(reached)).collect()
}

fn agree(what: &str, got: &Values, want: &Values, tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        let error = relative(got, want);
        assert!(error < tolerance, "{what}, {k}: {error}");
    }
}

/// Holds `$own` on every CPU backend and in both precisions against `$want`.
macro_rules! on_every_backend {
    ($what:expr, $want:expr, $arguments:expr, $own:expr) => {
        let on_f64 = leaves::<Double>($arguments, DType::F64);
        agree(&format!("{}, ndarray in f64", $what), &by_graph(&on_f64, $own), $want, 1e-8);
        let on_flex = leaves::<Single>($arguments, DType::F64);
        agree(&format!("{}, flex in f64", $what), &by_graph(&on_flex, $own), $want, 1e-8);
        let on_flex = leaves::<Single>($arguments, DType::F32);
        let flex = by_graph(&on_flex, $own);
        agree(&format!("{}, flex", $what), &flex, $want, 2e-6);
        let on_second = leaves::<Second>($arguments, DType::F32);
        agree(&format!("{}, ndarray", $what), &by_graph(&on_second, $own), &flex, 1e-5);
    };
}

fn leaves<B: Backend>(arguments: &Values, dtype: DType) -> Vec<Tensor<B, 1>> {
    arguments.iter().map(|values| tensor(values, [values.len()], dtype)).collect()
}

fn windows() -> impl Iterator<Item = Window> {
    [(3, 1, 1), (3, 2, 1), (1, 2, 0), (2, 1, 0), (4, 3, 2)]
        .into_iter()
        .map(|(kernel, stride, padding)| Window { sides: SIDES, kernel, stride, padding })
}

/// By the definition, position after position.
fn convolved(window: Window, arguments: &Values) -> Vec<f64> {
    let [x, weight, bias] = &arguments[..] else { panic!("three arguments") };
    let Window { sides: [height, width], kernel, stride, padding } = window;
    let [down, right] = window.output();
    let mut y = Vec::new();
    for map in 0..MAPS {
        for (row, column) in (0..down).flat_map(|row| (0..right).map(move |c| (row, c))) {
            for (f, bias) in bias.iter().enumerate() {
                let mut sum = *bias;
                for (i, j) in (0..kernel).flat_map(|i| (0..kernel).map(move |j| (i, j))) {
                    let at = [row * stride + i, column * stride + j];
                    let inside = at[0] >= padding
                        && at[1] >= padding
                        && at[0] < height + padding
                        && at[1] < width + padding;
                    if inside {
                        let from = (map * height + at[0] - padding) * width + at[1] - padding;
                        for c in 0..CHANNELS {
                            let w = weight[((i * kernel + j) * CHANNELS + c) * FEATURES + f];
                            sum += w * x[from * CHANNELS + c];
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

fn maps() -> Vec<f64> {
    wave(1, MAPS * SIDES[0] * SIDES[1] * CHANNELS, 1.0)
}

fn of_convolution(window: Window) -> Values {
    let inputs = window.covered() * CHANNELS;
    vec![maps(), wave(2, inputs * FEATURES, 0.3), wave(3, FEATURES, 1.0)]
}

fn convolution<B: Differentiable>(window: Window, leaves: &[Tensor<B, 1>]) -> Tensor<B, 2> {
    convolution_through(window, leaves, None)
}

fn convolution_through<B: Differentiable>(
    window: Window,
    leaves: &[Tensor<B, 1>],
    back: Option<Tensor<B, 2>>,
) -> Tensor<B, 2> {
    let x = leaves[0].clone().reshape([MAPS * window.inputs(), CHANNELS]);
    let weight = leaves[1].clone().reshape([window.covered() * CHANNELS, FEATURES]);
    B::convolution(x, window, Affine { weight, bias: leaves[2].clone(), back })
}

#[test]
fn a_convolution_and_its_gradients_are_those_of_the_definition() {
    for window in windows() {
        let arguments = &of_convolution(window);
        let want = &by_differences(arguments, |arguments| convolved(window, arguments));
        assert_eq!(want[0].len(), MAPS * window.outputs() * FEATURES);
        on_every_backend!(format!("{window:?}"), want, arguments, |leaves| {
            convolution(window, leaves)
        });
    }
}

/// More maps than are laid out at once.
#[test]
fn a_convolution_of_many_maps_is_that_of_each() {
    let window = Window { sides: [32, 32], kernel: 3, stride: 1, padding: 1 };
    let (maps, inputs) = (12, window.covered() * CHANNELS);
    let count = maps * window.inputs() * CHANNELS;
    let x: Tensor<Flex, 2> =
        tensor(&wave(1, count, 1.0), [maps * window.inputs(), CHANNELS], DType::F32);
    let weight = tensor(&wave(2, inputs * FEATURES, 0.3), [inputs, FEATURES], DType::F32);
    let bias = tensor(&wave(3, FEATURES, 1.0), [FEATURES], DType::F32);
    let map = Affine::new(weight, bias);
    let together = host(Flex::convolution(x.clone(), window, map.clone()));
    let each = (0..maps).flat_map(|k| {
        let x = x.clone().narrow(0, k * window.inputs(), window.inputs());
        host(Flex::convolution(x, window, map.clone()))
    });
    assert!(relative(&together, &each.collect::<Vec<_>>()) < 1e-6);
}

#[test]
fn a_convolution_is_crossed_through_what_stands_for_its_weight() {
    for window in windows() {
        let arguments = of_convolution(window);
        let shape = [window.covered() * CHANNELS, FEATURES];
        let leaves = leaves::<Single>(&arguments, DType::F32);
        let through = |values: &[f64]| {
            let back = tensor(values, shape, DType::F32);
            by_graph(&leaves, |l| convolution_through(window, l, Some(back.clone())))
        };
        let plain = by_graph(&leaves, |l| convolution(window, l));
        assert_eq!(through(&arguments[1]), plain, "{window:?}");
        let other = wave(9, arguments[1].len(), 0.3);
        let crossed = through(&other);
        assert_eq!([&crossed[0], &crossed[2], &crossed[3]], [&plain[0], &plain[2], &plain[3]]);
        let of_other = [arguments[0].clone(), other, arguments[2].clone()].to_vec();
        let of_other = by_differences(&of_other, |arguments| convolved(window, arguments));
        assert!(relative(&crossed[1], &of_other[1]) < 2e-6, "{window:?}");
        assert!(relative(&crossed[1], &plain[1]) > 0.1, "{window:?}");
    }
}

fn pooled(x: &[f64], sides: [usize; 2], size: usize) -> Vec<f64> {
    let [down, right] = sides.map(|side| side / size);
    let mut y = Vec::new();
    for k in 0..MAPS * down * right * CHANNELS {
        let (square, c) = (k / CHANNELS, k % CHANNELS);
        let (line, column) = (square / right * size, square % right * size);
        let inside = (0..size * size)
            .map(|k| x[((line + k / size) * sides[1] + column + k % size) * CHANNELS + c]);
        y.push(inside.fold(f64::NEG_INFINITY, f64::max));
    }
    y
}

fn max_pool<B: Differentiable>(leaves: &[Tensor<B, 1>], size: usize) -> Tensor<B, 2> {
    let x = leaves[0].clone().reshape([MAPS * SIDES[0] * SIDES[1], CHANNELS]);
    B::max_pool(x, SIDES, size)
}

#[test]
fn the_largest_of_a_square_and_its_gradient_are_those_of_the_definition() {
    for size in [1, 2] {
        let arguments = &vec![maps()];
        let want = &by_differences(arguments, |arguments| pooled(&arguments[0], SIDES, size));
        on_every_backend!(format!("size {size}"), want, arguments, |leaves| max_pool(leaves, size));
    }
}

/// As in PyTorch.
#[test]
fn of_equal_values_the_first_is_the_largest_and_nan_is_larger_than_any() {
    fn found<B: Differentiable>() -> Values {
        let mut x = vec![2.0; MAPS * SIDES[0] * SIDES[1] * CHANNELS];
        x[CHANNELS] = f64::NAN;
        by_graph(&leaves::<B>(&vec![x], DType::F32), |leaves| max_pool(leaves, 2))
    }
    for [y, dx] in [found::<Single>(), found::<Second>()].map(|v| <[_; 2]>::try_from(v).unwrap()) {
        assert!(y[0].is_nan() && y[1..].iter().all(|y| *y == 2.0));
        let reached: Vec<usize> = (0..dx.len()).filter(|&i| dx[i] != 0.0).collect();
        let first = |k: usize| {
            let (square, c) = (k / CHANNELS, k % CHANNELS);
            let line = square / (SIDES[1] / 2) * 2;
            (line * SIDES[1] + square % (SIDES[1] / 2) * 2) * CHANNELS + c
        };
        let mut want: Vec<usize> = (0..y.len()).map(first).collect();
        want[0] = CHANNELS;
        want.sort_unstable();
        assert_eq!(reached, want);
    }
}

const ROWS: usize = 131;

/// y of x, γ and β, with the batch's statistics or with given ones.
fn normed(arguments: &Values, given: Option<&[Vec<f64>; 2]>) -> Vec<f64> {
    let [x, gamma, beta] = &arguments[..] else { panic!("three arguments") };
    let d = gamma.len();
    let column = |j: usize| x.iter().skip(j).step_by(d);
    let statistics = |j: usize| match given {
        Some([mean, variance]) => [mean[j], variance[j]],
        None => {
            let mean = column(j).sum::<f64>() / ROWS as f64;
            [mean, column(j).map(|x| (x - mean).powi(2)).sum::<f64>() / ROWS as f64]
        }
    };
    let statistics: Vec<_> = (0..d).map(statistics).collect();
    let value = |(k, x): (usize, &f64)| {
        let [mean, variance] = statistics[k % d];
        (x - mean) / (variance + 1e-5).sqrt() * gamma[k % d] + beta[k % d]
    };
    x.iter().enumerate().map(value).collect()
}

fn batch_norm<B: Differentiable>(
    leaves: &[Tensor<B, 1>],
    given: Option<&[Vec<f64>; 2]>,
) -> Tensor<B, 2> {
    let x = leaves[0].clone().reshape([ROWS, FEATURES]);
    let vector = |values: &[f64]| tensor(values, [FEATURES], x.dtype());
    let given =
        given.map(|[mean, variance]| Statistics { mean: vector(mean), variance: vector(variance) });
    let norm = ScaleShift { gamma: leaves[1].clone(), beta: leaves[2].clone() };
    B::batch_norm(x, norm, given).0
}

#[test]
fn batch_norm_and_its_gradients_are_those_of_the_definition() {
    let x = wave(1, ROWS * FEATURES, 2.0).into_iter().map(|x| x + 1.0).collect();
    let arguments = &vec![x, wave(2, FEATURES, 1.0), wave(3, FEATURES, 1.0)];
    let running = [wave(4, FEATURES, 1.0), vec![0.5, 1.5, 2.0, 0.25]];
    for given in [None, Some(&running)] {
        let want = &by_differences(arguments, |arguments| normed(arguments, given));
        let what = if given.is_some() { "running" } else { "of the batch" };
        on_every_backend!(what, want, arguments, |leaves| batch_norm(leaves, given));
    }
}

#[test]
fn a_map_that_is_held_elsewhere_keeps_its_values() {
    let x: Tensor<Flex, 2> = tensor(&wave(1, 12, 1.0), [3, 4], DType::F32);
    let held = [x.clone(), x.mul_scalar(2.0)];
    let before = held.clone().map(host);
    let row = |k: usize| held[k].clone().narrow(0, 0, 1).reshape([4]);
    let norm = ScaleShift { gamma: row(0), beta: row(1) };
    let (_, statistics) = Flex::batch_norm(held[0].clone(), norm, None);
    let _ = Flex::batch_norm_backward(held[0].clone(), statistics, row(0), held[1].clone(), true);
    assert_eq!(held.map(host), before);
}
