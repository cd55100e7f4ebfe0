//! The probe: runs a network over evaluation batches and fills a [`LayerTrace`].
//!
//! A leaf of zeros is added to every hidden state: what reaches it in one backward pass of the
//! batch-mean loss is exactly ∂L/∂h_l. The forward pass is not cut, whatever rule trained the
//! network, so that the reference is the true gradient.

use crate::backend::{Differentiable, differentiating};
use crate::config::{Config, Measure};
use crate::credit::{Known, Rule, bp};
use crate::data::{Batch, Dataset};
use crate::model::{Network, batch_tensors, error, mean_cross_entropy, outline};
use crate::trace::{BatchTrace, LayerTrace, LossReduction, Matrix};
use anyhow::{Result, ensure};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// What a network shows on the evaluation batches.
pub struct Probe<B: Differentiable> {
    pub trace: LayerTrace,
    /// What the credit rule could look at, for each batch.
    pub known: Vec<Known<B::InnerBackend>>,
}

/// Runs `net` over the first `probe_batches` batches of the unshuffled test set.
///
/// # Errors
/// If the test set holds not even one batch.
pub fn probe<B: Differentiable, N: Network<B>>(
    net: &N,
    rule: &Rule<B::InnerBackend>,
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
    let net = net.clone().no_grad();
    let (mut batches, mut known) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for k in 0..count {
        let batch = data.test_batch(k * size..(k + 1) * size);
        let probed = probe_batch(&net, rule, config, batch, device);
        batches.push(probed.trace);
        known.push(probed.known);
    }
    let tokens = if outline(config).has_tokens { config.measure.word() } else { "single" };
    let trace = LayerTrace {
        loss_reduction: Some(LossReduction::Mean),
        credit_trains: None,
        tokens: tokens.into(),
        batches,
    };
    Ok(Probe { trace, known })
}

/// One batch's share of a [`Probe`].
pub struct Probed<B: Backend> {
    /// h_0 … h_L with all their tokens, each [N, T, d].
    pub states: Vec<Tensor<B, 3>>,
    pub trace: BatchTrace,
    pub known: Known<B>,
}

/// Hidden states, reference gradients and raw credits of one batch, for a network whose
/// parameters require no gradient.
pub fn probe_batch<B: Differentiable, N: Network<B>>(
    net: &N,
    rule: &Rule<B::InnerBackend>,
    config: &Config,
    batch: Batch,
    device: &B::Device,
) -> Probed<B::InnerBackend> {
    let host_labels = batch.labels.clone();
    let (images, labels) = batch_tensors::<B>(batch, device);
    let forward = forward_and_back(net, images, labels.clone());

    let measured = |states: &[Tensor<B::InnerBackend, 3>]| -> Vec<Matrix> {
        states.iter().map(|h| to_matrix(select(h.clone(), config.measure))).collect()
    };
    let gradient = measured(&forward.gradient);
    let known = Known {
        error: error(forward.logits.clone(), labels.inner()),
        top: forward.gradient.last().map(|g| g.clone().sum_dim(1).squeeze_dim::<2>(1)),
    };
    let credit = match rule.credit(&known) {
        Some(credit) => credit.layers.into_iter().map(to_matrix).collect(),
        None => bp::credit(&gradient),
    };
    let trace = BatchTrace {
        hidden: measured(&forward.hidden),
        gradient: Some(gradient),
        credit: Some(credit),
        logits: Some(to_matrix(forward.logits)),
        labels: Some(host_labels),
    };
    Probed { states: forward.hidden, trace, known }
}

/// One forward pass and the true gradient at every hidden state.
pub struct Reference<B: Backend> {
    /// h_0 … h_L, each [N, T, d].
    pub hidden: Vec<Tensor<B, 3>>,
    /// g_l = ∂(mean CE)/∂h_l, each [N, T, d].
    pub gradient: Vec<Tensor<B, 3>>,
    /// [N, classes]
    pub logits: Tensor<B, 2>,
}

/// Runs `net` forward, uncut, and the batch-mean cross-entropy back to every hidden state.
pub fn forward_and_back<B: Differentiable, N: Network<B>>(
    net: &N,
    images: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
) -> Reference<B::InnerBackend> {
    let _turn = differentiating();
    let mut leaves = Vec::with_capacity(net.blocks() + 1);
    let mut hidden = Vec::with_capacity(net.blocks() + 1);
    let mut tap = |h: Tensor<B, 3>| {
        let leaf = h.zeros_like().require_grad();
        let h = h + leaf.clone();
        leaves.push(leaf);
        hidden.push(h.clone().inner());
        h
    };
    let mut h = tap(net.embed(images));
    for l in 0..net.blocks() {
        let branch = net.branch(l, h.clone());
        h = tap(net.advance(h, branch));
    }
    let logits = net.readout(h);
    let gradients = mean_cross_entropy(logits.clone(), labels).backward();
    let gradient = leaves
        .iter()
        .map(|leaf| leaf.grad(&gradients).unwrap_or_else(|| leaf.clone().inner()))
        .collect();
    Reference { hidden, gradient, logits: logits.inner() }
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
