//! What a reader must know besides the verdict: it decided nothing and qualifies the numbers.

use super::reasons::exact_credit;
use super::{Audit, CalibratedThreshold, Status};
use crate::diagnostics::clamp::ClampLayer;
use crate::diagnostics::controls::Control;
use crate::diagnostics::cosine::Cosine;
use crate::diagnostics::learned_credit::DECIDES;
use crate::diagnostics::reference::CALIBRATED_BATCH;
use crate::words::{list, percent, plain, short, signed};

pub(super) fn caveats(audit: &Audit) -> Vec<String> {
    let mut notes: Vec<String> =
        [imported(audit), unmatched(audit), batch_size(audit), uneven(audit), few_batches(audit)]
            .into_iter()
            .flatten()
            .chain(without_twin(audit))
            .collect();
    notes.extend(audit.evidence.checks.iter().flat_map(|checked| checked.remarks.clone()));
    notes.extend(
        [
            under_floor(&audit.cosine.detail),
            clamped(audit),
            perturbation(audit),
            unexpected_identity(audit),
        ]
        .into_iter()
        .flatten(),
    );
    let used = &audit.thresholds;
    for (name, threshold) in [
        ("growth", &used.growth),
        ("reference", &used.reference),
        ("stability", &used.stability),
        ("depth utility", &used.depth_utility),
    ] {
        notes.extend(unpublished(name, threshold));
    }
    notes
}

fn imported(audit: &Audit) -> Option<String> {
    let file = audit.run.imported.as_ref()?;
    Some(format!(
        "Imported from {file}: how it was trained, and on inputs of which scale, is its \
         configuration's word. The change of the weights since initialisation is not known."
    ))
}

fn unmatched(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.depth_utility.detail;
    (!found.frozen_differs.is_empty()).then(|| {
        format!(
            "The frozen run is not the matched one ({}): the margin over it holds that difference, \
             too.",
            found.frozen_differs.join(", ")
        )
    })
}

/// What a learned credit gains needs the twin that decides.
fn without_twin(audit: &Audit) -> Option<String> {
    let found = audit.learned_credit.as_ref()?;
    let why = match found.over.get(DECIDES) {
        Some(Control::Found(_)) => return None,
        Some(Control::Missing { not_evaluated }) => not_evaluated.trim_end_matches('.').to_owned(),
        None => "no finished run with the key auxiliary = \"shuffled\" and all else alike lies beside it"
            .into(),
    };
    Some(format!("Learned credit: not held against its twin with shuffled targets: {why}."))
}

fn batch_size(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.reference;
    let (value, n) = (found.value?.0, found.detail.batch_size?);
    let standard = found.detail.at_batch_128?.0;
    if n == CALIBRATED_BATCH || !value.is_finite() {
        return None;
    }
    let turns = (value < found.threshold.0) != (standard < found.threshold.0);
    Some(format!(
        "The reference gradient scales with 1/N and its floor was calibrated at N = \
         {CALIBRATED_BATCH}; here N = {n}. At {CALIBRATED_BATCH} it would be {}{}.",
        short(standard),
        match (turns, standard < found.threshold.0) {
            (true, true) => ", which would fire",
            (true, false) => ", which would pass",
            (false, _) => "",
        }
    ))
}

fn uneven(audit: &Audit) -> Option<String> {
    let sizes = &audit.evaluation.batch_sizes;
    (sizes.len() > 1).then(|| {
        let words: Vec<String> = sizes.iter().map(usize::to_string).collect();
        format!(
            "Batches of unequal size ({}): under a batch-mean loss their gradients differ in scale.",
            words.join(", ")
        )
    })
}

fn few_batches(audit: &Audit) -> Option<String> {
    let found = &audit.diagnostics.stability;
    (found.status == Status::Inconclusive).then(|| {
        format!("Stability inconclusive: {}.", found.reason.as_deref().unwrap_or("too few batches"))
    })
}

fn under_floor(cosine: &Cosine) -> Option<String> {
    let (l, count) = cosine.under_floor.iter().enumerate().max_by_key(|(_, c)| **c)?;
    (*count > 0).then(|| {
        format!(
            "{count} of {} samples at layer {l} have a credit or a gradient without direction (norm \
             under 1e-30); their cosine counts as 0.",
            cosine.n[l]
        )
    })
}

/// What PyTorch's cosine would have said.
fn clamped(audit: &Audit) -> Option<String> {
    let clamp = audit.controls.as_ref()?.clamp.found()?;
    let shrunk = |(_, layer): &(usize, &ClampLayer)| {
        (layer.clamped.0 - layer.unclamped.0).abs() >= 0.005 && layer.under.0 > 0.0
    };
    let (l, layer) = clamp.per_layer.iter().enumerate().find(shrunk)?;
    Some(format!(
        "PyTorch's cosine_similarity would report {} instead of {} at layer {l}: {} of the samples have \
         a norm under its clamp of {}.",
        signed(layer.clamped.0),
        signed(layer.unclamped.0),
        percent(layer.under.0),
        plain(clamp.clamp.0)
    ))
}

/// Under this the positive control of ρ has failed: the true gradient does not predict what the
/// perturbation did. Recommended, not published.
const PREDICTS: f64 = 0.9;

/// Where the published ρ says nothing of the credit.
fn perturbation(audit: &Audit) -> Option<String> {
    let found = audit.controls.as_ref()?.perturbation_f32.found()?;
    let lost: Vec<(usize, f64)> = found
        .per_layer
        .iter()
        .enumerate()
        .map(|(l, layer)| (l, layer.gradient.0))
        .filter(|(_, rho)| rho.is_nan() || *rho < PREDICTS)
        .collect();
    let best = lost.iter().map(|(_, rho)| *rho).fold(f64::NAN, f64::max);
    let layers: Vec<String> = lost.iter().map(|(l, _)| format!("h_{l}")).collect();
    (!lost.is_empty()).then(|| {
        format!(
            "ρ in {}, as it was published, cannot be read at {}: its positive control, the true \
             gradient, has at most {} there. A perturbation of length {} drowns in the rounding of \
             hidden states this large.",
            found.precision,
            list(&layers),
            short(best),
            plain(found.epsilon.0)
        )
    })
}

/// A dump whose "credit" is the gradient looks like a perfect rule.
fn unexpected_identity(audit: &Audit) -> Option<String> {
    let is_bp = audit.run.method.eq_ignore_ascii_case("bp");
    (exact_credit(&audit.cosine.detail) && !is_bp).then(|| {
        format!(
            "Every cosine is 1: the credit recorded for {} is the reference gradient itself.",
            audit.run.method
        )
    })
}

fn unpublished(name: &str, threshold: &CalibratedThreshold) -> Option<String> {
    let (value, published) = (threshold.value.0, threshold.published.0);
    if value == published {
        return None;
    }
    let range = match threshold.same_verdicts {
        Some([low, high]) if value >= low.0 && value <= high.0 => {
            " (inside the calibrated range)".into()
        }
        Some([low, high]) => {
            format!(" (outside the calibrated range {} to {})", plain(low.0), plain(high.0))
        }
        None => String::new(),
    };
    Some(format!(
        "The {name} threshold is {} instead of the published {}{range}.",
        plain(value),
        plain(published)
    ))
}
