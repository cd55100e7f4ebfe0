//! Ranks over epochs and at matched loss (protocol §11), of the runs that recorded them.
//!
//! A rule that has learned less has also moved less: ranks after equally many epochs compare how far two
//! rules have come as much as how they got there. So they are compared where the training loss is the same.
//! On each seed that is the lowest loss that every method of the comparison reaches, and each method is
//! read at the first recorded epoch that is no worse.

use super::methods::{MethodRuns, methods};
use super::results::{RunResult, StudyResult};
use crate::diagnostics::rank::{MatrixRank, RankOf};
use crate::number::Number;
use crate::stats::{Summary, mean};
use crate::train::run_dir::EpochMetrics;
use serde::Serialize;

/// The methods of one network on one dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankStudy {
    pub arch: String,
    pub dataset: String,
    pub methods: Vec<MethodRanks>,
}

/// The ranks of one method over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodRanks {
    pub name: String,
    /// In order.
    pub epochs: Vec<EpochRanks>,
    /// At the loss that all methods reach; `None` where no seed has it, and for baselines.
    pub matched: Option<MatchedRanks>,
}

/// Ranks after one epoch, over the seeds that recorded it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochRanks {
    pub epoch: usize,
    pub ranks: Vec<KindRanks>,
}

/// Ranks of one kind of matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindRanks {
    pub of: RankOf,
    /// Mean over the network's matrices of that kind, then over seeds.
    pub effective: Summary,
    pub energy: Summary,
    pub stable: Summary,
    pub participation: Summary,
}

/// Ranks where the training losses of all methods meet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatchedRanks {
    pub seeds: Vec<u64>,
    /// The loss to be reached, one a seed.
    pub loss: Vec<Number>,
    /// The epoch at which it was, one a seed.
    pub epochs: Vec<usize>,
    pub ranks: Vec<KindRanks>,
}

/// One for each network and dataset of which ranks were recorded.
pub fn ranks(study: &StudyResult) -> Vec<RankStudy> {
    let recorded: Vec<MethodRuns> = methods(study)
        .into_iter()
        .filter(|method| method.runs.iter().any(|run| lines(run).next().is_some()))
        .collect();
    let mut places: Vec<(&str, &str)> = Vec::new();
    for method in &recorded {
        let place = (method.setting.arch.as_str(), method.setting.dataset.as_str());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let of = |(arch, dataset): &(&str, &str)| {
        let own = recorded
            .iter()
            .filter(|m| (&*m.setting.arch, &*m.setting.dataset) == (*arch, *dataset));
        let own: Vec<&MethodRuns> = own.collect();
        let methods = own.iter().map(|method| of_method(method, &own)).collect();
        RankStudy { arch: (*arch).into(), dataset: (*dataset).into(), methods }
    };
    places.iter().map(of).collect()
}

/// The epochs of a run that have ranks.
fn lines(run: &RunResult) -> impl Iterator<Item = &EpochMetrics> {
    run.metrics.iter().filter(|line| !line.ranks.is_empty())
}

fn of_method(method: &MethodRuns, all: &[&MethodRuns]) -> MethodRanks {
    let mut epochs: Vec<usize> =
        method.runs.iter().flat_map(|run| lines(run).map(|line| line.epoch)).collect();
    epochs.sort_unstable();
    epochs.dedup();
    let at = |epoch: usize| {
        let found = method.runs.iter().filter_map(|run| lines(run).find(|l| l.epoch == epoch));
        EpochRanks { epoch, ranks: pooled(&found.collect::<Vec<_>>()) }
    };
    MethodRanks {
        name: method.name.clone(),
        epochs: epochs.into_iter().map(at).collect(),
        matched: matched(method, all),
    }
}

/// Each kind of matrix over the seeds, a line a seed.
fn pooled(lines: &[&EpochMetrics]) -> Vec<KindRanks> {
    let of = |of: RankOf| {
        let over = |value: fn(&MatrixRank) -> Number| {
            let seed = |line: &&EpochMetrics| {
                let own = line.ranks.iter().filter(|rank| RankOf::read(&rank.matrix) == Some(of));
                let values: Vec<f64> = own.map(|rank| value(rank).0).collect();
                (!values.is_empty()).then(|| mean(&values))
            };
            let values: Vec<f64> = lines.iter().filter_map(seed).collect();
            (!values.is_empty()).then(|| Summary::of(&values))
        };
        Some(KindRanks {
            of,
            effective: over(|rank| rank.effective)?,
            energy: over(|rank| rank.energy)?,
            stable: over(|rank| rank.stable)?,
            participation: over(|rank| rank.participation)?,
        })
    };
    RankOf::ALL.into_iter().filter_map(of).collect()
}

fn matched(method: &MethodRuns, all: &[&MethodRuns]) -> Option<MatchedRanks> {
    let compared: Vec<&&MethodRuns> = all.iter().filter(|method| !method.is_baseline).collect();
    if method.is_baseline || compared.len() < 2 {
        return None;
    }
    let mut found =
        MatchedRanks { seeds: Vec::new(), loss: Vec::new(), epochs: Vec::new(), ranks: Vec::new() };
    let mut there = Vec::new();
    for run in &method.runs {
        let seed = run.record.config.seed;
        // NaN where a method has no such seed, or no loss that is a number.
        let lowest = compared.iter().map(|other| {
            let own = other.runs.iter().find(|run| run.record.config.seed == seed);
            own.map_or(f64::NAN, |run| lines(run).map(|l| l.train_loss.0).fold(f64::NAN, f64::min))
        });
        let loss = lowest.fold(f64::NEG_INFINITY, |a, b| if b.is_nan() { b } else { a.max(b) });
        let Some(line) = lines(run).find(|line| line.train_loss.0 <= loss) else { continue };
        found.seeds.push(seed);
        found.loss.push(Number(loss));
        found.epochs.push(line.epoch);
        there.push(line);
    }
    found.ranks = pooled(&there);
    (!there.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests;
