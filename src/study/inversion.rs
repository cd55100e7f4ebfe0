//! Ranking inversion: do the methods stand in one order by the cosine and in another by what they do?
//!
//! Protocol §6.3: with the penalty the cosine ranks Credit Bridge over State Bridge over DFA, while by
//! accuracy, nudging and loss State Bridge is far ahead of the other two. (Of those means τ is ⅓ for nudging
//! and loss and 0 for accuracy: broken, not reversed.) Methods are ranked within one
//! condition, which is all that a frozen twin shares, and the penalty; on each seed the order by the
//! cosine is held against the order by each function with Kendall's τ-b.
//!
//! Not every run is ranked. BP's credit is the gradient: it has the first place by construction, and every
//! τ would be pulled towards 1. Frozen and shallow baselines train no block; random targets and auxiliary
//! twins are controls. And a cosine that its reference does not carry ranks nothing.

use super::methods::{MethodRuns, methods};
use super::results::{RunResult, StudyResult};
use crate::config::{Config, Method};
use crate::number::Number;
use crate::stats::{Interval, Summary, interval_95, kendall, mean};
use crate::verdict::{Audit, plain};
use serde::Serialize;
use std::cmp::Ordering;

/// Fewer methods have no order to speak of: of two, τ is ±1.
pub const FEWEST: usize = 3;

/// The layers over which the cosine, ρ and Δ are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Those whose credit trains a block, as the aggregate.
    Trained,
    /// 1 … L−1, as published.
    Deep,
}

/// By what methods are ranked. Larger is better, of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Cosine,
    /// ρ in f64.
    Perturbation,
    /// −Δ at the run's η.
    Nudging,
    /// The mean ratio over blocks.
    Descent,
    Accuracy,
    /// Of the mean training loss, from the first epoch to the last.
    LossDecrease,
}

impl By {
    /// All but the cosine.
    pub const FUNCTIONS: [Self; 5] =
        [Self::Perturbation, Self::Nudging, Self::Descent, Self::Accuracy, Self::LossDecrease];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Perturbation => "ρ",
            Self::Nudging => "nudging",
            Self::Descent => "descent test",
            Self::Accuracy => "accuracy",
            Self::LossDecrease => "loss decrease",
        }
    }
}

/// The methods of one condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inversion {
    /// The penalty, and what else sets it apart in the study.
    pub condition: String,
    /// By falling mean cosine over the layers that train.
    pub methods: Vec<Ranked>,
    /// Those that are not ranked, and why.
    pub left_out: Vec<LeftOut>,
    /// For the layers that train and the deep ones, one a function.
    pub agreements: Vec<Agreement>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    pub method: String,
    pub why: String,
}

/// A method and its places.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    pub method: String,
    pub seeds: Vec<u64>,
    /// The cosine over both sets of layers, then each function over the layers that train.
    pub places: Vec<Place>,
}

/// A method's value over its seeds, and its place by the mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    pub by: By,
    pub over: Over,
    /// `None` where some seed has none.
    pub value: Option<Summary>,
    /// From 1; equal means share their middle place. `None` where some method has no value.
    pub rank: Option<Number>,
}

/// How far the order by the cosine is that by a function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Of the cosine, and of ρ and Δ.
    pub over: Over,
    pub by: By,
    /// τ-b of each seed on which every method has both values.
    pub per_seed: Vec<SeedTau>,
    /// `None` where no seed has one.
    pub tau: Option<Summary>,
    /// 95 % interval of the mean over seeds; `None` for fewer than two.
    pub interval: Option<Interval>,
    pub order: Order,
    /// Why a seed has no τ, or none has.
    pub not_evaluated: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SeedTau {
    pub seed: u64,
    pub tau: Number,
}

/// What τ over the seeds says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Below zero with its interval; of one seed, below zero.
    Against,
    /// Above zero, likewise.
    Along,
    /// The interval holds zero.
    Open,
    NotEvaluated,
}

/// The conditions in which at least two methods could be ranked.
pub fn inversions(study: &StudyResult) -> Vec<Inversion> {
    let methods = methods(study);
    let mut conditions: Vec<(String, Vec<&MethodRuns>)> = Vec::new();
    for method in methods.iter().filter(|method| is_ranked(config(method))) {
        let key = condition(config(method));
        match conditions.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(method),
            None => conditions.push((key, vec![method])),
        }
    }
    conditions.retain(|(_, members)| members.len() > 1);
    let firsts: Vec<&Config> = conditions.iter().map(|(_, members)| config(members[0])).collect();
    let of = |(_, members): &(String, Vec<&MethodRuns>)| {
        let name = name(config(members[0]), &firsts);
        of_one(name, members)
    };
    conditions.iter().map(of).collect()
}

fn config<'a>(method: &MethodRuns<'a>) -> &'a Config {
    &method.runs[0].record.config
}

/// Whether the cosine of its credit with the gradient is a finding.
fn is_ranked(config: &Config) -> bool {
    let is_other = matches!(config.method, Method::Bp | Method::RandomTarget);
    !(is_other || config.is_baseline() || config.is_auxiliary_twin())
}

/// What the methods of one ranking share.
fn condition(config: &Config) -> String {
    let any_seed = Config { seed: 0, ..config.clone() };
    format!("{} {}", any_seed.twin_key(), config.penalty)
}

/// `λ = 0.01`, and the keys in which it differs from another condition.
fn name(own: &Config, all: &[&Config]) -> String {
    let mut words = vec![format!("λ = {}", plain(own.penalty))];
    let twin = own.twin();
    for other in all {
        let other = Config { seed: own.seed, ..other.twin() };
        for key in twin.differing_keys(&other) {
            let word = format!("{} {}", key.name, key.value(&twin));
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join(", ")
}

/// A method that may be ranked.
struct Candidate<'a> {
    name: String,
    runs: Vec<(u64, &'a RunResult, &'a Audit)>,
}

fn of_one(condition: String, members: &[&MethodRuns]) -> Inversion {
    let (mut ranked, mut left_out) = (Vec::new(), Vec::new());
    for member in members {
        let runs: Vec<_> =
            member.audited().map(|(run, audit)| (run.record.config.seed, run, audit)).collect();
        let candidate = Candidate { name: member.name.clone(), runs };
        match candidate.unreadable() {
            Some(why) => left_out.push(LeftOut { method: candidate.name, why }),
            None => ranked.push(candidate),
        }
    }
    let cosine = |candidate: &Candidate| {
        candidate.values(By::Cosine, Over::Trained).map_or(f64::NAN, |values| mean(&values))
    };
    ranked.sort_by(|a, b| cosine(b).total_cmp(&cosine(a)));
    let agreements = [Over::Trained, Over::Deep]
        .into_iter()
        .flat_map(|over| By::FUNCTIONS.map(|by| agreement(&ranked, over, by)))
        .collect();
    Inversion { condition, methods: places(&ranked), left_out, agreements }
}

impl Candidate<'_> {
    /// Why its cosines rank nothing, where that is so.
    fn unreadable(&self) -> Option<String> {
        if self.runs.is_empty() {
            return Some("no run of it was judged".into());
        }
        self.values(By::Cosine, Over::Trained).err()
    }

    /// One a run.
    ///
    /// # Errors
    /// Why the first that is missing is.
    fn values(&self, by: By, over: Over) -> Result<Vec<f64>, String> {
        self.runs.iter().map(|(seed, ..)| self.value(*seed, by, over)).collect()
    }

    /// # Errors
    /// Why there is none.
    fn value(&self, seed: u64, by: By, over: Over) -> Result<f64, String> {
        let who = |why: String| format!("{}, seed {seed}: {why}", self.name);
        let found = self.runs.iter().find(|(own, ..)| *own == seed);
        let (_, run, audit) = found.ok_or_else(|| who("there is no run".into()))?;
        match measured(run, audit, by, over) {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(value) => Err(who(format!("its {} is {}", by.name(), crate::number::text(value)))),
            Err(why) => Err(who(why)),
        }
    }
}

/// What a run has of it; larger is better.
fn measured(run: &RunResult, audit: &Audit, by: By, over: Over) -> Result<f64, String> {
    let controls = || audit.controls.as_ref().ok_or("its controls were not computed".to_owned());
    let missing = |what: &str, why: String| format!("its {what} was not evaluated: {why}");
    let layers = |values: &[f64]| -> Result<f64, String> {
        let positions = match over {
            Over::Trained => audit.cosine.detail.positions(),
            Over::Deep => (1..values.len().saturating_sub(1)).collect(),
        };
        let values: Option<Vec<f64>> = positions.iter().map(|l| values.get(*l).copied()).collect();
        match values {
            Some(values) if !values.is_empty() => Ok(mean(&values)),
            _ => Err("it has no such layers".into()),
        }
    };
    match by {
        By::Cosine if audit.cosine.aggregate.is_none() => {
            Err(missing("cosine", audit.cosine.reason.clone().unwrap_or_default()))
        }
        By::Cosine if !audit.cosine.interpretable => Err(format!(
            "its reference ({}) does not let the cosines be read",
            audit.diagnostics.reference.status
        )),
        By::Cosine => {
            layers(&audit.cosine.detail.per_layer.iter().map(|v| v.0).collect::<Vec<_>>())
        }
        By::Perturbation => match &controls()?.perturbation {
            found if found.found().is_none() => Err(missing("ρ", found.why().into())),
            found => {
                let layer = found.found().into_iter().flat_map(|rho| &rho.per_layer);
                layers(&layer.map(|layer| layer.credit.0).collect::<Vec<_>>())
            }
        },
        By::Nudging => match &controls()?.nudging {
            found if found.found().is_none() => Err(missing("nudging test", found.why().into())),
            found => {
                let layer = found.found().into_iter().flat_map(|nudging| &nudging.per_layer);
                layers(&layer.map(|layer| -layer.credit.0).collect::<Vec<_>>())
            }
        },
        By::Descent => match &controls()?.descent {
            found if found.found().is_none() => Err(missing("descent test", found.why().into())),
            found => {
                let blocks = found.found().into_iter().flat_map(|descent| &descent.per_block);
                let ratios: Vec<f64> = blocks.map(|block| block.ratio.0).collect();
                Ok(mean(&ratios))
            }
        },
        By::Accuracy => {
            audit.accuracy.map(|accuracy| accuracy.0).ok_or("its accuracy is not known".into())
        }
        By::LossDecrease => match run.metrics.as_slice() {
            [first, .., last] => Ok(first.train_loss.0 - last.train_loss.0),
            _ => Err("its loss has no decrease: it has fewer than two epochs".into()),
        },
    }
}

/// Every method with its places.
fn places(methods: &[Candidate]) -> Vec<Ranked> {
    let columns: Vec<(By, Over)> = [(By::Cosine, Over::Trained), (By::Cosine, Over::Deep)]
        .into_iter()
        .chain(By::FUNCTIONS.map(|by| (by, Over::Trained)))
        .collect();
    let mut ranked: Vec<Ranked> = methods
        .iter()
        .map(|method| Ranked {
            method: method.name.clone(),
            seeds: method.runs.iter().map(|(seed, ..)| *seed).collect(),
            places: Vec::new(),
        })
        .collect();
    for (by, over) in columns {
        let values: Vec<Option<Summary>> = methods
            .iter()
            .map(|method| method.values(by, over).ok().map(|values| Summary::of(&values)))
            .collect();
        let means: Option<Vec<f64>> =
            values.iter().map(|value| Some(value.as_ref()?.mean)).collect();
        let ranks = means.map(|means| ranks(&means));
        for (i, (method, value)) in ranked.iter_mut().zip(values).enumerate() {
            let rank = ranks.as_ref().map(|ranks| Number(ranks[i]));
            method.places.push(Place { by, over, value, rank });
        }
    }
    ranked
}

/// Places from 1, the largest first; equal values share their middle place.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |own: &f64| {
        let larger = values.iter().filter(|v| *v > own).count();
        let equal = values.iter().filter(|v| *v == own).count();
        larger as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

fn agreement(methods: &[Candidate], over: Over, by: By) -> Agreement {
    let mut found = Agreement {
        over,
        by,
        per_seed: Vec::new(),
        tau: None,
        interval: None,
        order: Order::NotEvaluated,
        not_evaluated: None,
    };
    if methods.len() < FEWEST {
        let have = match methods.len() {
            1 => "1 method is ranked".into(),
            n => format!("{n} methods are ranked"),
        };
        found.not_evaluated = Some(format!("{have}, and {FEWEST} are needed"));
        return found;
    }
    let mut seeds: Vec<u64> =
        methods.iter().flat_map(|m| m.runs.iter().map(|(seed, ..)| *seed)).collect();
    seeds.sort_unstable();
    seeds.dedup();
    for seed in seeds {
        let values = |by| -> Result<Vec<f64>, String> {
            methods.iter().map(|method| method.value(seed, by, over)).collect()
        };
        let tau = values(By::Cosine).and_then(|cosines| {
            let tau = kendall(&cosines, &values(by)?);
            let constant = || format!("seed {seed}: all methods are equal");
            if tau.is_nan() { Err(constant()) } else { Ok(tau) }
        });
        match tau {
            Ok(tau) => found.per_seed.push(SeedTau { seed, tau: Number(tau) }),
            Err(why) => {
                found.not_evaluated.get_or_insert(why);
            }
        }
    }
    let taus: Vec<f64> = found.per_seed.iter().map(|seed| seed.tau.0).collect();
    if !taus.is_empty() {
        found.tau = Some(Summary::of(&taus));
        found.interval = interval_95(&taus);
        found.order = order(&taus, found.interval);
    }
    found
}

fn order(taus: &[f64], interval: Option<Interval>) -> Order {
    let tau = mean(taus);
    let (low, high) = interval.map_or((tau, tau), |interval| (interval.low, interval.high));
    match (low.partial_cmp(&0.0), high.partial_cmp(&0.0)) {
        (Some(Ordering::Greater), _) => Order::Along,
        (_, Some(Ordering::Less)) => Order::Against,
        _ => Order::Open,
    }
}

#[cfg(test)]
mod tests;
