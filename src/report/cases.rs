//! JUnit's elements: cases with one outcome each, in suites whose counts are those of their cases.

use super::xml::Element;

/// How a case ended.
pub(super) enum Outcome {
    Passed,
    /// The message is one line, the text all that is said.
    Failed {
        kind: &'static str,
        message: String,
        text: String,
    },
    /// And why.
    Skipped(String),
    /// The kind and the message.
    Broken(&'static str, String),
}

pub(super) struct Case {
    pub name: String,
    pub seconds: f64,
    pub outcome: Outcome,
}

/// Cases under one name.
pub(super) struct Suite {
    element: Element,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// The whole file.
pub(super) fn document(name: &str, suites: Vec<Suite>) -> String {
    let total = suites.iter().fold(Counts::default(), |sum, suite| sum.plus(&suite.counts));
    let root = total.onto(Element::new("testsuites").with("name", name));
    let root = root.all(suites.into_iter().map(|suite| suite.element));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{root}\n")
}

impl Suite {
    /// `of` is what the suite belongs to, such as a study.
    pub fn new(of: &str, name: &str, cases: Vec<Case>) -> Self {
        let counts = Counts::of(&cases);
        let class = format!("{of}.{name}");
        let suite = counts.onto(Element::new("testsuite").with("name", name));
        let element = suite.all(cases.into_iter().map(|case| case.element(&class)));
        Self { element, counts }
    }
}

impl Case {
    fn element(self, class: &str) -> Element {
        let case = Element::new("testcase")
            .with("classname", class)
            .with("name", self.name)
            .with("time", format!("{:.3}", self.seconds));
        match self.outcome {
            Outcome::Passed => case,
            Outcome::Failed { kind, message, text } => case.add(
                Element::new("failure").with("type", kind).with("message", message).text(text),
            ),
            Outcome::Skipped(why) => case.add(Element::new("skipped").with("message", why)),
            Outcome::Broken(kind, message) => {
                case.add(Element::new("error").with("type", kind).with("message", message))
            }
        }
    }
}

impl Counts {
    fn of(cases: &[Case]) -> Self {
        let count = |test: fn(&Outcome) -> bool| cases.iter().filter(|c| test(&c.outcome)).count();
        Self {
            tests: cases.len(),
            failures: count(|o| matches!(o, Outcome::Failed { .. })),
            errors: count(|o| matches!(o, Outcome::Broken(..))),
            skipped: count(|o| matches!(o, Outcome::Skipped(_))),
        }
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
        }
    }

    fn onto(&self, element: Element) -> Element {
        element
            .with("tests", self.tests)
            .with("failures", self.failures)
            .with("errors", self.errors)
            .with("skipped", self.skipped)
    }
}
