//! When each diagnostic first fires, and what stopping there would have saved and cost.
//!
//! Read from `metrics.jsonl`: growth, and the median ‖g_L‖ on the evaluation batches, whose size N
//! goes into it (protocol §4: proportional to 1/N, the floor calibrated at N = 128). The published
//! demonstration (protocol §4): a monitor that fires at epoch 4 of 100 saves 96 % of the epochs at
//! no cost. The accuracy at the stop is that of the schedule's state there, the learning rate still
//! high; a schedule that ended there might have reached more.

use super::methods::methods;
use super::results::{RunResult, StudyResult};
use crate::number::Number;
use crate::stats::Summary;
use crate::train::run_dir::{EpochMetrics, RunStatus};
use crate::verdict::seeds::MethodSetting;
use crate::verdict::{Status, fires_above, fires_below};
use serde::Serialize;

/// The firing epochs of a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// Baselines among them.
    pub methods: Vec<MethodTimeline>,
}

/// The firing epochs of one method, a run for each seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodTimeline {
    pub name: String,
    #[serde(flatten)]
    pub setting: MethodSetting,
    pub is_baseline: bool,
    pub runs: Vec<RunTimeline>,
    /// Share of the epochs saved, over the runs on which something fired.
    pub saved: Option<Summary>,
    /// Percentage points of accuracy lost, over the same runs; negative where stopping gains.
    pub cost: Option<Summary>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunTimeline {
    /// The name of its directory.
    pub run: String,
    pub seed: u64,
    /// Epochs that were recorded; fewer than planned where the run did not finish or diverged.
    pub epochs: usize,
    /// N of the evaluation batches.
    pub probe_batch_size: usize,
    pub growth: Firing,
    pub reference: Firing,
    /// `null` where nothing fired, and for a run that did not finish.
    pub early_stop: Option<EarlyStop>,
}

/// When a diagnostic first fires.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Firing {
    /// `passed`: never in the whole run. `inconclusive`: not yet, the run did not finish.
    pub status: Status,
    /// Counted from 1.
    pub epoch: Option<usize>,
    pub threshold: Number,
}

/// Stopping when the first of growth and reference fires.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EarlyStop {
    pub epoch: usize,
    /// Share of the run's epochs that come after it.
    pub saved: Number,
    /// Final accuracy minus the accuracy at the stop, percentage points.
    pub cost: Number,
}

/// The firing epochs of every run that has any.
pub fn timeline(study: &StudyResult) -> Timeline {
    let method = |method: super::methods::MethodRuns| {
        let runs: Vec<RunTimeline> = method.runs.iter().map(|run| of_run(run)).collect();
        let over_stops = |value: fn(&EarlyStop) -> Number| {
            let stops = runs.iter().filter_map(|run| run.early_stop.as_ref());
            let values: Vec<f64> = stops.map(|stop| value(stop).0).collect();
            (!values.is_empty()).then(|| Summary::of(&values))
        };
        MethodTimeline {
            saved: over_stops(|stop| stop.saved),
            cost: over_stops(|stop| stop.cost),
            name: method.name,
            setting: method.setting,
            is_baseline: method.is_baseline,
            runs,
        }
    };
    Timeline { methods: methods(study).into_iter().map(method).collect() }
}

fn of_run(run: &RunResult) -> RunTimeline {
    let config = &run.record.config;
    let used = run.audit.as_ref().map(|audit| audit.thresholds.used());
    let growth = used.map_or(config.threshold_growth, |t| t.growth);
    let reference = used.map_or(config.threshold_reference, |t| t.reference);
    let growth = firing(run, growth, fires_above, |m| m.growth);
    let reference = firing(run, reference, fires_below, |m| m.gradient_norms.last().copied());
    RunTimeline {
        run: run.name.clone(),
        seed: config.seed,
        epochs: run.metrics.len(),
        probe_batch_size: config.probe_batch_size,
        early_stop: growth
            .epoch
            .into_iter()
            .chain(reference.epoch)
            .min()
            .and_then(|e| stop(run, e)),
        growth,
        reference,
    }
}

fn firing(
    run: &RunResult,
    threshold: f64,
    fires: fn(f64, f64) -> bool,
    value: impl Fn(&EpochMetrics) -> Option<Number>,
) -> Firing {
    let fired = |m: &&EpochMetrics| value(m).is_some_and(|v| fires(v.0, threshold));
    let epoch = run.metrics.iter().find(fired).map(|m| m.epoch);
    let measured = !run.metrics.is_empty() && run.metrics.iter().all(|m| value(m).is_some());
    let status = match epoch {
        Some(_) => Status::Fired,
        None if !measured => Status::NotEvaluated,
        None if run.record.status != RunStatus::Finished => Status::Inconclusive,
        None => Status::Passed,
    };
    Firing { status, epoch, threshold: Number(threshold) }
}

fn stop(run: &RunResult, epoch: usize) -> Option<EarlyStop> {
    if run.record.status != RunStatus::Finished {
        return None;
    }
    let there = run.metrics.iter().find(|m| m.epoch == epoch)?;
    let last = run.metrics.last()?;
    Some(EarlyStop {
        epoch,
        saved: Number((last.epoch - epoch) as f64 / last.epoch as f64),
        cost: Number((last.test_accuracy.0 - there.test_accuracy.0) * 100.0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sketch, study};
    use super::*;
    use crate::config::Method;

    const CALM: (f64, f64, f64) = (0.30, 2.0, 1e-4);

    /// Growth fires at epoch 8, the reference at epoch 4 of 100: the published seed 42.
    fn dfa() -> Sketch {
        let epochs: Vec<_> = (1..=100)
            .map(|epoch| {
                let growth = if epoch >= 8 { 60.0 } else { 50.0 };
                let gradient = if epoch >= 4 { 9e-8 } else { 1e-7 };
                let accuracy = if epoch == 4 { 0.308 } else { 0.306 };
                (accuracy, growth, gradient)
            })
            .collect();
        Sketch::new(Method::Dfa, 42, &epochs)
    }

    fn first(sketch: Sketch) -> RunTimeline {
        timeline(&study(&[sketch])).methods.remove(0).runs.remove(0)
    }

    #[test]
    fn a_monitor_that_fires_at_epoch_4_of_100_saves_96_per_cent() {
        let found = first(dfa());
        assert_eq!((found.growth.epoch, found.reference.epoch), (Some(8), Some(4)));
        let stop = found.early_stop.unwrap();
        assert_eq!((stop.epoch, stop.saved), (4, Number(0.96)));
        // .306 at the end, .308 there: stopping gains 0.2 points.
        assert!((stop.cost.0 + 0.2).abs() < 1e-9);
    }

    #[test]
    fn never_is_not_the_same_as_not_yet_nor_as_not_measured() {
        let bp = Sketch::new(Method::Bp, 42, &[CALM; 3]);
        let never = first(bp.clone());
        assert_eq!((never.growth.status, never.growth.epoch), (Status::Passed, None));
        assert_eq!((never.reference.status, never.early_stop), (Status::Passed, None));
        let running = first(Sketch { status: RunStatus::Interrupted, ..bp.clone() });
        assert_eq!(running.growth.status, Status::Inconclusive);
        let unborn = first(Sketch { status: RunStatus::Failed, epochs: vec![], ..bp.clone() });
        assert_eq!(unborn.growth.status, Status::NotEvaluated);
        let mut blockless = study(&[bp]);
        blockless.runs[0].metrics[1].growth = None;
        let found = &timeline(&blockless).methods[0].runs[0];
        assert_eq!(found.growth.status, Status::NotEvaluated);
        assert_eq!(found.reference.status, Status::Passed);
    }

    #[test]
    fn a_run_that_did_not_finish_fires_and_tells_no_cost() {
        let failed = Sketch { status: RunStatus::Failed, ..dfa() };
        let found = first(failed);
        assert_eq!((found.reference.epoch, found.early_stop), (Some(4), None));
    }

    #[test]
    fn what_is_not_finite_fires() {
        let exploded = [CALM, (0.1, f64::NAN, 1e-4), (0.1, f64::NAN, f64::NAN)];
        let found = first(Sketch::new(Method::Dfa, 42, &exploded));
        assert_eq!((found.growth.epoch, found.reference.epoch), (Some(2), Some(3)));
        // Three epochs were trained: stopping after the second saves one of them.
        let stop = found.early_stop.unwrap();
        assert!((stop.saved.0 - 1.0 / 3.0).abs() < 1e-12 && stop.cost == Number(0.0));
    }

    #[test]
    fn a_method_lists_its_seeds_and_means_over_those_that_fired() {
        let fires_at = |epoch: usize, seed| {
            let growth = |e| if e >= epoch { 99.0 } else { 1.0 };
            let epochs = [1, 2, 3, 4].map(|e| (0.1 * e as f64, growth(e), 1e-4));
            Sketch::new(Method::Dfa, seed, &epochs)
        };
        let found = timeline(&study(&[fires_at(1, 7), fires_at(3, 8), fires_at(9, 9)]));
        let method = &found.methods[0];
        let epochs: Vec<_> = method.runs.iter().map(|r| (r.seed, r.growth.epoch)).collect();
        assert_eq!(epochs, [(7, Some(1)), (8, Some(3)), (9, None)]);
        // Saved 3/4 and 1/4; cost 30 and 10 points.
        let (saved, cost) = (method.saved.unwrap(), method.cost.unwrap());
        assert_eq!((saved.mean, saved.n, cost.n), (0.5, 2, 2));
        assert!((cost.mean - 20.0).abs() < 1e-9);
    }

    #[test]
    fn the_thresholds_of_the_run_are_used() {
        let mut sketch = Sketch { status: RunStatus::Running, ..dfa() };
        sketch.config.threshold_growth = 70.0;
        sketch.config.threshold_reference = 2e-7;
        let found = first(sketch);
        assert_eq!((found.growth.epoch, found.growth.threshold), (None, Number(70.0)));
        assert_eq!((found.reference.epoch, found.reference.threshold), (Some(1), Number(2e-7)));
    }
}
