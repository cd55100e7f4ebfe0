//! Tensors as a checkpoint holds them.

use crate::model::NamedTensors;
use crate::train::optimizer::HostSlots;
use anyhow::{Result, bail};
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

/// An f32 tensor.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    /// Little endian.
    values: ByteBuf,
}

impl HostTensor {
    fn new(data: &TensorData) -> Self {
        let data = data.clone().convert::<f32>();
        let values = data.iter::<f32>().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        Self { shape: data.shape.to_vec(), values: values.into() }
    }

    /// Values that it holds, whatever its shape says.
    pub(super) fn count(&self) -> usize {
        self.values.len() / 4
    }

    /// Whether it is a vector of `count` values.
    pub(super) fn is_vector_of(&self, count: usize) -> bool {
        self.shape == [count] && self.values.len() == 4 * count
    }

    fn data(&self, name: &str) -> Result<TensorData> {
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count.and_then(|n| n.checked_mul(4)) != Some(self.values.len()) {
            bail!("{name} has {} bytes for the shape {:?}", self.values.len(), self.shape);
        }
        let floats = self.values.chunks_exact(4);
        let floats: Vec<f32> =
            floats.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(TensorData::new(floats, self.shape.clone()))
    }
}

/// An update rule's state for one parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlotsOfParameter {
    /// Steps taken.
    pub(super) time: usize,
    /// By slot: `moment_1`.
    pub(super) values: BTreeMap<String, HostTensor>,
}

/// Wraps tensors for a checkpoint.
pub fn pack(tensors: &NamedTensors) -> BTreeMap<String, HostTensor> {
    tensors.iter().map(|(name, data)| (name.clone(), HostTensor::new(data))).collect()
}

/// The tensors of a checkpoint.
///
/// # Errors
/// Names the tensor whose bytes do not fill its shape.
pub fn unpack(tensors: &BTreeMap<String, HostTensor>) -> Result<NamedTensors> {
    tensors.iter().map(|(name, t)| Ok((name.clone(), t.data(name)?))).collect()
}

/// Wraps an update rule's state for a checkpoint.
pub fn pack_slots(state: BTreeMap<String, HostSlots>) -> BTreeMap<String, SlotsOfParameter> {
    let pack = |HostSlots { time, values }| SlotsOfParameter { time, values: pack(&values) };
    state.into_iter().map(|(name, slots)| (name, pack(slots))).collect()
}

/// The update rule's state of a checkpoint.
///
/// # Errors
/// Names the slot whose bytes do not fill its shape.
pub fn unpack_slots(
    state: &BTreeMap<String, SlotsOfParameter>,
) -> Result<BTreeMap<String, HostSlots>> {
    let unpack = |slots: &SlotsOfParameter| -> Result<HostSlots> {
        Ok(HostSlots { time: slots.time, values: unpack(&slots.values)? })
    };
    state.iter().map(|(name, slots)| Ok((name.clone(), unpack(slots)?))).collect()
}
