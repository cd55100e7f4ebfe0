//! Which methods fire at which thresholds, and how wide the gap between the groups is.

use crate::report::content::words::capital;
use crate::report::panel::{Cell, Panel};
use crate::study::sweep::{DiagnosticSweep, Range, Separation, Sweep};
use crate::verdict::{plain, short};

/// A panel a diagnostic, a row a threshold.
pub fn sweep(found: &Sweep) -> [Panel; 3] {
    [
        of_one("Growth", "above", &found.growth, short),
        of_one("Reference", "below", &found.reference, short),
        of_one("Depth utility, points", "below", &found.depth_utility, plain),
    ]
}

fn of_one(name: &str, side: &str, found: &DiagnosticSweep, value: fn(f64) -> String) -> Panel {
    let rows = found.points.iter().map(|point| {
        let mark = if point.threshold == found.used { " *" } else { "" };
        vec![
            Cell::from(format!("{}{mark}", value(point.threshold.0))),
            Cell::from(point.fires.len().to_string()),
            Cell::from(point.fires.join(", ")),
            Cell::from(point.verdict_changes.join(", ")),
        ]
    });
    let mut said = vec![
        format!("The same methods fire {}.", range(&found.same_firings)),
        format!("Every verdict stays as it is {}.", range(&found.same_verdicts)),
        separation(&found.separation, side),
    ];
    if !found.not_evaluated.is_empty() {
        said.push(format!("Not evaluated: {}.", found.not_evaluated.join(", ")));
    }
    Panel {
        title: format!("Threshold sweep: {name}"),
        note: "* the threshold used. n: methods on which it fires. Healthy: runs of methods whose \
               verdict is trustworthy; degenerate: runs of methods on which this diagnostic fires."
            .into(),
        columns: ["Threshold", "n", "Fires on", "Another verdict"].map(String::from).to_vec(),
        words: vec![0, 2, 3],
        rows: rows.collect(),
        said,
    }
}

fn range(range: &Range) -> String {
    match (range.low, range.high) {
        (None, None) => "at any threshold".into(),
        (Some(low), None) => format!("from {} on", short(low.0)),
        (None, Some(high)) => format!("up to {}", short(high.0)),
        (Some(low), Some(high)) => format!("from {} to {}", short(low.0), short(high.0)),
    }
}

fn separation(found: &Separation, side: &str) -> String {
    let (most, least) = if side == "above" { ("most", "least") } else { ("least", "most") };
    let mut parts = Vec::new();
    match found.healthy {
        Some(healthy) => parts.push(format!("healthy runs have at {most} {}", short(healthy.0))),
        None => parts.push("no method is healthy".into()),
    }
    match (found.degenerate, found.degenerate_not_finite) {
        (Some(value), 0) => parts.push(format!("degenerate ones at {least} {}", short(value.0))),
        (Some(value), lost) => parts.push(format!(
            "degenerate ones at {least} {}, and {lost} are not finite",
            short(value.0)
        )),
        (None, 0) => parts.push("it fires on no method".into()),
        (None, lost) => parts.push(format!("all {lost} degenerate ones are not finite")),
    }
    if let Some(ratio) = found.ratio {
        parts.push(format!("a factor of {}", short(ratio.0)));
    }
    capital(&parts.join("; ")) + "."
}
