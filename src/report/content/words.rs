//! Numbers over seeds in few characters, in the manner of `verdict::short`.

use crate::stats::Summary;
use crate::verdict::short;
pub use crate::words::capital;

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `609`, `5.7e-9`
    Short,
    /// `+0.389`
    Cosine,
    /// A fraction as `34.4`.
    Percent,
    /// Percentage points: `+1.6`.
    Points,
}

impl Style {
    pub fn one(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => short(value),
            Self::Short => short(value),
            Self::Cosine if value.abs() < 5e-4 => "0.000".into(),
            Self::Cosine => format!("{value:+.3}"),
            Self::Percent => format!("{:.1}", value * 100.0),
            Self::Points => points(value),
        }
    }

    /// `34.4 ± 0.3`; the mean alone of one value, or where the deviation is not finite.
    pub fn spread(self, summary: &Summary) -> String {
        let mean = self.one(summary.mean);
        let Some(std) = summary.std.filter(|s| s.is_finite() && summary.mean.is_finite()) else {
            return mean;
        };
        match self {
            Self::Cosine => format!("{mean} ± {std:.3}"),
            Self::Percent => format!("{mean} ± {:.1}", std * 100.0),
            Self::Points => format!("{mean} ± {std:.1}"),
            Self::Short => beside(summary.mean, std),
        }
    }
}

/// Mean and deviation with the decimals and the exponent of the larger: `607 ± 41`,
/// `(5.7 ± 0.3)e-9`.
fn beside(mean: f64, std: f64) -> String {
    let larger = short(mean.abs().max(std));
    match larger.split_once('e') {
        Some((_, exponent)) => {
            let unit = 10f64.powi(exponent.parse().unwrap_or(0));
            format!("({:.1} ± {:.1})e{exponent}", mean / unit, std / unit)
        }
        None => {
            let decimals = larger.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            format!("{mean:.decimals$} ± {std:.decimals$}")
        }
    }
}

/// `+1.6`
pub fn points(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:+.1}"),
        false => short(value),
    }
}

/// The different values in order of appearance, joined: `30` or `1, 30`.
pub fn distinct<T>(items: &[T], value: impl Fn(&T) -> String) -> String {
    let mut seen: Vec<String> = Vec::new();
    for item in items {
        let value = value(item);
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen.join(", ")
}

/// The first characters of a hash.
pub fn brief(hash: &str) -> String {
    hash.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_is_written_like_its_mean() {
        let of = |style: Style, values: &[f64]| style.spread(&Summary::of(values));
        assert_eq!(of(Style::Short, &[4.0e-9, 4.4e-9]), "(4.2 ± 0.3)e-9");
        assert_eq!(of(Style::Short, &[600.0, 640.0]), "620 ± 28");
        assert_eq!(of(Style::Short, &[0.99, 0.99]), "0.99 ± 0.00");
        assert_eq!(of(Style::Short, &[5.7e-9]), "5.7e-9");
        assert_eq!(of(Style::Short, &[1e-9, -2e-6, 2e-6]), "(0.0 ± 2.0)e-6");
        assert_eq!(of(Style::Percent, &[0.307, 0.2985, 0.2966]), "30.1 ± 0.6");
        assert_eq!(of(Style::Cosine, &[0.0001, -0.0001]), "0.000 ± 0.000");
        assert_eq!(of(Style::Points, &[1.0, -3.0]), "-1.0 ± 2.8");
    }

    #[test]
    fn what_is_not_finite_keeps_its_word_and_loses_its_deviation() {
        for style in [Style::Short, Style::Cosine, Style::Percent, Style::Points] {
            assert_eq!(style.spread(&Summary::of(&[1.0, f64::INFINITY])), "inf");
            assert_eq!(style.spread(&Summary::of(&[1.0, f64::NAN])), "nan");
        }
    }
}
