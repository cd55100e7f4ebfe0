//! Rank of credit, gradient and weight change: over how many directions do they spread?
//!
//! ```text
//! effective     = exp(−Σ p ln p),  p = σ / Σσ          Roy and Vetterli 2007
//! stable        = ‖A‖_F² / ‖A‖₂²
//! participation = (Σσ²)² / Σσ⁴
//! ```
//!
//! Protocol §11. The three differ (a spectrum .5^k has 4, 4/3 and 5/3), so the formula and the matrix
//! are always named. Batch credit is [N, d], all batches stacked, as recorded: the ceiling of DFA's is
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixRank {
    /// Which matrix: `a_0`, `g_2`, `W_T − W_0 of blocks.1.linear1.weight`.
    pub matrix: String,
    pub rows: usize,
    pub cols: usize,
    /// exp(−Σ p ln p), p = σ/Σσ.
    pub effective: Number,
    /// ‖A‖_F² / ‖A‖₂².
    pub stable: Number,
    /// (Σσ²)² / Σσ⁴.
    pub participation: Number,
}

/// The ranks of a matrix from its row-major `values`; `matrix` names it.
///
/// # Panics
/// If `values` does not hold `rows * cols` values.
pub fn rank(matrix: &str, rows: usize, cols: usize, values: &[f64]) -> MatrixRank {
    assert_eq!(values.len(), rows * cols, "a {rows}x{cols} matrix");
    let [effective, stable, participation] =
        singular_values(rows, cols, values).map_or([f64::NAN; 3], |s| spectrum_ranks(&s));
    MatrixRank {
        matrix: matrix.into(),
        rows,
        cols,
        effective: Number(effective),
        stable: Number(stable),
        participation: Number(participation),
    }
}

/// Effective rank, stable rank and participation ratio of a spectrum of singular values, in any
/// order. 0 of nothing and where all are zero; NaN where one is not finite.
pub fn spectrum_ranks(singular: &[f64]) -> [f64; 3] {
    if singular.iter().any(|s| !s.is_finite()) {
        return [f64::NAN; 3];
    }
    let largest = singular.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return [0.0; 3];
    }
    // Over the largest: fourth powers of values near 1e-100 would underflow.
    let scaled = || singular.iter().map(|s| s / largest);
    let total: f64 = scaled().sum();
    let shares = scaled().map(|s| s / total).filter(|&p| p > 0.0);
    let entropy: f64 = shares.map(|p| -p * p.ln()).sum();
    let squares: f64 = scaled().map(|s| s.powi(2)).sum();
    let fourths: f64 = scaled().map(|s| s.powi(4)).sum();
    [entropy.exp(), squares, squares.powi(2) / fourths]
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
        for (name, layers) in [("a", &credit), ("g", &gradient)] {
            let Some(layers) = layers else { continue };
            ranks.push(stacked(&format!("{name}_{l}"), layers.iter().map(|of| &of[l])));
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
mod tests {
    use super::super::testing::{batch, matrix, noise, random_trace, rng, same_everywhere, trace};
    use super::*;
    use crate::trace::BatchTrace;
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;

    fn found(rows: usize, cols: usize, values: &[f64]) -> [f64; 3] {
        let found = rank("m", rows, cols, values);
        [found.effective.0, found.stable.0, found.participation.0]
    }

    fn near(found: [f64; 3], expected: [f64; 3], tolerance: f64) -> bool {
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance * b.abs())
    }

    /// A matrix with these singular values: a diagonal between two random reflections.
    fn with_spectrum(rng: &mut ChaCha8Rng, rows: usize, cols: usize, spectrum: &[f64]) -> Vec<f64> {
        let mut reflection = |n: usize| {
            let v: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
            let squares: f64 = v.iter().map(|x| x * x).sum();
            move |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / squares
        };
        let (left, right) = (reflection(rows), reflection(cols));
        let mut values = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            for j in 0..cols {
                let terms = spectrum.iter().enumerate().map(|(k, s)| left(i, k) * s * right(k, j));
                values.push(terms.sum());
            }
        }
        values
    }

    /// One-sided Jacobi (Hestenes 1958): turns pairs of columns until all are orthogonal; their
    /// lengths are the singular values.
    fn jacobi(rows: usize, cols: usize, values: &[f64]) -> Vec<f64> {
        let mut columns: Vec<Vec<f64>> =
            (0..cols).map(|j| (0..rows).map(|i| values[i * cols + j]).collect()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        for _ in 0..60 {
            for p in 0..cols {
                for q in p + 1..cols {
                    let (a, b) = (&columns[p], &columns[q]);
                    let angle = 0.5 * (2.0 * dot(a, b)).atan2(dot(a, a) - dot(b, b));
                    let (sine, cosine) = angle.sin_cos();
                    let (left, right) = columns.split_at_mut(q);
                    for (x, y) in left[p].iter_mut().zip(&mut right[0]) {
                        (*x, *y) = (cosine * *x + sine * *y, cosine * *y - sine * *x);
                    }
                }
            }
        }
        columns.iter().map(|c| dot(c, c).sqrt()).collect()
    }

    /// Π p^(−p) over Jacobi's values, ‖A‖_F² / max σ², and ‖A‖_F⁴ / ‖AᵀA‖_F² without any of them.
    fn naive(rows: usize, cols: usize, values: &[f64]) -> [f64; 3] {
        let singular = jacobi(rows, cols, values);
        let total: f64 = singular.iter().sum();
        let effective = singular.iter().map(|s| (s / total).powf(-s / total)).product();
        let energy: f64 = values.iter().map(|v| v * v).sum();
        let norm = singular.iter().fold(0.0, |m: f64, s| m.max(*s));
        let mut gram = 0.0;
        for j in 0..cols {
            for k in 0..cols {
                let inner: f64 =
                    (0..rows).map(|i| values[i * cols + j] * values[i * cols + k]).sum();
                gram += inner * inner;
            }
        }
        [effective, energy / (norm * norm), energy * energy / gram]
    }

    #[test]
    fn agrees_with_jacobi_and_with_the_gram_matrix() {
        let mut rng = rng(1);
        for case in 0..120 {
            let (rows, cols) = (rng.random_range(1..12), rng.random_range(1..12));
            // Small integers too: equal, vanishing and dependent columns.
            let values: Vec<f64> = (0..rows * cols)
                .map(|_| match case % 3 {
                    0 => rng.random_range(-1.0..1.0),
                    1 => f64::from(rng.random_range(-1..2)),
                    _ => rng.random_range(-1.0..1.0) * 10f64.powi(rng.random_range(-6..6)),
                })
                .collect();
            if values.iter().all(|v| *v == 0.0) {
                assert_eq!(found(rows, cols, &values), [0.0; 3]);
                continue;
            }
            let expected = naive(rows, cols, &values);
            let found = found(rows, cols, &values);
            assert!(near(found, expected, 1e-9), "case {case}: {found:?} {expected:?}");
        }
    }

    #[test]
    fn the_reference_spectra_have_the_reference_ranks() {
        let halves: Vec<f64> = (0..60).map(|k| 0.5f64.powi(k)).collect();
        let harmonic: Vec<f64> = (1..=100).map(|k| 1.0 / f64::from(k)).collect();
        assert!(near(spectrum_ranks(&[3.0; 17]), [17.0; 3], 1e-12));
        assert!(near(spectrum_ranks(&[0.0, 5.0, 0.0]), [1.0; 3], 1e-12));
        assert!(near(spectrum_ranks(&halves), [4.0, 4.0 / 3.0, 5.0 / 3.0], 1e-12));
        assert!((spectrum_ranks(&harmonic)[0] - 39.68).abs() < 0.005);
        // 3 and 1: p = 3/4, 1/4; 10/9; 100/82.
        let by_hand = [4.0 / 3f64.powf(0.75), 10.0 / 9.0, 100.0 / 82.0];
        assert!(near(spectrum_ranks(&[1.0, 3.0]), by_hand, 1e-12));
    }

    #[test]
    fn matrices_of_the_reference_spectra_have_them_too_tall_and_wide() {
        let mut rng = rng(2);
        let halves: Vec<f64> = (0..60).map(|k| 0.5f64.powi(k)).collect();
        let harmonic: Vec<f64> = (1..=100).map(|k| 1.0 / f64::from(k)).collect();
        for (rows, cols, spectrum) in [
            (90, 60, &halves[..]),
            (60, 90, &halves[..]),
            (130, 100, &harmonic[..]),
            (100, 100, &harmonic[..]),
            (40, 12, &[2.0; 12][..]),
            (12, 40, &[7.0][..]),
        ] {
            let values = with_spectrum(&mut rng, rows, cols, spectrum);
            let expected = spectrum_ranks(spectrum);
            let found = found(rows, cols, &values);
            assert!(near(found, expected, 1e-10), "{rows}x{cols}: {found:?} {expected:?}");
        }
    }

    #[test]
    fn two_by_two_by_hand_at_any_scale() {
        // [[3, 0], [4, 5]] has σ² = 45 and 5: σ = 3√5 and √5.
        let expected = spectrum_ranks(&[3.0, 1.0]);
        for scale in [1e-200, 1e-9, 1.0, 1e30, 1e200] {
            let values = [3.0 * scale, 0.0, 4.0 * scale, 5.0 * scale];
            assert!(near(found(2, 2, &values), expected, 1e-12), "{scale}");
        }
        let named = rank("W_T − W_0 of head.weight", 1, 3, &[1.0, 2.0, 2.0]);
        assert_eq!((&*named.matrix, named.rows, named.cols), ("W_T − W_0 of head.weight", 1, 3));
    }

    #[test]
    fn what_is_not_finite_is_nan_and_nothing_is_zero() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(found(2, 3, &[1.0, 2.0, bad, 0.0, 1.0, 1.0]).iter().all(|v| v.is_nan()));
            assert!(spectrum_ranks(&[1.0, bad]).iter().all(|v| v.is_nan()));
        }
        assert_eq!(found(3, 2, &[0.0; 6]), [0.0; 3]);
        assert_eq!(found(0, 2, &[]), [0.0; 3]);
        assert_eq!(found(2, 0, &[]), [0.0; 3]);
        assert_eq!(spectrum_ranks(&[]), [0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "a 2x2 matrix")]
    fn values_that_fill_no_matrix_are_refused() {
        rank("m", 2, 2, &[1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_trace_is_ranked_layer_by_layer_with_all_batches_stacked() {
        for seed in 0..20 {
            let trace = random_trace(seed);
            let ranks = ranks_of_trace(&trace).unwrap();
            assert_eq!(ranks.len(), 2 * (trace.blocks() + 1));
            for (k, found) in ranks.iter().enumerate() {
                let (l, of_credit) = (k / 2, k % 2 == 0);
                assert_eq!(found.matrix, format!("{}_{l}", if of_credit { "a" } else { "g" }));
                let mut values = Vec::new();
                for b in &trace.batches {
                    let layers = if of_credit { &b.credit } else { &b.gradient };
                    for i in 0..b.samples() {
                        values.extend(layers.as_ref().unwrap()[l].row(i).iter().copied());
                    }
                }
                assert_eq!(values.len(), found.rows * found.cols);
                let expected = naive(found.rows, found.cols, &values);
                let found = [found.effective.0, found.stable.0, found.participation.0];
                assert!(near(found, expected, 1e-9), "seed {seed}: {found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn the_credit_of_a_softmax_error_has_at_most_c_minus_one_directions() {
        let mut rng = rng(3);
        let (classes, width) = (4, 20);
        let feedback = noise(&mut rng, classes, width, 1.0);
        let mut credit = Vec::new();
        for _ in 0..64 {
            let mut error: Vec<f64> = (1..classes).map(|_| rng.random_range(-1.0..1.0)).collect();
            error.push(-error.iter().sum::<f64>());
            for j in 0..width {
                credit.push((0..classes).map(|c| error[c] * feedback.row(c)[j]).sum::<f64>());
            }
        }
        let layer = Matrix::new(64, width, credit);
        let full = noise(&mut rng, 64, width, 1.0);
        let both = BatchTrace { gradient: Some(vec![full]), ..same_everywhere(vec![layer]) };
        let ranks = ranks_of_trace(&trace(vec![both])).unwrap();
        assert!(ranks[0].effective.0 > 2.0 && ranks[0].effective.0 < 3.001, "{ranks:?}");
        assert!(ranks[1].effective.0 > 15.0, "{ranks:?}");
    }

    #[test]
    fn what_was_not_recorded_in_every_batch_is_left_out() {
        let whole = || same_everywhere(vec![matrix(&[&[1.0, 0.0]]), matrix(&[&[1.0, 0.0]])]);
        let names = |batches: Vec<BatchTrace>| -> Result<Vec<String>, Unmeasured> {
            Ok(ranks_of_trace(&trace(batches))?.into_iter().map(|r| r.matrix).collect())
        };
        let bare = BatchTrace { credit: None, ..whole() };
        assert_eq!(names(vec![whole(), bare]).unwrap(), ["g_0", "g_1"]);
        let blind = BatchTrace { gradient: None, ..whole() };
        assert_eq!(names(vec![blind]).unwrap(), ["a_0", "a_1"]);
        let neither = batch(vec![matrix(&[&[1.0, 0.0]])]);
        assert_eq!(names(vec![neither]), Err(Unmeasured::NoGradient));
    }
}
