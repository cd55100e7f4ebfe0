//! What is compared of a run: everything that `run.json` and `verdict.json` say of it that the same
//! code, seed and data say again. Times, paths and sentences are left out.
//!
//! | metric | what it is |
//! |---|---|
//! | `status`, `diverged`, `epochs` | how the training ended |
//! | `training.*` | the last epoch, as the training recorded it |
//! | `accuracy`, `verdict` | the audit |
//! | `growth`, `reference`, `stability`, `depth_utility` | each diagnostic, with its `.status` and `.threshold` |
//! | `growth.block_l`, `hidden_norm.h_l`, `reference.h_l`, `cosine.h_l` | by block and layer |
//! | `control.*` | the controls, where they were computed |

use crate::diagnostics::controls::{Controls, LAYERED};
use crate::number::Number;
use crate::study::results::RunResult;
use crate::train::run_dir::EpochMetrics;
use crate::verdict::{Audit, Finding};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A number, or a word such as a status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, \"nan\", \"inf\", \"-inf\" or another word")]
pub enum Value {
    Number(Number),
    Word(String),
}

/// The metrics of a run by name.
pub type Metrics = BTreeMap<String, Value>;

/// Which way a metric gets better, where one way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
    /// It only changes.
    Neither,
}

/// Which way is better. A threshold, a norm or a cosine that moved is a change, whichever way.
pub fn better(metric: &str) -> Better {
    match metric {
        "accuracy" | "depth_utility" | "training.train_accuracy" | "training.test_accuracy" => {
            Better::Higher
        }
        "training.train_loss" | "training.test_loss" => Better::Lower,
        _ => Better::Neither,
    }
}

impl Value {
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number.0),
            Self::Word(_) => None,
        }
    }

    /// Whether the two are the same to the bit, where all NaN are one.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.0 == b.0 || a.0.is_nan() && b.0.is_nan(),
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Number(number) => f.pad(&six_digits(number.0)),
            Self::Word(word) => f.pad(word),
        }
    }
}

/// Six significant digits: `0.123457`, `1234.57`, `4.20000e-9`.
pub(crate) fn six_digits(value: f64) -> String {
    match value {
        v if !v.is_finite() => crate::number::text(v),
        0.0 => "0".into(),
        v if (1e-3..1e6).contains(&v.abs()) => {
            let decimals = (5 - v.abs().log10().floor() as i32).clamp(0, 8) as usize;
            format!("{v:.decimals$}")
        }
        v => format!("{v:.5e}"),
    }
}

/// All metrics of a run. What was not evaluated has no value, only its status.
pub fn metrics(run: &RunResult) -> Metrics {
    let mut found = Collected::default();
    let record = &run.record;
    found.word("status", format!("{:?}", record.status).to_lowercase());
    let diverged = record.diverged.as_ref();
    let diverged = diverged.map(|d| format!("{} in epoch {}", d.quantity, d.epoch));
    found.word("diverged", diverged.unwrap_or_else(|| "no".into()));
    found.count("epochs", record.epoch);
    if let Some(last) = &record.last {
        found.training(last);
    }
    if let Some(audit) = &run.audit {
        found.audit(audit);
        if let Some(controls) = &audit.controls {
            found.controls(controls);
        }
    }
    found.0
}

#[derive(Default)]
struct Collected(Metrics);

impl Collected {
    fn number(&mut self, name: impl Into<String>, value: Number) {
        self.0.insert(name.into(), Value::Number(value));
    }

    fn some(&mut self, name: &str, value: Option<Number>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    fn count(&mut self, name: &str, value: usize) {
        self.number(name, Number(value as f64));
    }

    fn word(&mut self, name: impl Into<String>, word: impl Into<String>) {
        self.0.insert(name.into(), Value::Word(word.into()));
    }

    /// `name.h_0` … `name.h_L`.
    fn layers(&mut self, name: &str, values: impl IntoIterator<Item = Number>) {
        for (l, value) in values.into_iter().enumerate() {
            self.number(format!("{name}.h_{l}"), value);
        }
    }

    fn blocks(&mut self, name: &str, values: impl IntoIterator<Item = Number>) {
        for (l, value) in values.into_iter().enumerate() {
            self.number(format!("{name}.block_{l}"), value);
        }
    }

    fn training(&mut self, last: &EpochMetrics) {
        self.number("training.train_loss", last.train_loss);
        self.number("training.train_accuracy", last.train_accuracy);
        self.number("training.test_loss", last.test_loss);
        self.number("training.test_accuracy", last.test_accuracy);
        self.some("training.growth", last.growth);
        self.layers("training.hidden_norm", last.hidden_norms.iter().copied());
        self.layers("training.reference", last.gradient_norms.iter().copied());
        self.layers("training.cosine", last.cosine.iter().copied());
    }

    fn audit(&mut self, audit: &Audit) {
        self.some("accuracy", audit.accuracy);
        self.word("verdict", audit.verdict.to_string());
        let found = &audit.diagnostics;
        self.diagnostic("growth", &found.growth);
        self.blocks("growth", found.growth.detail.per_block.iter().copied());
        self.layers("hidden_norm", found.growth.detail.hidden_norms.iter().copied());
        self.diagnostic("reference", &found.reference);
        self.layers("reference", found.reference.detail.per_layer.iter().copied());
        self.diagnostic("stability", &found.stability);
        self.count("stability.batches", found.stability.detail.batches);
        self.diagnostic("depth_utility", &found.depth_utility);
        self.some("cosine", audit.cosine.aggregate);
        self.layers("cosine", audit.cosine.detail.per_layer.iter().copied());
        self.word("cosine.interpretable", yes_or_no(audit.cosine.interpretable));
    }

    fn diagnostic<D>(&mut self, name: &str, found: &Finding<D>) {
        self.some(name, found.value);
        self.word(format!("{name}.status"), found.status.to_string());
        self.number(format!("{name}.threshold"), found.threshold);
    }

    fn controls(&mut self, controls: &Controls) {
        if let Some(null) = controls.null.found() {
            self.layers("control.null.low", null.per_layer.iter().map(|l| l.low));
            self.layers("control.null.high", null.per_layer.iter().map(|l| l.high));
            self.layers("control.null.p", null.per_layer.iter().filter_map(|l| l.p));
        }
        let perturbations = [("", &controls.perturbation), ("_f32", &controls.perturbation_f32)];
        for (precision, control) in perturbations {
            if let Some(found) = control.found() {
                let name = |of: &str| format!("control.perturbation{precision}.{of}");
                self.layers(&name("credit"), found.per_layer.iter().map(|l| l.credit));
                self.layers(&name("gradient"), found.per_layer.iter().map(|l| l.gradient));
            }
        }
        if let Some(nudging) = controls.nudging.found() {
            self.layers("control.nudging.credit", nudging.per_layer.iter().map(|l| l.credit));
            self.layers("control.nudging.gradient", nudging.per_layer.iter().map(|l| l.gradient));
        }
        if let Some(descent) = controls.descent.found() {
            self.blocks("control.descent.ratio", descent.per_block.iter().map(|b| b.ratio));
            self.blocks("control.descent.cosine", descent.per_block.iter().map(|b| b.cosine));
        }
        if let Some(shadow) = controls.shadow.found() {
            self.layers("control.shadow.norm", shadow.per_layer.iter().map(|l| l.norm_f64));
            self.layers("control.shadow.cosine", shadow.per_layer.iter().map(|l| l.cosine));
        }
        if let Some(common) = controls.common_mode.found() {
            self.layers(
                "control.common_mode.energy",
                common.per_layer.iter().map(|l| l.mean_energy),
            );
            self.layers(
                "control.common_mode.cosine",
                common.per_layer.iter().map(|l| l.pairwise_cosine),
            );
        }
        if let Some(clamp) = controls.clamp.found() {
            self.layers("control.clamp.under", clamp.per_layer.iter().map(|l| l.under));
        }
        if let Some(aggregation) = controls.aggregation.found() {
            self.number("control.aggregation.lowest", aggregation.lowest);
            self.number("control.aggregation.highest", aggregation.highest);
            self.word("control.aggregation.sign_flip", yes_or_no(aggregation.sign_flip));
        }
        if let Some(ranks) = controls.rank.found() {
            for matrix in &ranks.matrices {
                self.number(format!("control.rank.{}", matrix.matrix), matrix.effective);
            }
        }
        for listed in LAYERED {
            for (quantity, values) in (listed.of)(controls).found().into_iter().flatten() {
                let name = format!("control.{}.{quantity}", listed.key);
                self.layers(&name, values.iter().copied());
            }
        }
    }
}

fn yes_or_no(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_come_back_as_what_they_were() {
        for text in ["1.5", "-3.0", "\"nan\"", "\"inf\"", "\"-inf\"", "\"walked back\""] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(value.number().is_none(), text == "\"walked back\"", "{text}");
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
            assert!(value.is(&value));
        }
        let error = serde_json::from_str::<Value>("null").unwrap_err().to_string();
        assert!(error.contains("expected a number"), "{error}");
    }

    #[test]
    fn six_digits_are_shown_whatever_the_size() {
        for (value, text) in [
            (0.1234567, "0.123457"),
            (1234.5678, "1234.57"),
            (-2.0, "-2.00000"),
            (4.2e-9, "4.20000e-9"),
            (0.0, "0"),
            (7.0e8, "7.00000e8"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(six_digits(value), text);
        }
    }
}
