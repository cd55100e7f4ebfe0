//! What the feedback matrices of a checkpoint are held against: its weights, and those that training
//! began from.

use super::beside::run_folder;
use crate::config::FeedbackSharing;
use crate::evidence::Checked;
use crate::evidence::feedback::{Named, Weights, feedback};
use crate::files::exists;
use crate::learn::FEEDBACK;
use crate::model::NamedTensors;
use crate::trace::Matrix;
use crate::train::checkpoint::{Checkpoint, unpack};
use crate::train::run_dir::RunDir;
use anyhow::Result;
use burn::tensor::TensorData;
use std::path::Path;

/// The weights that turn h_L, behind its norm, into logits: [d, classes].
const HEAD: &str = "readout.head.weight";

/// Whether the feedback matrices of the checkpoint at `path` are what a rule of random feedback owns.
///
/// # Errors
/// If a tensor of the checkpoint does not fill its shape.
pub(super) fn feedback_of(path: &Path, checkpoint: &Checkpoint) -> Result<Checked> {
    let present = named(&unpack(&checkpoint.network)?);
    let head = present.iter().find(|m| m.name == HEAD).map(|m| m.matrix.clone());
    let (initial, unknown) = match initial(path, checkpoint) {
        Ok(initial) => (named(&initial), None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let weights = Weights {
        head,
        present,
        initial,
        unknown,
        shared: checkpoint.config.feedback_sharing == FeedbackSharing::Shared,
        ..Weights::default()
    };
    // What stands for a map's own weights may come to be them: Kolen–Pollack's does.
    let own = match checkpoint.config.rule().is_local() {
        true => named(&unpack(&checkpoint.learner)?),
        false => Vec::new(),
    };
    // Not the maps of an auxiliary network, nor what else has learned.
    let learns = |name: &str| checkpoint.slots.contains_key(name);
    let is_fixed = |m: &Named| m.name.starts_with(FEEDBACK) && !learns(&m.name);
    let own: Vec<_> = own.into_iter().filter(is_fixed).collect();
    Ok(feedback(&own, &weights))
}

/// The network that an import's training began from, where that was imported, too; none for a run of this
/// program, whose feedback comes from a stream of its own.
fn initial(path: &Path, checkpoint: &Checkpoint) -> Result<NamedTensors, String> {
    if checkpoint.imported.is_none() {
        return Ok(NamedTensors::new());
    }
    let start = run_folder(path).map(|folder| RunDir::at(folder).epoch_checkpoint(0));
    let Some(start) = start else { return Err("the checkpoint lies in no folder".into()) };
    let shown = crate::shown::line(&start.display().to_string());
    let read = || -> Result<NamedTensors> { unpack(&Checkpoint::load(&start)?.network) };
    match exists(&start) {
        Ok(true) => read().map_err(|error| format!("{error:#}")),
        Ok(false) => Err(format!("the untrained network was not imported as {shown}")),
        Err(error) => Err(format!("{error:#}")),
    }
}

fn named(tensors: &NamedTensors) -> Vec<Named> {
    let matrix = |(name, data): (&String, &TensorData)| -> Option<Named> {
        let [rows, cols] = data.shape[..] else { return None };
        let values = data.iter::<f64>().collect();
        Some(Named { name: name.clone(), matrix: Matrix::new(rows, cols, values) })
    };
    tensors.iter().filter_map(matrix).collect()
}
