//! A comparison as JSON, schema `fa-audit/regression/1`: every row, also those within tolerance.

use super::headline;
use crate::number::Number;
use crate::regress::{Comparison, MetricRow, ToleranceKind, Value};
use anyhow::Result;
use serde::Serialize;

pub const SCHEMA: &str = "fa-audit/regression/1";

/// Pretty, with a newline at the end.
///
/// # Errors
/// If a value has no JSON, which none has.
pub fn write(comparison: &Comparison) -> Result<String> {
    Ok(serde_json::to_string_pretty(&Document::of(comparison))? + "\n")
}

/// One line, without the newline.
///
/// # Errors
/// As [`write`].
pub fn line(comparison: &Comparison) -> Result<String> {
    Ok(serde_json::to_string(&Document::of(comparison))?)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    baseline: &'a str,
    regression: bool,
    summary: String,
    notes: &'a [String],
    runs: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    rows: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    metric: &'a str,
    outcome: &'static str,
    /// `null` where the side does not have it.
    baseline: &'a Option<Value>,
    found: &'a Option<Value>,
    tolerance: Tolerance,
}

#[derive(Serialize)]
struct Tolerance {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<Number>,
}

impl<'a> Document<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let runs = comparison.runs.iter();
        Self {
            schema: SCHEMA,
            baseline: &comparison.name,
            regression: comparison.is_regression(),
            summary: headline(comparison),
            notes: &comparison.notes,
            runs: runs
                .map(|run| Run { name: &run.name, rows: run.rows.iter().map(Entry::of).collect() })
                .collect(),
        }
    }
}

impl<'a> Entry<'a> {
    fn of(row: &'a MetricRow) -> Self {
        Self {
            metric: &row.metric,
            outcome: row.outcome.word(),
            baseline: &row.baseline,
            found: &row.found,
            tolerance: row.tolerance.into(),
        }
    }
}

impl From<ToleranceKind> for Tolerance {
    fn from(kind: ToleranceKind) -> Self {
        let (kind, by, confidence) = match kind {
            ToleranceKind::Exact => ("exact", None, None),
            ToleranceKind::Absolute(by) => ("absolute", Some(by), None),
            ToleranceKind::Relative(by) => ("relative", Some(by), None),
            ToleranceKind::Statistical(confidence) => ("statistical", None, Some(confidence)),
        };
        Self { kind, by: by.map(Number), confidence: confidence.map(Number) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::comparison;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn every_row_is_there_with_its_outcome() {
        let comparison = comparison();
        let v: Value = serde_json::from_str(&line(&comparison).unwrap()).unwrap();
        assert_eq!((&v["schema"], &v["regression"]), (&json!(SCHEMA), &json!(true)));
        let rows = |i: usize| v["runs"][i]["rows"].as_array().unwrap().clone();
        let total: usize = (0..5).map(|i| rows(i).len()).sum();
        assert_eq!(total, comparison.rows().count());
        let row = |i: usize, metric: &str| {
            rows(i).into_iter().find(|row| row["metric"] == metric).unwrap()
        };
        assert_eq!(row(0, "accuracy")["outcome"], "improved");
        assert_eq!(row(0, "accuracy")["tolerance"], json!({"kind": "absolute", "by": 0.01}));
        assert_eq!(row(2, "growth")["outcome"], "breached");
        assert_eq!(row(3, "growth")["found"], "nan");
        assert_eq!(row(1, "run")["outcome"], "missing");
        assert_eq!(row(4, "run")["baseline"], Value::Null);
        assert_eq!(write(&comparison).unwrap().parse::<Value>().unwrap(), v);
    }
}
