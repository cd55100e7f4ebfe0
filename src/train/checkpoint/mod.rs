//! Checkpoints: one MessagePack file with everything that a run needs to continue to the same
//! bits and that an audit needs to judge it, at full precision, under a checksum. Its sections are
//! the network's parameters, its buffers, what the learner owns, and the slots of the update rule.
//!
//! The file is a map `{format, sha256, body}`: `body` is MessagePack again, a [`Checkpoint`], and
//! `sha256` its digest, so that a file cut or flipped anywhere is refused and never misread. Burn's
//! own recorders are not used: their maps are ordered at random, so that equal states give unequal
//! files, and later releases of Burn do not have them.

mod first;
mod tensors;

pub use tensors::{HostTensor, SlotsOfParameter, pack, pack_slots, unpack, unpack_slots};

use crate::backend::Differentiable;
use crate::config::Config;
use crate::data::DataProvenance;
use crate::diagnostics::trajectory::Trajectory;
use crate::files::{self, write_atomically};
use crate::learn::Trainee;
use crate::learn::two_phase::worse;
use crate::model::parameter_count;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const FORMAT: &str = "fa-audit/checkpoint/2";

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
    /// The parameters of the network.
    pub network: BTreeMap<String, HostTensor>,
    /// What the network keeps beside them.
    pub buffers: BTreeMap<String, HostTensor>,
    /// What the rule trained with, and what it has learned for itself: without it its credit cannot
    /// be known.
    pub learner: BTreeMap<String, HostTensor>,
    /// What the update rule keeps, by parameter.
    pub slots: BTreeMap<String, SlotsOfParameter>,
    /// Of the weight gradients so far, where `rank_every` asks for ranks.
    #[serde(default, skip_serializing_if = "Trajectory::is_empty")]
    pub trajectory: Trajectory,
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
    /// Of the epoch in progress the largest factor by which a force on nudged states grew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_of_force: Option<f64>,
}

impl Progress {
    /// Whether the newest epoch has ended, and its sums are here.
    pub fn is_between_epochs(&self) -> bool {
        self.step == 0 && self.seen > 0
    }

    /// Keeps the worst of the epoch.
    pub(super) fn unsettle(&mut self, found: Option<f64>) {
        self.growth_of_force = self.growth_of_force.into_iter().chain(found).reduce(worse);
    }
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
        Self::decode(&bytes_of(path)?).with_context(|| format!("{}", path.display()))
    }

    /// As [`Checkpoint::load`], of a file whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// Besides, says which SHA-256 another file has.
    pub(super) fn load_of(path: &Path, digest: &str) -> Result<Self> {
        let bytes = bytes_of(path)?;
        let found = crate::hex(&Sha256::digest(&bytes));
        ensure!(
            found == digest,
            "{} has the SHA-256 {found}, expected {digest}, which names the run",
            path.display()
        );
        Self::decode(&bytes).with_context(|| format!("{}", path.display()))
    }

    /// The network and learner that it holds, on `device`.
    ///
    /// # Errors
    /// Lists tensors that are missing or of another shape.
    pub fn trainee<B: Differentiable>(&self, device: &B::Device) -> Result<Trainee<B>> {
        let Self { config, data, progress, network, buffers, learner, .. } = self;
        let tensors = [&unpack(network)?, &unpack(buffers)?, &unpack(learner)?];
        let mut trainee = Trainee::from_named(config, data.classes, tensors, device)?;
        trainee.learner.begin(progress.epoch + usize::from(progress.step > 0));
        Ok(trainee)
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
        if ![FORMAT, first::FORMAT].contains(&envelope.format) {
            bail!("the checkpoint's format is `{}`, expected `{FORMAT}`", envelope.format);
        }
        if Sha256::digest(envelope.body.as_ref())[..] != envelope.sha256[..] {
            bail!("the checkpoint is damaged: its SHA-256 does not match its content");
        }
        if envelope.body.as_ptr_range().end != bytes.as_ptr_range().end {
            bail!("the checkpoint is damaged: something follows its content");
        }
        let content = match envelope.format {
            first::FORMAT => {
                rmp_serde::from_slice::<first::CheckpointOfFormat1>(envelope.body).map(Self::from)
            }
            _ => rmp_serde::from_slice(envelope.body),
        };
        let checkpoint = content.context("the checkpoint's content does not fit")?;
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
        let held: usize = self.network.values().map(HostTensor::count).sum();
        let wanted = parameter_count(config, classes);
        ensure!(
            wanted <= 2 * held as u64 + SMALL_NETWORK,
            "{held} values, expected the {wanted} of the network of its configuration"
        );
        let epoch = progress.epoch;
        ensure!(epoch <= config.epochs, "epoch {epoch} of {} epochs", config.epochs);
        ensure!(self.trajectory.is_of(epoch), "the trajectory of the gradients");
        for (name, slots) in &self.slots {
            let of = self.network.get(name).or_else(|| self.learner.get(name));
            // One of a parameter that is not there goes unused, and the parameter is missed later.
            let fits = |slot: &HostTensor| of.is_none_or(|of| slot.is_vector_of(of.count()));
            let counted = i32::try_from(slots.time).is_ok();
            ensure!(slots.values.values().all(fits) && counted, "the optimiser's state of {name}");
        }
        Ok(())
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    files::read(path, LARGEST)
        .with_context(|| format!("cannot read the checkpoint {}", path.display()))
}

fn looks_like_ours(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64)];
    head.windows(19).any(|w| w == b"fa-audit/checkpoint")
}

#[cfg(test)]
mod tests;
