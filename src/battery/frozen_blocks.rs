//! Are blocks that were frozen as their seed drew them?
//!
//! Depth utility asks what training the blocks pays, so the blocks of the frozen twin must be those of
//! the initial network, to the bit, and its readout must not: an untrained one makes any run look good.
//! The same holds for the lower blocks of a run with `frozen_blocks`.

use crate::backend::{self, Differentiable, Task};
use crate::config::{Config, Method};
use crate::evidence::{Checked, Part as Voided};
use crate::model::{NamedTensors, Net, Part, export};
use crate::train::checkpoint::{Checkpoint, unpack};
use crate::words::percent;
use anyhow::Result;
use burn::tensor::TensorData;

pub const CHECK: &str = "frozen blocks";

/// Looks at the blocks of `checkpoint` that were not to be trained; `whose` is "the run" or "the frozen
/// twin". `None` where all were to be trained.
///
/// # Errors
/// If a tensor of the checkpoint does not fill its shape, or its backend cannot be used.
pub fn frozen_blocks(checkpoint: &Checkpoint, whose: &str) -> Result<Option<Checked>> {
    let config = &checkpoint.config;
    if frozen(config) == 0 {
        return Ok(None);
    }
    if checkpoint.imported.is_some() {
        let why = format!("What {whose} began from is not known: it was imported.");
        return Ok(Some(Checked::not_checkable(CHECK, why)));
    }
    let initial = backend::run(config, Initial { config, classes: checkpoint.data.classes })?;
    Ok(Some(judged(checkpoint, &unpack(&checkpoint.network)?, &initial, whose)))
}

/// How many blocks were not to be trained.
fn frozen(config: &Config) -> usize {
    match config.method {
        Method::Frozen => config.blocks(),
        _ => config.frozen_blocks.min(config.blocks()),
    }
}

/// The network that training began from.
struct Initial<'a> {
    config: &'a Config,
    classes: usize,
}

impl Task for Initial<'_> {
    type Output = NamedTensors;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<NamedTensors> {
        Ok(export(&Net::<B>::new(self.config, self.classes, &device)))
    }
}

fn judged(
    checkpoint: &Checkpoint,
    network: &NamedTensors,
    initial: &NamedTensors,
    whose: &str,
) -> Checked {
    let (config, seed) = (&checkpoint.config, checkpoint.config.seed);
    let contradicted =
        |finding: String| Checked::contradicted(CHECK, &[Voided::DepthUtility], finding);
    let is_frozen = |name: &str| matches!(Part::of(name), Part::Block(l) if l < frozen(config));
    let of_blocks = network.iter().filter(|(name, _)| is_frozen(name));
    let moved: Vec<(&String, f64)> = of_blocks
        .filter_map(|(name, held)| {
            let drawn = initial.get(name)?;
            (held != drawn).then(|| (name, distance(held, drawn)))
        })
        .collect();
    let of_optimiser =
        checkpoint.slots.keys().find(|name| name.starts_with("blocks.") && is_frozen(name));
    if let Some((name, by)) = moved.first() {
        let trained = match of_optimiser {
            Some(_) => "the optimiser keeps a state for it, so it was trained",
            None => "it was trained, or drawn from another seed",
        };
        return contradicted(format!(
            "The blocks of {whose} are not frozen: {} of their parameters differ from what seed {seed} draws, \
             first {name} by {} of its length; {trained}.",
            moved.len(),
            percent(*by)
        ));
    }
    if let Some(name) = of_optimiser {
        return contradicted(format!(
            "The optimiser of {whose} keeps a state for {name}, which was not to be trained."
        ));
    }
    let is_readout = |name: &&String| Part::of(name) == Part::Readout;
    let untrained = network.keys().filter(is_readout).all(|n| network.get(n) == initial.get(n));
    if untrained && checkpoint.progress.epoch > 0 {
        return contradicted(format!(
            "The readout of {whose} is what seed {seed} draws, after {} epochs: nothing of it was trained, and \
             a margin over it is no depth utility.",
            checkpoint.progress.epoch
        ));
    }
    let finding = format!("The frozen blocks of {whose} are what seed {seed} draws, to the bit.");
    Checked::holds(CHECK, finding)
}

/// ‖held − drawn‖ over ‖drawn‖.
fn distance(held: &TensorData, drawn: &TensorData) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = held.iter::<f64>().zip(drawn.iter::<f64>());
    let apart = square(&mut pairs.map(|(a, b)| a - b));
    (apart / square(&mut drawn.iter::<f64>())).sqrt()
}
