//! The network of another run, which stays as it is while a credit learns from its hidden states
//! (protocol §6.9).

use super::checkpoint::Checkpoint;
use crate::backend::Differentiable;
use crate::config::Config;
use crate::config::keys::Role;
use crate::files;
use crate::learn::{Trainee, draw};
use anyhow::{Context, Result, ensure};
use std::path::Path;

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
    load(config, digest, path)?
        .frozen_under(config, &draw(config, classes, config.seed), device)
        .with_context(|| format!("frozen_network: {}", path.display()))
}

fn load(config: &Config, digest: &str, path: &Path) -> Result<Checkpoint> {
    let named = path.display();
    let found = files::sha256(path)
        .with_context(|| format!("frozen_network: cannot read the checkpoint {named}"))?;
    ensure!(
        found == digest,
        "frozen_network: {named} has the SHA-256 {found}, expected {digest}, which names the run"
    );
    let checkpoint = Checkpoint::load(path).context("frozen_network")?;
    let differences: Vec<String> = config
        .differing_keys(&checkpoint.config)
        .filter(|key| key.role == Role::Shape)
        .map(|key| {
            let [its, wanted] = [&checkpoint.config, config].map(|of| key.value(of));
            format!("its {} is {its}, the run's {wanted}", key.name)
        })
        .collect();
    ensure!(differences.is_empty(), "frozen_network: {named}: {}", differences.join("; "));
    Ok(checkpoint)
}
