//! The diagnostics of the protocol (arXiv:2606.21126; protocol §4): pure functions of a
//! [`LayerTrace`], in f64. They measure; `verdict` compares with thresholds and decides.
//!
//! | file | quantity | decides? |
//! |---|---|---|
//! | [`growth`] | (a) D1: how much one block multiplies the hidden norm | yes |
//! | [`reference`](mod@reference) | (b) D2: size of the gradient that the credit is compared with | yes |
//! | [`stability`] | (c): shared direction of that gradient across batches | no |
//! | [`depth_utility`] | (d) D3: accuracy over a network with frozen blocks | yes |
//! | [`cosine`] | agreement of credit and gradient, layer by layer | reported |
//! | [`learned_credit`] | accuracy over twins whose auxiliary network learns something else | claims |
//! | [`controls`] | what makes the others believable, one file each; the [`layered`] ones are added by one line | no |
//!
//! Nothing is skipped silently. What cannot be measured says why ([`Unmeasured`]); what exploded
//! stays in the value as NaN or infinity.

pub mod aggregation;
pub mod clamp;
pub mod common_mode;
pub mod controls;
pub mod cosine;
pub mod depth_utility;
pub mod descent;
pub mod direct_null;
pub mod growth;
pub mod layered;
pub mod learned_credit;
pub mod nudging;
pub mod null;
pub mod perturbation;
pub mod rank;
pub mod reference;
pub mod shadow;
pub mod stability;
pub mod trajectory;

/// The example of the guide.
#[cfg(test)]
#[path = "../../data/guide/examples/sign_agreement.rs"]
pub mod guide_example;

use crate::stats::mean;
use crate::trace::{BatchTrace, LayerTrace, Matrix};
use std::fmt;

/// Norms under this count as "no direction" (protocol §4: floor 1e-30, where PyTorch's
/// `cosine_similarity` clamps each norm at 1e-8 and so shrinks what is merely small).
pub const NORM_FLOOR: f64 = 1e-30;

/// A diagnostic's result: the one number that a threshold judges, and what that number depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement<D> {
    pub value: f64,
    pub detail: D,
}

pub type Measured<D> = Result<Measurement<D>, Unmeasured>;

/// Why a diagnostic has no value. Never a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    NoSamples,
    NoBlocks,
    NoGradient,
    NoCredit,
    NoFeedback,
    NoOutputError,
    NoLossReduction,
    NoAccuracy,
    NoFrozenTwin,
    IsBaseline,
    /// The rule did not train the network.
    NotItsNetwork,
    /// Too few batches whose average gradient has a direction: how many there are.
    TooFewBatches(usize),
    /// The arrays contradict each other.
    Malformed(String),
    /// The evidence that it would stand on contradicts itself: how.
    Contradicted(String),
}

impl std::error::Error for Unmeasured {}

impl fmt::Display for Unmeasured {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NoSamples => f.write_str("the trace holds no samples"),
            Self::NoBlocks => f.write_str("the network has no blocks"),
            Self::NoGradient => f.write_str("the trace holds no reference gradient"),
            Self::NoCredit => f.write_str("the trace holds no credit signal"),
            Self::NoFeedback => f.write_str("the rule has no feedback matrices to draw anew"),
            Self::NoOutputError => {
                f.write_str("the trace holds no logits and labels, of which the error is made")
            }
            Self::NoLossReduction => {
                f.write_str("the trace does not say how its loss was reduced over the batch")
            }
            Self::NoAccuracy => f.write_str("the trace does not say the run's test accuracy"),
            Self::NoFrozenTwin => f.write_str("no matched frozen-blocks run was given"),
            Self::IsBaseline => f.write_str("this run is itself the baseline"),
            Self::NotItsNetwork => f.write_str(
                "the network was taken as it is: its accuracy is not what this rule reached",
            ),
            Self::TooFewBatches(n) => write!(
                f,
                "{n} batch{} with a gradient direction, and a pair is needed",
                if *n == 1 { "" } else { "es" }
            ),
            Self::Malformed(what) => write!(f, "the trace is malformed: {what}"),
            Self::Contradicted(check) => {
                write!(f, "the evidence contradicts itself ({check}), see the reasons")
            }
        }
    }
}

impl Unmeasured {
    /// What the user can do about it, where something can be done.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NoFrozenTwin => Some(
                "`--frozen FILE` supplies one, as does the metadata key `frozen_accuracy` of a trace \
                 file",
            ),
            Self::NoAccuracy => Some("the metadata key `accuracy` of a trace file supplies it"),
            Self::NoLossReduction => Some(
                "the metadata key `loss_reduction` of a trace file, `mean` or `sum`, supplies it",
            ),
            Self::NoOutputError => Some(
                "the tensors `batch.{k}.logits` and `batch.{k}.labels` of a trace file supply them",
            ),
            Self::NoGradient => Some("the tensors `batch.{k}.g.{l}` of a trace file supply it"),
            Self::NoCredit => Some("the tensors `batch.{k}.a.{l}` of a trace file supply it"),
            Self::TooFewBatches(_) | Self::NoSamples => Some("evaluate more batches"),
            Self::NoBlocks
            | Self::NoFeedback
            | Self::IsBaseline
            | Self::NotItsNetwork
            | Self::Malformed(_)
            | Self::Contradicted(_) => None,
        }
    }
}

/// The batches that hold samples, once their shapes are known to agree.
pub(crate) fn batches(trace: &LayerTrace) -> Result<Vec<&BatchTrace>, Unmeasured> {
    let Some(first) = trace.batches.first() else {
        return Err(Unmeasured::NoSamples);
    };
    let widths: Vec<usize> = first.hidden.iter().map(Matrix::cols).collect();
    if widths.is_empty() {
        return Err(Unmeasured::Malformed("it has no hidden state".into()));
    }
    for (k, batch) in trace.batches.iter().enumerate() {
        let named = [
            ("h", Some(&batch.hidden)),
            ("g", batch.gradient.as_ref()),
            ("a", batch.credit.as_ref()),
        ];
        for (name, layers) in named {
            let Some(layers) = layers else { continue };
            if layers.len() != widths.len() {
                return Err(Unmeasured::Malformed(format!(
                    "batch {k} has {} layers of {name} where batch 0 has {} of h",
                    layers.len(),
                    widths.len()
                )));
            }
            for (l, (matrix, width)) in layers.iter().zip(&widths).enumerate() {
                if matrix.rows() != batch.samples() || matrix.cols() != *width {
                    return Err(Unmeasured::Malformed(format!(
                        "batch.{k}.{name}.{l} is [{}, {}] where [{}, {width}] belongs",
                        matrix.rows(),
                        matrix.cols(),
                        batch.samples()
                    )));
                }
            }
        }
    }
    let filled: Vec<_> = trace.batches.iter().filter(|b| b.samples() > 0).collect();
    if filled.is_empty() {
        return Err(Unmeasured::NoSamples);
    }
    Ok(filled)
}

/// g_0 … g_L of a batch.
fn gradient(batch: &BatchTrace) -> Result<&[Matrix], Unmeasured> {
    batch.gradient.as_deref().ok_or(Unmeasured::NoGradient)
}

/// a_0 … a_L of a batch.
fn credit(batch: &BatchTrace) -> Result<&[Matrix], Unmeasured> {
    batch.credit.as_deref().ok_or(Unmeasured::NoCredit)
}

/// L2 norm. Squares in f64 hold every f32 (an f32 sum underflows for entries under about 2e-23), not
/// every f64: entries beyond about 1e±154 are taken over the largest.
pub(crate) fn norm(row: &[f64]) -> f64 {
    let square: f64 = row.iter().map(|v| v * v).sum();
    if square.is_normal() || square.is_nan() {
        return square.sqrt();
    }
    let largest = row.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * row.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt()
}

/// Cosine with each norm raised to `floor` first.
pub(crate) fn floored_cosine(a: &[f64], b: &[f64], floor: f64) -> f64 {
    cosine_over(a, b, [norm(a).max(floor), norm(b).max(floor)])
}

/// ⟨a, b⟩ over the product of `lengths`. A NaN that a floor took out of a length is still in the
/// entries.
pub(crate) fn cosine_over(a: &[f64], b: &[f64], lengths: [f64; 2]) -> f64 {
    let pairs = || a.iter().zip(b);
    let product = lengths[0] * lengths[1];
    if product.is_finite() {
        pairs().map(|(x, y)| x * y).sum::<f64>() / product
    } else {
        pairs().map(|(x, y)| (x / lengths[0]) * (y / lengths[1])).sum()
    }
}

/// Mean over the deep layers 1 … L−1 of values at 0 … L; `None` with fewer than two blocks.
fn deep(per_layer: &[f64]) -> Option<f64> {
    let deep = per_layer.get(1..per_layer.len().checked_sub(1)?)?;
    (!deep.is_empty()).then(|| mean(deep))
}

/// The share of values for which `test` holds.
fn share(values: &[f64], test: impl Fn(f64) -> bool) -> f64 {
    values.iter().filter(|&&v| test(v)).count() as f64 / values.len() as f64
}

#[cfg(test)]
pub(crate) mod testing {
    //! Small traces for the tests of the diagnostics and of the verdict.

    use crate::trace::{BatchTrace, LayerTrace, LossReduction, Matrix};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    pub fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// A matrix from its rows.
    pub fn matrix<T: Copy + Into<f64>>(rows: &[&[T]]) -> Matrix {
        let cols = rows.first().map_or(0, |r| r.len());
        let data = rows.iter().flat_map(|row| row.iter().map(|&v| v.into())).collect();
        Matrix::new(rows.len(), cols, data)
    }

    /// A batch whose layers are given; credit and gradient are absent.
    pub fn batch(hidden: Vec<Matrix>) -> BatchTrace {
        let n = hidden[0].rows();
        BatchTrace {
            hidden,
            gradient: None,
            credit: None,
            logits: Some(Matrix::new(n, 2, vec![0.0; 2 * n])),
            labels: Some(vec![0; n]),
        }
    }

    pub fn trace(batches: Vec<BatchTrace>) -> LayerTrace {
        LayerTrace {
            loss_reduction: Some(LossReduction::Mean),
            credit_trains: None,
            tokens: "single".into(),
            batches,
        }
    }

    /// A batch with the same matrices as hidden states, gradients and credits.
    pub fn same_everywhere(layers: Vec<Matrix>) -> BatchTrace {
        BatchTrace { gradient: Some(layers.clone()), credit: Some(layers.clone()), ..batch(layers) }
    }

    /// Uniform entries in ±`scale`.
    pub fn noise(rng: &mut ChaCha8Rng, rows: usize, cols: usize, scale: f32) -> Matrix {
        let data = (0..rows * cols).map(|_| rng.random_range(-scale..scale).into()).collect();
        Matrix::new(rows, cols, data)
    }

    /// A random trace: up to 10 batches of unequal size, up to 4 blocks, wildly differing scales.
    pub fn random_trace(seed: u64) -> LayerTrace {
        let mut rng = rng(seed);
        let layers = rng.random_range(2..6);
        let cols = rng.random_range(2..7);
        let scale = 10f32.powi(rng.random_range(-20..21));
        let batches = (0..rng.random_range(1..11))
            .map(|_| {
                let rows = rng.random_range(1..6);
                let mut draw = |scale| -> Vec<Matrix> {
                    (0..layers).map(|_| noise(&mut rng, rows, cols, scale)).collect()
                };
                let (hidden, gradient, credit) = (draw(scale), draw(1.0 / scale), draw(1.0));
                BatchTrace { gradient: Some(gradient), credit: Some(credit), ..batch(hidden) }
            })
            .collect();
        trace(batches)
    }

    /// Equal to rounding, or the same value where neither is finite.
    pub fn close(a: f64, b: f64) -> bool {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{batch, matrix, trace};
    use super::*;

    #[test]
    fn norms_of_tiny_and_huge_entries_neither_underflow_nor_overflow() {
        for scale in [1e-310, 1e-200, 1e-30, 1.0, 1e30, 1e200, 1e307] {
            let length = norm(&[3.0 * scale, 4.0 * scale]);
            assert!((length / (5.0 * scale) - 1.0).abs() < 1e-12, "{scale}: {length}");
        }
        assert_eq!([norm(&[0.0, 0.0]), norm(&[1.0, f64::INFINITY])], [0.0, f64::INFINITY]);
        assert!(norm(&[1.0, f64::NAN]).is_nan() && norm(&[1e200, f64::NAN]).is_nan());
    }

    #[test]
    fn cosines_of_tiny_and_huge_entries_are_those_of_their_directions() {
        for scale in [1e-29, 1.0, 1e100, 1e200, 1e307] {
            for other in [1e-29, 1.0, 1e307] {
                let (a, b) = ([3.0 * scale, 4.0 * scale], [4.0 * other, 3.0 * other]);
                let found = floored_cosine(&a, &b, NORM_FLOOR);
                assert!((found - 0.96).abs() < 1e-12, "{scale}, {other}: {found}");
            }
        }
        assert!(floored_cosine(&[f64::NAN, 1e200], &[1e200, 1.0], NORM_FLOOR).is_nan());
        assert!(floored_cosine(&[f64::INFINITY, 1.0], &[1.0, 1.0], NORM_FLOOR).is_nan());
    }

    #[test]
    fn deep_layers_leave_out_the_first_and_the_last() {
        assert_eq!(deep(&[100.0, 2.0, 4.0, 100.0]), Some(3.0));
        assert_eq!([deep(&[1.0, 1.0]), deep(&[1.0]), deep(&[])], [None; 3]);
    }

    #[test]
    fn contradicting_shapes_are_named() {
        let two = matrix(&[&[1.0, 2.0]]);
        let three = matrix(&[&[1.0, 2.0, 3.0]]);
        let uneven = trace(vec![batch(vec![two.clone()]), batch(vec![three.clone()])]);
        assert_eq!(
            batches(&uneven).unwrap_err().to_string(),
            "the trace is malformed: batch.1.h.0 is [1, 3] where [1, 2] belongs"
        );
        let mut short = batch(vec![two.clone(), two.clone()]);
        short.gradient = Some(vec![two]);
        assert_eq!(
            batches(&trace(vec![short])).unwrap_err().to_string(),
            "the trace is malformed: batch 0 has 1 layers of g where batch 0 has 2 of h"
        );
        let uneven = batch(vec![three.clone(), matrix(&[&[1.0], &[2.0]])]);
        assert!(matches!(batches(&trace(vec![uneven])), Err(Unmeasured::Malformed(_))));
        assert!(matches!(
            batches(&trace(vec![BatchTrace { hidden: vec![], ..batch(vec![matrix::<f64>(&[])]) }])),
            Err(Unmeasured::Malformed(_))
        ));
    }

    #[test]
    fn a_trace_without_samples_is_not_measured() {
        assert_eq!(batches(&trace(vec![])).unwrap_err(), Unmeasured::NoSamples);
        let empty = batch(vec![Matrix::new(0, 3, vec![])]);
        let empty = trace(vec![empty]);
        assert_eq!(batches(&empty).unwrap_err(), Unmeasured::NoSamples);
    }
}
