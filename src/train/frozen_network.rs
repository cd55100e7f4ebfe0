//! The network of another run, which stays as it is while a credit learns from its hidden states
//! (protocol §6.9).

use super::checkpoint::{Checkpoint, unpack};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::learn::{Trainee, draw};
use anyhow::{Context, Result, ensure};

/// The network in the file that `config` names, with a freshly drawn learner.
///
/// # Errors
/// Names the file: if it cannot be read, is not the one of `digest`, or holds another network than the
/// configuration describes.
pub(super) fn trainee<B: Differentiable>(
    config: &Config,
    digest: &str,
    classes: usize,
    device: &B::Device,
) -> Result<Trainee<B>> {
    let path = config
        .frozen_network
        .as_deref()
        .with_context(|| format!("frozen_network: expected the checkpoint of SHA-256 {digest}"))?;
    let named = path.display();
    let checkpoint = Checkpoint::load_of(path, digest).context("frozen_network")?;
    let differences = config.shape_unlike(&checkpoint.config);
    ensure!(differences.is_empty(), "frozen_network: {named}: {}", differences.join("; "));
    let [network, buffers] = [unpack(&checkpoint.network)?, unpack(&checkpoint.buffers)?];
    let learner = draw(config, classes, config.seed);
    Trainee::from_named(config, classes, [&network, &buffers, &learner], device)
        .with_context(|| format!("frozen_network: {named}"))
}
