//! How numbers and lists are worded in sentences and tables.

use crate::number;

/// A measured value in few characters: `609`, `13.2`, `0.99`, `5.7e-9`, `nan`.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => number::text(value),
        0.0 => "0".into(),
        v if !(1e-2..1e4).contains(&v) => format!("{value:.1e}"),
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A threshold as it was written: `50`, `0.3`, `1e-7`.
pub fn plain(value: f64) -> String {
    if value == 0.0 || (1e-3..1e4).contains(&value.abs()) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

/// A value beside its threshold, with more digits where few would make them look equal.
pub fn against(value: f64, threshold: f64) -> String {
    if short(value) != short(threshold) || value == threshold {
        return short(value);
    }
    (3..17)
        .map(|digits| format!("{value:.digits$e}"))
        .find(|text| text.parse() != Ok(threshold))
        .unwrap_or_else(|| short(value))
}

pub fn signed(value: f64) -> String {
    format!("{value:+.3}")
}

/// A share in whole per cent, where only all is 100 and only none is 0.
pub fn percent(share: f64) -> String {
    match (share * 100.0).round() {
        whole if whole >= 100.0 && share < 1.0 => "over 99%".into(),
        whole if whole <= 0.0 && share > 0.0 => "under 1%".into(),
        whole => format!("{whole:.0}%"),
    }
}

pub fn percent_fine(fraction: f64) -> String {
    format!("{:.2}%", fraction * 100.0)
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => (*one).into(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// With a capital in front.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_few_characters() {
        for (value, text) in [
            (609.3, "609"),
            (13.24, "13.2"),
            (0.987, "0.99"),
            (5.74e-9, "5.7e-9"),
            (3.7e-4, "3.7e-4"),
            (23456.0, "2.3e4"),
            (99.97, "100"),
            (9.999, "10.0"),
            (0.0, "0"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!([plain(50.0), plain(1e-7), plain(0.3)], ["50", "1e-7", "0.3"]);
    }

    #[test]
    fn a_value_just_past_its_threshold_does_not_look_equal_to_it() {
        assert_eq!(against(609.0, 50.0), "609");
        assert_eq!(against(9.98e-8, 1e-7), "9.980e-8");
        assert_eq!(against(50.00002, 50.0), "5.000002e1");
    }

    #[test]
    fn only_all_is_a_hundred_per_cent() {
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent(0.9999), "over 99%");
        assert_eq!(percent(0.0001), "under 1%");
        assert_eq!(percent(0.0), "0%");
    }
}
