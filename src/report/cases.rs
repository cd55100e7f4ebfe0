//! What the JUnit reports of studies and of comparisons share.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The message is one line, the text all that is said.
pub(super) fn failed(kind: &str, message: String, text: String) -> TestCaseStatus {
    let mut status = broken(NonSuccessKind::Failure, kind, message);
    status.set_description(text);
    status
}

/// A case that could not be decided.
pub(super) fn error(kind: &str, message: String) -> TestCaseStatus {
    broken(NonSuccessKind::Error, kind, message)
}

fn broken(what: NonSuccessKind, kind: &str, message: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(what);
    status.set_type(kind).set_message(message);
    status
}

/// And why.
pub(super) fn skipped(why: impl Into<String>) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why.into());
    status
}

/// A case that took so many seconds.
pub(super) fn case(name: String, seconds: f64, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    case
}

/// Adds cases under one name; `report` says what the suite belongs to.
pub(super) fn add_suite(
    report: &mut Report,
    name: &str,
    cases: impl IntoIterator<Item = TestCase>,
) {
    let of = report.name.as_ref().map_or("", |of| of.as_str());
    let class = format!("{of}.{name}");
    let mut suite = TestSuite::new(name);
    suite.add_test_cases(cases.into_iter().map(|mut case| {
        case.set_classname(class.as_str());
        case
    }));
    report.add_test_suite(suite);
}
