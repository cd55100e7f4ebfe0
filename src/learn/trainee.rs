//! A network with what trains it.

use super::{Family, Learner, Lesson, Turn, draw, family, lift};
use crate::backend::Differentiable;
use crate::config::{Config, EmbedSignal, Method};
use crate::model::{
    Buffers, NamedTensors, Net, Part, Pass, Target, assign, buffers_from, freeze, initial_buffers,
    outline, without_gradient,
};
use anyhow::Result;
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// A network with the learner that trains it.
pub struct Trainee<B: Differentiable> {
    /// Missing only while an update has it.
    net: Option<Net<B>>,
    pub learner: Learner<B>,
    /// The network's.
    pub buffers: Buffers<B::InnerBackend>,
}

impl<B: Differentiable> Trainee<B> {
    /// The initial network of `config` with a freshly drawn learner.
    ///
    /// # Errors
    /// Never for a validated configuration.
    pub fn initial(config: &Config, classes: usize, device: &B::Device) -> Result<Self> {
        let drawn = draw(config, classes, config.seed);
        let learner = Learner::from_named(config, classes, &drawn, device)?;
        let net = Net::new(config, classes, device);
        let buffers = initial_buffers(&outline(config, classes).buffers, device);
        Ok(Self::with(config, net, learner, buffers))
    }

    /// From the tensors of network, buffers and learner.
    ///
    /// # Errors
    /// Lists tensors that are missing or of another shape.
    pub fn from_named(
        config: &Config,
        classes: usize,
        [network, buffers, learner]: [&NamedTensors; 3],
        device: &B::Device,
    ) -> Result<Self> {
        let net = assign(Net::new(config, classes, device), network)?;
        let learner = Learner::from_named(config, classes, learner, device)?;
        let buffers = buffers_from(&outline(config, classes).buffers, buffers, device)?;
        Ok(Self::with(config, net, learner, buffers))
    }

    fn with(
        config: &Config,
        net: Net<B>,
        learner: Learner<B>,
        buffers: Buffers<B::InnerBackend>,
    ) -> Self {
        let frozen = config.method == Method::Frozen;
        let local = family(config.rule()) == Family::Local;
        let embed = !local || config.embed_signal != EmbedSignal::None;
        let net = freeze(net, |part| match part {
            Part::Embed => embed,
            Part::Block(l) => !frozen && l >= config.frozen_blocks,
            Part::Readout => true,
            Part::Learner | Part::Auxiliary | Part::Given => unreachable!("no part of the network"),
        });
        Self { net: Some(net), learner, buffers }
    }

    /// The network.
    pub fn net(&self) -> &Net<B> {
        self.net.as_ref().expect("nobody sees the trainee during an update")
    }

    /// Replaces the network, if it is one that is trained. It is handed over, so that its memory can
    /// be written in place.
    pub fn update(&mut self, change: impl FnOnce(Net<B>) -> Net<B>) {
        if !self.learner.settings().trains_network {
            return;
        }
        self.net = self.net.take().map(change);
    }

    /// The parameters that ought to learn from `network`, the gradients of a batch, and for which none is
    /// there.
    pub fn without_gradient<G>(&self, network: &BTreeMap<String, G>) -> Vec<String> {
        match self.learner.settings().trains_network {
            true => without_gradient(self.net(), network),
            false => Vec::new(),
        }
    }

    /// What one batch gives: inputs [N, _] and what their outputs are held against.
    pub fn learn(
        &self,
        images: Tensor<B, 2>,
        target: impl Into<Target<B>>,
        turn: Turn,
    ) -> Lesson<B> {
        self.learner.learn(self.net(), &self.buffers, images, target, turn)
    }

    /// A pass that evaluates.
    pub fn pass(&self) -> Pass<B> {
        Pass::eval(&lift(&self.buffers))
    }

    /// The buffers on the host.
    pub fn buffers_on_host(&self) -> NamedTensors {
        self.buffers.iter().map(|(name, value)| (name.clone(), value.to_data())).collect()
    }
}
