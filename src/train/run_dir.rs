//! A run's directory: `run.json`, `config.toml`, `metrics.jsonl`, `checkpoint.mpk` and
//! `epochs/epoch-NNNN.mpk`. Only what is complete is ever visible under these names.

use super::lock::{Holder, Lock};
use crate::config::Config;
use crate::data::DataProvenance;
use crate::diagnostics::rank::MatrixRank;
use crate::failure::usage;
use crate::files::{
    LONGEST_TEXT, entries, exists, is_absence, read, sweep, text_if_there, write_atomically,
};
use crate::number::Number;
use crate::shown;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Where a run's artefacts lie.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

/// What stands in `run.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    pub schema: String,
    pub status: RunStatus,
    pub config: Config,
    pub provenance: Provenance,
    /// Finished epochs.
    pub epoch: usize,
    /// The newest epoch's line of `metrics.jsonl`.
    pub last: Option<EpochMetrics>,
    /// Set where loss, hidden states or gradients turned to NaN or infinity.
    pub diverged: Option<Divergence>,
    /// Why the run failed.
    pub error: Option<String>,
    /// SHA-256 (hex) of `metrics.jsonl` at the end of the newest session; `None` in records from before
    /// it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_sha256: Option<String>,
}

/// The schema of [`RunRecord`].
pub const RUN_SCHEMA: &str = "fa-audit/run/1";

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Running,
    Finished,
    Interrupted,
    Failed,
}

/// The first value of a run that was not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    pub epoch: usize,
    /// Which quantity.
    pub quantity: String,
    pub value: Number,
}

/// What made the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    pub tool: String,
    /// Of the program; more than one, in order, where others had trained the run before.
    pub git_revision: String,
    pub burn: String,
    pub backend: String,
    pub device: String,
    pub threads: usize,
    /// Of the processor, by which the bits of a run on it are decided; `None` in records from before it
    /// was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_sets: Option<String>,
    /// Whether f32 matrix products are computed in full precision, as measured on the device.
    #[serde(default = "full")]
    pub matmul: Matmul,
    pub data: DataProvenance,
    pub config_hash: String,
    pub seed: u64,
    pub feedback_hash: Option<String>,
    pub parameters: usize,
    pub command_line: Vec<String>,
    pub start: String,
    pub end: Option<String>,
}

/// The precision of f32 matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matmul {
    Full,
    /// Operands are rounded, as TF32 does (10 bits of mantissa).
    Reduced,
}

fn full() -> Matmul {
    Matmul::Full
}

/// One epoch's line of `metrics.jsonl`. Norms and cosines are taken on the evaluation batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    pub epoch: usize,
    /// Mean over the epoch's samples, each seen before its step.
    pub train_loss: Number,
    pub train_accuracy: Number,
    pub test_loss: Number,
    pub test_accuracy: Number,
    pub learning_rate: Number,
    /// Mean ‖h_l‖, l = 0 … L.
    pub hidden_norms: Vec<Number>,
    /// Median ‖g_l‖ of the batch-mean loss, l = 0 … L.
    pub gradient_norms: Vec<Number>,
    /// max_l ‖h_{l+1}‖/‖h_l‖; absent in a network without blocks.
    pub growth: Option<Number>,
    /// Mean cos(a_l, g_l), l = 0 … L.
    pub cosine: Vec<Number>,
    /// The largest factor by which the force on nudged states grew from the first to the last step of
    /// a relaxation: above 1 they do not settle. Absent under a rule that relaxes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_of_force: Option<Number>,
    /// Fraction of the test set whose label is among the five largest outputs; absent where there are ten
    /// classes or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_top5: Option<Number>,
    /// Of credit, reference gradient and block matrices, on the first evaluation batch; in the epochs that
    /// `rank_every` asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<MatrixRank>,
    /// Training time, without evaluation.
    pub seconds: Number,
    pub samples_per_second: Number,
}

impl RunRecord {
    /// Other programs may have written it.
    fn make_safe_to_show(&mut self) {
        let made = &mut self.provenance;
        let words = [
            &mut made.tool,
            &mut made.git_revision,
            &mut made.burn,
            &mut made.backend,
            &mut made.device,
            &mut made.config_hash,
            &mut made.start,
            &mut made.data.name,
            &mut made.data.sha256,
        ];
        let quantity = self.diverged.iter_mut().map(|d| &mut d.quantity);
        let files = made.data.files.iter_mut().flat_map(|f| [&mut f.name, &mut f.sha256]);
        let sets = made.instruction_sets.iter_mut();
        let rest = made
            .end
            .iter_mut()
            .chain(sets)
            .chain(&mut made.feedback_hash)
            .chain(&mut made.command_line);
        for word in words.into_iter().chain(files).chain(rest).chain(quantity) {
            *word = shown::line(word);
        }
        // An error of ours may have several lines.
        if let Some(error) = &mut self.error {
            *error = shown::message(error);
        }
    }
}

impl EpochMetrics {
    /// The first quantity that is not finite.
    pub fn divergence(&self) -> Option<Divergence> {
        let layers = |name: &'static str, values: &[Number]| {
            values.iter().enumerate().map(|(l, v)| (format!("{name}_{l}"), *v)).collect::<Vec<_>>()
        };
        [("train loss".to_string(), self.train_loss), ("test loss".to_string(), self.test_loss)]
            .into_iter()
            .chain(layers("‖h‖", &self.hidden_norms))
            .chain(layers("‖g‖", &self.gradient_norms))
            .find(|(_, value)| !value.0.is_finite())
            .map(|(quantity, value)| Divergence { epoch: self.epoch, quantity, value })
    }
}

impl RunDir {
    /// The directory at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory of the run of `config` under `root`, if nobody chose another: the one that is named
    /// after it, or where that is not there the one that earlier builds named after it.
    ///
    /// # Errors
    /// What the system says where it cannot look.
    pub fn of(root: &Path, config: &Config) -> Result<Self> {
        let own = root.join(config.name());
        let is_there = |path: &Path| {
            fs::exists(path).with_context(|| format!("cannot look for {}", path.display()))
        };
        if let Some(legacy) = config.legacy_name().map(|name| root.join(name))
            && !is_there(&own)?
            && is_there(&legacy)?
        {
            return Ok(Self(legacy));
        }
        Ok(Self(own))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint.mpk")
    }

    pub fn epoch_checkpoint(&self, epoch: usize) -> PathBuf {
        self.epochs().join(format!("epoch-{epoch:04}.mpk"))
    }

    fn epochs(&self) -> PathBuf {
        self.0.join("epochs")
    }

    pub fn record_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// What the newest checkpoint was judged.
    pub fn verdict_file(&self) -> PathBuf {
        self.0.join("verdict.json")
    }

    /// What that was made from.
    pub fn judged_file(&self) -> PathBuf {
        self.0.join("judged.json")
    }

    pub fn config_file(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub fn metrics_file(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// SHA-256 (hex) of `metrics.jsonl`; `None` where there is none.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn metrics_sha256(&self) -> Result<Option<String>> {
        let path = self.metrics_file();
        match read(&path, LONGEST_TEXT) {
            Err(e) if is_absence(&e) => Ok(None),
            other => {
                let bytes = other.with_context(|| format!("cannot read {}", path.display()))?;
                Ok(Some(crate::hex(&Sha256::digest(bytes))))
            }
        }
    }

    /// Whether a run was ever started here.
    ///
    /// # Errors
    /// Names the file where the system does not tell.
    pub fn holds_a_run(&self) -> Result<bool> {
        Ok(exists(&self.record_file())? || exists(&self.checkpoint())?)
    }

    /// Whether there is something that can be continued: a run, or the configuration of one that
    /// ended before it had begun.
    ///
    /// # Errors
    /// As [`RunDir::holds_a_run`].
    pub fn can_resume(&self) -> Result<bool> {
        Ok(self.holds_a_run()? || exists(&self.config_file())?)
    }

    /// Makes the directory for a new run, and locks it.
    ///
    /// # Errors
    /// A usage error if a run is there and `force` is not set; else as [`RunDir::lock`], or what
    /// the system says.
    pub fn create(&self, force: bool) -> Result<Lock> {
        fs::create_dir_all(&self.0)
            .with_context(|| format!("cannot create the run directory {}", self.0.display()))?;
        let refusal = || {
            usage(format!(
                "{} holds a run already: --resume continues it, --force replaces it, --out \
                 names another place",
                self.0.display()
            ))
        };
        if !force && self.holds_a_run()? {
            return Err(refusal());
        }
        let lock = self.lock()?;
        if force {
            // Also what is left of a run whose removal failed on the way.
            self.remove_run()?;
        } else if self.holds_a_run()? {
            // It may have come while the lock was another's.
            return Err(refusal());
        }
        Ok(lock)
    }

    /// Takes the run for this program, and clears away what a killed one had begun to write.
    ///
    /// # Errors
    /// Names the program that is training the run; or if the lock's file cannot be written.
    pub fn lock(&self) -> Result<Lock> {
        let Some(lock) = Lock::take(&self.0)? else {
            let holder = Holder::of(&self.0);
            let holder = holder.map_or("another program".into(), |holder| holder.to_string());
            bail!("{} is being trained by {holder}", self.0.display());
        };
        let own = ["run.json", "config.toml", "metrics.jsonl", "checkpoint.mpk"];
        sweep(&self.0, |name| own.contains(&name))?;
        sweep(&self.epochs(), |name| name.ends_with(".mpk"))?;
        Ok(lock)
    }

    /// Removes what a run and its audits wrote here, and nothing else. Nothing is removed unless all of
    /// it can be; a program that dies on the way leaves a run that can be resumed, or none.
    fn remove_run(&self) -> Result<()> {
        let of_an_epoch = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str);
            let epoch = name.and_then(|name| name.strip_prefix("epoch-")).and_then(|rest| {
                rest.strip_suffix(".verdict.json").or_else(|| rest.strip_suffix(".mpk"))
            });
            epoch.is_some_and(|n| n.len() >= 4 && n.bytes().all(|b| b.is_ascii_digit()))
        };
        // The record first: without it no run is taken for finished. Without the checkpoint it is
        // trained again from its configuration, which goes last.
        let mut files = vec![
            self.record_file(),
            self.judged_file(),
            self.verdict_file(),
            self.0.join("verdicts.csv"),
            self.checkpoint(),
        ];
        files.extend(entries(&self.epochs())?.into_iter().filter(of_an_epoch));
        files.extend([self.metrics_file(), self.config_file()]);
        let cannot = |file: &Path| format!("cannot replace {}", file.display());
        let mut found = Vec::new();
        for file in files {
            match fs::symlink_metadata(&file) {
                Ok(meta) if meta.is_dir() => bail!("{}: it is a folder", cannot(&file)),
                Ok(_) => found.push(file),
                Err(e) if is_absence(&e) => {}
                Err(e) => return Err(e).with_context(|| cannot(&file)),
            }
        }
        for file in found {
            fs::remove_file(&file).with_context(|| cannot(&file))?;
        }
        Ok(())
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        let mut text = serde_json::to_string_pretty(record).context("encoding run.json")?;
        text.push('\n');
        write_atomically(&self.record_file(), text.as_bytes())
    }

    /// Reads `run.json`; `None` where there is none.
    ///
    /// # Errors
    /// Names the file where it cannot be read or does not fit the schema.
    pub fn record(&self) -> Result<Option<RunRecord>> {
        let path = self.record_file();
        let Some(text) = text_if_there(&path)? else { return Ok(None) };
        let parse = || -> Result<RunRecord> {
            let mut record: RunRecord = serde_json::from_str(&text)?;
            record.config.check()?;
            record.make_safe_to_show();
            Ok(record)
        };
        let parsed = parse();
        parsed
            .with_context(|| format!("{} is not a run record of fa-audit", path.display()))
            .map(Some)
    }

    /// As [`RunDir::record`], where there must be one.
    ///
    /// # Errors
    /// Besides, if there is none.
    pub fn read_record(&self) -> Result<RunRecord> {
        self.record()?.with_context(|| format!("there is no {}", self.record_file().display()))
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let text = toml::to_string(config).context("encoding config.toml")?;
        write_atomically(&self.config_file(), text.as_bytes())
    }
}
