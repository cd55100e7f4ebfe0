//! A batch on its way from the host to the device.

use crate::backend::float_tensor;
use crate::data::{Batch, PIXELS};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Images [N, 3072] and labels [N].
pub fn batch_tensors<B: Backend>(
    batch: Batch,
    device: &B::Device,
) -> (Tensor<B, 2>, Tensor<B, 1, Int>) {
    let n = batch.labels.len();
    let images = TensorData::new(batch.pixels, [n, PIXELS]);
    let labels = batch.labels.iter().map(|&y| y as i32).collect::<Vec<_>>();
    (float_tensor(images, device), Tensor::from_data(TensorData::new(labels, [n]), device))
}
