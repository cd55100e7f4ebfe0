//! What a trace file says of the run in words: its metadata.

use super::array::Tokens;
use super::{LayerTrace, LossReduction};
use crate::number::Number;
use crate::shown;
use anyhow::{Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The layout that this version reads.
const VERSION: &str = "1";

/// The metadata of a trace. What is not there is `None`; keys that mean nothing here are left alone,
/// since writers add their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceInfo {
    pub method: Option<String>,
    pub arch: Option<String>,
    pub dataset: Option<String>,
    pub seed: Option<u64>,
    pub epoch: Option<u64>,
    /// Epochs that the run was planned for.
    pub epochs: Option<u64>,
    /// Test accuracies, as fractions.
    pub accuracy: Option<f64>,
    pub frozen_accuracy: Option<f64>,
    /// The norm before the head: `layernorm`, `none`.
    pub terminal_norm: Option<String>,
    /// Finite differences of the loss along the reference, layer by layer.
    pub reference_check: Vec<ReferenceCheck>,
    /// What the recorder concluded from them.
    pub reference_proved: Option<bool>,
    /// The layers whose credit trains a block; `None` where the protocol's, 0 … L−1.
    pub credit_trains: Option<Vec<usize>>,
    pub(super) loss_reduction: Option<LossReduction>,
    pub(super) tokens: Option<Tokens>,
}

/// How the loss changed where h_l was moved along ±ε g_l inside the forward pass.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReferenceCheck {
    pub layer: usize,
    /// Of the change against the predicted one.
    #[serde(default)]
    pub relative_error: Option<Number>,
    /// The change over the predicted one: 1 of a true gradient.
    pub ratio: Number,
}

impl TraceInfo {
    /// Of a file's metadata.
    ///
    /// # Errors
    /// Names the key without which this is no trace, or whose value is none.
    pub(super) fn new(metadata: &BTreeMap<String, String>) -> Result<Self> {
        let text = |key: &str| metadata.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
        let word = |key| text(key).map(shown::line);
        let fraction = |key| {
            text(key).map(|value| match value.parse::<f64>() {
                Ok(v) if (0.0..=1.0).contains(&v) => Ok(v),
                _ => refused(key, value, "a fraction from 0 to 1"),
            })
        };
        let count = |key| {
            text(key).map(|value| match value.parse::<u64>() {
                Ok(v) => Ok(v),
                Err(_) => refused(key, value, "a whole number from 0"),
            })
        };
        match text("fa_trace") {
            Some(VERSION) => {}
            Some(other) => {
                bail!("its layout is `fa_trace = {}`, expected {VERSION}", shown::line(other))
            }
            None => bail!(
                "its metadata have no `fa_trace = {VERSION}`: not a trace (a network's weights become a \
                 checkpoint with fa-audit import)"
            ),
        }
        let loss_reduction = match text("loss_reduction") {
            None => None,
            Some("mean") => Some(LossReduction::Mean),
            Some("sum") => Some(LossReduction::Sum),
            Some(other) => return refused("loss_reduction", other, "mean or sum"),
        };
        let tokens = match text("tokens") {
            None => None,
            Some("cls") => Some(Tokens::Cls),
            Some("mean") => Some(Tokens::Mean),
            Some(other) => return refused("tokens", other, "cls or mean"),
        };
        let reference_proved =
            match text("reference_proved").map(str::to_ascii_lowercase).as_deref() {
                None => None,
                Some("true" | "1") => Some(true),
                Some("false" | "0") => Some(false),
                Some(other) => return refused("reference_proved", other, "true or false"),
            };
        Ok(Self {
            reference_check: json(
                "reference_check",
                text("reference_check"),
                "a JSON list of {\"layer\": 0, \"ratio\": 1.0}",
            )?
            .unwrap_or_default(),
            reference_proved,
            credit_trains: json(
                "credit_trains",
                text("credit_trains"),
                "a JSON list of layers, such as [0, 1, 2]",
            )?,
            method: word("method"),
            arch: word("arch"),
            dataset: word("dataset"),
            seed: count("seed").transpose()?,
            epoch: count("epoch").transpose()?,
            epochs: count("epochs").transpose()?,
            accuracy: fraction("accuracy").transpose()?,
            frozen_accuracy: fraction("frozen_accuracy").transpose()?,
            terminal_norm: word("terminal_norm"),
            loss_reduction,
            tokens,
        })
    }
}

impl TraceInfo {
    /// Whether there were several tokens to choose from, and nothing said which.
    pub fn assumed_tokens(&self, layers: &LayerTrace) -> bool {
        self.tokens.is_none() && layers.tokens != "single"
    }
}

/// A value that is JSON.
fn json<T: DeserializeOwned>(key: &str, value: Option<&str>, expected: &str) -> Result<Option<T>> {
    match value.map(serde_json::from_str) {
        None => Ok(None),
        Some(Ok(found)) => Ok(Some(found)),
        Some(Err(_)) => refused(key, value.unwrap_or_default(), expected),
    }
}

fn refused<T>(key: &str, value: &str, expected: &str) -> Result<T> {
    bail!("metadata `{key}` is `{}`: expected {expected}", shown::line(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(pairs: &[(&str, &str)]) -> Result<TraceInfo> {
        let pairs = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        TraceInfo::new(&pairs.collect())
    }

    #[test]
    fn every_key_is_read_and_only_the_version_must_be_there() {
        let all = info(&[
            ("fa_trace", "1"),
            ("method", "dfa"),
            ("arch", "mlp"),
            ("dataset", "digits"),
            ("seed", "42"),
            ("epoch", "7"),
            ("epochs", "9"),
            ("accuracy", "0.5"),
            ("frozen_accuracy", "0.25"),
            ("terminal_norm", "none"),
            ("loss_reduction", "sum"),
            ("tokens", "mean"),
            ("reference_check", r#"[{"layer": 1, "relative_error": 1e-4, "ratio": 0.9999}]"#),
            ("reference_proved", "True"),
            ("credit_trains", "[0, 1]"),
            ("format", "pt"),
        ]);
        let expected = TraceInfo {
            method: Some("dfa".into()),
            arch: Some("mlp".into()),
            dataset: Some("digits".into()),
            seed: Some(42),
            epoch: Some(7),
            epochs: Some(9),
            accuracy: Some(0.5),
            frozen_accuracy: Some(0.25),
            terminal_norm: Some("none".into()),
            loss_reduction: Some(LossReduction::Sum),
            tokens: Some(Tokens::Mean),
            reference_check: vec![ReferenceCheck {
                layer: 1,
                relative_error: Some(Number(1e-4)),
                ratio: Number(0.9999),
            }],
            reference_proved: Some(true),
            credit_trains: Some(vec![0, 1]),
        };
        assert_eq!(all.unwrap(), expected);
        assert_eq!(info(&[("fa_trace", "1"), ("method", " ")]).unwrap(), TraceInfo::default());
    }

    #[test]
    fn a_value_that_is_none_is_named_with_its_key() {
        for (key, value, expected) in [
            ("accuracy", "93.1", "a fraction from 0 to 1"),
            ("accuracy", "nan", "a fraction"),
            ("frozen_accuracy", "high", "a fraction"),
            ("seed", "-1", "a whole number"),
            ("epoch", "1.5", "a whole number"),
            ("loss_reduction", "none", "mean or sum"),
            ("tokens", "last", "cls or mean"),
            ("reference_proved", "maybe", "true or false"),
            ("reference_check", "{}", "a JSON list"),
            ("credit_trains", "0, 1", "a JSON list"),
        ] {
            let error = info(&[("fa_trace", "1"), (key, value)]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(value), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        assert!(info(&[]).unwrap_err().to_string().contains("not a trace"));
        assert!(info(&[("fa_trace", "2")]).unwrap_err().to_string().contains("fa_trace = 2"));
    }
}
