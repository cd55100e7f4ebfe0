//! A study, or one run, held against a baseline.

use super::baseline::{Baseline, BaselineRun, Pool};
use super::metrics::{Better, Value, better, metrics};
use super::setting::{Setting, as_of, incomparable, names, only_what_matters, setting, word};
use super::tolerance::ToleranceKind;
use crate::failure::usage;
use crate::study::results::{RunResult, StudyResult};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// What a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A study: a run of the baseline that it lacks is a breach.
    Study,
    /// One run: the baseline's others are not looked at.
    Run,
}

/// The outcome of a comparison.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The baseline's name.
    pub name: String,
    /// In the baseline's order; runs that it does not have follow.
    pub runs: Vec<RunComparison>,
    /// What a reader must know: what was forced, and what was not looked at.
    pub notes: Vec<String>,
}

/// One run beside its counterpart.
#[derive(Clone, Debug)]
pub struct RunComparison {
    pub name: String,
    pub rows: Vec<MetricRow>,
}

/// One metric, or one key of the setting (`setting.rms_epsilon`), or the whole run (`run`).
#[derive(Clone, Debug)]
pub struct MetricRow {
    pub metric: String,
    pub baseline: Option<Value>,
    pub found: Option<Value>,
    pub tolerance: ToleranceKind,
    pub outcome: RowOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    Within,
    /// Beyond the tolerance, the good way.
    Improved,
    Breached,
    /// In the baseline alone, which is a breach.
    Missing,
    /// Not in the baseline.
    New,
}

impl RowOutcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Improved => "improved",
            Self::Breached => "breached",
            Self::Missing => "missing",
            Self::New => "new",
        }
    }

    pub fn is_breach(self) -> bool {
        matches!(self, Self::Breached | Self::Missing)
    }
}

impl Comparison {
    /// All rows, beside the name of their run.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &MetricRow)> {
        self.runs.iter().flat_map(|run| run.rows.iter().map(|row| (run.name.as_str(), row)))
    }

    pub fn count(&self, outcome: RowOutcome) -> usize {
        self.rows().filter(|(_, row)| row.outcome == outcome).count()
    }

    /// Whether anything is worse, moved or missing.
    pub fn is_regression(&self) -> bool {
        self.rows().any(|(_, row)| row.outcome.is_breach())
    }
}

/// Compares what `results` found with `baseline`.
///
/// # Errors
/// A usage error that lists the keys in which protocol, architecture or data differ, unless that is
/// `forced`; and one if `results` are one run that the baseline does not have.
pub fn compare(
    baseline: &Baseline,
    results: &StudyResult,
    scope: Scope,
    forced: bool,
) -> Result<Comparison> {
    let settings: Vec<Setting> = results.runs.iter().map(setting).collect();
    let found = names(&results.runs);
    let partners = pair(baseline, &found, &settings);
    if scope == Scope::Run && partners.iter().all(Option::is_none) {
        let known: Vec<&str> = baseline.runs.iter().map(|run| run.name.as_str()).collect();
        return Err(usage(format!(
            "the baseline has no run like \"{}\": it has {}",
            found.join("\", \""),
            known.join("; ")
        )));
    }

    let mut notes = Vec::new();
    let pairs: Vec<Option<[Setting; 2]>> = baseline
        .runs
        .iter()
        .zip(&partners)
        .map(|(run, partner)| {
            let i = (*partner)?;
            let config = &results.runs[i].record.config;
            let found = only_what_matters(settings[i].clone(), config);
            Some([as_of(baseline.setting_of(run), config), found])
        })
        .collect();
    let differences = incomparable_keys(pairs.iter().flatten());
    if !differences.is_empty() {
        let list = differences.join("; ");
        if !forced {
            return Err(usage(format!(
                "not comparable with the baseline: {list}. --force compares all the same"
            )));
        }
        notes.push(format!("Forced, although not comparable: {list}."));
    }

    notes.extend(other_backends(baseline, results));

    let pools = baseline.pools();
    let mut runs = Vec::new();
    let mut ignored = 0;
    for ((known, partner), pair) in baseline.runs.iter().zip(&partners).zip(&pairs) {
        let rows = match (partner, pair) {
            (Some(i), Some([was, is])) => {
                let mut rows = setting_rows(was, is);
                rows.extend(metric_rows(baseline, known, pools.of(known), &results.runs[*i]));
                rows
            }
            _ if scope == Scope::Run => {
                ignored += 1;
                continue;
            }
            _ => vec![whole_run(RowOutcome::Missing)],
        };
        runs.push(RunComparison { name: known.name.clone(), rows });
    }
    if ignored > 0 {
        let of = baseline.runs.len();
        notes.push(format!("One run was given: {ignored} of the baseline's {of} not looked at."));
    }
    for (i, name) in found.into_iter().enumerate() {
        if !partners.contains(&Some(i)) {
            runs.push(RunComparison { name, rows: vec![whole_run(RowOutcome::New)] });
        }
    }
    Ok(Comparison { name: baseline.name.clone(), runs, notes })
}

/// For each run of the baseline the place of its counterpart: the run of the same name; or, as a
/// name tells of keys that were changed, the only one left of the same method and seed.
fn pair(baseline: &Baseline, names: &[String], settings: &[Setting]) -> Vec<Option<usize>> {
    let known: Vec<Setting> = baseline.runs.iter().map(|run| baseline.setting_of(run)).collect();
    let of_name = |run: &BaselineRun| names.iter().position(|name| *name == run.name);
    let mut partners: Vec<Option<usize>> = baseline.runs.iter().map(of_name).collect();
    let kind = |s: &Setting| ["method", "seed"].map(|key| s.get(key).map(word));
    let mut left = BTreeMap::<_, (Vec<usize>, Vec<usize>)>::new();
    for (k, setting) in known.iter().enumerate().filter(|(k, _)| partners[*k].is_none()) {
        left.entry(kind(setting)).or_default().0.push(k);
    }
    for (i, setting) in settings.iter().enumerate() {
        if !partners.contains(&Some(i)) {
            left.entry(kind(setting)).or_default().1.push(i);
        }
    }
    for sides in left.values() {
        if let ([k], [i]) = (&sides.0[..], &sides.1[..]) {
            partners[*k] = Some(*i);
        }
    }
    partners
}

/// `width is 64, the baseline's 32 (architecture)`, each once, of pairs of a baseline's setting and the
/// one that was found.
fn incomparable_keys<'a>(pairs: impl Iterator<Item = &'a [Setting; 2]>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for [known, setting] in pairs {
        let keys = known.keys().chain(setting.keys());
        for key in keys.filter(|key| known.get(*key) != setting.get(*key)) {
            if let Some(what) = incomparable(key) {
                let shown = |s: &Setting| s.get(key).map_or("absent".into(), word);
                let (is, was) = (shown(setting), shown(known));
                found.insert(format!("{key} is {is}, the baseline's {was} ({what})"));
            }
        }
    }
    found.into_iter().collect()
}

/// Where another backend trained than the baseline's: no breach, but it rounds otherwise.
fn other_backends(baseline: &Baseline, results: &StudyResult) -> Option<String> {
    let backends = results.runs.iter().map(|run| run.record.provenance.backend.as_str());
    let backends = backends.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
    let same = backends == baseline.backend;
    (!same).then(|| format!("Trained by {backends}, the baseline by {}.", baseline.backend))
}

/// The keys that differ, and those that one side does not have. Those that forbid a comparison were
/// refused, or forced and noted.
fn setting_rows(known: &Setting, found: &Setting) -> Vec<MetricRow> {
    let keys = known.keys().chain(found.keys()).filter(|key| incomparable(key).is_none());
    let keys: BTreeSet<&String> = keys.collect();
    let row = |key: &String| {
        let value = |s: &Setting| s.get(key).map(|value| Value::Word(word(value)));
        let outcome = match (known.get(key), found.get(key)) {
            (Some(b), Some(x)) if b == x => return None,
            (Some(_), Some(_)) => RowOutcome::Breached,
            (Some(_), None) => RowOutcome::Missing,
            (None, _) => RowOutcome::New,
        };
        let (baseline, found) = (value(known), value(found));
        Some(MetricRow {
            metric: format!("setting.{key}"),
            baseline,
            found,
            tolerance: ToleranceKind::Exact,
            outcome,
        })
    };
    keys.into_iter().filter_map(row).collect()
}

fn metric_rows(
    baseline: &Baseline,
    known: &BaselineRun,
    pool: &Pool,
    run: &RunResult,
) -> Vec<MetricRow> {
    let found = metrics(run);
    let all: BTreeSet<&String> = known.metrics.keys().chain(found.keys()).collect();
    let row = |metric: &String| {
        let tolerance = baseline.kind(metric, &known.name);
        let (was, is) = (known.metrics.get(metric), found.get(metric));
        let outcome = match (was, is) {
            (Some(was), Some(is)) => judge(metric, tolerance, was, is, pool),
            (Some(_), None) => RowOutcome::Missing,
            (None, _) => RowOutcome::New,
        };
        MetricRow {
            metric: metric.clone(),
            baseline: was.cloned(),
            found: is.cloned(),
            tolerance,
            outcome,
        }
    };
    all.into_iter().map(row).collect()
}

fn judge(
    metric: &str,
    tolerance: ToleranceKind,
    was: &Value,
    is: &Value,
    pool: &Pool,
) -> RowOutcome {
    let values = pool.get(metric).map_or(&[][..], Vec::as_slice);
    if tolerance.admits(was, is, values) {
        return RowOutcome::Within;
    }
    let (Some(b), Some(x)) = (was.number(), is.number()) else { return RowOutcome::Breached };
    let improved = match better(metric) {
        Better::Higher => x > b,
        Better::Lower => x < b,
        Better::Neither => false,
    };
    // Training that now ends in an infinity has not improved.
    if improved && x.is_finite() { RowOutcome::Improved } else { RowOutcome::Breached }
}

fn whole_run(outcome: RowOutcome) -> MetricRow {
    let there = |is: bool| is.then(|| Value::Word("there".into()));
    MetricRow {
        metric: "run".into(),
        baseline: there(outcome == RowOutcome::Missing),
        found: there(outcome == RowOutcome::New),
        tolerance: ToleranceKind::Exact,
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::number::Number;
    use crate::regress::ToleranceRule;
    use crate::study::testing::{Sketch, study};

    fn sketch(method: Method, seed: u64) -> Sketch {
        Sketch::audited(method, seed, 0.4, 2.0, 1e-3)
    }

    fn baseline(sketches: &[Sketch]) -> Baseline {
        let all = ToleranceRule {
            metrics: vec!["*".into()],
            runs: Vec::new(),
            kind: ToleranceKind::Relative(0.01),
        };
        Baseline::of(&study(sketches), vec![all]).unwrap()
    }

    fn told(comparison: &Comparison, outcome: RowOutcome) -> Vec<&str> {
        let rows = comparison.rows().filter(|(_, row)| row.outcome == outcome);
        rows.map(|(_, row)| row.metric.as_str()).collect()
    }

    #[test]
    fn the_same_is_no_regression_in_whatever_order() {
        let (bp, dfa) = (sketch(Method::Bp, 1), sketch(Method::Dfa, 1));
        let baseline = baseline(&[bp.clone(), dfa.clone()]);
        let found = compare(&baseline, &study(&[dfa, bp]), Scope::Study, false).unwrap();
        assert!(!found.is_regression());
        assert_eq!(found.count(RowOutcome::Within), found.rows().count());
        assert!(found.notes.is_empty());
    }

    #[test]
    fn a_metric_that_has_a_good_way_improves_and_any_other_breaks() {
        let baseline = baseline(&[sketch(Method::Dfa, 1)]);
        let better = Sketch::audited(Method::Dfa, 1, 0.5, 1.9, 1e-3);
        let found = compare(&baseline, &study(&[better]), Scope::Study, false).unwrap();
        let improved = told(&found, RowOutcome::Improved);
        let wanted =
            ["accuracy", "depth_utility", "training.test_accuracy", "training.train_accuracy"];
        assert_eq!(improved, wanted);
        assert!(told(&found, RowOutcome::Breached).contains(&"growth"));

        let worse = Sketch::audited(Method::Dfa, 1, 0.3, 2.0, 1e-3);
        let found = compare(&baseline, &study(&[worse]), Scope::Study, false).unwrap();
        assert!(told(&found, RowOutcome::Improved).is_empty());
        assert!(told(&found, RowOutcome::Breached).contains(&"accuracy"));
        assert!(told(&found, RowOutcome::Breached).contains(&"depth_utility.status"));
    }

    #[test]
    fn what_stayed_as_it_was_has_not_improved_though_its_pool_lies_elsewhere() {
        let pool = Pool::from([("accuracy", vec![0.1, 0.101, 0.102])]);
        let judged = |is: f64| {
            let [was, is] = [0.9, is].map(|v| Value::Number(Number(v)));
            judge("accuracy", ToleranceKind::Statistical(0.95), &was, &is, &pool)
        };
        assert_eq!(judged(0.101), RowOutcome::Within);
        assert_eq!(judged(0.9), RowOutcome::Breached);
        assert_eq!(judged(0.95), RowOutcome::Improved);
    }

    #[test]
    fn what_exploded_has_not_improved() {
        let baseline = baseline(&[sketch(Method::Dfa, 1)]);
        let mut results = study(&[sketch(Method::Dfa, 1)]);
        results.runs[0].record.last.as_mut().unwrap().test_loss.0 = f64::NEG_INFINITY;
        let found = compare(&baseline, &results, Scope::Study, false).unwrap();
        assert_eq!(told(&found, RowOutcome::Breached), ["training.test_loss"]);
    }

    #[test]
    fn a_changed_key_is_a_breach_and_its_run_still_the_same_run() {
        let baseline = baseline(&[sketch(Method::Dfa, 1), sketch(Method::Dfa, 2)]);
        let mut changed = [sketch(Method::Dfa, 1), sketch(Method::Dfa, 2)];
        // The name of the run tells of it, too.
        changed.iter_mut().for_each(|s| s.config.rms_epsilon = 1e-3);
        let found = compare(&baseline, &study(&changed), Scope::Study, false).unwrap();
        assert_eq!(told(&found, RowOutcome::Breached), ["setting.rms_epsilon"; 2]);
        assert!(told(&found, RowOutcome::Missing).is_empty());
    }

    #[test]
    fn a_key_that_does_not_matter_to_a_run_is_not_compared() {
        let baseline = baseline(&[sketch(Method::Dfa, 1)]);
        let mut changed = sketch(Method::Dfa, 1);
        changed.config.heads = 8;
        changed.config.base = crate::config::Base::Bp;
        let found = compare(&baseline, &study(&[changed]), Scope::Study, false).unwrap();
        assert!(!found.is_regression() && found.notes.is_empty(), "{:?}", found.notes);
        assert!(found.rows().all(|(_, row)| !row.metric.starts_with("setting")));
        // Where the network reads it, it forbids the comparison.
        let vit = |heads| {
            let mut sketch = sketch(Method::Dfa, 1);
            (sketch.config.arch, sketch.config.heads) = (crate::config::Arch::VitMini, heads);
            sketch
        };
        let baseline = Baseline::of(&study(&[vit(4)]), Vec::new()).unwrap();
        let error = compare(&baseline, &study(&[vit(8)]), Scope::Study, false).unwrap_err();
        let wanted = "heads is 8, the baseline's 4 (architecture)";
        assert!(error.to_string().contains(wanted), "{error}");
    }

    #[test]
    fn another_network_is_refused_unless_forced() {
        let baseline = baseline(&[sketch(Method::Dfa, 1)]);
        let mut wide = sketch(Method::Dfa, 1);
        wide.config.width = 512;
        let results = study(&[wide]);
        let error = compare(&baseline, &results, Scope::Study, false).unwrap_err();
        assert!(error.is::<crate::failure::Usage>());
        let wanted = "width is 512, the baseline's 256 (architecture)";
        assert!(error.to_string().contains(wanted), "{error}");
        let found = compare(&baseline, &results, Scope::Study, true).unwrap();
        assert!(!found.is_regression());
        assert!(found.notes[0].contains(wanted), "{:?}", found.notes);
    }

    #[test]
    fn missing_runs_break_a_study_and_a_run_alone_is_held_against_its_own() {
        let baseline = baseline(&[sketch(Method::Bp, 1), sketch(Method::Dfa, 1)]);
        let one = study(&[sketch(Method::Dfa, 1)]);
        let found = compare(&baseline, &one, Scope::Study, false).unwrap();
        assert_eq!(told(&found, RowOutcome::Missing), ["run"]);
        let found = compare(&baseline, &one, Scope::Run, false).unwrap();
        assert!(!found.is_regression() && found.runs.len() == 1, "{:?}", found.notes);
        assert_eq!(found.notes, ["One run was given: 1 of the baseline's 2 not looked at."]);
        let stranger = study(&[sketch(Method::Fa, 1)]);
        let error = compare(&baseline, &stranger, Scope::Run, false).unwrap_err().to_string();
        assert!(error.contains("no run like \"fa, seed 1\": it has bp, seed 1; dfa"), "{error}");
        let found = compare(&baseline, &stranger, Scope::Study, false).unwrap();
        assert_eq!(told(&found, RowOutcome::New), ["run"]);
        assert_eq!(told(&found, RowOutcome::Missing), ["run"; 2]);
    }
}
