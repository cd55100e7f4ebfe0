//! A study file: keys that all runs share, a grid of the others, and the twins that they imply: the
//! frozen twin of each run, and of each learned credit those whose auxiliary network learns something
//! else.
//!
//! ```toml
//! name = "demonstration"
//! claims = "claims.toml"       # beside this file, optional: see `claims`
//! auxiliary_twins = ["shuffled", "random", "zero-target"]      # optional: see `AUXILIARY_TWINS`
//! [base]                       # any configuration keys
//! dataset = "synthetic"
//! [[grid]]                     # each key a list; the runs are their product; more grids may follow
//! method = ["bp", "fa", "dfa"]
//! seed = [42, 123, 456]
//! ```

use super::claims::misnamed;
use super::setting::with_base_keys;
use crate::backend;
use crate::claims;
use crate::claims::registered::ClaimsFile;
use crate::config::{
    Auxiliary, Config, Layer, Method, refuse_idle_keys, resolve, without_idle_keys,
};
use crate::failure::usage;
use crate::files::read_text;
use crate::shown;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What the auxiliary networks of the twins learn that a learned credit has unless the study says
/// otherwise (`auxiliary_twins`): any network that learns beside the trained one and knows the depth
/// gains something, so that a gain is a learned credit's only over these (protocol §14).
pub const AUXILIARY_TWINS: [Auxiliary; 3] =
    [Auxiliary::Shuffled, Auxiliary::Random, Auxiliary::ZeroTarget];

/// A list of runs.
#[derive(Clone, Debug)]
pub struct Study {
    pub name: String,
    /// The text of its file.
    pub text: String,
    pub runs: Vec<Config>,
    /// What it is meant to show, where it says so.
    pub claims: Option<ClaimsFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    claims: Option<PathBuf>,
    auxiliary_twins: Option<Vec<Auxiliary>>,
    #[serde(default)]
    base: Table,
    #[serde(default)]
    grid: Vec<Table>,
}

impl Study {
    /// Reads a study file; `over` goes over the keys of every run.
    ///
    /// # Errors
    /// Names the file and what is wrong: TOML, unknown sections, and all
    /// that [`resolve`] refuses.
    pub fn read(path: &Path, over: &Layer) -> Result<Self> {
        Self::read_setting(path, &Layer::new("--set"), over)
    }

    /// As [`Study::read`], of the study that the file becomes with the keys of `set` in `[base]`.
    ///
    /// # Errors
    /// As [`Study::read`], and where the grid has one of the keys.
    pub fn read_setting(path: &Path, set: &Layer, over: &Layer) -> Result<Self> {
        let text =
            read_text(path).with_context(|| format!("cannot read the study {}", path.display()))?;
        let text = with_base_keys(&path.display().to_string(), &text, set)?;
        let mut study = Self::parse(&path.display().to_string(), &text, over)?;
        let named = Self::file(&path.display().to_string(), &text)?.claims;
        if let Some(named) = named {
            study.claims = Some(study.read_claims(path, &named)?);
        }
        Ok(study)
    }

    /// Reads the claims that the study file at `path` names, and holds them against its runs.
    fn read_claims(&self, path: &Path, named: &Path) -> Result<ClaimsFile> {
        let file = path.with_file_name(named);
        let said = || format!("{}: claims: cannot read {}", path.display(), file.display());
        let text = read_text(&file).with_context(said)?;
        let source = file.display().to_string();
        let claims = claims::parse(&source, &text)?;
        if let Some(problem) = misnamed(&claims, &self.runs) {
            return Err(usage(format!("{source}: {problem}")));
        }
        Ok(ClaimsFile { name: shown::line(&named.display().to_string()), text })
    }

    fn file(source: &str, text: &str) -> Result<File> {
        let one_line =
            |e: toml::de::Error| e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        toml::from_str(text).map_err(|e| usage(format!("{source}: {}", one_line(e))))
    }

    /// As [`Study::read`], from the text of the file `source`, without its claims.
    ///
    /// # Errors
    /// As [`Study::read`].
    pub fn parse(source: &str, text: &str, over: &Layer) -> Result<Self> {
        let file = Self::file(source, text)?;
        let is_a_name = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
        if !file.name.chars().all(is_a_name) || file.name.trim_matches([' ', '.']).is_empty() {
            return Err(usage(format!(
                "{source}: name: \"{}\" cannot name a folder: expected letters, digits, - and _",
                file.name
            )));
        }
        // Without a grid the study is one run.
        let grids = if file.grid.is_empty() { vec![Table::new()] } else { file.grid.clone() };
        let mut runs: Vec<Config> = Vec::new();
        let (mut places, mut asked) = (HashMap::new(), Vec::new());
        for grid in &grids {
            for keys in points(source, &file.base, grid)? {
                let mut config = resolve(&[Layer { source: source.into(), keys }, over.clone()])?;
                backend::settle(&mut config)?;
                asked.push(config.clone());
                let config = without_idle_keys(config);
                match places.entry(config.hash()) {
                    Entry::Vacant(place) => {
                        place.insert(runs.len());
                        runs.push(config);
                    }
                    Entry::Occupied(place) => are_the_same(source, &runs[*place.get()], &config)?,
                }
            }
        }
        refuse_keys_for_nothing(source, &file, &asked)?;
        add_auxiliary_twins(source, file.auxiliary_twins.as_deref(), &mut runs)?;
        add_twins(&mut runs);
        Ok(Self { name: file.name, text: text.into(), runs, claims: None })
    }
}

/// Refuses two points of a grid that differ where no trained network does: one would be lost. Points
/// that differ in nothing that matters to them are one run.
fn are_the_same(source: &str, one: &Config, other: &Config) -> Result<()> {
    let keys: Vec<&str> = one.differing_keys(other).map(|key| key.name).collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(usage(format!(
        "{source}: two runs differ in {} alone, which trains no other network: one value a study",
        keys.join(", ")
    )))
}

/// Refuses a key of the data that does nothing for any of the `runs`.
fn refuse_keys_for_nothing(source: &str, file: &File, runs: &[Config]) -> Result<()> {
    let keys = |table: &Table| Layer { source: source.into(), keys: table.clone() };
    let layers: Vec<Layer> = std::iter::once(&file.base).chain(&file.grid).map(keys).collect();
    let refused = |run: &Config| refuse_idle_keys(&layers, run);
    match runs.iter().map(refused).collect::<Vec<_>>() {
        all if all.iter().any(Result::is_ok) => Ok(()),
        all => all.into_iter().next().unwrap_or(Ok(())),
    }
}

/// Runs of the largest study.
const MOST_RUNS: usize = 10_000;

/// The product of a grid's lists, over the keys that all its points share.
fn points(source: &str, base: &Table, grid: &Table) -> Result<Vec<Table>> {
    let mut points = vec![base.clone()];
    for (key, values) in grid {
        // A value of its own is a list of one.
        let values = match values {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        if values.is_empty() {
            return Err(usage(format!("{source}: grid.{key}: the list is empty")));
        }
        if points.len().saturating_mul(values.len()) > MOST_RUNS {
            return Err(usage(format!("{source}: grid: more than {MOST_RUNS} runs")));
        }
        let with = |point: &Table, value: &Value| {
            let mut point = point.clone();
            point.insert(key.clone(), value.clone());
            point
        };
        points = points.iter().flat_map(|p| values.iter().map(|v| with(p, v))).collect();
    }
    Ok(points)
}

/// Adds the twins of every learned credit that the grid does not have.
fn add_auxiliary_twins(
    source: &str,
    named: Option<&[Auxiliary]>,
    runs: &mut Vec<Config>,
) -> Result<()> {
    let refused = |problem: &str| Err(usage(format!("{source}: auxiliary_twins: {problem}")));
    if named.is_some_and(|named| named.contains(&Auxiliary::Learned)) {
        return refused("a network that learns its own targets is no twin: leave \"learned\" out");
    }
    let learned: Vec<Config> = runs.iter().filter(|c| c.has_learned_credit()).cloned().collect();
    if named.is_some_and(|named| !named.is_empty()) && learned.is_empty() {
        return refused("no run of the study learns its credit: leave it out");
    }
    let mut known: HashSet<String> = runs.iter().map(Config::hash).collect();
    for run in learned {
        for &auxiliary in named.unwrap_or(&AUXILIARY_TWINS) {
            let twin = Config { auxiliary, ..run.clone() };
            if known.insert(twin.hash()) {
                runs.push(twin);
            }
        }
    }
    Ok(())
}

fn add_twins(runs: &mut Vec<Config>) {
    let frozen = runs.iter().filter(|config| config.method == Method::Frozen);
    let mut twins: HashSet<String> = frozen.map(Config::twin_key).collect();
    for config in runs.clone() {
        let has_twin = !config.is_baseline() && !config.has_frozen_network();
        if has_twin && twins.insert(config.twin_key()) {
            runs.push(config.twin());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "name = 'x'\n[base]\nepochs = 2\n[[grid]]\nmethod = ['bp', 'dfa']\nseed = [1, 2]";

    #[test]
    fn a_grid_is_a_product_with_one_twin_a_seed() {
        let study = Study::parse("x.toml", TEXT, &Layer::new("over")).unwrap();
        let names: Vec<_> = study.runs.iter().map(|c| (c.label(), c.seed)).collect();
        let want = [("bp", 1), ("bp", 2), ("dfa", 1), ("dfa", 2)];
        let twins = [("frozen(dfa)", 1), ("frozen(dfa)", 2)];
        let want: Vec<_> = want.iter().chain(&twins).map(|(m, s)| (m.to_string(), *s)).collect();
        assert_eq!(names, want);
    }

    #[test]
    fn a_study_without_a_grid_is_one_run_and_its_twin() {
        let study =
            Study::parse("x.toml", "name = 'x'\n[base]\nmethod = 'dfa'", &Layer::new("over"));
        let labels: Vec<_> = study.unwrap().runs.iter().map(Config::label).collect();
        assert_eq!(labels, ["dfa", "frozen(dfa)"]);
    }

    #[test]
    fn twins_are_found_by_the_runs_they_were_made_for() {
        let study = Study::parse("x.toml", TEXT, &Layer::new("over")).unwrap();
        for run in study.runs.iter().filter(|c| !c.is_baseline()) {
            assert_eq!(run.twin().twin_key(), run.twin_key());
        }
    }

    #[test]
    fn a_learned_credit_implies_its_auxiliary_twins_once_and_the_study_chooses_them() {
        let labels = |head: &str, methods: &str| -> Result<Vec<String>, String> {
            let text = format!("name='x'\n{head}\n[[grid]]\nmethod=[{methods}]");
            let study = Study::parse("x.toml", &text, &Layer::new("over"));
            let study = study.map_err(|error| error.to_string())?;
            Ok(study.runs.iter().map(Config::label).collect())
        };
        let implied = [
            "dfa",
            "state-bridge",
            "state-bridge auxiliary=shuffled",
            "state-bridge auxiliary=random",
            "state-bridge auxiliary=zero-target",
            "frozen(dfa)",
        ];
        assert_eq!(labels("", "'dfa', 'state-bridge'").unwrap(), implied);
        let one = labels("auxiliary_twins=['shuffled']", "'credit-bridge'").unwrap();
        assert_eq!(one, ["credit-bridge", "credit-bridge auxiliary=shuffled", "frozen(dfa)"]);
        let none = labels("auxiliary_twins=[]", "'dfa', 'credit-bridge'").unwrap();
        assert_eq!(none, ["dfa", "credit-bridge", "frozen(dfa)"]);
        // What the grid names is not added again, and twins have none.
        let grid = "'state-bridge']\nauxiliary=['random', 'untrained'";
        let named = labels("", grid).unwrap();
        assert_eq!(named.len(), 3, "{named:?}");
        let both = labels("", "'state-bridge']\nauxiliary=['learned', 'shuffled'").unwrap();
        assert_eq!(both.len(), 5, "{both:?}");
        // Rules without an auxiliary network imply none.
        assert_eq!(labels("", "'ep', 'fa'").unwrap(), ["ep displacement", "fa", "frozen(dfa)"]);
    }

    #[test]
    fn twins_for_nothing_and_twins_that_are_none_are_refused() {
        let error = |twins: &str, method: &str| {
            let text =
                format!("name='x'\nauxiliary_twins=[{twins}]\n[[grid]]\nmethod=['{method}']");
            Study::parse("x.toml", &text, &Layer::new("over")).unwrap_err().to_string()
        };
        assert_eq!(
            error("'shuffled'", "dfa"),
            "x.toml: auxiliary_twins: no run of the study learns its credit: leave it out"
        );
        assert!(error("'learned'", "state-bridge").contains("auxiliary_twins: a network that"));
        let unknown = error("'shufled'", "state-bridge");
        assert!(unknown.contains("shufled") && unknown.contains("`shuffled`"), "{unknown}");
    }

    #[test]
    fn a_key_of_the_data_that_does_nothing_for_any_run_is_refused() {
        let study = |sets: &str| {
            let text = format!("name='x'\n[base]\ntrain_samples=100\n[[grid]]\ndataset=[{sets}]");
            Study::parse("x.toml", &text, &Layer::new("over"))
        };
        let error = study("'cifar10'").unwrap_err().to_string();
        assert_eq!(error, "x.toml: train_samples = 100 does nothing on cifar10: leave it out");
        let mixed = study("'cifar10', 'synthetic'").unwrap();
        let samples: Vec<usize> = mixed.runs.iter().map(|run| run.train_samples).collect();
        assert_ne!(samples[0], 100);
        assert_eq!(samples[1], 100);
    }

    #[test]
    fn a_mistake_in_a_study_names_the_file() {
        let error =
            |text| Study::parse("x.toml", text, &Layer::new("over")).unwrap_err().to_string();
        assert_eq!(error("name='x'\n[[grid]]\nseed=[]"), "x.toml: grid.seed: the list is empty");
        assert!(error("name='x'\n[bsae]\nseed=1").starts_with("x.toml: "));
        assert!(
            error("name='x'\n[[grid]]\nsed=[1]")
                .contains("unknown key `sed`; did you mean `seed`?")
        );
        let digits = "=[0,1,2,3,4,5,6,7,8,9]\n";
        let keys = ["seed", "width", "depth", "epochs", "heads", "patch"]
            .map(|key| format!("{key}{digits}"));
        let text = format!("name='x'\n[[grid]]\n{}", keys.concat());
        assert_eq!(error(&text), "x.toml: grid: more than 10000 runs");
        for text in ["name=''", "name='..'", "name='a/b'", "name=' '"] {
            assert!(error(text).contains("cannot name a folder"), "{text}");
        }
    }

    #[test]
    fn runs_that_only_look_at_their_networks_differently_are_not_merged_in_silence() {
        let study = |grid: &str| {
            let text = format!("name='x'\n[[grid]]\nmethod=['dfa']\n[[grid]]\n{grid}");
            Study::parse("x.toml", &text, &Layer::new("over"))
        };
        // The same run twice is one run.
        assert_eq!(study("method=['bp', 'dfa']").unwrap().runs.len(), 3);
        let error = study("method=['dfa']\nthreshold_growth=[20.0]").unwrap_err().to_string();
        assert!(error.contains("differ in threshold_growth alone"), "{error}");
    }
}
