//! What is claimed of a number: `at least 0.01`, `at least 1 point`, `below 1.5`; or a verdict.

use crate::verdict::{Decision, plain};
use std::fmt;

/// The side of a value that a claim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    AtLeast,
    Above,
    AtMost,
    Below,
}

const SIDES: [(&str, Side); 4] = [
    ("at least", Side::AtLeast),
    ("above", Side::Above),
    ("at most", Side::AtMost),
    ("below", Side::Below),
];

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    Number { side: Side, value: f64 },
    Verdict(Decision),
}

/// How a number is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As it stands.
    Plain,
    /// Percentage points, of which an accuracy, a fraction, has a hundred.
    Points,
}

impl Threshold {
    /// Reads a threshold, and the unit that stands behind its number.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<(Self, Unit), String> {
        let text = text.trim();
        let expected = || {
            format!(
                "expected \"at least\", \"above\", \"at most\" or \"below\" and a number, such as \
                 \"at least 1 point\"; or for `verdict` the word \"trustworthy\" or \"walked back\": \
                 found \"{text}\""
            )
        };
        for (word, decision) in
            [("trustworthy", Decision::Trustworthy), ("walked back", Decision::WalkedBack)]
        {
            if text == word {
                return Ok((Self::Verdict(decision), Unit::Plain));
            }
        }
        let (rest, side) = SIDES
            .iter()
            .find_map(|(word, side)| Some((text.strip_prefix(word)?, *side)))
            .ok_or_else(expected)?;
        let (number, unit) = match rest.trim().split_once(' ') {
            Some((number, "point" | "points")) => (number, Unit::Points),
            Some(_) => return Err(expected()),
            None => (rest.trim(), Unit::Plain),
        };
        let value: f64 = number.parse().map_err(|_| expected())?;
        if !value.is_finite() {
            return Err(expected());
        }
        Ok((Self::Number { side, value }, unit))
    }
}

impl Side {
    /// Whether `value` is on this side of `threshold`. What is not finite is on none.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        value.is_finite()
            && match self {
                Self::AtLeast => value >= threshold,
                Self::Above => value > threshold,
                Self::AtMost => value <= threshold,
                Self::Below => value < threshold,
            }
    }

    /// Whether larger values are what is claimed.
    pub fn is_up(self) -> bool {
        matches!(self, Self::AtLeast | Self::Above)
    }

    /// The value farthest from what is claimed; NaN as soon as one value is.
    pub fn worst(self, values: &[f64]) -> f64 {
        let (low, high) = crate::stats::extremes(values);
        if self.is_up() { low } else { high }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Verdict(decision) => write!(f, "{decision}"),
            Self::Number { side, value } => {
                let word =
                    SIDES.iter().find(|(_, known)| known == side).map_or("", |(word, _)| word);
                write!(f, "{word} {}", plain(*value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_side_and_a_number_and_maybe_points() {
        let number = |side, value| Threshold::Number { side, value };
        for (text, found) in [
            ("at least 0.01", (number(Side::AtLeast, 0.01), Unit::Plain)),
            ("at least 1 point", (number(Side::AtLeast, 1.0), Unit::Points)),
            ("above -2 points", (number(Side::Above, -2.0), Unit::Points)),
            ("at most 1e-7", (number(Side::AtMost, 1e-7), Unit::Plain)),
            (" below 1.5 ", (number(Side::Below, 1.5), Unit::Plain)),
            ("trustworthy", (Threshold::Verdict(Decision::Trustworthy), Unit::Plain)),
        ] {
            assert_eq!(Threshold::parse(text), Ok(found), "{text}");
        }
        for text in ["", "1.5", "at least", "at least x", "under 2", "below nan", "above 1 pt"] {
            let error = Threshold::parse(text).unwrap_err();
            assert!(error.contains("expected \"at least\"") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_threshold_itself_is_on_the_sides_that_say_so_and_nan_on_none() {
        let at = |side: Side| side.holds(1.0, 1.0);
        assert_eq!(
            [Side::AtLeast, Side::Above, Side::AtMost, Side::Below].map(at),
            [true, false, true, false]
        );
        for (_, side) in SIDES {
            assert!(!side.holds(f64::NAN, 0.0) && !side.holds(f64::INFINITY, 0.0));
            assert!(side.worst(&[1.0, f64::NAN]).is_nan());
        }
        assert_eq!((Side::Above.worst(&[1.0, 3.0]), Side::Below.worst(&[1.0, 3.0])), (1.0, 3.0));
    }
}
