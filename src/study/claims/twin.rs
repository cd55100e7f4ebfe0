//! A claim on a learned credit, held against the twins whose auxiliary network learns shuffled targets.
//!
//! Any auxiliary network that learns and knows the depth gains something (protocol §14). So a claim that
//! a run of a learned credit has this much accuracy, depth utility or cosine, or that its verdict is
//! trustworthy, stands only where its twin does not do as well: in the claim's own metric, the accuracy
//! for depth utility and verdicts.

use super::{Tested, audit_of, find};
use crate::claims::metric::Metric;
use crate::claims::threshold::Threshold;
use crate::claims::{Across, Claim, Control, Outcome};
use crate::config::Auxiliary;
use crate::diagnostics::learned_credit::does_as_well;
use crate::stats::{Summary, extremes, mean};
use crate::study::results::{RunResult, StudyResult};
use crate::verdict::Decision;

/// Whether it is of something that an auxiliary network may have brought about, and does not name a
/// method as its control.
pub(super) fn rests_on_learned_credit(claim: &Claim) -> bool {
    let is_gain = match claim.metric {
        Metric::Accuracy | Metric::DepthUtility | Metric::Cosine | Metric::GlobalCosine => true,
        Metric::Verdict => claim.threshold == Threshold::Verdict(Decision::Trustworthy),
        Metric::Growth | Metric::Reference | Metric::Stability => false,
    };
    is_gain
        && match claim.threshold {
            Threshold::Number { side, .. } => side.is_up(),
            Threshold::Verdict(_) => true,
        }
}

/// Walks a claim back where the twins do as well as the runs that it is about; without a twin it is
/// untested. Of runs that learn no credit nothing is asked.
pub(super) fn hold(tested: &mut Tested, study: &StudyResult) {
    let claim = &tested.claim;
    let runs: Vec<(u64, &RunResult)> = claim
        .seeds
        .iter()
        .filter_map(|seed| Some((*seed, find(claim, &claim.method, *seed, study)?)))
        .filter(|(_, run)| run.record.config.has_learned_credit())
        .collect();
    if runs.is_empty() || is_against_a_twin(claim, &runs, study) {
        return;
    }
    let metric = match claim.metric {
        Metric::DepthUtility | Metric::Verdict => Metric::Accuracy,
        metric => metric,
    };
    let over = runs.iter().map(|(seed, run)| over_its_twin(claim, metric, *seed, run, study));
    match over.collect::<Result<Vec<f64>, String>>() {
        Err(why) => {
            tested.outcome = Outcome::Untested;
            tested.reason += &format!(
                " Untested all the same, because it rests on a learned credit: {why}. Any auxiliary network \
                 that learns gains something."
            );
        }
        Ok(over) => {
            let summary = Summary::of(&over);
            if does_as_well(&over) {
                tested.outcome = Outcome::WalkedBack;
                tested.reason += &format!(
                    " But its twin with shuffled targets does as well: over it {metric} is {summary}, and \
                     nothing of it is the learned credit's."
                );
            } else {
                tested.reason += &format!(" Over its twin with shuffled targets: {summary}.");
            }
        }
    }
}

/// Whether the claim itself names the twins as its control.
fn is_against_a_twin(claim: &Claim, runs: &[(u64, &RunResult)], study: &StudyResult) -> bool {
    let Control::Method(label) = &claim.control else { return false };
    runs.iter().all(|(seed, run)| {
        twin_of(run, study).is_some_and(|twin| {
            twin.record.config.label() == *label && twin.record.config.seed == *seed
        })
    })
}

fn twin_of<'a>(run: &RunResult, study: &'a StudyResult) -> Option<&'a RunResult> {
    study.runs.iter().find(|other| {
        let config = &other.record.config;
        config.auxiliary == Auxiliary::Shuffled && run.record.config.has_auxiliary_twin(config)
    })
}

/// What one seed's run has over its twin; of several layers as the claim takes them together.
fn over_its_twin(
    claim: &Claim,
    metric: Metric,
    seed: u64,
    run: &RunResult,
    study: &StudyResult,
) -> Result<f64, String> {
    let label = run.record.config.label();
    let twin = twin_of(run, study).ok_or_else(|| {
        format!("the study has no twin of {label} with shuffled targets and seed {seed}")
    })?;
    let values = |run: &RunResult| {
        let label = run.record.config.label();
        let audit = audit_of(run, &label, seed, metric)?;
        let values = metric.values(audit, &claim.layers);
        values.map_err(|why| format!("{label}, seed {seed}: {why}"))
    };
    let over: Vec<f64> =
        values(run)?.iter().zip(values(twin)?).map(|(value, twin)| value - twin).collect();
    Ok(match claim.across_layers {
        Across::Mean => mean(&over),
        // The layer at which it has least over the twin.
        Across::Each => extremes(&over).0,
    })
}
