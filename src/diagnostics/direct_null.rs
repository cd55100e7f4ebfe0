//! The null calibration of direct feedback alignment from arrays alone: its credit needs the output
//! error and a matrix a layer, and no network (protocol §2.1, §5).
//!
//! ```text
//! a_l^k = B_l^k e,  e = softmax(logits) − onehot(y),  B_l^k ∈ R^{d×C} from N(0, 1)
//! ```
//!
//! A cosine does not depend on the scale of B. Which law the program drew from is not known: normal
//! entries favour no direction.

use super::Unmeasured;
use super::cosine::per_layer;
use super::null::{NullCalibration, null_calibration};
use crate::rng;
use crate::trace::{LayerTrace, Matrix};
use rand_distr::{Distribution, StandardNormal};

/// The cosines under `draws` sets of fresh matrices, from the streams `control/null/<draw>/<layer>`
/// of `seed`, beside those of the recorded credit.
///
/// # Errors
/// What of the trace is missing.
pub fn direct_null(
    trace: &LayerTrace,
    seed: u64,
    draws: usize,
) -> Result<NullCalibration, Unmeasured> {
    let trained = per_layer(trace)?;
    let errors = trace.batches.iter().map(|batch| {
        let (Some(logits), Some(labels)) = (&batch.logits, &batch.labels) else {
            return Err(Unmeasured::NoOutputError);
        };
        Ok(error(logits, labels))
    });
    let errors = errors.collect::<Result<Vec<_>, _>>()?;
    let mut fresh = trace.clone();
    let drawn = (0..draws).map(|draw| {
        for l in 0..=trace.blocks() {
            let (d, classes) = (trace.batches[0].hidden[l].cols(), errors[0].cols());
            let stream = rng::stream(seed, &format!("control/null/{draw}/{l}"));
            let values = StandardNormal.sample_iter(stream).take(d * classes).collect();
            let feedback = Matrix::new(d, classes, values);
            for (batch, error) in fresh.batches.iter_mut().zip(&errors) {
                if let Some(credit) = &mut batch.credit {
                    credit[l] = direct_credit(error, &feedback);
                }
            }
        }
        per_layer(&fresh)
    });
    null_calibration(&trained, &drawn.collect::<Result<Vec<_>, _>>()?)
}

/// e = softmax(logits) − onehot(y): [N, C].
pub(crate) fn error(logits: &Matrix, labels: &[u32]) -> Matrix {
    let mut values = Vec::with_capacity(logits.rows() * logits.cols());
    for (row, &label) in logits.iter_rows().zip(labels) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let odds: Vec<f64> = row.iter().map(|v| (v - top).exp()).collect();
        let sum: f64 = odds.iter().sum();
        let of_class = |(c, odds): (usize, &f64)| odds / sum - f64::from(c == label as usize);
        values.extend(odds.iter().enumerate().map(of_class));
    }
    Matrix::new(logits.rows(), logits.cols(), values)
}

/// a = e Bᵀ: [N, d] of e [N, C] and B [d, C].
fn direct_credit(error: &Matrix, feedback: &Matrix) -> Matrix {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let values = error.iter_rows().flat_map(|e| feedback.iter_rows().map(move |b| dot(e, b)));
    Matrix::new(error.rows(), feedback.rows(), values.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, matrix, rng, trace};
    use super::*;
    use rand::RngExt;

    #[test]
    fn error_and_credit_are_those_worked_out_by_hand() {
        let ln3 = 3f64.ln();
        let e = error(&matrix(&[&[0.0, ln3], &[1000.0, 1000.0]]), &[1, 0]);
        for (got, want) in e.iter_rows().flatten().zip([0.25, -0.25, -0.5, 0.5]) {
            assert!((got - want).abs() < 1e-15, "{got}, not {want}");
        }
        let b = matrix(&[&[1.0, 2.0], &[3.0, 4.0], &[0.0, -8.0]]);
        let a = direct_credit(&matrix(&[&[0.25, -0.25]]), &b);
        assert_eq!(a, matrix(&[&[-0.25, -0.25, 2.0]]));
    }

    /// N samples of d features over C classes, whose gradient is the error through a matrix, and
    /// whose credit is the error through `feedback` of it.
    fn recorded(seed: u64, feedback: impl Fn(&Matrix) -> Matrix) -> LayerTrace {
        let (n, d, classes) = (40, 30, 4);
        let mut random = rng(seed);
        let mut draw = |rows: usize, cols: usize| {
            let values = (0..rows * cols).map(|_| random.random_range(-1.0..1.0)).collect();
            Matrix::new(rows, cols, values)
        };
        let (hidden, logits, through) = (draw(n, d), draw(n, classes), draw(d, classes));
        let labels: Vec<u32> = (0..n as u32).map(|i| i % classes as u32).collect();
        let e = error(&logits, &labels);
        let mut recorded = batch(vec![hidden]);
        recorded.gradient = Some(vec![direct_credit(&e, &through)]);
        recorded.credit = Some(vec![direct_credit(&e, &feedback(&through))]);
        (recorded.logits, recorded.labels) = (Some(logits), Some(labels));
        trace(vec![recorded])
    }

    #[test]
    fn the_gradients_own_matrix_lies_outside_the_band_and_a_stranger_inside() {
        let own = direct_null(&recorded(1, Matrix::clone), 7, 20).unwrap();
        let layer = &own.per_layer[0];
        assert!((layer.trained.0 - 1.0).abs() < 1e-12 && !layer.inside, "{layer:?}");
        assert_eq!(layer.p.map(|p| p.0), Some(1.0 / 21.0));

        // A matrix that has nothing to do with the gradient's is a twenty-first draw: p is uniform
        // on 1/21 … 1, and its mean over 60 such is within 4 standard errors of 11/21.
        let p_of = |seed: u64| {
            let stranger = |of: &Matrix| {
                let values =
                    StandardNormal.sample_iter(rng(900 + seed)).take(of.rows() * of.cols());
                Matrix::new(of.rows(), of.cols(), values.collect())
            };
            let null = direct_null(&recorded(seed, stranger), seed, 20).unwrap();
            null.per_layer[0].p.expect("it depends on the feedback").0
        };
        let mean = (0..60).map(p_of).sum::<f64>() / 60.0;
        let error = (1.0 / 12.0 / 60.0f64).sqrt();
        assert!((mean - 11.0 / 21.0).abs() < 4.0 * error, "{mean}");
    }

    #[test]
    fn without_an_output_error_there_is_no_direct_credit() {
        let mut bare = recorded(1, Matrix::clone);
        bare.batches[0].labels = None;
        assert_eq!(direct_null(&bare, 7, 20).unwrap_err(), Unmeasured::NoOutputError);
    }
}
