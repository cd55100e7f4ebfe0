//! A credit that all tokens of a sample share, and what an affine map owes to it.

use super::Kernels;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// c [n, d]
#[derive(Clone, Debug)]
pub enum Shared<B: Backend> {
    Whole(Tensor<B, 2>),
    /// c = e Bᵀ, of rank at most C: e [n, C], B [d, C]. No product below has more than C in one of
    /// its sizes, but for those that write the result.
    Factors {
        errors: Tensor<B, 2>,
        feedback: Tensor<B, 2>,
    },
}

impl<B: Backend> Shared<B> {
    /// The same on another backend.
    pub(super) fn map<C: Backend>(self, f: impl Fn(Tensor<B, 2>) -> Tensor<C, 2>) -> Shared<C> {
        match self {
            Self::Whole(credit) => Shared::Whole(f(credit)),
            Self::Factors { errors, feedback } => {
                Shared::Factors { errors: f(errors), feedback: f(feedback) }
            }
        }
    }

    /// g c of g [1].
    pub(super) fn times(self, g: Tensor<B, 1>) -> Self {
        let g = g.unsqueeze_dim::<2>(0);
        match self {
            Self::Whole(credit) => Self::Whole(credit * g),
            Self::Factors { errors, feedback } => Self::Factors { errors: errors * g, feedback },
        }
    }

    /// n
    pub(super) fn samples(&self) -> usize {
        match self {
            Self::Whole(rows) | Self::Factors { errors: rows, .. } => rows.dims()[0],
        }
    }
}

impl<B: Kernels> Shared<B> {
    /// c Wᵀ [n, in] of W [in, d].
    pub(super) fn back_through(&self, weight: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Whole(credit) => B::affine_backward_x(weight, credit.clone()),
            Self::Factors { errors, feedback } => {
                B::affine_backward_x(weight.matmul(feedback.clone()), errors.clone())
            }
        }
    }

    /// xᵀ c [in, d] of x [n, in].
    pub(super) fn along(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Whole(credit) => B::affine_backward_weight(x, credit.clone()),
            Self::Factors { errors, feedback } => {
                let errors = B::affine_backward_weight(x, errors.clone());
                B::affine_backward_x(feedback.clone(), errors)
            }
        }
    }

    /// Σ c [d] over the samples.
    pub(super) fn sum(&self) -> Tensor<B, 1> {
        match self {
            Self::Whole(credit) => B::sum_rows(credit.clone()),
            Self::Factors { errors, feedback } => {
                let errors = B::sum_rows(errors.clone()).unsqueeze_dim(0);
                B::affine_backward_x(feedback.clone(), errors).squeeze_dim(0)
            }
        }
    }
}
