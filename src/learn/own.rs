//! What a rule owns beside the network: fixed random feedback matrices, and what it learns for
//! itself. It is exported from the learner into every checkpoint; without it the rule's credit cannot
//! be known.
//!
//! A feedback matrix B_l has entries of variance 1/columns (times `feedback_scale`²), drawn from the
//! streams `feedback/<matrix>` of the run's seed (protocol §2.1; 1/√C for DFA is verified, 1/√d for FA
//! is not published). One that stands for a map's W is drawn with the deviation of W's own
//! initialisation. The maps of an auxiliary network are drawn from `auxiliary/<parameter>`.

use super::layout;
use crate::backend::float_tensor;
use crate::config::{Config, FeedbackDistribution, FeedbackSharing};
use crate::model::{Draw, Map, NamedTensors, Part, draw_values};
use anyhow::{Result, bail};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A matrix that a rule owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    /// [rows, columns]; a vector has one row.
    pub shape: [usize; 2],
    pub draw: Draw,
    /// What of the network it is updated as, where it learns: Muon moves the blocks' matrices.
    pub part: Part,
    /// Where it learns nothing but follows another.
    pub average: Option<Average>,
}

/// A running average of another matrix, which starts as that one and after each of its steps becomes
/// decay · itself + (1 − decay) · that one.
#[derive(Clone, Debug, PartialEq)]
pub struct Average {
    /// The name of what is averaged.
    pub of: String,
    pub decay: f64,
}

impl Entry {
    /// A feedback matrix `feedback.<of>`.
    pub fn feedback(config: &Config, of: impl ToString, shape: [usize; 2]) -> Self {
        let std = config.feedback_scale / (shape[1] as f64).sqrt();
        Self::fixed(feedback_name(of), shape, drawn(config, std))
    }

    /// One that stands for the weight of `map`, and has the deviation of its initialisation.
    pub fn like(config: &Config, map: &Map) -> Self {
        let std = config.feedback_scale * map.weight.std();
        let name = feedback_name(&map.name);
        Self::fixed(name, map.shape, drawn(config, std))
    }

    /// One that is moved, if ever, as no part of the network.
    pub fn fixed(name: String, shape: [usize; 2], draw: Draw) -> Self {
        Self { name, shape, draw, part: Part::Learner, average: None }
    }

    /// B_0, B_1, … of one shape each.
    pub fn feedbacks(
        config: &Config,
        shapes: impl Iterator<Item = [usize; 2]>,
    ) -> impl Iterator<Item = Self> {
        shapes.enumerate().map(|(l, shape)| Self::feedback(config, l, shape))
    }

    /// Whether a draw decides what it holds.
    pub fn is_random(&self) -> bool {
        !matches!(self.draw, Draw::Constant(_))
    }
}

fn drawn(config: &Config, std: f64) -> Draw {
    match config.feedback_distribution {
        FeedbackDistribution::Normal => Draw::Normal(std),
        FeedbackDistribution::Uniform => Draw::Uniform(std * 3f64.sqrt()),
    }
}

/// What the embedding's feedback matrix is of.
pub(super) const EMBED: &str = "embed";

/// What the names of feedback matrices begin with.
pub const FEEDBACK: &str = "feedback.";

fn feedback_name(of: impl ToString) -> String {
    format!("{FEEDBACK}{}", of.to_string())
}

/// The matrices of one rule on one network, on the device.
#[derive(Clone, Debug)]
pub struct Own<B: Backend>(BTreeMap<String, Tensor<B, 2>>);

impl<B: Backend> Own<B> {
    /// From given matrices.
    pub fn new(matrices: impl IntoIterator<Item = (String, Tensor<B, 2>)>) -> Self {
        Self(matrices.into_iter().collect())
    }

    /// Nothing.
    pub fn none() -> Self {
        Self::new([])
    }

    /// B_0, B_1, …, and B_e where the embedding has a map of its own.
    pub fn of_feedback(layers: Vec<Tensor<B, 2>>, embed: Option<Tensor<B, 2>>) -> Self {
        let layers = layers.into_iter().enumerate().map(|(l, b)| (feedback_name(l), b));
        Self::new(layers.chain(embed.map(|b| (feedback_name(EMBED), b))))
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
        let wanted = layout(config, classes);
        let mut problems = Vec::new();
        for Entry { name, shape, .. } in &wanted {
            match matrices.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some(m) if m.shape[..] != shape[..] => {
                    problems.push(format!("{name} is {:?}, expected {shape:?}", &m.shape[..]))
                }
                Some(_) => {}
            }
        }
        if !problems.is_empty() {
            let feedback = wanted.iter().all(|entry| entry.name.starts_with(FEEDBACK));
            bail!(
                "method {} cannot be audited without {}: {}",
                config.label(),
                if feedback { "its feedback matrices" } else { "what it learned and drew" },
                problems.join(", ")
            );
        }
        let tensor = |entry: Entry| {
            let tensor = float_tensor(matrices[&entry.name].clone(), device);
            (entry.name, tensor)
        };
        Ok(Self::new(wanted.into_iter().map(tensor)))
    }

    /// The matrix `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor<B, 2>> {
        self.0.get(name)
    }

    /// The feedback matrix of the map, or the layer, `of`.
    pub fn feedback(&self, of: impl ToString) -> Option<&Tensor<B, 2>> {
        self.get(&feedback_name(of))
    }

    /// B_0, B_1, …
    pub fn layers(&self) -> impl Iterator<Item = &Tensor<B, 2>> {
        (0..).map_while(|l: usize| self.feedback(l))
    }

    /// B_e, where the embedding has a map of its own.
    pub fn embed(&self) -> Option<&Tensor<B, 2>> {
        self.feedback(EMBED)
    }

    /// Every matrix with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<B, 2>)> {
        self.0.iter().map(|(name, matrix)| (name.as_str(), matrix))
    }

    /// Brings the matrix `name` one step nearer to what it averages.
    pub fn follow(&mut self, name: &str, Average { of, decay }: &Average) {
        if let (Some(new), Some(old)) = (self.0.get(of).cloned(), self.0.remove(name)) {
            let next = old.mul_scalar(*decay) + new.mul_scalar(1.0 - decay);
            self.0.insert(name.into(), next);
        }
    }

    /// Every matrix on the host.
    pub fn state(&self) -> NamedTensors {
        self.0.iter().map(|(name, tensor)| (name.clone(), tensor.to_data())).collect()
    }

    /// Replaces those matrices for which `change` has something, given name, shape and value
    /// flattened to one dimension. The value is handed over.
    pub fn change(&mut self, mut change: impl FnMut(&str, &[usize], Tensor<B, 1>) -> Tensor<B, 1>) {
        let old = std::mem::take(&mut self.0);
        let changed = old.into_iter().map(|(name, tensor)| {
            let [rows, columns] = tensor.dims();
            let flat = tensor.reshape([rows * columns]);
            let new = change(&name, &[rows, columns], flat);
            (name, new.reshape([rows, columns]))
        });
        self.0 = changed.collect();
    }
}

/// What the rule of `config` starts with, as host arrays: one draw of `seed`.
pub fn draw(config: &Config, classes: usize, seed: u64) -> NamedTensors {
    let matrix = |Entry { name, shape: [rows, cols], draw, average, .. }: Entry| {
        let shared = config.feedback_sharing == FeedbackSharing::Shared;
        let shared = shared && name.starts_with(FEEDBACK);
        let own = average.as_ref().map_or(&name, |average| &average.of).replacen('.', "/", 1);
        let stream = if shared { "feedback/shared" } else { &own };
        let values = draw_values(seed, stream, rows * cols, draw);
        (name, TensorData::new(values, [rows, cols]).convert::<f32>())
    };
    layout(config, classes).into_iter().map(matrix).collect()
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
