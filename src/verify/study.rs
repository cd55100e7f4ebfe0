//! The directory of a study, of a run, or of verdicts that `diagnose` collected.

use super::difference::{NOTHING, Place};
use super::verdict::{self, Again};
use super::{Ledger, rows, run, written};
use crate::files::{entries, exists, is_directory, read_text, text_if_there};
use crate::report::csv;
use crate::report::format::{Format, write_claims};
use crate::study::results::RunResult;
use crate::study::{StudyFile, read_results};
use crate::train::run_dir::RunDir;
use crate::verdict::Audit;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// # Errors
/// Names what cannot be read or measured again.
pub fn hold(ledger: &mut Ledger, root: &Path, plan: &StudyFile, again: &mut Again) -> Result<()> {
    let study = read_results(root)?;
    let mut planned = None;
    for entry in &plan.runs {
        let dir = RunDir::at(root.join(&entry.directory));
        let Some(record) = dir.record()? else { continue };
        if planned.is_none() && !record.config.is_named_by(&entry.config_hash) {
            let hash = record.config.hash();
            planned = Place::of(&entry.directory, "config_hash", &entry.config_hash, hash);
        }
    }
    for found in &study.runs {
        let dir = plan.runs.iter().find(|entry| crate::shown::line(&entry.directory) == found.name);
        if let Some(entry) = dir {
            hold_run(ledger, &RunDir::at(root.join(&entry.directory)), found, again)?;
        }
    }
    ledger.hold(root.join("study.json"), planned.or(claims_of(plan)));
    let claims = root.join("claims.csv");
    if let (Some(text), Some(again)) = (text_if_there(&claims)?, write_claims(&study)?) {
        ledger.hold(claims, rows::first(&text, &again));
    }
    let pages =
        [("verdicts.csv", Format::Csv), ("report.md", Format::Md), ("report.html", Format::Html)];
    for (name, format) in pages {
        let file = root.join(name);
        if let Some(text) = text_if_there(&file)? {
            let place = written::first(&study, format, &text)?;
            ledger.hold(file, place);
        }
    }
    Ok(())
}

/// Whether the claims are those that were registered.
fn claims_of(plan: &StudyFile) -> Option<Place> {
    let claims = plan.claims.as_ref()?;
    Place::of("claims", "sha256", &claims.sha256, claims.digest())
}

/// A run, and the verdict on it.
///
/// # Errors
/// As [`hold`].
pub fn hold_run(
    ledger: &mut Ledger,
    dir: &RunDir,
    found: &RunResult,
    again: &mut Again,
) -> Result<()> {
    run::hold(ledger, dir, found)?;
    let Some(audit) = &found.audit else { return Ok(()) };
    let file = dir.path().join("verdict.json");
    verdict::hold(ledger, &file, audit)?;
    verdict::measure(ledger, again, &file, audit)?;
    if let Some(difference) = run::with_the_verdict(dir, found, again.near) {
        ledger.add(difference);
    }
    Ok(())
}

/// The verdicts that `diagnose` wrote into `dir`, into the folders in it or beside kept epochs, and
/// their table.
///
/// # Errors
/// As [`hold`].
pub fn hold_loose(ledger: &mut Ledger, dir: &Path, again: &mut Again) -> Result<()> {
    for file in loose(dir)? {
        // A run's own was held against its run.
        if ledger.files.contains(&file) {
            continue;
        }
        let audit = verdict::read(&file)?;
        verdict::hold(ledger, &file, &audit)?;
        verdict::measure(ledger, again, &file, &audit)?;
    }
    for folder in [dir.to_path_buf(), dir.join("epochs")] {
        let table = folder.join("verdicts.csv");
        if exists(&table)? {
            hold_loose_table(ledger, &table, &folder)?;
        }
    }
    Ok(())
}

/// A table of the verdicts in `dir`, which may have them in any order.
///
/// # Errors
/// Names what cannot be read.
pub fn hold_loose_table(ledger: &mut Ledger, table: &Path, dir: &Path) -> Result<()> {
    let text = read_text(table).with_context(|| format!("cannot read {}", table.display()))?;
    let audits: Vec<Audit> =
        loose(dir)?.iter().map(|file| verdict::read(file)).collect::<Result<_>>()?;
    let mut bytes = Vec::new();
    csv::write(&audits, &mut bytes)?;
    let wanted = rows::records(&String::from_utf8(bytes)?).context("the rows of verdicts")?;
    let printed = rows::records(&text).with_context(|| table.display().to_string())?;
    let place = match (printed.split_first(), wanted.split_first()) {
        (Some((header, printed)), Some((names, wanted))) => {
            (1..).zip(printed).find_map(|(at, row)| {
                // The one that has most in common with it is meant.
                let alike = |candidate: &&::csv::StringRecord| {
                    row.iter().zip(candidate.iter()).filter(|(a, b)| a == b).count()
                };
                let place = match wanted.iter().max_by_key(alike) {
                    Some(nearest) => rows::cell(header, row, names, nearest),
                    None => Place::of("", "", row.iter().collect::<Vec<_>>().join(","), NOTHING),
                };
                Some(place?.in_row(&format!("row {at}")))
            })
        }
        _ => None,
    };
    ledger.hold(table, place);
    Ok(())
}

/// The verdicts in `dir` and in its folders.
fn loose(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(dir)? {
        let is_verdict = |path: &PathBuf| {
            path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.ends_with("verdict.json") && !name.starts_with('.')
            })
        };
        match is_directory(&path)? {
            true => found.extend(entries(&path)?.into_iter().filter(is_verdict)),
            false => found.extend(Some(path).filter(is_verdict)),
        }
    }
    Ok(found)
}
