//! Is the credit a fixed matrix of the output error, as the null calibration of direct feedback
//! alignment assumes?
//!
//! ```text
//! a_l = e B_lᵀ over all samples:  ‖a_l − e M‖ / ‖a_l‖ near rounding for the best M
//! ```
//!
//! Fresh matrices say what a stranger's feedback would show only where there was a matrix. A credit
//! gated by f′, made of another error (squared, the target alone) or scaled sample by sample has none,
//! and there is no null then. Where some batches have one matrix and others none, rows or labels were
//! exchanged; where each batch has its own, the feedback was.

use super::given::is_direct;
use super::least_squares::{Columns, solve};
use super::resolution::Precision;
use super::scale::{batches, by_entry};
use super::{Checked, Part, Recording};
use crate::diagnostics::norm;
use crate::trace::Matrix;
use crate::words::{percent_fine, short};

pub const CHECK: &str = "premise of the null";

/// A fixed matrix leaves less. f32 arrays leave about 1e-6, a gate or another error a hundredth and
/// more.
const ROUNDING: f64 = 1e-4;

/// A batch that fits alone leaves less than all together by more than this factor.
const ALONE: f64 = 4.0;

/// With fewer samples a column the share that chance explains says nothing.
const FEW: f64 = 0.05;

/// Norms of a credit that was scaled before it was recorded differ by less.
const ONE_LENGTH: f64 = 1e-3;

/// Regresses the credit of each layer on the output error.
pub(super) fn premise(recording: &Recording) -> Checked {
    let method = &recording.said.method;
    if !is_direct(method) {
        let why = "Only under dfa is the credit a fixed matrix of the output error.";
        return Checked::not_checkable(CHECK, why);
    }
    let (Some(credit), Some(errors)) = (recording.credit(), recording.errors.as_ref()) else {
        return Checked::not_checkable(CHECK, "Credit, logits or labels were not recorded.");
    };
    let classes = errors[0].cols();
    if recording.samples() < 2 * classes {
        let samples = recording.samples();
        let why = format!("{samples} samples of {classes} classes fit any matrix.");
        return Checked::not_checkable(CHECK, why);
    }
    let mut worst = 0.0_f64;
    for l in 0..=recording.blocks() {
        let credit: Vec<&Matrix> = credit.iter().map(|layers| &layers[l]).collect();
        let Some(left) = residual(&credit, errors) else { continue };
        if left > tolerance(recording, &credit, errors) {
            return without(recording, l, &credit, errors, left);
        }
        worst = worst.max(left);
    }
    Checked::holds(
        CHECK,
        format!(
            "The credit of every layer is a fixed matrix of the output error (residual at most {}).",
            short(worst)
        ),
    )
}

/// The relative residual of the best fixed matrix, whether or not the error is divided by the batch's
/// size; `None` where the credit is zero.
pub fn residual(credit: &[&Matrix], errors: &[Matrix]) -> Option<f64> {
    let whole = relative(credit, errors, |_| 1.0)?;
    let uneven = credit.iter().any(|a| a.rows() != credit[0].rows());
    let divided = match uneven {
        true => relative(credit, errors, |rows| 1.0 / rows as f64)?,
        false => whole,
    };
    Some(whole.min(divided))
}

/// ‖a − s X M‖/‖a‖ of the best M, s a factor by the batch's size.
fn relative(credit: &[&Matrix], of: &[Matrix], factor: impl Fn(usize) -> f64) -> Option<f64> {
    let a = columns(credit.iter().copied(), |_| 1.0);
    let total: f64 = a.iter().flatten().map(|v| v * v).sum();
    let x = columns(of, factor);
    let left: f64 = solve(x, a).residuals.iter().sum();
    (total > 0.0).then(|| (left / total).sqrt())
}

/// The columns of matrices one under the other, each times a factor.
pub(super) fn columns<'a>(
    matrices: impl IntoIterator<Item = &'a Matrix>,
    factor: impl Fn(usize) -> f64,
) -> Columns {
    let mut columns: Columns = Vec::new();
    for matrix in matrices {
        columns.resize(matrix.cols(), Vec::new());
        let factor = factor(matrix.rows());
        for row in matrix.iter_rows() {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(factor * value);
            }
        }
    }
    columns
}

/// What rounding alone may leave.
fn tolerance(recording: &Recording, credit: &[&Matrix], errors: &[Matrix]) -> f64 {
    let logits = || recording.batches.iter().filter_map(|b| b.logits.as_ref());
    let largest = logits().flat_map(|z| z.iter_rows()).flatten();
    let largest = largest.fold(0.0, |m: f64, v| m.max(v.abs()));
    let unit = Precision::of(credit.iter().copied()).unit();
    let entries: usize = errors.iter().map(|e| e.rows() * e.cols()).sum();
    let size: f64 = errors.iter().flat_map(|e| e.iter_rows()).flatten().map(|v| v * v).sum();
    // A probability is known to the rounding of f32, and an exponential to that of its argument.
    let of_error = Precision::Full.unit() * (entries as f64 / size).sqrt();
    let of_logits = Precision::of(logits()).unit() * largest;
    ROUNDING.max(10.0 * (unit + of_error + of_logits))
}

/// Why there is no fixed matrix of the error at layer `l`.
fn without(
    recording: &Recording,
    l: usize,
    credit: &[&Matrix],
    errors: &[Matrix],
    left: f64,
) -> Checked {
    // Where arrays are coarse, a batch alone seems to fit by its few samples: one that has a matrix fits
    // far better alone than all do together.
    let limit = tolerance(recording, credit, errors).min(left / ALONE);
    let none = |why: &str| {
        Checked::not_checkable(
            CHECK,
            format!(
                "The credit at h_{l} is no fixed matrix of the output error (residual {}): {why}.",
                short(left)
            ),
        )
    };
    if let Some(error) = another_error(recording, credit, limit) {
        return none(&format!("it is one of {error}"));
    }
    if of_one_length(credit) {
        return none("it has one length for every sample, and so was recorded after its scaling");
    }
    let classes = errors[0].cols();
    if let Some(odd) = odd_batches(credit, errors, limit) {
        let odd = batches(&odd);
        return Checked::contradicted(
            CHECK,
            &[Part::Null, Part::Cosine],
            format!(
                "The credit at h_{l} is a fixed matrix of the output error, but in {odd} it is not: the \
                 rows of the credit, the logits or the labels belong to other samples there."
            ),
        );
    }
    if credit.len() > 1 && fitted_alone(credit, errors, limit).is_some_and(|f| f.iter().all(|f| *f))
    {
        return Checked::contradicted(
            CHECK,
            &[Part::Null, Part::Cosine],
            format!(
                "The credit at h_{l} is a fixed matrix of the output error in each batch and another in \
                 the next (residual over all {}): the feedback was drawn anew between batches.",
                short(left)
            ),
        );
    }
    if credit[0].cols() > classes && directions(credit, classes, limit) < classes {
        return none(
            "it spans no more directions than a fixed matrix of an output error does, so that the error \
             is another, or labels or rows belong to other samples",
        );
    }
    if let Some((share, chance)) = unrelated(credit, errors, left) {
        return Checked::contradicted(
            CHECK,
            &[Part::Null, Part::Cosine],
            format!(
                "The credit at h_{l} is no fixed matrix of the output error, and unrelated to it: the error explains {} \
                 of it, where chance alone explains {}. It is random, its feedback was drawn anew for every batch, \
                 or its rows belong to other samples.",
                percent_fine(share),
                percent_fine(chance)
            ),
        );
    }
    none("it is gated by the activations, of another error, or scaled sample by sample")
}

/// The share of the credit that the error explains, and the one that r independent columns explain of
/// noise over N samples, r/N, where both are alike. Noise as long as its sample's error is explained up
/// to twice as well: those samples weigh more on both sides.
fn unrelated(credit: &[&Matrix], errors: &[Matrix], left: f64) -> Option<(f64, f64)> {
    let samples: usize = credit.iter().map(|a| a.rows()).sum();
    let independent = solve(columns(errors, |_| 1.0), Vec::new()).rank;
    let chance = independent as f64 / samples as f64;
    let share = 1.0 - left * left;
    (chance <= FEW && share <= 4.0 * chance).then_some((share, chance))
}

/// Whether each batch's credit is a fixed matrix of its own error; `None` where a batch is too small to
/// tell.
fn fitted_alone(credit: &[&Matrix], errors: &[Matrix], limit: f64) -> Option<Vec<bool>> {
    let enough = credit.iter().all(|a| a.rows() >= 2 * errors[0].cols());
    let alone = |(a, e): (&&Matrix, &Matrix)| {
        relative(&[a], std::slice::from_ref(e), |_| 1.0).is_none_or(|left| left <= limit)
    };
    enough.then(|| credit.iter().zip(errors).map(alone).collect())
}

/// The batches without which the others have one fixed matrix.
fn odd_batches(credit: &[&Matrix], errors: &[Matrix], limit: f64) -> Option<Vec<usize>> {
    let without = |odd: &[usize]| {
        let kept = || (0..credit.len()).filter(|k| !odd.contains(k));
        let a: Vec<&Matrix> = kept().map(|k| credit[k]).collect();
        let e: Vec<Matrix> = kept().map(|k| errors[k].clone()).collect();
        let samples: usize = a.iter().map(|a| a.rows()).sum();
        samples >= 2 * errors[0].cols() && residual(&a, &e).is_some_and(|left| left <= limit)
    };
    if let Some(alone) = fitted_alone(credit, errors, limit) {
        let odd: Vec<usize> = (0..alone.len()).filter(|&k| !alone[k]).collect();
        return (!odd.is_empty() && odd.len() < alone.len() && without(&odd)).then_some(odd);
    }
    (credit.len() > 2).then(|| (0..credit.len()).map(|k| vec![k]).find(|odd| without(odd)))?
}

/// The error of which the credit is a fixed matrix, among those in use.
fn another_error(recording: &Recording, credit: &[&Matrix], limit: f64) -> Option<&'static str> {
    let outputs = recording.outputs()?;
    let fits = |error: &dyn Fn(f64, f64) -> f64| {
        let errors: Vec<Matrix> =
            outputs.iter().map(|(z, labels)| by_entry(z, labels, error)).collect();
        residual(credit, &errors).is_some_and(|left| left <= limit)
    };
    if fits(&|_, y| y) {
        return Some("the target alone");
    }
    if fits(&|z, y| z - y) {
        return Some("the squared error's, logits minus target");
    }
    if fits(&|z, y| 1.0 / (1.0 + (-z).exp()) - y) {
        return Some("the binary cross-entropy's");
    }
    let signs: Vec<Matrix> = recording
        .errors
        .iter()
        .flatten()
        .map(|e| {
            let values = e.iter_rows().flatten().map(|v| v.signum()).collect();
            Matrix::new(e.rows(), e.cols(), values)
        })
        .collect();
    residual(credit, &signs).is_some_and(|left| left <= limit).then_some("the error's signs")
}

/// Whether all samples have one norm.
fn of_one_length(credit: &[&Matrix]) -> bool {
    let lengths: Vec<f64> = credit.iter().flat_map(|a| a.iter_rows()).map(norm).collect();
    let (low, high) = crate::stats::extremes(&lengths);
    lengths.len() > 1 && low > 0.0 && high / low - 1.0 <= ONE_LENGTH
}

/// Directions that the credit spans, counted up to `most`.
fn directions(credit: &[&Matrix], most: usize, limit: f64) -> usize {
    let mut left = columns(credit.iter().copied(), |_| 1.0);
    let square = |column: &Vec<f64>| column.iter().map(|v| v * v).sum::<f64>();
    let total: f64 = left.iter().map(square).sum();
    for count in 0..most {
        let remains: f64 = left.iter().map(square).sum();
        if remains <= limit * limit * total {
            return count;
        }
        // The longest column is taken out of the others.
        let sizes: Vec<f64> = left.iter().map(square).collect();
        let longest = (0..sizes.len()).max_by(|&i, &j| sizes[i].total_cmp(&sizes[j]));
        let Some(longest) = longest else { return count };
        let direction = left.swap_remove(longest);
        let size = square(&direction);
        for column in &mut left {
            let along = super::least_squares::dot(column, &direction) / size;
            column.iter_mut().zip(&direction).for_each(|(v, d)| *v -= along * d);
        }
    }
    most
}
