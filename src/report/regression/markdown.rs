//! A comparison as Markdown, for a CI job's summary.

use super::{SECTIONS, cells, headline};
use crate::regress::{Comparison, RowOutcome};
use crate::report::markdown::{escaped, panel};
use crate::report::panel::{Cell, Panel, Shade};

/// The whole page.
pub fn write(comparison: &Comparison) -> String {
    let mut out = format!("# Regressions: {}\n\n", escaped(&comparison.name));
    out += &format!("{}\n\n", escaped(&headline(comparison)));
    for note in &comparison.notes {
        out += &format!("- {}\n", escaped(note));
    }
    if !comparison.notes.is_empty() {
        out.push('\n');
    }
    for (title, outcomes, note) in SECTIONS {
        let found = section(comparison, title, outcomes, note);
        if !found.rows.is_empty() {
            out += &panel(&found, 2);
        }
    }
    out.trim_end().to_string() + "\n"
}

fn section(comparison: &Comparison, title: &str, outcomes: &[RowOutcome], note: &str) -> Panel {
    let rows = comparison.rows().filter(|(_, row)| outcomes.contains(&row.outcome));
    let row = |(run, row): (&str, &crate::regress::MetricRow)| {
        let [metric, baseline, found, change, allowed] = cells(row);
        let shade = if row.outcome.is_breach() { Shade::Bad } else { Shade::None };
        let found = Cell::shaded(found, shade);
        vec![run.into(), metric.into(), baseline.into(), found, change.into(), allowed.into()]
    };
    Panel {
        title: title.into(),
        note: note.into(),
        columns: ["Run", "Metric", "Baseline", "Found", "Change", "Allowed"].map(Into::into).into(),
        rows: rows.map(row).collect(),
        ..Panel::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::comparison;
    use super::*;

    #[test]
    fn every_breach_improvement_and_new_run_has_a_row() {
        let comparison = comparison();
        let text = write(&comparison);
        for row in [
            "| dfa, seed 1 | growth | 4.00000 | **4.40000** | +10.0 % | ± 1 % |",
            "| dfa, seed 2 | growth | 4.00000 | **nan** | – | ± 1 % |",
            "| bp, seed 1 | accuracy | 0.500000 | 0.550000 | +0.05 | ± 0.01 |",
            "| bp, seed 2 | run | there | **–** | – | exact |",
            "| bp, seed 3 | run | – | there | – | – |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
        let listed = text.lines().filter(|line| line.starts_with("| ")).count();
        let told = comparison.rows().filter(|(_, row)| row.outcome != RowOutcome::Within).count();
        assert_eq!(listed, told + 2 * SECTIONS.len());
    }
}
