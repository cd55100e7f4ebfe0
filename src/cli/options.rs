//! The flags that choose a run. Each is a configuration key of the same name; what they mean is
//! said in `config`.

use crate::backend;
use crate::config::{
    Arch, BackendName, Base, Config, Layer, MatmulPrecision, Method, refuse_idle_keys, resolve,
};
use crate::data::DatasetKind;
use crate::files::in_words;
use crate::import;
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use toml::Value;

#[derive(clap::Args, Clone, Default)]
pub struct RunOptions {
    /// A configuration file
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Set any configuration key
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What trains the network [default: bp]
    #[arg(long, value_parser = PossibleValuesParser::new(Method::WORDS))]
    pub method: Option<String>,
    /// The rule under frozen, shallow and random-target [default: dfa]
    #[arg(long, value_parser = PossibleValuesParser::new(Base::WORDS))]
    pub base: Option<String>,
    /// The network [default: resmlp]
    #[arg(long, value_parser = PossibleValuesParser::new(Arch::WORDS))]
    pub arch: Option<String>,
    /// The data [default: synthetic]
    #[arg(long, value_parser = PossibleValuesParser::new(DatasetKind::ALL.map(DatasetKind::name)))]
    pub dataset: Option<String>,
    /// Where the CIFAR files lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Seed of initialisation, feedback, data order and augmentation [default: 42]
    #[arg(long, allow_negative_numbers = true)]
    pub seed: Option<i64>,
    /// Passes over the training data [default: as published; 15 on the synthetic data]
    #[arg(long, allow_negative_numbers = true)]
    pub epochs: Option<i64>,
    /// Penalty λ on the blocks' outputs [default: 0]
    #[arg(long, allow_negative_numbers = true, value_name = "λ")]
    pub penalty: Option<f64>,
    /// auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long)]
    pub device: Option<String>,
    /// Implementation of the tensor operations
    #[arg(long, value_parser = PossibleValuesParser::new(BackendName::WORDS))]
    pub backend: Option<String>,
    /// Matrix products on a GPU; tf32 is faster and rounds their operands [default: f32]
    #[arg(long, value_parser = PossibleValuesParser::new(MatmulPrecision::WORDS))]
    pub matmul_precision: Option<String>,
}

impl RunOptions {
    /// The configuration that the flags ask for.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn config(&self) -> Result<Config> {
        self.resolved(Vec::new(), 0)
    }

    /// As [`RunOptions::config`], over the keys of `first`, which a person wrote, too.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn config_with(&self, first: Layer) -> Result<Config> {
        self.resolved(vec![first], 0)
    }

    /// As [`RunOptions::config`], over the keys of `saved`, which the program wrote.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn config_over(&self, saved: Layer) -> Result<Config> {
        self.resolved(vec![saved], 1)
    }

    /// Over `layers`, of which the first `written` are the program's own.
    fn resolved(&self, mut layers: Vec<Layer>, written: usize) -> Result<Config> {
        if let Some(path) = &self.config {
            let mut layer = Layer::from_file(path)?;
            // One file serves an import and the frozen run that it is compared with.
            layer.keys.remove(import::TABLE);
            layers.push(layer);
        }
        layers.push(Layer::of_assignments(&self.set)?);
        layers.push(self.flags()?);
        let mut config = resolve(&layers)?;
        refuse_idle_keys(&layers[written..], &config)?;
        backend::settle(&mut config)?;
        Ok(config)
    }

    fn flags(&self) -> Result<Layer> {
        let mut layer = Layer::new("the command line");
        let words = [
            ("method", &self.method),
            ("base", &self.base),
            ("arch", &self.arch),
            ("dataset", &self.dataset),
            ("device", &self.device),
            ("backend", &self.backend),
            ("matmul_precision", &self.matmul_precision),
        ];
        for (key, word) in words {
            if let Some(word) = word {
                layer.keys.insert(key.into(), Value::String(word.clone()));
            }
        }
        for (key, number) in [("seed", self.seed), ("epochs", self.epochs)] {
            if let Some(number) = number {
                layer.keys.insert(key.into(), Value::Integer(number));
            }
        }
        if let Some(penalty) = self.penalty {
            layer.keys.insert("penalty".into(), Value::Float(penalty));
        }
        if let Some(dir) = &self.data_dir {
            layer.keys.insert("data_dir".into(), data_dir_key(dir)?);
        }
        Ok(layer)
    }
}

/// The key `data_dir`, absolute: the run is diagnosed from other folders, too.
///
/// # Errors
/// Where the working folder is gone.
pub fn data_dir_key(dir: &Path) -> Result<Value> {
    Ok(Value::String(in_words(dir)?))
}

/// Where an audit runs, if not where the training did.
#[derive(clap::Args, Clone, Default)]
pub struct AuditPlace {
    /// auto, cpu, cuda or cuda:N [default: as in training]
    #[arg(long)]
    device: Option<String>,
    /// Implementation of the tensor operations [default: as in training]
    #[arg(long, value_parser = PossibleValuesParser::new(BackendName::WORDS))]
    backend: Option<String>,
}

impl AuditPlace {
    /// Device and backend, where either was named.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn settle(self) -> Result<Option<(String, BackendName)>> {
        if self.device.is_none() && self.backend.is_none() {
            return Ok(None);
        }
        let options =
            RunOptions { device: self.device, backend: self.backend, ..RunOptions::default() };
        let config = options.config()?;
        Ok(Some((config.device, config.backend)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{Range, key};
    use clap::Args;

    #[test]
    fn every_flag_that_chooses_a_run_has_a_key_of_its_name_and_that_keys_words() {
        let command = RunOptions::augment_args(clap::Command::new("x"));
        let flags = command
            .get_arguments()
            .filter(|arg| !["config", "set"].contains(&arg.get_id().as_str()));
        for flag in flags {
            let name = flag.get_id().as_str();
            let key = key(name).unwrap_or_else(|| panic!("--{name} has no key"));
            assert_eq!(flag.get_long(), Some(name.replace('_', "-").as_str()));
            let words = flag.get_possible_values();
            let words: Vec<&str> = words.iter().map(|word| word.get_name()).collect();
            match key.range {
                Range::Words(known) => assert_eq!(words, known(), "--{name}"),
                _ => assert!(words.is_empty(), "--{name}: {words:?}"),
            }
        }
    }
}
