//! One method over several seeds. A diagnostic fires for the method when it fires on more than half
//! of its seeds; depth utility fires on the mean of the paired differences. A diagnostic missing on
//! some seeds has not passed.

use super::{Audit, Decision, Finding, Status, Thresholds, fires_below};
use crate::stats::{Summary, mean};

/// The runs that share a label, an architecture and a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodSummary {
    pub label: String,
    pub arch: String,
    pub dataset: String,
    pub data_source: String,
    pub is_baseline: bool,
    pub seeds: Vec<Option<u64>>,
    /// A fraction.
    pub accuracy: Summary,
    pub growth: Pooled,
    pub reference: Pooled,
    pub stability: Pooled,
    /// Percentage points.
    pub depth_utility: Pooled,
    /// The aggregate over the runs that have one.
    pub cosine: Option<Summary>,
    /// Layers 0 … L, over the runs that have them.
    pub cosine_per_layer: Vec<Summary>,
    /// Whether the reference lets the cosines be read.
    pub interpretable: bool,
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
}

/// One summary for each method, in the order of first appearance.
pub fn summarise(audits: &[Audit]) -> Vec<MethodSummary> {
    let mut groups: Vec<Vec<&Audit>> = Vec::new();
    for audit in audits {
        match groups.iter_mut().find(|g| key(g[0]) == key(audit)) {
            Some(group) => group.push(audit),
            None => groups.push(vec![audit]),
        }
    }
    groups.iter().map(|group| pool(group)).collect()
}

fn key(audit: &Audit) -> [&str; 4] {
    let run = &audit.run;
    [&run.label, &run.arch, &run.dataset, &run.data_source]
}

fn pool(runs: &[&Audit]) -> MethodSummary {
    let first = &runs[0].run;
    let growth = majority(runs, |a| observed(&a.diagnostics.growth));
    let reference = majority(runs, |a| observed(&a.diagnostics.reference));
    let mut depth_utility = majority(runs, |a| observed(&a.diagnostics.depth_utility));
    let margins: Vec<f64> =
        runs.iter().filter_map(|a| a.diagnostics.depth_utility.value.map(|v| v.0)).collect();
    if !margins.is_empty() {
        let asked = runs[0].thresholds.depth_utility.value.0;
        depth_utility.status = match fires_below(mean(&margins), asked) {
            true => Status::Fired,
            false if margins.len() < runs.len() => Status::NotEvaluated,
            false => Status::Passed,
        };
    }
    let mut verdict = Decision::of(growth.status, reference.status, depth_utility.status);
    if verdict == Decision::Trustworthy && runs.iter().any(|a| a.run.diverged.is_some()) {
        verdict = Decision::Inconclusive;
    }
    let layers = runs.iter().map(|a| a.cosine.detail.per_layer.len()).max();
    MethodSummary {
        label: first.label.clone(),
        arch: first.arch.clone(),
        dataset: first.dataset.clone(),
        data_source: first.data_source.clone(),
        is_baseline: first.is_baseline,
        seeds: runs.iter().map(|a| a.run.seed).collect(),
        accuracy: Summary::of(&collect(runs, |a| Some(a.accuracy.0))),
        cosine: some_summary(&collect(runs, |a| a.cosine.aggregate.map(|v| v.0))),
        cosine_per_layer: (0..layers.unwrap_or(0))
            .map(|l| Summary::of(&collect(runs, |a| a.cosine.detail.per_layer.get(l).map(|v| v.0))))
            .collect(),
        interpretable: reference.status == Status::Passed,
        stability: majority(runs, |a| observed(&a.diagnostics.stability)),
        growth,
        reference,
        depth_utility,
        verdict,
        thresholds: runs[0].thresholds.used(),
    }
}

fn collect(runs: &[&Audit], value: impl Fn(&Audit) -> Option<f64>) -> Vec<f64> {
    runs.iter().filter_map(|a| value(a)).collect()
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
    }
}
