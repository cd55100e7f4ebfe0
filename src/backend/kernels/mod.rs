//! The operations that a training step spends its time in. Each has a default that is composed of
//! Burn's own operations, so that every backend has all of them, and a gradient that stands beside
//! it; a backend may do them in fewer passes over memory. Implementations agree to rounding.

mod adamw;
mod batch_norm;
mod composed;
mod convolution;
mod differentiable;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "flex")]
mod normal;
mod shared;
mod window;

pub use adamw::{AdamW, Moments};
pub use batch_norm::Statistics;
pub use differentiable::Differentiable;
pub use shared::Shared;
pub use window::Window;

use super::float_tensor;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// ε of every LayerNorm (PyTorch's default).
pub const LAYER_NORM_EPSILON: f64 = 1e-5;

/// ε of every BatchNorm (PyTorch's default).
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// A map x W + b: W [in, out], b [out].
#[derive(Clone, Debug)]
pub struct Affine<B: Backend> {
    pub weight: Tensor<B, 2>,
    pub bias: Tensor<B, 1>,
    /// What stands for W where a gradient crosses the map: dx = dy backᵀ, [in, out]. W's own gradient
    /// xᵀ dy is the same.
    pub back: Option<Tensor<B, 2>>,
}

impl<B: Backend> Affine<B> {
    /// A map that a gradient crosses through Wᵀ.
    pub fn new(weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Self {
        Self { weight, bias, back: None }
    }
}

/// The scale γ and shift β [d] of a norm.
#[derive(Clone, Debug)]
pub struct ScaleShift<B: Backend> {
    pub gamma: Tensor<B, 1>,
    pub beta: Tensor<B, 1>,
}

/// What reaches the arguments of an [`Affine`] map, or of one behind a LayerNorm.
pub struct AffineGradients<B: Backend> {
    pub weight: Tensor<B, 2>,
    pub bias: Tensor<B, 1>,
}

/// What reaches the arguments of a norm.
pub struct NormGradients<B: Backend> {
    /// Where it was asked for.
    pub x: Option<Tensor<B, 2>>,
    pub gamma: Tensor<B, 1>,
    pub beta: Tensor<B, 1>,
}

/// The step's operations on matrices whose rows are samples (or tokens of samples).
pub trait Kernels: Backend {
    /// x W + b: [n, out] of x [n, in].
    fn affine(x: Tensor<Self, 2>, map: Affine<Self>) -> Tensor<Self, 2> {
        composed::affine(x, map)
    }

    /// dy Wᵀ: what reaches x.
    fn affine_backward_x(weight: Tensor<Self, 2>, dy: Tensor<Self, 2>) -> Tensor<Self, 2> {
        composed::affine_backward_x(weight, dy)
    }

    /// xᵀ dy: what reaches W.
    fn affine_backward_weight(x: Tensor<Self, 2>, dy: Tensor<Self, 2>) -> Tensor<Self, 2> {
        composed::affine_backward_weight(x, dy)
    }

    /// The sum of dy over its rows: what reaches b.
    fn sum_rows(dy: Tensor<Self, 2>) -> Tensor<Self, 1> {
        composed::sum_rows(dy)
    }

    /// GELU(x) = x Φ(x) (Hendrycks & Gimpel 2016), exact. Burn 0.21's own `gelu` has the exact
    /// value on every backend, but on two of them the derivative of the tanh approximation: an
    /// audit against the true gradient cannot use it.
    fn exact_gelu(x: Tensor<Self, 2>) -> Tensor<Self, 2> {
        composed::exact_gelu(x)
    }

    /// dy (Φ(x) + x φ(x)): what reaches x.
    fn exact_gelu_backward(x: Tensor<Self, 2>, dy: Tensor<Self, 2>) -> Tensor<Self, 2> {
        composed::exact_gelu_backward(x, dy)
    }

    /// LN(x) = (x − mean)/√(var + ε) · γ + β over the features of each row, var divided by d.
    fn layer_norm_rows(x: Tensor<Self, 2>, norm: ScaleShift<Self>) -> Tensor<Self, 2> {
        composed::layer_norm_rows(x, norm)
    }

    /// What reaches the arguments of [`Kernels::layer_norm_rows`]; x only if `wants_x`.
    fn layer_norm_rows_backward(
        x: Tensor<Self, 2>,
        gamma: Tensor<Self, 1>,
        dy: Tensor<Self, 2>,
        wants_x: bool,
    ) -> NormGradients<Self> {
        composed::layer_norm_rows_backward(x, gamma, dy, wants_x)
    }

    /// LN(x) W + b.
    fn normed_affine(
        x: Tensor<Self, 2>,
        norm: ScaleShift<Self>,
        map: Affine<Self>,
    ) -> Tensor<Self, 2> {
        Self::affine(Self::layer_norm_rows(x, norm), map)
    }

    /// What reaches the arguments of [`Kernels::normed_affine`]; x only if `wants_x`. `weight` is W or
    /// what stands for it ([`Affine::back`]): all but ∂W crosses the map through it. Under a local
    /// rule nobody asks for x. Then one product G = x̂ᵀ dy, x̂ the rows before scale and
    /// shift, gives all the rest, and the product dy Wᵀ is saved:
    /// ∂W = γ ⊙ G + β ⊗ Σdy, ∂γ_j = Σ_k W_jk G_jk, ∂β = W Σdy.
    fn normed_affine_backward(
        x: Tensor<Self, 2>,
        norm: ScaleShift<Self>,
        weight: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        wants_x: bool,
    ) -> (NormGradients<Self>, AffineGradients<Self>) {
        let bias = Self::sum_rows(dy.clone());
        if wants_x {
            let dz = Self::affine_backward_x(weight, dy.clone());
            let z = Self::layer_norm_rows(x.clone(), norm.clone());
            let through = Self::layer_norm_rows_backward(x, norm.gamma, dz, true);
            return (
                through,
                AffineGradients { weight: Self::affine_backward_weight(z, dy), bias },
            );
        }
        let (ones, zeros) = (norm.gamma.ones_like(), norm.gamma.zeros_like());
        let plain = Self::layer_norm_rows(x, ScaleShift { gamma: ones, beta: zeros });
        let g = Self::affine_backward_weight(plain, dy);
        let (through, weight) = Self::behind_scale_shift(norm, weight, g, bias.clone());
        (through, AffineGradients { weight, bias })
    }

    /// ∂γ, ∂β and ∂W of [`Kernels::normed_affine_backward`], of G and Σdy.
    fn behind_scale_shift(
        norm: ScaleShift<Self>,
        weight: Tensor<Self, 2>,
        g: Tensor<Self, 2>,
        dbias: Tensor<Self, 1>,
    ) -> (NormGradients<Self>, Tensor<Self, 2>) {
        composed::behind_scale_shift(norm, weight, g, dbias)
    }

    /// `scale` · Σ ⟨x_i, a_i⟩ of x [n · tokens, d] and a credit a [n, d], which every token of a
    /// sample shares and no gradient passes: [1].
    fn inner_product(x: Tensor<Self, 2>, credit: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 1> {
        composed::inner_product(x, credit, scale)
    }

    /// `scale` · g · a for each token: what reaches x; g [1].
    fn inner_product_backward(
        credit: Tensor<Self, 2>,
        tokens: usize,
        g: Tensor<Self, 1>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        composed::inner_product_backward(credit, tokens, g, scale)
    }

    /// `scale` · Σ x_ij² of x [n, d]: [1].
    fn squared_norm(x: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 1> {
        Self::inner_product(x.clone(), x, scale)
    }

    /// Stands for Σ ⟨x_i W + b, c_i⟩ over the rows of x [n · tokens, in], with a credit c that the
    /// tokens of a sample share and no gradient passes. Its value is 0: only the gradient, which
    /// needs no product of more than n rows, is of use.
    fn affine_toward(
        x: Tensor<Self, 2>,
        map: Affine<Self>,
        credit: Shared<Self>,
    ) -> Tensor<Self, 1> {
        let _ = (map, credit);
        float_tensor(TensorData::from([0f32]), &x.device())
    }

    /// x / (RMS(by) + ε) of x [n, _], the RMS over each row of `by` [n, d].
    fn rms_scaled(x: Tensor<Self, 2>, by: Tensor<Self, 2>, epsilon: f64) -> Tensor<Self, 2> {
        composed::rms_scaled(x, by, epsilon)
    }

    /// [n, heads, tokens, k] of rows [n · tokens, heads · k].
    fn split_heads(rows: Tensor<Self, 2>, n: usize, heads: usize) -> Tensor<Self, 4> {
        let [all, d] = rows.dims();
        rows.reshape([n, all / n, heads, d / heads]).swap_dims(1, 2)
    }

    /// Rows [n · tokens, heads · k] of [n, heads, tokens, k].
    fn merge_heads(x: Tensor<Self, 4>) -> Tensor<Self, 2> {
        composed::merge_heads(x)
    }

    /// softmax over the last dimension of `scale` · x: [n, tokens].
    fn scaled_softmax(x: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 2> {
        composed::scaled_softmax(x, scale)
    }

    /// `scale` · y ⊙ (dy − Σ_j y_j dy_j): what reaches x, y the softmax itself.
    fn scaled_softmax_backward(
        y: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        composed::scaled_softmax_backward(y, dy, scale)
    }

    /// A convolution of maps x [N · H · W, C]: [N · H' · W', C'], with a map [k · k · C, C'] of what the
    /// window sees, row by row and channels last. What stands for W where a gradient crosses an affine
    /// map stands for it here.
    fn convolution(x: Tensor<Self, 2>, window: Window, map: Affine<Self>) -> Tensor<Self, 2> {
        convolution::convolution(x, window, map)
    }

    /// What reaches x.
    fn convolution_backward_x(
        weight: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        window: Window,
    ) -> Tensor<Self, 2> {
        convolution::convolution_backward_x(weight, dy, window)
    }

    /// What reaches W; b is reached by [`Kernels::sum_rows`].
    fn convolution_backward_weight(
        x: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        window: Window,
    ) -> Tensor<Self, 2> {
        convolution::convolution_backward_weight(x, dy, window)
    }

    /// The largest value of each channel of maps x [N · H · W, C] over squares of `size`, which fill the
    /// map: [N · H/s · W/s, C].
    fn max_pool(x: Tensor<Self, 2>, sides: [usize; 2], size: usize) -> Tensor<Self, 2> {
        convolution::max_pool(x, sides, size)
    }

    /// What reaches x: dy at the first of the largest values.
    fn max_pool_backward(
        x: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        sides: [usize; 2],
        size: usize,
    ) -> Tensor<Self, 2> {
        convolution::max_pool_backward(x, dy, sides, size)
    }

    /// BatchNorm of x [n, d] with statistics that are given, or with the batch's own, through which its
    /// gradient then passes. The statistics that were used, which no gradient passes by themselves.
    fn batch_norm(
        x: Tensor<Self, 2>,
        norm: ScaleShift<Self>,
        given: Option<Statistics<Self>>,
    ) -> (Tensor<Self, 2>, Statistics<Self>) {
        let statistics = given.unwrap_or_else(|| Self::column_statistics(x.clone()));
        (Self::normalised_columns(x, statistics.clone(), norm), statistics)
    }

    /// Those of the columns of x.
    fn column_statistics(x: Tensor<Self, 2>) -> Statistics<Self> {
        batch_norm::statistics(x)
    }

    /// (x − mean)/√(var + ε) γ + β by columns.
    fn normalised_columns(
        x: Tensor<Self, 2>,
        statistics: Statistics<Self>,
        norm: ScaleShift<Self>,
    ) -> Tensor<Self, 2> {
        batch_norm::normalised(x, statistics, norm)
    }

    /// What reaches the arguments of [`Kernels::batch_norm`], whose statistics are the batch's own or not.
    fn batch_norm_backward(
        x: Tensor<Self, 2>,
        statistics: Statistics<Self>,
        gamma: Tensor<Self, 1>,
        dy: Tensor<Self, 2>,
        of_batch: bool,
    ) -> NormGradients<Self> {
        batch_norm::backward(x, statistics, gamma, dy, of_batch)
    }

    /// One parameter after a step of AdamW, and its moments.
    fn adamw(
        adamw: AdamW,
        parameter: Tensor<Self, 1>,
        gradient: Tensor<Self, 1>,
        moments: Option<Moments<Self>>,
    ) -> (Tensor<Self, 1>, Moments<Self>) {
        adamw::composed(adamw, parameter, gradient, moments)
    }
}

#[cfg(feature = "ndarray")]
impl Kernels for burn::backend::NdArray<f32> {}
#[cfg(feature = "ndarray")]
impl Kernels for burn::backend::NdArray<f64> {}
#[cfg(feature = "cuda")]
impl Kernels for super::tf32::Cuda {}
