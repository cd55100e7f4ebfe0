//! Accuracy and loss on the test set.

use super::resident::OnDevice;
use crate::backend::Differentiable;
use crate::data::Dataset;
use crate::learn::Trainee;
use crate::model::{Network, batch_tensors, hits, hits_among};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, Transaction};
use std::ops::Range;

/// What a network does on the whole test set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f64,
    /// Fraction classified correctly.
    pub accuracy: f64,
    /// Fraction whose label is among the five largest outputs; `None` for ten classes or fewer, of which five
    /// say little.
    pub top5: Option<f64>,
}

/// Test images a forward pass: any number gives the same accuracy.
const BATCH: usize = 500;

/// Runs the network over the test set.
pub fn evaluate<B: Differentiable>(
    trainee: &Trainee<B>,
    data: &Dataset,
    device: &B::Device,
) -> Evaluation {
    evaluate_on(trainee, data.test.len(), |range| batch_tensors(data.test_batch(range), device))
}

/// As [`evaluate`], on the `total` inputs and targets that `batch` gives for each range of them.
pub fn evaluate_on<B: Differentiable>(
    trainee: &Trainee<B>,
    total: usize,
    batch: impl Fn(Range<usize>) -> OnDevice<B>,
) -> Evaluation {
    let net = trainee.net().clone().no_grad();
    let objective = trainee.learner.settings().objective;
    let ranges = || (0..total).step_by(BATCH).map(|start| start..total.min(start + BATCH));
    let mut among = Vec::new();
    let pending = ranges().map(|range| {
        let (images, target) = batch(range);
        let pass = &mut trainee.pass();
        let hidden = net.embed(images, pass);
        let outputs = net.outputs_from(0, hidden, pass);
        let classified = outputs.clone().inner();
        if classified.dims()[1] > 10 {
            among.push(hits_among(5, classified.clone(), target.clone().inner()));
        }
        let hits = hits(classified, target.clone().inner());
        (objective.mean_loss(outputs, target).inner(), hits)
    });
    let (mut sum, mut correct) = (0.0, 0);
    for ((loss, hits), range) in read(pending).into_iter().zip(ranges()) {
        sum += loss * range.len() as f64;
        correct += hits;
    }
    let count = |hits: Vec<_>| Tensor::cat(hits, 0).into_data().iter::<i64>().sum::<i64>();
    let top5 = (!among.is_empty()).then(|| count(among) as f64 / total as f64);
    Evaluation { loss: sum / total as f64, accuracy: correct as f64 / total as f64, top5 }
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
