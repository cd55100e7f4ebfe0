//! What the outputs of a batch are held against: classes, or vectors.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};

/// The wanted outputs of a batch, on its device.
#[derive(Clone, Debug)]
pub enum Target<B: Backend> {
    /// The class of each sample: [N].
    Classes(Tensor<B, 1, Int>),
    /// The outputs wanted of each: [N, C].
    Values(Tensor<B, 2>),
}

impl<B: Backend> Target<B> {
    /// As outputs [N, C] like `outputs`: one-hot classes, or the values.
    pub fn as_outputs(&self, outputs: &Tensor<B, 2>) -> Tensor<B, 2> {
        let [_, classes] = outputs.dims();
        match self {
            Self::Classes(labels) => {
                labels.clone().one_hot::<2>(classes).float().cast(outputs.dtype())
            }
            Self::Values(values) => values.clone(),
        }
    }

    /// Those of `times` batches below each other, all like this one.
    pub fn repeated(self, times: usize) -> Self {
        match self {
            Self::Classes(labels) => Self::Classes(labels.repeat_dim(0, times)),
            Self::Values(values) => Self::Values(values.repeat_dim(0, times)),
        }
    }

    /// The class of each sample [N]: of values the largest.
    pub fn classes(self) -> Tensor<B, 1, Int> {
        match self {
            Self::Classes(labels) => labels,
            Self::Values(values) => values.argmax(1).squeeze_dim::<1>(1),
        }
    }
}

impl<B: AutodiffBackend> Target<B> {
    /// The same on a backend that differentiates.
    pub fn from_inner(target: Target<B::InnerBackend>) -> Self {
        match target {
            Target::Classes(labels) => Self::Classes(Tensor::from_inner(labels)),
            Target::Values(values) => Self::Values(Tensor::from_inner(values)),
        }
    }

    /// The same without a graph.
    pub fn inner(self) -> Target<B::InnerBackend> {
        match self {
            Self::Classes(labels) => Target::Classes(labels.inner()),
            Self::Values(values) => Target::Values(values.inner()),
        }
    }
}

impl<B: Backend> From<Tensor<B, 1, Int>> for Target<B> {
    fn from(labels: Tensor<B, 1, Int>) -> Self {
        Self::Classes(labels)
    }
}

/// The wanted outputs of a batch, on the host.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The class of each sample.
    Classes(&'a [u32]),
    /// The outputs wanted of each, one sample after the other.
    Values(&'a [f32]),
}

impl<'a> From<&'a Vec<u32>> for Wanted<'a> {
    fn from(labels: &'a Vec<u32>) -> Self {
        Self::Classes(labels)
    }
}
