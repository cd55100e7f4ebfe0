//! Derivatives that an audit stands on: LayerNorm's identities and GELU's gradient.

use crate::common::{F64, host, relative, wave};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::{Tensor, TensorData};
use fa_audit::backend::{Differentiable, Kernels, ScaleShift, differentiating, float_tensor};

/// LayerNorm without affine, ε = 1e-5.
fn layer_norm(x: Tensor<F64, 2>) -> Tensor<F64, 2> {
    let device = x.device();
    let constant = |value: f64| float_tensor(TensorData::new(vec![value; 8], [8]), &device);
    F64::layer_norm_rows(x, ScaleShift { gamma: constant(1.0), beta: constant(0.0) })
}

/// The gradient of ⟨LN(h), v⟩ at `scale` · h, for one sample of eight features.
fn layer_norm_gradient(scale: f64) -> (Vec<f64>, Vec<f64>) {
    let device = Default::default();
    let h: Vec<f64> = wave(3, 8, 100.0 * scale);
    let _turn = differentiating();
    let leaf = float_tensor::<F64, 2>(TensorData::new(h.clone(), [1, 8]), &device).require_grad();
    let weights = float_tensor(TensorData::new(wave(7, 8, 1.0), [1, 8]), &device);
    let normalised = layer_norm(leaf.clone());
    let gradients = (normalised * weights).sum().backward();
    (host(leaf.grad(&gradients).expect("a leaf")), h)
}

/// Protocol §12, 6.
#[test]
fn layer_norms_gradient_shrinks_as_the_hidden_state_grows() {
    let (at_h, _) = layer_norm_gradient(1.0);
    let (at_10h, _) = layer_norm_gradient(10.0);
    let tenfold: Vec<f64> = at_10h.iter().map(|g| 10.0 * g).collect();
    assert!(relative(&tenfold, &at_h) < 1e-5);
}

/// Protocol §12, 6.
#[test]
fn layer_norms_gradient_is_orthogonal_to_the_hidden_state_and_to_ones() {
    let (g, h) = layer_norm_gradient(1.0);
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let cosine: f64 = g.iter().zip(&h).map(|(a, b)| a * b).sum::<f64>() / norm(&g) / norm(&h);
    // LayerNorm's ε = 1e-5 against a variance of 5e3 leaves that much of a slope along h.
    assert!(cosine.abs() < 1e-8, "{cosine}");
    assert!(g.iter().sum::<f64>().abs() < 1e-12 * norm(&g));
}

/// Central differences of the backend's own values, in the backend's precision.
fn gelu_gradient_error<B: Differentiable>(step: f64) -> f64 {
    let device = Default::default();
    let x: Vec<f64> = (-60..=60).map(|i| f64::from(i) / 12.0).collect();
    let n = x.len();
    let tensor =
        |values: &[f64]| float_tensor::<B, 2>(TensorData::new(values.to_vec(), [1, n]), &device);
    let _turn = differentiating();
    let leaf = tensor(&x).require_grad();
    let gradients = B::exact_gelu(leaf.clone()).sum().backward();
    let analytic = host(leaf.grad(&gradients).expect("a leaf"));
    let at = |shift: f64| {
        host(B::exact_gelu(tensor(&x.iter().map(|v| v + shift).collect::<Vec<_>>())).inner())
    };
    let (above, below) = (at(step), at(-step));
    let numeric = above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * step));
    let errors = numeric.zip(analytic).map(|(n, a)| (n - a).abs());
    // `f64::max` would drop a NaN.
    errors.fold(0.0, |worst, error| if error <= worst { worst } else { error })
}

/// The tanh approximation's derivative, which Burn's own GELU has on ndarray, is up to 8.7e-4 off.
#[test]
fn gelus_gradient_is_its_derivative_on_every_cpu_backend() {
    let error = gelu_gradient_error::<F64>(1e-5);
    assert!(error < 1e-9, "ndarray f64: {error}");
    // In f32 the differences themselves are rounded: 1e-7 over a step of 0.01.
    let error = gelu_gradient_error::<Autodiff<NdArray>>(1e-2);
    assert!(error < 1e-4, "ndarray: {error}");
    let error = gelu_gradient_error::<Autodiff<Flex>>(1e-2);
    assert!(error < 1e-4, "flex: {error}");
}
