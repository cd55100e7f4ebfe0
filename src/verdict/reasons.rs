//! Sentences a person understands: why the verdict is what it is.
//!
//! Mode 1: the hidden scale runs away or the reference gradient collapses. Mode 2: the aggregate
//! cosine hides that the credit sits in few layers. Mode 2 is read from the cosines alone, and only
//! where the reference carries them; how many layers lie inside the null band needs an empirical
//! null (protocol §13: never a formula), so that is said to be missing instead of estimated.

use super::words::{against, list, percent, percent_fine, plain, short, signed};
use super::{Audit, Decision, Status};
use crate::diagnostics::cosine::Cosine;
use crate::stats::median;

/// The layers named in Mode 2 hold together at least this share of Σ|Γ_l|.
const CARRIED: f64 = 0.8;

pub(super) fn reasons(audit: &Audit) -> Vec<String> {
    let lines = [
        baseline(audit),
        diverged(audit),
        growth(audit),
        reference(audit),
        depth_utility(audit),
        none_fired(audit),
        stability(audit),
        mode_two(audit),
    ];
    lines.into_iter().flatten().collect()
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
        percent_fine(audit.accuracy.0),
        percent_fine(frozen),
        plain(asked)
    ))
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
    let spread = Concentration::of(&audit.cosine.detail)?;
    if !audit.cosine.interpretable {
        return Some(format!(
            "Mode 2 can be neither named nor excluded on this reference: layer {} shows {} of \
             Σ|cos|, and nothing says whether that is credit.",
            spread.top(),
            percent(spread.top_share)
        ));
    }
    if !spread.concentrated() {
        return None;
    }
    let together = match spread.carriers.len() {
        1 => String::new(),
        _ => format!(
            " (layers {} together {})",
            list(&spread.carriers.iter().map(usize::to_string).collect::<Vec<_>>()),
            percent(spread.share)
        ),
    };
    Some(format!(
        "Mode 2: the aggregate cosine {} hides where the credit sits. Of {} layers, layer {} \
         carries {} of Σ|cos|{together}; the median layer has {}. How many lie inside the null \
         band is not evaluated without controls.",
        signed(aggregate),
        spread.positions,
        spread.top(),
        percent(spread.top_share),
        signed(spread.median)
    ))
}

/// How the credit is spread over block positions.
struct Concentration {
    /// The fewest layers that hold [`CARRIED`] of Σ|Γ_l|, the largest first.
    carriers: Vec<usize>,
    /// What they hold together, and the first of them alone.
    share: f64,
    top_share: f64,
    positions: usize,
    median: f64,
    /// The largest |Γ_l| exceeds three standard errors over samples. This keeps rounding noise from
    /// being called concentrated; it is no null calibration (samples share one feedback).
    resolved: bool,
}

impl Concentration {
    /// `None` where no layer has a cosine other than zero.
    fn of(cosine: &Cosine) -> Option<Self> {
        let means: Vec<f64> = cosine.block_positions().iter().map(|v| v.0).collect();
        let total: f64 = means.iter().map(|v| v.abs()).sum();
        if !(total.is_finite() && total > 0.0) {
            return None;
        }
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|&a, &b| means[b].abs().total_cmp(&means[a].abs()));
        let mut share = 0.0;
        let mut carriers = Vec::new();
        for l in order {
            if share >= CARRIED {
                break;
            }
            share += means[l].abs() / total;
            carriers.push(l);
        }
        let top = carriers[0];
        let error = cosine.std[top].map(|s| s.0 / (cosine.n[top] as f64).sqrt());
        Some(Self {
            top_share: means[top].abs() / total,
            resolved: error.is_some_and(|e| means[top].abs() > 3.0 * e),
            positions: means.len(),
            median: median(&means),
            carriers,
            share,
        })
    }

    fn top(&self) -> usize {
        self.carriers[0]
    }

    fn concentrated(&self) -> bool {
        self.resolved && 2 * self.carriers.len() <= self.positions
    }
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
