//! A comparison as JUnit XML: a suite a run, a case a metric. A breach fails, what is new is
//! skipped, and an improvement passes.

use super::cells;
use crate::regress::{Comparison, Outcome, Row};
use crate::report::cases::{self, Case, Suite, document};

/// The document.
pub fn write(comparison: &Comparison) -> String {
    let name = format!("regress.{}", comparison.name);
    let suite = |run: &crate::regress::RunComparison| {
        Suite::new(&name, &run.name, run.rows.iter().map(case).collect())
    };
    document(&name, comparison.runs.iter().map(suite).collect())
}

fn case(row: &Row) -> Case {
    let [metric, baseline, found, change, allowed] = cells(row);
    let outcome = match row.outcome {
        Outcome::Within | Outcome::Improved => cases::Outcome::Passed,
        Outcome::New => cases::Outcome::Skipped("not in the baseline".into()),
        Outcome::Missing => cases::Outcome::Failed {
            kind: "missing",
            message: format!("missing; the baseline's is {baseline}"),
            text: String::new(),
        },
        Outcome::Breached => cases::Outcome::Failed {
            kind: "breached",
            message: format!("{found}, the baseline's {baseline}"),
            text: format!("change {change}, allowed {allowed}"),
        },
    };
    Case { name: metric, seconds: 0.0, outcome }
}

#[cfg(test)]
mod tests {
    use super::super::testing::comparison;
    use super::*;
    use roxmltree::Document;

    #[test]
    fn there_is_a_case_for_each_row_and_breaches_fail() {
        let comparison = comparison();
        let text = write(&comparison);
        let document = Document::parse(&text).unwrap();
        let count = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
        assert_eq!(count("testsuite"), comparison.runs.len());
        assert_eq!(count("testcase"), comparison.rows().count());
        let breaches = comparison.rows().filter(|(_, row)| row.outcome.is_breach()).count();
        assert!(breaches > 2);
        assert_eq!(count("failure"), breaches);
        assert_eq!(count("skipped"), comparison.count(Outcome::New));
        let root = document.root_element();
        assert_eq!(root.attribute("failures"), Some(breaches.to_string().as_str()));
        let messages: Vec<_> = document
            .descendants()
            .filter_map(|n| n.attribute("message").filter(|_| n.has_tag_name("failure")))
            .collect();
        assert!(messages.contains(&"4.40000, the baseline's 4.00000"), "{messages:?}");
    }
}
