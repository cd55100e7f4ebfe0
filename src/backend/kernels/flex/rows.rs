//! Loops over rows that the compiler turns into vector instructions, once for each instruction set
//! that `pulp` knows. Sums run over 16 partial sums, so that they do not depend on the set.

use super::super::AdamW;
use super::super::normal::{cdf_and_density, exp_of_negative};
use pulp::{Arch, Simd};

const LANES: usize = 16;

#[inline(always)]
fn sum_of(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut partial = [0.0; LANES];
    let (x, y) = (&x[..x.len().min(y.len())], &y[..x.len().min(y.len())]);
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for k in 0..LANES {
            partial[k] += f(x[k], y[k]);
        }
    }
    for (k, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
        partial[k] += f(x, y);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for k in 0..half {
            partial[k] += partial[k + half];
        }
        half /= 2;
    }
    partial[0]
}

#[pulp::with_simd(sum = Arch::new())]
#[inline(always)]
pub(super) fn sum_with_simd<S: Simd>(_simd: S, rows: &[f32], sum: &mut [f32]) {
    for row in rows.chunks_exact(sum.len().max(1)) {
        for (sum, v) in sum.iter_mut().zip(row) {
            *sum += v;
        }
    }
}

#[pulp::with_simd(gelu = Arch::new())]
#[inline(always)]
pub(super) fn gelu_with_simd<S: Simd>(_simd: S, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * cdf_and_density(x).0;
    }
}

/// dx in the place of dy.
#[pulp::with_simd(gelu_backward = Arch::new())]
#[inline(always)]
pub(super) fn gelu_backward_with_simd<S: Simd>(_simd: S, x: &[f32], dy: &mut [f32]) {
    for (dy, &x) in dy.iter_mut().zip(x) {
        let (cdf, density) = cdf_and_density(x);
        *dy *= cdf + x * density;
    }
}

/// Scale and shift of a LayerNorm, or what reaches them.
pub(super) struct Norm<T> {
    pub gamma: T,
    pub beta: T,
}

/// The mean of a row, and 1/√(var + ε).
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let d = row.len() as f32;
    let mean = sum_of(row, row, |v, _| v) / d;
    let variance = sum_of(row, row, |v, _| (v - mean) * (v - mean)) / d;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[pulp::with_simd(layer_norm = Arch::new())]
#[inline(always)]
pub(super) fn layer_norm_with_simd<S: Simd>(
    _simd: S,
    x: &[f32],
    norm: Norm<&[f32]>,
    epsilon: f32,
    y: &mut [f32],
) {
    let d = norm.gamma.len().max(1);
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let (mean, inverse) = moments(x, epsilon);
        for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(norm.gamma).zip(norm.beta) {
            *y = (x - mean) * inverse * gamma + beta;
        }
    }
}

/// dx in the place of dy; dγ and dβ are added to.
#[pulp::with_simd(layer_norm_backward = Arch::new())]
#[inline(always)]
pub(super) fn layer_norm_backward_with_simd<S: Simd>(
    _simd: S,
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    dy: &mut [f32],
    into: Norm<&mut [f32]>,
) {
    let d = gamma.len().max(1);
    let mut normed = vec![0.0; d];
    for (x, dy) in x.chunks_exact(d).zip(dy.chunks_exact_mut(d)) {
        let (mean, inverse) = moments(x, epsilon);
        for (normed, x) in normed.iter_mut().zip(x) {
            *normed = (x - mean) * inverse;
        }
        for (((dgamma, dbeta), dy), normed) in
            into.gamma.iter_mut().zip(into.beta.iter_mut()).zip(dy.iter()).zip(&normed)
        {
            *dgamma += dy * normed;
            *dbeta += dy;
        }
        for (dy, gamma) in dy.iter_mut().zip(gamma) {
            *dy *= gamma;
        }
        let level = sum_of(dy, dy, |v, _| v) / d as f32;
        let along = sum_of(dy, &normed, |v, n| v * n) / d as f32;
        for (dy, normed) in dy.iter_mut().zip(&normed) {
            *dy = (*dy - level - normed * along) * inverse;
        }
    }
}

/// ∂W in the place of G = x̂ᵀ dy; see `Kernels::normed_affine_backward`.
#[pulp::with_simd(behind_scale_shift = Arch::new())]
#[inline(always)]
pub(super) fn behind_scale_shift_with_simd<S: Simd>(
    _simd: S,
    norm: Norm<&[f32]>,
    weight: &[f32],
    g: &mut [f32],
    dbias: &[f32],
    into: Norm<&mut [f32]>,
) {
    let outputs = dbias.len().max(1);
    let features = norm.gamma.iter().zip(norm.beta).zip(into.gamma).zip(into.beta);
    let matrices = weight.chunks_exact(outputs).zip(g.chunks_exact_mut(outputs));
    for ((((gamma, beta), dgamma), dbeta), (weight, g)) in features.zip(matrices) {
        *dgamma = sum_of(weight, g, |w, g| w * g);
        *dbeta = sum_of(weight, dbias, |w, b| w * b);
        for (g, b) in g.iter_mut().zip(dbias) {
            *g = *g * gamma + beta * b;
        }
    }
}

/// Σ x_ij a_ij, where `tokens` rows of x share one of a; each row in f32, the rows in f64.
#[pulp::with_simd(inner_product = Arch::new())]
#[inline(always)]
pub(super) fn inner_product_with_simd<S: Simd>(
    _simd: S,
    x: &[f32],
    credit: &[f32],
    tokens: usize,
    d: usize,
) -> f64 {
    let mut sum = 0.0;
    for (i, x) in x.chunks_exact(d.max(1)).enumerate() {
        let sample = i / tokens * d;
        sum += f64::from(sum_of(x, &credit[sample..sample + d], |x, a| x * a));
    }
    sum
}

/// Each row of x, of `columns`, divided by the RMS of its row of `by`, of d, plus ε.
#[pulp::with_simd(rms_scale = Arch::new())]
#[inline(always)]
pub(super) fn rms_scale_with_simd<S: Simd>(
    _simd: S,
    x: &[f32],
    by: &[f32],
    [columns, d]: [usize; 2],
    epsilon: f32,
    y: &mut [f32],
) {
    let rows = x.chunks_exact(columns.max(1)).zip(y.chunks_exact_mut(columns.max(1)));
    for ((x, y), by) in rows.zip(by.chunks_exact(d.max(1))) {
        let rms = (sum_of(by, by, |v, _| v * v) / d as f32).sqrt() + epsilon;
        for (y, x) in y.iter_mut().zip(x) {
            *y = x / rms;
        }
    }
}

#[inline(always)]
fn greatest(row: &[f32]) -> f32 {
    let mut partial = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for k in 0..LANES {
            partial[k] = if chunk[k] > partial[k] { chunk[k] } else { partial[k] };
        }
    }
    for (partial, &v) in partial.iter_mut().zip(rest) {
        *partial = if v > *partial { v } else { *partial };
    }
    partial.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// softmax of `scale` · x in the place of x; `scale` is positive.
#[pulp::with_simd(softmax = Arch::new())]
#[inline(always)]
pub(super) fn softmax_with_simd<S: Simd>(_simd: S, x: &mut [f32], tokens: usize, scale: f32) {
    for row in x.chunks_exact_mut(tokens.max(1)) {
        let top = greatest(row);
        for v in row.iter_mut() {
            *v = exp_of_negative((*v - top) * scale);
        }
        let inverse = 1.0 / sum_of(row, row, |v, _| v);
        for v in row.iter_mut() {
            *v *= inverse;
        }
    }
}

/// dx in the place of dy.
#[pulp::with_simd(softmax_backward = Arch::new())]
#[inline(always)]
pub(super) fn softmax_backward_with_simd<S: Simd>(
    _simd: S,
    y: &[f32],
    dy: &mut [f32],
    tokens: usize,
    scale: f32,
) {
    let tokens = tokens.max(1);
    for (y, dy) in y.chunks_exact(tokens).zip(dy.chunks_exact_mut(tokens)) {
        let along = sum_of(y, dy, |y, dy| y * dy);
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy = y * (*dy - along) * scale;
        }
    }
}

/// The constants of one step of AdamW in f32.
#[derive(Clone, Copy)]
pub(super) struct AdamWStep {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    decay: f32,
    /// η / (1 − β₁ᵗ)
    rate: f32,
    /// 1/√(1 − β₂ᵗ): a root and a quotient a value are what a step of AdamW costs.
    inverse_root: f32,
}

impl AdamWStep {
    pub(super) fn new(adamw: &AdamW, time: usize) -> Self {
        let [correction_1, correction_2] = adamw.corrections(time);
        Self {
            beta_1: adamw.beta_1,
            beta_2: adamw.beta_2,
            epsilon: adamw.epsilon,
            decay: (adamw.rate * adamw.weight_decay) as f32,
            rate: adamw.rate as f32 / correction_1,
            inverse_root: 1.0 / correction_2.sqrt(),
        }
    }
}

#[pulp::with_simd(adamw = Arch::new())]
#[inline(always)]
pub(super) fn adamw_with_simd<S: Simd>(
    _simd: S,
    step: AdamWStep,
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    for (((p, g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
        *m = *m * step.beta_1 + g * (1.0 - step.beta_1);
        *v = *v * step.beta_2 + g * g * (1.0 - step.beta_2);
        let spread = v.sqrt() * step.inverse_root + step.epsilon;
        *p = *p - *p * step.decay - *m * step.rate / spread;
    }
}
