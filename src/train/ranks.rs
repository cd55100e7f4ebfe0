//! Ranks over epochs (protocol §11): of credit and reference gradient at each layer, and of each block
//! matrix the rule's gradient on one batch, those gradients so far, and the change since the start.
//!
//! All are of the first evaluation batch, whatever epoch it is: N = `probe_batch_size` bounds the rank of
//! credit and reference gradient, C − 1 that of DFA's credit.

use crate::backend::Differentiable;
use crate::config::Config;
use crate::data::Dataset;
use crate::diagnostics::rank::{MatrixRank, RankOf, rank, ranks_of_trace};
use crate::diagnostics::trajectory::Trajectory;
use crate::learn::{Trainee, Turn};
use crate::model::{Net, Part, batch_tensors, export};
use crate::probe::evaluation_batch;
use crate::trace::LayerTrace;
use anyhow::Result;

/// Whether the ranks of `epoch` are wanted: every `rank_every` epochs and at the end, but not under a
/// network that stays as it is.
pub(super) fn are_wanted(config: &Config, epoch: usize) -> bool {
    let every = config.rank_every;
    every > 0
        && config.frozen_network_sha256.is_none()
        && (epoch.is_multiple_of(every) || epoch == config.epochs)
}

/// The ranks after `epoch`; the gradients join `trajectory`.
///
/// # Errors
/// As [`ranks_of_trace`].
pub(super) fn ranks<B: Differentiable>(
    trainee: &Trainee<B>,
    (config, data): (&Config, &Dataset),
    device: &B::Device,
    trace: &LayerTrace,
    (epoch, trajectory): (usize, &mut Trajectory),
) -> Result<Vec<MatrixRank>> {
    let first = LayerTrace { batches: trace.batches[..1].to_vec(), ..trace.clone() };
    let mut ranks = ranks_of_trace(&first)?;
    let (images, target) = batch_tensors::<B>(evaluation_batch(config, data, 0), device);
    let gradients = trainee.learn(images, target, Turn::measuring(config.seed)).network;
    let initial = export(&Net::<B>::new(config, data.provenance.classes, device));
    let mut changes = Vec::new();
    for (name, after) in export(trainee.net()).iter() {
        let ([rows, cols], Part::Block(_)) = (&after.shape[..], Part::of(name)) else { continue };
        if let Some(gradient) = gradients.get(name) {
            let values: Vec<f64> = gradient.to_data().iter::<f64>().collect();
            ranks.push(rank(&RankOf::WeightGradient.name(name), *rows, *cols, &values));
            trajectory.add(config.seed, name, epoch, &values);
        }
        let Some(before) = initial.get(name) else { continue };
        let change: Vec<f64> =
            after.iter::<f64>().zip(before.iter::<f64>()).map(|(a, b)| a - b).collect();
        changes.push(rank(&RankOf::Change.name(name), *rows, *cols, &change));
    }
    ranks.extend(trajectory.ranks());
    ranks.extend(changes);
    Ok(ranks)
}
