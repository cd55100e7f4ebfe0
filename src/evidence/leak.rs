//! Is the credit the reference itself where the rule is not given it?
//!
//! A credit that equals the exact gradient to rounding, sample by sample, is no finding: somewhere one
//! was recorded in the other's place. Hooks that replace the backward pass, left on while the reference
//! is taken, do just that (cosine 1 at every layer below the last).

use super::given::{Given, given};
use super::resolution::Precision;
use super::scale::batches;
use super::{Checked, Part, Recording};
use crate::diagnostics::{cosine_over, norm};
use crate::trace::Matrix;
use crate::words::list;

pub const CHECK: &str = "reference or credit";

const VOIDS: [Part; 2] = [Part::Reference, Part::Cosine];

/// Equal to rounding: 1 − cosine of f32 arrays is about 1e-12 then, and a credit that another
/// computation approaches (EP, learned feedback) stays above 1e-6.
const EQUAL: f64 = 1e-6;

/// Under this mean cosine backpropagation's credit is not the gradient.
const PARALLEL: f64 = 0.99;

/// With fewer features equal directions are chance.
const FEATURES: usize = 3;

/// The share of a batch's samples that must be equal.
const NEARLY_ALL: f64 = 0.99;

/// Holds credit against reference, sample by sample.
pub(super) fn leak(recording: &Recording) -> Checked {
    let (Some(gradient), Some(credit)) = (recording.gradient(), recording.credit()) else {
        return Checked::not_checkable(CHECK, "Credit or reference gradient was not recorded.");
    };
    let (method, blocks) = (&recording.said.method, recording.blocks());
    let is = |l: usize, what: Given| given(method, l, blocks) == what;
    let (mut leaked, mut unknown, mut other, mut compared) =
        (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut where_leaked = Vec::new();
    for l in 0..=blocks {
        let at: Vec<(&Matrix, &Matrix)> =
            credit.iter().zip(&gradient).map(|(a, g)| (&a[l], &g[l])).collect();
        if at[0].0.cols() < FEATURES {
            continue;
        }
        compared += 1;
        if is(l, Given::Exact) {
            other.extend(below(&at).map(|cosine| (l, cosine)));
            continue;
        }
        let equal: Vec<usize> = (0..at.len()).filter(|&k| equal(at[k])).collect();
        if equal.is_empty() || is(l, Given::Allowed) {
            continue;
        }
        if is(l, Given::Unknown) {
            unknown.push(l);
        } else {
            leaked.push(l);
            where_leaked = equal;
        }
    }
    if !leaked.is_empty() {
        let whole = where_leaked.len() == recording.batches.len();
        let within = match whole {
            true => String::new(),
            false => format!(" in {}", batches(&where_leaked)),
        };
        return Checked::contradicted(
            CHECK,
            &VOIDS,
            format!(
                "The credit is the reference gradient itself, to rounding and sample by sample, at {}{within}, \
                 where {method} is not given it: {}.",
                layers(&leaked),
                likely(recording, leaked[0])
            ),
        );
    }
    if let Some((l, cosine)) = other.first() {
        return Checked::contradicted(
            CHECK,
            &VOIDS,
            format!(
                "The credit of backpropagation is the gradient, and the recorded one is not at h_{l} \
                 (mean cosine {cosine:+.3}): one of both is another signal."
            ),
        );
    }
    if !unknown.is_empty() {
        return Checked::not_checkable(
            CHECK,
            format!(
                "The credit is the reference gradient itself at {}, and what `{}` is given is not known \
                 here.",
                layers(&unknown),
                crate::trace::shown(method)
            ),
        );
    }
    if compared == 0 {
        let why = format!("With fewer than {FEATURES} features equal directions are chance.");
        return Checked::not_checkable(CHECK, why);
    }
    Checked::holds(
        CHECK,
        match is(0, Given::Exact) {
            true => {
                "The credit is the reference gradient, as backpropagation's must be.".to_owned()
            }
            false => format!("No credit is the reference gradient where {method} is not given it."),
        },
    )
}

/// Which of both was recorded in the other's place.
fn likely(recording: &Recording, l: usize) -> &'static str {
    let credit = recording.credit().map(|a| a.iter().map(|a| &a[l]).collect::<Vec<_>>());
    let fixed = credit.zip(recording.errors.as_ref()).is_some_and(|(credit, errors)| {
        super::premise::residual(&credit, errors).is_some_and(|left| left < 1e-3)
    });
    match fixed {
        true => {
            "both are a fixed matrix of the output error, so that the credit was recorded as the \
             reference (were the rule's hooks left on in the backward pass?)"
        }
        false => "the reference was recorded as the credit, or the rule's hooks were never on",
    }
}

/// Whether nearly all samples of a batch have the same direction in both.
fn equal((a, g): (&Matrix, &Matrix)) -> bool {
    let precision = Precision::of([a, g]).unit();
    let tolerance = EQUAL.max(4.0 * precision * precision);
    let cosines = cosines(a, g);
    let same = cosines.iter().filter(|cosine| 1.0 - **cosine <= tolerance).count();
    cosines.len() > 1 && same as f64 >= NEARLY_ALL * cosines.len() as f64
}

/// The mean cosine, where it is too low for the same signal.
fn below(at: &[(&Matrix, &Matrix)]) -> Option<f64> {
    let all: Vec<f64> = at.iter().flat_map(|(a, g)| cosines(a, g)).collect();
    let mean = crate::stats::mean(&all);
    (mean < PARALLEL).then_some(mean)
}

/// Of the samples whose vectors have a direction.
pub(super) fn cosines(a: &Matrix, g: &Matrix) -> Vec<f64> {
    a.iter_rows()
        .zip(g.iter_rows())
        .filter_map(|(a, g)| {
            let lengths = [norm(a), norm(g)];
            let directed = lengths.iter().all(|&length| length > 0.0);
            directed.then(|| cosine_over(a, g, lengths))
        })
        .collect()
}

/// `h_0`, `h_0 and h_1`
pub(super) fn layers(numbers: &[usize]) -> String {
    list(&numbers.iter().map(|l| format!("h_{l}")).collect::<Vec<_>>())
}
