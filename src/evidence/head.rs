//! What leads from h_L to the logits, read from both: W n(h_L) + b with n nothing, LayerNorm or
//! RMSNorm, fitted by least squares.
//!
//! Behind a norm the gain is part of W and the shift part of b. LayerNorm's output has no part along
//! (1, …, 1), and neither has what its backward pass lets through: W is taken without it.

use super::least_squares::{Columns, dot, solve};
use super::resolution::Precision;
use crate::trace::Matrix;

/// The norm before the linear map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    None,
    /// (h − mean)/√(variance + ε)
    Layer(f64),
    /// h/√(mean square + ε)
    Rms(f64),
}

/// A fitted head.
pub struct Head {
    pub norm: Norm,
    /// W: a row of d for each class.
    weights: Columns,
    /// Features that vary over the samples: of the others W is not known.
    pub known: Vec<bool>,
    /// What the fit leaves of the logits' variation, as a share of their deviation.
    pub residual: f64,
    /// Variance that the logits' noise brings to what an error of length one pushes back.
    variance: f64,
    /// Share by which the rounding of the states draws W towards zero.
    bias: f64,
}

/// The logits are called a linear map of n(h_L) up to this residual: rounding leaves 1e-6 (f32) to
/// 1e-2 (bf16), a head of two layers a tenth and more.
pub const LINEAR: f64 = 0.02;

/// A candidate that leaves less is taken without looking at the others.
const CLEAN: f64 = 1e-5;

/// Samples beyond the number of unknowns, without which a fit proves nothing.
const MARGIN: usize = 10;

/// The ε of common norms: PyTorch's LayerNorm, flax's, and none to speak of (BERT's is 1e-12).
const EPSILONS: [f64; 3] = [1e-5, 1e-6, 1e-12];

/// The head between states and logits, one of each for a batch.
///
/// # Errors
/// Says why the arrays do not determine it.
pub fn fit(states: &[&Matrix], logits: &[&Matrix]) -> Result<Head, String> {
    let (samples, width) = (states.iter().map(|h| h.rows()).sum::<usize>(), states[0].cols());
    let known = varying(states);
    let unknowns = known.iter().filter(|known| **known).count() + 1;
    if samples < unknowns + MARGIN {
        return Err(format!(
            "{samples} samples do not determine a head of {unknowns} unknowns a class: record {} or \
             more",
            unknowns + MARGIN
        ));
    }
    let unit = Precision::of(states.iter().copied()).unit();
    let mut candidates = vec![Norm::None];
    if width > 2 {
        // ε shows only where the states are small.
        let small = states.iter().flat_map(|h| h.iter_rows()).any(|row| variance(row) < 1e-2);
        let epsilons = if small { &EPSILONS[..] } else { &EPSILONS[..1] };
        candidates.extend(epsilons.iter().map(|&epsilon| Norm::Layer(epsilon)));
        candidates.push(Norm::Rms(EPSILONS[1]));
    }
    let mut best: Option<Head> = None;
    for norm in candidates {
        let known = if norm == Norm::None { known.clone() } else { vec![true; width] };
        let Some(found) = fitted(norm, known, states, logits, unit) else { continue };
        let clean = found.residual <= CLEAN;
        if best.as_ref().is_none_or(|best| found.residual < best.residual) {
            best = Some(found);
        }
        if clean {
            break;
        }
    }
    best.ok_or_else(|| "the logits or the states at h_L do not vary".into())
}

/// The fit behind one norm; `None` where nothing varies, or too few samples are left.
fn fitted(
    norm: Norm,
    known: Vec<bool>,
    states: &[&Matrix],
    logits: &[&Matrix],
    unit: f64,
) -> Option<Head> {
    let samples: usize = states.iter().map(|h| h.rows()).sum();
    let width = known.len();
    let chosen: Vec<usize> = (0..width).filter(|&j| known[j]).collect();
    let mut x = vec![Vec::with_capacity(samples + 1); chosen.len()];
    let mut rounding = 0.0;
    for row in states.iter().flat_map(|h| h.iter_rows()) {
        let (normed, scale) = norm.apply(row);
        rounding += dot(row, row) / (scale * scale);
        for (column, &j) in x.iter_mut().zip(&chosen) {
            column.push(normed[j]);
        }
    }
    let classes = logits[0].cols();
    let mut y: Columns = (0..classes)
        .map(|c| logits.iter().flat_map(|z| z.iter_rows()).map(|row| row[c]).collect())
        .collect();
    x.iter_mut().chain(&mut y).for_each(|column| centre(column));
    let largest = x.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
    let total: f64 = y.iter().map(|column| dot(column, column)).sum();
    let unknowns = 1 + chosen.len() - usize::from(matches!(norm, Norm::Layer(_)));
    let freedom = samples.checked_sub(unknowns).filter(|&left| left >= MARGIN)? as f64;
    if largest == 0.0 || total == 0.0 || !largest.is_finite() || !total.is_finite() {
        return None;
    }
    x.iter_mut().flatten().for_each(|v| *v /= largest);
    if matches!(norm, Norm::Layer(_)) {
        // A row more: W·1 = 0.
        let squares: f64 = x.iter().map(|column| dot(column, column)).sum();
        let length = (squares / x.len() as f64).sqrt();
        x.iter_mut().for_each(|column| column.push(length));
        y.iter_mut().for_each(|column| column.push(0.0));
    }
    let found = solve(x, y);
    let left: f64 = found.residuals.iter().sum::<f64>() / freedom;
    let weights = found.coefficients.into_iter().map(|row| {
        let mut whole = vec![0.0; width];
        for (&j, value) in chosen.iter().zip(row) {
            whole[j] = value / largest;
        }
        whole
    });
    // Rounding is uniform: a third of its square.
    let noise = unit * unit * rounding / (3.0 * width as f64 * largest * largest);
    Some(Head {
        norm,
        weights: weights.collect(),
        known,
        residual: (left / (total / (samples - 1) as f64)).sqrt(),
        variance: left / classes as f64 * found.spread / (largest * largest),
        bias: noise * found.spread,
    })
}

impl Head {
    /// W_c.
    pub fn weight(&self, class: usize) -> &[f64] {
        &self.weights[class]
    }

    /// Wᵀe
    pub fn pulled(&self, error: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.known.len()];
        for (row, e) in self.weights.iter().zip(error) {
            for (sum, w) in sum.iter_mut().zip(row) {
                *sum += e * w;
            }
        }
        sum
    }

    /// What reaches h where `v` reaches the norm's output.
    pub fn through(&self, h: &[f64], mut v: Vec<f64>) -> Vec<f64> {
        let width = v.len() as f64;
        let (normed, scale) = match self.norm {
            Norm::None => return v,
            norm => norm.apply(h),
        };
        let along = dot(&normed, &v) / width;
        let mean = match self.norm {
            Norm::Layer(_) => v.iter().sum::<f64>() / width,
            _ => 0.0,
        };
        for (v, n) in v.iter_mut().zip(&normed) {
            *v = (*v - mean - n * along) / scale;
        }
        v
    }

    /// What an output error brings to h.
    pub fn back(&self, h: &[f64], error: &[f64]) -> Vec<f64> {
        self.through(h, self.pulled(error))
    }

    /// The relative error expected of what `errors` push back to `states`.
    pub fn uncertainty(&self, states: &[&Matrix], errors: &[Matrix]) -> f64 {
        let (mut brought, mut pushed) = (0.0, 0.0);
        for (h, e) in states.iter().zip(errors) {
            for (h, e) in h.iter_rows().zip(e.iter_rows()) {
                let scale = self.norm.apply(h).1;
                let back = self.back(h, e);
                brought += dot(e, e);
                pushed += dot(&back, &back) * scale * scale;
            }
        }
        (self.variance * brought / pushed).sqrt() + self.bias
    }

    /// `linear head`, `LayerNorm and linear head`.
    pub fn words(&self) -> &'static str {
        match self.norm {
            Norm::None => "linear head",
            Norm::Layer(_) => "LayerNorm and linear head",
            Norm::Rms(_) => "RMSNorm and linear head",
        }
    }
}

impl Norm {
    /// n(h), and what h was divided by.
    pub fn apply(self, h: &[f64]) -> (Vec<f64>, f64) {
        let width = h.len() as f64;
        let (centre, scale) = match self {
            Self::None => (0.0, 1.0),
            Self::Layer(epsilon) => (h.iter().sum::<f64>() / width, (variance(h) + epsilon).sqrt()),
            Self::Rms(epsilon) => (0.0, (dot(h, h) / width + epsilon).sqrt()),
        };
        (h.iter().map(|v| (v - centre) / scale).collect(), scale)
    }
}

fn variance(row: &[f64]) -> f64 {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64
}

fn centre(column: &mut [f64]) {
    let mean = column.iter().sum::<f64>() / column.len() as f64;
    column.iter_mut().for_each(|v| *v -= mean);
}

/// Which features have two values.
fn varying(states: &[&Matrix]) -> Vec<bool> {
    let rows = || states.iter().flat_map(|h| h.iter_rows());
    let Some(first) = rows().next() else { return Vec::new() };
    (0..first.len()).map(|j| rows().any(|row| row[j] != first[j])).collect()
}
