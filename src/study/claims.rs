//! What became of a study's claims: each held against the runs that it names.
//!
//! A claim that rests on a learned credit does not stand where the twin whose auxiliary network learns
//! shuffled targets does as well ([`twin`]).
//!
//! A claim is *untested*, and never stands, where a run that it names is missing or not judged, where
//! its metric was not evaluated there, where the evidence contradicts itself, and where it was written
//! or changed once the run had begun.

mod twin;

use super::results::{RunResult, StudyResult};
use crate::claims::metric::{Metric, null_band};
use crate::claims::threshold::{Side, Threshold};
use crate::claims::{Across, Claim, Control, Outcome, Registered};
use crate::config::Config;
use crate::config::keys::key;
use crate::stats::{Summary, interval_95, mean};
use crate::train::run_dir::RunStatus;
use crate::verdict::{Audit, Decision, list, plain, short};
use toml::{Table, Value};

/// The claims of a study as its plan has them.
#[derive(Clone, Debug)]
pub struct StudyClaims {
    pub registered: Registered,
    /// At least one.
    pub claims: Vec<Claim>,
}

/// A claim and what became of it.
#[derive(Clone, Debug)]
pub struct Tested {
    pub claim: Claim,
    pub outcome: Outcome,
    /// In words and numbers.
    pub reason: String,
    /// What was claimed of, in the order of the claim's seeds; empty of a verdict, and where some seed
    /// has none.
    pub per_seed: Vec<f64>,
    /// Why it was not made before its runs, where it was not.
    pub post_hoc: Option<String>,
}

impl Tested {
    /// Mean, sample deviation and number of the values.
    pub fn summary(&self) -> Option<Summary> {
        (!self.per_seed.is_empty()).then(|| Summary::of(&self.per_seed))
    }
}

/// Every claim of the study, in its order.
pub fn tested(study: &StudyResult) -> Vec<Tested> {
    let Some(StudyClaims { registered, claims }) = &study.claims else { return Vec::new() };
    claims.iter().map(|claim| of_one(claim, study, registered)).collect()
}

/// The mistake of a claim that names a method, a seed or a run which a study of these `runs` does not
/// have, or has more than once.
pub fn misnamed(claims: &[Claim], runs: &[Config]) -> Option<String> {
    (1..).zip(claims).find_map(|(number, claim)| {
        let control = match &claim.control {
            Control::Method(control) => Some(("control", control)),
            _ => None,
        };
        let problem = [("method", &claim.method)]
            .into_iter()
            .chain(control)
            .find_map(|(key, label)| of_method(claim, key, label, runs))?;
        Some(format!("claim {number} (\"{}\"): {problem}", claim.claim))
    })
}

fn of_method(claim: &Claim, key: &str, label: &str, runs: &[Config]) -> Option<String> {
    let named: Vec<&Config> =
        runs.iter().filter(|config| is_called(claim, config, label)).collect();
    if named.is_empty() {
        let mut labels: Vec<String> = runs.iter().map(Config::label).collect();
        labels.sort();
        labels.dedup();
        return Some(format!(
            "{key}: the study has no method \"{label}\"; it has {}",
            list(&labels)
        ));
    }
    claim.seeds.iter().find_map(|seed| {
        let mut found = named.iter().filter(|c| c.seed == *seed && chosen(&claim.only, c));
        let Some(first) = found.next() else {
            let seeds: Vec<String> = named.iter().map(|c| c.seed.to_string()).collect();
            return Some(format!(
                "seeds: the study has no {label} of seed {seed}{}; it has seeds {}",
                if claim.only.is_empty() { "" } else { " with these keys (`only`)" },
                list(&seeds)
            ));
        };
        let other = found.next()?;
        let keys: Vec<&str> = first.differing_keys(other).map(|key| key.name).collect();
        Some(format!(
            "the study has several runs of {label} with seed {seed}, which differ in {}: `only = {{ {} = \
             … }}` chooses",
            list(&keys),
            keys.first().unwrap_or(&"arch")
        ))
    })
}

/// By its label, or the first word of it: what follows are the keys that are not the published ones. A
/// twin of a learned credit, which a study implies, is called so in full alone, or chosen by its key.
fn is_called(claim: &Claim, config: &Config, name: &str) -> bool {
    let label = config.label();
    let in_brief = || !config.is_auxiliary_twin() || claim.only.contains_key("auxiliary");
    label == name || (label.split(' ').next() == Some(name) && in_brief())
}

/// Whether the claim is about runs of this configuration, whatever the seed.
pub fn is_about(claim: &Claim, config: &Config) -> bool {
    is_called(claim, config, &claim.method) && chosen(&claim.only, config)
}

/// Whether the run has these values, as far as they matter to it.
fn chosen(only: &Table, config: &Config) -> bool {
    let Ok(keys) = Table::try_from(config) else { return false };
    only.iter().filter(|(name, _)| key(name).is_some_and(|key| key.matters(config))).all(
        |(name, wanted)| match (keys.get(name), wanted) {
            (Some(Value::Float(x)), Value::Integer(i)) => *x == *i as f64,
            (found, wanted) => found == Some(wanted),
        },
    )
}

fn of_one(claim: &Claim, study: &StudyResult, registered: &Registered) -> Tested {
    let mut tested = match claim.threshold {
        Threshold::Verdict(decision) => of_verdicts(claim, decision, study),
        Threshold::Number { side, value } => of_numbers(claim, side, value, study),
    };
    if tested.outcome == Outcome::Stands && twin::rests_on_learned_credit(claim) {
        twin::hold(&mut tested, study);
    }
    let labels = [
        Some(&claim.method),
        match &claim.control {
            Control::Method(control) => Some(control),
            _ => None,
        },
    ];
    let runs = labels
        .into_iter()
        .flatten()
        .flat_map(|label| claim.seeds.iter().filter_map(|seed| find(claim, label, *seed, study)));
    let post_hoc = runs
        .into_iter()
        .find_map(|run| registered.post_hoc(&run.name, &run.record.provenance.start));
    if let Some(why) = post_hoc {
        let otherwise = match tested.outcome {
            Outcome::Untested => String::new(),
            outcome => format!(" Made before, it would be: {outcome}."),
        };
        tested.reason = format!("Post hoc: {why}.{otherwise} {}", tested.reason);
        tested.outcome = Outcome::Untested;
        tested.post_hoc = Some(why);
    }
    tested
}

fn untested(claim: &Claim, reason: String) -> Tested {
    let outcome = Outcome::Untested;
    Tested { claim: claim.clone(), outcome, reason, per_seed: Vec::new(), post_hoc: None }
}

fn of_numbers(claim: &Claim, side: Side, threshold: f64, study: &StudyResult) -> Tested {
    let of_seed = |seed: &u64| of_seed(claim, side, *seed, study);
    let per_seed: Vec<f64> = match claim.seeds.iter().map(of_seed).collect() {
        Ok(values) => values,
        Err(why) => return untested(claim, format!("Untested: {why}.")),
    };
    let summary = Summary::of(&per_seed);
    let decides = match claim.across_seeds {
        Across::Mean => summary.mean,
        Across::Each => side.worst(&per_seed),
    };
    let holds = side.holds(decides, threshold);
    let quantity = claim.quantity();
    let mut reason = format!("{}: {summary}", crate::words::capital(&quantity));
    if claim.across_seeds == Across::Each && per_seed.len() > 1 {
        let extreme = if side.is_up() { "smallest" } else { "largest" };
        reason += &format!(", {extreme} {}", short(decides));
    }
    let verb = if holds { "as claimed" } else { "not as claimed" };
    reason += &format!("; {verb}, {}", claim.threshold);
    if !decides.is_finite() {
        reason += ", which no value that is not finite can be";
    }
    reason += ".";
    // What other seeds might well turn round.
    if let (Across::Mean, Some(interval)) = (claim.across_seeds, interval_95(&per_seed)) {
        let ends = [interval.low, interval.high].map(|end| side.holds(end, threshold));
        if ends[0] != ends[1] {
            reason += &format!(
                " Other seeds may turn it: the 95 % interval of the mean is {} to {}.",
                short(interval.low),
                short(interval.high)
            );
        }
    }
    let outcome = if holds { Outcome::Stands } else { Outcome::WalkedBack };
    Tested { claim: claim.clone(), outcome, reason, per_seed, post_hoc: None }
}

/// The claimed value of one seed.
fn of_seed(claim: &Claim, side: Side, seed: u64, study: &StudyResult) -> Result<f64, String> {
    let audit = audit(claim, &claim.method, seed, study)?;
    let who = |label: &str, why: String| format!("{label}, seed {seed}: {why}");
    let own = |why| who(&claim.method, why);
    // Layer by layer where the null band is.
    let usual = crate::claims::metric::Layers::Listed(audit.cosine.detail.positions());
    let layers = match (&claim.control, &claim.layers) {
        (Control::Null, crate::claims::metric::Layers::Usual) => &usual,
        (_, layers) => layers,
    };
    let values = claim.metric.values(audit, layers).map_err(own)?;
    let control = match &claim.control {
        Control::None => vec![0.0; values.len()],
        Control::Null => null_band(audit, layers).map_err(own)?,
        Control::Method(label) => {
            let audit = self::audit(claim, label, seed, study)?;
            claim.metric.values(audit, layers).map_err(|why| who(label, why))?
        }
    };
    if values.is_empty() || values.len() != control.len() {
        return Err(own(format!(
            "{} values against {} of its control",
            values.len(),
            control.len()
        )));
    }
    if let Some(lost) = control.iter().find(|v| !v.is_finite()) {
        return Err(own(format!("its control is {}", short(*lost))));
    }
    let over: Vec<f64> =
        values.iter().zip(&control).map(|(value, control)| value - control).collect();
    // 0.363 − 0.343 is not 0.02 in binary; exactly two points are two points.
    let over = match claim.control {
        Control::None => over,
        _ => over.into_iter().map(|v| (v * 1e12).round() / 1e12).collect(),
    };
    Ok(match claim.across_layers {
        Across::Mean => mean(&over),
        Across::Each => side.worst(&over),
    })
}

fn of_verdicts(claim: &Claim, claimed: Decision, study: &StudyResult) -> Tested {
    let mut found = Vec::new();
    for seed in &claim.seeds {
        match audit(claim, &claim.method, *seed, study) {
            Ok(audit) => found.push((seed, audit)),
            Err(why) => return untested(claim, format!("Untested: {why}.")),
        }
    }
    let of = found.len();
    let agreeing = found.iter().filter(|(_, audit)| audit.verdict == claimed).count();
    let open = found
        .iter()
        .find(|(_, audit)| matches!(audit.verdict, Decision::Inconclusive | Decision::Baseline));
    let other = found.iter().find(|(_, audit)| audit.verdict != claimed);
    let words = format!("Verdict of {}: {claimed} on {agreeing} of {of} seeds", claim.method);
    let because = |audit: &Audit| {
        let first = audit.reasons.first().map_or(String::new(), |reason| format!(" ({reason})"));
        format!("{}{first}", audit.verdict)
    };
    let decided = |(_, audit): &&(&u64, &Audit)| {
        audit.verdict != claimed
            && !matches!(audit.verdict, Decision::Inconclusive | Decision::Baseline)
    };
    let (outcome, reason) = match (found.iter().find(decided), open, other) {
        (Some((seed, audit)), ..) => {
            (Outcome::WalkedBack, format!("{words}; seed {seed} is {}.", because(audit)))
        }
        (None, Some((seed, audit)), _) => {
            (Outcome::Untested, format!("{words}; seed {seed} is {}.", because(audit)))
        }
        (None, None, _) => (Outcome::Stands, format!("{words}.")),
    };
    Tested { claim: claim.clone(), outcome, reason, per_seed: Vec::new(), post_hoc: None }
}

/// The run of `label` that the claim names.
fn find<'a>(
    claim: &Claim,
    label: &str,
    seed: u64,
    study: &'a StudyResult,
) -> Option<&'a RunResult> {
    study.runs.iter().find(|run| {
        let config = &run.record.config;
        is_called(claim, config, label) && config.seed == seed && chosen(&claim.only, config)
    })
}

/// The audit of that run, where something can be claimed on it.
fn audit<'a>(
    claim: &Claim,
    label: &str,
    seed: u64,
    study: &'a StudyResult,
) -> Result<&'a Audit, String> {
    let run = find(claim, label, seed, study)
        .ok_or_else(|| format!("there is no run of {label} with seed {seed}"))?;
    audit_of(run, label, seed, claim.metric)
}

/// The audit of a run, which is called `label` here.
fn audit_of<'a>(
    run: &'a RunResult,
    label: &str,
    seed: u64,
    metric: Metric,
) -> Result<&'a Audit, String> {
    let state = match run.record.status {
        RunStatus::Failed => "failed",
        RunStatus::Interrupted => "was interrupted",
        RunStatus::Running => "is not finished",
        RunStatus::Finished => "was not judged",
    };
    let audit =
        run.audit.as_ref().ok_or_else(|| format!("the run of {label} with seed {seed} {state}"))?;
    match metric.doubt(&audit.evidence) {
        Some(doubt) => Err(format!("{label}, seed {seed}: {doubt}")),
        None => Ok(audit),
    }
}

/// The threshold as a table shows it.
pub fn claimed(claim: &Claim) -> String {
    match claim.threshold {
        Threshold::Number { value, .. } if claim.metric.is_a_fraction() => {
            format!("{} ({} points)", claim.threshold, plain((value * 1e10).round() / 1e8))
        }
        threshold => threshold.to_string(),
    }
}

#[cfg(test)]
mod tests;
