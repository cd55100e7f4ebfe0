//! Runs beside a run: its frozen twin, and the ceiling that it is measured against.

use crate::config::{Config, Method};
use crate::files::{absolute, entries};
use crate::train::run_dir::{RunDir, RunRecord, RunStatus};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A finished frozen run that matches `config` in the directories beside the run of `path`.
///
/// # Errors
/// Names what cannot be looked at, and records that are none: they may be the twin's.
pub(super) fn find_twin(path: &Path, config: &Config) -> Result<Option<PathBuf>> {
    // Of twins that differ in what the baseline may choose, the one that a study would train.
    let rank =
        |twin: &Config| (twin.method == Method::Frozen).then(|| twin.base != config.twin().base);
    matching(path, config, rank)
}

/// A finished run of backpropagation that matches `config`, with as many trained blocks, and with the same
/// penalty or none.
///
/// # Errors
/// As [`find_twin`].
pub(super) fn find_ceiling(path: &Path, config: &Config) -> Result<Option<PathBuf>> {
    let rank = |bp: &Config| {
        let same = bp.penalty == config.penalty;
        let is_whole = bp.frozen_blocks == config.frozen_blocks && (same || bp.penalty == 0.0);
        (bp.method == Method::Bp && is_whole).then_some(!same)
    };
    matching(path, config, rank)
}

/// The newest checkpoint of a finished run, in the directories beside the run of `path`, that shares
/// seed, initialisation, data and length with `config`: the one for which `rank` has something, and
/// the least.
fn matching(
    path: &Path,
    config: &Config,
    rank: impl Fn(&Config) -> Option<bool>,
) -> Result<Option<PathBuf>> {
    let run = absolute(path)?;
    let Some(beside) = run_folder(&run).and_then(Path::parent) else { return Ok(None) };
    let mut found = Vec::new();
    for dir in entries(beside)?.into_iter().map(RunDir::at) {
        let Some(RunRecord { status, config: other, .. }) = dir.record()? else { continue };
        let Some(rank) = rank(&other) else { continue };
        if status == RunStatus::Finished && other.twin_key() == config.twin_key() {
            found.push((rank, dir.checkpoint()));
        }
    }
    Ok(found.into_iter().min().map(|(_, checkpoint)| checkpoint))
}

/// The folder of the run whose checkpoint lies at `path`, be it the newest or one of `epochs/`.
pub(super) fn run_folder(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|p| p.file_name().is_none_or(|name| name != "epochs"))
}
