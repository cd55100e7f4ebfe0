//! GrAPE (protocol §11): direct feedback alignment whose feedback learns from forward derivatives,
//!
//! a_l = B_l e,  B_l ∈ R^{d×C},  Ĵ = mean over batches of (1/N) Σ_n δ_n (J_n δ_n)ᵀ,
//!
//! where J_n is the Jacobian of the outputs of sample n in h_l and δ_n ~ N(0, I_d) a probe, so that the mean
//! of Ĵ is that of J_nᵀ, and B_l = Ĵ would be backpropagation's credit through the mean Jacobian. With
//! c_i = cos(B[i], Ĵ[i]) for each row i and g̃ = Ĵ at the norm of B, a step of the feedback is
//!
//! ```text
//! v1             B ← B − η(1 − c)∘B                    no row turns: for η < 1 no row's cosine changes
//! alternative-1  B ← B − η(1 − c)∘B + η c∘g̃
//! alternative-2  B ← (1 − η)B + η g̃
//! v2             B[i] ← B[i] + η ∂c_i/∂B[i], then at length 1
//! ```
//!
//! then noise, and but for v2 the norm that B had. A running mean that is nothing yet moves nothing.

use super::{
    Card, Credit, Entry, Given, Gradients, GrapeSettings, Known, LocalRule, Rule, Scene, dfa,
};
use crate::backend::Differentiable;
use crate::config::{Config, GrapeForm, Probe};
use crate::model::{Draw, Network, Outline, Part, Pass};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// GrAPE.
pub struct Grape;

/// What the names of the running means begin with.
const MEAN: &str = "jacobian.";

/// Keeps a division by a length defined.
const TINY: f64 = 1e-30;

/// Length of a perturbation over that of the hidden state, for each sample.
const STEP: f64 = 1e-2;

impl Rule for Grape {
    const CARD: Card = Card {
        paper: "GrAPE, as submitted (v1) and as published (v2, ICLR 2026)",
        equation: "a_l = B_l e, B_l moved by its rows' cosines with (1/N) Σ_n δ_n (J_n δ_n)ᵀ",
        differs: "the step of v2 goes up the sum of the rows' cosines, not their mean, so that η does not depend \
                  on d; decay of the mean and noise are keys, both unpublished; blocks and not single layers are \
                  given credit, scaled to an RMS of 1",
        limits: "v1 turns no row of B, whatever it sees; alternative-1 turns rows that disagree with the Jacobian \
                 away from it; the mean Jacobian is one matrix for all samples",
        proof: "grape_turns_feedback_to_the_jacobian_and_v1_turns_no_row",
        given: Given::Approached,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        let feedback = dfa::layout(config, outline).into_iter();
        let feedback: Vec<_> = feedback.map(|entry| Entry { part: Part::Given, ..entry }).collect();
        let mean = |(l, entry): (usize, &Entry)| Entry {
            name: format!("{MEAN}{l}"),
            draw: Draw::Constant(0.0),
            ..entry.clone()
        };
        let means: Vec<_> = feedback.iter().enumerate().map(mean).collect();
        [feedback, means].concat()
    }
}

impl LocalRule for Grape {
    const DIRECT: bool = true;
    const NEEDS_HIDDEN: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        dfa::credit(known.error.clone(), scene.own, known.blocks)
    }

    fn learn<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Gradients<B> {
        let grape = scene.settings.grape.as_ref().expect("the settings of the rule");
        let mut given = Gradients::<B>::new();
        let feedback: Vec<_> = scene.own.layers().cloned().collect();
        for (l, b) in feedback.into_iter().enumerate() {
            let name = format!("{MEAN}{l}");
            let before = scene.own.get(&name).expect("a mean for each matrix").clone();
            let seen = estimate(scene, grape, known, l);
            let mean = before.mul_scalar(grape.decay) + seen.mul_scalar(1.0 - grape.decay);
            let noise = (grape.noise > 0.0)
                .then(|| scene.turn.normals(b.dims(), &format!("noise.{l}"), &b.device()));
            let next = step(grape, b, mean.clone(), noise);
            given.insert(format!("{}{l}", super::FEEDBACK), next.flatten(0, 1));
            given.insert(name, mean.flatten(0, 1));
        }
        given
    }
}

/// (1/N) Σ_n δ_n (J_n δ_n)ᵀ at h_l, the mean of so many probes: [d, C].
fn estimate<B: Differentiable, N: Network<B>>(
    scene: &Scene<B, N>,
    grape: &GrapeSettings,
    known: &Known<B::InnerBackend>,
    l: usize,
) -> Tensor<B::InnerBackend, 2> {
    let hidden = known.hidden[l].clone();
    let [n, _, d] = hidden.dims();
    // Nothing is recorded: what is not differentiated would be kept.
    let net = scene.net.clone().no_grad();
    let probed = (0..grape.probes).map(|k| {
        let probe = scene.turn.normals([n, d], &format!("probe.{l}.{k}"), &hidden.device());
        let slope = slope::<B, N>(&net, scene, grape.probe, hidden.clone(), probe.clone(), l);
        probe.transpose().matmul(slope)
    });
    let sum = probed.reduce(|sum, one| sum + one).expect("one probe at least");
    sum.div_scalar((n * grape.probes) as f64)
}

/// J_n δ_n of each sample: [N, C].
fn slope<B: Differentiable, N: Network<B>>(
    net: &N,
    scene: &Scene<B, N>,
    probe: Probe,
    hidden: Tensor<B::InnerBackend, 3>,
    along: Tensor<B::InnerBackend, 2>,
    l: usize,
) -> Tensor<B::InnerBackend, 2> {
    let pass = &mut Pass::eval(&super::lift::<B>(scene.buffers));
    let along = along.unsqueeze_dim::<3>(1);
    match probe {
        Probe::Tangent => net
            .outputs_tangent(l, Tensor::from_inner(hidden), Tensor::from_inner(along), pass)
            .expect("a network with tangents: the keys see to it")
            .inner(),
        Probe::Perturbation => {
            let length = |x: Tensor<B::InnerBackend, 3>| x.square().sum_dim(2).sqrt();
            let step = length(hidden.clone()).add_scalar(TINY) / length(along.clone());
            let step = step.mul_scalar(STEP);
            let aside = along * step.clone();
            let mut at = |h| net.outputs_from(l, Tensor::from_inner(h), pass).inner();
            let difference = at(hidden.clone() + aside.clone()) - at(hidden - aside);
            difference / step.squeeze_dim::<2>(1).mul_scalar(2.0)
        }
    }
}

/// The feedback B [d, C] after one step, given the running mean of the estimates and standard normal numbers.
fn step<B: Backend>(
    grape: &GrapeSettings,
    b: Tensor<B, 2>,
    mean: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
) -> Tensor<B, 2> {
    let of_rows = |x: Tensor<B, 2>| x.square().sum_dim(1).sqrt().add_scalar(TINY);
    let norm = |x: Tensor<B, 2>| x.square().sum().sqrt().add_scalar(TINY).unsqueeze::<2>();
    let (size, rows) = (norm(b.clone()), of_rows(b.clone()));
    let toward = mean.clone() / of_rows(mean.clone());
    let cosines = (b.clone() * toward.clone()).sum_dim(1) / rows.clone();
    let shrunk =
        || b.clone() * cosines.clone().sub_scalar(1.0).mul_scalar(grape.rate).add_scalar(1.0);
    let scaled = || mean.clone() / norm(mean.clone()) * size.clone();
    let mut next = match grape.form {
        GrapeForm::V1 => shrunk(),
        GrapeForm::Alternative1 => shrunk() + scaled() * cosines.clone().mul_scalar(grape.rate),
        GrapeForm::Alternative2 => {
            b.clone().mul_scalar(1.0 - grape.rate) + scaled().mul_scalar(grape.rate)
        }
        GrapeForm::V2 => {
            let up = (toward - b.clone() / rows.clone() * cosines.clone()) / rows.clone();
            b.clone() + up.mul_scalar(grape.rate)
        }
    };
    if let Some(noise) = noise {
        let [d, classes] = b.dims();
        let each = size.clone().div_scalar(((d * classes) as f64).sqrt() / grape.noise);
        next = next + noise * each;
    }
    match (grape.form, grape.rescale) {
        (GrapeForm::V2, _) => next.clone() / of_rows(next),
        (_, true) => next.clone() / norm(next) * size,
        (_, false) => next,
    }
}
