//! Sentences a person understands: why the verdict is what it is.
//!
//! Mode 1: the hidden scale runs away or the reference gradient collapses. Mode 2: the aggregate
//! cosine hides that the credit sits in few layers. Mode 2 is read from the cosines, and only where
//! the reference carries them; how many layers lie inside the null band needs an empirical null
//! (protocol §13: never a formula), so without controls it is said to be missing instead of estimated.

use super::{Audit, CosineFinding, Decision, Status};
use crate::diagnostics::aggregation::{Aggregation, Concentration};
use crate::diagnostics::controls::Control;
use crate::diagnostics::cosine::Cosine;
use crate::diagnostics::learned_credit::{TwinGain, does_as_well};
use crate::diagnostics::null::NullCalibration;
use crate::diagnostics::shadow::{Resolution, Shadow, ShadowLayer};
use crate::evidence::{Standing, proof};
use crate::stats::{extremes, median};
use crate::words::{against, list, percent, percent_fine, plain, short, signed};

pub(super) fn reasons(audit: &Audit) -> Vec<String> {
    let contradictions = audit.evidence.contradictions().map(|c| c.finding.clone());
    let lines = [
        baseline(audit),
        diverged(audit),
        growth(audit),
        reference(audit),
        shadow(audit),
        depth_utility(audit),
        learned_credit(audit),
        none_fired(audit),
        stability(audit),
        mode_two(audit),
        unproved(audit),
    ];
    contradictions.chain(lines.into_iter().flatten()).collect()
}

/// Nothing vouches for the reference of a recording but its recorder.
fn unproved(audit: &Audit) -> Option<String> {
    let proof = audit.evidence.of(proof::CHECK)?;
    let said = proof.standing == Standing::NotCheckable && audit.cosine.aggregate.is_some();
    (said && !audit.run.is_baseline).then(|| proof.finding.clone())
}

fn baseline(audit: &Audit) -> Option<String> {
    audit
        .run
        .is_baseline
        .then(|| "A baseline that other runs are held against: no verdict is due.".into())
}

fn diverged(audit: &Audit) -> Option<String> {
    let how = audit.run.diverged.as_ref()?;
    Some(format!("Training diverged: {}.", how.trim_end_matches('.')))
}

fn growth(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.growth;
    if found.status != Status::Fired {
        return None;
    }
    let (value, threshold) = (found.value?.0, found.threshold.0);
    let named = mode_one(audit, "scale");
    let norms = &found.detail.hidden_norms;
    if let Some(l) = norms.iter().position(|n| !n.0.is_finite()) {
        return Some(format!(
            "{named}: the hidden states are not finite; the mean norm at h_{l} is {}.",
            short(norms[l].0)
        ));
    }
    let same = |v: f64| v == value || (v.is_nan() && value.is_nan());
    let block = found.detail.per_block.iter().position(|v| same(v.0))?;
    Some(format!(
        "{named}: block {block} multiplies the mean hidden norm by {}, above the threshold of {}.",
        against(value, threshold),
        plain(threshold)
    ))
}

fn reference(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.reference;
    if found.status != Status::Fired {
        return None;
    }
    let (value, floor) = (found.value?.0, found.threshold.0);
    let layer = found.detail.per_layer.len().checked_sub(1)?;
    let mut text = format!(
        "{}: the median gradient norm at h_{layer} is {}",
        mode_one(audit, "reference"),
        against(value, floor)
    );
    if value.is_finite() {
        text +=
            &format!(" (N = {}), under the floor of {}", found.detail.batch_size?, plain(floor));
        if let Some(share) = found.detail.under_floor.last() {
            text += &format!(", as for {} of the samples", percent(share.0));
        }
    }
    text += ". The cosines compare the credit with this gradient and are not interpretable.";
    Some(text)
}

/// Whether a small reference is noise or merely small. The published floor stays the rule.
fn shadow(audit: &Audit) -> Option<String> {
    let shadow: &Shadow = audit.controls.as_ref()?.shadow.found()?;
    let fired = audit.diagnostics.reference.status == Status::Fired;
    let over_layers = |value: fn(&ShadowLayer) -> f64| {
        extremes(&shadow.per_layer.iter().map(value).collect::<Vec<_>>())
    };
    let found = format!(
        "over all layers the mean cosine of f32 and f64 is at least {:.6}, the worst sample's {:.4}, \
         the relative error at most {:.1e}",
        over_layers(|l| l.cosine.0).0,
        over_layers(|l| l.worst_cosine.0).0,
        over_layers(|l| l.relative_error.0).1
    );
    match (fired, shadow.resolution()) {
        (false, Resolution::Resolved) => None,
        (true, Resolution::Resolved) => Some(format!(
            "Float64 shadow: the reference is small, not noise ({found}). The published floor stays \
             the rule; f32 alone does not forbid reading the cosines."
        )),
        (_, Resolution::Noise) => {
            Some(format!("Float64 shadow: in f32 the reference is rounding noise ({found})."))
        }
        (_, Resolution::Partly) => Some(format!(
            "Float64 shadow: f32 shows the reference on average, not for every sample ({found})."
        )),
    }
}

fn depth_utility(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.depth_utility;
    if found.status != Status::Fired {
        return None;
    }
    let (margin, asked) = (found.value?.0, found.threshold.0);
    let frozen = found.detail.frozen_accuracy?.0;
    let against_baseline = match margin {
        m if !m.is_finite() => {
            return Some(format!(
                "Depth utility: the margin over the frozen blocks is {}.",
                short(m)
            ));
        }
        m if m < 0.0 => format!("{} points under", short(-m)),
        m => format!("only {} points over", against(m, asked)),
    };
    Some(format!(
        "Depth utility: accuracy {} is {against_baseline} frozen blocks ({}), where {} over are asked: \
         training the blocks does not pay.",
        percent_fine(audit.accuracy?.0),
        percent_fine(frozen),
        plain(asked)
    ))
}

/// What the learned credit gains over the twins whose auxiliary network learns something else. The
/// published rule knows no such twin and stays the verdict.
fn learned_credit(audit: &Audit) -> Option<String> {
    let found = audit.learned_credit.as_ref()?;
    let gains: Vec<(&str, &TwinGain)> = found
        .over
        .iter()
        .filter_map(|(name, control)| Some((name.as_str(), control.found()?)))
        .collect();
    let said = |(name, twin): &(&str, &TwinGain)| {
        let points = twin.gain.0;
        let side = match points {
            p if !p.is_finite() => short(p),
            p if p < 0.0 => format!("{} points under", short(-p)),
            p => format!("{} points over", short(p)),
        };
        format!("{side} {} ({})", twin_of(name), percent_fine(twin.accuracy.0))
    };
    let decisive = found.decisive();
    let end = match decisive {
        None if gains.is_empty() => {
            return Some(
                "Learned credit: what it gains over an auxiliary network that learns something else is \
                 not evaluated."
                    .into(),
            );
        }
        None => ". The twin with shuffled targets, which decides, is missing.",
        Some(twin) if does_as_well(&[twin.gain.0]) => {
            ". With shuffled targets the auxiliary network does as well: no gain is the learned credit's."
        }
        Some(_) => ".",
    };
    let gains: Vec<String> = gains.iter().map(said).collect();
    Some(format!(
        "Learned credit: accuracy {} is {}{end}",
        audit.accuracy.map_or("unknown".into(), |accuracy| percent_fine(accuracy.0)),
        list(&gains)
    ))
}

/// `the twin with shuffled targets`
fn twin_of(auxiliary: &str) -> String {
    match auxiliary {
        "untrained" => "the twin whose auxiliary network stays untrained".into(),
        "zero-target" => "the twin with targets of zero".into(),
        targets => format!("the twin with {targets} targets"),
    }
}

/// Why a verdict is not "walked back".
fn none_fired(audit: &Audit) -> Option<String> {
    let d = &audit.diagnostics;
    if audit.run.is_baseline || audit.verdict == Decision::WalkedBack {
        return None;
    }
    let missing: Vec<&str> = [
        ("growth", d.growth.status),
        ("reference", d.reference.status),
        ("depth utility", d.depth_utility.status),
    ]
    .into_iter()
    .filter(|(_, status)| *status != Status::Passed)
    .map(|(name, _)| name)
    .collect();
    if !missing.is_empty() {
        return Some(format!(
            "Nothing that was evaluated fired, but {} {} not evaluated.",
            list(&missing),
            if missing.len() == 1 { "was" } else { "were" }
        ));
    }
    Some(format!(
        "All three that decide pass: growth {}, reference {} (N = {}), depth utility {:+.1} points.",
        short(d.growth.value?.0),
        short(d.reference.value?.0),
        d.reference.detail.batch_size?,
        d.depth_utility.value?.0
    ))
}

fn stability(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.stability;
    if found.status != Status::Fired {
        return None;
    }
    let layer = found.detail.layer?;
    let value = found.value?.0;
    Some(if value.is_finite() {
        format!(
            "Stability, sub-mode drift: the average gradients of different batches share a \
             direction at h_{layer} (mean pairwise cosine {}, above {}). It decides nothing.",
            against(value, found.threshold.0),
            plain(found.threshold.0)
        )
    } else {
        format!("Stability: the average gradients at h_{layer} are not finite. It decides nothing.")
    })
}

/// Mode 2, or why it cannot be read.
fn mode_two(audit: &Audit) -> Option<String> {
    if !names_modes(audit) {
        return None;
    }
    let aggregate = audit.cosine.aggregate?.0;
    if !aggregate.is_finite() {
        let per_layer = audit.cosine.detail.per_layer.iter().enumerate();
        let lost: Vec<String> =
            per_layer.filter(|(_, v)| !v.0.is_finite()).map(|(l, _)| l.to_string()).collect();
        let layers = if lost.len() == 1 { "layer" } else { "layers" };
        return Some(format!("The cosine is not a number at {layers} {}.", list(&lost)));
    }
    let means = block_means(&audit.cosine.detail);
    let spread = Concentration::of(&means)?;
    let layers = audit.cosine.detail.positions();
    let (top, share) = (layers[spread.carriers[0]], percent(spread.top_share));
    if !audit.cosine.interpretable {
        return Some(format!(
            "Mode 2 can be neither named nor excluded on this reference: layer {top} shows {share} of \
             Σ|cos|, and nothing says whether that is credit."
        ));
    }
    if !concentrated(&audit.cosine)? {
        return None;
    }
    let together = match spread.carriers.len() {
        1 => String::new(),
        _ => format!(
            " (layers {} together {})",
            list(&spread.carriers.iter().map(|&i| layers[i].to_string()).collect::<Vec<_>>()),
            percent(spread.share)
        ),
    };
    Some(format!(
        "Mode 2: the aggregate cosine {} hides where the credit sits. Of {} layers, layer {top} \
         carries {share} of Σ|cos|{together}; the median layer has {}, the aggregate misses it by {}. {}",
        signed(aggregate),
        means.len(),
        signed(median(&means)),
        signed(aggregate - median(&means)),
        null_band(audit)
    ))
}

/// How many layers show no more than any feedback would.
fn null_band(audit: &Audit) -> String {
    let controls = audit.controls.as_ref();
    let inside = controls.and_then(|c| c.aggregation.found()).and_then(|a: &Aggregation| {
        let null: &NullCalibration = controls?.null.found()?;
        Some((a.inside_null.as_ref()?, null.draws))
    });
    match inside {
        None => match controls.map(|c| &c.null) {
            Some(Control::Missing { not_evaluated }) => {
                format!("How many lie inside the null band is not evaluated: {not_evaluated}.")
            }
            _ => "How many lie inside the null band is not evaluated without controls.".into(),
        },
        Some((layers, draws)) if layers.is_empty() => {
            format!("None lies inside the null band of {draws} fresh feedback draws.")
        }
        Some((layers, draws)) => format!(
            "Inside the null band of {draws} fresh feedback draws: {} ({}).",
            layers.len(),
            list(&layers.iter().map(|l| format!("layer {l}")).collect::<Vec<_>>())
        ),
    }
}

fn block_means(cosine: &Cosine) -> Vec<f64> {
    cosine.block_positions().iter().map(|v| v.0).collect()
}

/// Whether few layers hold the credit (Mode 2): the fewest that together hold 80 % of Σ|Γ_l| are at
/// most half of the block positions, and the largest exceeds three standard errors over samples,
/// which keeps rounding noise from being called concentrated. `None` where the cosines cannot be read.
pub(crate) fn concentrated(cosine: &CosineFinding) -> Option<bool> {
    if !cosine.interpretable {
        return None;
    }
    let detail = &cosine.detail;
    let means = block_means(detail);
    let spread = Concentration::of(&means)?;
    let top = detail.positions()[spread.carriers[0]];
    let error = detail.std[top].map(|s| s.0 / (detail.n[top] as f64).sqrt());
    let largest = means[spread.carriers[0]].abs();
    let resolved = error.is_some_and(|e| largest > 3.0 * e);
    Some(resolved && 2 * spread.carriers.len() <= means.len())
}

/// Whether the credit is the reference itself, as in backpropagation.
pub(super) fn exact_credit(cosine: &Cosine) -> bool {
    !cosine.per_layer.is_empty() && cosine.per_layer.iter().all(|v| (v.0 - 1.0).abs() < 1e-6)
}

/// The modes are failures of a credit rule: neither backpropagation nor a baseline has them.
fn names_modes(audit: &Audit) -> bool {
    !audit.run.is_baseline && !exact_credit(&audit.cosine.detail)
}

fn mode_one(audit: &Audit, part: &str) -> String {
    if names_modes(audit) {
        format!("Mode 1, {part}")
    } else {
        part[..1].to_uppercase() + &part[1..]
    }
}
