//! Every printed number recomputed from the artefacts, and the first that differs named.
//!
//! From the root to the leaves, so that what is named first is what was changed and not what was drawn
//! from it:
//!
//! | file | held against |
//! |---|---|
//! | `metrics.jsonl` | the order of its epochs; what follows of a line from the rest of it; its digest in `run.json` |
//! | `config.toml`, `run.json` | each other, the last epoch, the configuration's hash |
//! | `checkpoint.mpk` | its own digest; the record; the feedback that its seed draws |
//! | `verdict.json` | what follows from its own numbers; the last epoch; the checkpoint or trace, measured again |
//! | `study.json` | the records of its runs |
//! | `verdicts.csv`, `report.md`, `report.html`, any report | the directory, written anew |

mod difference;
mod markup;
mod rows;
mod run;
mod study;
mod texts;
mod values;
mod verdict;
mod written;

pub use difference::{Difference, Place};
pub use values::Nearness;
pub use verdict::Again;

use crate::failure::usage;
use crate::files::{exists, is_directory, read_text};
use crate::study::{StudyFile, read, read_single};
use crate::train::run_dir::RunDir;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What was held against what, and what differs.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The files in which nothing differs, and those in which something does, in order.
    pub files: Vec<PathBuf>,
    /// The first of each file.
    pub differences: Vec<Difference>,
    /// Verdicts that were measured again.
    pub measured: usize,
}

impl Ledger {
    fn hold(&mut self, file: impl Into<PathBuf>, place: Option<Place>) {
        let file = file.into();
        if let Some(place) = place {
            self.add(Difference::new(&file, place));
        }
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }

    fn add(&mut self, difference: Difference) {
        if self.differences.iter().all(|known| known.file != difference.file) {
            self.differences.push(difference);
        }
    }
}

/// Verifies the directory, verdict or report at `path`; a report is of `of`, or of the directory that it
/// lies in.
///
/// # Errors
/// A usage error where nothing is there that could be verified; else names the file that cannot be
/// read, or not be measured again.
pub fn verify(path: &Path, of: Option<&Path>, again: &mut Again) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    if is_directory(path)? {
        directory(&mut ledger, path, again)?;
    } else if path.file_name().is_some_and(|n| n.to_string_lossy().ends_with("verdict.json")) {
        let audit = verdict::read(path)?;
        verdict::hold(&mut ledger, path, &audit)?;
        verdict::measure(&mut ledger, again, path, &audit)?;
    } else {
        report(&mut ledger, path, of)?;
    }
    Ok(ledger)
}

fn directory(ledger: &mut Ledger, dir: &Path, again: &mut Again) -> Result<()> {
    if let Some(plan) = StudyFile::read(dir)? {
        return study::hold(ledger, dir, &plan, again);
    }
    if let Some(single) = read_single(dir)? {
        study::hold_run(ledger, &RunDir::at(dir), &single.runs[0], again)?;
        return study::hold_loose(ledger, dir, again);
    }
    study::hold_loose(ledger, dir, again)?;
    if ledger.files.is_empty() {
        return Err(usage(format!(
            "{} holds nothing that fa-audit wrote: expected study.json, run.json or a verdict.json in it",
            dir.display()
        )));
    }
    Ok(())
}

fn report(ledger: &mut Ledger, file: &Path, of: Option<&Path>) -> Result<()> {
    let text = read_text(file).with_context(|| format!("cannot read {}", file.display()))?;
    let format = written::format_of_report(file, &text)?;
    let beside = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let dir = of.unwrap_or(beside);
    let is_ours = exists(&dir.join("study.json"))? || exists(&dir.join("run.json"))?;
    if !is_ours && format == crate::report::format::Format::Csv {
        return study::hold_loose_table(ledger, file, dir);
    }
    if !is_ours && of.is_none() {
        return Err(usage(format!(
            "{} lies beside no study and no run: --of names the directory that it was made of",
            file.display()
        )));
    }
    let place = written::first(&read(dir)?, format, &text)?;
    ledger.hold(file, place);
    Ok(())
}
