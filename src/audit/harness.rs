//! The controls of the harness on one checkpoint (`battery`): what they are held against is read here.

use super::beside::{find_ceiling, run_folder};
use super::{Auditor, Measured, Recorded};
use crate::battery::ceiling::{Arm, ceiling};
use crate::battery::frozen_blocks::frozen_blocks;
use crate::battery::own_feedback::own_feedback;
use crate::battery::{itself, own_record};
use crate::config::Method;
use crate::evidence::{Checked, Standing};
use crate::files::is_unseen;
use crate::shown;
use crate::train::checkpoint::Checkpoint;
use crate::train::run_dir::{RunDir, RunRecord};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

impl Auditor {
    /// The controls of the harness: all of them where controls were asked for, else those that need no
    /// network and are contradicted.
    pub(super) fn harness(
        &mut self,
        path: &Path,
        checkpoint: &Checkpoint,
        twin: Option<&Checkpoint>,
        record: Option<&RunRecord>,
        recorded: &Recorded,
        measured: &Measured,
    ) -> Result<Vec<Checked>> {
        let hash = record.and_then(|record| record.provenance.feedback_hash.as_deref());
        let mut checks = vec![own_feedback(checkpoint, hash)?];
        checks.extend(frozen_blocks(checkpoint, "the run")?);
        if let Some(twin) = twin {
            checks.push(itself::twin(checkpoint, twin)?);
            checks.extend(frozen_blocks(twin, "the frozen twin")?);
        }
        if !self.options.controls {
            checks.retain(|checked| checked.standing == Standing::Contradicted);
            return Ok(checks);
        }
        checks.extend(measured.harness.iter().cloned());
        checks.push(match recorded {
            Ok(line) => {
                let floor = checkpoint.config.threshold_reference;
                let (accuracy, trace) = (measured.accuracy, &measured.trace);
                own_record::own_record(line, &own_record::Measured { accuracy, trace, floor })
            }
            Err(why) => Checked::not_checkable(own_record::CHECK, why.clone()),
        });
        if !checkpoint.config.is_baseline() {
            let samples = self.dataset(checkpoint)?.test.len();
            // A run that is broken is not this one's fault.
            let arm = match self.ceiling_beside(path, checkpoint)? {
                Some(found) => told(self.ceiling_arm(&found, checkpoint))?,
                None => Ok(None),
            };
            checks.push(ceiling(measured.controls.as_ref(), measured.accuracy, arm, samples));
        }
        Ok(checks)
    }

    /// The checkpoint of backpropagation's run beside the run of `path`, where it has one.
    ///
    /// # Errors
    /// If what lies beside it cannot be looked at.
    fn ceiling_beside(&self, path: &Path, checkpoint: &Checkpoint) -> Result<Option<PathBuf>> {
        let config = &checkpoint.config;
        let is_own = [Method::Bp, Method::RandomTarget].contains(&config.method);
        if is_own || checkpoint.imported.is_some() {
            return Ok(None);
        }
        let found = find_ceiling(path, config);
        found.context("looking for the run of backpropagation beside it")
    }

    /// The run of backpropagation in `found`, where it was trained to the same epoch.
    fn ceiling_arm(&mut self, found: &Path, checkpoint: &Checkpoint) -> Result<Option<Arm>> {
        let bp = self.load(found)?;
        if bp.progress.epoch != checkpoint.progress.epoch {
            return Ok(None);
        }
        let accuracy = self.twin_accuracy(found, &bp)?;
        Ok(Some(Arm { accuracy, source: shown::line(&found.display().to_string()) }))
    }

    /// The line of the checkpoint's epoch in the metrics of its run; read where controls are asked for.
    ///
    /// # Errors
    /// If the metrics cannot be looked at.
    pub(super) fn recorded(&self, path: &Path, checkpoint: &Checkpoint) -> Result<Recorded> {
        let epoch = checkpoint.progress.epoch;
        if !self.options.controls || checkpoint.imported.is_some() {
            return Ok(Err("The run's own metrics are not known.".into()));
        }
        if epoch == 0 || checkpoint.progress.step > 0 {
            return Ok(Err(
                "The checkpoint is not the end of an epoch, after which a run measures itself."
                    .into(),
            ));
        }
        let Some(folder) = run_folder(path) else {
            return Ok(Err("The checkpoint lies in no run's folder.".into()));
        };
        Ok(match told(RunDir::at(folder).read_metrics())? {
            Ok(lines) => lines
                .into_iter()
                .find(|line| line.epoch == epoch)
                .ok_or_else(|| format!("The run's metrics.jsonl has no epoch {epoch}.")),
            Err(why) => Err(format!("{why}.")),
        })
    }
}

/// An error in words, for a check that cannot be made for it.
///
/// # Errors
/// One of a system that could not look: what could not be looked at is not what is not there.
fn told<T>(found: Result<T>) -> Result<Result<T, String>> {
    match found {
        Err(error) if is_unseen(&error) => Err(error),
        other => Ok(other.map_err(|error| format!("{error:#}"))),
    }
}
