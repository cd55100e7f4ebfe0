//! The probe: runs a network over evaluation batches and fills a [`LayerTrace`].
//!
//! The forward pass is not cut, whatever rule trained the network, so that the reference is the true
//! gradient; and it changes no buffer.

use crate::backend::Differentiable;
use crate::config::{Config, Measure};
use crate::data::{Batch, Dataset};
use crate::learn::{Credited, Family, Known, Learner, Trainee, family, forward_and_back};
use crate::model::{CreditAt, Net, Outline, Target, batch_tensors, outline};
use crate::trace::{BatchTrace, LayerTrace, LossReduction, Matrix};
use anyhow::{Result, ensure};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What a network shows on the evaluation batches.
pub struct Probe<B: Differentiable> {
    pub trace: LayerTrace,
    /// What a local rule could look at, for each batch.
    pub known: Vec<Known<B::InnerBackend>>,
}

/// Runs the network over the first `probe_batches` batches of the unshuffled test set.
///
/// # Errors
/// If the test set holds not even one batch.
pub fn probe<B: Differentiable>(
    trainee: &Trainee<B>,
    config: &Config,
    data: &Dataset,
    device: &B::Device,
) -> Result<Probe<B>> {
    let size = config.probe_batch_size;
    let count = config.probe_batches.min(data.test.len() / size);
    ensure!(
        count > 0,
        "probe_batch_size: the test set holds {} images, not one batch of {size}",
        data.test.len()
    );
    let net = trainee.net().clone().no_grad();
    let (mut batches, mut known) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for k in 0..count {
        let probed = probe_batch(trainee, &net, config, evaluation_batch(config, data, k), device);
        batches.push(probed.trace);
        known.push(probed.known);
    }
    let outline = outline(config, data.provenance.classes);
    let tokens = if outline.has_tokens() { config.measure.word() } else { "single" };
    let trace = LayerTrace {
        loss_reduction: Some(LossReduction::Mean),
        credit_trains: trained_by(config, &outline),
        tokens: tokens.into(),
        batches,
    };
    Ok(Probe { trace, known })
}

/// The layers whose credit trains the blocks, where they are not 0 … L−1: relaxed states train each
/// block by what stands at its output, and a network may ask for that.
fn trained_by(config: &Config, outline: &Outline) -> Option<Vec<usize>> {
    let relaxes = family(config.rule()) == Family::TwoPhase;
    let at_output = relaxes || outline.credit_at == CreditAt::Output;
    (at_output && config.blocks() > 0).then(|| (1..=config.blocks()).collect())
}

/// Evaluation batch `k` of the probe.
pub fn evaluation_batch(config: &Config, data: &Dataset, k: usize) -> Batch {
    let size = config.probe_batch_size;
    data.test_batch(k * size..(k + 1) * size)
}

/// One batch's share of a [`Probe`].
pub struct Probed<B: Backend> {
    /// h_0 … h_L with all their tokens, each [N, T, d].
    pub states: Vec<Tensor<B, 3>>,
    pub trace: BatchTrace,
    pub known: Known<B>,
}

/// Hidden states, reference gradients and raw credits of one batch; `net` is the trainee's, its
/// parameters requiring no gradient.
pub fn probe_batch<B: Differentiable>(
    trainee: &Trainee<B>,
    net: &Net<B>,
    config: &Config,
    batch: Batch,
    device: &B::Device,
) -> Probed<B::InnerBackend> {
    // Vectors have no labels.
    let host_labels = batch.targets.is_empty().then(|| batch.labels.clone());
    let (images, target) = batch_tensors::<B>(batch, device);
    let learner = &trainee.learner;
    let objective = learner.settings().objective;
    let reference =
        forward_and_back(net, trainee.pass(), objective, images.clone(), target.clone());

    let measured = |states: &[Tensor<B::InnerBackend, 3>]| -> Vec<Matrix> {
        states.iter().map(|h| to_matrix(select(h.clone(), config.measure))).collect()
    };
    let gradient = measured(&reference.gradient);
    let known = Known {
        blocks: reference.hidden.len() - 1,
        outputs: reference.outputs.clone(),
        error: objective.error(reference.outputs.clone(), target.clone().inner()),
        target: target.clone().inner(),
        top: reference.gradient.last().map(|g| g.clone().sum_dim(1).squeeze_dim::<2>(1)),
        hidden: match learner.needs_hidden() {
            true => reference.hidden.clone(),
            false => Vec::new(),
        },
    };
    let credit = credit(trainee, learner, net, config.measure, &known, || (images, target));
    let trace = BatchTrace {
        hidden: measured(&reference.hidden),
        credit: Some(credit.unwrap_or_else(|| gradient.clone())),
        gradient: Some(gradient),
        logits: Some(to_matrix(reference.outputs)),
        labels: host_labels,
    };
    Probed { states: reference.hidden, trace, known }
}

/// The raw credit of `learner`, which need not be the trainee's own, at h_0 … h_L where the probe
/// measures; `None` where it is the reference gradient itself.
pub fn credit<B: Differentiable>(
    trainee: &Trainee<B>,
    learner: &Learner<B>,
    net: &Net<B>,
    measure: Measure,
    known: &Known<B::InnerBackend>,
    batch: impl FnOnce() -> (Tensor<B, 2>, Target<B>),
) -> Option<Vec<Matrix>> {
    match learner.credit(net, &trainee.buffers, known, batch) {
        Credited::Reference => None,
        Credited::Shared(layers) => Some(layers.into_iter().map(to_matrix).collect()),
        Credited::Whole(states) => {
            Some(states.into_iter().map(|a| to_matrix(select(a, measure))).collect())
        }
    }
}

/// [N, d] at the tokens where the configuration measures.
pub fn select<B: Backend>(states: Tensor<B, 3>, measure: Measure) -> Tensor<B, 2> {
    match measure {
        Measure::Cls => states.narrow(1, 0, 1).squeeze_dim::<2>(1),
        Measure::Mean => states.mean_dim(1).squeeze_dim::<2>(1),
    }
}

/// Copies a tensor to the host.
pub fn to_matrix<B: Backend>(tensor: Tensor<B, 2>) -> Matrix {
    let [rows, cols] = tensor.dims();
    let values = tensor.into_data().convert::<f64>().into_vec::<f64>();
    Matrix::new(rows, cols, values.expect("converted to f64"))
}
