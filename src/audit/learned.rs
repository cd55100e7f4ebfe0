//! What a learned credit gains: the auxiliary twins beside a run, each evaluated on the same data.

use super::Auditor;
use super::beside::auxiliary_twins;
use super::twin::differs;
use crate::diagnostics::controls::Control;
use crate::diagnostics::learned_credit::{LearnedCredit, TwinGain};
use crate::shown;
use crate::train::checkpoint::Checkpoint;
use anyhow::{Context, Result, ensure};
use std::path::Path;

impl Auditor {
    /// What the run of `path`, of this accuracy, gains over the auxiliary twins beside it; `None` where
    /// its credit is not learned, or trains no network.
    ///
    /// # Errors
    /// If what lies beside it cannot be looked at.
    pub(super) fn learned_credit(
        &mut self,
        path: &Path,
        checkpoint: &Checkpoint,
        accuracy: f64,
    ) -> Result<Option<LearnedCredit>> {
        let config = &checkpoint.config;
        // On a network that stays no credit gains accuracy.
        if !config.has_learned_credit() || config.has_frozen_network() {
            return Ok(None);
        }
        let mut found = LearnedCredit::default();
        // What lies beside an imported run shares neither its initialisation nor its data order.
        if checkpoint.imported.is_some() {
            return Ok(Some(found));
        }
        let twins = auxiliary_twins(path, &checkpoint.config)
            .context("looking for the auxiliary twins beside the run")?;
        for (name, twin) in twins {
            // A run that is broken is not this one's fault.
            let gain = match self.gain_over(&twin, checkpoint, accuracy) {
                Ok(gain) => Control::Found(gain),
                Err(why) => Control::missing(shown::line(&format!("{why:#}"))),
            };
            found.over.insert(name.to_owned(), gain);
        }
        Ok(Some(found))
    }

    fn gain_over(&mut self, path: &Path, run: &Checkpoint, accuracy: f64) -> Result<TwinGain> {
        let twin = self.load(path)?;
        let source = shown::line(&path.display().to_string());
        ensure!(twin.data.sha256 == run.data.sha256, "{source} was trained on other data");
        let (theirs, ours) = (twin.progress.epoch, run.progress.epoch);
        ensure!(theirs == ours, "{source}: {}", differs("epoch", &theirs, &ours));
        Ok(TwinGain::new(accuracy, self.twin_accuracy(path, &twin)?, source))
    }
}
