//! What `diagnose` and `audit` do with their audits: the table, the files, the exit code.

use super::{DONE, VERDICT, colour, print, print_json};
use crate::files::write_atomically;
use crate::report::{csv, json, terminal};
use crate::verdict::{Audit, Decision};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Which verdicts make the program fail.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum FailOn {
    /// A run whose claims must be walked back
    WalkedBack,
    /// That, and a run without a verdict
    Inconclusive,
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
    for Judged { audit, verdict_file } in judged {
        if let Some(dir) = verdict_file.parent() {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let mut bytes = Vec::new();
        json::write(audit, &mut bytes)?;
        write_atomically(verdict_file, &bytes)?;
    }
    Ok(())
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
        let text = super::report::verdict_tables(audits, each_seed, colour());
        let controls = if each_seed { terminal::controls(audits) } else { String::new() };
        let text = format!("{}\n\n{controls}", text.trim_end());
        return print(&(text.trim_end().to_owned() + "\n"));
    }
    for audit in audits {
        print_json(&(json::line(audit)? + "\n"))?;
    }
    Ok(())
}

/// The exit code for these verdicts. A baseline has none.
pub fn exit_code(audits: &[Audit], fail_on: FailOn) -> u8 {
    let fails = |audit: &Audit| match (fail_on, audit.verdict) {
        (FailOn::Never, _) | (_, Decision::Trustworthy | Decision::Baseline) => false,
        (_, Decision::WalkedBack) => true,
        (FailOn::WalkedBack, Decision::Inconclusive) => false,
        (FailOn::Inconclusive, Decision::Inconclusive) => true,
    };
    let judged = |audit: &&Audit| !audit.run.is_baseline;
    if audits.iter().filter(judged).any(fails) { VERDICT } else { DONE }
}
