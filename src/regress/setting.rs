//! What a run is: the keys that must agree for its numbers to be comparable with a baseline's.

use crate::config::Config;
use crate::config::keys::{Comparison, Role, Value as KeyValue, key};
use crate::study::results::RunResult;
use crate::verdict::PROTOCOL;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A run's resolved configuration without where it ran, and `protocol` and `data.sha256`.
pub type Setting = BTreeMap<String, Value>;

/// What is known of a run beside its configuration, and what makes runs that differ in it incomparable.
const BESIDE: [(&str, &str); 2] = [("protocol", "protocol"), ("data.sha256", "data")];

/// What makes runs that differ in `key` incomparable: `protocol`, `architecture` or `data`.
pub fn incomparable(name: &str) -> Option<&'static str> {
    match key(name).map(|key| key.role.comparison()) {
        Some(Comparison::Forbidden(what)) => Some(what),
        Some(Comparison::Breach | Comparison::Ignored) => None,
        None => BESIDE.iter().find(|(beside, _)| *beside == name).map(|(_, what)| *what),
    }
}

/// What a baseline's `setting` says of a run that is now `found`: without the keys that do not matter
/// to it, and with those that the baseline is older than, at what runs had then.
pub fn as_of(mut known: Setting, found: &Config) -> Setting {
    for later in found.keys_that_matter() {
        if let Some(value) = later.before_it_was_there()
            // A key that was left out does not stand in a setting.
            && value != KeyValue::Nothing
            && later.role.comparison() != Comparison::Ignored
        {
            known.entry(later.name.into()).or_insert_with(|| serde_json::json!(value));
        }
    }
    only_what_matters(known, found)
}

/// A setting without the keys that do not matter to the run of `config`.
pub fn only_what_matters(mut setting: Setting, config: &Config) -> Setting {
    setting.retain(|name, _| key(name).is_none_or(|key| key.matters(config)));
    setting
}

/// The setting of a run.
pub fn setting(run: &RunResult) -> Setting {
    let is_looked_at =
        |name: &str| key(name).is_none_or(|key| key.role.comparison() != Comparison::Ignored);
    let mut keys = keys(run);
    keys.retain(|name, _| is_looked_at(name));
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
        let is_private = |name: &str| key(name).is_some_and(|key| key.role == Role::Folder);
        let differs = |name: &String, value: &Value| {
            !is_private(name) && alike.iter().any(|other| other.get(name) != Some(value))
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
        let protocol = [
            "control_samples",
            "descent_step",
            "measure",
            "nudge_step",
            "null_draws",
            "perturbation_directions",
            "perturbation_epsilon",
            "probe_batch_size",
            "probe_batches",
            "protocol",
        ];
        let architecture = [
            "arch",
            "depth",
            "expansion",
            "heads",
            "mlp_ratio",
            "patch",
            "residual_add",
            "terminal_norm",
            "width",
        ];
        let data = ["data.sha256", "data_seed", "dataset", "test_samples", "train_samples"];
        let all: [(&str, &[&str]); 3] =
            [("protocol", &protocol), ("architecture", &architecture), ("data", &data)];
        for (what, keys) in all {
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
