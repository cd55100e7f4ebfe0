//! Pitfalls 1 to 3: wrong before any network is involved.

use super::Demonstration;
use crate::diagnostics::clamp::clamp;
use crate::diagnostics::growth::hidden_norms;
use crate::diagnostics::reference::reference;
use crate::trace::{BatchTrace, LayerTrace, LossReduction, Matrix};

/// A trace of one sample and one layer.
fn sample(hidden: &[f64], gradient: &[f64], credit: &[f64]) -> LayerTrace {
    let row = |values: &[f64]| vec![Matrix::new(1, values.len(), values.to_vec())];
    LayerTrace {
        loss_reduction: Some(LossReduction::Mean),
        credit_trains: None,
        tokens: "single".into(),
        batches: vec![BatchTrace {
            hidden: row(hidden),
            gradient: Some(row(gradient)),
            credit: Some(row(credit)),
            logits: None,
            labels: None,
        }],
    }
}

/// 1: in PyTorch `x.norm(-1)` is no norm along the last axis but the L₋₁ "norm" of all entries.
pub(super) fn norm_axis() -> Demonstration {
    let rows = [[3.0f64, 4.0], [6.0, 8.0]];
    let inverses: f64 = rows.iter().flatten().map(|v| 1.0 / v).sum();
    let norm = |row: &[f64]| match hidden_norms(&sample(row, row, row)) {
        Ok(norms) => norms[0],
        Err(_) => f64::NAN,
    };
    Demonstration {
        name: "norm-axis",
        title: "`norm(-1)` is the L₋₁ norm of the whole tensor, not a norm along the last axis",
        setting: "hidden states of two samples, (3, 4) and (6, 8)".into(),
        wrong: format!("{:.6}, one number for both", 1.0 / inverses),
        right: format!("{} and {}", norm(&rows[0]), norm(&rows[1])),
        avoided: "Norms are L2 for each sample, in f64, then averaged: diagnostics/growth.rs.",
    }
}

/// 2: `cosine_similarity` clamps at 1e-8 and so shrinks cosines of small vectors.
pub(super) fn cosine_clamp() -> Demonstration {
    // Parallel: ‖a‖ = 5, ‖b‖ = 1e-10.
    let trace = sample(&[3.0, 4.0], &[6e-11, 8e-11], &[3.0, 4.0]);
    let (clamped, right) = match clamp(&trace) {
        Ok(found) => (found.per_layer[0].clamped.0, found.per_layer[0].unclamped.0),
        Err(_) => (f64::NAN, f64::NAN),
    };
    let product = 5.0 * 1e-10 / 1e-8;
    Demonstration {
        name: "cosine-clamp",
        title: "the ε = 1e-8 of `cosine_similarity` turns a small gradient into a small cosine",
        setting: "two parallel vectors of norms 5 and 1e-10".into(),
        wrong: format!(
            "{clamped:.4} (each norm clamped, PyTorch 2.x), {product:.4} (their product clamped, older)"
        ),
        right: format!("{right:.4}"),
        avoided: "Norms are floored at 1e-30; the share of samples under the clamp stands in every \
                  verdict, the clamped cosine beside the true one under --controls.",
    }
}

/// 3: gradients of a collapsed reference are zero in half precision.
pub(super) fn half_precision() -> Demonstration {
    let gradient = 5e-10f32;
    let fp16 = half::f16::from_f32(gradient).to_f32();
    let bf16 = half::bf16::from_f32(gradient).to_f32();
    let right = match reference(&sample(&[1.0], &[gradient.into()], &[1.0]), 1e-7) {
        Ok(found) => found.value,
        Err(_) => f64::NAN,
    };
    Demonstration {
        name: "half-precision",
        title: "a gradient of 5e-10 is zero in fp16, and its cosine 0 or NaN",
        setting: "a reference gradient of norm 5e-10".into(),
        wrong: format!("{fp16} in fp16 (smallest subnormal 5.96e-8; bf16 keeps {bf16:.1e})"),
        right: format!("{right:.1e}"),
        avoided: "Everything is trained and measured in f32 and summed in f64; the float64 shadow \
                  under --controls says what f32 lost.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protocol §7: the values that each reproducer must show.
    #[test]
    fn the_published_numbers_appear() {
        let norm = norm_axis();
        assert!(norm.wrong.starts_with("1.142857"), "{}", norm.wrong);
        assert_eq!(norm.right, "5 and 10");
        let cosine = cosine_clamp();
        assert!(cosine.wrong.starts_with("0.0100") && cosine.wrong.contains("0.0500"));
        assert_eq!(cosine.right, "1.0000");
        let half = half_precision();
        assert!(half.wrong.starts_with("0 in fp16"));
        assert_eq!(half.right, "5.0e-10");
    }
}
