//! The controls of the harness on one checkpoint (`battery`): what they are held against is read here.

use super::beside::{find_ceiling, run_folder};
use super::{Auditor, Measured, Recorded};
use crate::battery::ceiling::{Arm, ceiling};
use crate::battery::frozen_blocks::frozen_blocks;
use crate::battery::own_feedback::own_feedback;
use crate::battery::{itself, own_record};
use crate::config::Method;
use crate::evidence::{Checked, Standing};
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
                Some(found) => self.ceiling_arm(&found, checkpoint).map_err(|e| format!("{e:#}")),
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
    pub(super) fn recorded(&self, path: &Path, checkpoint: &Checkpoint) -> Recorded {
        let epoch = checkpoint.progress.epoch;
        if !self.options.controls || checkpoint.imported.is_some() {
            return Err("The run's own metrics are not known.".into());
        }
        if epoch == 0 || checkpoint.progress.step > 0 {
            return Err(
                "The checkpoint is not the end of an epoch, after which a run measures itself."
                    .into(),
            );
        }
        let Some(folder) = run_folder(path) else {
            return Err("The checkpoint lies in no run's folder.".into());
        };
        let lines = RunDir::at(folder).read_metrics().map_err(|e| format!("{e:#}."))?;
        let none = || format!("The run's metrics.jsonl has no epoch {epoch}.");
        lines.into_iter().find(|line| line.epoch == epoch).ok_or_else(none)
    }
}
