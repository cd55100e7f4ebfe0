//! The harness audited: controls of the audit itself and of what a run left behind. Where there is
//! nothing to show they must show nothing, and what is said to be the run's own must be. Each holds, is
//! contradicted or cannot be checked, as the checks of [`evidence`](crate::evidence) that they join; a
//! contradiction keeps the verdict from being a good one.
//!
//! | file | question | looks at |
//! |---|---|---|
//! | [`zero_credit`] | does a step whose every credit is zero change nothing, to the bit? | the network |
//! | [`constant_predictor`] | does one class for every image get exactly that class's share? | the network |
//! | [`shuffled_labels`] | is the accuracy on shuffled labels chance, and were the trained labels the data's? | the network |
//! | [`evaluation_mode`] | is an output a function of its own image alone, and does evaluating change nothing? | the network |
//! | [`itself`] | has a network depth utility 0 over itself, and is the twin another network? | the network, both checkpoints |
//! | [`random_credit`] | is the cosine of random credit of the same norm zero? | the trace |
//! | [`ceiling`] | is the true gradient, and the run that was trained by it, not beaten? | the controls, the run beside it |
//! | [`own_feedback`] | is the feedback that is measured the one that trained? | the checkpoint, its record |
//! | [`frozen_blocks`] | are blocks that were frozen as their seed drew them? | the checkpoint |
//! | [`own_record`] | does the audit find what the run recorded of itself? | the checkpoint, its metrics |
//!
//! What needs files alone is looked at in every audit, and told where it is contradicted; the rest, and
//! what holds, with the controls.

pub mod ceiling;
pub mod constant_predictor;
pub mod evaluation_mode;
pub mod frozen_blocks;
pub mod itself;
pub mod own_feedback;
pub mod own_record;
pub mod random_credit;
pub mod shuffled_labels;
pub mod zero_credit;

#[cfg(test)]
mod tests;

use crate::backend::Differentiable;
use crate::data::Dataset;
use crate::evidence::Checked;
use crate::learn::Trainee;
use crate::model::{NamedTensors, Network, batch_tensors};
use crate::probe::to_matrix;
use crate::trace::{LayerTrace, Matrix};
use crate::train::checkpoint::{Checkpoint, unpack};
use anyhow::Result;
use burn::module::Module;
use burn::tensor::TensorData;
use std::ops::Range;

/// The head, behind the norm where there is one: [d, classes] and [classes].
const HEAD_WEIGHT: &str = "readout.head.weight";
const HEAD_BIAS: &str = "readout.head.bias";

/// Standard errors beyond which a number is not chance: once in 5e8.
const CHANCE: f64 = 6.0;

/// The network that is looked at.
pub struct Subject<'a, B: Differentiable> {
    pub checkpoint: &'a Checkpoint,
    /// What it holds.
    pub trainee: &'a Trainee<B>,
    pub data: &'a Dataset,
    pub device: &'a B::Device,
}

impl<B: Differentiable> Subject<'_, B> {
    /// How many of the first test images the controls run on.
    fn samples(&self) -> usize {
        self.checkpoint.config.control_samples.min(self.data.test.len())
    }

    /// The outputs of the test images of `range`, in one pass that evaluates.
    fn outputs(&self, range: Range<usize>) -> Matrix {
        let net = self.trainee.net().clone().no_grad();
        let (images, _) = batch_tensors::<B>(self.data.test_batch(range), self.device);
        let pass = &mut self.trainee.pass();
        let hidden = net.embed(images, pass);
        to_matrix(net.outputs_from(0, hidden, pass).inner())
    }

    /// The network of `checkpoint` with a head whose weights are zero, whose bias is `bias` where that is
    /// given, and with `learner`; `None` where the network has no such head.
    ///
    /// # Errors
    /// If the tensors do not fit: never for those of a checkpoint that was loaded.
    fn with_head(
        &self,
        checkpoint: &Checkpoint,
        bias: Option<Vec<f32>>,
        learner: &NamedTensors,
    ) -> Result<Option<Trainee<B>>> {
        let mut network = unpack(&checkpoint.network)?;
        let Some(weight) = network.get_mut(HEAD_WEIGHT) else { return Ok(None) };
        *weight = zeros(weight);
        if let Some(bias) = bias {
            let Some(own) = network.get_mut(HEAD_BIAS) else { return Ok(None) };
            *own = TensorData::new(bias, own.shape.clone());
        }
        let tensors = [&network, &unpack(&checkpoint.buffers)?, learner];
        let classes = self.data.provenance.classes;
        Trainee::from_named(&checkpoint.config, classes, tensors, self.device).map(Some)
    }
}

/// Runs every control that needs the network. `accuracy` is the run's on the whole test set, `fitted` the
/// training accuracy that it recorded of the checkpoint's epoch.
///
/// # Errors
/// If a tensor of the checkpoint does not fill its shape.
pub fn of_network<B: Differentiable>(
    subject: &Subject<B>,
    trace: &LayerTrace,
    accuracy: f64,
    fitted: Option<f64>,
) -> Result<Vec<Checked>> {
    let outputs = subject.outputs(0..subject.samples());
    let training = fitted.map(|recorded| shuffled_labels::of_training(subject, recorded));
    let checks = vec![
        zero_credit::zero_credit(subject)?,
        constant_predictor::constant_predictor(subject, accuracy)?,
        shuffled_labels::shuffled_labels(subject, &outputs),
        evaluation_mode::evaluation_mode(subject, &outputs),
        itself::itself(subject),
        random_credit::random_credit(trace, subject.checkpoint.config.seed),
    ];
    Ok(checks.into_iter().chain(training).collect())
}

/// The controls that the arrays of a trace allow; `seed` is that of what is drawn.
pub fn of_trace(trace: &LayerTrace, seed: u64) -> Vec<Checked> {
    vec![
        constant_predictor::of_trace(trace),
        shuffled_labels::of_trace(trace, seed),
        random_credit::random_credit(trace, seed),
        Checked::not_checkable(
            "controls on the network",
            "Zero credit, the mode of evaluation, the ceiling and the frozen blocks are looked at on a \
             network, which a trace does not hold: diagnose the checkpoint.",
        ),
    ]
}

/// Zeros of that shape.
fn zeros(like: &TensorData) -> TensorData {
    let count: usize = like.shape.iter().product();
    TensorData::new(vec![0f32; count], like.shape.clone())
}

/// How many labels there are of each class.
fn counts(labels: impl IntoIterator<Item = usize>, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
        }
    }
    counts
}

/// The class of the largest output, the first where several are.
fn predicted(outputs: &[f64]) -> usize {
    let larger = |best: usize, c: usize| if outputs[c] > outputs[best] { c } else { best };
    (1..outputs.len()).fold(0, larger)
}
