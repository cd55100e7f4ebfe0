//! Runs beside a run: its frozen twin, the twins of its learned credit, and the ceiling that it is
//! measured against.

use crate::config::{Config, Method};
use crate::files::{absolute, entries};
use crate::train::run_dir::{RunDir, RunRecord, RunStatus};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A finished run.
pub(super) struct Finished {
    pub config: Config,
    /// Its configuration's, which is long to work out.
    twin_key: String,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
}

/// A finished frozen run that matches `config` in the directories beside the run of `path`.
///
/// # Errors
/// Names what cannot be looked at, and records that are none: they may be the twin's.
pub(super) fn find_twin(path: &Path, config: &Config) -> Result<Option<PathBuf>> {
    Ok(twin_among(&finished_beside(path)?, config).map(Path::to_path_buf))
}

/// The frozen twin of `config` among `runs`.
pub(super) fn twin_among<'a>(runs: &'a [Finished], config: &Config) -> Option<&'a Path> {
    // Of twins that differ in what the baseline may choose, the one that a study would train.
    let rank =
        |twin: &Config| (twin.method == Method::Frozen).then(|| twin.base != config.twin().base);
    matching(runs, config, rank)
}

/// A finished run of backpropagation that matches `config`, with as many trained blocks, and with the same
/// penalty or none.
///
/// # Errors
/// As [`find_twin`].
pub(super) fn find_ceiling(path: &Path, config: &Config) -> Result<Option<PathBuf>> {
    Ok(ceiling_among(&finished_beside(path)?, config).map(Path::to_path_buf))
}

/// The run of backpropagation that `config` is measured against, among `runs`.
pub(super) fn ceiling_among<'a>(runs: &'a [Finished], config: &Config) -> Option<&'a Path> {
    let rank = |bp: &Config| {
        let same = bp.penalty == config.penalty;
        let is_whole = bp.frozen_blocks == config.frozen_blocks && (same || bp.penalty == 0.0);
        (bp.method == Method::Bp && is_whole).then_some(!same)
    };
    matching(runs, config, rank)
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
    let runs = finished_beside(path)?;
    let twins = auxiliary_twins_among(&runs, config).into_iter();
    Ok(twins.map(|(word, checkpoint)| (word, checkpoint.to_path_buf())).collect())
}

/// The auxiliary twins of `config` among `runs`.
pub(super) fn auxiliary_twins_among<'a>(
    runs: &'a [Finished],
    config: &Config,
) -> BTreeMap<&'static str, &'a Path> {
    let mut found = BTreeMap::new();
    for run in runs.iter().filter(|run| config.has_auxiliary_twin(&run.config)) {
        found.entry(run.config.auxiliary.word()).or_insert(run.checkpoint.as_path());
    }
    found
}

/// The checkpoint of the run among `runs` that shares seed, initialisation, data and length with `config`:
/// the one for which `rank` has something, and the least.
fn matching<'a>(
    runs: &'a [Finished],
    config: &Config,
    rank: impl Fn(&Config) -> Option<bool>,
) -> Option<&'a Path> {
    let key = config.twin_key();
    let matches = |run: &'a Finished| {
        let rank = rank(&run.config)?;
        (run.twin_key == key).then_some((rank, run.checkpoint.as_path()))
    };
    runs.iter().filter_map(matches).min().map(|(_, checkpoint)| checkpoint)
}

/// The finished runs in the directories beside the run of `path`, in the order of their names.
fn finished_beside(path: &Path) -> Result<Vec<Finished>> {
    let run = absolute(path)?;
    match run_folder(&run).and_then(Path::parent) {
        Some(beside) => finished_in(beside),
        None => Ok(Vec::new()),
    }
}

/// The finished runs in the directories of `folder`, in the order of their names.
///
/// # Errors
/// As [`find_twin`].
pub(super) fn finished_in(folder: &Path) -> Result<Vec<Finished>> {
    let mut found = Vec::new();
    for dir in entries(folder)?.into_iter().map(RunDir::at) {
        let Some(RunRecord { status, config, .. }) = dir.record()? else { continue };
        if status == RunStatus::Finished {
            let twin_key = config.twin_key();
            found.push(Finished { config, twin_key, checkpoint: dir.checkpoint() });
        }
    }
    found.sort_by(|a, b| a.checkpoint.cmp(&b.checkpoint));
    Ok(found)
}

/// The folder of the run whose checkpoint lies at `path`, be it the newest or one of `epochs/`.
pub(super) fn run_folder(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|p| p.file_name().is_none_or(|name| name != "epochs"))
}
