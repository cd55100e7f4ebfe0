//! Runs beside a run: its frozen twin, the twins of its learned credit, and the ceiling that it is
//! measured against.

use crate::config::{Config, Method};
use crate::files::{absolute, entries};
use crate::train::run_dir::{RunDir, RunRecord, RunStatus};
use anyhow::Result;
use std::collections::BTreeMap;
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

/// The newest checkpoints of the finished auxiliary twins of `config` in the directories beside the run
/// of `path`, each with what its auxiliary network learns; of several of a kind the first.
///
/// # Errors
/// As [`find_twin`].
pub(super) fn auxiliary_twins(
    path: &Path,
    config: &Config,
) -> Result<BTreeMap<&'static str, PathBuf>> {
    let mut found = BTreeMap::new();
    for (other, checkpoint) in finished(path)? {
        if config.has_auxiliary_twin(&other) {
            found.entry(other.auxiliary.word()).or_insert(checkpoint);
        }
    }
    Ok(found)
}

/// The newest checkpoint of a finished run, in the directories beside the run of `path`, that shares
/// seed, initialisation, data and length with `config`: the one for which `rank` has something, and
/// the least.
fn matching(
    path: &Path,
    config: &Config,
    rank: impl Fn(&Config) -> Option<bool>,
) -> Result<Option<PathBuf>> {
    let matches = |(other, checkpoint): (Config, PathBuf)| {
        let rank = rank(&other)?;
        (other.twin_key() == config.twin_key()).then_some((rank, checkpoint))
    };
    let found = finished(path)?.into_iter().filter_map(matches).min();
    Ok(found.map(|(_, checkpoint)| checkpoint))
}

/// The finished runs in the directories beside the run of `path`, in the order of their names.
fn finished(path: &Path) -> Result<Vec<(Config, PathBuf)>> {
    let run = absolute(path)?;
    let Some(beside) = run_folder(&run).and_then(Path::parent) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for dir in entries(beside)?.into_iter().map(RunDir::at) {
        let Some(RunRecord { status, config, .. }) = dir.record()? else { continue };
        if status == RunStatus::Finished {
            found.push((config, dir.checkpoint()));
        }
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(found)
}

/// The folder of the run whose checkpoint lies at `path`, be it the newest or one of `epochs/`.
pub(super) fn run_folder(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|p| p.file_name().is_none_or(|name| name != "epochs"))
}
