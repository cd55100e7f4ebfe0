//! Checkpoints: one MessagePack file with everything that a run needs to continue to the same
//! bits and that an audit needs to judge it, at full precision, under a checksum.
//!
//! The file is a map `{format, sha256, body}`: `body` is MessagePack again, a [`Checkpoint`], and
//! `sha256` its digest, so that a file cut or flipped anywhere is refused and never misread. Burn's
//! own recorders are not used: their maps are ordered at random, so that equal states give unequal
//! files, and later releases of Burn do not have them.

use crate::config::Config;
use crate::data::DataProvenance;
use crate::model::NamedTensors;
use crate::train::files::write_atomically;
use crate::train::optimizer::HostState;
use anyhow::{Context, Result, bail};
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const FORMAT: &str = "fa-audit/checkpoint/1";

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
}

/// How far a run has come. Data order and augmentation follow from it and the seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished epochs.
    pub epoch: usize,
    /// Finished steps of the epoch in progress.
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

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// Names the file and what is wrong with it: unreadable, not a checkpoint of this program,
    /// of another version, cut or damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
        Self::decode(&bytes).with_context(|| format!("{}", path.display()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let envelope: EnvelopeIn = match rmp_serde::from_slice(bytes) {
            Ok(envelope) => envelope,
            Err(_) if looks_like_ours(bytes) => {
                bail!("the checkpoint is cut short: {} bytes are left of it", bytes.len())
            }
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
        rmp_serde::from_slice(envelope.body).context("the checkpoint's content does not fit")
    }
}

fn looks_like_ours(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64)];
    head.windows(19).any(|w| w == b"fa-audit/checkpoint")
}
