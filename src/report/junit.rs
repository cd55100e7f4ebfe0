//! JUnit XML for continuous integration: a suite a method; for each run a case for its training and
//! one for each diagnostic that decides.
//!
//! | what happened | case |
//! |---|---|
//! | a diagnostic fired | failure, with the reason |
//! | it was not evaluated, or the run is a baseline | skipped, with why |
//! | training failed, diverged or was interrupted, or the run was not audited | error |
//! | training goes on or has not begun | skipped |
//!
//! A run whose credit is learned has one more: the twin with shuffled targets does as well (failure), or
//! there is none (skipped). And one case a claim: walked back is a failure, untested skipped, post hoc an error.

use super::cases::{add_suite, case, error, failed, skipped};
use super::content::{Content, standing, state};
use crate::claims::Outcome;
use crate::diagnostics::learned_credit::does_as_well;
use crate::study::claims::{Tested, tested};
use crate::study::results::{RunResult, StudyResult};
use crate::verdict::{Audit, Finding, Status, plain, short};
use anyhow::Result;
use quick_junit::{Report, TestCase, TestCaseStatus};

/// The document.
///
/// # Errors
/// If it cannot be written as text, as none is known to be.
pub fn write(study: &StudyResult) -> Result<String> {
    let content = Content::of(study);
    let mut report = Report::new(content.name);
    for group in &content.groups {
        let cases = group.runs.iter().flat_map(|run| cases(run, group.is_baseline));
        add_suite(&mut report, &group.name, cases);
    }
    let claims = tested(study);
    if !claims.is_empty() {
        add_suite(&mut report, "claims", (1..).zip(&claims).map(|(n, tested)| of_claim(n, tested)));
    }
    if !content.missing.is_empty() {
        let missing = content.missing.iter();
        let cases = missing.map(|name| case(training(name), 0.0, skipped("not begun")));
        add_suite(&mut report, "not begun", cases);
    }
    Ok(report.to_string()?)
}

fn training(run: &str) -> String {
    format!("{run}: training")
}

fn of_claim(number: usize, tested: &Tested) -> TestCase {
    let status = match (tested.outcome, &tested.post_hoc) {
        (_, Some(_)) => error("post hoc", tested.reason.clone()),
        (Outcome::Stands, None) => TestCaseStatus::success(),
        (Outcome::WalkedBack, None) => {
            failed("walked back", tested.reason.clone(), tested.claim.quantity())
        }
        (Outcome::Untested, None) => skipped(tested.reason.clone()),
    };
    case(format!("{number}: {}", tested.claim.claim), 0.0, status)
}

fn cases(run: &RunResult, is_baseline: bool) -> Vec<TestCase> {
    let seconds: f64 = run.metrics.iter().map(|m| m.seconds.0).filter(|s| s.is_finite()).sum();
    let trained = match standing(run) {
        "finished" => TestCaseStatus::success(),
        "running" => skipped(state(run)),
        kind => error(kind, state(run)),
    };
    let judged: [(&str, Judge); 3] = [
        ("growth", |a| judge(a, &a.diagnostics.growth, "scale", "above")),
        ("reference", |a| judge(a, &a.diagnostics.reference, "reference", "below")),
        ("depth utility", |a| judge(a, &a.diagnostics.depth_utility, "depth utility", "below")),
    ];
    let judged = judged.into_iter().map(|(name, judge)| {
        let status = match &run.audit {
            None => skipped(format!("not evaluated: {}", state(run))),
            Some(_) if is_baseline => skipped("a baseline: no verdict is due"),
            Some(audit) => judge(audit),
        };
        case(format!("{}: {name}", run.name), 0.0, status)
    });
    let learned =
        run.audit.as_ref().and_then(|audit| Some((audit, audit.learned_credit.as_ref()?)));
    let learned = learned.map(|(audit, found)| {
        let status = match found.decisive() {
            Some(twin) if does_as_well(&[twin.gain.0]) => judge_learned(audit),
            Some(_) => TestCaseStatus::success(),
            None => skipped("not evaluated: no twin with shuffled targets"),
        };
        case(format!("{}: learned credit", run.name), 0.0, status)
    });
    std::iter::once(case(training(&run.name), seconds, trained))
        .chain(judged)
        .chain(learned)
        .collect()
}

fn judge_learned(audit: &Audit) -> TestCaseStatus {
    let said = audit.reasons.iter().find(|reason| reason.starts_with("Learned credit: "));
    let message = said.cloned().unwrap_or_else(|| "A twin does as well.".into());
    failed("no gain", message, audit.reasons.join("\n"))
}

type Judge = fn(&Audit) -> TestCaseStatus;

/// `topic` is what the head of the reason names, `side` where a firing value lies.
fn judge<D>(audit: &Audit, found: &Finding<D>, topic: &str, side: &str) -> TestCaseStatus {
    match found.status {
        Status::Passed => TestCaseStatus::success(),
        Status::Fired => {
            let named = |reason: &&String| {
                let head = reason.split(':').next().unwrap_or_default();
                head.to_lowercase().ends_with(topic)
            };
            let message = audit.reasons.iter().find(named).cloned().unwrap_or_else(|| {
                let value = found.value.map_or(f64::NAN, |v| v.0);
                format!("{} is {side} {}.", short(value), plain(found.threshold.0))
            });
            failed("fired", message, audit.reasons.join("\n"))
        }
        Status::Inconclusive | Status::NotEvaluated => skipped(format!(
            "{}: {}",
            found.status,
            found.reason.as_deref().unwrap_or("no reason was recorded")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{bridges, claiming, empty, study, troubled};
    use roxmltree::{Document, Node};

    fn count(node: Node, name: &str) -> usize {
        node.descendants().filter(|n| n.has_tag_name(name)).count()
    }

    fn number(node: Node, attribute: &str) -> usize {
        node.attribute(attribute).and_then(|v| v.parse().ok()).expect("a count")
    }

    fn suite<'a>(document: &'a Document, name: &str) -> Node<'a, 'a> {
        let mut suites = document.descendants().filter(|n| n.has_tag_name("testsuite"));
        suites.find(|n| n.attribute("name") == Some(name)).expect("a suite of that name")
    }

    #[test]
    fn the_counts_are_those_of_the_cases() {
        for study in [study(), troubled(), empty()] {
            let text = write(&study).unwrap();
            let document = Document::parse(&text).unwrap();
            let counted = |n: &Node| n.has_tag_name("testsuite") || n.has_tag_name("testsuites");
            for node in document.descendants().filter(counted) {
                assert_eq!(number(node, "tests"), count(node, "testcase"));
                assert_eq!(number(node, "failures"), count(node, "failure"));
                assert_eq!(number(node, "errors"), count(node, "error"));
                assert_eq!(number(node, "skipped"), count(node, "skipped"));
            }
            let cases = 4 * study.runs.len() + study.missing.len();
            assert_eq!(count(document.root(), "testcase"), cases);
        }
    }

    #[test]
    fn what_fires_fails_with_its_reason_and_a_baseline_never_does() {
        let text = write(&study()).unwrap();
        let document = Document::parse(&text).unwrap();
        let numbers = |name| {
            let suite = suite(&document, name);
            ["tests", "failures", "errors", "skipped"].map(|a| number(suite, a))
        };
        assert_eq!(numbers("bp"), [12, 0, 0, 0]);
        assert_eq!(numbers("dfa"), [12, 9, 0, 0]);
        assert_eq!(numbers("dfa λ=0.01"), [12, 3, 0, 0]);
        assert_eq!(numbers("frozen(dfa)"), [12, 0, 0, 9]);
        let failures = suite(&document, "dfa").descendants().filter(|n| n.has_tag_name("failure"));
        let messages: Vec<_> = failures.filter_map(|n| n.attribute("message")).collect();
        for (message, head) in
            messages.iter().zip(["Mode 1, scale: ", "Mode 1, reference: ", "Depth utility: "])
        {
            assert!(message.starts_with(head), "{message}");
        }
    }

    #[test]
    fn a_learned_credit_is_a_case_that_fails_where_its_twin_does_as_well() {
        let text = write(&bridges()).unwrap();
        let document = Document::parse(&text).unwrap();
        let counts = |name| {
            let suite = suite(&document, name);
            let cases = suite.descendants().filter(|n| {
                n.attribute("name").is_some_and(|name| name.ends_with(": learned credit"))
            });
            cases.fold([0; 3], |[all, failed, skipped], case| {
                [all + 1, failed + count(case, "failure"), skipped + count(case, "skipped")]
            })
        };
        assert_eq!(counts("state-bridge"), [3, 0, 0]);
        assert_eq!(counts("credit-bridge"), [3, 3, 0]);
        assert_eq!(counts("credit-bridge λ=0.01"), [3, 0, 3]);
        assert_eq!(counts("dfa"), [0; 3]);
    }

    #[test]
    fn a_claim_is_a_case_that_passes_fails_or_is_skipped() {
        let text = write(&claiming(study())).unwrap();
        let document = Document::parse(&text).unwrap();
        let suite = suite(&document, "claims");
        let counts = ["tests", "failures", "errors", "skipped"].map(|a| number(suite, a));
        assert_eq!(counts, [3, 1, 0, 1]);
        let failure = suite.descendants().find(|n| n.has_tag_name("failure")).unwrap();
        let message = failure.attribute("message").unwrap();
        assert!(message.starts_with("Growth of dfa: ") && message.contains("(n=3)"), "{message}");
    }

    #[test]
    fn a_run_that_broke_is_an_error_and_one_that_goes_on_is_skipped() {
        let text = write(&troubled()).unwrap();
        let document = Document::parse(&text).unwrap();
        let bp = suite(&document, "bp");
        let kinds: Vec<_> = bp
            .descendants()
            .filter(|n| n.has_tag_name("error"))
            .filter_map(|n| n.attribute("type"))
            .collect();
        assert_eq!(kinds, ["failed", "interrupted"]);
        // Three diagnostics of three runs without an audit, and the training that goes on.
        assert_eq!(number(bp, "skipped"), 10);
        assert_eq!(number(suite(&document, "not begun"), "skipped"), 1);
        let dfa = suite(&document, "dfa");
        assert_eq!([number(dfa, "failures"), number(dfa, "errors")], [2, 1]);
    }
}
