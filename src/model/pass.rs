//! What a pass through a network carries beside the hidden states: whether it learns or evaluates,
//! what gradients cross its maps through, and the buffers that no gradient trains.

use super::NamedTensors;
use crate::backend::{Kernels, float_tensor};
use anyhow::{Result, ensure};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
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

/// What is known of a buffer before the network is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub name: String,
    pub length: usize,
    /// Each of its values before the first batch.
    pub initial: f64,
}

/// As they are before the first batch.
pub fn initial_buffers<B: Backend>(wanted: &[Buffer], device: &B::Device) -> Buffers<B> {
    let filled = |Buffer { name, length, initial }: &Buffer| {
        let values = TensorData::new(vec![*initial; *length], [*length]);
        (name.clone(), float_tensor(values, device))
    };
    wanted.iter().map(filled).collect()
}

/// Those of a checkpoint, on the device.
///
/// # Errors
/// Lists, by name, buffers that are missing, of another shape, or not part of the network.
pub fn buffers_from<B: Backend>(
    wanted: &[Buffer],
    found: &NamedTensors,
    device: &B::Device,
) -> Result<Buffers<B>> {
    let mut problems = Vec::new();
    for Buffer { name, length, .. } in wanted {
        match found.get(name) {
            None => problems.push(format!("{name} is missing")),
            Some(data) if data.shape[..] != [*length] => {
                problems.push(format!("{name} is {:?}, expected [{length}]", &data.shape[..]));
            }
            Some(_) => {}
        }
    }
    let unknown = found.keys().filter(|name| wanted.iter().all(|buffer| buffer.name != **name));
    problems.extend(unknown.map(|name| format!("{name} is unknown")));
    ensure!(problems.is_empty(), "the buffers do not fit the network: {}", problems.join(", "));
    let on_device =
        |(name, data): (&String, &TensorData)| (name.clone(), float_tensor(data.clone(), device));
    Ok(found.iter().map(on_device).collect())
}

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
