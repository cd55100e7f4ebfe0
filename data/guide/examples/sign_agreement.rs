//! Sign agreement: in which share of the coordinates have credit and gradient the same sign?
//!
//! ```text
//! agreement(l) = mean over samples and coordinates of [a_l g_l > 0]
//! ```
//!
//! 0.5 where they have nothing to do with each other; a zero agrees with nothing, NaN stays.

use super::layered::{LayeredControl, PerLayer};
use super::{Unmeasured, batches, credit, gradient};
use crate::number::Number;
use crate::stats::mean;
use crate::trace::LayerTrace;

pub const CONTROL: LayeredControl = LayeredControl {
    title: "Sign agreement",
    note: "Share of the coordinates in which credit and gradient have the same sign; 0.5 by chance.",
    measure: sign_agreement,
};

/// The agreement of credit and reference gradient at layers 0 … L.
pub fn sign_agreement(trace: &LayerTrace) -> Result<PerLayer, Unmeasured> {
    let batches = batches(trace)?;
    let mut per_layer = Vec::new();
    for l in 0..batches[0].hidden.len() {
        let mut agreements = Vec::new();
        for batch in &batches {
            let (a, g) = (&credit(batch)?[l], &gradient(batch)?[l]);
            for (a, g) in a.iter_rows().zip(g.iter_rows()) {
                agreements.extend(a.iter().zip(g).map(|(a, g)| agreement(*a, *g)));
            }
        }
        per_layer.push(Number(mean(&agreements)));
    }
    Ok(PerLayer::from([("agreement".into(), per_layer)]))
}

fn agreement(a: f64, g: f64) -> f64 {
    if a.is_nan() || g.is_nan() {
        f64::NAN
    } else if (a > 0.0 && g > 0.0) || (a < 0.0 && g < 0.0) {
        1.0
    } else {
        0.0
    }
}
