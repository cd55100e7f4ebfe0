//! Mean, sample standard deviation, its interval, median, extremes, correlations. Nothing
//! here skips a NaN: a statistic of values one of which is NaN is NaN, so that a run that exploded
//! cannot hide behind its neighbours.

use crate::number::{self, Number};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};
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

/// The smallest and the largest value; NaN of nothing, and NaN as soon as one value is (`f64::min`
/// and `f64::max` would pass over it).
pub fn extremes(values: &[f64]) -> (f64, f64) {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return (f64::NAN, f64::NAN);
    }
    let widen = |(low, high): (f64, f64), &v: &f64| (low.min(v), high.max(v));
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), widen)
}

/// Pearson's correlation of the pairs (x_k, y_k); NaN where either side does not vary, and of lists
/// of different length.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    // The mean of equal values is off by a rounding error, which would correlate.
    let constant = |values: &[f64]| values.windows(2).all(|pair| pair[0] == pair[1]);
    if x.len() != y.len() || constant(x) || constant(y) {
        return f64::NAN;
    }
    let (centre_x, centre_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - centre_x, b - centre_y);
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    xy / (xx.sqrt() * yy.sqrt())
}

/// Kendall's τ-b of the pairs (x_k, y_k) (Kendall 1945): (C − D) / √((P − T_x)(P − T_y)) over the P pairs
/// of pairs, of which C are in the same order by x and y, D in opposite ones, and T_x, T_y equal by
/// either. 1 in the same order, −1 in the opposite one; without ties it is (C − D) / P. NaN where either
/// side does not vary or holds a NaN, and of lists of different length.
pub fn kendall(x: &[f64], y: &[f64]) -> f64 {
    if x.len() != y.len() || x.iter().chain(y).any(|v| v.is_nan()) {
        return f64::NAN;
    }
    // 1, 0 or −1; a difference of equal infinities would be NaN.
    let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
    let (mut agree, mut by_x, mut by_y) = (0.0, 0.0, 0.0);
    for j in 0..x.len() {
        for k in 0..j {
            let (a, b) = (sign(x[j], x[k]), sign(y[j], y[k]));
            agree += a * b;
            by_x += a * a;
            by_y += b * b;
        }
    }
    agree / (by_x * by_y).sqrt()
}

/// An interval in the unit of the values; `[low, high]` in artefacts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "[Number; 2]")]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    fn around(centre: f64, half: f64) -> Self {
        Self { low: centre - half, high: centre + half }
    }
}

impl From<Interval> for [Number; 2] {
    fn from(interval: Interval) -> Self {
        [Number(interval.low), Number(interval.high)]
    }
}

/// Two-sided 95 % interval of the mean of independent, about normal values (Student 1908):
/// mean ± t(.975, n − 1) · s/√n. `None` for fewer than two values. Few seeds make it wide: for three,
/// t is 4.3.
pub fn interval_95(values: &[f64]) -> Option<Interval> {
    let n = values.len() as f64;
    let half = t_quantile(0.975, n - 1.0) * sample_std(values)? / n.sqrt();
    Some(Interval::around(mean(values), half))
}

/// Two-sided interval for one more draw of what the values were drawn from, about normal (Student's
/// t; Hahn & Meeker 1991, §4.7): mean ± t((1 + confidence)/2, n − 1) · s · √(1 + 1/n). An interval of
/// the mean would shrink with n and leave single draws outside. `None` for fewer than two values.
pub fn prediction_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let n = values.len() as f64;
    let t = t_quantile((1.0 + confidence) / 2.0, n - 1.0);
    let half = t * sample_std(values)? * (1.0 + 1.0 / n).sqrt();
    Some(Interval::around(mean(values), half))
}

/// The quantile of Student's t at the probability `p`.
fn t_quantile(p: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(p))
}

/// Mean and sample standard deviation of n values, such as one for each seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "SummaryRecord")]
pub struct Summary {
    pub mean: f64,
    /// `None` for n < 2.
    pub std: Option<f64>,
    pub n: usize,
}

/// What stands in artefacts.
#[derive(Serialize)]
struct SummaryRecord {
    mean: Number,
    std: Option<Number>,
    n: usize,
}

impl From<Summary> for SummaryRecord {
    fn from(Summary { mean, std, n }: Summary) -> Self {
        Self { mean: Number(mean), std: std.map(Number), n }
    }
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
        // protocol §6.3, DFA without penalty: .3070 .2985 .2966 is .301 ± .006 (n − 1).
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
    fn the_correlation_of_a_few_pairs_is_the_one_by_hand() {
        // Deviations ±1.5, ±.5: Σxy = 4, Σx² = Σy² = 5.
        let y = [1.0, 3.0, 2.0, 4.0];
        assert!((pearson(&[1.0, 2.0, 3.0, 4.0], &y) - 0.8).abs() < 1e-15);
        let tiny = y.map(|v| v * 1e-90);
        assert!((pearson(&[-1e-90, -2e-90, -3e-90, -4e-90], &tiny) + 0.8).abs() < 1e-15);
    }

    #[test]
    fn the_correlation_is_that_of_all_pairwise_differences() {
        // Σ over j < k of (x_j − x_k)(y_j − y_k) is n Σ (x − x̄)(y − ȳ): no mean is formed.
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f64 / 2f64.powi(24) - 0.3
        };
        for n in 2..30 {
            let x: Vec<f64> = (0..n).map(|_| draw()).collect();
            let y: Vec<f64> = x.iter().map(|v| 0.4 * v + draw()).collect();
            let sum = |a: &[f64], b: &[f64]| {
                let pairs = (0..n).flat_map(|j| (0..j).map(move |k| (j, k)));
                pairs.map(|(j, k)| (a[j] - a[k]) * (b[j] - b[k])).sum::<f64>()
            };
            let expected = sum(&x, &y) / (sum(&x, &x) * sum(&y, &y)).sqrt();
            assert!((pearson(&x, &y) - expected).abs() < 1e-12, "{n}");
        }
    }

    #[test]
    fn what_does_not_vary_does_not_correlate_and_a_nan_stays() {
        assert!(pearson(&[0.1; 3], &[1.0, 2.0, 4.0]).is_nan());
        assert!(pearson(&[1.0, 2.0, 4.0], &[0.1; 3]).is_nan());
        assert!(pearson(&[1.0, f64::NAN, 3.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(pearson(&[1.0, f64::INFINITY, 3.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(pearson(&[1.0, 2.0, 3.0], &[1.0, 2.0]).is_nan());
        assert!(pearson(&[], &[]).is_nan());
    }

    #[test]
    fn kendalls_tau_is_one_in_the_same_order_and_minus_one_in_the_opposite() {
        let order = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(kendall(&order, &[10.0, 20.0, 25.0, 1e9]), 1.0);
        assert_eq!(kendall(&order, &[4.0, 3.0, 2.0, 1.0]), -1.0);
        // One of six pairs turned: (5 − 1)/6. Of three methods one of three: 1/3.
        assert!((kendall(&order, &[1.0, 3.0, 2.0, 4.0]) - 4.0 / 6.0).abs() < 1e-15);
        assert!((kendall(&[1.0, 2.0, 3.0], &[2.0, 1.0, 3.0]) - 1.0 / 3.0).abs() < 1e-15);
        // The published penalised runs, cosine against accuracy (protocol §6.3): DFA .151, .360; SB .322,
        // .453; CB .679, .360. Two pairs are in order by both, less one in opposite order and a tie.
        let published = kendall(&[0.151, 0.322, 0.679], &[0.360, 0.453, 0.360]);
        assert_eq!(published, 0.0);
    }

    #[test]
    fn kendalls_tau_takes_ties_off_both_sides() {
        // By x one tie: P = 6, T_x = 1, C = 5: 5/√(5·6).
        let tied = kendall(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!((tied - 5.0 / 30f64.sqrt()).abs() < 1e-15);
        // The same pair tied by both: 5/√(5·5).
        assert_eq!(kendall(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 2.0, 9.0]), 1.0);
        // scipy.stats.kendalltau([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]): −0.4714045207910316.
        let known = kendall(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0]);
        assert!((known + 0.471_404_520_791_031_6).abs() < 1e-15);
        assert_eq!(kendall(&[f64::INFINITY, f64::INFINITY, 1.0], &[2.0, 2.0, 0.0]), 1.0);
    }

    #[test]
    fn a_tau_of_what_has_no_order_is_not_a_number() {
        for (x, y) in [
            (&[1.0, 1.0, 1.0][..], &[1.0, 2.0, 3.0][..]),
            (&[1.0, 2.0, 3.0], &[5.0, 5.0, 5.0]),
            (&[1.0, f64::NAN, 3.0], &[1.0, 2.0, 3.0]),
            (&[1.0, 2.0], &[1.0, 2.0, 3.0]),
            (&[1.0], &[1.0]),
            (&[], &[]),
        ] {
            assert!(kendall(x, y).is_nan() && kendall(y, x).is_nan(), "{x:?} {y:?}");
        }
    }

    #[test]
    fn the_extremes_are_those_of_all_values_or_nan() {
        assert_eq!(extremes(&[2.0, -3.0, 1.0]), (-3.0, 2.0));
        assert_eq!(extremes(&[1.0, f64::INFINITY]), (1.0, f64::INFINITY));
        let lost = |(low, high): (f64, f64)| low.is_nan() && high.is_nan();
        assert!(lost(extremes(&[1.0, f64::NAN, 2.0])) && lost(extremes(&[])));
    }

    #[test]
    fn the_quantiles_of_students_t_are_the_tabulated_ones() {
        // One and two degrees of freedom have closed forms: tan(.475 π) and .95 √(2/(1 − .95²)).
        assert!((t_quantile(0.975, 1.0) - (0.475 * std::f64::consts::PI).tan()).abs() < 1e-8);
        assert!((t_quantile(0.975, 2.0) - 0.95 * (2.0f64 / 0.0975).sqrt()).abs() < 1e-8);
        // Abramowitz and Stegun, table 26.10, three decimals.
        for (freedom, quantile) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (4.0, 2.776),
            (5.0, 2.571),
            (9.0, 2.262),
            (29.0, 2.045),
            (120.0, 1.980),
        ] {
            assert!((t_quantile(0.975, freedom) - quantile).abs() <= 5.1e-4, "{freedom}");
        }
    }

    #[test]
    fn the_interval_of_three_values_is_four_point_three_standard_errors_wide() {
        // Mean 2, s = 1: 2 ± 4.302653/√3 = 2 ± 2.484138.
        let found = interval_95(&[1.0, 2.0, 3.0]).unwrap();
        assert!((found.low + 0.484138).abs() < 1e-5 && (found.high - 4.484138).abs() < 1e-5);
        // Two values: 12.706205 · (√2/2) · (b − a)/√2.
        let two = interval_95(&[0.0, 2.0]).unwrap();
        assert!((two.low + 11.706205).abs() < 1e-5 && (two.high - 13.706205).abs() < 1e-5);
        let same = interval_95(&[5.0, 5.0]).unwrap();
        assert_eq!((same.low, same.high), (5.0, 5.0));
    }

    #[test]
    fn one_more_draw_is_expected_in_a_wider_interval_than_the_mean() {
        // Mean 2, s = 1, t(.975, 2) = 4.302653, t(.995, 2) = 9.924843: times √(4/3).
        let found = prediction_interval(&[1.0, 2.0, 3.0], 0.95).unwrap();
        assert!((found.high - 2.0 - 4.968275).abs() < 1e-5, "{found:?}");
        assert!((2.0 - found.low - 4.968275).abs() < 1e-5, "{found:?}");
        // As wide as the values lie apart.
        let tenfold = prediction_interval(&[10.0, 20.0, 30.0], 0.95).unwrap();
        assert!((tenfold.high - 20.0 - 49.68275).abs() < 1e-4, "{tenfold:?}");
        let wide = prediction_interval(&[1.0, 2.0, 3.0], 0.99).unwrap();
        assert!((wide.high - 2.0 - 11.460221).abs() < 1e-5, "{wide:?}");
        assert_eq!(prediction_interval(&[1.0], 0.95), None);
        assert!(prediction_interval(&[1.0, f64::NAN], 0.95).unwrap().low.is_nan());
    }

    #[test]
    fn one_value_has_no_interval_and_a_nan_stays() {
        assert_eq!(interval_95(&[1.0]), None);
        assert_eq!(interval_95(&[]), None);
        let lost = interval_95(&[1.0, f64::NAN, 2.0]).unwrap();
        assert!(lost.low.is_nan() && lost.high.is_nan());
        let text = serde_json::to_string(&(lost, Summary::of(&[1.0, f64::INFINITY]))).unwrap();
        assert_eq!(text, r#"[["nan","nan"],{"mean":"inf","std":"nan","n":2}]"#);
    }

    #[test]
    fn tiny_huge_and_infinite_values_stay_readable() {
        assert_eq!(Summary::of(&[4.0e-9, 4.4e-9]).to_string(), "(4.2 ± 0.3)e-9 (n=2)");
        assert_eq!(Summary::of(&[5.7e-9]).to_string(), "5.700e-9 (n=1)");
        assert_eq!(Summary::of(&[f64::INFINITY, 1.0]).to_string(), "inf (n=2)");
        assert_eq!(format!("{:.1}", Summary::of(&[1.0, 2.0])), "1.5 ± 0.7 (n=2)");
        assert_eq!(Summary::of(&[5.0, 5.0]).to_string(), "5.000 ± 0.000 (n=2)");
    }
}
