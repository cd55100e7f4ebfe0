//! What a run is: the keys that must agree for its numbers to be comparable with a baseline's.

use crate::study::results::RunResult;
use crate::verdict::PROTOCOL;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A run's resolved configuration without where it ran, and `protocol` and `data.sha256`.
pub type Setting = BTreeMap<String, Value>;

/// Keys that say where a run goes on and what it keeps.
const PLACE: [&str; 6] =
    ["data_dir", "checkpoint_epochs", "device", "backend", "threads", "matmul_precision"];

/// Runs that differ in one of these are not compared: their numbers mean something else. A
/// difference in any other key is a breach, beside those in the numbers.
const COMPARABLE: [(&str, &[&str]); 3] = [
    (
        "protocol",
        &[
            "protocol",
            "measure",
            "probe_batches",
            "probe_batch_size",
            "control_samples",
            "null_draws",
            "perturbation_directions",
            "perturbation_epsilon",
            "nudge_step",
            "descent_step",
        ],
    ),
    (
        "architecture",
        &[
            "arch",
            "width",
            "depth",
            "expansion",
            "terminal_norm",
            "residual_add",
            "patch",
            "heads",
            "mlp_ratio",
        ],
    ),
    ("data", &["dataset", "data_seed", "train_samples", "test_samples", "data.sha256"]),
];

/// What makes runs that differ in `key` incomparable: `protocol`, `architecture` or `data`.
pub fn incomparable(key: &str) -> Option<&'static str> {
    COMPARABLE.iter().find(|(_, keys)| keys.contains(&key)).map(|(what, _)| *what)
}

/// The setting of a run.
pub fn setting(run: &RunResult) -> Setting {
    let mut keys = keys(run);
    PLACE.iter().for_each(|key| drop(keys.remove(*key)));
    let protocol = run.audit.as_ref().map_or(PROTOCOL, |audit| &audit.protocol);
    keys.insert("protocol".into(), protocol.into());
    keys.insert("data.sha256".into(), run.record.provenance.data.sha256.clone().into());
    keys.into_iter().collect()
}

fn keys(run: &RunResult) -> Map<String, Value> {
    match serde_json::to_value(&run.record.config) {
        Ok(Value::Object(keys)) => keys,
        _ => unreachable!("a configuration is a map of keys"),
    }
}

/// The names of the runs, `dfa λ=0.01, seed 42`; where two would share one, the keys in which they
/// differ follow.
pub fn names(runs: &[RunResult]) -> Vec<String> {
    let plain = |run: &RunResult| {
        let config = &run.record.config;
        format!("{}, seed {}", config.label(), config.seed)
    };
    let name = |run: &RunResult| {
        let name = plain(run);
        let alike: Vec<_> = runs.iter().filter(|other| plain(other) == name).map(keys).collect();
        let differs = |key: &String, value: &Value| {
            key != "data_dir" && alike.iter().any(|other| other.get(key) != Some(value))
        };
        let own = keys(run).into_iter().filter(|(key, value)| differs(key, value));
        own.fold(name, |name, (key, value)| format!("{name}, {key}={}", word(&value)))
    };
    runs.iter().map(name).collect()
}

/// A key's value as it is typed.
pub fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::study::testing::{Sketch, study};

    #[test]
    fn every_key_that_forbids_a_comparison_is_a_key_of_runs() {
        let results = study(&[Sketch::audited(Method::Dfa, 1, 0.3, 2.0, 1e-3)]);
        let setting = setting(&results.runs[0]);
        for (what, keys) in COMPARABLE {
            for key in keys {
                assert!(setting.contains_key(*key), "{key}");
                assert_eq!(incomparable(key), Some(what));
            }
        }
        assert!(!setting.contains_key("backend") && setting.contains_key("rms_epsilon"));
    }

    #[test]
    fn runs_that_share_a_name_are_told_apart_by_what_differs() {
        let sketch = |epochs: usize| Sketch::new(Method::Dfa, 1, &vec![(0.3, 2.0, 1e-3); epochs]);
        assert_eq!(names(&study(&[sketch(1)]).runs), ["dfa, seed 1"]);
        let alike = names(&study(&[sketch(1), sketch(2)]).runs);
        assert_eq!(alike, ["dfa, seed 1, epochs=1", "dfa, seed 1, epochs=2"]);
    }
}
