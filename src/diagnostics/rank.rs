//! Rank of credit, gradient and weight change: over how many directions do they spread?
//!
//! ```text
//! effective     = exp(−Σ p ln p),  p = σ / Σσ          Roy and Vetterli 2007
//! energy        = exp(−Σ q ln q),  q = σ² / Σσ²        the same of the shares of ‖A‖_F²
//! stable        = ‖A‖_F² / ‖A‖₂²
//! participation = (Σσ²)² / Σσ⁴
//! ```
//!
//! Protocol §11. The four differ (a spectrum .5^k has 4, 2.12, 4/3 and 5/3), so the formula and the
//! matrix are always named. Batch credit is [N, d], all batches stacked, as recorded: the ceiling of DFA's is
//! C − 1, since a softmax error sums to zero over the C classes. A matrix of zeros has rank 0; one that
//! is not finite has NaN.
//!
//! The singular values come from R of a QR decomposition: exact to rounding where those of AᵀA would
//! lose half of the digits.

use super::{Unmeasured, batches};
use crate::number::Number;
use crate::trace::{LayerTrace, Matrix};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    pub matrices: Vec<MatrixRank>,
}

/// What a matrix is whose rank is measured; a record names it by [`RankOf::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RankOf {
    /// a_l, [N, d].
    Credit,
    /// g_l, [N, d].
    Reference,
    /// The rule's gradient of a weight matrix on a batch.
    WeightGradient,
    /// Those of many epochs, a row each.
    Trajectory,
    /// W_T − W_0.
    Change,
}

impl RankOf {
    pub const ALL: [Self; 5] =
        [Self::Credit, Self::Reference, Self::WeightGradient, Self::Trajectory, Self::Change];

    fn prefix(self) -> &'static str {
        match self {
            Self::Credit => "a_",
            Self::Reference => "g_",
            Self::WeightGradient => "∇ of ",
            Self::Trajectory => "∇ over epochs of ",
            Self::Change => "W_T − W_0 of ",
        }
    }

    /// That of a layer or of a weight matrix: `a_0`, `∇ of blocks.1.linear1.weight`.
    pub fn name(self, of: impl std::fmt::Display) -> String {
        format!("{}{of}", self.prefix())
    }

    /// Of which kind the matrix of this name is.
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| name.starts_with(of.prefix()))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixRank {
    /// Which matrix: `a_0`, `g_2`, `W_T − W_0 of blocks.1.linear1.weight`.
    pub matrix: String,
    pub rows: usize,
    pub cols: usize,
    /// exp(−Σ p ln p), p = σ/Σσ.
    pub effective: Number,
    /// exp(−Σ q ln q), q = σ²/Σσ²; NaN in records from before it was measured.
    #[serde(default = "unmeasured")]
    pub energy: Number,
    /// ‖A‖_F² / ‖A‖₂².
    pub stable: Number,
    /// (Σσ²)² / Σσ⁴.
    pub participation: Number,
}

fn unmeasured() -> Number {
    Number(f64::NAN)
}

/// The ranks of a matrix from its row-major `values`; `matrix` names it.
///
/// # Panics
/// If `values` does not hold `rows * cols` values.
pub fn rank(matrix: &str, rows: usize, cols: usize, values: &[f64]) -> MatrixRank {
    assert_eq!(values.len(), rows * cols, "a {rows}x{cols} matrix");
    let [effective, energy, stable, participation] =
        singular_values(rows, cols, values).map_or([f64::NAN; 4], |s| spectrum_ranks(&s));
    MatrixRank {
        matrix: matrix.into(),
        rows,
        cols,
        effective: Number(effective),
        energy: Number(energy),
        stable: Number(stable),
        participation: Number(participation),
    }
}

/// Effective rank, that of the energy, stable rank and participation ratio of a spectrum of singular
/// values, in any order. 0 of nothing and where all are zero; NaN where one is not finite.
pub fn spectrum_ranks(singular: &[f64]) -> [f64; 4] {
    if singular.iter().any(|s| !s.is_finite()) {
        return [f64::NAN; 4];
    }
    let largest = singular.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return [0.0; 4];
    }
    // Over the largest: fourth powers of values near 1e-100 would underflow.
    let scaled = || singular.iter().map(|s| s / largest);
    let squares: f64 = scaled().map(|s| s.powi(2)).sum();
    let fourths: f64 = scaled().map(|s| s.powi(4)).sum();
    let effective = perplexity(scaled());
    [effective, perplexity(scaled().map(|s| s.powi(2))), squares, squares.powi(2) / fourths]
}

/// exp(−Σ p ln p) of shares p of a whole.
fn perplexity(parts: impl Iterator<Item = f64> + Clone) -> f64 {
    let total: f64 = parts.clone().sum();
    let entropy: f64 =
        parts.map(|part| part / total).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
    entropy.exp()
}

/// The ranks of credit `a_l` and reference gradient `g_l`, all batches stacked, for l = 0 … L; those
/// that were recorded in every batch.
pub fn ranks_of_trace(trace: &LayerTrace) -> Result<Vec<MatrixRank>, Unmeasured> {
    let batches = batches(trace)?;
    let credit: Option<Vec<&[Matrix]>> = batches.iter().map(|b| b.credit.as_deref()).collect();
    let gradient: Option<Vec<&[Matrix]>> = batches.iter().map(|b| b.gradient.as_deref()).collect();
    if credit.is_none() && gradient.is_none() {
        return Err(Unmeasured::NoGradient);
    }
    let mut ranks = Vec::new();
    for l in 0..batches[0].hidden.len() {
        for (of, layers) in [(RankOf::Credit, &credit), (RankOf::Reference, &gradient)] {
            let Some(layers) = layers else { continue };
            ranks.push(stacked(&of.name(l), layers.iter().map(|of| &of[l])));
        }
    }
    Ok(ranks)
}

/// The rank of matrices of one width, one under the other.
fn stacked<'a>(name: &str, matrices: impl Iterator<Item = &'a Matrix> + Clone) -> MatrixRank {
    let rows = matrices.clone().map(Matrix::rows).sum();
    let cols = matrices.clone().next().map_or(0, Matrix::cols);
    let values: Vec<f64> = matrices.flat_map(Matrix::iter_rows).flatten().copied().collect();
    rank(name, rows, cols, &values)
}

/// min(rows, cols) singular values over the largest entry, in no order. `None` where a value is not
/// finite, or where the iteration does not end (never seen: it needs two to four steps a value).
fn singular_values(rows: usize, cols: usize, values: &[f64]) -> Option<Vec<f64>> {
    const STEPS_A_VALUE: usize = 100;
    if values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let largest = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    if largest == 0.0 {
        return Some(vec![0.0; rows.min(cols)]);
    }
    // Over the largest, since the QR decomposition squares. The transpose of a wide matrix is tall.
    let scaled = values.iter().map(|v| v / largest);
    let tall = if rows >= cols {
        DMatrix::from_row_iterator(rows, cols, scaled)
    } else {
        DMatrix::from_iterator(cols, rows, scaled)
    };
    let steps = STEPS_A_VALUE * tall.ncols();
    let svd = tall.qr().unpack_r().try_svd_unordered(false, false, f64::EPSILON, steps)?;
    Some(svd.singular_values.iter().copied().collect())
}

#[cfg(test)]
mod tests;
