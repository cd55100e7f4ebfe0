//! Update rules: what makes of a gradient the change of a parameter. One file a rule.

mod adamw;
mod muon;
mod sgd;

use crate::backend::Kernels;
use crate::config::{Config, OptimizerName};
use crate::model::Part;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::collections::BTreeMap;

/// The parameter to be changed.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    pub part: Part,
}

/// What an update rule keeps of one parameter.
#[derive(Clone, Debug)]
pub struct Slots<B: Backend> {
    /// Steps taken.
    pub time: usize,
    /// By name, each as long as the parameter.
    pub values: BTreeMap<&'static str, Tensor<B, 1>>,
}

impl<B: Backend> Default for Slots<B> {
    fn default() -> Self {
        Self { time: 0, values: BTreeMap::new() }
    }
}

/// How parameters are changed.
pub trait UpdateRule<B: Backend> {
    /// The sets of slots that it keeps, one of which every changed parameter has.
    fn slots(&self) -> &'static [&'static [&'static str]];

    /// A parameter after one step with the learning rate `rate`, and its slots. Value and gradient
    /// are flattened to one dimension; all are handed over, so that their memory may be used again.
    fn update(
        &self,
        rate: f64,
        parameter: &Parameter,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        slots: Slots<B>,
    ) -> (Tensor<B, 1>, Slots<B>);
}

/// That of auxiliary networks: AdamW, whatever the run's is.
pub fn of_auxiliary<B: Kernels>(config: &Config) -> Box<dyn UpdateRule<B>> {
    let weight_decay = config.auxiliary_weight_decay;
    Box::new(adamw::AdamWRule::of(&Config { weight_decay, ..config.clone() }))
}

/// The update rule of `config`.
pub fn of<B: Kernels>(config: &Config) -> Box<dyn UpdateRule<B>> {
    match config.optimizer {
        OptimizerName::Adamw => Box::new(adamw::AdamWRule::of(config)),
        OptimizerName::Sgd => Box::new(sgd::Sgd::of(config)),
        OptimizerName::Muon => Box::new(muon::Muon::of(config)),
    }
}
