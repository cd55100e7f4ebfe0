//! A verdict held against its own numbers, and against a new measurement of what it judged.

use super::Ledger;
use super::difference::Place;
use super::values::{self, Nearness};
use crate::audit::Auditor;
use crate::battery::own_record;
use crate::files::{absolute, exists, read_text};
use crate::verdict::Audit;
use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How verdicts are measured again.
pub struct Again<'a> {
    /// `None`: what is stored is held against itself alone.
    pub auditor: Option<&'a mut Auditor>,
    pub near: Nearness,
    /// Told the file that is measured next.
    pub telling: &'a dyn Fn(&Path),
}

/// Reads the verdict in `file`.
///
/// # Errors
/// Names the file where it cannot be read or is none.
pub fn read(file: &Path) -> Result<Audit> {
    let text = read_text(file).with_context(|| format!("cannot read {}", file.display()))?;
    Audit::read(&text).with_context(|| file.display().to_string())
}

/// What of the verdict in `file` follows from its own numbers.
///
/// # Errors
/// If an audit has no JSON, which none has.
pub fn hold(ledger: &mut Ledger, file: &Path, audit: &Audit) -> Result<()> {
    let place = first(audit, &audit.judged_again(), Nearness::default())?;
    ledger.hold(file, place);
    Ok(())
}

/// Measures again what the verdict in `file` judged, with its frozen twin and its controls.
///
/// # Errors
/// Where what was judged does not lie beside the verdict, or cannot be measured.
pub fn measure(ledger: &mut Ledger, again: &mut Again, file: &Path, audit: &Audit) -> Result<()> {
    let Some(auditor) = again.auditor.as_deref_mut() else { return Ok(()) };
    let judged = judged(file)?.ok_or_else(|| {
        anyhow!(
            "{}: what it judged does not lie beside it, a checkpoint or a trace of that name: \
             --stored holds what is stored against itself alone",
            file.display()
        )
    })?;
    (again.telling)(&judged);
    // A baseline has no controls but the harness's.
    let controls = audit.controls.is_some() || audit.evidence.of(own_record::CHECK).is_some();
    auditor.turn_to(twin(audit, &judged)?, controls);
    let measured = auditor.audit(&judged).with_context(|| {
        format!("{} cannot be measured again (--stored does without)", judged.display())
    })?;
    ledger.measured += 1;
    let place = first(audit, &measured, again.near)?;
    ledger.hold(file, place);
    Ok(())
}

/// The checkpoint or trace that the verdict in `file` is of, if it lies beside it.
fn judged(file: &Path) -> Result<Option<PathBuf>> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (stem, endings) = match name.strip_suffix(".verdict.json") {
        Some(stem) => (stem, &["mpk", "safetensors", "npz"][..]),
        None => ("checkpoint", &["mpk"][..]),
    };
    for ending in endings {
        let path = file.with_file_name(format!("{stem}.{ending}"));
        if exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The frozen twin that was compared with, where it still lies there and is not the trace itself.
fn twin(audit: &Audit, judged: &Path) -> Result<Option<PathBuf>> {
    let Some(source) = &audit.diagnostics.depth_utility.detail.frozen_source else {
        return Ok(None);
    };
    let source = PathBuf::from(source);
    let is_itself = absolute(&source)? == absolute(judged)?;
    Ok(if !is_itself && exists(&source)? { Some(source) } else { None })
}

fn first(printed: &Audit, recomputed: &Audit, near: Nearness) -> Result<Option<Place>> {
    let mut values = [value(printed)?, value(recomputed)?];
    // Where the twins lay is no number, and studies are moved.
    for value in &mut values {
        let found = value.get_mut("diagnostics").and_then(|d| d.get_mut("depth_utility"));
        if let Some(found) = found.and_then(Value::as_object_mut) {
            Map::remove(found, "frozen_source");
        }
        let twins = value.get_mut("learned_credit").and_then(Value::as_object_mut);
        for twin in twins.into_iter().flat_map(|twins| twins.values_mut()) {
            if let Some(twin) = twin.as_object_mut() {
                twin.remove("source");
            }
        }
    }
    let [printed, recomputed] = values;
    Ok(values::first(&printed, &recomputed, near))
}

fn value(audit: &Audit) -> Result<Value> {
    serde_json::to_value(audit).context("an audit as JSON")
}
