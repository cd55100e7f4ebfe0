//! Equilibrium propagation (Scellier & Bengio 2017; protocol §2.5), on the energy
//!
//! E = ½ Σ_l ‖h_{l+1} − h_l − f_l(h_l)‖² + β · loss(readout(h_L)),  h_0 clamped to the embedding,
//!
//! a sum over the features of each sample. The forward pass is the free state: there E is zero and
//! has no gradient. The nudged state begins there and goes `ep_steps` steps of `ep_step_size` down
//!
//! ∂E/∂h_l = r_{l−1} − (∂h_{l+1}/∂h_l)ᵀ r_l,  r_l = h_{l+1} − h_l − f_l(h_l),
//!
//! at h_L with β ∂loss/∂h_L in the last term's place. `ep_phases = symmetric` relaxes under −β, too.
//!
//! Two credits can be read off a nudged state. The residual −r_{l−1}/β is what trains block l − 1; at
//! a stationary state it comes to be the gradient as β → 0. The displacement −(h_l − free h_l)/β,
//! the published one, does not: it adds up over the layers, Δ_{l+1} = (∂h_{l+1}/∂h_l) Δ_l − β g_{l+1},
//! and is zero at h_0, which does not move.

use super::two_phase::{Force, Free, Layers, Phase, TwoPhaseRule};
use super::{Card, Entry, Given, Rule};
use crate::backend::Differentiable;
use crate::config::{Config, EpCredit, EpPhases, Objective};
use crate::model::{Network, Outline, Pass, Target};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Equilibrium propagation.
pub struct Ep;

/// How states are nudged, and what is read off them.
#[derive(Clone, Copy, Debug)]
pub struct Nudging {
    /// β
    pub strength: f64,
    pub steps: usize,
    pub step_size: f64,
    pub phases: EpPhases,
    pub credit: EpCredit,
}

impl Nudging {
    /// That of the reference's records; the step size is cut off there (protocol §14).
    pub const RECOVERED: Self = Self {
        strength: 0.5,
        steps: 20,
        step_size: 0.1,
        phases: EpPhases::OneSided,
        credit: EpCredit::Displacement,
    };

    /// What `config` asks for.
    pub fn of(config: &Config) -> Self {
        Self {
            strength: config.ep_nudge,
            steps: config.ep_steps,
            step_size: config.ep_step_size,
            phases: config.ep_phases,
            credit: config.ep_credit,
        }
    }

    /// w_k and β_k of each phase that has a gradient.
    fn weights(&self) -> Vec<(f64, f64)> {
        let beta = self.strength;
        match self.phases {
            EpPhases::OneSided => vec![(1.0 / beta, beta)],
            EpPhases::Symmetric => vec![(0.5 / beta, beta), (-0.5 / beta, -beta)],
        }
    }
}

impl Rule for Ep {
    const CARD: Card = Card {
        paper: "Scellier & Bengio 2017; Laborieux et al. 2021; arXiv:2606.21126",
        equation: "∂L/∂θ ≈ Σ_k w_k ∂E(h^k)/∂θ, E = ½ Σ_l ‖h_{l+1} − h_l − f_l(h_l)‖² + β loss",
        differs: "the energy of a feed-forward network, relaxed from its own pass for a fixed number of steps \
                  (β, steps and step size are keys; the step size is not published)",
        limits: "20 steps of 0.1 do not reach the stationary state, where alone it is the gradient for small \
                 β; h_0 is clamped, so that the displacement there is 0 by construction",
        proof: "equilibrium_propagation_is_backpropagation_in_the_limit",
        given: Given::Approached,
    };

    fn layout(_: &Config, _: &Outline) -> Vec<Entry> {
        Vec::new()
    }
}

impl TwoPhaseRule for Ep {
    fn relax<B: Differentiable, N: Network<B>>(free: &Free<B, N>) -> Vec<Phase<B>> {
        let phase = |(weight, nudge)| {
            let (states, force) = descend(free, nudge);
            Phase { weight, nudge, states, force }
        };
        free.settings.nudging.weights().into_iter().map(phase).collect()
    }

    fn energy<B: Differentiable, N: Network<B>>(
        net: &N,
        pass: &mut Pass<B>,
        states: &[Tensor<B, 3>],
        target: &Target<B>,
        objective: Objective,
        nudge: f64,
    ) -> Tensor<B, 1> {
        let outputs = net.readout(states[net.blocks()].clone(), pass);
        let loss = objective.mean_loss(outputs, target.clone()).mul_scalar(nudge);
        let [n, ..] = states[0].dims();
        let residuals = (0..net.blocks()).map(|l| {
            let residual = states[l + 1].clone() - advanced(net, l, states[l].clone(), pass);
            B::squared_norm(residual.flatten(0, 1), 0.5 / n as f64)
        });
        residuals.fold(loss, |sum, term| sum + term)
    }

    fn credit<B: Differentiable, N: Network<B>>(
        free: &Free<B, N>,
        phases: &[Phase<B>],
    ) -> Layers<B> {
        match free.settings.nudging.credit {
            EpCredit::Displacement => displacement(free, phases),
            EpCredit::Residual => residual(free, phases),
        }
    }
}

/// h_{l+1} of h_l.
fn advanced<B: Differentiable, N: Network<B>>(
    net: &N,
    l: usize,
    hidden: Tensor<B, 3>,
    pass: &mut Pass<B>,
) -> Tensor<B, 3> {
    let branch = net.branch(l, hidden.clone(), pass);
    net.advance(l, hidden, branch, pass)
}

/// The steps under the nudge β from the free state: h_1 … h_L, and the force before the first and the
/// last of them.
///
/// All blocks are in one graph, Σ_l ⟨h_{l+1}(h_l), r_l⟩ with r_l held fixed, so that a step costs one
/// forward and one backward pass to the states alone. h_0 does not move, and its block need not be run
/// again; nor need a block below which nothing has moved yet, whose r is zero.
fn descend<B: Differentiable, N: Network<B>>(
    free: &Free<B, N>,
    beta: f64,
) -> (Layers<B>, Option<Force<B>>) {
    let Free { net, hidden, target, settings, .. } = free;
    let (top, steps) = (net.blocks(), settings.nudging.steps);
    let pass = &mut free.pass.clone();
    let [n, ..] = hidden[0].dims();
    let mut states = hidden.to_vec();
    let (mut first, mut last) = (None, None);
    for step in 0..if top > 0 { steps } else { 0 } {
        // The lowest state that a force can have reached.
        let from = top.saturating_sub(step).max(1);
        let leaves: Vec<Tensor<B, 3>> =
            states[from..].iter().map(|h| Tensor::from_inner(h.clone()).require_grad()).collect();
        let outputs = net.readout(leaves[top - from].clone(), pass);
        let loss = settings.objective.mean_loss(outputs, (*target).clone());
        let mut total = loss.mul_scalar(beta * n as f64);
        let mut residuals = Vec::with_capacity(leaves.len());
        residuals.push(match from {
            1 => Some(states[1].clone() - hidden[1].clone()),
            _ => None,
        });
        for l in from..top {
            let reached = advanced(*net, l, leaves[l - from].clone(), pass);
            let residual = states[l + 1].clone() - reached.clone().inner();
            total = total - paired(reached, residual.clone());
            residuals.push(Some(residual));
        }
        let gradients = total.backward();
        let force: Layers<B> = leaves
            .iter()
            .zip(residuals)
            .map(|(leaf, residual)| {
                let above = leaf.grad(&gradients).expect("every state is in the graph");
                residual.map_or_else(|| above.clone(), |residual| above.clone() + residual)
            })
            .collect();
        if step == 0 {
            first = square(&force);
        }
        if step + 1 == steps {
            last = square(&force);
        }
        for (h, force) in states[from..].iter_mut().zip(force) {
            *h = h.clone() - force.mul_scalar(settings.nudging.step_size);
        }
    }
    states.remove(0);
    let force = first.zip(last).map(|(first, last)| Tensor::cat(vec![first, last], 0));
    (states, force)
}

/// Σ ⟨x_i, a_i⟩ of x [N, T, d] and an `a` of this shape that is held fixed.
fn paired<B: Differentiable>(x: Tensor<B, 3>, a: Tensor<B::InnerBackend, 3>) -> Tensor<B, 1> {
    B::inner_product(x.flatten(0, 1), Tensor::from_inner(a.flatten(0, 1)), 1.0)
}

fn square<B: Backend>(force: &[Tensor<B, 3>]) -> Option<Tensor<B, 1>> {
    force.iter().map(|f| f.clone().square().sum()).reduce(|sum, square| sum + square)
}

/// −Σ_k w_k (h_l^k − free h_l): zero at h_0.
fn displacement<B: Differentiable, N>(free: &Free<B, N>, phases: &[Phase<B>]) -> Layers<B> {
    let mut credit: Vec<_> = free.hidden.iter().map(Tensor::zeros_like).collect();
    for Phase { weight, states, .. } in phases {
        for ((a, nudged), still) in credit[1..].iter_mut().zip(states).zip(&free.hidden[1..]) {
            *a = a.clone() - (nudged.clone() - still.clone()).mul_scalar(*weight);
        }
    }
    credit
}

/// −Σ_k w_k r_{l−1}^k; at h_0, which has no residual, Σ_k w_k ∂E^k/∂h_0, by which the embedding learns.
fn residual<B: Differentiable, N: Network<B>>(free: &Free<B, N>, phases: &[Phase<B>]) -> Layers<B> {
    let Free { net, hidden, target, settings, .. } = free;
    let [n, ..] = hidden[0].dims();
    let mut credit: Vec<_> = hidden.iter().map(Tensor::zeros_like).collect();
    for Phase { weight, nudge, states, .. } in phases {
        let clamped = Tensor::<B, 3>::from_inner(hidden[0].clone()).require_grad();
        let relaxed = states.iter().map(|h| Tensor::from_inner(h.clone()));
        let states: Vec<_> = std::iter::once(clamped.clone()).chain(relaxed).collect();
        let pass = &mut free.pass.clone();
        let energy = Ep::energy(*net, pass, &states, target, settings.objective, *nudge);
        let gradients = energy.mul_scalar(weight * n as f64).backward();
        let at_input = clamped.grad(&gradients).expect("h_0 is in the graph");
        credit[0] = credit[0].clone() + at_input;
        for l in 0..net.blocks() {
            let reached = advanced(*net, l, states[l].clone(), pass).inner();
            let residual = states[l + 1].clone().inner() - reached;
            credit[l + 1] = credit[l + 1].clone() - residual.mul_scalar(*weight);
        }
    }
    credit
}
