//! The fixed random feedback matrices B_l: entries of variance 1/columns (times `feedback_scale`²),
//! drawn from the streams `feedback/<matrix>` of the run's seed (protocol §2.1; 1/√C for DFA is
//! verified, 1/√d for FA is not published).

use super::feedback_layout;
use crate::backend::float_tensor;
use crate::config::{Config, FeedbackDistribution, FeedbackSharing};
use crate::model::{Draw, NamedTensors, draw_values};
use anyhow::{Result, bail};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sha2::{Digest, Sha256};

/// The feedback matrices of one rule on one network.
#[derive(Clone, Debug)]
pub struct Feedback<B: Backend> {
    blocks: usize,
    layers: Vec<Tensor<B, 2>>,
    embed: Option<Tensor<B, 2>>,
}

/// Name and shape of a feedback matrix.
pub type Shape = (String, [usize; 2]);

/// `count` matrices B_0, B_1, … of one shape.
pub fn layers(count: usize, shape: [usize; 2]) -> impl Iterator<Item = Shape> {
    (0..count).map(move |l| (format!("feedback.{l}"), shape))
}

/// B_e, which maps a_0 to what trains the embedding.
pub fn embed(shape: [usize; 2]) -> Shape {
    (EMBED.into(), shape)
}

const EMBED: &str = "feedback.embed";

impl<B: Backend> Feedback<B> {
    /// Feedback from given matrices: B_l for every layer that the rule maps to, and B_e.
    pub fn new(blocks: usize, layers: Vec<Tensor<B, 2>>, embed: Option<Tensor<B, 2>>) -> Self {
        Self { blocks, layers, embed }
    }

    /// The matrices that the rule of `config` trains with, as host arrays: one draw of `seed`.
    pub fn draw(config: &Config, classes: usize, seed: u64) -> NamedTensors {
        let matrix = |(name, [rows, cols]): Shape| {
            let std = config.feedback_scale / (cols as f64).sqrt();
            let draw = match config.feedback_distribution {
                FeedbackDistribution::Normal => Draw::Normal(std),
                FeedbackDistribution::Uniform => Draw::Uniform(std * 3f64.sqrt()),
            };
            let shared = config.feedback_sharing == FeedbackSharing::Shared;
            let stream = if shared { "feedback/shared" } else { &name.replacen('.', "/", 1) };
            let values = draw_values(seed, stream, rows * cols, draw);
            (name, TensorData::new(values, [rows, cols]).convert::<f32>())
        };
        feedback_layout(config, classes).into_iter().map(matrix).collect()
    }

    /// Puts matrices, drawn or from a checkpoint, on the device.
    ///
    /// # Errors
    /// Lists, by name, matrices that the rule of `config` needs and that are missing or of another
    /// shape.
    pub fn from_named(
        config: &Config,
        classes: usize,
        matrices: &NamedTensors,
        device: &B::Device,
    ) -> Result<Self> {
        let wanted = feedback_layout(config, classes);
        let mut problems = Vec::new();
        for (name, shape) in &wanted {
            match matrices.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some(m) if m.shape[..] != shape[..] => {
                    problems.push(format!("{name} is {:?}, expected {shape:?}", &m.shape[..]))
                }
                Some(_) => {}
            }
        }
        if !problems.is_empty() {
            bail!(
                "method {} cannot be audited without its feedback matrices: {}",
                config.label(),
                problems.join(", ")
            );
        }
        let tensor = |name: &String| float_tensor(matrices[name].clone(), device);
        let of = |embed: bool| wanted.iter().filter(move |(n, _)| (n == EMBED) == embed);
        Ok(Self {
            blocks: config.blocks(),
            layers: of(false).map(|(name, _)| tensor(name)).collect(),
            embed: of(true).map(|(name, _)| tensor(name)).next(),
        })
    }

    /// Number of residual blocks L of the network.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// B_0, B_1, …
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &Tensor<B, 2>> {
        self.layers.iter()
    }

    /// B_e, where the embedding has a map of its own.
    pub fn embed(&self) -> Option<&Tensor<B, 2>> {
        self.embed.as_ref()
    }
}

/// SHA-256 (hex) over names, shapes and values: tells two runs' feedback apart.
pub fn hash(matrices: &NamedTensors) -> String {
    let mut hasher = Sha256::new();
    for (name, data) in matrices {
        hasher.update(name);
        hasher.update(format!("{:?}", &data.shape[..]));
        hasher.update(data.as_bytes());
    }
    crate::hex(&hasher.finalize())
}
