//! What a reader must know besides the verdict: it decided nothing and qualifies the numbers.

use super::reasons::exact_credit;
use super::words::{plain, short};
use super::{Audit, CalibratedThreshold, Status};
use crate::diagnostics::cosine::Cosine;
use crate::diagnostics::reference::CALIBRATED_BATCH;

pub(super) fn caveats(audit: &Audit) -> Vec<String> {
    let mut notes: Vec<String> =
        [batch_size(audit), uneven(audit), few_batches(audit)].into_iter().flatten().collect();
    notes.extend(
        [under_floor(&audit.cosine.detail), unexpected_identity(audit)].into_iter().flatten(),
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

/// A dump whose "credit" is the gradient looks like a perfect rule.
fn unexpected_identity(audit: &Audit) -> Option<String> {
    (exact_credit(&audit.cosine.detail) && !audit.run.method.eq_ignore_ascii_case("bp")).then(
        || {
            format!(
                "Every cosine is 1: the credit recorded for {} is the reference gradient itself.",
                audit.run.method
            )
        },
    )
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
