//! The depth ladder: accuracy over the number k of trained blocks, the last k of L (protocol §6.7).
//! Credit that serves depth makes it rise from rung to rung, as backpropagation does; published: BP
//! gains 22 to 23 points from k = 0 to L, DFA is best at k = 0.
//!
//! The rung k = 0 is the method with all blocks frozen (`frozen_blocks` = depth) where the study has
//! it, else the frozen run whose embedding the same rule trained, else the runs' frozen twins; `from`
//! says which.

use super::methods::setting;
use super::results::{RunResult, StudyResult};
use crate::config::{Config, Method};
use crate::number::Number;
use crate::stats::Summary;
use crate::train::run_dir::RunStatus;
use crate::verdict::seeds::{MethodSetting, by_setting};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The ladders of a study: of each method that has runs with some of its blocks frozen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ladders {
    pub ladders: Vec<Ladder>,
}

/// One method at one depth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ladder {
    /// The label is that of the run with all blocks trained.
    #[serde(flatten)]
    pub setting: MethodSetting,
    /// Blocks L.
    pub depth: usize,
    /// Those that are there, k rising.
    pub rungs: Vec<Rung>,
    /// Whether each mean is above the one before; `null` for fewer than two rungs.
    pub rises: Option<bool>,
    /// k of the largest mean, the smaller of equals; `null` where a mean is not a number.
    pub best: Option<usize>,
    /// Accuracy at k = L minus accuracy at k = 0 of the same seed, percentage points.
    pub gain: Option<Summary>,
    /// Runs without a final accuracy, by name.
    pub unfinished: Vec<String>,
}

/// The runs with k trained blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    pub trained_blocks: usize,
    /// The label of its runs.
    pub from: String,
    /// A fraction.
    pub accuracy: Summary,
    pub seeds: Vec<u64>,
}

/// The ladders of `study`; none where no run has frozen blocks.
pub fn ladders(study: &StudyResult) -> Ladders {
    let climbing = study.runs.iter().filter(|run| !run.record.config.is_baseline());
    let groups = by_setting(climbing, |run| MethodSetting {
        label: Config { frozen_blocks: 0, ..run.record.config.clone() }.label(),
        ..setting(run)
    });
    let has_rungs = |runs: &[&RunResult]| runs.iter().any(|r| r.record.config.frozen_blocks > 0);
    Ladders {
        ladders: groups
            .into_iter()
            .filter(|(_, runs)| has_rungs(runs))
            .map(|(setting, runs)| ladder(setting, &runs, study))
            .collect(),
    }
}

fn ladder(setting: MethodSetting, runs: &[&RunResult], study: &StudyResult) -> Ladder {
    let depth = runs[0].record.config.depth;
    let mut by_trained: BTreeMap<usize, Vec<&RunResult>> = BTreeMap::new();
    for run in runs {
        by_trained.entry(depth - run.record.config.frozen_blocks).or_default().push(run);
    }
    by_trained.entry(0).or_insert_with(|| frozen_runs(runs, study));

    let all = by_trained.values().flatten();
    let unfinished = all.filter(|r| final_accuracy(r).is_none()).map(|r| r.name.clone()).collect();
    let rungs: Vec<Rung> = by_trained.iter().filter_map(|(k, runs)| rung(*k, runs)).collect();
    let means: Vec<f64> = rungs.iter().map(|rung| rung.accuracy.mean).collect();
    let at = |k: usize| by_trained.get(&k).map_or(&[][..], Vec::as_slice);
    Ladder {
        setting,
        depth,
        rises: (means.len() > 1).then(|| means.windows(2).all(|pair| pair[1] > pair[0])),
        best: best(&rungs),
        gain: gain(at(0), at(depth)),
        rungs,
        unfinished,
    }
}

/// The frozen runs that match these, from the same rule where there are any.
fn frozen_runs<'a>(runs: &[&RunResult], study: &'a StudyResult) -> Vec<&'a RunResult> {
    let keys: Vec<String> = runs.iter().map(|run| run.record.config.twin_key()).collect();
    let frozen = study.runs.iter().filter(|run| {
        let config = &run.record.config;
        config.method == Method::Frozen && keys.contains(&config.twin_key())
    });
    let rule = runs[0].record.config.rule();
    let (same, other): (Vec<_>, Vec<_>) = frozen.partition(|r| r.record.config.rule() == rule);
    let mut found = if same.is_empty() { other } else { same };
    // One rule alone, and each seed once: settings that a frozen run does not use make several.
    let base = found.first().map(|run| run.record.config.base);
    let mut seeds = BTreeSet::new();
    found.retain(|run| {
        let config = &run.record.config;
        Some(config.base) == base && seeds.insert(config.seed)
    });
    found
}

fn rung(trained_blocks: usize, runs: &[&RunResult]) -> Option<Rung> {
    let finished: Vec<(u64, f64)> =
        runs.iter().filter_map(|r| Some((r.record.config.seed, final_accuracy(r)?.0))).collect();
    if finished.is_empty() {
        return None;
    }
    let accuracies: Vec<f64> = finished.iter().map(|(_, accuracy)| *accuracy).collect();
    Some(Rung {
        trained_blocks,
        from: runs[0].record.config.label(),
        accuracy: Summary::of(&accuracies),
        seeds: finished.iter().map(|(seed, _)| *seed).collect(),
    })
}

/// Of a finished run: its audit's, or the last epoch's.
fn final_accuracy(run: &RunResult) -> Option<Number> {
    if run.record.status != RunStatus::Finished {
        return None;
    }
    let last = run.record.last.as_ref().map(|m| m.test_accuracy);
    run.audit.as_ref().and_then(|audit| audit.accuracy).or(last)
}

fn best(rungs: &[Rung]) -> Option<usize> {
    let mean = |rung: &Rung| rung.accuracy.mean;
    if rungs.iter().any(|rung| mean(rung).is_nan()) {
        return None;
    }
    let higher = |a, b| if mean(b) > mean(a) { b } else { a };
    rungs.iter().reduce(higher).map(|rung| rung.trained_blocks)
}

/// Over the seeds that both have.
fn gain(bottom: &[&RunResult], top: &[&RunResult]) -> Option<Summary> {
    let seed = |run: &RunResult| run.record.config.seed;
    let pair = |run: &&RunResult| {
        let twin = bottom.iter().find(|b| seed(b) == seed(run))?;
        Some((final_accuracy(run)?.0 - final_accuracy(twin)?.0) * 100.0)
    };
    let gains: Vec<f64> = top.iter().filter_map(pair).collect();
    (!gains.is_empty()).then(|| Summary::of(&gains))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sketch, study};
    use super::*;
    use crate::config::Base;

    /// A run of four blocks, the last `trained` of which are trained.
    fn run(method: Method, trained: usize, seed: u64, accuracy: f64) -> Sketch {
        let mut sketch = Sketch::audited(method, seed, accuracy, 1.0, 1e-4);
        sketch.config.frozen_blocks = 4 - trained;
        sketch
    }

    fn frozen(base: Base, seed: u64, accuracy: f64) -> Sketch {
        let mut sketch = run(Method::Frozen, 4, seed, accuracy);
        sketch.config.base = base;
        sketch
    }

    /// BP climbs from its own frozen run, DFA falls from the twins.
    fn two_ladders() -> Vec<Sketch> {
        let mut runs = Vec::new();
        for seed in [1, 2] {
            // The second seed is two points better everywhere.
            let more = 0.02 * (seed - 1) as f64;
            for (k, accuracy) in [(2, 0.50), (4, 0.60), (1, 0.45)] {
                runs.push(run(Method::Bp, k, seed, accuracy + more));
            }
            for (k, accuracy) in [(4, 0.30), (2, 0.33)] {
                runs.push(run(Method::Dfa, k, seed, accuracy + more));
            }
            runs.push(frozen(Base::Dfa, seed, 0.35 + more));
            runs.push(frozen(Base::Bp, seed, 0.39 + more));
        }
        runs
    }

    #[test]
    fn bp_rises_from_its_own_frozen_run_and_dfa_falls_from_the_twins() {
        let found = ladders(&study(&two_ladders())).ladders;
        assert_eq!(found.len(), 2);
        let (bp, dfa) = (&found[0], &found[1]);
        let steps = |ladder: &Ladder| -> Vec<(usize, f64, usize, String)> {
            let step = |r: &Rung| {
                let mean = (r.accuracy.mean * 1e6).round() / 1e6;
                (r.trained_blocks, mean, r.accuracy.n, r.from.clone())
            };
            ladder.rungs.iter().map(step).collect()
        };
        let want = [
            (0, 0.40, 2, "frozen(bp)"),
            (1, 0.46, 2, "bp last 1"),
            (2, 0.51, 2, "bp last 2"),
            (4, 0.61, 2, "bp"),
        ];
        assert_eq!(steps(bp), want.map(|(k, mean, n, from)| (k, mean, n, from.to_string())));
        assert_eq!((bp.setting.label.as_str(), bp.depth), ("bp", 4));
        assert_eq!((bp.rises, bp.best), (Some(true), Some(4)));
        // .60 − .39 and .62 − .41.
        let gain = bp.gain.unwrap();
        assert!((gain.mean - 21.0).abs() < 1e-9 && gain.std.unwrap() < 1e-9 && gain.n == 2);
        assert_eq!(dfa.rungs[0].from, "frozen(dfa)");
        assert_eq!((dfa.rises, dfa.best), (Some(false), Some(0)));
        assert!((dfa.gain.unwrap().mean + 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_dip_in_the_middle_or_a_plateau_is_no_rise() {
        let rises = |accuracies: [f64; 3]| {
            let runs: Vec<Sketch> = accuracies
                .iter()
                .zip([0, 2, 4])
                .map(|(accuracy, k)| run(Method::Fa, k, 1, *accuracy))
                .collect();
            let found = ladders(&study(&runs)).ladders.remove(0);
            (found.rises, found.best)
        };
        assert_eq!(rises([0.3, 0.4, 0.5]), (Some(true), Some(4)));
        assert_eq!(rises([0.3, 0.5, 0.4]), (Some(false), Some(2)));
        assert_eq!(rises([0.3, 0.4, 0.4]), (Some(false), Some(2)));
        assert_eq!(rises([0.3, f64::NAN, 0.5]), (Some(false), None));
    }

    #[test]
    fn the_methods_own_run_with_all_blocks_frozen_comes_before_the_baseline() {
        let runs =
            [frozen(Base::Fa, 1, 0.10), run(Method::Fa, 0, 1, 0.32), run(Method::Fa, 4, 1, 0.40)];
        let found = ladders(&study(&runs)).ladders.remove(0);
        assert_eq!(
            (found.rungs[0].from.as_str(), found.rungs[0].accuracy.mean),
            ("fa last 0", 0.32)
        );
    }

    #[test]
    fn a_frozen_run_counts_once_a_seed() {
        let mut again = frozen(Base::Dfa, 1, 0.35);
        again.config.penalty = 0.01;
        let twins = [frozen(Base::Dfa, 1, 0.35), again, frozen(Base::Bp, 1, 0.39)];
        let runs = [run(Method::Fa, 2, 1, 0.4), run(Method::Fa, 4, 1, 0.5)];
        let found = ladders(&study(&[&twins[..], &runs[..]].concat())).ladders.remove(0);
        let bottom = &found.rungs[0];
        assert_eq!((bottom.from.as_str(), bottom.seeds.as_slice()), ("frozen(dfa)", &[1][..]));
    }

    #[test]
    fn without_another_rung_there_is_no_ladder() {
        let runs = [run(Method::Bp, 4, 1, 0.6), frozen(Base::Dfa, 1, 0.35)];
        assert!(ladders(&study(&runs)).ladders.is_empty());
    }

    #[test]
    fn a_frozen_run_of_another_length_or_depth_is_no_rung() {
        let mut longer = frozen(Base::Dfa, 1, 0.35);
        longer.config.epochs = 2;
        let mut deeper = frozen(Base::Dfa, 1, 0.36);
        deeper.config.depth = 8;
        let runs = [run(Method::Dfa, 2, 1, 0.33), run(Method::Dfa, 4, 1, 0.30), longer, deeper];
        let found = ladders(&study(&runs)).ladders.remove(0);
        let trained: Vec<_> = found.rungs.iter().map(|r| r.trained_blocks).collect();
        assert_eq!((trained, found.gain), (vec![2, 4], None));
    }

    #[test]
    fn a_run_that_did_not_finish_is_named_and_a_missing_audit_is_no_loss() {
        let mut failed = run(Method::Bp, 2, 2, 0.9);
        failed.status = RunStatus::Failed;
        let runs = [run(Method::Bp, 2, 1, 0.5), failed, run(Method::Bp, 4, 1, 0.6)];
        let mut study = study(&runs);
        study.runs[0].audit = None;
        let found = ladders(&study).ladders.remove(0);
        assert_eq!(found.unfinished, ["bp-s2"]);
        assert_eq!((found.rungs[0].accuracy.mean, found.rungs[0].seeds.clone()), (0.5, vec![1]));
    }
}
