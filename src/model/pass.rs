//! What a pass through a network carries beside the hidden states: whether it learns or evaluates,
//! what gradients cross its maps through, and the buffers that no gradient trains.

use crate::backend::Kernels;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::collections::BTreeMap;

/// Whether a pass is part of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Layers that tell a batch's statistics from the data's use the batch's, and keep running ones.
    Train,
    /// Nothing that a layer keeps is changed.
    Eval,
}

/// What no gradient trains and a checkpoint keeps, by name: running statistics.
pub type Buffers<B> = BTreeMap<String, Tensor<B, 1>>;

/// What gradients cross the affine maps through on their way to the hidden states.
#[derive(Clone, Debug, Default)]
pub enum Transport<B: Backend> {
    /// Wᵀ: the true gradient.
    #[default]
    Transposed,
    /// For the maps that are named (`blocks.0.linear1`), the transpose of this [in, out].
    Through(BTreeMap<String, Tensor<B, 2>>),
}

impl<B: Backend> Transport<B> {
    /// What stands for W of the map `name`.
    pub fn back(&self, name: &str) -> Option<Tensor<B, 2>> {
        match self {
            Self::Transposed => None,
            Self::Through(matrices) => matrices.get(name).cloned(),
        }
    }
}

/// One pass through a network.
#[derive(Clone, Debug)]
pub struct Pass<B: Backend> {
    pub mode: Mode,
    pub back: Transport<B>,
    /// As they were before the pass; under [`Mode::Train`] layers put their new ones here.
    pub buffers: Buffers<B>,
}

impl<B: Kernels> Pass<B> {
    /// A pass that evaluates, and through which gradients go as they are.
    pub fn eval(buffers: &Buffers<B>) -> Self {
        Self { mode: Mode::Eval, back: Transport::Transposed, buffers: buffers.clone() }
    }

    /// A pass that trains.
    pub fn train(buffers: &Buffers<B>) -> Self {
        Self { mode: Mode::Train, ..Self::eval(buffers) }
    }
}
