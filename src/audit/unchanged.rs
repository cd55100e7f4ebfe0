//! Whether a verdict still stands as it was written. `RUN/judged.json` says what a `verdict.json` was made
//! from: the program, how it was asked, and the bytes of the run's files and of those of the runs that it is
//! held against. Where all of that is as it was, judging again would write the same bytes.

use super::Options;
use super::beside::{Finished, auxiliary_twins_among, ceiling_among, finished_in, twin_among};
use crate::config::Config;
use crate::files::{is_absence, sha256, text_if_there, write_atomically};
use crate::train::run_dir::RunDir;
use crate::verdict::Audit;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "fa-audit/judged/1";

/// `RUN/judged.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    schema: String,
    /// SHA-256 over all that the verdict depends on.
    made_from: String,
    /// SHA-256 of `verdict.json`.
    verdict: String,
}

/// The verdicts of the runs under one folder.
pub struct Judgements {
    /// What they depend on beside the runs.
    asked: Sha256,
    runs: Vec<Finished>,
    digests: HashMap<PathBuf, String>,
}

impl Judgements {
    /// Of the runs in the directories of `root`, judged by this program as `options` ask.
    ///
    /// # Errors
    /// Names what cannot be looked at.
    pub fn of(root: &Path, options: &Options) -> Result<Self> {
        let program = std::env::current_exe().and_then(|path| sha256(&path));
        let program = program.context("cannot read this program's own file")?;
        // Verdicts name the files of other runs as they were reached.
        let asked = format!("{program} {} {options:?}", root.display());
        Ok(Self {
            asked: Sha256::new_with_prefix(asked),
            runs: finished_in(root)?,
            digests: HashMap::new(),
        })
    }

    /// What a verdict on the run in `dir`, of `config`, is made from: its SHA-256.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn made_from(&mut self, dir: &RunDir, config: &Config) -> Result<String> {
        let mut folders = vec![dir.path().to_path_buf()];
        // A baseline is held against nothing.
        if !config.is_baseline() {
            let beside = auxiliary_twins_among(&self.runs, config)
                .into_values()
                .chain(twin_among(&self.runs, config))
                .chain(ceiling_among(&self.runs, config));
            folders.extend(beside.filter_map(Path::parent).map(Path::to_path_buf));
        }
        let mut hasher = self.asked.clone();
        for folder in folders {
            hasher.update(format!("\n{}", folder.display()));
            let run = RunDir::at(folder);
            for file in [run.record_file(), run.metrics_file(), run.checkpoint()] {
                hasher.update(self.digest(&file)?);
            }
        }
        Ok(crate::hex(&hasher.finalize()))
    }

    /// The verdict in `dir`, where it was made from this.
    ///
    /// # Errors
    /// Names what cannot be looked at.
    pub fn standing(&self, dir: &RunDir, made_from: &str) -> Result<Option<Audit>> {
        let Some(note) = text_if_there(&dir.judged_file())? else { return Ok(None) };
        let Some(verdict) = text_if_there(&dir.verdict_file())? else { return Ok(None) };
        // What is no note of ours, or of another version, says nothing.
        let fits = serde_json::from_str(&note)
            .is_ok_and(|note: Note| note == Note::on(made_from, verdict.as_bytes()));
        Ok(if fits { Audit::read(&verdict).ok() } else { None })
    }

    fn digest(&mut self, file: &Path) -> Result<String> {
        if let Some(known) = self.digests.get(file) {
            return Ok(known.clone());
        }
        let digest = match sha256(file) {
            Ok(digest) => digest,
            Err(e) if is_absence(&e) => "none".into(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
        };
        self.digests.insert(file.to_path_buf(), digest.clone());
        Ok(digest)
    }
}

/// Notes beside the verdict `text` in `dir` what it was made from.
///
/// # Errors
/// Names the file that cannot be written.
pub fn note(dir: &RunDir, made_from: &str, text: &[u8]) -> Result<()> {
    let mut note = serde_json::to_string(&Note::on(made_from, text))?;
    note.push('\n');
    write_atomically(&dir.judged_file(), note.as_bytes())
}

impl Note {
    fn on(made_from: &str, verdict: &[u8]) -> Self {
        Self {
            schema: SCHEMA.into(),
            made_from: made_from.into(),
            verdict: crate::hex(&Sha256::digest(verdict)),
        }
    }
}
