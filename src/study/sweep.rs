//! What other thresholds would have said: the sweep behind the calibration ranges of protocol §4.
//!
//! Growth and reference: a logarithmic grid, an order of magnitude to each side of the published
//! threshold; depth utility: the published list of points. A method fires as in
//! [`crate::verdict::seeds`]: on more than half of its seeds, for depth utility on the mean of the
//! paired differences. Baselines are left out: no verdict is due of them.
//!
//! Each method is one critical value: the threshold at which it turns from firing to passing.

use super::methods::{MethodRuns, methods};
use super::results::StudyResult;
use crate::number::Number;
use crate::stats::mean;
use crate::verdict::{Audit, CALIBRATIONS, Decision, MethodSummary, Status, Thresholds};
use serde::Serialize;

/// Percentage points (protocol §4 (d)).
pub const DEPTH_UTILITY_GRID: [f64; 7] = [0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];
/// Thresholds per factor of ten (recommended).
const PER_DECADE: i32 = 4;

/// The threshold sweep of a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// The methods with an audit, without baselines.
    pub methods: Vec<String>,
    pub growth: DiagnosticSweep,
    pub reference: DiagnosticSweep,
    pub depth_utility: DiagnosticSweep,
}

/// The sweep of one diagnostic, the other two as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiagnosticSweep {
    pub published: Number,
    /// The threshold that the verdicts stand on, the first method's.
    pub used: Number,
    /// The methods that it was not evaluated on, at least on the seeds that would settle it: they have
    /// not passed.
    pub not_evaluated: Vec<String>,
    pub points: Vec<Point>,
    /// Thresholds at which the same methods fire as at the one used.
    pub same_firings: Range,
    /// Thresholds at which every method has the same verdict as at the one used: wider where another
    /// diagnostic fires as well.
    pub same_verdicts: Range,
    pub separation: Separation,
}

/// One threshold of the grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    pub threshold: Number,
    /// The methods on which the diagnostic fires.
    pub fires: Vec<String>,
    /// The methods whose verdict is another than at the threshold used.
    pub verdict_changes: Vec<String>,
}

/// From `low` to `high`; `null` is no bound. A bound that a firing method sets lies itself outside, one
/// that a passing method sets inside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    pub low: Option<Number>,
    pub high: Option<Number>,
}

/// How far the diagnostic keeps apart the single runs of two groups of methods: healthy ones, whose
/// verdict is trustworthy, and degenerate ones, on which this diagnostic fires.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Separation {
    /// The healthy run closest to firing: the largest growth, the smallest gradient or margin. `null`
    /// without one, and not a number where a run's is.
    pub healthy: Option<Number>,
    /// The degenerate run closest to passing. Values that are not finite fire at every threshold and
    /// are only counted.
    pub degenerate: Option<Number>,
    pub degenerate_not_finite: usize,
    /// The gap as a factor: above 1 a threshold separates the groups. `null` without either group,
    /// and for depth utility, whose margins have signs.
    pub ratio: Option<Number>,
}

/// Sweeps the three thresholds that decide.
pub fn sweep(study: &StudyResult) -> Sweep {
    let audited: Vec<SweptMethod> =
        methods(study).iter().filter(|m| !m.is_baseline).filter_map(SweptMethod::of).collect();
    let used = audited.first().map_or_else(Thresholds::default, |m| m.summary.thresholds);
    let [growth, reference, _, depth_utility] = CALIBRATIONS.map(|c| c.threshold);
    Sweep {
        methods: audited.iter().map(|m| m.name.clone()).collect(),
        growth: GROWTH.sweep(&audited, &log_grid(growth), growth, used.growth),
        reference: REFERENCE.sweep(&audited, &log_grid(reference), reference, used.reference),
        depth_utility: DEPTH_UTILITY.sweep(
            &audited,
            &DEPTH_UTILITY_GRID,
            depth_utility,
            used.depth_utility,
        ),
    }
}

/// A factor of ten to each side.
fn log_grid(centre: f64) -> Vec<f64> {
    let power = |i: i32| 10f64.powf(f64::from(i.abs()) / f64::from(PER_DECADE));
    let at = |i: i32| if i < 0 { centre / power(i) } else { centre * power(i) };
    (-PER_DECADE..=PER_DECADE).map(at).collect()
}

struct SweptMethod<'a> {
    name: String,
    summary: MethodSummary,
    audits: Vec<&'a Audit>,
}

impl<'a> SweptMethod<'a> {
    fn of(runs: &MethodRuns<'a>) -> Option<Self> {
        let audits = runs.audited().map(|(_, audit)| audit).collect();
        Some(Self { name: runs.name.clone(), summary: runs.summary()?, audits })
    }
}

/// One diagnostic's reading of a run and of a method.
struct Diagnostic {
    /// 1 where it fires above its threshold, −1 where it fires below: times this, larger is worse.
    sign: f64,
    value: fn(&Audit) -> Option<Number>,
    status: fn(&MethodSummary) -> Status,
    others: fn(&MethodSummary) -> [Status; 2],
    /// Fires on the mean over seeds instead of on more than half of them.
    on_mean: bool,
}

const GROWTH: Diagnostic = Diagnostic {
    sign: 1.0,
    value: |a| a.diagnostics.growth.value,
    status: |m| m.growth.status,
    others: |m| [m.reference.status, m.depth_utility.status],
    on_mean: false,
};

const REFERENCE: Diagnostic = Diagnostic {
    sign: -1.0,
    value: |a| a.diagnostics.reference.value,
    status: |m| m.reference.status,
    others: |m| [m.growth.status, m.depth_utility.status],
    on_mean: false,
};

const DEPTH_UTILITY: Diagnostic = Diagnostic {
    sign: -1.0,
    value: |a| a.diagnostics.depth_utility.value,
    status: |m| m.depth_utility.status,
    others: |m| [m.growth.status, m.reference.status],
    on_mean: true,
};

impl Diagnostic {
    fn sweep(
        &self,
        methods: &[SweptMethod],
        grid: &[f64],
        published: f64,
        used: f64,
    ) -> DiagnosticSweep {
        let critical: Vec<f64> = methods.iter().map(|m| self.critical(m)).collect();
        let fires = |i: usize, threshold: f64| critical[i] > self.sign * threshold;
        let names = |chosen: &dyn Fn(usize) -> bool| -> Vec<String> {
            (0..methods.len()).filter(|&i| chosen(i)).map(|i| methods[i].name.clone()).collect()
        };
        // Where another diagnostic fires, this one cannot change the verdict.
        let alone = |i: usize| !(self.others)(&methods[i].summary).contains(&Status::Fired);
        let point = |&threshold: &f64| Point {
            threshold: Number(threshold),
            fires: names(&|i| fires(i, threshold)),
            verdict_changes: names(&|i| alone(i) && fires(i, threshold) != fires(i, used)),
        };
        let decisive: Vec<f64> =
            (0..methods.len()).filter(|&i| alone(i)).map(|i| critical[i]).collect();
        DiagnosticSweep {
            published: Number(published),
            used: Number(used),
            not_evaluated: names(&|i| (self.status)(&methods[i].summary) == Status::NotEvaluated),
            points: grid.iter().map(point).collect(),
            same_firings: self.range(&critical, used),
            same_verdicts: self.range(&decisive, used),
            separation: self.separation(methods),
        }
    }

    /// The method fires where this exceeds the threshold times the sign.
    fn critical(&self, method: &SweptMethod) -> f64 {
        let missing = f64::NEG_INFINITY;
        let mut values: Vec<f64> = method
            .audits
            .iter()
            .map(|a| (self.value)(a).map_or(missing, |v| self.worst(v.0)))
            .collect();
        if self.on_mean {
            values.retain(|v| *v != missing);
            return if values.is_empty() { missing } else { mean(&values) };
        }
        values.sort_by(|a, b| b.total_cmp(a));
        // More than half exceed it exactly where this one does.
        values[values.len() / 2]
    }

    /// Times the sign, and what is not finite beyond every threshold.
    fn worst(&self, value: f64) -> f64 {
        if value.is_finite() { self.sign * value } else { f64::INFINITY }
    }

    fn range(&self, critical: &[f64], used: f64) -> Range {
        let (fire, pass): (Vec<f64>, Vec<f64>) =
            critical.iter().partition(|c| **c > self.sign * used);
        let bound = |values: Vec<f64>, nearest: fn(f64, f64) -> f64| {
            let nearest = values.into_iter().filter(|v| v.is_finite()).reduce(nearest);
            nearest.map(|v| Number(self.sign * v))
        };
        let (from, to) = (bound(pass, f64::max), bound(fire, f64::min));
        match self.sign > 0.0 {
            true => Range { low: from, high: to },
            false => Range { low: to, high: from },
        }
    }

    fn separation(&self, methods: &[SweptMethod]) -> Separation {
        let values = |chosen: &dyn Fn(&MethodSummary) -> bool| -> Vec<f64> {
            let methods = methods.iter().filter(|m| chosen(&m.summary));
            methods.flat_map(|m| &m.audits).filter_map(|a| (self.value)(a)).map(|v| v.0).collect()
        };
        let worse =
            |a: f64, b: f64| if a.is_nan() || self.sign * a > self.sign * b { a } else { b };
        let healthy = values(&|m| m.verdict == Decision::Trustworthy).into_iter().reduce(worse);
        let all = values(&|m| (self.status)(m) == Status::Fired);
        let finite: Vec<f64> = all.iter().copied().filter(|v| v.is_finite()).collect();
        let degenerate_not_finite = all.len() - finite.len();
        let milder = |a: f64, b: f64| if self.sign * a < self.sign * b { a } else { b };
        let degenerate = finite.into_iter().reduce(milder);
        let factor = |healthy: f64, degenerate: f64| match self.sign > 0.0 {
            true => degenerate / healthy,
            false => healthy / degenerate,
        };
        let ratio = healthy.zip(degenerate).filter(|_| !self.on_mean);
        Separation {
            healthy: healthy.map(Number),
            degenerate: degenerate.map(Number),
            degenerate_not_finite,
            ratio: ratio.map(|(healthy, degenerate)| Number(factor(healthy, degenerate))),
        }
    }
}

#[cfg(test)]
mod tests;
