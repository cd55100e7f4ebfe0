//! A study's directory: `study.json` names its runs, so that reports and merging need nothing else.

use super::claims::StudyClaims;
use super::grid::Study;
use super::plan::PlannedRun;
use super::results::{RunResult, StudyResult};
use crate::claims::Registered;
use crate::failure::usage;
use crate::files::{absolute, entries, exists, text_if_there, write_atomically};
use crate::foreign;
use crate::shown;
use crate::train::run_dir::{RunDir, RunRecord, RunStatus};
use crate::verdict::Audit;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub const SCHEMA: &str = "fa-audit/study-plan/1";

/// What stands in `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyFile {
    pub schema: String,
    pub name: String,
    /// The text of the study file.
    pub source: String,
    /// In the study's order.
    pub runs: Vec<RunEntry>,
    /// What the study is meant to show, and when it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Registered>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    /// The name of its directory.
    pub directory: String,
    pub config_hash: String,
}

/// Where `study.json` lies under `root`.
fn file(root: &Path) -> PathBuf {
    root.join("study.json")
}

impl StudyFile {
    /// What `study` and its `runs` have to say at the time `now`, where the plan was `before`.
    ///
    /// # Errors
    /// Names what of a run cannot be looked at.
    pub fn of(
        study: &Study,
        runs: &[PlannedRun],
        before: Option<&Self>,
        now: &str,
    ) -> Result<Self> {
        let entry =
            |run: &PlannedRun| RunEntry { directory: run.name(), config_hash: run.config.hash() };
        let mut begun = Vec::new();
        for run in runs {
            if run.dir.can_resume()? {
                begun.push(run.name());
            }
        }
        let registered = before.and_then(|plan| plan.claims.as_ref());
        Ok(Self {
            schema: SCHEMA.into(),
            name: study.name.clone(),
            source: study.text.clone(),
            runs: runs.iter().map(entry).collect(),
            claims: Registered::next(registered, study.claims.as_ref(), &begun, now),
        })
    }

    /// Reads the `study.json` under `root`; `None` where there is none.
    ///
    /// # Errors
    /// Names the file where it cannot be read or is of another schema.
    pub fn read(root: &Path) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Header {
            schema: String,
        }
        let path = file(root);
        let Some(text) = text_if_there(&path)? else { return Ok(None) };
        let unfit = || format!("{} is not the plan of a study by fa-audit", path.display());
        let header: Header = serde_json::from_str(&text).with_context(unfit)?;
        if header.schema != SCHEMA {
            return Err(usage(format!(
                "{}: schema is \"{}\", expected \"{SCHEMA}\"",
                path.display(),
                header.schema
            )));
        }
        serde_json::from_str(&text).with_context(unfit).map(Some)
    }

    /// As [`StudyFile::read`], for the study `name`.
    ///
    /// # Errors
    /// Besides, a usage error if another study lies there.
    pub fn of_the_same(root: &Path, name: &str) -> Result<Option<Self>> {
        let found = Self::read(root)?;
        match &found {
            Some(other) if other.name != name => Err(usage(format!(
                "{} holds the study \"{}\", this one is \"{name}\": --out names another place",
                root.display(),
                other.name
            ))),
            _ => Ok(found),
        }
    }

    /// Puts this plan in the place of `before` under `root`.
    ///
    /// # Errors
    /// If the directory or the file cannot be written.
    pub fn write(&self, root: &Path, before: Option<&Self>) -> Result<()> {
        if before == Some(self) {
            return Ok(());
        }
        std::fs::create_dir_all(root)
            .with_context(|| format!("cannot create the study directory {}", root.display()))?;
        let mut text = serde_json::to_string_pretty(self).context("encoding study.json")?;
        text.push('\n');
        write_atomically(&file(root), text.as_bytes())
    }

    /// Runs under `root` that the study does not have.
    ///
    /// # Errors
    /// Names what cannot be looked at.
    pub fn strangers(&self, root: &Path) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for path in entries(root)? {
            let name: String = path.file_name().unwrap_or_default().to_string_lossy().into();
            let is_ours = self.runs.iter().any(|run| run.directory == name);
            if !is_ours && RunDir::at(path).holds_a_run()? {
                found.push(name);
            }
        }
        Ok(found)
    }
}

/// Reads the single run in `dir`, as a study of one; `None` where there is none.
///
/// # Errors
/// Names the file that cannot be read.
pub fn read_single(dir: &Path) -> Result<Option<StudyResult>> {
    let run = RunDir::at(dir);
    if !exists(&run.record_file())? {
        return Ok(None);
    }
    let name = absolute(dir)?;
    let name: String = name.file_name().unwrap_or_default().to_string_lossy().into();
    let runs = vec![read_run(name.clone(), &run)?];
    Ok(Some(StudyResult { name, runs, missing: Vec::new(), claims: None }))
}

/// Reads what lies in `dir`: a single run as a study of one, else the study.
///
/// # Errors
/// As [`read_single`] and [`read_results`].
pub fn read(dir: &Path) -> Result<StudyResult> {
    match read_single(dir)? {
        Some(run) => Ok(run),
        None => read_results(dir),
    }
}

/// Reads the study under `dir` with all its results.
///
/// # Errors
/// A usage error if no study is there; else names the file that cannot be read.
pub fn read_results(dir: &Path) -> Result<StudyResult> {
    let Some(study) = StudyFile::read(dir)? else {
        let seems = match foreign::seems(dir).filter(|what| *what != foreign::A_FOLDER) {
            Some(what) => format!(" (it seems to be {what})"),
            None => String::new(),
        };
        return Err(usage(format!(
            "{} holds no study{seems}: expected study.json in it, which `fa-audit audit --out {}` writes",
            dir.display(),
            dir.display()
        )));
    };
    let (mut runs, mut missing) = (Vec::new(), Vec::new());
    for RunEntry { directory, .. } in study.runs {
        let run = RunDir::at(dir.join(&directory));
        let name = shown::line(&directory);
        match exists(&run.record_file())? {
            true => runs.push(read_run(name, &run)?),
            false => missing.push(name),
        }
    }
    let claims = match study.claims {
        Some(registered) => Some(StudyClaims { claims: registered.claims()?, registered }),
        None => None,
    };
    Ok(StudyResult { name: shown::line(&study.name), runs, missing, claims })
}

fn read_run(name: String, dir: &RunDir) -> Result<RunResult> {
    let record = dir.read_record()?;
    let metrics = dir.read_metrics()?;
    let path = dir.verdict_file();
    let audit = match text_if_there(&path)? {
        // A verdict from before the run was trained again.
        Some(_) if record.status != RunStatus::Finished => None,
        Some(text) => {
            let audit = Audit::read(&text).with_context(|| path.display().to_string())?;
            belongs(&audit, &record).with_context(|| path.display().to_string())?;
            Some(audit)
        }
        None => None,
    };
    Ok(RunResult { name, record, metrics, audit })
}

/// Whether the verdict in a run's directory is the run's.
///
/// # Errors
/// Says of which other run it is.
fn belongs(audit: &Audit, record: &RunRecord) -> Result<()> {
    let (found, config) = (&audit.run, &record.config);
    let words = |method: &str, arch: &str, dataset: &str, seed: Option<u64>| {
        let seed = seed.map_or("–".into(), |seed| seed.to_string());
        format!("{method} on {arch}, {dataset}, seed {seed}")
    };
    let of = words(&found.method, &found.arch, &found.dataset, found.seed);
    let (method, arch) = (config.method.to_string(), config.arch.to_string());
    let run = words(&method, &arch, config.dataset.name(), Some(config.seed));
    ensure!(
        of == run,
        "this verdict is of another run ({of}) than the one beside it ({run}): diagnose its checkpoint \
         again"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;
    use crate::study::plan::plan;

    const TEXT: &str = "name = 'x'\n[[grid]]\nmethod = ['bp']\nseed = [1, 2]";

    #[test]
    fn a_plan_comes_back_and_knows_strangers_and_another_study() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("study");
        assert_eq!(StudyFile::read(&root).unwrap(), None);
        let study = Study::parse("x.toml", TEXT, &Layer::new("over")).unwrap();
        let runs = plan(&root, &study).unwrap();
        let file = StudyFile::of(&study, &runs, None, "").unwrap();
        file.write(&root, None).unwrap();
        assert_eq!(StudyFile::of_the_same(&root, "x").unwrap(), Some(file.clone()));
        let error = StudyFile::of_the_same(&root, "y").unwrap_err().to_string();
        assert!(error.contains("\"x\"") && error.contains("\"y\""), "{error}");

        for name in [file.runs[0].directory.as_str(), "another"] {
            std::fs::create_dir(root.join(name)).unwrap();
            std::fs::write(root.join(name).join("checkpoint.mpk"), "").unwrap();
        }
        assert_eq!(file.strangers(&root).unwrap(), ["another"]);
    }

    #[test]
    fn runs_without_a_record_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_results(dir.path()).unwrap_err();
        assert!(error.is::<crate::failure::Usage>());
        assert!(error.to_string().contains("expected study.json"), "{error}");
        let study = Study::parse("x.toml", TEXT, &Layer::new("over")).unwrap();
        let runs = plan(dir.path(), &study).unwrap();
        let file = StudyFile::of(&study, &runs, None, "").unwrap();
        file.write(dir.path(), None).unwrap();
        let results = read_results(dir.path()).unwrap();
        let names: Vec<String> = runs.iter().map(PlannedRun::name).collect();
        assert_eq!((results.name.as_str(), results.runs.len()), ("x", 0));
        assert_eq!(results.missing, names);
    }
}
