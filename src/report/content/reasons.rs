//! Why each verdict is what it is, and what a reader must know besides.

use super::words::{capital, points};
use super::{Content, Group, standing, state, who};
use crate::verdict::list;
use crate::verdict::seeds::Pooled;
use crate::verdict::{Decision, MethodSummary, Status, plain};

/// Why a method's pooled verdict is what it is.
pub fn because(group: &Group) -> String {
    let Some(summary) = &group.summary else {
        return "No run was audited.".into();
    };
    if group.is_baseline {
        return "A baseline that other runs are held against: no verdict is due.".into();
    }
    let deciding = [
        (&summary.growth, "growth"),
        (&summary.reference, "reference"),
        (&summary.depth_utility, "depth utility"),
    ];
    let fired: Vec<String> = deciding
        .iter()
        .filter(|(found, _)| found.status == Status::Fired)
        .map(|(found, name)| fires(summary, found, name))
        .collect();
    let open: Vec<&str> = deciding
        .iter()
        .filter(|(found, _)| !matches!(found.status, Status::Fired | Status::Passed))
        .map(|(_, name)| *name)
        .collect();
    let fired: Vec<&str> = fired.iter().map(String::as_str).collect();
    let mut text = match (fired.as_slice(), open.as_slice()) {
        ([], []) if summary.verdict == Decision::Trustworthy => {
            "All three that decide pass.".into()
        }
        ([], []) if group.audits().any(|a| a.evidence.contradictions().next().is_some()) => {
            "All three that decide pass, but the evidence of a run contradicts itself.".into()
        }
        ([], []) => "All three that decide pass, but a run diverged.".into(),
        ([], open) => {
            format!("Nothing that was evaluated fires; not evaluated on all seeds: {}.", list(open))
        }
        (fired, _) => format!("Fires: {}.", list(fired)),
    };
    let disagree: Vec<&str> =
        deciding[..2].iter().filter(|(found, _)| found.fragile).map(|(_, name)| *name).collect();
    if !disagree.is_empty() {
        text += &format!(" Fragile: the seeds disagree on {}.", list(&disagree));
    }
    if let (true, Some(interval)) = (summary.depth_utility.fragile, summary.depth_interval) {
        text += &format!(
            " Fragile: the 95 % interval of the mean difference, {} to {} points, reaches across \
             the threshold of {}.",
            points(interval.low),
            points(interval.high),
            plain(summary.thresholds.depth_utility)
        );
    }
    match group.runs.len() - group.audits().count() {
        0 => text,
        n => format!("{text} Without {n} of {} runs, which were not audited.", group.runs.len()),
    }
}

/// `growth (3 of 3 seeds)`
fn fires(summary: &MethodSummary, found: &Pooled, name: &str) -> String {
    match (name, &found.summary) {
        ("depth utility", Some(margins)) => format!(
            "depth utility (mean {} points where {} are asked)",
            points(margins.mean),
            plain(summary.thresholds.depth_utility)
        ),
        _ => {
            let seeds = if found.evaluated == 1 { "seed" } else { "seeds" };
            format!("{name} ({} of {} {seeds})", found.fired, found.evaluated)
        }
    }
}

/// What is said of some runs of a method.
pub struct Reasoned {
    /// `seed 42`, or `seeds 42 and 123` where the same is said of both.
    pub who: String,
    pub sentences: Vec<String>,
}

/// Seed by seed, for every run of the method.
pub fn reasons(group: &Group) -> Vec<Reasoned> {
    let mut all: Vec<(Vec<String>, Vec<u64>)> = Vec::new();
    for run in &group.runs {
        let mut sentences = Vec::new();
        // An audit says itself that its run diverged.
        if standing(run) != "finished" && run.audit.is_none() {
            sentences.push(capital(&format!("{}.", state(run).trim_end_matches('.'))));
        }
        sentences.extend(run.audit.iter().flat_map(|audit| audit.reasons.clone()));
        sentences.retain(|sentence| *sentence != because(group));
        if sentences.is_empty() {
            continue;
        }
        let seed = run.record.config.seed;
        match all.iter_mut().find(|(known, _)| *known == sentences) {
            Some((_, seeds)) => seeds.push(seed),
            None => all.push((sentences, vec![seed])),
        }
    }
    all.into_iter()
        .map(|(sentences, seeds)| {
            let words: Vec<String> = seeds.iter().map(u64::to_string).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let name = if seeds.len() == 1 { "Seed" } else { "Seeds" };
            Reasoned { who: format!("{name} {}", list(&words)), sentences }
        })
        .collect()
}

/// Each note of the audits once, with the runs it concerns.
pub fn notes(content: &Content) -> Vec<String> {
    let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
    let audited = content.runs.iter().filter(|run| run.audit.is_some()).count();
    for run in content.runs {
        for note in run.audit.iter().flat_map(|audit| &audit.notes) {
            match notes.iter_mut().find(|(text, _)| text == note) {
                Some((_, runs)) => runs.push(who(run)),
                None => notes.push((note, vec![who(run)])),
            }
        }
    }
    notes
        .into_iter()
        .map(|(note, runs)| match runs.len() {
            n if n == audited => note.to_string(),
            n if n > 4 => format!("{n} runs: {note}"),
            _ => format!("{}: {note}", runs.join("; ")),
        })
        .collect()
}
