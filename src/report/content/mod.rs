//! What the study reports say, whatever their format: runs grouped into methods, and every table as
//! a [`Panel`]. A format lays them out; it adds no statement of its own.

mod controls;
mod evidence;
mod layers;
mod provenance;
mod reasons;
mod results;
pub(super) mod words;

pub(super) use controls::{NO_CONTROLS, controls};
pub(super) use evidence::{credit, evidence};
pub(super) use layers::{NullBand, by_layer, cosines, norms, null_bands};
pub(super) use provenance::{runs_provenance, setting, shared_provenance, unfinished};
pub(super) use reasons::{because, notes, reasons};
pub(super) use results::{accuracies, runs, thresholds, verdicts};

use super::panel::Shade;
use crate::number;
use crate::study::methods::{MethodRuns, methods};
use crate::study::results::{RunResult, StudyResult};
use crate::train::run_dir::RunStatus;
use crate::verdict::{Audit, Decision, MethodSummary, Thresholds};
use crate::verdict::{gists, list};
use words::capital;

/// A study as its reports see it.
pub(super) struct Content<'a> {
    pub name: &'a str,
    pub runs: &'a [RunResult],
    /// The directories of runs that were planned and not begun.
    pub missing: &'a [String],
    pub groups: Vec<Group<'a>>,
    /// The seeds that occur, in order: a seed is drawn alike in every chart.
    pub seeds: Vec<u64>,
}

/// The runs of one method on one network and data set, whatever became of them.
pub(super) struct Group<'a> {
    /// Unique in the study.
    pub name: String,
    pub is_baseline: bool,
    pub runs: Vec<&'a RunResult>,
    /// Over the runs that were audited, if any was.
    pub summary: Option<MethodSummary>,
}

impl<'a> Content<'a> {
    pub fn of(study: &'a StudyResult) -> Self {
        let group = |method: MethodRuns<'a>| Group {
            summary: method.summary(),
            name: method.name,
            is_baseline: method.is_baseline,
            runs: method.runs,
        };
        let mut seeds: Vec<u64> = study.runs.iter().map(|r| r.record.config.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        Self {
            name: &study.name,
            runs: &study.runs,
            missing: &study.missing,
            groups: methods(study).into_iter().map(group).collect(),
            seeds,
        }
    }

    /// Where a run's seed stands among the seeds.
    pub fn seed_index(&self, run: &RunResult) -> usize {
        self.seeds.iter().position(|s| *s == run.record.config.seed).unwrap_or_default()
    }

    /// The thresholds, where all runs were held against the same.
    pub fn thresholds(&self) -> Option<Thresholds> {
        let first = self.runs.first().map(thresholds_of)?;
        self.runs.iter().all(|run| thresholds_of(run) == first).then_some(first)
    }

    /// Which methods got which verdict: `Trustworthy: bp and fa. Walked back: dfa.`
    pub fn headline(&self) -> String {
        let words = ["trustworthy", "walked back", "inconclusive", "no verdict"];
        let sentence = |word: &&str| {
            let methods = self.groups.iter().filter(|g| g.verdict().0 == **word);
            let names: Vec<String> = methods.map(Group::with_coverage).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            (!names.is_empty()).then(|| format!("{}: {}.", capital(word), list(&names)))
        };
        words.iter().filter_map(sentence).collect::<Vec<_>>().join(" ")
    }

    /// Each method's verdict with what decides it.
    pub fn gists(&self) -> Vec<String> {
        gists(self.groups.iter().flat_map(Group::audits))
    }

    /// How many runs there are and how they stand: `15 runs: 13 finished, 1 diverged, 1 failed`.
    pub fn standing(&self) -> String {
        let words = ["finished", "diverged", "failed", "interrupted", "running", "not audited"];
        let missing = match self.missing.len() {
            0 => String::new(),
            n => format!("; {n} not begun"),
        };
        let counts: Vec<String> = words
            .iter()
            .map(|word| (word, self.runs.iter().filter(|run| standing(run) == *word).count()))
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        match self.runs.len() {
            0 => format!("The study has no runs{missing}."),
            1 => format!("1 run: {}{missing}.", counts.join(", ")),
            n => format!("{n} runs: {}{missing}.", counts.join(", ")),
        }
    }
}

impl Group<'_> {
    /// What is missing on `runs`, of all of the method's: `dfa`, or `dfa (seeds 42 and 123)`.
    pub fn partly(&self, runs: &[&RunResult]) -> String {
        let seeds: Vec<String> = runs.iter().map(|r| r.record.config.seed.to_string()).collect();
        let words: Vec<&str> = seeds.iter().map(String::as_str).collect();
        match runs.len() {
            n if n == self.runs.len() => self.name.clone(),
            1 => format!("{} (seed {})", self.name, list(&words)),
            _ => format!("{} (seeds {})", self.name, list(&words)),
        }
    }

    /// Its name, with how many of its runs were audited where some were not.
    fn with_coverage(&self) -> String {
        match (self.audits().count(), self.runs.len()) {
            (audited, all) if audited == all => self.name.clone(),
            (audited, all) => format!("{} ({audited} of {all} runs audited)", self.name),
        }
    }

    pub fn audits(&self) -> impl Iterator<Item = &Audit> {
        self.runs.iter().filter_map(|run| run.audit.as_ref())
    }

    pub fn thresholds(&self) -> Thresholds {
        thresholds_of(self.runs[0])
    }

    /// `trustworthy`, `walked back`, `inconclusive`, `baseline` or `no verdict`.
    pub fn verdict(&self) -> (String, Shade) {
        match &self.summary {
            None => ("no verdict".into(), Shade::Muted),
            Some(_) if self.is_baseline => ("baseline".into(), Shade::Muted),
            // What not all runs stand for is not shown as good.
            Some(summary) => match shade(summary.verdict) {
                Shade::Good if self.audits().count() < self.runs.len() => {
                    (summary.verdict.to_string(), Shade::Muted)
                }
                shade => (summary.verdict.to_string(), shade),
            },
        }
    }
}

fn thresholds_of(run: &RunResult) -> Thresholds {
    match &run.audit {
        Some(audit) => audit.thresholds.used(),
        None => {
            let config = &run.record.config;
            Thresholds {
                growth: config.threshold_growth,
                reference: config.threshold_reference,
                stability: config.threshold_stability,
                depth_utility: config.threshold_depth_utility,
            }
        }
    }
}

/// `dfa, seed 42`.
pub(super) fn who(run: &RunResult) -> String {
    let config = &run.record.config;
    format!("{}, seed {}", config.label(), config.seed)
}

/// How a run stands, in a word.
pub(super) fn standing(run: &RunResult) -> &'static str {
    match run.record.status {
        RunStatus::Failed => "failed",
        RunStatus::Interrupted => "interrupted",
        RunStatus::Running => "running",
        RunStatus::Finished if run.record.diverged.is_some() => "diverged",
        RunStatus::Finished if run.audit.is_none() => "not audited",
        RunStatus::Finished => "finished",
    }
}

/// How a run stands, with where and why.
pub(super) fn state(run: &RunResult) -> String {
    let record = &run.record;
    let epochs = format!("{} of {} epochs", record.epoch, record.config.epochs);
    let mut text = match record.status {
        RunStatus::Failed => format!("failed after {epochs}"),
        RunStatus::Interrupted => format!("interrupted after {epochs}"),
        RunStatus::Running => format!("running, {epochs} done"),
        RunStatus::Finished => format!("finished, {epochs}"),
    };
    if let Some(error) = &record.error {
        text += &format!(": {error}");
    }
    if let Some(d) = &record.diverged {
        text += &format!(
            "; diverged: {} was {} in epoch {}",
            d.quantity,
            number::text(d.value.0),
            d.epoch
        );
    }
    if run.audit.is_none() {
        text += "; not audited";
    }
    text
}

fn shade(verdict: Decision) -> Shade {
    match verdict {
        Decision::Trustworthy => Shade::Good,
        Decision::WalkedBack => Shade::Bad,
        Decision::Inconclusive | Decision::Baseline => Shade::Muted,
    }
}
