//! The two-phase family: states relax under an energy E(h_0 … h_L; θ, β), which holds the loss with
//! the weight β, and the gradient of the parameters is the difference that nudging makes,
//!
//! ∂L/∂θ ≈ Σ_k w_k ∂E(h^k; θ, β_k)/∂θ,
//!
//! over phases k with weights w_k: 1/β for the nudged and −1/β for the free state, or ±1/2β for two
//! nudged ones (Scellier & Bengio 2017; Laborieux et al. 2021). A relaxed state is held fixed while
//! the energy is differentiated: at a minimum its own change counts in the second order alone. A free
//! state without energy has no gradient, and is no phase.
//!
//! h_0 is clamped to the embedding of the input, which learns by what the energy asks of it. A penalty
//! is each block's own, of the free state.

use super::local::penalty;
use super::{Gradients, Lesson, Rule, Settings, lower};
use crate::backend::Differentiable;
use crate::config::Objective;
use crate::model::{Network, Pass, Target, gradients};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

type Inner<B> = <B as AutodiffBackend>::InnerBackend;

/// States, or what is at them, each [N, T, d].
pub type Layers<B> = Vec<Tensor<Inner<B>, 3>>;

/// A [`Phase::force`].
pub type Force<B> = Tensor<Inner<B>, 1>;

/// The forward pass of one batch, from which states relax.
pub struct Free<'a, B: Differentiable, N> {
    /// Its parameters require no gradient.
    pub net: &'a N,
    pub pass: &'a Pass<B>,
    /// h_0 … h_L, each [N, T, d].
    pub hidden: &'a [Tensor<Inner<B>, 3>],
    pub target: &'a Target<B>,
    pub settings: &'a Settings,
}

/// A state that the network relaxed to.
pub struct Phase<B: Differentiable> {
    /// w_k
    pub weight: f64,
    /// β_k
    pub nudge: f64,
    /// h_1 … h_L, each [N, T, d].
    pub states: Layers<B>,
    /// Σ ‖∂E/∂h_l‖² before the first and before the last step of the relaxation, [2]: states whose
    /// force grows do not settle. `None` where there is nothing to relax.
    pub force: Option<Force<B>>,
}

/// What the file of a rule of this family implements.
pub trait TwoPhaseRule: Rule {
    /// Relaxes the network on a batch, once for each phase.
    fn relax<B: Differentiable, N: Network<B>>(free: &Free<B, N>) -> Vec<Phase<B>>;

    /// E of the states h_0 … h_L, the mean over the batch: [1].
    fn energy<B: Differentiable, N: Network<B>>(
        net: &N,
        pass: &mut Pass<B>,
        states: &[Tensor<B, 3>],
        target: &Target<B>,
        objective: Objective,
        nudge: f64,
    ) -> Tensor<B, 1>;

    /// The credit at h_0 … h_L, each [N, T, d], of phases that were relaxed.
    fn credit<B: Differentiable, N: Network<B>>(
        free: &Free<B, N>,
        phases: &[Phase<B>],
    ) -> Layers<B>;
}

type Energy<B, N> =
    fn(&N, &mut Pass<B>, &[Tensor<B, 3>], &Target<B>, Objective, f64) -> Tensor<B, 1>;

type Credit<B, N> = fn(&Free<B, N>, &[Phase<B>]) -> Layers<B>;

/// The functions of one rule.
pub(super) struct TwoPhase<B: Differentiable, N> {
    relax: fn(&Free<B, N>) -> Vec<Phase<B>>,
    energy: Energy<B, N>,
    pub(super) credit: Credit<B, N>,
}

impl<B: Differentiable, N: Network<B>> TwoPhase<B, N> {
    pub(super) fn of<R: TwoPhaseRule>() -> Self {
        Self { relax: R::relax::<B, N>, energy: R::energy::<B, N>, credit: R::credit::<B, N> }
    }
}

pub(super) fn learn<B: Differentiable, N: Network<B>>(
    net: &N,
    rule: &TwoPhase<B, N>,
    settings: &Settings,
    mut pass: Pass<B>,
    images: Tensor<B, 2>,
    target: Target<B>,
) -> Lesson<B> {
    let fixed = net.clone().no_grad();
    let clamped = net.embed(images, &mut pass);
    let (hidden, outputs) = forward(&fixed, &mut pass, clamped.clone().inner());
    let loss = settings.objective.mean_loss(outputs.clone(), target.clone());
    let free = Free { net: &fixed, pass: &pass, hidden: &hidden, target: &target, settings };
    let phases = (rule.relax)(&free);

    let force = phases.iter().filter_map(|phase| phase.force.clone()).collect();
    let differences = phases.into_iter().map(|Phase { weight, nudge, states, .. }| {
        let relaxed = states.into_iter().map(Tensor::from_inner);
        let states: Vec<_> = std::iter::once(clamped.clone()).chain(relaxed).collect();
        let through = &mut pass.clone();
        let energy = (rule.energy)(net, through, &states, &target, settings.objective, nudge);
        energy.mul_scalar(weight)
    });
    let penalties = (0..net.blocks()).filter(|_| settings.penalty > 0.0).map(|l| {
        let state = Tensor::from_inner(hidden[l].clone());
        penalty(net.branch(l, state, &mut pass.clone()), settings)
    });
    let total = differences.chain(penalties).reduce(|sum, term| sum + term).expect("a phase");
    Lesson {
        loss: loss.inner(),
        outputs: outputs.inner(),
        network: gradients(net, &total.backward()),
        own: Gradients::<B>::new(),
        force,
        buffers: lower(pass.buffers),
    }
}

/// What `read` finds on the phases of one batch; nothing is learned.
pub(super) fn measure<B: Differentiable, N: Network<B>, T>(
    net: &N,
    rule: &TwoPhase<B, N>,
    settings: &Settings,
    mut pass: Pass<B>,
    (images, target): (Tensor<B, 2>, Target<B>),
    read: impl FnOnce(&Free<B, N>, Vec<Phase<B>>) -> T,
) -> T {
    let fixed = net.clone().no_grad();
    let clamped = fixed.embed(images, &mut pass).inner();
    let (hidden, _) = forward(&fixed, &mut pass, clamped);
    let free = Free { net: &fixed, pass: &pass, hidden: &hidden, target: &target, settings };
    let phases = (rule.relax)(&free);
    read(&free, phases)
}

/// h_0 … h_L of h_0, and the outputs.
fn forward<B: Differentiable, N: Network<B>>(
    fixed: &N,
    pass: &mut Pass<B>,
    clamped: Tensor<Inner<B>, 3>,
) -> (Layers<B>, Tensor<B, 2>) {
    let mut hidden = vec![clamped];
    for l in 0..fixed.blocks() {
        let state = Tensor::from_inner(hidden[l].clone());
        let branch = fixed.branch(l, state.clone(), pass);
        hidden.push(fixed.advance(l, state, branch, pass).inner());
    }
    let outputs = fixed.readout(Tensor::from_inner(hidden[fixed.blocks()].clone()), pass);
    (hidden, outputs)
}

/// The largest factor by which a force grew from the first to the last step of a relaxation, of the
/// squares of [`Phase::force`]; `None` where nothing was relaxed. One that vanishes at once has not
/// grown.
pub fn growth_of_force(squares: &[f64]) -> Option<f64> {
    let growth = |pair: &[f64]| match pair {
        [first, last] if *first == 0.0 && *last == 0.0 => 0.0,
        [first, last] => (last / first).sqrt(),
        _ => unreachable!("two a phase"),
    };
    squares.chunks(2).map(growth).reduce(worse)
}

/// The larger factor; NaN is worse than any.
pub fn worse(a: f64, b: f64) -> f64 {
    if b.is_nan() || b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::growth_of_force;

    #[test]
    fn a_force_that_grows_is_told_by_its_worst_phase_and_nan_is_the_worst() {
        assert_eq!(growth_of_force(&[]), None);
        assert_eq!(growth_of_force(&[4.0, 1.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(growth_of_force(&[0.0, 0.0]), Some(0.0));
        assert!(growth_of_force(&[4.0, f64::NAN, 1.0, 9.0]).unwrap().is_nan());
        assert!(growth_of_force(&[1.0, 9.0, 4.0, f64::NAN]).unwrap().is_nan());
    }
}
