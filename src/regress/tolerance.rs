//! How far a metric may move: rules of a baseline, of which the first that names a metric holds.
//!
//! | kind | a finite value x passes against the baseline's b where |
//! |---|---|
//! | `exact` | x = b |
//! | `absolute` | abs(x − b) ≤ by |
//! | `relative` | abs(x − b) ≤ by · abs(b): only the same value where b = 0 |
//! | `statistical` | x lies in the prediction interval of the baseline's own seeds |
//!
//! The statistical interval is the one in which a further seed of the same setting is expected with
//! the given confidence ([`prediction_interval`]): a run of the same seed that leaves it behaves
//! unlike any seed of the baseline. It is wide for few seeds (three: ±11.5 deviations at 99 %) and
//! sees no small change: it is for results, `absolute` and `relative` are for numerics.
//!
//! Words pass where they are the same, and so does what is not finite, whatever the kind.

use super::metrics::Value;
use crate::number::Number;
use crate::stats::{Interval, prediction_interval};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One entry of a baseline's `tolerances`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ToleranceRule {
    /// Patterns of metrics, in which `*` stands for anything.
    pub metrics: Vec<String>,
    /// Patterns of runs' names; empty for all.
    pub runs: Vec<String>,
    pub kind: ToleranceKind,
}

/// A tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ToleranceKind {
    Exact,
    Absolute(f64),
    Relative(f64),
    /// The confidence, between 0 and 1.
    Statistical(f64),
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    metrics: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<String>,
    kind: KindWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    Exact,
    Absolute,
    Relative,
    Statistical,
}

impl TryFrom<Written> for ToleranceRule {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { metrics, runs, kind, by, confidence } = written;
        if metrics.is_empty() {
            return Err("metrics: expected at least one pattern, such as \"cosine.*\"".into());
        }
        let kind = match (kind, by, confidence) {
            (KindWord::Exact, None, None) => ToleranceKind::Exact,
            (KindWord::Exact, ..) => return Err("an exact tolerance has no number".into()),
            (KindWord::Statistical, None, Some(c)) if 0.0 < c && c < 1.0 => {
                ToleranceKind::Statistical(c)
            }
            (KindWord::Statistical, ..) => {
                return Err("a statistical tolerance needs `confidence`, between 0 and 1, and \
                            nothing else"
                    .into());
            }
            (kind, Some(by), None) if by.is_finite() && by >= 0.0 => match kind {
                KindWord::Absolute => ToleranceKind::Absolute(by),
                _ => ToleranceKind::Relative(by),
            },
            _ => {
                return Err(
                    "an absolute or relative tolerance needs `by`, 0 or more, and nothing \
                            else"
                        .into(),
                );
            }
        };
        Ok(Self { metrics, runs, kind })
    }
}

impl From<ToleranceRule> for Written {
    fn from(rule: ToleranceRule) -> Self {
        let (kind, by, confidence) = match rule.kind {
            ToleranceKind::Exact => (KindWord::Exact, None, None),
            ToleranceKind::Absolute(by) => (KindWord::Absolute, Some(by), None),
            ToleranceKind::Relative(by) => (KindWord::Relative, Some(by), None),
            ToleranceKind::Statistical(confidence) => {
                (KindWord::Statistical, None, Some(confidence))
            }
        };
        Self { metrics: rule.metrics, runs: rule.runs, kind, by, confidence }
    }
}

impl ToleranceRule {
    /// Whether this rule is about the `metric` of the run named `run`.
    pub fn holds_for(&self, metric: &str, run: &str) -> bool {
        self.metrics.iter().any(|pattern| matches(pattern, metric))
            && (self.runs.is_empty() || self.runs.iter().any(|pattern| matches(pattern, run)))
    }
}

impl ToleranceRule {
    /// What a new baseline gets: room for what rounding does to runs of a few epochs, a hundredfold
    /// of what `configs/regression/README.md` measures; ranks have twentyfold, ρ in f32 tenfold, and
    /// accuracies a few samples of a thousand.
    pub fn of_rounding() -> Vec<Self> {
        let rule = |metrics: &[&str], kind| Self {
            metrics: metrics.iter().copied().map(Into::into).collect(),
            runs: Vec::new(),
            kind,
        };
        let between_minus_one_and_one = [
            "cosine*",
            "training.cosine.*",
            "stability",
            "control.aggregation.*",
            "control.clamp.*",
            "control.common_mode.*",
            "control.descent.*",
            "control.null.*",
            "control.nudging.*",
            "control.perturbation.*",
        ];
        vec![
            rule(&["*.threshold", "epochs", "stability.batches"], ToleranceKind::Exact),
            rule(&["accuracy", "training.*_accuracy"], ToleranceKind::Absolute(0.002)),
            rule(&["depth_utility"], ToleranceKind::Absolute(0.3)),
            rule(&["control.perturbation_f32.*"], ToleranceKind::Absolute(0.01)),
            rule(&between_minus_one_and_one, ToleranceKind::Absolute(1e-4)),
            rule(&["*"], ToleranceKind::Relative(1e-4)),
        ]
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(passed) = last.replace(part) {
            match rest.find(passed) {
                Some(at) => rest = &rest[at + passed.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

impl ToleranceKind {
    /// Where a finite value may lie beside the `baseline`'s; `pool` are the values of the baseline's
    /// seeds of the same setting. Bounds that are NaN admit nothing.
    pub fn limits(self, baseline: f64, pool: &[f64]) -> Interval {
        let around = |half: f64| Interval { low: baseline - half, high: baseline + half };
        match self {
            Self::Exact => around(0.0),
            Self::Absolute(by) => around(by),
            Self::Relative(by) => around(by * baseline.abs()),
            Self::Statistical(confidence) => prediction_interval(pool, confidence)
                .unwrap_or(Interval { low: f64::NAN, high: f64::NAN }),
        }
    }

    /// Whether `found` passes.
    pub fn admits(self, baseline: &Value, found: &Value, pool: &[f64]) -> bool {
        match (baseline.number(), found.number()) {
            (Some(b), Some(x)) if b.is_finite() && x.is_finite() => {
                let Interval { low, high } = self.limits(b, pool);
                low <= x && x <= high
            }
            _ => baseline.is(found),
        }
    }
}

/// `± 0.01`, `± 0.1 %`, `exact`, `99 % of seeds`.
impl fmt::Display for ToleranceKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = |share: f64| Number((share * 1e10).round() / 1e8).0;
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Absolute(by) => write!(f, "± {by}"),
            Self::Relative(by) => write!(f, "± {} %", percent(*by)),
            Self::Statistical(confidence) => write!(f, "{} % of seeds", percent(*confidence)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(v: f64) -> Value {
        Value::Number(Number(v))
    }

    fn rule(text: &str) -> Result<ToleranceRule, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, holds) in [
            ("cosine", "cosine", true),
            ("cosine", "cosine.h_0", false),
            ("cosine*", "cosine", true),
            ("cosine.*", "cosine.h_0", true),
            ("*.status", "growth.status", true),
            ("*.status", "status", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("aa*aa", "aaa", false),
            ("a*b*b", "ab", false),
            ("a*bc*c", "abc", false),
            ("*ab", "aab", true),
            ("", "", true),
            ("", "x", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), holds, "{pattern} {text}");
        }
    }

    #[test]
    fn a_new_baseline_leaves_each_metric_what_rounding_needs() {
        use ToleranceKind::{Absolute, Exact, Relative};
        let rules = ToleranceRule::of_rounding();
        for (metric, kind) in [
            ("growth.threshold", Exact),
            ("epochs", Exact),
            ("training.test_accuracy", Absolute(0.002)),
            ("depth_utility", Absolute(0.3)),
            ("cosine.h_0", Absolute(1e-4)),
            ("control.perturbation.h_1.credit", Absolute(1e-4)),
            ("control.perturbation_f32.h_1.credit", Absolute(0.01)),
            ("growth", Relative(1e-4)),
        ] {
            let rule = rules.iter().find(|rule| rule.holds_for(metric, "dfa, seed 1"));
            assert_eq!(rule.map(|rule| rule.kind), Some(kind), "{metric}");
        }
    }

    #[test]
    fn each_kind_admits_up_to_its_limit_and_no_more() {
        let admits = |kind: ToleranceKind, b: f64, x: f64| kind.admits(&number(b), &number(x), &[]);
        assert!(
            admits(ToleranceKind::Exact, 0.1, 0.1) && !admits(ToleranceKind::Exact, 0.1, 0.1000001)
        );
        assert!(
            admits(ToleranceKind::Absolute(0.5), 1.0, 1.5)
                && !admits(ToleranceKind::Absolute(0.5), 1.0, 1.51)
        );
        assert!(
            admits(ToleranceKind::Relative(0.5), -2.0, -3.0)
                && !admits(ToleranceKind::Relative(0.5), -2.0, -3.1)
        );
        assert!(
            admits(ToleranceKind::Relative(0.5), 0.0, 0.0)
                && !admits(ToleranceKind::Relative(0.5), 0.0, 1e-9)
        );
        // 2 ± 4.968 from the seeds 1, 2 and 3, whichever of them is asked about.
        let kind = ToleranceKind::Statistical(0.95);
        let admits = |x: f64| kind.admits(&number(1.0), &number(x), &[1.0, 2.0, 3.0]);
        assert!(admits(6.96) && admits(-2.96) && !admits(6.97) && !admits(-2.97));
        assert!(!kind.admits(&number(1.0), &number(1.0), &[1.0]), "one seed admits nothing");
    }

    #[test]
    fn what_is_not_finite_passes_as_what_it_is_alone() {
        let (nan, inf) = (number(f64::NAN), number(f64::INFINITY));
        for kind in [
            ToleranceKind::Exact,
            ToleranceKind::Absolute(1e300),
            ToleranceKind::Relative(1.0),
            ToleranceKind::Statistical(0.9),
        ] {
            assert!(kind.admits(&nan, &nan, &[]) && kind.admits(&inf, &inf, &[]));
            for (b, x) in [(&nan, &inf), (&inf, &nan), (&inf, &number(-f64::INFINITY))] {
                assert!(!kind.admits(b, x, &[1.0, 2.0]));
            }
            for odd in [&nan, &inf] {
                assert!(!kind.admits(odd, &number(1.0), &[1.0, 2.0]));
                assert!(!kind.admits(&number(1.0), odd, &[1.0, 2.0]));
            }
        }
        // A seed that exploded leaves nothing to hold the others against.
        let pool = [1.0, f64::INFINITY];
        assert!(!ToleranceKind::Statistical(0.9).admits(&number(1.0), &number(1.0), &pool));
    }

    #[test]
    fn words_pass_where_they_are_the_same() {
        let word = |w: &str| Value::Word(w.into());
        assert!(ToleranceKind::Relative(9.0).admits(&word("passed"), &word("passed"), &[]));
        assert!(!ToleranceKind::Relative(9.0).admits(&word("passed"), &word("fired"), &[]));
        assert!(!ToleranceKind::Relative(9.0).admits(&word("passed"), &number(1.0), &[]));
    }

    #[test]
    fn a_rule_that_means_nothing_is_refused() {
        for (text, part) in [
            (r#"{"metrics": [], "kind": "exact"}"#, "at least one pattern"),
            (r#"{"metrics": ["*"], "kind": "exact", "by": 1}"#, "no number"),
            (r#"{"metrics": ["*"], "kind": "relative"}"#, "needs `by`"),
            (r#"{"metrics": ["*"], "kind": "absolute", "by": -1}"#, "needs `by`"),
            (r#"{"metrics": ["*"], "kind": "absolute", "by": 1, "confidence": 0.9}"#, "needs `by`"),
            (r#"{"metrics": ["*"], "kind": "statistical", "confidence": 1}"#, "`confidence`"),
            (r#"{"metrics": ["*"], "kind": "statistical", "by": 1}"#, "`confidence`"),
            (r#"{"metrics": ["*"], "kind": "fuzzy"}"#, "unknown variant"),
            (r#"{"metrics": ["*"], "kind": "exact", "runz": []}"#, "unknown field"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let text = r#"{"metrics":["a*"],"runs":["dfa*"],"kind":"relative","by":0.001}"#;
        let found = rule(text).unwrap();
        assert!(found.holds_for("ab", "dfa, seed 1") && !found.holds_for("ab", "fa, seed 1"));
        assert_eq!(serde_json::to_string(&found).unwrap(), text);
        assert_eq!(found.kind.to_string(), "± 0.1 %");
        let absolute = rule(r#"{"metrics": ["*"], "kind": "absolute", "by": 0.5}"#).unwrap();
        assert_eq!(absolute.kind, ToleranceKind::Absolute(0.5));
    }
}
