//! A comparison with a baseline, for a terminal of 80 columns.

use super::draw::{panel, table, wrapped};
use crate::regress::{Comparison, RowOutcome, RunComparison};
use crate::report::regression::{SECTIONS, cells, headline};
use comfy_table::{Cell, Color};

/// The headline, then every breach, improvement and new metric, run by run.
pub fn regression(comparison: &Comparison, color: bool) -> String {
    let mut parts = vec![wrapped("", &headline(comparison))];
    parts.extend(comparison.notes.iter().map(|note| wrapped("· ", note)));
    for (title, outcomes, note) in SECTIONS {
        let runs = comparison.runs.iter();
        let found: Vec<String> =
            runs.filter_map(|run| of_run(run, title, outcomes, color)).collect();
        parts.extend(found.iter().cloned());
        if !found.is_empty() && !note.is_empty() {
            parts.push(wrapped("", note));
        }
    }
    parts.join("\n\n") + "\n"
}

fn of_run(
    run: &RunComparison,
    title: &str,
    outcomes: &[RowOutcome],
    color: bool,
) -> Option<String> {
    let mut rows = run.rows.iter().filter(|row| outcomes.contains(&row.outcome)).peekable();
    rows.peek()?;
    let mut table = table(color);
    table.set_header(["Metric", "Baseline", "Found", "Change", "Allowed"]);
    for row in rows {
        let [metric, baseline, found, change, allowed] = cells(row);
        let found = match row.outcome {
            RowOutcome::Improved => Cell::new(found).fg(Color::Green),
            outcome if outcome.is_breach() => Cell::new(found).fg(Color::Red),
            _ => Cell::new(found),
        };
        table.add_row([metric.into(), baseline.into(), found, change.into(), allowed.into()]);
    }
    let heading = wrapped("", &format!("{title} · {}", run.name));
    Some(format!("{heading}\n{}", panel(table, &[0])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::regression::testing::comparison;

    #[test]
    fn everything_that_is_not_within_tolerance_stands_in_80_columns() {
        let comparison = comparison();
        let text = regression(&comparison, false);
        for part in ["Breaches · dfa, seed 1", "Improvements · bp, seed 1", "New · bp, seed 3"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?}\n{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(regression(&comparison, true).contains('\u{1b}'));
    }
}
