//! One method over several seeds. A diagnostic fires for the method when it fires on more than half
//! of its seeds; depth utility fires on the mean of the paired differences. A diagnostic missing on
//! some seeds has not passed. What other seeds might well turn round is marked as fragile, and the
//! published rule stays the verdict.

use super::{Audit, Decision, Finding, Status, Thresholds, fires_below};
use crate::diagnostics::controls::Control;
use crate::diagnostics::learned_credit::{LearnedCredit, TwinGain, does_as_well};
use crate::stats::{Interval, Summary, interval_95, mean};
use serde::Serialize;
use std::collections::BTreeSet;

/// What runs share that are seeds of one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodSetting {
    pub label: String,
    pub arch: String,
    pub dataset: String,
    pub data_source: String,
    /// Planned, where known.
    pub epochs: Option<u64>,
}

/// The runs of one [`MethodSetting`].
#[derive(Clone, Debug, PartialEq)]
pub struct MethodSummary {
    pub label: String,
    pub arch: String,
    pub dataset: String,
    pub data_source: String,
    /// Planned, where known.
    pub epochs: Option<u64>,
    pub is_baseline: bool,
    pub seeds: Vec<Option<u64>>,
    /// A fraction.
    pub accuracy: Summary,
    pub growth: Pooled,
    pub reference: Pooled,
    pub stability: Pooled,
    /// Percentage points.
    pub depth_utility: Pooled,
    /// 95 % interval of the mean paired difference, percentage points; `None` for fewer than two.
    pub depth_interval: Option<Interval>,
    /// The aggregate over the runs that have one.
    pub cosine: Option<Summary>,
    /// Layers 0 … L, over the runs that have them.
    pub cosine_per_layer: Vec<Summary>,
    /// Whether the reference lets the cosines be read.
    pub interpretable: bool,
    /// What a learned credit gains over its auxiliary twins, one each; `None` where nothing is learned.
    pub learned_credit: Option<Vec<PooledGain>>,
    pub verdict: Decision,
    /// Those of the first run.
    pub thresholds: Thresholds,
}

/// One diagnostic over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooled {
    /// `None` where no seed has a value.
    pub summary: Option<Summary>,
    pub fired: usize,
    /// Seeds on which it passed or fired.
    pub evaluated: usize,
    pub status: Status,
    /// The seeds disagree; for depth utility, the interval of the differences reaches across the
    /// threshold. Never of a single seed, which can tell neither.
    pub fragile: bool,
}

/// What a learned credit gains over its twins of one kind, on the seeds that have one.
#[derive(Clone, Debug, PartialEq)]
pub struct PooledGain {
    /// What the auxiliary network of the twins learns.
    pub over: String,
    /// Of the twins, a fraction.
    pub accuracy: Summary,
    /// Paired differences, percentage points.
    pub gain: Summary,
    /// 95 % interval of the mean difference; `None` for fewer than two.
    pub interval: Option<Interval>,
    /// Whether other seeds might well leave nothing of the gain.
    pub does_as_well: bool,
    /// Why some seed has none.
    pub missing: Option<String>,
}

/// One summary for each method, in the order of first appearance.
pub fn summarise<'a>(audits: impl IntoIterator<Item = &'a Audit>) -> Vec<MethodSummary> {
    let groups = by_setting(audits, |audit| MethodSetting::of(audit));
    groups.into_iter().map(|(setting, runs)| pool(setting, &runs)).collect()
}

impl MethodSetting {
    pub(super) fn of(audit: &Audit) -> Self {
        let run = &audit.run;
        Self {
            label: if run.label.is_empty() { &run.method } else { &run.label }.clone(),
            arch: run.arch.clone(),
            dataset: run.dataset.clone(),
            data_source: run.data_source.clone(),
            epochs: run.epochs,
        }
    }

    fn differs_in_length_from(&self, other: &Self) -> bool {
        let name = |s: &Self| [s.label.clone(), s.arch.clone(), s.dataset.clone()];
        name(self) == name(other) && self.epochs != other.epochs
    }
}

/// Groups in the order of first appearance. Where the number of epochs alone sets two apart, their
/// labels say it.
pub(crate) fn by_setting<T>(
    items: impl IntoIterator<Item = T>,
    setting: impl Fn(&T) -> MethodSetting,
) -> Vec<(MethodSetting, Vec<T>)> {
    let mut groups: Vec<(MethodSetting, Vec<T>)> = Vec::new();
    for item in items {
        let setting = setting(&item);
        match groups.iter_mut().find(|(s, _)| *s == setting) {
            Some((_, group)) => group.push(item),
            None => groups.push((setting, vec![item])),
        }
    }
    let all: Vec<MethodSetting> = groups.iter().map(|(setting, _)| setting.clone()).collect();
    for (setting, _) in &mut groups {
        let ambiguous = all.iter().any(|other| setting.differs_in_length_from(other));
        if let (true, Some(epochs)) = (ambiguous, setting.epochs) {
            setting.label += &format!(" E={epochs}");
        }
    }
    groups
}

/// The runs of a setting, at least one, told as one method.
pub(crate) fn pool(setting: MethodSetting, runs: &[&Audit]) -> MethodSummary {
    let growth = majority(runs, |a| observed(&a.diagnostics.growth));
    let reference = majority(runs, |a| observed(&a.diagnostics.reference));
    let margins = collect(runs, |a| a.diagnostics.depth_utility.value.map(|v| v.0));
    let depth_interval = interval_95(&margins);
    let depth_utility = depth(runs, &margins, depth_interval);
    let mut verdict = Decision::of(growth.status, reference.status, depth_utility.status);
    let doubtful =
        |a: &&Audit| a.run.diverged.is_some() || a.evidence.contradictions().next().is_some();
    if verdict == Decision::Trustworthy && runs.iter().any(doubtful) {
        verdict = Decision::Inconclusive;
    }
    if runs[0].run.is_baseline {
        verdict = Decision::Baseline;
    }
    let layers = runs.iter().map(|a| a.cosine.detail.per_layer.len()).max();
    MethodSummary {
        label: setting.label,
        arch: setting.arch,
        dataset: setting.dataset,
        data_source: setting.data_source,
        epochs: setting.epochs,
        is_baseline: runs[0].run.is_baseline,
        seeds: runs.iter().map(|a| a.run.seed).collect(),
        accuracy: Summary::of(&collect(runs, |a| a.accuracy.map(|v| v.0))),
        cosine: some_summary(&collect(runs, |a| a.cosine.aggregate.map(|v| v.0))),
        cosine_per_layer: (0..layers.unwrap_or(0))
            .map(|l| Summary::of(&collect(runs, |a| a.cosine.detail.per_layer.get(l).map(|v| v.0))))
            .collect(),
        interpretable: reference.status == Status::Passed,
        learned_credit: gains(runs),
        stability: majority(runs, |a| observed(&a.diagnostics.stability)),
        growth,
        reference,
        depth_utility,
        depth_interval,
        verdict,
        thresholds: runs[0].thresholds.used(),
    }
}

fn collect(runs: &[&Audit], value: impl Fn(&Audit) -> Option<f64>) -> Vec<f64> {
    runs.iter().filter_map(|a| value(a)).collect()
}

/// One for each kind of twin that some seed has.
fn gains(runs: &[&Audit]) -> Option<Vec<PooledGain>> {
    let learned: Vec<&LearnedCredit> =
        runs.iter().filter_map(|audit| audit.learned_credit.as_ref()).collect();
    if learned.is_empty() {
        return None;
    }
    let names: BTreeSet<&String> = learned.iter().flat_map(|found| found.over.keys()).collect();
    let of = |name: &String| {
        let found = || learned.iter().map(|learned| learned.over.get(name));
        let twins: Vec<&TwinGain> = found().flatten().filter_map(Control::found).collect();
        let gains: Vec<f64> = twins.iter().map(|twin| twin.gain.0).collect();
        let accuracies: Vec<f64> = twins.iter().map(|twin| twin.accuracy.0).collect();
        let missing = found().find_map(|control| match control {
            Some(Control::Found(_)) => None,
            Some(Control::Missing { not_evaluated }) => Some(not_evaluated.clone()),
            None => Some("a seed has no such twin".into()),
        });
        PooledGain {
            over: name.clone(),
            accuracy: Summary::of(&accuracies),
            gain: Summary::of(&gains),
            interval: interval_95(&gains),
            does_as_well: does_as_well(&gains),
            missing,
        }
    };
    Some(names.into_iter().map(of).collect())
}

fn some_summary(values: &[f64]) -> Option<Summary> {
    (!values.is_empty()).then(|| Summary::of(values))
}

fn observed<D>(finding: &Finding<D>) -> (Status, Option<f64>) {
    (finding.status, finding.value.map(|v| v.0))
}

/// Fired on more than half of the seeds; passed only where every seed was evaluated.
fn majority(runs: &[&Audit], of: impl Fn(&Audit) -> (Status, Option<f64>)) -> Pooled {
    let count = |status| runs.iter().filter(|a| of(a).0 == status).count();
    let (fired, passed) = (count(Status::Fired), count(Status::Passed));
    let status = if 2 * fired > runs.len() {
        Status::Fired
    } else if fired + passed == runs.len() {
        Status::Passed
    } else if count(Status::NotEvaluated) == 0 {
        Status::Inconclusive
    } else {
        Status::NotEvaluated
    };
    Pooled {
        summary: some_summary(&collect(runs, |a| of(a).1)),
        fired,
        evaluated: fired + passed,
        status,
        fragile: fired > 0 && passed > 0,
    }
}

/// Depth utility on the mean of the paired differences.
fn depth(runs: &[&Audit], margins: &[f64], interval: Option<Interval>) -> Pooled {
    let counted = majority(runs, |a| observed(&a.diagnostics.depth_utility));
    if margins.is_empty() {
        return counted;
    }
    let asked = runs[0].thresholds.depth_utility.value.0;
    let status = match fires_below(mean(margins), asked) {
        true => Status::Fired,
        false if margins.len() < runs.len() => Status::NotEvaluated,
        false => Status::Passed,
    };
    // An interval that is not a number excludes nothing.
    let settled = |i: Interval| i.high < asked || i.low >= asked;
    Pooled { status, fragile: interval.is_some_and(|i| !settled(i)), ..counted }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Specimen, published};
    use super::*;

    /// BP's published run over seeds whose paired differences are these, in points.
    fn with_margins(margins: &[f64]) -> MethodSummary {
        let seed = |(seed, margin): (usize, &f64)| {
            let accuracy = 0.30 + margin / 100.0;
            let run = published().remove(0);
            Specimen { seed: seed as u64, accuracy, frozen: Some(0.30), ..run }.audit()
        };
        let audits: Vec<Audit> = margins.iter().enumerate().map(seed).collect();
        summarise(&audits).remove(0)
    }

    #[test]
    fn depth_utility_is_fragile_where_its_interval_reaches_across_the_threshold() {
        // s = 1, so 4.302653/√3 = 2.484138 points each way.
        let wide = with_margins(&[2.0, 3.0, 4.0]);
        let interval = wide.depth_interval.unwrap();
        assert!((interval.low - 0.515862).abs() < 1e-5, "{interval:?}");
        assert!((interval.high - 5.484138).abs() < 1e-5, "{interval:?}");
        assert_eq!((wide.depth_utility.status, wide.depth_utility.fragile), (Status::Passed, true));
        assert_eq!(wide.verdict, Decision::Trustworthy);
        let clear = with_margins(&[4.0, 5.0, 6.0]);
        assert_eq!(
            (clear.depth_utility.status, clear.depth_utility.fragile),
            (Status::Passed, false)
        );
        let below = with_margins(&[-2.0, -1.0, 0.0]);
        assert_eq!(
            (below.depth_utility.status, below.depth_utility.fragile),
            (Status::Fired, false)
        );
        // Fires on the mean 1, and the interval reaches up to 3.48.
        let under = with_margins(&[0.0, 1.0, 2.0]);
        assert_eq!(
            (under.depth_utility.status, under.depth_utility.fragile),
            (Status::Fired, true)
        );
    }

    #[test]
    fn a_single_seed_has_no_interval_and_is_not_called_fragile() {
        let one = with_margins(&[2.1]);
        assert_eq!((one.depth_interval, one.depth_utility.fragile), (None, false));
        assert!(!one.growth.fragile && !one.reference.fragile);
    }

    #[test]
    fn a_margin_that_is_nan_makes_depth_utility_fragile_and_fired() {
        let lost = with_margins(&[5.0, f64::NAN, 5.0]);
        assert_eq!((lost.depth_utility.status, lost.depth_utility.fragile), (Status::Fired, true));
        assert!(lost.depth_interval.unwrap().low.is_nan());
    }

    #[test]
    fn seeds_that_disagree_make_growth_and_reference_fragile() {
        let seeds = |growths: [f32; 3]| {
            let run = |(i, growth): (usize, &f32)| {
                let run = published().remove(0);
                let hidden = vec![1.0, *growth, *growth, *growth, *growth];
                let mut gradient = run.gradient.clone();
                gradient[4] = if *growth > 50.0 { 1e-9 } else { 1e-4 };
                Specimen { seed: i as u64, hidden, gradient, ..run }.audit()
            };
            let audits: Vec<Audit> = growths.iter().enumerate().map(run).collect();
            let found = summarise(&audits).remove(0);
            [found.growth, found.reference].map(|p| (p.fired, p.status, p.fragile))
        };
        assert_eq!(seeds([60.0, 1.0, 1.0]), [(1, Status::Passed, true); 2]);
        assert_eq!(seeds([60.0, 70.0, 1.0]), [(2, Status::Fired, true); 2]);
        assert_eq!(seeds([60.0, 70.0, 80.0]), [(3, Status::Fired, false); 2]);
        assert_eq!(seeds([1.0, 2.0, 3.0]), [(0, Status::Passed, false); 2]);
    }

    #[test]
    fn gains_of_a_learned_credit_are_paired_by_seed_and_a_seed_without_its_twin_is_told() {
        let seed = |(seed, twins): (usize, &Vec<(&'static str, f64)>)| {
            let run = published().remove(3);
            let auxiliary_twins = Some(twins.clone());
            Specimen { seed: seed as u64, accuracy: 0.40, auxiliary_twins, ..run }.audit()
        };
        let pooled = |twins: &[Vec<(&'static str, f64)>]| {
            let audits: Vec<Audit> = twins.iter().enumerate().map(seed).collect();
            summarise(&audits).remove(0).learned_credit
        };
        let clear = pooled(&[
            vec![("shuffled", 0.38), ("random", 0.41)],
            vec![("shuffled", 0.37)],
            vec![("shuffled", 0.36), ("random", 0.39)],
        ]);
        let [random, shuffled] = <[PooledGain; 2]>::try_from(clear.unwrap()).unwrap();
        // 2, 3 and 4 points: 3 ± 1, and 3 ± 2.484138.
        assert_eq!((shuffled.over.as_str(), shuffled.gain.n), ("shuffled", 3));
        assert!((shuffled.gain.mean - 3.0).abs() < 1e-9);
        assert!((shuffled.gain.std.unwrap() - 1.0).abs() < 1e-9);
        assert!((shuffled.interval.unwrap().low - 0.515862).abs() < 1e-5);
        assert!(!shuffled.does_as_well && shuffled.missing.is_none());
        // −1 and 1.
        assert_eq!((random.gain.n, random.does_as_well), (2, true));
        assert_eq!(random.missing.as_deref(), Some("a seed has no such twin"));
        assert_eq!(pooled(&[vec![]]), Some(Vec::new()));
        assert_eq!(with_margins(&[1.0]).learned_credit, None);
    }

    #[test]
    fn runs_of_different_length_are_two_methods_and_say_so() {
        let run = |epochs, seed| {
            let mut audit = Specimen { seed, ..published().remove(1) }.audit();
            audit.run.epochs = epochs;
            audit
        };
        let labels = |audits: &[Audit]| -> Vec<(String, usize)> {
            summarise(audits).into_iter().map(|m| (m.label, m.seeds.len())).collect()
        };
        let both = [run(Some(30), 1), run(Some(100), 1), run(Some(30), 2)];
        assert_eq!(labels(&both), [("FA E=30".into(), 2), ("FA E=100".into(), 1)]);
        assert_eq!(labels(&[run(Some(30), 1), run(Some(30), 2)]), [("FA".into(), 2)]);
        let unknown = [run(None, 1), run(Some(30), 2)];
        assert_eq!(labels(&unknown), [("FA".into(), 1), ("FA E=30".into(), 1)]);
    }

    #[test]
    fn runs_without_a_label_are_told_apart_by_their_method() {
        let run = |method: &str| {
            let mut audit = published().remove(0).audit();
            (audit.run.label, audit.run.method) = (String::new(), method.into());
            audit
        };
        let found = summarise(&[run("dfa"), run("fa"), run("dfa")]);
        let found: Vec<_> = found.iter().map(|m| (m.label.as_str(), m.seeds.len())).collect();
        assert_eq!(found, [("dfa", 2), ("fa", 1)]);
    }
}
