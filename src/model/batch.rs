//! A batch on its way from the host to the device.

use super::{Target, Wanted};
use crate::backend::float_tensor;
use crate::data::Batch;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

impl Batch {
    /// What the outputs are held against: vectors where there are some, else classes.
    pub fn wanted(&self) -> Wanted<'_> {
        match self.targets.is_empty() {
            true => Wanted::Classes(&self.labels),
            false => Wanted::Values(&self.targets),
        }
    }
}

/// Inputs [N, _] and what their outputs are held against.
pub fn batch_tensors<B: Backend>(batch: Batch, device: &B::Device) -> (Tensor<B, 2>, Target<B>) {
    let n = batch.labels.len();
    let matrix = |values: Vec<f32>| -> Tensor<B, 2> {
        let width = values.len() / n.max(1);
        float_tensor(TensorData::new(values, [n, width]), device)
    };
    let target = match batch.wanted() {
        Wanted::Classes(labels) => {
            let labels = labels.iter().map(|&y| y as i32).collect::<Vec<_>>();
            Target::Classes(Tensor::from_data(TensorData::new(labels, [n]), device))
        }
        Wanted::Values(values) => Target::Values(matrix(values.to_vec())),
    };
    (matrix(batch.inputs), target)
}
