//! A run's directory held against itself: its record, its configuration, its epochs, its checkpoint.

use super::Ledger;
use super::difference::{Difference, NOTHING, Place};
use super::values::{self, Nearness};
use crate::config::{Layer, resolve};
use crate::diagnostics::growth::largest_growth;
use crate::files::exists;
use crate::number::{Number, text};
use crate::study::results::RunResult;
use crate::train::checkpoint::Checkpoint;
use crate::train::identity::contradictions;
use crate::train::learning_rate;
use crate::train::run_dir::{EpochMetrics, RunDir, RunRecord, RunStatus};
use anyhow::{Context, Result};
use serde_json::json;

/// # Errors
/// Names the file that cannot be read.
pub fn hold(ledger: &mut Ledger, dir: &RunDir, run: &RunResult) -> Result<()> {
    let RunResult { record, metrics, .. } = run;
    let epochs = (metrics.iter()).find_map(|line| epoch(record, line));
    ledger.hold(dir.metrics_file(), epochs.or(digest(dir, record)?));
    let saved = resolve(&[Layer::from_artefact(&dir.config_file())?])?;
    let differing = saved.differing_keys(&record.config).next().and_then(|key| {
        let (saved, recorded) = (key.value(&saved), key.value(&record.config));
        Place::of(key.name, "", saved, recorded)
    });
    ledger.hold(dir.config_file(), differing);
    ledger.hold(dir.record_file(), recorded(record, metrics)?);
    if exists(&dir.checkpoint())? {
        let place = checkpoint(&Checkpoint::load(&dir.checkpoint())?, record)?;
        ledger.hold(dir.checkpoint(), place);
    }
    Ok(())
}

/// What of an epoch's line follows from the rest of it.
fn epoch(record: &RunRecord, line: &EpochMetrics) -> Option<Place> {
    let norms: Vec<f64> = line.hidden_norms.iter().map(|n| n.0).collect();
    let growth = largest_growth(&norms).1.map(Number);
    let rate = Number(learning_rate(&record.config, line.epoch));
    let old = json!({ "learning_rate": line.learning_rate, "growth": line.growth });
    let new = json!({ "learning_rate": rate, "growth": growth });
    let place = values::first(&old, &new, Nearness::default())?;
    Some(place.in_row(&format!("epoch {}", line.epoch)))
}

/// Whether the lines are those that the run ended with. Which of them is another no digest tells.
fn digest(dir: &RunDir, record: &RunRecord) -> Result<Option<Place>> {
    let Some(recorded) = &record.metrics_sha256 else { return Ok(None) };
    let found = dir.metrics_sha256()?.unwrap_or_else(|| NOTHING.into());
    Ok(Place::of("the whole file, whose SHA-256 stands in run.json", "", found, recorded))
}

/// What of the record stands in other files, too.
fn recorded(record: &RunRecord, metrics: &[EpochMetrics]) -> Result<Option<Place>> {
    let made = &record.provenance;
    if !record.config.is_named_by(&made.config_hash) {
        return Ok(Place::of("provenance", "config_hash", &made.config_hash, record.config.hash()));
    }
    if let Some(place) = Place::of("provenance", "seed", made.seed, record.config.seed) {
        return Ok(Some(place));
    }
    // While a session runs, and after one that was killed, the record is of the one before.
    if record.status == RunStatus::Running {
        return Ok(None);
    }
    if let Some(place) = Place::of("", "epoch", record.epoch, metrics.len()) {
        return Ok(Some(place));
    }
    let of = |line: Option<&EpochMetrics>| serde_json::to_value(line).context("a line as JSON");
    let (old, new) = (of(record.last.as_ref())?, of(metrics.last())?);
    if let Some(place) = values::first(&old, &new, Nearness::default()) {
        return Ok(Some(place.in_row("last")));
    }
    let words = |found: Option<crate::train::run_dir::Divergence>| {
        found.map_or(NOTHING.into(), |d| {
            format!("{} {} in epoch {}", d.quantity, text(d.value.0), d.epoch)
        })
    };
    let diverged = metrics.iter().find_map(EpochMetrics::divergence);
    Ok(match record.status {
        RunStatus::Finished => {
            Place::of("", "diverged", words(record.diverged.clone()), words(diverged))
        }
        _ => None,
    })
}

/// Whether the checkpoint is of the recorded run, with that run's feedback. Its own digest was held
/// against it as it was read.
fn checkpoint(found: &Checkpoint, record: &RunRecord) -> Result<Option<Place>> {
    let place = Place::of("config", "hash", found.config.hash(), record.config.hash());
    if place.is_some() {
        return Ok(place);
    }
    if record.status == RunStatus::Finished {
        let place = Place::of("progress", "epoch", found.progress.epoch, record.epoch);
        if place.is_some() {
            return Ok(place);
        }
    }
    let recorded = record.provenance.feedback_hash.as_deref();
    let feedback = contradictions(found, recorded)?;
    Ok((!feedback.is_empty()).then(|| Place {
        row: "learner".into(),
        column: "feedback".into(),
        printed: feedback.join("; "),
        recomputed: "the run's own".into(),
    }))
}

/// What the verdict on a run and its newest epoch both measured.
pub fn with_the_verdict(dir: &RunDir, run: &RunResult, near: Nearness) -> Option<Difference> {
    let (audit, line) = (run.audit.as_ref()?, run.metrics.last()?);
    if audit.run.epoch != Some(line.epoch as u64) {
        return None;
    }
    let found = &audit.diagnostics;
    let old = json!({
        "test_accuracy": line.test_accuracy,
        "hidden_norms": line.hidden_norms,
        "gradient_norms": line.gradient_norms,
        "cosine": line.cosine,
    });
    let new = json!({
        "test_accuracy": audit.accuracy,
        "hidden_norms": found.growth.detail.hidden_norms,
        "gradient_norms": found.reference.detail.per_layer,
        "cosine": if audit.cosine.detail.per_layer.is_empty() {
            json!(line.cosine)
        } else {
            json!(audit.cosine.detail.per_layer)
        },
    });
    let place = values::first(&old, &new, near)?;
    let place = place.in_row(&format!("epoch {} (against verdict.json)", line.epoch));
    Some(Difference::new(&dir.metrics_file(), place))
}
