//! Mean, sample standard deviation, median. Nothing here skips a NaN: a statistic of values one
//! of which is NaN is NaN, so that a run that exploded cannot hide behind its neighbours.

use crate::number;
use std::fmt;

/// Arithmetic mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation (denominator n − 1); `None` for fewer than two values.
pub fn sample_std(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Median, the mean of the two middle values for an even count; NaN of nothing, and NaN as soon
/// as one value is. (`torch.median` returns the lower of the two.)
pub fn median(values: &[f64]) -> f64 {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    if low == high {
        low // also where both are the same infinity
    } else {
        low + (high - low) / 2.0
    }
}

/// Mean and sample standard deviation of n values, such as one for each seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub mean: f64,
    /// `None` for n < 2.
    pub std: Option<f64>,
    pub n: usize,
}

impl Summary {
    pub fn of(values: &[f64]) -> Self {
        Self { mean: mean(values), std: sample_std(values), n: values.len() }
    }
}

/// `0.301 ± 0.006 (n=3)`: as many decimals as the deviation's first digit needs, or those asked
/// for (`{:.2}`). Very small and very large means share one exponent: `(4.2 ± 0.3)e-9`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { mean, std, n } = *self;
        let scientific = mean.is_finite() && mean != 0.0 && !(1e-3..1e4).contains(&mean.abs());
        let exponent = if scientific { first_digit(mean) } else { 0 };
        let unit = 10f64.powi(exponent);
        let (mean, std) = (mean / unit, std.filter(|s| s.is_finite()).map(|s| s / unit));
        let decimals = f.precision().unwrap_or(match std {
            Some(s) if s > 0.0 => (-first_digit(s)).clamp(0, 6) as usize,
            _ => 3,
        });
        let values = match std {
            _ if !mean.is_finite() => return write!(f, "{} (n={n})", number::text(mean)),
            Some(s) => format!("{mean:.decimals$} ± {s:.decimals$}"),
            None => format!("{mean:.decimals$}"),
        };
        match (scientific, std.is_some()) {
            (true, true) => write!(f, "({values})e{exponent} (n={n})"),
            (true, false) => write!(f, "{values}e{exponent} (n={n})"),
            (false, _) => write!(f, "{values} (n={n})"),
        }
    }
}

/// The decimal exponent of a finite value's first digit: 0 for 5, −2 for 0.05.
fn first_digit(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_seeds_give_the_published_spread() {
        // protocol.md §6.3, DFA without penalty: .3070 .2985 .2966 is .301 ± .006 (n − 1).
        let summary = Summary::of(&[0.3070, 0.2985, 0.2966]);
        assert_eq!(summary.to_string(), "0.301 ± 0.006 (n=3)");
        assert!((summary.std.unwrap() - 0.005538).abs() < 1e-6);
    }

    #[test]
    fn one_value_has_no_deviation_and_none_has_no_mean() {
        assert_eq!(sample_std(&[2.0]), None);
        assert_eq!(Summary::of(&[0.25]).to_string(), "0.250 (n=1)");
        assert!(mean(&[]).is_nan());
        assert!(median(&[]).is_nan());
        assert_eq!(Summary::of(&[]).to_string(), "nan (n=0)");
    }

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        assert_eq!(median(&[9.0, 1.0, 4.0]), 4.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
        assert_eq!(median(&[f64::INFINITY, f64::INFINITY]), f64::INFINITY);
        assert_eq!(median(&[1.0, 2.0, f64::INFINITY]), 2.0);
    }

    #[test]
    fn a_single_nan_is_never_lost() {
        assert!(median(&[1.0, f64::NAN, 2.0]).is_nan());
        assert!(mean(&[1.0, f64::NAN]).is_nan());
        assert!(sample_std(&[1.0, f64::NAN]).unwrap().is_nan());
    }

    #[test]
    fn tiny_huge_and_infinite_values_stay_readable() {
        assert_eq!(Summary::of(&[4.0e-9, 4.4e-9]).to_string(), "(4.2 ± 0.3)e-9 (n=2)");
        assert_eq!(Summary::of(&[5.7e-9]).to_string(), "5.700e-9 (n=1)");
        assert_eq!(Summary::of(&[f64::INFINITY, 1.0]).to_string(), "inf (n=2)");
        assert_eq!(format!("{:.1}", Summary::of(&[1.0, 2.0])), "1.5 ± 0.7 (n=2)");
    }
}
