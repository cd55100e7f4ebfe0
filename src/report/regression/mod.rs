//! A comparison with a baseline, for people and for CI pages; the terminal's table is
//! [`terminal::regression`](super::terminal::regression).

pub mod json;
pub mod junit;
pub mod markdown;

use crate::regress::{Comparison, MetricRow, RowOutcome, ToleranceKind, Value};
use crate::verdict::short;

/// `regression: 3 breaches in 2 of 12 runs, 1 improved, …`
pub fn headline(comparison: &Comparison) -> String {
    let count = |outcome| comparison.count(outcome);
    let breaches = count(RowOutcome::Breached) + count(RowOutcome::Missing);
    let is_worse =
        |run: &&crate::regress::RunComparison| run.rows.iter().any(|row| row.outcome.is_breach());
    let (worse, runs) = (comparison.runs.iter().filter(is_worse).count(), comparison.runs.len());
    let found = match breaches {
        0 => format!("no regression from {} in {runs} runs", comparison.name),
        1 => format!("regression from {}: 1 breach in 1 of {runs} runs", comparison.name),
        n => format!("regression from {}: {n} breaches in {worse} of {runs} runs", comparison.name),
    };
    let [missing, improved, new, within] =
        [RowOutcome::Missing, RowOutcome::Improved, RowOutcome::New, RowOutcome::Within].map(count);
    let missing = if missing > 0 { format!(" ({missing} missing)") } else { String::new() };
    format!("{found}{missing}; {improved} improved, {new} new, {within} within tolerance")
}

/// The sections of a report, in their order: title, which rows, and what a reader must know.
pub(super) const SECTIONS: [(&str, &[RowOutcome], &str); 3] = [
    ("Breaches", &[RowOutcome::Breached, RowOutcome::Missing], ""),
    ("Improvements", &[RowOutcome::Improved], "Beyond the tolerance, the good way: no breach."),
    ("New", &[RowOutcome::New], "Not in the baseline and not compared; --update takes them in."),
];

/// What a row says: metric, baseline, found, change, allowed.
pub(super) fn cells(row: &MetricRow) -> [String; 5] {
    let value = |value: &Option<Value>| value.as_ref().map_or("–".into(), Value::to_string);
    let allowed = match (&row.baseline, &row.found) {
        (None, _) => "–".into(),
        (Some(Value::Word(_)), _) => ToleranceKind::Exact.to_string(),
        _ => row.tolerance.to_string(),
    };
    [row.metric.clone(), value(&row.baseline), value(&row.found), change(row), allowed]
}

/// In percent where that is how it is judged, else the difference.
fn change(row: &MetricRow) -> String {
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::number);
    let (Some(b), Some(x)) = (number(&row.baseline), number(&row.found)) else {
        return "–".into();
    };
    let signed = |v: f64| if v > 0.0 { format!("+{}", short(v)) } else { short(v) };
    match row.tolerance {
        _ if !(x - b).is_finite() => "–".into(),
        ToleranceKind::Relative(_) if b != 0.0 => {
            format!("{} %", signed(100.0 * (x - b) / b.abs()))
        }
        _ => signed(x - b),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use crate::config::Method;
    use crate::regress::{Baseline, Comparison, Scope, ToleranceKind, ToleranceRule, compare};
    use crate::study::testing::{Sketch, study};

    /// bp and dfa over two seeds against a baseline with another dfa: a breach, an improvement, a
    /// missing and a new run.
    pub fn comparison() -> Comparison {
        let rule = |metric: &str, kind| ToleranceRule {
            metrics: vec![metric.into()],
            runs: Vec::new(),
            kind,
        };
        let rules = vec![
            rule("accuracy", ToleranceKind::Absolute(0.01)),
            rule("depth_utility", ToleranceKind::Absolute(1.0)),
            rule("training.*", ToleranceKind::Relative(0.5)),
            rule("*", ToleranceKind::Relative(0.01)),
        ];
        let bp = |seed, accuracy| Sketch::audited(Method::Bp, seed, accuracy, 2.0, 1e-3);
        let dfa = |seed, growth| Sketch::audited(Method::Dfa, seed, 0.33, growth, 1e-3);
        let before = study(&[bp(1, 0.50), bp(2, 0.50), dfa(1, 4.0), dfa(2, 4.0)]);
        let after = study(&[bp(1, 0.55), bp(3, 0.50), dfa(1, 4.4), dfa(2, f64::NAN)]);
        let baseline = Baseline::of(&before, rules).expect("a baseline");
        compare(&baseline, &after, Scope::Study, false).expect("comparable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;

    #[test]
    fn the_headline_counts_what_the_rows_say() {
        let comparison = testing::comparison();
        let text = headline(&comparison);
        assert!(text.starts_with("regression from sketched: "), "{text}");
        assert!(text.contains(" in 3 of 5 runs (1 missing); 2 improved, 1 new, "), "{text}");
        let none = Comparison { runs: Vec::new(), ..comparison };
        let text = headline(&none);
        assert!(text.starts_with("no regression from sketched in 0 runs; 0 improved"), "{text}");
    }

    #[test]
    fn a_change_is_told_as_it_is_judged() {
        let number = |v: f64| Some(Value::Number(Number(v)));
        let row = |baseline, found, tolerance| {
            let metric = "growth".into();
            cells(&MetricRow { metric, baseline, found, tolerance, outcome: RowOutcome::Breached })
        };
        let cells = row(number(2.0), number(2.5), ToleranceKind::Relative(0.01));
        assert_eq!(cells, ["growth", "2.00000", "2.50000", "+25.0 %", "± 1 %"]);
        let cells = row(number(2.0), number(1.5), ToleranceKind::Absolute(0.1));
        assert_eq!(cells[3..], ["-0.50", "± 0.1"]);
        let cells = row(number(2.0), number(f64::NAN), ToleranceKind::Absolute(0.1));
        assert_eq!(cells[2..4], ["nan", "–"]);
        let cells = row(number(2.0), None, ToleranceKind::Exact);
        assert_eq!(cells[2..], ["–", "–", "exact"]);
    }
}
