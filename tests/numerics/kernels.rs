//! The step's own operations against the same formulas in Burn's operations and Burn's
//! derivatives, in f64. Sizes are odd, so that every loop over vectors has a rest.

use crate::common::{F64, host, matrix, relative, wave};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::optim::{AdamWConfig, SimpleOptimizer};
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use fa_audit::backend::{
    AdamW, Affine, Differentiable, Kernels, LAYER_NORM_EPSILON, ScaleShift, Shared,
    differentiating, float_tensor,
};
use std::f64::consts::FRAC_1_SQRT_2;

const ROWS: usize = 6;
const INPUTS: usize = 37;
const OUTPUTS: usize = 21;

/// The arguments of every operation; a tracked one is a leaf.
struct Arguments<B: Differentiable> {
    x: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
}

impl<B: Differentiable> Arguments<B> {
    fn new(scale: f64, wants_x: bool) -> Self {
        let vector = |values: Vec<f64>| {
            let count = values.len();
            float_tensor::<B, 1>(TensorData::new(values, [count]), &Default::default())
        };
        let x = matrix::<B>(wave(1, ROWS * INPUTS, scale), ROWS, INPUTS);
        Self {
            x: if wants_x { x.require_grad() } else { x },
            gamma: vector(wave(2, INPUTS, 1.0)).require_grad(),
            beta: vector(wave(3, INPUTS, 1.0)).require_grad(),
            weight: matrix(wave(4, INPUTS * OUTPUTS, 0.3), INPUTS, OUTPUTS).require_grad(),
            bias: vector(wave(5, OUTPUTS, 1.0)).require_grad(),
        }
    }

    fn norm(&self) -> ScaleShift<B> {
        ScaleShift { gamma: self.gamma.clone(), beta: self.beta.clone() }
    }

    fn map(&self) -> Affine<B> {
        Affine::new(self.weight.clone(), self.bias.clone())
    }

    /// The value of `f`, and the gradient of ⟨f, fixed numbers⟩ at each argument that has one.
    fn measure<const D: usize>(self, f: impl Fn(&Self) -> Tensor<B, D>) -> Vec<Vec<f64>> {
        let _turn = differentiating();
        let y = f(&self);
        let (shape, count) = (y.shape(), y.shape().num_elements());
        let along = float_tensor(TensorData::new(wave(6, count, 1.0), shape), &y.device());
        let gradients = (y.clone() * along).sum().backward();
        let mut found = vec![host(y.inner())];
        found.extend(self.x.grad(&gradients).map(host));
        found.extend(self.gamma.grad(&gradients).map(host));
        found.extend(self.beta.grad(&gradients).map(host));
        found.extend(self.weight.grad(&gradients).map(host));
        found.extend(self.bias.grad(&gradients).map(host));
        found
    }
}

fn layer_norm(a: &Arguments<F64>) -> Tensor<F64, 2> {
    let centred = a.x.clone() - a.x.clone().mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    let normed = centred / variance.add_scalar(LAYER_NORM_EPSILON).sqrt();
    normed * a.gamma.clone().unsqueeze() + a.beta.clone().unsqueeze()
}

fn affine(x: Tensor<F64, 2>, a: &Arguments<F64>) -> Tensor<F64, 2> {
    x.matmul(a.weight.clone()) + a.bias.clone().unsqueeze()
}

/// Compares `own` on every CPU backend with `composed`, at usual and at exploded hidden states.
macro_rules! agrees {
    ($composed:expr, $own:expr) => {
        for (scale, wants_x) in [(1.0, true), (1.0, false), (1e4, true), (1e4, false)] {
            let want = Arguments::<F64>::new(scale, wants_x).measure($composed);
            let close = |name: &str, got: Vec<Vec<f64>>, tolerance: f64| {
                assert_eq!(got.len(), want.len(), "{name} forms other gradients");
                for (k, (got, want)) in got.iter().zip(&want).enumerate() {
                    let error = relative(got, want);
                    assert!(error < tolerance, "{name}, {k}, scale {scale}, {wants_x}: {error}");
                }
            };
            close("ndarray f64", Arguments::<F64>::new(scale, wants_x).measure($own), 1e-12);
            let got = Arguments::<Autodiff<NdArray>>::new(scale, wants_x).measure($own);
            close("ndarray", got, 2e-6);
            close("flex", Arguments::<Autodiff<Flex>>::new(scale, wants_x).measure($own), 2e-6);
        }
    };
}

#[test]
fn an_affine_map_agrees_with_its_formula() {
    agrees!(|a| affine(a.x.clone(), a), |a| Kernels::affine(a.x.clone(), a.map()));
}

#[test]
fn layer_norm_agrees_with_its_formula() {
    agrees!(layer_norm, |a| Kernels::layer_norm_rows(a.x.clone(), a.norm()));
}

#[test]
fn a_map_behind_a_layer_norm_agrees_with_its_formula() {
    agrees!(|a| affine(layer_norm(a), a), |a| {
        Kernels::normed_affine(a.x.clone(), a.norm(), a.map())
    });
}

/// What reaches x does not depend on whether norm and map are trained, too.
#[test]
fn what_passes_a_map_behind_a_layer_norm_is_the_same_where_nothing_of_it_is_trained() {
    let reached = |is_trained: bool| {
        let a = Arguments::<F64>::new(1.0, true);
        let tracked = |v: &Tensor<F64, 1>| v.clone().detach().set_require_grad(is_trained);
        let weight = a.weight.clone().detach().set_require_grad(is_trained);
        let norm = ScaleShift { gamma: tracked(&a.gamma), beta: tracked(&a.beta) };
        let map = Affine::new(weight.clone(), tracked(&a.bias));
        let _turn = differentiating();
        let gradients = Kernels::normed_affine(a.x.clone(), norm, map).square().sum().backward();
        assert_eq!(weight.grad(&gradients).is_some(), is_trained);
        host(a.x.grad(&gradients).expect("x is a leaf"))
    };
    assert_eq!(reached(false), reached(true));
}

#[test]
fn gelu_agrees_with_its_formula() {
    let gelu = |a: &Arguments<F64>| {
        let y = affine(a.x.clone(), a);
        y.clone() * (y.mul_scalar(FRAC_1_SQRT_2).erf() + 1.0) * 0.5
    };
    agrees!(gelu, |a| Kernels::exact_gelu(Kernels::affine(a.x.clone(), a.map())));
}

#[test]
fn softmax_agrees_with_its_formula() {
    let small = |y: Tensor<F64, 2>| softmax(y.mul_scalar(0.3), 1);
    for scale in [0.1, 3.0] {
        let want = Arguments::<F64>::new(scale, true).measure(|a| small(affine(a.x.clone(), a)));
        let own = |got: Vec<Vec<f64>>, tolerance: f64| {
            for (got, want) in got.iter().zip(&want) {
                assert!(relative(got, want) < tolerance, "{}", relative(got, want));
            }
        };
        own(Arguments::<F64>::new(scale, true).measure(scaled), 1e-12);
        own(Arguments::<Autodiff<NdArray>>::new(scale, true).measure(scaled), 5e-6);
        own(Arguments::<Autodiff<Flex>>::new(scale, true).measure(scaled), 5e-6);
    }
}

fn scaled<B: Differentiable>(a: &Arguments<B>) -> Tensor<B, 2> {
    B::scaled_softmax(B::affine(a.x.clone(), a.map()), 0.3)
}

/// Two samples of three tokens, three heads of seven features.
#[test]
fn heads_agree_with_their_formula() {
    fn split<B: Differentiable>(a: &Arguments<B>) -> Tensor<B, 4> {
        B::split_heads(B::affine(a.x.clone(), a.map()), 2, 3)
    }
    let formula = |a: &Arguments<F64>| affine(a.x.clone(), a).reshape([2, 3, 3, 7]).swap_dims(1, 2);
    fn merged<B: Differentiable>(a: &Arguments<B>) -> Tensor<B, 2> {
        B::merge_heads(split(a).mul_scalar(2.0))
    }
    fn turned<B: Differentiable>(a: &Arguments<B>) -> Tensor<B, 2> {
        B::merge_heads(split(a).transpose())
    }
    agrees!(formula, split);
    agrees!(|a| affine(a.x.clone(), a).mul_scalar(2.0), merged);
    agrees!(|a| formula(a).transpose().swap_dims(1, 2).reshape([14, 9]), turned);
}

/// Three tokens share each sample's credit.
#[test]
fn the_inner_product_with_a_credit_agrees_with_its_formula() {
    const TOKENS: usize = 3;
    fn credit<B: Differentiable>() -> Tensor<B, 2> {
        matrix(wave(7, ROWS / TOKENS * INPUTS, 1.0), ROWS / TOKENS, INPUTS)
    }
    let formula = |a: &Arguments<F64>| {
        let x = a.x.clone().reshape([ROWS / TOKENS, TOKENS, INPUTS]);
        (x * credit::<F64>().unsqueeze_dim(1)).sum().mul_scalar(0.7)
    };
    fn own<B: Differentiable>(a: &Arguments<B>) -> Tensor<B, 1> {
        B::inner_product(a.x.clone(), credit::<B>(), 0.7)
    }
    let want = Arguments::<F64>::new(1.0, true).measure(formula);
    for got in [
        Arguments::<F64>::new(1.0, true).measure(own),
        Arguments::<Autodiff<NdArray>>::new(1.0, true).measure(own),
        Arguments::<Autodiff<Flex>>::new(1.0, true).measure(own),
    ] {
        assert_eq!(got.len(), 2);
        assert!(relative(&got[0], &want[0]) < 2e-6);
        assert!(relative(&got[1], &want[1]) < 2e-7);
    }
}

/// Whole or as two factors of rank 3, of one token or three.
#[test]
fn a_map_reached_by_a_shared_credit_agrees_with_its_formula() {
    const CLASSES: usize = 3;
    fn factors<B: Differentiable>(n: usize) -> [Tensor<B, 2>; 2] {
        let errors = matrix(wave(7, n * CLASSES, 1.0), n, CLASSES);
        [errors, matrix(wave(8, OUTPUTS * CLASSES, 1.0), OUTPUTS, CLASSES)]
    }
    fn own<B: Differentiable>(a: &Arguments<B>, tokens: usize, whole: bool) -> Tensor<B, 1> {
        let [errors, feedback] = factors::<B>(ROWS / tokens);
        let credit = match whole {
            true => Shared::Whole(errors.matmul(feedback.transpose())),
            false => Shared::Factors { errors, feedback },
        };
        B::affine_toward(a.x.clone(), a.map(), credit)
    }
    for (tokens, wants_x) in [(1, true), (1, false), (3, true), (3, false)] {
        let n = ROWS / tokens;
        let want = Arguments::<F64>::new(1.0, wants_x).measure(|a| {
            let [errors, feedback] = factors::<F64>(n);
            let y = affine(a.x.clone(), a).reshape([n, tokens, OUTPUTS]);
            (y * errors.matmul(feedback.transpose()).unsqueeze_dim(1)).sum()
        });
        for whole in [true, false] {
            let single = Arguments::<Autodiff<Flex>>::new(1.0, wants_x);
            let other = Arguments::<Autodiff<NdArray>>::new(1.0, wants_x);
            for (got, tolerance) in [
                (Arguments::<F64>::new(1.0, wants_x).measure(|a| own(a, tokens, whole)), 1e-14),
                (other.measure(|a| own(a, tokens, whole)), 1e-6),
                (single.measure(|a| own(a, tokens, whole)), 1e-6),
            ] {
                assert_eq!(got[0], [0.0]);
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().zip(&want).skip(1) {
                    let error = relative(got, want);
                    assert!(error < tolerance, "{tokens} tokens, {whole}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_credit_is_normalised_as_its_formula_says() {
    fn own<B: Kernels>(scale: f64) -> Vec<f64> {
        let credit = matrix::<B>(wave(1, ROWS * INPUTS, scale), ROWS, INPUTS);
        host(B::rms_scaled(credit.clone(), credit, 1e-8))
    }
    // The last is so small that the square of a value is not a normal number in f32.
    for (scale, tolerance) in [(1.0, 2e-7), (1e4, 2e-7), (1e-9, 2e-7), (1e-18, 1e-3)] {
        let rows = wave(1, ROWS * INPUTS, scale);
        let normalised = |row: &[f64]| {
            let rms = (row.iter().map(|v| v * v).sum::<f64>() / INPUTS as f64).sqrt();
            row.iter().map(|v| v / (rms + 1e-8)).collect::<Vec<_>>()
        };
        let want: Vec<f64> = rows.chunks(INPUTS).flat_map(normalised).collect();
        assert!(relative(&own::<NdArray<f64>>(scale), &want) < 1e-14, "{scale}");
        assert!(relative(&own::<NdArray>(scale), &want) < tolerance, "ndarray, {scale}");
        assert!(relative(&own::<Flex>(scale), &want) < tolerance, "flex, {scale}");
    }
}

/// Against Burn's own AdamW, over enough steps for the moments to matter.
fn adamw_agrees<B: Kernels>() {
    let vector = |p: usize| {
        float_tensor::<B, 1>(TensorData::new(wave(p, 1000, 1.0), [1000]), &Default::default())
    };
    let burn = AdamWConfig::new().with_beta_2(0.95).with_weight_decay(0.02).build();
    let adamw = AdamW { beta_1: 0.9, beta_2: 0.95, epsilon: 1e-5, weight_decay: 0.02, rate: 1e-2 };
    let (mut want, mut state) = (vector(1), None);
    let (mut got, mut moments) = (vector(1), None);
    for step in 2..12 {
        let gradient = vector(step).mul_scalar(1e-3);
        (want, state) = burn.step(1e-2, want, gradient.clone(), state);
        let (value, new) = B::adamw(adamw, got, gradient, moments);
        (got, moments) = (value, Some(new));
    }
    let moved = |v: Tensor<B, 1>| host(v - vector(1));
    let error = relative(&moved(got), &moved(want));
    assert!(error < 1e-5, "{error}");
    assert_eq!(moments.map(|m| m.time), Some(10));
}

#[test]
fn adamw_is_burns() {
    adamw_agrees::<NdArray>();
    adamw_agrees::<Flex>();
    adamw_agrees::<NdArray<f64>>();
}

/// What someone else still holds is never written over.
#[test]
fn a_tensor_that_is_held_elsewhere_keeps_its_values() {
    let x = matrix::<Flex>(wave(1, 12, 1.0), 3, 4);
    let held = [x.clone(), x.clone().mul_scalar(2.0)];
    let before = held.clone().map(host);
    let _ = Flex::exact_gelu_backward(held[0].clone(), held[1].clone());
    let _ = Flex::scaled_softmax(held[0].clone(), 1.0);
    let _ = Flex::scaled_softmax_backward(held[0].clone(), held[1].clone(), 1.0);
    let gamma = held[0].clone().narrow(0, 0, 1).reshape([4]);
    let _ = Flex::layer_norm_rows_backward(held[0].clone(), gamma, held[1].clone(), true);
    let flat = |k: usize| held[k].clone().reshape([12]);
    let adamw = AdamW { beta_1: 0.9, beta_2: 0.95, epsilon: 1e-5, weight_decay: 0.02, rate: 1e-2 };
    let _ = Flex::adamw(adamw, flat(0), flat(1), None);
    assert_eq!(held.map(host), before);
}
