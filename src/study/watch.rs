//! Runs while they train: how far each has come, and which diagnostics have fired so far.

use super::directory::StudyFile;
use crate::failure::usage;
use crate::files::{entries, is_directory};
use crate::shown;
use crate::train::lock::Lock;
use crate::train::run_dir::{EpochMetrics, RunDir, RunRecord, RunStatus};
use crate::verdict::{fires_above, fires_below};
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A run as its directory tells it at this moment.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Of its directory.
    pub name: String,
    pub standing: Standing,
    /// Finished epochs.
    pub epoch: usize,
    /// Planned ones; `None` of a run that has not begun.
    pub epochs: Option<usize>,
    /// The newest line of `metrics.jsonl`.
    pub newest: Option<EpochMetrics>,
    /// What has fired, with the first epoch in which it did.
    pub fired: Vec<(&'static str, usize)>,
    /// Since the newest line was written.
    pub age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Waiting,
    Running,
    /// Recorded as running, and no program has its lock: it was killed.
    Stopped,
    Interrupted,
    Failed,
    Diverged,
    Finished,
}

impl Standing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
            Self::Finished => "finished",
        }
    }

    /// Whether nothing more can come of it without somebody's doing.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// The runs of the study in `dir`, or the run that it is, or those in it.
///
/// # Errors
/// A usage error where there is none; else names the file that cannot be read.
pub fn watch(dir: &Path) -> Result<Vec<Watched>> {
    let own = RunDir::at(dir);
    if own.can_resume()? {
        let name = crate::files::absolute(dir)?;
        return Ok(vec![look(
            &own,
            name.file_name().unwrap_or_default().to_string_lossy().as_ref(),
        )?]);
    }
    if let Some(study) = StudyFile::read(dir)? {
        let run = |name: String| look(&RunDir::at(dir.join(&name)), &name);
        return study.runs.into_iter().map(|run_entry| run(run_entry.directory)).collect();
    }
    if !is_directory(dir)? {
        return Err(usage(format!("there is no folder {}", dir.display())));
    }
    let mut found = Vec::new();
    for path in entries(dir)? {
        if is_directory(&path)? {
            let run = RunDir::at(&path);
            if run.can_resume()? {
                found.push(look(&run, &path.file_name().unwrap_or_default().to_string_lossy())?);
            }
        }
    }
    match found.is_empty() {
        true => Err(usage(format!(
            "{} holds no study and no run: expected study.json or run.json in it, or runs in folders",
            dir.display()
        ))),
        false => Ok(found),
    }
}

fn look(dir: &RunDir, name: &str) -> Result<Watched> {
    let record = dir.record()?;
    let metrics = dir.read_metrics()?;
    let written = std::fs::metadata(dir.metrics_file()).and_then(|found| found.modified());
    // Of a clock that was set back there is no age.
    let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    Ok(Watched {
        name: shown::line(name),
        standing: match &record {
            Some(record) => standing(record, Lock::is_held(dir.path())?),
            None => Standing::Waiting,
        },
        epoch: metrics.len(),
        epochs: record.as_ref().map(|record| record.config.epochs),
        fired: record.map(|record| fired(&record, &metrics)).unwrap_or_default(),
        newest: metrics.into_iter().next_back(),
        age,
    })
}

fn standing(record: &RunRecord, is_held: bool) -> Standing {
    match record.status {
        RunStatus::Finished if record.diverged.is_some() => Standing::Diverged,
        RunStatus::Finished => Standing::Finished,
        RunStatus::Failed => Standing::Failed,
        RunStatus::Interrupted => Standing::Interrupted,
        RunStatus::Running if is_held => Standing::Running,
        RunStatus::Running => Standing::Stopped,
    }
}

/// Growth and reference by the thresholds of the run's own configuration.
fn fired(record: &RunRecord, metrics: &[EpochMetrics]) -> Vec<(&'static str, usize)> {
    let config = &record.config;
    let grows =
        |m: &EpochMetrics| m.growth.is_some_and(|v| fires_above(v.0, config.threshold_growth));
    let collapses = |m: &EpochMetrics| {
        m.gradient_norms.last().is_some_and(|v| fires_below(v.0, config.threshold_reference))
    };
    let first =
        |fires: &dyn Fn(&EpochMetrics) -> bool| metrics.iter().find(|m| fires(m)).map(|m| m.epoch);
    [("growth", first(&grows)), ("reference", first(&collapses))]
        .into_iter()
        .filter_map(|(name, epoch)| Some((name, epoch?)))
        .collect()
}
