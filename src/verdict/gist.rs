//! What a verdict comes down to, in a line: the verdict of one method with the numbers that decide it.

use super::seeds::{MethodSetting, by_setting, pool};
use super::{Audit, Decision, Diagnostics, MethodSummary, Status, list, plain, short};

/// The gist of each method among `audits`, in the order of first appearance, but of baselines.
pub fn gists<'a>(audits: impl IntoIterator<Item = &'a Audit>) -> Vec<String> {
    let groups = by_setting(audits, |audit| MethodSetting::of(audit));
    groups.into_iter().filter_map(|(setting, runs)| gist(&pool(setting, &runs), &runs)).collect()
}

/// `dfa: walked back: block 0 multiplies the hidden norm by 197; 9.8 points under frozen blocks.` `runs` are
/// those that `method` pools; where they differ, a number is given from the least to the largest. `None`
/// for a baseline, of which no verdict is due.
fn gist(method: &MethodSummary, runs: &[&Audit]) -> Option<String> {
    let why = match method.verdict {
        Decision::Baseline => return None,
        Decision::WalkedBack => fired(method, runs).join("; "),
        Decision::Trustworthy => passed(method, runs).join(", "),
        Decision::Inconclusive => open(method, runs),
    };
    let seeds = match method.seeds.len() {
        1 => String::new(),
        n => format!(", {n} seeds"),
    };
    Some(format!("{}{seeds}: {}: {why}.", method.label, method.verdict))
}

/// The diagnostics that fire, each with the seeds on which it does where it is not all of them.
fn fired(method: &MethodSummary, runs: &[&Audit]) -> Vec<String> {
    let on = |count: usize| match count == runs.len() {
        true => String::new(),
        false => format!(" (fires on {count} of {} seeds)", runs.len()),
    };
    let mut parts = Vec::new();
    if method.growth.status == Status::Fired {
        parts.push(format!(
            "{} multiplies the hidden norm by {}{}",
            block(runs),
            range(growths(runs)),
            on(method.growth.fired)
        ));
    }
    if method.reference.status == Status::Fired {
        parts.push(format!(
            "the reference gradient is {}, under {}{}",
            range(references(runs)),
            plain(method.thresholds.reference),
            on(method.reference.fired)
        ));
    }
    if method.depth_utility.status == Status::Fired {
        let asked = plain(method.thresholds.depth_utility);
        parts.push(match margin(method) {
            points if points < 0.0 => format!("{} points under frozen blocks", short(-points)),
            points => {
                format!("{} points over frozen blocks, where {asked} are asked", short(points))
            }
        });
    }
    parts
}

/// The numbers of the three that decide.
fn passed(method: &MethodSummary, runs: &[&Audit]) -> Vec<String> {
    vec![
        format!("growth {}", range(growths(runs))),
        format!("reference gradient {}", range(references(runs))),
        format!("{} points over frozen blocks", short(margin(method))),
    ]
}

/// Why nothing is decided.
fn open(method: &MethodSummary, runs: &[&Audit]) -> String {
    let contradicted = runs.iter().find_map(|run| run.evidence.contradictions().next());
    if let Some(checked) = contradicted {
        return format!("the evidence contradicts itself ({})", checked.check);
    }
    if let Some(diverged) = runs.iter().find_map(|run| run.run.diverged.as_ref()) {
        return format!("it left the finite numbers: {diverged}");
    }
    let reason = |of: fn(&Diagnostics) -> &Option<String>| {
        runs.iter().find_map(|run| of(&run.diagnostics).clone())
    };
    let open: Vec<(&str, Option<String>)> = [
        ("growth", method.growth.status, reason(|d| &d.growth.reason)),
        ("reference", method.reference.status, reason(|d| &d.reference.reason)),
        ("depth utility", method.depth_utility.status, reason(|d| &d.depth_utility.reason)),
    ]
    .into_iter()
    .filter(|(_, status, _)| *status != Status::Passed)
    .map(|(name, _, reason)| (name, reason))
    .collect();
    let names: Vec<&str> = open.iter().map(|(name, _)| *name).collect();
    let are = if names.len() == 1 { "is" } else { "are" };
    let reason = open.into_iter().find_map(|(_, reason)| reason);
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    format!("{} {are} not decided{reason}", list(&names))
}

fn growths<'a>(runs: &'a [&Audit]) -> impl Iterator<Item = f64> + 'a {
    runs.iter().filter_map(|run| Some(run.diagnostics.growth.value?.0))
}

fn references<'a>(runs: &'a [&Audit]) -> impl Iterator<Item = f64> + 'a {
    runs.iter().filter_map(|run| Some(run.diagnostics.reference.value?.0))
}

fn margin(method: &MethodSummary) -> f64 {
    method.depth_utility.summary.map_or(f64::NAN, |margin| margin.mean)
}

/// The block that grows most, where it is the same in all `runs`.
fn block(runs: &[&Audit]) -> String {
    let most = |run: &&Audit| {
        let ratios = &run.diagnostics.growth.detail.per_block;
        // A ratio that is no number is worse than any.
        let rank = |l: &usize| if ratios[*l].0.is_nan() { f64::INFINITY } else { ratios[*l].0 };
        (0..ratios.len()).max_by(|a, b| rank(a).total_cmp(&rank(b)))
    };
    let mut blocks = runs.iter().map(most);
    match blocks.next().flatten() {
        Some(l) if blocks.all(|other| other == Some(l)) => format!("block {l}"),
        _ => "a block".into(),
    }
}

/// `197`, or `420 to 570` where there are several.
fn range(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => "–".into(),
        [first, .., last] if short(*first) != short(*last) => {
            format!("{} to {}", short(*first), short(*last))
        }
        [first, ..] => short(*first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::testing::Specimen;

    fn told(specimens: &[Specimen]) -> Option<String> {
        let audits: Vec<Audit> = specimens.iter().map(Specimen::audit).collect();
        let mut told = gists(&audits);
        assert!(told.len() <= 1, "{told:?}");
        told.pop()
    }

    #[test]
    fn what_fires_is_said_with_the_block_and_the_numbers() {
        let dfa = Specimen::new("dfa", 0.296, &[2.0, 394.0, 400.0], &[1e-3, 1e-8, 5e-9]);
        let one = "dfa: walked back: block 0 multiplies the hidden norm by 197; the reference gradient is \
                   5.0e-9, under 1e-7; 4.80 points under frozen blocks.";
        assert_eq!(told(std::slice::from_ref(&dfa)).as_deref(), Some(one));

        let other = Specimen {
            seed: 123,
            accuracy: 0.286,
            hidden: vec![2.0, 2.0, 1000.0],
            gradient: vec![1e-3, 1e-3, 1e-3],
            ..dfa.clone()
        };
        let third = Specimen { seed: 456, ..dfa.clone() };
        let three = "dfa, 3 seeds: walked back: a block multiplies the hidden norm by 197 to 500; the \
                     reference gradient is 5.0e-9 to 1.0e-3, under 1e-7 (fires on 2 of 3 seeds); 5.13 \
                     points under frozen blocks.";
        assert_eq!(told(&[dfa, other, third]).as_deref(), Some(three));
    }

    #[test]
    fn what_passes_is_said_with_its_numbers_and_a_small_margin_with_what_is_asked() {
        let bp = Specimen::new("bp", 0.58, &[10.0, 10.6], &[4e-4, 4e-4]);
        let passed = "bp: trustworthy: growth 1.06, reference gradient 4.0e-4, 23.6 points over frozen blocks.";
        assert_eq!(told(std::slice::from_ref(&bp)).as_deref(), Some(passed));
        let small = "bp: walked back: 1.30 points over frozen blocks, where 2 are asked.";
        assert_eq!(told(&[Specimen { accuracy: 0.357, ..bp.clone() }]).as_deref(), Some(small));
        let alone = "bp: inconclusive: depth utility is not decided: no matched frozen-blocks run was given.";
        assert_eq!(told(&[Specimen { frozen: None, ..bp.clone() }]).as_deref(), Some(alone));
        let diverged = "bp: inconclusive: it left the finite numbers: the loss was nan.";
        let gone = Specimen { diverged: Some("the loss was nan"), ..bp.clone() };
        assert_eq!(told(&[gone]).as_deref(), Some(diverged));
        assert_eq!(told(&[Specimen { baseline: true, ..bp }]), None);
    }
}
