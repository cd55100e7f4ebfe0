//! From what was written (files, `--set`, flags) to a [`Config`]: layers of keys over the
//! published defaults, the later layer winning, each mistake reported with its key and its layer.

use super::keys::{KEYS, Key, Role, Value as KeyValue, key};
use super::{Arch, BackendName, Config, validate::validate};
use crate::data::DatasetKind;
use crate::failure::usage;
use crate::files::{read_text, sha256};
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// Keys from one place.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// Where they come from, for error messages: a file name, `--set`, `the command line`.
    pub source: String,
    pub keys: Table,
}

impl Layer {
    /// An empty layer.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), keys: Table::new() }
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not TOML (with line and column).
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = read_text(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let keys = text.parse::<Table>().map_err(|e| {
            usage(format!("{} is not valid TOML: {}", path.display(), one_line(&e.to_string())))
        })?;
        Ok(Self { source: path.display().to_string(), keys })
    }

    /// As [`Layer::from_file`], of a file that the program wrote: a key that it does not have is one
    /// that came later, and is what it was then, whatever its default is now.
    ///
    /// # Errors
    /// As [`Layer::from_file`].
    pub fn from_artefact(path: &Path) -> Result<Self> {
        let mut layer = Self::from_file(path)?;
        for key in KEYS {
            if let Some(value) = key.before_it_was_there()
                && value != KeyValue::Nothing
                && !layer.keys.contains_key(key.name)
            {
                let value = Value::try_from(value).context("a value of a key")?;
                layer.keys.insert(key.name.into(), value);
            }
        }
        Ok(layer)
    }

    /// The keys of `assignments`, each a `--set key=value`.
    ///
    /// # Errors
    /// As [`Layer::set`].
    pub fn of_assignments(assignments: &[String]) -> Result<Self> {
        let mut set = Self::new("--set");
        assignments.iter().try_for_each(|assignment| set.set(assignment))?;
        Ok(set)
    }

    /// Adds `key=value`, the value read as TOML, or as a plain string where it is none.
    ///
    /// # Errors
    /// If there is no `=`.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(usage(format!("--set {assignment}: expected key=value")));
        };
        let value = format!("v = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| Value::String(text.into()));
        self.keys.insert(key.trim().into(), value);
        Ok(())
    }
}

/// The configuration that `layers`, the later over the earlier, make of the published defaults.
///
/// # Errors
/// A usage error that names layer, key and what was expected: unknown keys (with the nearest known
/// one), wrong types, values out of range, combinations that mean nothing.
pub fn resolve(layers: &[Layer]) -> Result<Config> {
    let arch = last(layers, "arch")?.unwrap_or(Arch::ResMlp);
    let dataset = last(layers, "dataset")?.unwrap_or(DatasetKind::Synthetic);
    let defaults = Config::published(arch, dataset);
    let mut table = Table::try_from(&defaults).context("the default configuration")?;
    for layer in layers {
        for (name, value) in &layer.keys {
            if key(name).is_none() {
                return Err(unknown_key(&layer.source, name));
            }
            table.insert(name.clone(), value.clone());
        }
    }
    follow_the_device(&mut table, layers);
    integers_as_floats(&mut table, &defaults);
    let mut config: Config = serde_path_to_error::deserialize(table.clone()).map_err(|e| {
        let path = e.path().to_string();
        let source = source_of(layers, &path);
        // Serde speaks of Rust's types.
        let problem = match (key(&path), table.get(&path)) {
            (Some(key), Some(value)) => {
                format!(
                    "{} is not valid, expected {}",
                    one_line(&value.to_string()),
                    key.range.wanted()
                )
            }
            _ => one_line(&e.inner().to_string()),
        };
        usage(format!("{source}: {path}: {problem}"))
    })?;
    validate(&config)
        .map_err(|e| usage(format!("{}: {}: {}", source_of(layers, e.key), e.key, e.problem)))?;
    name_frozen_network(&mut config).map_err(|e| {
        usage(format!("{}: frozen_network: {e:#}", source_of(layers, "frozen_network")))
    })?;
    Ok(config)
}

/// A run is named by the bytes of the network that it stands on, not by where they lie.
fn name_frozen_network(config: &mut Config) -> Result<()> {
    if let (Some(path), None) = (&config.frozen_network, &config.frozen_network_sha256) {
        let digest = sha256(path)
            .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
        config.frozen_network_sha256 = Some(digest);
    }
    Ok(())
}

fn last<T: DeserializeOwned>(layers: &[Layer], key: &str) -> Result<Option<T>> {
    let Some(layer) = layers.iter().rev().find(|l| l.keys.contains_key(key)) else {
        return Ok(None);
    };
    let word = layer.keys[key].clone();
    word.try_into()
        .map(Some)
        .map_err(|e| usage(format!("{}: {key}: {}", layer.source, one_line(&e.to_string()))))
}

fn source_of<'a>(layers: &'a [Layer], key: &str) -> &'a str {
    let layer = layers.iter().rev().find(|l| l.keys.contains_key(key));
    layer.map_or("the configuration", |l| &l.source)
}

fn unknown_key(source: &str, name: &str) -> anyhow::Error {
    let hint =
        nearest_key(name).map_or(String::new(), |known| format!("; did you mean `{known}`?"));
    usage(format!("{source}: unknown key `{name}`{hint}"))
}

/// Refuses a key that one of `layers` sets and that does nothing for the data of `config`: whoever
/// sets it believes in another experiment.
///
/// # Errors
/// A usage error that names layer, key and data.
pub fn refuse_idle_keys(layers: &[Layer], config: &Config) -> Result<()> {
    for layer in layers {
        if let Some(key) = idle_keys(config).find(|key| layer.keys.contains_key(key.name)) {
            return Err(usage(format!(
                "{}: {} = {} does nothing on {}: leave it out",
                layer.source,
                key.name,
                key.value(config),
                config.dataset
            )));
        }
    }
    Ok(())
}

/// Leaves the keys that do nothing for its data at their defaults: a study's shared keys may be for
/// others of its runs.
pub fn without_idle_keys(mut config: Config) -> Config {
    let published = Config::published(config.arch, config.dataset);
    for key in idle_keys(&config.clone()) {
        (key.copy)(&mut config, &published);
    }
    config
}

/// The keys of the data that do not matter to `config`, and are not at their defaults.
fn idle_keys(config: &Config) -> impl Iterator<Item = &'static Key> {
    let published = Config::published(config.arch, config.dataset);
    KEYS.iter().filter(move |key| {
        key.role == Role::Data && !key.matters(config) && key.value(config) != key.value(&published)
    })
}

/// The key whose name is nearest to `name`, if it is near.
pub fn nearest_key(name: &str) -> Option<&'static str> {
    let distance = |key: &'static str| (strsim::damerau_levenshtein(key, name), key);
    let near = KEYS.iter().map(|key| distance(key.name)).min();
    near.filter(|(distance, _)| *distance <= 3).map(|(_, key)| key)
}

/// `--device cuda` alone means the CUDA backend, as `--backend` alone means its device: `auto` is
/// left where neither was chosen.
fn follow_the_device(table: &mut Table, layers: &[Layer]) {
    let given = |key| layers.iter().any(|l| l.keys.contains_key(key));
    let is = |table: &Table, key: &str, word: &str| {
        table.get(key).and_then(Value::as_str).is_some_and(|s| s.starts_with(word))
    };
    if is(table, "device", "cuda") && !given("backend") {
        table.insert("backend".into(), BackendName::Cuda.word().into());
    } else if is(table, "backend", "cuda") && !given("device") {
        table.insert("device".into(), "cuda".into());
    } else if given("backend") && is(table, "device", "auto") {
        table.insert("device".into(), "cpu".into());
    }
}

/// `penalty = 0` is what a person writes for 0.0.
fn integers_as_floats(table: &mut Table, defaults: &Config) {
    for (name, value) in table.iter_mut() {
        let kind = key(name).map(|key| key.value(defaults));
        if let (Some(KeyValue::Real(_)), Value::Integer(i)) = (kind, &*value) {
            *value = Value::Float(*i as f64);
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;

    #[test]
    fn a_key_that_does_nothing_for_the_data_is_refused_unless_it_is_as_it_would_be_anyway() {
        let set = |text: &str| {
            let layers = [layer(text)];
            let config = resolve(&layers).unwrap();
            refuse_idle_keys(&layers, &config).map_err(|e| e.to_string())
        };
        assert_eq!(set("train_samples = 100"), Ok(()));
        assert_eq!(
            set("dataset = 'cifar10'\ntrain_samples = 100"),
            Err("test.toml: train_samples = 100 does nothing on cifar10: leave it out".into())
        );
        let default = resolve(&[]).unwrap().train_samples;
        assert_eq!(set(&format!("dataset = 'cifar10'\ntrain_samples = {default}")), Ok(()));
        let config = resolve(&[layer("dataset = 'cifar10'\ntrain_samples = 100")]).unwrap();
        assert_eq!(without_idle_keys(config.clone()).train_samples, default);
        assert_eq!(without_idle_keys(config.clone()).hash(), config.hash());
    }

    fn layer(text: &str) -> Layer {
        Layer { source: "test.toml".into(), keys: text.parse().unwrap() }
    }

    fn error(text: &str) -> String {
        resolve(&[layer(text)]).unwrap_err().to_string()
    }

    #[test]
    fn later_layers_win_and_the_architecture_brings_its_defaults() {
        let mut set = Layer::new("--set");
        set.set("penalty=1e-2").unwrap();
        set.set("method=dfa").unwrap();
        let config = resolve(&[layer("arch = 'vit-mini'\npenalty = 0"), set]).unwrap();
        assert_eq!((config.width, config.penalty, config.method), (128, 0.01, Method::Dfa));
    }

    #[test]
    fn a_mistake_names_layer_key_and_expectation() {
        assert_eq!(error("widht = 3"), "test.toml: unknown key `widht`; did you mean `width`?");
        let wide =
            "test.toml: width: \"wide\" is not valid, expected a whole number from 1 to 65536";
        assert_eq!(error("width = 'wide'"), wide);
        assert!(error("augment = 3").ends_with("augment: 3 is not valid, expected true or false"));
        assert!(error("method = 'magic'").contains("\"magic\" is not valid, expected bp, "));
        assert!(error("penalty = -1.0").starts_with("test.toml: penalty: "));
    }

    #[test]
    fn asking_for_the_device_chooses_the_backend() {
        let config = resolve(&[layer("device = 'cuda:1'")]).unwrap();
        assert_eq!(config.backend, BackendName::Cuda);
        let config = resolve(&[layer("backend = 'cuda'")]).unwrap();
        assert_eq!(config.device, "cuda");
        assert!(error("device = 'cuda'\nbackend = 'flex'").contains("backend"));
    }
}
