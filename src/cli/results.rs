//! What `diagnose` and `audit` do with their audits: the table, the files, the exit code.

use super::{DONE, VERDICT, colour, print, print_json};
use crate::claims::Outcome;
use crate::files::{create_folder, write_atomically};
use crate::report::format::{Look, verdict_tables};
use crate::report::study_json::ClaimRecord;
use crate::report::{csv, json, terminal, together};
use crate::study::claims::Tested;
use crate::study::inversion::{FEWEST, Inversion, inversions};
use crate::study::ranks::ranks;
use crate::study::results::StudyResult;
use crate::verdict::{Audit, Decision};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Which verdicts make the program fail.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum FailOn {
    /// A run whose claims must be walked back
    WalkedBack,
    /// That, and a run without a verdict
    Inconclusive,
    /// A claim of the study that is walked back or untested, or was changed after training
    Claims,
    Never,
}

/// An audit and where its `verdict.json` goes.
pub struct Judged {
    pub audit: Audit,
    pub verdict_file: PathBuf,
}

/// Writes every `verdict.json`.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_verdicts(judged: &[Judged]) -> Result<()> {
    judged
        .iter()
        .try_for_each(|Judged { audit, verdict_file }| write_verdict(audit, verdict_file).map(drop))
}

/// Writes a `verdict.json`, and gives its text.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_verdict(audit: &Audit, file: &Path) -> Result<Vec<u8>> {
    if let Some(dir) = file.parent() {
        create_folder(dir)?;
    }
    let mut bytes = Vec::new();
    json::write(audit, &mut bytes)?;
    write_atomically(file, &bytes)?;
    Ok(bytes)
}

/// Writes `verdicts.csv` into `dir`.
///
/// # Errors
/// Names the file where it cannot be written.
pub fn write_csv(audits: &[Audit], dir: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    csv::write(audits, &mut bytes)?;
    write_atomically(&dir.join("verdicts.csv"), &bytes)
}

/// Prints the table, or a line of JSON for each audit. Seeds are pooled unless each is asked for.
///
/// # Errors
/// If standard output cannot be written.
pub fn show(audits: &[Audit], as_json: bool, each_seed: bool) -> Result<()> {
    if !as_json {
        let text = verdict_tables(audits, Look { each_seed, colour: colour() });
        let controls = if each_seed { terminal::controls(audits) } else { String::new() };
        let text = format!("{}\n\n{controls}", text.trim_end());
        return print(&(text.trim_end().to_owned() + "\n"));
    }
    for audit in audits {
        print_json(&(json::line(audit)? + "\n"))?;
    }
    Ok(())
}

/// Prints what the study's runs tell together of its methods: what learned credits gain over their twins,
/// and the ranking by cosine where there is one; nothing as JSON, which the audits have.
///
/// # Errors
/// If standard output cannot be written.
pub fn show_together(study: &StudyResult, as_json: bool) -> Result<()> {
    let ranked = |found: &Inversion| found.methods.len() >= FEWEST;
    let inversions: Vec<Inversion> = inversions(study).into_iter().filter(ranked).collect();
    let mut panels = vec![together::learned_credit(study)];
    panels.extend(together::inversion(&inversions));
    panels.extend(ranks(study).iter().flat_map(together::ranks));
    panels.retain(|panel| !panel.rows.is_empty());
    if as_json || panels.is_empty() {
        return Ok(());
    }
    print(&format!("\n{}", terminal::panels(&panels, colour()).join("\n")))
}

/// Prints each method's verdict with its reason: the last that a reader sees.
///
/// # Errors
/// If standard output cannot be written.
pub fn show_gists(audits: &[Audit]) -> Result<()> {
    let gists = terminal::gists(audits);
    if gists.is_empty() { Ok(()) } else { print(&format!("\n{gists}")) }
}

/// Prints what became of the study's claims, as a table or a line of JSON for each.
///
/// # Errors
/// If standard output cannot be written.
pub fn show_claims(study: &StudyResult, tested: &[Tested], as_json: bool) -> Result<()> {
    if as_json {
        for tested in tested {
            print_json(&(serde_json::to_string(&ClaimRecord::of(tested))? + "\n"))?;
        }
        return Ok(());
    }
    let panel = together::claims(study.claims.as_ref(), tested);
    if panel.rows.is_empty() {
        return Ok(());
    }
    print(&format!("\n{}", terminal::panels(&[panel], colour()).concat()))
}

/// Whether a claim does not stand, or they were changed once runs had begun.
pub fn claims_fail(study: &StudyResult, tested: &[Tested]) -> bool {
    let changed = study.claims.as_ref().and_then(|claims| claims.registered.remark());
    changed.is_some() || tested.iter().any(|tested| tested.outcome != Outcome::Stands)
}

/// The exit code for these verdicts. A baseline has none.
pub fn exit_code(audits: &[Audit], fail_on: FailOn) -> u8 {
    let fails = |audit: &Audit| match (fail_on, audit.verdict) {
        (FailOn::Never | FailOn::Claims, _) | (_, Decision::Trustworthy | Decision::Baseline) => {
            false
        }
        (_, Decision::WalkedBack) => true,
        (FailOn::WalkedBack, Decision::Inconclusive) => false,
        (FailOn::Inconclusive, Decision::Inconclusive) => true,
    };
    let judged = |audit: &&Audit| !audit.run.is_baseline;
    if audits.iter().filter(judged).any(fails) { VERDICT } else { DONE }
}
