//! Did the recorder test the reference by finite differences?
//!
//! From arrays alone a gradient below the last layer cannot be told from another signal. A recorder
//! can: it moves h_l along ±ε g_l inside the forward pass and holds the loss's change against ε‖g‖²,
//! which only the true gradient predicts (ratio 1). Metadata: `reference_check`, a JSON list over
//! layers of `{"layer": l, "relative_error": x, "ratio": y}`, and `reference_proved`.

use super::{Checked, Part, Recording};
use crate::trace::ReferenceCheck;
use crate::words::short;

pub const CHECK: &str = "proof of the reference";

/// A ratio off by more is no gradient's: f32 losses resolve a few per cent, hooked credit gives −.004
/// to .9.
const RATIO: f64 = 0.1;

/// What vouches for the reference gradient.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Proof {
    /// This program took it itself.
    Own,
    /// What a recorder found.
    Recorded { proved: Option<bool>, layers: Vec<ReferenceCheck> },
    #[default]
    None,
}

/// Reads what the recorder found.
pub(super) fn proof(recording: &Recording) -> Checked {
    let (proved, layers) = match &recording.said.proof {
        Proof::Own => {
            return Checked::holds(CHECK, "The reference gradient was taken by this program.");
        }
        Proof::Recorded { proved, layers } if proved.is_some() || !layers.is_empty() => {
            (*proved, layers)
        }
        _ if recording.gradient().is_none() => {
            return Checked::not_checkable(CHECK, "No reference gradient was recorded.");
        }
        _ => {
            return Checked::not_checkable(
                CHECK,
                "The reference is unproved: its recorder did not hold it against finite differences of \
                 the loss (the metadata key `reference_proved` of a trace file).",
            );
        }
    };
    let off = |check: &ReferenceCheck| (check.ratio.0 - 1.0).abs();
    let worst = layers.iter().max_by(|a, b| off(a).total_cmp(&off(b)));
    let wrong = worst.filter(|check| off(check) > RATIO || off(check).is_nan());
    let voids = [Part::Reference, Part::Stability, Part::Cosine];
    match (wrong, proved) {
        (Some(check), _) => Checked::contradicted(
            CHECK,
            &voids,
            format!(
                "The recorded reference at h_{} is not the gradient: moved along it, the loss changed by \
                 {} times what it predicts.",
                check.layer,
                short(check.ratio.0)
            ),
        ),
        (None, Some(false)) => Checked::contradicted(
            CHECK,
            &voids,
            "The recorder held the reference against finite differences of the loss, and it failed.",
        ),
        (None, Some(true)) => {
            let most = worst.map_or_else(String::new, |check| {
                format!(" (ratio {} at the worst layer)", short(check.ratio.0))
            });
            Checked::holds(
                CHECK,
                format!("The recorder proved the reference by finite differences{most}."),
            )
        }
        (None, None) => Checked::holds(
            CHECK,
            format!(
                "Finite differences of the loss agree with the reference at the {} layers that the \
                 recorder tested.",
                layers.len()
            ),
        ),
    }
}
