//! What a study has done and what is left: each run's place and how it stands.

use super::grid::Study;
use crate::config::Config;
use crate::failure::usage;
use crate::train::lock::Lock;
use crate::train::run_dir::{RunDir, RunRecord, RunStatus};
use anyhow::Result;
use std::path::Path;
use std::str::FromStr;

/// A run of a study and its place.
pub struct PlannedRun<'a> {
    pub config: &'a Config,
    pub dir: RunDir,
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Missing,
    /// It stopped, or was stopped, after so many epochs.
    Interrupted {
        epoch: usize,
    },
    /// Another program is training it.
    Training {
        epoch: usize,
    },
    Failed {
        epoch: usize,
        message: String,
    },
    /// `diverged` is the epoch in which it left the finite numbers.
    Finished {
        diverged: Option<usize>,
    },
}

/// The runs of `study` under `root`, in the study's order.
///
/// # Errors
/// A usage error if a run's directory holds another run; names what cannot be looked at.
pub fn plan<'a>(root: &Path, study: &'a Study) -> Result<Vec<PlannedRun<'a>>> {
    study.runs.iter().map(|config| PlannedRun::new(root, config)).collect()
}

impl<'a> PlannedRun<'a> {
    fn new(root: &Path, config: &'a Config) -> Result<Self> {
        let dir = RunDir::of(root, config)?;
        match dir.record()? {
            Some(record) if record.config.hash() != config.hash() => Err(usage(format!(
                "{} holds another run than the study's: move it away",
                dir.path().display()
            ))),
            _ => Ok(Self { config, dir }),
        }
    }

    /// The name of its directory.
    pub fn name(&self) -> String {
        self.dir.path().file_name().unwrap_or_default().to_string_lossy().into()
    }

    /// The run as messages name it: `dfa λ=0.01, seed 42`.
    pub fn who(&self) -> String {
        format!("{}, seed {}", self.config.label(), self.config.seed)
    }

    /// Its record, if it finished.
    ///
    /// # Errors
    /// As [`RunDir::record`].
    pub fn finished(&self) -> Result<Option<RunRecord>> {
        Ok(self.dir.record()?.filter(|record| record.status == RunStatus::Finished))
    }

    /// # Errors
    /// As [`RunDir::record`].
    pub fn is_finished(&self) -> Result<bool> {
        Ok(self.finished()?.is_some())
    }

    /// How the run stands now.
    ///
    /// # Errors
    /// Names the file of the run that cannot be read.
    pub fn state(&self) -> Result<State> {
        let record = self.dir.record()?;
        if let Some(RunRecord { status: RunStatus::Finished, diverged, .. }) = record {
            return Ok(State::Finished { diverged: diverged.map(|d| d.epoch) });
        }
        // The record's own count is of the worker's last end.
        let epoch = self.dir.read_metrics()?.last().map_or(0, |m| m.epoch);
        if Lock::is_held(self.dir.path())? {
            return Ok(State::Training { epoch });
        }
        Ok(match record {
            Some(RunRecord { status: RunStatus::Failed, error, .. }) => {
                State::Failed { epoch, message: error.unwrap_or_default() }
            }
            Some(_) => State::Interrupted { epoch },
            None if self.dir.holds_a_run()? => State::Interrupted { epoch },
            None => State::Missing,
        })
    }
}

impl State {
    /// Epochs of `config` that are still to train.
    pub fn left(&self, config: &Config) -> usize {
        match self {
            Self::Finished { .. } => 0,
            Self::Missing => config.epochs,
            Self::Interrupted { epoch } | Self::Training { epoch } | Self::Failed { epoch, .. } => {
                config.epochs.saturating_sub(*epoch)
            }
        }
    }
}

/// One part of a study, i of n: the runs i, i + n, i + 2n, … in the study's order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shard {
    part: usize,
    of: usize,
}

impl Shard {
    /// The whole study.
    pub const WHOLE: Self = Self { part: 1, of: 1 };

    /// Whether the run at `position`, counted from 0, is one of this part.
    pub fn has(self, position: usize) -> bool {
        position % self.of == self.part - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(i, n)| Some(Self { part: i.parse().ok()?, of: n.parse().ok()? }))
            .filter(|shard| (1..=shard.of).contains(&shard.part))
            .ok_or_else(|| "expected i/n with i from 1 to n, such as 2/8".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_runs_out_without_rest_or_overlap() {
        for n in 1..6 {
            let shards: Vec<Shard> = (1..=n).map(|i| format!("{i}/{n}").parse().unwrap()).collect();
            for position in 0..20 {
                assert_eq!(shards.iter().filter(|s| s.has(position)).count(), 1);
            }
        }
        assert!((0..20).all(|position| Shard::WHOLE.has(position)));
    }

    #[test]
    fn a_part_that_is_none_is_refused() {
        for text in ["0/2", "3/2", "1/0", "1", "/", "a/b", "-1/2", "1/2/3", "1.0/2", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
