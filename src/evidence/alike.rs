//! Is the credit of one layer of another size than feedback matrices drawn alike make it?
//!
//! A cosine does not see the size of a credit, and where a rule is not given the gradient no array says
//! what its size should be. But matrices with independent entries of one variance leave traces of it:
//!
//! ```text
//! direct      a_l = e B_lᵀ        ‖a_l‖/√d is one number for all layers
//! blockwise   a_l = B_l a_{l+1}   ‖a_l‖/‖a_{l+1}‖ is one number for all layers below the last block
//! ```
//!
//! norms over all samples, up to a relative deviation of 1/√(2 d k), k the directions in which e or
//! a_{l+1} lies, counted as (Σλ)²/Σλ² over the eigenvalues of its second moments. So one layer's factor
//! is told, and only where it exceeds chance. It is a remark: a matrix may have been drawn larger on
//! purpose. Under gates, layer-wise feedback, or matrices that learn, nothing of the kind is known.

use super::given::{is_blockwise, is_direct};
use super::least_squares::{dot, solve};
use super::premise::columns;
use super::{Recording, resolution::Precision};
use crate::stats::median;
use crate::trace::Matrix;
use crate::words::{percent, short};

/// Deviations by which matrices that were drawn alike do not differ.
const APART: f64 = 4.5;

/// Nor is it worth a word under this factor.
const LEAST: f64 = 1.1;

/// A logarithm of a size, and its standard deviation.
#[derive(Clone, Copy)]
struct Size {
    log: f64,
    deviation: f64,
}

/// The layer whose credit, or feedback, has a size of its own. `fixed` says that each credit is a fixed
/// matrix of the output error.
pub(super) fn uneven(recording: &Recording, fixed: bool) -> Option<String> {
    let method = &recording.said.method;
    let credit = recording.credit()?;
    if is_direct(method) && fixed {
        return direct(&credit, recording.errors.as_ref()?, recording.blocks());
    }
    if is_blockwise(method) {
        return blockwise(&credit, recording.blocks());
    }
    None
}

fn direct(credit: &[&[Matrix]], errors: &[Matrix], blocks: usize) -> Option<String> {
    let of_errors = directions(&columns(errors, |_| 1.0));
    let sizes: Vec<Size> = (0..=blocks)
        .map(|l| {
            let a = at(credit, l);
            let d = a.len() as f64;
            let log = (square(&a) / d).ln() / 2.0;
            Size { log, deviation: 1.0 / (2.0 * d * of_errors).sqrt() }
        })
        .collect();
    let (l, found) = alone(&sizes)?;
    Some(format!(
        "The feedback matrix at h_{l} is {} times as large as that of the median layer, where matrices that \
         were drawn alike differ by {}. The cosines do not see it.",
        short(found.log.exp()),
        percent(found.deviation)
    ))
}

fn blockwise(credit: &[&[Matrix]], blocks: usize) -> Option<String> {
    let widths: Vec<usize> = credit.first()?.iter().map(Matrix::cols).collect();
    let even = widths.windows(2).all(|pair| pair[0] == pair[1]);
    if blocks < 3 || !even {
        return None;
    }
    // B_0 … B_{L−2}.
    let mut steps = Vec::new();
    for l in 0..blocks - 1 {
        let (below, above) = (at(credit, l), at(credit, l + 1));
        let limit = 100.0 * Precision::of(credit.iter().map(|layers| &layers[l])).unit();
        if !is_mapped(&below, &above, limit) {
            return None;
        }
        let log = (square(&below) / square(&above)).ln() / 2.0;
        let deviation = 1.0 / (2.0 * widths[l] as f64 * directions(&above)).sqrt();
        steps.push(Size { log, deviation });
    }
    // A credit that was scaled is too small against the one above it, and the one below too large.
    let bent = (1..steps.len()).map(|l| {
        let log = (steps[l].log - steps[l - 1].log) / 2.0;
        (l, Size { log, deviation: steps[l].deviation.hypot(steps[l - 1].deviation) / 2.0 })
    });
    let bent =
        bent.filter(|(_, size)| is_apart(*size)).max_by(|a, b| far(a.1).total_cmp(&far(b.1)));
    let own = alone(&steps);
    let chance = |size: Size| percent(size.deviation);
    match (bent, own) {
        (Some((l, bent)), own) if own.is_none_or(|(_, own)| far(bent) >= far(own)) => {
            Some(format!(
                "The credit at h_{l} is {} times as large as those beside it make it, where feedback matrices that \
             were drawn alike leave {}. The cosines do not see it.",
                short(bent.log.exp()),
                chance(bent)
            ))
        }
        (_, Some((l, own))) => Some(format!(
            "From h_{} to h_{l} the credit grows {} times as much as from layer to layer elsewhere, where feedback \
             matrices that were drawn alike differ by {}. The cosines do not see it.",
            l + 1,
            short(own.log.exp()),
            chance(own)
        )),
        _ => None,
    }
}

/// The one that is farthest from the median of the others.
fn alone(sizes: &[Size]) -> Option<(usize, Size)> {
    if sizes.len() < 3 {
        return None;
    }
    let against = |l: usize| {
        let others: Vec<f64> = (0..sizes.len()).filter(|&m| m != l).map(|m| sizes[m].log).collect();
        // The median of m has a deviation of at most 1.25/√m of one.
        let of_median = 1.25 / (others.len() as f64).sqrt();
        let deviation = sizes[l].deviation * of_median.hypot(1.0);
        (l, Size { log: sizes[l].log - median(&others), deviation })
    };
    let found = (0..sizes.len()).map(against).filter(|(_, size)| is_apart(*size));
    found.max_by(|a, b| far(a.1).total_cmp(&far(b.1)))
}

fn far(size: Size) -> f64 {
    size.log.abs() / size.deviation
}

fn is_apart(size: Size) -> bool {
    far(size) > APART && size.log.abs() > LEAST.ln()
}

/// a_l of all samples, by column.
fn at(credit: &[&[Matrix]], l: usize) -> Vec<Vec<f64>> {
    columns(credit.iter().map(|layers| &layers[l]), |_| 1.0)
}

fn square(columns: &[Vec<f64>]) -> f64 {
    columns.iter().map(|column| dot(column, column)).sum()
}

/// (Σλ)²/Σλ² of the second moments XᵀX.
fn directions(x: &[Vec<f64>]) -> f64 {
    let squares = x.iter().flat_map(|a| x.iter().map(move |b| dot(a, b).powi(2)));
    square(x).powi(2) / squares.sum::<f64>()
}

/// Whether `below` is one matrix times `above`, on as many samples as tell.
fn is_mapped(below: &[Vec<f64>], above: &[Vec<f64>], limit: f64) -> bool {
    let (rows, unknowns) = (above.first().map_or(0, Vec::len), above.len());
    if rows < 2 * unknowns {
        return false;
    }
    let some = |of: &[Vec<f64>]| of.iter().map(|column| column[..2 * unknowns].to_vec()).collect();
    let target: Vec<Vec<f64>> = some(below);
    let total = square(&target);
    let left: f64 = solve(some(above), target).residuals.iter().sum();
    total > 0.0 && (left / total).sqrt() <= limit
}
