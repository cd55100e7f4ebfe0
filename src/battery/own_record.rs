//! Does the audit find what the run recorded of itself?
//!
//! After each epoch a run evaluates and probes itself. The audit of that epoch's checkpoint measures the
//! same on the same data: on the machine of the training to the bit, on another up to rounding. What
//! differs by more was measured in another mode, on other weights or with other feedback.

use crate::diagnostics::cosine::per_layer;
use crate::diagnostics::growth::hidden_norms;
use crate::evidence::{Checked, Part};
use crate::number::Number;
use crate::trace::LayerTrace;
use crate::train::run_dir::EpochMetrics;
use crate::words::{list, percent_fine, short, signed};

pub const CHECK: &str = "the run's own record";

/// Another machine's rounding turns fewer predictions.
const ACCURACY: f64 = 0.01;

/// And leaves a norm as it is to less than this share.
const NORM: f64 = 0.01;

/// And a cosine, where the reference is no rounding noise.
const COSINE: f64 = 0.05;

/// What the audit measured of the checkpoint.
pub struct Measured<'a> {
    pub accuracy: f64,
    pub trace: &'a LayerTrace,
    /// The median ‖g_l‖ under which the cosines at h_l are not compared.
    pub floor: f64,
}

/// Holds what was measured against the line of the checkpoint's epoch in `metrics.jsonl`.
pub fn own_record(recorded: &EpochMetrics, measured: &Measured) -> Checked {
    let (mut wrong, mut voids) = (Vec::new(), Vec::new());
    let epoch = recorded.epoch;
    let said = recorded.test_accuracy.0;
    if (said - measured.accuracy).abs() > ACCURACY {
        wrong.push(format!(
            "a test accuracy of {}, where the checkpoint has {}",
            percent_fine(said),
            percent_fine(measured.accuracy)
        ));
        voids.push(Part::DepthUtility);
    }
    let norms = hidden_norms(measured.trace).unwrap_or_default();
    let off = |said: f64, found: f64| (found / said - 1.0).abs() > NORM;
    if let Some((l, said, found)) = first(&recorded.hidden_norms, &norms, |_| true, off) {
        wrong.push(format!(
            "hidden states of norm {} at h_{l}, where it has {}",
            short(said),
            short(found)
        ));
        voids.push(Part::Growth);
    }
    let cosines = per_layer(measured.trace).unwrap_or_default();
    let readable = |l: usize| recorded.gradient_norms.get(l).is_some_and(|g| g.0 >= measured.floor);
    let off = |said: f64, found: f64| (said - found).abs() > COSINE;
    let cosine = first(&recorded.cosine, &cosines, readable, off);
    if let Some((l, said, found)) = cosine {
        wrong.push(format!(
            "a cosine of {} at h_{l}, where it has {}",
            signed(said),
            signed(found)
        ));
        voids.push(Part::Cosine);
    }
    if wrong.is_empty() {
        let finding = format!(
            "Accuracy, norms and cosines are those that the run recorded after epoch {epoch}."
        );
        return Checked::holds(CHECK, finding);
    }
    let cause = match (cosine.is_some(), wrong.len()) {
        (true, 1) => "its feedback is another than in training",
        _ => "the checkpoint is another run's or epoch's, or the run was evaluated in another mode",
    };
    let finding = format!("After epoch {epoch} the run recorded {}: {cause}.", list(&wrong));
    Checked::contradicted(CHECK, &voids, finding)
}

/// The first layer, among those of `chosen`, whose finite values are `off`.
fn first(
    recorded: &[Number],
    measured: &[f64],
    chosen: impl Fn(usize) -> bool,
    off: impl Fn(f64, f64) -> bool,
) -> Option<(usize, f64, f64)> {
    let pairs = recorded.iter().zip(measured).enumerate();
    let mut pairs = pairs.map(|(l, (said, found))| (l, said.0, *found));
    pairs.find(|(l, said, found)| {
        chosen(*l) && said.is_finite() && found.is_finite() && off(*said, *found)
    })
}
