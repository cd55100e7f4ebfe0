//! Checkpoints: one MessagePack file with everything that a run needs to continue to the same
//! bits and that an audit needs to judge it, at full precision, under a checksum.
//!
//! The file is a map `{format, sha256, body}`: `body` is MessagePack again, a [`Checkpoint`], and
//! `sha256` its digest, so that a file cut or flipped anywhere is refused and never misread. Burn's
//! own recorders are not used: their maps are ordered at random, so that equal states give unequal
//! files, and later releases of Burn do not have them.

use crate::config::Config;
use crate::data::DataProvenance;
use crate::files::{self, write_atomically};
use crate::model::{NamedTensors, parameter_count};
use crate::train::optimizer::HostState;
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const FORMAT: &str = "fa-audit/checkpoint/1";

/// Bytes of the largest checkpoint that is read, about 350 million trained parameters.
const LARGEST: u64 = 4 << 30;

/// Parameters of a network that is built whatever a file holds.
const SMALL_NETWORK: u64 = 1 << 20;

/// The state of a run between two steps.
#[derive(Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub config: Config,
    pub data: DataProvenance,
    pub progress: Progress,
    pub parameters: BTreeMap<String, HostTensor>,
    /// The matrices that the rule trained with: without them its credit cannot be known.
    pub feedback: BTreeMap<String, HostTensor>,
    pub optimizer: BTreeMap<String, OptimizerState>,
    /// Set where another program trained the network. Then there is no optimiser state to go on from,
    /// and `config` is what its owner says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// The file that a network was imported from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Its name, without the folder.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// How far a run has come. Data order and augmentation follow from it and the seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished epochs.
    pub epoch: usize,
    /// Finished steps of the epoch in progress. Where there are none, the sums that follow are those
    /// of the epoch that ended last.
    pub step: usize,
    /// Sum over the samples of the epoch in progress of their loss.
    pub loss_sum: f64,
    /// Samples of the epoch in progress that were classified correctly.
    pub correct: u64,
    /// Samples of the epoch in progress.
    pub seen: u64,
    /// Seconds spent on the epoch in progress.
    pub seconds: f64,
}

impl Progress {
    /// Whether the newest epoch has ended, and its sums are here.
    pub fn is_between_epochs(&self) -> bool {
        self.step == 0 && self.seen > 0
    }
}

/// An f32 tensor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostTensor {
    shape: Vec<usize>,
    /// Little endian.
    values: ByteBuf,
}

/// AdamW's state for one parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OptimizerState {
    time: usize,
    moment_1: HostTensor,
    moment_2: HostTensor,
}

impl HostTensor {
    fn new(data: &TensorData) -> Self {
        let data = data.clone().convert::<f32>();
        let values = data.iter::<f32>().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        Self { shape: data.shape.to_vec(), values: values.into() }
    }

    fn data(&self, name: &str) -> Result<TensorData> {
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count.and_then(|n| n.checked_mul(4)) != Some(self.values.len()) {
            bail!("{name} has {} bytes for the shape {:?}", self.values.len(), self.shape);
        }
        let floats = self.values.chunks_exact(4);
        let floats: Vec<f32> =
            floats.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(TensorData::new(floats, self.shape.clone()))
    }
}

/// Wraps tensors for a checkpoint.
pub fn pack(tensors: &NamedTensors) -> BTreeMap<String, HostTensor> {
    tensors.iter().map(|(name, data)| (name.clone(), HostTensor::new(data))).collect()
}

/// The tensors of a checkpoint.
///
/// # Errors
/// Names the tensor whose bytes do not fill its shape.
pub fn unpack(tensors: &BTreeMap<String, HostTensor>) -> Result<NamedTensors> {
    tensors.iter().map(|(name, t)| Ok((name.clone(), t.data(name)?))).collect()
}

/// Wraps the optimiser's state for a checkpoint.
pub fn pack_optimizer(state: BTreeMap<String, HostState>) -> BTreeMap<String, OptimizerState> {
    let pack = |s: HostState| OptimizerState {
        time: s.time,
        moment_1: HostTensor::new(&s.moment_1),
        moment_2: HostTensor::new(&s.moment_2),
    };
    state.into_iter().map(|(name, s)| (name, pack(s))).collect()
}

/// The optimiser's state of a checkpoint.
///
/// # Errors
/// Names the tensor whose bytes do not fill its shape.
pub fn unpack_optimizer(
    state: &BTreeMap<String, OptimizerState>,
) -> Result<BTreeMap<String, HostState>> {
    let unpack = |name: &str, s: &OptimizerState| -> Result<HostState> {
        Ok(HostState {
            time: s.time,
            moment_1: s.moment_1.data(name)?,
            moment_2: s.moment_2.data(name)?,
        })
    };
    state.iter().map(|(name, s)| Ok((name.clone(), unpack(name, s)?))).collect()
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    format: &'a str,
    sha256: &'a Bytes,
    body: &'a Bytes,
}

#[derive(Deserialize)]
struct EnvelopeIn<'a> {
    format: &'a str,
    #[serde(borrow)]
    sha256: &'a Bytes,
    #[serde(borrow)]
    body: &'a Bytes,
}

impl Checkpoint {
    /// Writes the checkpoint beside `path` and renames it there.
    ///
    /// # Errors
    /// If the file cannot be written; a checkpoint that was there stays.
    pub fn save(&self, path: &Path) -> Result<()> {
        let body = rmp_serde::to_vec_named(self).context("encoding the checkpoint")?;
        let digest = Sha256::digest(&body);
        let envelope =
            EnvelopeOut { format: FORMAT, sha256: Bytes::new(&digest), body: Bytes::new(&body) };
        let bytes = rmp_serde::to_vec_named(&envelope).context("encoding the checkpoint")?;
        write_atomically(path, &bytes)
    }

    /// Reads a checkpoint. The memory that it takes is a small multiple of the file's length,
    /// whatever the file claims.
    ///
    /// # Errors
    /// Names the file and what is wrong with it: unreadable, not a checkpoint of this program,
    /// of another version, cut or damaged, or of a content that no run writes.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = files::read(path, LARGEST)
            .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
        Self::decode(&bytes).with_context(|| format!("{}", path.display()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let envelope: EnvelopeIn = match rmp_serde::from_slice(bytes) {
            Ok(envelope) => envelope,
            Err(_) if looks_like_ours(bytes) => bail!(
                "the checkpoint is cut short, or its first bytes are damaged: {} bytes are there",
                bytes.len()
            ),
            Err(_) => bail!(
                "not a checkpoint of fa-audit: expected MessagePack that begins with \
                 `format: {FORMAT}` ({} bytes found)",
                bytes.len()
            ),
        };
        if envelope.format != FORMAT {
            bail!("the checkpoint's format is `{}`, expected `{FORMAT}`", envelope.format);
        }
        if Sha256::digest(envelope.body.as_ref())[..] != envelope.sha256[..] {
            bail!("the checkpoint is damaged: its SHA-256 does not match its content");
        }
        if envelope.body.as_ptr_range().end != bytes.as_ptr_range().end {
            bail!("the checkpoint is damaged: something follows its content");
        }
        let checkpoint: Self = rmp_serde::from_slice(envelope.body)
            .context("the checkpoint's content does not fit")?;
        checkpoint.check().context("the checkpoint's content does not fit")?;
        Ok(checkpoint)
    }

    /// What a right checksum does not tell: that the content is one that a run could have written.
    fn check(&self) -> Result<()> {
        let Self { config, data, progress, .. } = self;
        config.check()?;
        let classes = config.dataset.classes();
        ensure!(data.classes == classes, "{} classes, expected {classes}", data.classes);
        // A smaller difference is found by name, against the network itself.
        let held: usize = self.parameters.values().map(|p| p.values.len() / 4).sum();
        let wanted = parameter_count(config, classes);
        ensure!(
            wanted <= 2 * held as u64 + SMALL_NETWORK,
            "{held} values, expected the {wanted} of the network of its configuration"
        );
        let epoch = progress.epoch;
        ensure!(epoch <= config.epochs, "epoch {epoch} of {} epochs", config.epochs);
        for (name, state) in &self.optimizer {
            let count = self.parameters.get(name).map(|p| p.values.len());
            let moments = [&state.moment_1, &state.moment_2];
            // One of a parameter that is not there goes unused, and the parameter is missed later.
            let fits = |m: &HostTensor| {
                m.shape.len() == 1 && count.is_none_or(|count| count == m.values.len())
            };
            let counted = i32::try_from(state.time).is_ok();
            ensure!(moments.into_iter().all(fits) && counted, "the optimiser's state of {name}");
        }
        Ok(())
    }
}

fn looks_like_ours(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64)];
    head.windows(19).any(|w| w == b"fa-audit/checkpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Arch, Config};
    use crate::data::{self, DatasetKind, SyntheticSpec};
    use crate::train::run_dir::RunDir;
    use crate::train::train_quietly;

    /// A small checkpoint in a folder, and its bytes.
    fn small() -> (tempfile::TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            method: crate::config::Method::Dfa,
            width: 2,
            depth: 1,
            epochs: 1,
            train_samples: 8,
            test_samples: 8,
            probe_batches: 2,
            probe_batch_size: 4,
            ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
        };
        let spec = SyntheticSpec { train: 8, test: 8, ..SyntheticSpec::default() };
        let data = data::load(DatasetKind::Synthetic, None, &spec).unwrap();
        let run = RunDir::at(dir.path().join("run"));
        train_quietly(&config, &data, &run).unwrap();
        let bytes = std::fs::read(run.checkpoint()).unwrap();
        (dir, bytes)
    }

    /// Where the content begins: before it stand keys, the format, the checksum and lengths.
    fn body_at(bytes: &[u8]) -> usize {
        let envelope: EnvelopeIn = rmp_serde::from_slice(bytes).unwrap();
        bytes.len() - envelope.body.len()
    }

    #[test]
    fn a_checkpoint_cut_at_any_byte_is_refused() {
        let (_dir, bytes) = small();
        assert!(Checkpoint::decode(&bytes).is_ok());
        let body = body_at(&bytes);
        for length in 0..bytes.len() {
            let error = format!("{:#}", Checkpoint::decode(&bytes[..length]).unwrap_err());
            assert!(!error.contains('\n'), "{error}");
            if length > body {
                assert!(
                    error.contains("cut short") && error.contains(&length.to_string()),
                    "{error}"
                );
            }
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        let error = Checkpoint::decode(&longer).unwrap_err().to_string();
        assert!(error.contains("something follows"), "{error}");
    }

    #[test]
    fn a_checkpoint_with_any_bit_flipped_is_refused() {
        let (_dir, mut bytes) = small();
        let body = body_at(&bytes);
        // All of the head, the content's first kilobyte and its last, and every 97th byte between.
        let last = bytes.len() - 1024;
        let places =
            (0..body + 1024).chain((body + 1024..last).step_by(97)).chain(last..bytes.len());
        for at in places {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                let found = Checkpoint::decode(&bytes);
                assert!(found.is_err(), "bit {bit} of byte {at} of {}", bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(Checkpoint::decode(&bytes).is_ok());
    }

    #[test]
    fn a_content_that_no_run_writes_is_refused_whatever_its_checksum() {
        let (dir, bytes) = small();
        let refused = |change: &dyn Fn(&mut Checkpoint), word: &str| {
            let mut checkpoint = Checkpoint::decode(&bytes).unwrap();
            change(&mut checkpoint);
            let path = dir.path().join("changed.mpk");
            checkpoint.save(&path).unwrap();
            let error = format!("{:#}", Checkpoint::load(&path).unwrap_err());
            assert!(error.contains("changed.mpk") && error.contains(word), "{error}");
        };
        // 35 gigabytes of parameters in a file of a few kilobytes.
        refused(&|c| c.config.width = 1 << 16, "expected the 8792375306");
        refused(&|c| c.config.depth = 0, "depth: 0 is not valid");
        refused(&|c| c.config.frozen_blocks = 7, "frozen_blocks");
        refused(&|c| c.data.classes = 1 << 40, "expected 10");
        refused(&|c| c.progress.epoch = 2, "epoch 2 of 1");
        refused(&|c| c.optimizer.values_mut().next().unwrap().time = usize::MAX, "optimiser");
        refused(
            &|c| c.optimizer.values_mut().next().unwrap().moment_1.shape.push(1),
            "the optimiser's state of",
        );
    }
}
