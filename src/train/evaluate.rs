//! Accuracy and loss on the test set.

use super::resident::OnDevice;
use crate::backend::Differentiable;
use crate::data::Dataset;
use crate::model::{Network, batch_tensors, mean_cross_entropy};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, Transaction};
use std::ops::Range;

/// What a network does on the whole test set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Fraction classified correctly.
    pub accuracy: f64,
}

/// Test images a forward pass: any number gives the same accuracy.
const BATCH: usize = 500;

/// Runs `net` over the test set.
pub fn evaluate<B: Differentiable, N: Network<B>>(
    net: &N,
    data: &Dataset,
    device: &B::Device,
) -> Evaluation {
    evaluate_on(net, data.test.len(), |range| batch_tensors(data.test_batch(range), device))
}

/// As [`evaluate`], on the `total` images and labels that `batch` gives for each range of them.
pub(super) fn evaluate_on<B: Differentiable, N: Network<B>>(
    net: &N,
    total: usize,
    batch: impl Fn(Range<usize>) -> OnDevice<B>,
) -> Evaluation {
    let net = net.clone().no_grad();
    let ranges = || (0..total).step_by(BATCH).map(|start| start..total.min(start + BATCH));
    let pending = ranges().map(|range| {
        let (images, labels) = batch(range);
        let logits = net.logits_from(0, net.embed(images));
        let hits = hits(logits.clone().inner(), labels.clone().inner());
        (mean_cross_entropy(logits, labels).inner(), hits)
    });
    let (mut sum, mut correct) = (0.0, 0);
    for ((loss, hits), range) in read(pending).into_iter().zip(ranges()) {
        sum += loss * range.len() as f64;
        correct += hits;
    }
    Evaluation { loss: sum / total as f64, accuracy: correct as f64 / total as f64 }
}

/// Number of samples whose largest logit is the label's: [1].
pub(super) fn hits<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
) -> Tensor<B, 1, Int> {
    logits.argmax(1).squeeze_dim::<1>(1).equal(labels).int().sum()
}

/// Brings losses [1] and hits [1] to the host. All are read at once: each reading waits for the
/// device.
pub(super) fn read<B: Backend>(
    pending: impl Iterator<Item = (Tensor<B, 1>, Tensor<B, 1, Int>)>,
) -> Vec<(f64, u64)> {
    let (losses, hits): (Vec<_>, Vec<_>) = pending.unzip();
    if losses.is_empty() {
        return Vec::new();
    }
    let both = Transaction::default()
        .register(Tensor::cat(losses, 0))
        .register(Tensor::cat(hits, 0))
        .execute();
    let losses = both[0].iter::<f64>();
    losses.zip(both[1].iter::<i64>().map(|hits| hits as u64)).collect()
}
