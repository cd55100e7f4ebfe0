//! The two-phase family: states relax under an energy E(h_0 … h_L; θ, β), which holds the loss with
//! the weight β, and the gradient of the parameters is the difference that nudging makes,
//!
//! ∂L/∂θ ≈ Σ_k w_k ∂E(h^k; θ, β_k)/∂θ,
//!
//! over phases k with weights w_k: 1/β for the nudged and −1/β for the free state, or ±1/2β for two
//! nudged ones (Scellier & Bengio 2017; Laborieux et al. 2021). A relaxed state is held fixed while
//! the energy is differentiated: at a minimum its own change counts in the second order alone.

use super::{Gradients, Lesson, Settings, lift, lower};
use crate::backend::{Differentiable, differentiating};
use crate::model::{Buffers, Network, Pass, gradients};
use burn::tensor::{Int, Tensor};

/// A state that the network relaxed to.
pub struct Phase<B: Differentiable> {
    /// w_k
    pub weight: f64,
    /// β_k
    pub nudge: f64,
    /// h_1 … h_L, each [N, T, d]; h_0 is clamped to the embedding of the input.
    pub states: Vec<Tensor<B::InnerBackend, 3>>,
}

/// What the file of a rule of this family implements.
pub trait TwoPhaseRule<B: Differentiable> {
    /// Relaxes `net` on a batch, once for each phase.
    fn relax<N: Network<B>>(
        &self,
        net: &N,
        pass: &mut Pass<B>,
        images: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Vec<Phase<B>>;

    /// E of the states h_0 … h_L: [1].
    fn energy<N: Network<B>>(
        &self,
        net: &N,
        pass: &mut Pass<B>,
        states: &[Tensor<B, 3>],
        labels: Tensor<B, 1, Int>,
        nudge: f64,
    ) -> Tensor<B, 1>;
}

/// The gradients that `rule` gives the parameters of `net` on one batch.
///
/// # Panics
/// If the rule relaxes to no phase.
pub fn learn<B: Differentiable, N: Network<B>, R: TwoPhaseRule<B>>(
    net: &N,
    rule: &R,
    settings: &Settings,
    buffers: &Buffers<B::InnerBackend>,
    images: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
) -> Lesson<B> {
    let _turn = differentiating();
    let mut pass = Pass::train(&lift(buffers));
    let through = &mut pass;
    let phases = rule.relax(net, through, images.clone(), labels.clone());
    let difference = phases.into_iter().map(|Phase { weight, nudge, states }| {
        let clamped = net.embed(images.clone(), through);
        let relaxed = states.into_iter().map(Tensor::from_inner);
        let states: Vec<_> = std::iter::once(clamped).chain(relaxed).collect();
        rule.energy(net, through, &states, labels.clone(), nudge).mul_scalar(weight)
    });
    let total = difference.reduce(|sum, energy| sum + energy).expect("a phase");
    let network = gradients(net, &total.backward());

    // Of a pass that leaves the buffers as the phases made them.
    let mut free = Pass::eval(&pass.buffers);
    let hidden = net.embed(images, &mut free);
    let outputs = net.outputs_from(0, hidden, &mut free);
    let loss = settings.objective.mean_loss(outputs.clone(), labels);
    Lesson {
        loss: loss.inner(),
        outputs: outputs.inner(),
        network,
        own: Gradients::<B>::new(),
        buffers: lower(pass.buffers),
    }
}
