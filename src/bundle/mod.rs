//! A study as a folder for a paper's supplement: what was configured, measured and judged, the
//! report, what the checkpoints hash to, answers to a reproducibility checklist, RO-Crate metadata,
//! and a baseline that another machine's runs are held against. The folder is laid out as a study,
//! so that `report` reads it.
//!
//! ```text
//! study.toml  study.json  <claims>                        what was to be trained
//! <run>/run.json  config.toml  metrics.jsonl  verdict.json
//! baseline.json                                           `regress` holds a replay against it
//! report.md  report.html  tables.tex  verdicts.csv  long.csv  claims.csv  checklist.md  figures/
//! checkpoints.sha256                                      of the networks, which stay where they are
//! ro-crate-metadata.json  README.md  SHA256SUMS           of everything here but itself
//! ```

mod anonymous;
mod metadata;
mod sums;

pub use sums::check;

use crate::failure::usage;
use crate::files::{entries, exists, is_directory, read_text, write_atomically};
use crate::regress::{Baseline, ToleranceRule};
use crate::report::format::{self, Format, Look};
use crate::report::html::figures;
use crate::report::{checklist, markdown};
use crate::study::results::StudyResult;
use crate::study::{StudyFile, read_results};
use anonymous::Veil;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What is said of a bundle that its study does not know.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Whether names of people, machines and folders are left out.
    pub anonymous: bool,
    pub authors: Vec<String>,
    /// The address of a licence.
    pub license: Option<String>,
}

/// What of a run is taken along.
const OF_A_RUN: [&str; 4] = ["run.json", "config.toml", "metrics.jsonl", "verdict.json"];

/// Writes the bundle of the study in `root` into `out`, which must be empty or not there; the files
/// in it.
///
/// # Errors
/// A usage error where there is no study, where one of its runs is not judged, or where `out` holds
/// something; else names what cannot be read or written.
pub fn write(root: &Path, out: &Path, about: &About) -> Result<Vec<String>> {
    if exists(out)? && (!is_directory(out)? || !entries(out)?.is_empty()) {
        return Err(usage(format!("{} is not empty: --out names another place", out.display())));
    }
    let study = read_results(root)?;
    // First, since it refuses what did not finish.
    let baseline = Baseline::of(&study, ToleranceRule::of_rounding())?;
    let Some(plan) = StudyFile::read(root)? else {
        return Err(usage(format!("{} holds no study.json", root.display())));
    };
    let veil = about.anonymous.then(Veil::here);
    let folder = Folder { out: out.to_path_buf(), veil };
    folder.text("study.json", &read_text(&root.join("study.json")).context("study.json")?)?;
    folder.text("study.toml", &plan.source)?;
    if let Some(claims) = plan.claims.as_ref().filter(|claims| claims.withdrawn.is_none()) {
        folder.text(&claims.file, &claims.text)?;
    }
    let mut sums = String::new();
    for entry in &plan.runs {
        let run = root.join(&entry.directory);
        for name in OF_A_RUN {
            let path = run.join(name);
            let text =
                read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
            folder.text(&format!("{}/{name}", entry.directory), &text)?;
        }
        for (name, sum) in sums::of_checkpoints(&run)? {
            sums += &format!("{sum}  {}/{name}\n", entry.directory);
        }
    }
    folder.text("checkpoints.sha256", &sums)?;
    baseline.write(&folder.out.join("baseline.json"))?;
    // Of what lies there now, so that a report says no more than the bundle.
    let bundled = read_results(out)?;
    folder.reports(&bundled)?;
    folder.text("README.md", &readme(&bundled, about))?;
    let files = sums::files(out)?;
    folder
        .text("ro-crate-metadata.json", &metadata::write(&bundled, &plan, about, out, &files)?)?;
    sums::write(out)?;
    if let Some(veil) = &folder.veil {
        veil.check(out)?;
    }
    sums::files(out)
}

/// Where the bundle is written, and through what.
struct Folder {
    out: PathBuf,
    veil: Option<Veil>,
}

impl Folder {
    fn text(&self, name: &str, text: &str) -> Result<()> {
        let path = self.out.join(name);
        let parent = path.parent().unwrap_or(&self.out);
        crate::files::create_folder(parent)?;
        let text = match &self.veil {
            Some(veil) => veil.over(name, text)?,
            None => text.to_string(),
        };
        write_atomically(&path, text.as_bytes())
    }

    fn reports(&self, study: &StudyResult) -> Result<()> {
        let files = [
            ("report.md", Format::Md),
            ("report.html", Format::Html),
            ("tables.tex", Format::Latex),
            ("verdicts.csv", Format::Csv),
            ("long.csv", Format::Long),
        ];
        for (name, kind) in files {
            self.text(name, &format::write(study, kind, Look::default())?)?;
        }
        if let Some(claims) = format::write_claims(study)? {
            self.text("claims.csv", &claims)?;
        }
        let figures = figures::figures(study);
        for figure in &figures {
            self.text(&format!("figures/{}", figure.file), &figure.svg)?;
        }
        self.text("figures/captions.md", &figures::captions(&figures))?;
        self.text("checklist.md", &checklist::write(study))
    }
}

fn readme(study: &StudyResult, about: &About) -> String {
    let by = match about.authors.as_slice() {
        [] => String::new(),
        authors => format!("By {}.\n\n", markdown::escaped(&authors.join(", "))),
    };
    format!(
        "# {name}\n\n{by}A study by fa-audit, without its networks (`checkpoints.sha256` has their hashes). Its answers to a \
         reproducibility checklist are [checklist.md](checklist.md), its report is [report.html](report.html).\n\n\
         ```sh\nfa-audit replay .            # trains it anew, and holds the result against baseline.json\n\
         fa-audit report .            # the tables, from the records here\n\
         sha256sum -c SHA256SUMS      # whether this is what was bundled\n```\n",
        name = markdown::escaped(&study.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_something_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("mine"), "x").unwrap();
        let error = write(place.path(), place.path(), &About::default()).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
    }
}
