//! Accuracy and loss on the test set.

use crate::backend::Differentiable;
use crate::data::Dataset;
use crate::model::{Network, batch_tensors, mean_cross_entropy};
use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Int, Tensor};

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
    let net = net.clone().no_grad();
    let (mut loss, mut correct) = (0.0, 0);
    let total = data.test.len();
    for start in (0..total).step_by(BATCH) {
        let range = start..total.min(start + BATCH);
        let n = range.len();
        let (images, labels) = batch_tensors::<B>(data.test_batch(range), device);
        let logits = net.logits_from(0, net.embed(images));
        correct += count(hits(logits.clone(), labels.clone()));
        loss += mean_cross_entropy(logits, labels).into_scalar().elem::<f64>() * n as f64;
    }
    Evaluation { loss: loss / total as f64, accuracy: correct as f64 / total as f64 }
}

/// Number of samples whose largest logit is the label's: [1].
pub fn hits<B: Backend>(logits: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1, Int> {
    logits.argmax(1).squeeze_dim::<1>(1).equal(labels).int().sum()
}

/// Brings a count to the host.
pub fn count<B: Backend>(hits: Tensor<B, 1, Int>) -> u64 {
    hits.into_scalar().elem::<i64>() as u64
}
