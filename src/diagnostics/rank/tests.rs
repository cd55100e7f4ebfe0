//! Ranks against Jacobi's method, by hand and at any scale.

use super::super::testing::{batch, matrix, noise, random_trace, rng, same_everywhere, trace};
use super::*;
use crate::trace::BatchTrace;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

fn found(rows: usize, cols: usize, values: &[f64]) -> [f64; 4] {
    let found = rank("m", rows, cols, values);
    of(&found)
}

fn of(found: &MatrixRank) -> [f64; 4] {
    [found.effective.0, found.energy.0, found.stable.0, found.participation.0]
}

fn near(found: [f64; 4], expected: [f64; 4], tolerance: f64) -> bool {
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
fn naive(rows: usize, cols: usize, values: &[f64]) -> [f64; 4] {
    let singular = jacobi(rows, cols, values);
    let total: f64 = singular.iter().sum();
    let effective = singular.iter().map(|s| (s / total).powf(-s / total)).product();
    let energy: f64 = values.iter().map(|v| v * v).sum();
    let shares = singular.iter().map(|s| s * s / energy);
    let of_energy = shares.map(|q| q.powf(-q)).product();
    let norm = singular.iter().fold(0.0, |m: f64, s| m.max(*s));
    let mut gram = 0.0;
    for j in 0..cols {
        for k in 0..cols {
            let inner: f64 = (0..rows).map(|i| values[i * cols + j] * values[i * cols + k]).sum();
            gram += inner * inner;
        }
    }
    [effective, of_energy, energy / (norm * norm), energy * energy / gram]
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
            assert_eq!(found(rows, cols, &values), [0.0; 4]);
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
    assert!(near(spectrum_ranks(&[3.0; 17]), [17.0; 4], 1e-12));
    assert!(near(spectrum_ranks(&[0.0, 5.0, 0.0]), [1.0; 4], 1e-12));
    assert!(near(
        spectrum_ranks(&halves),
        [4.0, 4f64.powf(4.0 / 3.0) / 3.0, 4.0 / 3.0, 5.0 / 3.0],
        1e-12
    ));
    assert!((spectrum_ranks(&harmonic)[0] - 39.68).abs() < 0.005);
    // 3 and 1: p = 3/4, 1/4; q = 9/10, 1/10; 10/9; 100/82.
    let by_hand = [4.0 / 3f64.powf(0.75), 10.0 / 9f64.powf(0.9), 10.0 / 9.0, 100.0 / 82.0];
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
    assert_eq!(found(3, 2, &[0.0; 6]), [0.0; 4]);
    assert_eq!(found(0, 2, &[]), [0.0; 4]);
    assert_eq!(found(2, 0, &[]), [0.0; 4]);
    assert_eq!(spectrum_ranks(&[]), [0.0; 4]);
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
            assert!(near(of(found), expected, 1e-9), "seed {seed}: {found:?} {expected:?}");
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
