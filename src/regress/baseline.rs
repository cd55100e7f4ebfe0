//! The baseline's file, schema `fa-audit/baseline/1`:
//!
//! ```json
//! { "schema": "fa-audit/baseline/1", "name": "regression",
//!   "tool": "0.1.0", "git_revision": "fd9fa01…", "backend": "flex",
//!   "setting": { "arch": "resmlp", "width": 32 },
//!   "tolerances": [ { "metrics": ["accuracy"], "kind": "absolute", "by": 0.01 } ],
//!   "runs": [ { "name": "dfa, seed 42", "setting": { "method": "dfa", "seed": 42 },
//!               "metrics": { "accuracy": 0.301, "verdict": "walked back" } } ] }
//! ```
//!
//! `setting` are the keys that all runs share, a run's own stand beside it. It is written by the
//! program and edited by people (`tolerances`), and read as what it may be: anything.

use super::metrics::{Metrics, Value, metrics};
use super::setting::{Setting, names, setting};
use super::tolerance::{ToleranceKind, ToleranceRule};
use crate::config::keys::{Range, key};
use crate::failure::usage;
use crate::files::write_atomically;
use crate::study::results::{RunResult, StudyResult};
use crate::train::run_dir::RunStatus;
use crate::unique::unique;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

pub const SCHEMA: &str = "fa-audit/baseline/1";

/// A larger file is not read: a thousand runs have room in it.
pub const MAX_BYTES: u64 = 8 << 20;
/// More than anyone writes; each is tried on each metric.
const MAX_PATTERNS: usize = 256;

/// Stored numbers and how far each may move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    pub schema: String,
    /// Of the study.
    pub name: String,
    /// What made it: the program's version, its revision, the backends.
    pub tool: String,
    pub git_revision: String,
    pub backend: String,
    /// Keys that all runs share.
    #[serde(deserialize_with = "unique")]
    pub setting: Setting,
    /// The first that names a metric holds for it; a metric that none names must be exact.
    pub tolerances: Vec<ToleranceRule>,
    pub runs: Vec<BaselineRun>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineRun {
    /// Unique, such as `dfa λ=0.01, seed 42`.
    pub name: String,
    /// Keys that set it apart from other runs.
    #[serde(deserialize_with = "unique")]
    pub setting: Setting,
    #[serde(deserialize_with = "unique")]
    pub metrics: Metrics,
}

impl Baseline {
    /// What `study` found, to be held against with `tolerances`.
    ///
    /// # Errors
    /// A usage error if a run is missing, did not finish or was not judged, or a statistical
    /// tolerance has too few seeds.
    pub fn of(study: &StudyResult, tolerances: Vec<ToleranceRule>) -> Result<Self> {
        let unfit =
            |run: &&RunResult| run.record.status != RunStatus::Finished || run.audit.is_none();
        let unfit = study.runs.iter().find(unfit).map(|run| &run.name);
        if let Some(name) = study.missing.first().or(unfit) {
            return Err(usage(format!(
                "{name} has no verdict: a baseline is made of finished and judged runs alone"
            )));
        }
        let settings: Vec<Setting> = study.runs.iter().map(setting).collect();
        let mut shared = settings.first().cloned().unwrap_or_default();
        shared.retain(|key, value| settings.iter().all(|s| s.get(key) == Some(value)));
        let of_each = study.runs.iter().zip(names(&study.runs)).zip(settings);
        let runs = of_each.map(|((run, name), mut setting)| {
            setting.retain(|key, _| !shared.contains_key(key));
            BaselineRun { name, setting, metrics: metrics(run) }
        });
        let made = |of: fn(&RunResult) -> &str| {
            let mut words: Vec<&str> = study.runs.iter().map(of).collect();
            words.sort_unstable();
            words.dedup();
            words.join(", ")
        };
        let baseline = Self {
            schema: SCHEMA.into(),
            name: study.name.clone(),
            tool: made(|run| &run.record.provenance.tool),
            git_revision: made(|run| &run.record.provenance.git_revision),
            backend: made(|run| &run.record.provenance.backend),
            runs: runs.collect(),
            setting: shared,
            tolerances,
        };
        baseline.check().map_err(usage)?;
        Ok(baseline)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// A usage error that names the file, and the place in it, where it is no baseline; else what
    /// the system says.
    pub fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read the baseline {}", path.display()))?;
        Self::parse(&bytes).map_err(|problem| usage(format!("{}: {problem}", path.display())))
    }

    /// Reads the bytes of a baseline. Memory stays within a small multiple of [`MAX_BYTES`].
    ///
    /// # Errors
    /// What is wrong and where: size, JSON, schema, unknown keys, types, rules that mean nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Header {
            schema: String,
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("larger than {} MiB, which no baseline is", MAX_BYTES >> 20));
        }
        let header: Header = serde_json::from_slice(bytes)
            .map_err(|e| format!("not a baseline of fa-audit: {e}"))?;
        if header.schema != SCHEMA {
            return Err(format!("schema is {:?}, expected \"{SCHEMA}\"", header.schema));
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let baseline: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|e| format!("{}: {}", e.path(), e.inner()))?;
        reader.end().map_err(|e| e.to_string())?;
        baseline.check()?;
        Ok(baseline)
    }

    /// Puts the baseline in the place of the one at `path`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("encoding the baseline")?;
        text.push('\n');
        write_atomically(path, text.as_bytes())
    }

    fn check(&self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Err("runs: a baseline of no run is none".into());
        }
        let patterns = self.tolerances.iter().map(|rule| rule.metrics.len() + rule.runs.len());
        if patterns.sum::<usize>() > MAX_PATTERNS {
            return Err(format!("tolerances: more than {MAX_PATTERNS} patterns"));
        }
        for (key, text) in [
            ("name", &self.name),
            ("tool", &self.tool),
            ("git_revision", &self.git_revision),
            ("backend", &self.backend),
        ] {
            check_text(key, text)?;
        }
        check_setting(&self.setting).map_err(|problem| format!("setting: {problem}"))?;
        let mut places = HashMap::new();
        for (i, run) in self.runs.iter().enumerate() {
            if let Some(before) = places.insert(&run.name, i) {
                return Err(format!("runs[{before}] and runs[{i}] share the name {:?}", run.name));
            }
            self.check_run(run).map_err(|problem| format!("runs[{i}]: {problem}"))?;
        }
        self.check_pools()
    }

    fn check_run(&self, run: &BaselineRun) -> Result<(), String> {
        check_text("name", &run.name)?;
        if run.metrics.is_empty() {
            return Err("metrics: expected at least one".into());
        }
        for (metric, value) in &run.metrics {
            check_text("metrics", metric)?;
            if let Value::Word(word) = value {
                check_text(metric, word)?;
            }
        }
        check_setting(&run.setting).map_err(|problem| format!("setting: {problem}"))?;
        match run.setting.keys().find(|key| self.setting.contains_key(*key)) {
            Some(key) => Err(format!("setting: {key}: stands in the shared setting, too")),
            None => Ok(()),
        }
    }

    /// A statistical tolerance needs two seeds.
    fn check_pools(&self) -> Result<(), String> {
        let pools = self.pools();
        for run in &self.runs {
            let pool = pools.of(run);
            let lone = pool.iter().find(|(metric, values)| {
                values.len() < 2
                    && run.metrics.get(**metric).is_some_and(|value| value.number().is_some())
                    && matches!(self.kind(metric, &run.name), ToleranceKind::Statistical(_))
            });
            if let Some((metric, _)) = lone {
                return Err(format!(
                    "tolerances: that of {metric} is statistical, and of the setting of \"{}\" the \
                     baseline has one seed: at least two are needed",
                    run.name
                ));
            }
        }
        Ok(())
    }

    /// The tolerance of a metric: the first rule that names it, else exact.
    pub fn kind(&self, metric: &str, run: &str) -> ToleranceKind {
        let rule = self.tolerances.iter().find(|rule| rule.holds_for(metric, run));
        rule.map_or(ToleranceKind::Exact, |rule| rule.kind)
    }

    /// All keys of a run.
    pub fn setting_of(&self, run: &BaselineRun) -> Setting {
        self.setting.iter().chain(&run.setting).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The values of each metric over the seeds of each setting.
    pub fn pools(&self) -> Pools<'_> {
        let mut pools: HashMap<String, Pool> = HashMap::new();
        for run in &self.runs {
            let pool = pools.entry(but_for_the_seed(run)).or_default();
            for (metric, value) in &run.metrics {
                let values = pool.entry(metric).or_default();
                values.extend(value.number());
            }
        }
        Pools(pools)
    }
}

/// The values of each metric over the seeds of one setting.
pub type Pool<'a> = BTreeMap<&'a str, Vec<f64>>;

/// The pools of a baseline.
pub struct Pools<'a>(HashMap<String, Pool<'a>>);

impl<'a> Pools<'a> {
    /// That of the setting of `run`, a run of the same baseline.
    pub fn of(&self, run: &BaselineRun) -> &Pool<'a> {
        &self.0[&but_for_the_seed(run)]
    }
}

fn but_for_the_seed(run: &BaselineRun) -> String {
    let keys = run.setting.iter().filter(|(key, _)| *key != "seed");
    keys.map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// Whether a key has several values in one run.
fn is_list(name: &str) -> bool {
    key(name).is_some_and(|key| matches!(key.range, Range::Epochs))
}

fn check_setting(setting: &Setting) -> Result<(), String> {
    for (key, value) in setting {
        check_text("key", key)?;
        match value {
            serde_json::Value::String(word) => check_text(key, word)?,
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
            serde_json::Value::Array(items) if is_list(key) => {
                if !items.iter().all(serde_json::Value::is_u64) {
                    return Err(format!("{key}: expected a list of whole numbers"));
                }
            }
            _ => return Err(format!("{key}: expected a number, a word, true or false")),
        }
    }
    Ok(())
}

/// What is printed in tables must not be able to move the cursor.
fn check_text(place: &str, text: &str) -> Result<(), String> {
    match text.chars().any(char::is_control) {
        true => Err(format!("{place}: {text:?} has control characters")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::study::testing::{Sketch, study};

    fn exact() -> Vec<ToleranceRule> {
        Vec::new()
    }

    fn statistical() -> Vec<ToleranceRule> {
        vec![ToleranceRule {
            metrics: vec!["accuracy".into()],
            runs: Vec::new(),
            kind: ToleranceKind::Statistical(0.95),
        }]
    }

    fn sketched(seeds: &[u64]) -> StudyResult {
        let sketch = |&seed: &u64| Sketch::audited(Method::Dfa, seed, 0.3, 2.0, 1e-3);
        study(&seeds.iter().map(sketch).collect::<Vec<_>>())
    }

    fn text(baseline: &Baseline) -> String {
        serde_json::to_string(baseline).unwrap()
    }

    #[test]
    fn a_baseline_comes_back_to_the_bit() {
        let mut results = sketched(&[1, 2]);
        results.runs[1].record.last.as_mut().unwrap().train_loss.0 = f64::NAN;
        let baseline = Baseline::of(&results, statistical()).unwrap();
        let back = Baseline::parse(text(&baseline).as_bytes()).unwrap();
        // NaN differs from itself: compare what is written.
        assert_eq!(text(&back), text(&baseline));
        assert_eq!(back.runs[1].setting.keys().collect::<Vec<_>>(), ["seed"]);
        assert_eq!(back.setting_of(&back.runs[1])["seed"], 2);
        let (pools, pool) = (back.pools(), &back.runs[0]);
        assert_eq!(pools.of(pool)["accuracy"], [0.3, 0.3]);
        assert_eq!(pools.of(pool)["verdict"], [0.0; 0]);
    }

    #[test]
    fn one_seed_is_too_few_for_a_statistical_tolerance() {
        let error = Baseline::of(&sketched(&[1]), statistical()).unwrap_err();
        assert!(error.is::<crate::failure::Usage>());
        let wanted = ["accuracy", "statistical", "\"dfa, seed 1\"", "at least two"];
        for part in wanted {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        Baseline::of(&sketched(&[1]), exact()).unwrap();
    }

    #[test]
    fn a_study_that_is_not_done_makes_no_baseline() {
        let refused = |results: &StudyResult| {
            let error = Baseline::of(results, exact()).unwrap_err().to_string();
            assert!(error.contains("has no verdict"), "{error}");
        };
        let mut results = sketched(&[1, 2]);
        results.runs[1].audit = None;
        refused(&results);
        let mut results = sketched(&[1, 2]);
        results.runs[0].record.status = RunStatus::Interrupted;
        refused(&results);
        let mut results = sketched(&[1, 2]);
        results.missing.push("dfa-3".into());
        refused(&results);
    }

    #[test]
    fn what_is_no_baseline_is_refused_with_its_place() {
        let good = serde_json::to_value(Baseline::of(&sketched(&[1]), exact()).unwrap()).unwrap();
        let refused = |change: &dyn Fn(&mut serde_json::Value), part: &str| {
            let mut value = good.clone();
            change(&mut value);
            let error = Baseline::parse(value.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        };
        use serde_json::json;
        refused(
            &|v| v["schema"] = json!("fa-audit/baseline/2"),
            "expected \"fa-audit/baseline/1\"",
        );
        refused(&|v| v["rnus"] = json!([]), "rnus: unknown field `rnus`");
        refused(&|v| v["runs"] = json!([]), "no run");
        refused(&|v| v["runs"][0]["nmae"] = json!(""), "unknown field `nmae`");
        refused(&|v| v["runs"][0]["metrics"]["growth"] = json!(null), "runs[0].metrics");
        refused(
            &|v| v["runs"][0]["metrics"] = json!({}),
            "runs[0]: metrics: expected at least one",
        );
        refused(&|v| v["runs"][0]["setting"] = json!({"width": 3}), "width: stands in the shared");
        refused(&|v| v["setting"]["width"] = json!([3]), "setting: width: expected a number");
        let epochs = "setting: extended_at: expected a list of whole numbers";
        refused(&|v| v["setting"]["extended_at"] = json!(["x"]), epochs);
        refused(&|v| v["runs"][0]["name"] = json!("\u{1b}[2J"), "control characters");
        for key in ["name", "tool", "git_revision", "backend"] {
            refused(&|v| v[key] = json!("a\nerror: b"), &format!("{key}: \"a\\nerror: b\" has"));
        }
        refused(
            &|v| v["tolerances"] = json!([{"metrics": ["*"], "kind": "none"}]),
            "tolerances[0]",
        );
        let mut most = good.clone();
        most["tolerances"] = json!([{"metrics": vec!["*"; MAX_PATTERNS], "kind": "exact"}]);
        Baseline::parse(most.to_string().as_bytes()).unwrap();
        let many = json!(vec!["*"; MAX_PATTERNS + 1]);
        refused(
            &|v| v["tolerances"] = json!([{"metrics": many, "kind": "exact"}]),
            "more than 256 patterns",
        );
        let twin = good["runs"][0].clone();
        refused(&|v| v["runs"] = json!([twin, twin]), "runs[0] and runs[1] share the name");

        let twice = good.to_string().replacen("\"accuracy\":", "\"accuracy\":1,\"accuracy\":", 1);
        let error = Baseline::parse(twice.as_bytes()).unwrap_err();
        assert!(error.contains("\"accuracy\" stands twice"), "{error}");
        for text in ["", "[]", "{}", "null", "{\"schema\": 3}", "\u{0}"] {
            let error = Baseline::parse(text.as_bytes()).unwrap_err();
            assert!(error.starts_with("not a baseline of fa-audit"), "{text}: {error}");
        }
        let error = Baseline::parse(format!("{good} x").as_bytes()).unwrap_err();
        assert!(error.contains("trailing characters"), "{error}");
        let error = Baseline::parse(&vec![b' '; MAX_BYTES as usize + 1]).unwrap_err();
        assert!(error.contains("larger than 8 MiB"), "{error}");
    }
}
