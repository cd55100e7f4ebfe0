//! A comparison as JUnit XML: a suite a run, a case a metric. A breach fails, what is new is
//! skipped, and an improvement passes.

use super::cells;
use crate::regress::{Comparison, MetricRow, RowOutcome};
use crate::report::cases::{add_suite, case, failed, skipped};
use anyhow::Result;
use quick_junit::{Report, TestCase, TestCaseStatus};

/// The document.
///
/// # Errors
/// If it cannot be written as text, as none is known to be.
pub fn write(comparison: &Comparison) -> Result<String> {
    let mut report = Report::new(format!("regress.{}", comparison.name));
    for run in &comparison.runs {
        add_suite(&mut report, &run.name, run.rows.iter().map(of_row));
    }
    Ok(report.to_string()?)
}

fn of_row(row: &MetricRow) -> TestCase {
    let [metric, baseline, found, change, allowed] = cells(row);
    let status = match row.outcome {
        RowOutcome::Within | RowOutcome::Improved => TestCaseStatus::success(),
        RowOutcome::New => skipped("not in the baseline"),
        RowOutcome::Missing => {
            failed("missing", format!("missing; the baseline's is {baseline}"), String::new())
        }
        RowOutcome::Breached => failed(
            "breached",
            format!("{found}, the baseline's {baseline}"),
            format!("change {change}, allowed {allowed}"),
        ),
    };
    case(metric, 0.0, status)
}

#[cfg(test)]
mod tests {
    use super::super::testing::comparison;
    use super::*;
    use roxmltree::Document;

    #[test]
    fn there_is_a_case_for_each_row_and_breaches_fail() {
        let comparison = comparison();
        let text = write(&comparison).unwrap();
        let document = Document::parse(&text).unwrap();
        let count = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
        assert_eq!(count("testsuite"), comparison.runs.len());
        assert_eq!(count("testcase"), comparison.rows().count());
        let breaches = comparison.rows().filter(|(_, row)| row.outcome.is_breach()).count();
        assert!(breaches > 2);
        assert_eq!(count("failure"), breaches);
        assert_eq!(count("skipped"), comparison.count(RowOutcome::New));
        let root = document.root_element();
        assert_eq!(root.attribute("failures"), Some(breaches.to_string().as_str()));
        let messages: Vec<_> = document
            .descendants()
            .filter_map(|n| n.attribute("message").filter(|_| n.has_tag_name("failure")))
            .collect();
        assert!(messages.contains(&"4.40000, the baseline's 4.00000"), "{messages:?}");
    }
}
