//! What stands in one cell. A value is followed by its mark, or by a space in the mark's place.

use crate::number::Number;
use crate::report::content::words::Style;
pub(super) use crate::report::content::words::points;
use crate::verdict::{Decision, Finding, Status, short};
use comfy_table::{Cell, Color};

pub(super) fn mark(status: Status) -> char {
    match status {
        Status::Fired => '!',
        Status::Inconclusive => '~',
        Status::Passed | Status::NotEvaluated => ' ',
    }
}

pub(super) fn finding<D>(found: &Finding<D>, format: impl Fn(f64) -> String) -> String {
    match found.value {
        Some(value) => format!("{}{}", format(value.0), mark(found.status)),
        None => "– ".into(),
    }
}

pub(super) fn cosine(value: Option<Number>, interpretable: bool) -> String {
    match value {
        Some(value) => Style::Cosine.one(value.0) + if interpretable { " " } else { "?" },
        None => "– ".into(),
    }
}

pub(super) fn fixed(value: f64, decimals: usize) -> String {
    match value.is_finite() {
        true => format!("{value:.decimals$}"),
        false => short(value),
    }
}

/// Beside a growth in [`short`] form: a small deviation keeps its two decimals.
pub(super) fn spread(value: f64) -> String {
    match value < 0.01 {
        true => fixed(value, 2),
        false => short(value),
    }
}

pub(super) fn exponential(value: f64) -> String {
    match value.is_finite() && value != 0.0 {
        true => format!("{value:.1e}"),
        false => short(value),
    }
}

pub(super) fn accuracy(fraction: f64) -> String {
    Style::Percent.one(fraction)
}

pub(super) fn verdict(decision: Decision, is_baseline: bool) -> Cell {
    if is_baseline {
        return Cell::new("baseline");
    }
    Cell::new(decision).fg(match decision {
        Decision::Trustworthy => Color::Green,
        Decision::WalkedBack => Color::Red,
        Decision::Inconclusive | Decision::Baseline => Color::Yellow,
    })
}
