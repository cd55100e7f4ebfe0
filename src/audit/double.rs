//! Controls in double precision, whatever the precision of the training: the float64 shadow of the
//! reference gradient, and the tests whose loss changes f32 cannot resolve in a network with large
//! hidden states.

use super::rerun::Rerun;
use crate::backend::{Differentiable, Task, scalar};
use crate::config::{Base, Config};
use crate::data::Dataset;
use crate::diagnostics::descent::BlockSteps;
use crate::diagnostics::nudging::NudgedLosses;
use crate::diagnostics::perturbation::PerturbationPairs;
use crate::learn::{Gradients, Learner, Own, Settings, Trainee, Turn, forward_and_back};
use crate::model::{
    Change, NamedTensors, Net, Network, Part, Pass, Target, batch_tensors, export, map_named,
};
use crate::probe::{evaluation_batch, select};
use crate::train::checkpoint::Checkpoint;
use anyhow::Result;
use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::collections::BTreeMap;

/// What a checkpoint and its data show in double precision.
pub struct InDouble<'a> {
    pub config: &'a Config,
    pub data: &'a Dataset,
    pub checkpoint: &'a Checkpoint,
    /// Evaluation batches whose reference gradient is shadowed.
    pub batches: usize,
}

/// Its output.
pub struct Doubles {
    /// g_l of each batch where the probe measures: `gradient[batch][layer]`, row-major [N, d].
    pub gradient: Vec<Vec<Vec<f64>>>,
    /// One a block.
    pub steps: Vec<BlockSteps>,
    /// One a layer.
    pub perturbed: Vec<PerturbationPairs>,
    pub nudged: Vec<NudgedLosses>,
    /// Control samples.
    pub samples: usize,
}

impl Task for InDouble<'_> {
    type Output = Doubles;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Doubles> {
        let Self { config, data, checkpoint, batches } = self;
        let trainee = checkpoint.trainee::<B>(&device)?;

        let frozen = trainee.net().clone().no_grad();
        let objective = trainee.learner.settings().objective;
        let shadow = |k: usize| {
            let batch = evaluation_batch(config, data, k);
            let (images, target) = batch_tensors::<B>(batch, &device);
            let reference = forward_and_back(&frozen, trainee.pass(), objective, images, target);
            let host = |g| to_f64(select(g, config.measure));
            reference.gradient.into_iter().map(host).collect()
        };
        let gradient = (0..batches).map(shadow).collect();

        let rerun = Rerun::new(&trainee, config, data, &device);
        let samples = rerun.samples();
        let (images, target) = batch_tensors::<B>(data.test_batch(0..samples), &device);
        let steps = descent(&trainee, config, images, target);
        let (directions, epsilon) = (config.perturbation_directions, config.perturbation_epsilon);
        Ok(Doubles {
            gradient,
            steps,
            perturbed: rerun.perturbed(directions, epsilon),
            nudged: rerun.nudged(config.nudge_step),
            samples,
        })
    }
}

/// The mean loss before and after one step of each block, along the update that the rule gives it
/// and along backpropagation's, both of length `descent_step` · ‖θ_l‖ and measured on the samples
/// that gave the updates.
pub fn descent<B: Differentiable>(
    trainee: &Trainee<B>,
    config: &Config,
    images: Tensor<B, 2>,
    target: Target<B>,
) -> Vec<BlockSteps> {
    let net = trainee.net();
    let turn = Turn::measuring(config.seed);
    let method = trainee.learn(images.clone(), target.clone(), turn).network;
    let without_penalty = Settings { penalty: 0.0, ..*trainee.learner.settings() };
    let bp = Learner::new(Base::Bp, without_penalty, Own::none());
    let exact = bp.learn(net, &trainee.buffers, images.clone(), target.clone(), turn).network;
    let (images, target) = (images.inner(), target.inner());
    let loss = |net: &Net<B::InnerBackend>| -> f64 {
        // As the updates were made: under BatchNorm with the batch's own statistics.
        let pass = &mut Pass::train(&trainee.buffers);
        let hidden = net.embed(images.clone(), pass);
        let outputs = net.outputs_from(0, hidden, pass);
        scalar(without_penalty.objective.mean_loss(outputs, target.clone()))
    };
    let inner = net.valid();
    let before = loss(&inner);
    let after = |block: usize, gradient: &Gradients<B>, length: f64| {
        let along = in_block::<B>(gradient, block);
        let norm = dot(&along, &along).sqrt();
        let mut change = Move { along: &along, scale: -length / norm };
        loss(&map_named(inner.clone(), &mut change))
    };
    let values = export(&inner);
    let block = |l: usize| {
        let length = config.descent_step * norm_of_block(&values, l);
        let (a, g) = (in_block::<B>(&method, l), in_block::<B>(&exact, l));
        BlockSteps {
            length,
            before,
            method: after(l, &method, length),
            backpropagation: after(l, &exact, length),
            cosine: dot(&a, &g) / (dot(&a, &a).sqrt() * dot(&g, &g).sqrt()),
        }
    };
    (0..net.blocks()).map(block).collect()
}

type Flat<B> = BTreeMap<String, Tensor<B, 1>>;

fn in_block<B: Differentiable>(all: &Gradients<B>, block: usize) -> Flat<B::InnerBackend> {
    let of = all.iter().filter(|(name, _)| Part::of(name) == Part::Block(block));
    of.map(|(name, gradient)| (name.clone(), gradient.clone())).collect()
}

fn dot<B: Backend>(a: &Flat<B>, b: &Flat<B>) -> f64 {
    let product = |(name, x): (&String, &Tensor<B, 1>)| {
        let y = b.get(name)?.clone();
        Some(scalar((x.clone() * y).sum()))
    };
    a.iter().filter_map(product).sum()
}

fn norm_of_block(values: &NamedTensors, block: usize) -> f64 {
    let of = values.iter().filter(|(name, _)| Part::of(name) == Part::Block(block));
    let squares = of.flat_map(|(_, data)| data.iter::<f64>().map(|v| v * v).collect::<Vec<_>>());
    squares.sum::<f64>().sqrt()
}

/// θ + scale · direction, for the parameters that have one.
struct Move<'a, B: Backend> {
    along: &'a Flat<B>,
    scale: f64,
}

impl<B: Backend> Change<B> for Move<'_, B> {
    fn change(&mut self, name: &str, _: &[usize], flat: Tensor<B, 1>) -> Tensor<B, 1> {
        match self.along.get(name) {
            Some(direction) => flat + direction.clone().mul_scalar(self.scale),
            None => flat,
        }
    }
}

fn to_f64<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().into_vec().expect("converted to f64")
}
