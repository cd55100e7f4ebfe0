//! Credit Bridge (arXiv:2606.21126; protocol §2.4, §14): a scalar auxiliary network V learns what loss
//! lies ahead of any hidden state, and credit is its slope,
//!
//! a_l = ∇_{h_l} V(h_l, l, s).
//!
//! V minimises, on each batch after its credit and with AdamW,
//!
//! - the terminal value: mean (V(h_L, L, s) − ℓ)², ℓ each sample's own loss;
//! - the bridge: mean (V(h_l, l, s) − softmin_k V̄(h_{l+1} + σ ξ_k, l + 1, s))² at one layer l < L a
//!   sample, drawn anew for every batch, with K draws ξ ~ N(0, I), V̄ the running average of V, and
//!   softmin v = −λ log((1/K) Σ_k exp(−v_k/λ));
//! - `gradient_weight` times the mismatch of ∇V at h_L and δ_L = ∂ℓ/∂h_L ([`GradientMatching`]).
//!
//! In the first `warm_up` of the epochs DFA's credit trains the network, a_l = B_l e, while V learns.

use super::auxiliary::inputs::{At, Inputs, delta, drawn_layers, hidden};
use super::auxiliary::{self, AuxiliaryNet, Targets, gradients_at, gradients_of, tracked};
use super::{
    Average, BridgeSettings, Card, Credit, Entry, Given, Gradients, Known, LocalRule, Rule, Scene,
    dfa,
};
use crate::backend::Differentiable;
use crate::config::{Auxiliary, Config, GradientMatching};
use crate::model::{Network, Outline, Part};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Credit Bridge.
pub struct CreditBridge;

/// What the names of V's matrices begin with, and of V̄'s.
const VALUE: &str = "auxiliary";
const AVERAGE: &str = "average";

/// Added to squared lengths that may be zero, in f32 too.
const TINY: f64 = 1e-30;

impl Rule for CreditBridge {
    const CARD: Card = Card {
        paper: "Hao, Wan & Zhai 2026 (arXiv:2606.21126)",
        equation: "a_l = ∇V(h_l, l, s), V(h_L) = ℓ, V(h_l) = softmin_k V̄(h_{l+1} + σξ_k), ∇V(h_L) = δ_L",
        differs: "K, average, size and optimiser of V are those of the linear–quadratic task, the form of the \
                  gradient's term is not published (`gradient_matching`); its flow-matching term, of weight 0, \
                  is left out",
        limits: "one token and one width; LN hides the credit along h_l − mean and along 1; trains by DFA in \
                 the `warm_up`, and what is measured then is DFA",
        proof: "credit_bridge_with_the_exact_remaining_loss_is_the_gradient",
        given: Given::Nowhere,
    };

    /// V, V̄, and DFA's matrices where there is a warm-up.
    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        let value = auxiliary::layout(config, outline, VALUE, config.value_octaves, 1);
        let average = |entry: &Entry| Entry {
            name: entry.name.replacen(VALUE, AVERAGE, 1),
            part: Part::Learner,
            average: Some(Average { of: entry.name.clone(), decay: config.average_decay }),
            ..entry.clone()
        };
        let average: Vec<_> = value.iter().map(average).collect();
        let feedback = match config.warm_up_epochs() {
            0 => Vec::new(),
            _ => dfa::layout(config, outline),
        };
        [value, average, feedback].concat()
    }
}

impl LocalRule for CreditBridge {
    const NEEDS_TOP: bool = true;
    const NEEDS_HIDDEN: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        let bridge = scene.bridge();
        if scene.epoch.max(1) <= bridge.warm_up_epochs {
            return dfa::credit(known.error.clone(), scene.own, known.blocks);
        }
        let inputs = Inputs::of(known, bridge.code, bridge.value_octaves);
        let value = AuxiliaryNet::of(scene.own, VALUE).lifted::<B>();
        slope_of(scene, known, |hidden| {
            let context = Tensor::from_inner(inputs.context_of_layers(hidden.len()));
            value.run(Tensor::cat(hidden.to_vec(), 0), context).output
        })
    }

    fn learn<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Gradients<B> {
        let bridge = scene.bridge();
        if bridge.auxiliary == Auxiliary::Untrained {
            return Gradients::<B>::new();
        }
        let inputs = Inputs::of(known, bridge.code, bridge.value_octaves);
        let n = inputs.samples();
        let targets = Targets::of(bridge.auxiliary, scene.turn, n);
        let drawn = drawn_layers(scene.turn, n, known.blocks);
        let ahead = ahead(scene, bridge, &inputs, &targets, &drawn);
        let (outputs, target) = (known.outputs.clone(), known.target.clone());
        let loss = scene.settings.objective.sample_losses(outputs, target);
        let slope = delta(known);

        let own = tracked::<B>(scene.own, VALUE);
        let value = AuxiliaryNet::of(&own, VALUE);
        let lift = |rows: &[At]| {
            [inputs.hidden(rows), inputs.context(rows)].map(Tensor::<B, 2>::from_inner)
        };
        let off = |found: Tensor<B, 2>, target, what| {
            (found - Tensor::from_inner(targets.of_true(target, what))).square().mean()
        };
        let [h, context] = lift(&drawn);
        let consistency = off(value.run(h, context).output, ahead, "bridge");
        let [h, context] = lift(&inputs.all_at(known.blocks));
        let ran = value.run(h.clone(), context);
        let terminal = off(ran.output.clone(), loss.unsqueeze_dim(1), "value");
        let total = terminal + consistency;
        if bridge.gradient_weight == 0.0 {
            return gradients_of(&own, total);
        }
        let target = targets.of_true(slope.clone(), "gradient");
        let [target, slope] = [target, slope].map(Tensor::from_inner);
        let mismatch = mismatch(bridge, value.gradient(h, &ran), target, slope);
        gradients_of(&own, total + mismatch.mul_scalar(bridge.gradient_weight))
    }
}

/// The soft minimum over noisy copies of h_{l+1} of each drawn row: [N, 1].
fn ahead<B: Differentiable, N>(
    scene: &Scene<B, N>,
    bridge: &BridgeSettings,
    inputs: &Inputs<B::InnerBackend>,
    targets: &Targets,
    drawn: &[At],
) -> Tensor<B::InnerBackend, 2> {
    let copies = bridge.bridge_copies;
    let next: Vec<At> = drawn.iter().map(|at| At { layer: at.layer + 1, ..*at }).collect();
    let next = next.repeat(copies);
    let h = inputs.hidden(&next);
    let noise = targets.normals(h.dims(), "noise", &h.device()).mul_scalar(bridge.bridge_noise);
    let average = AuxiliaryNet::of(scene.own, AVERAGE);
    let values = average.run(h + noise, inputs.context(&next)).output;
    let values = values.reshape([copies, drawn.len()]);
    soft_min(values, bridge.softmin_temperature).unsqueeze_dim(1)
}

/// −λ log((1/K) Σ_k exp(−v_k/λ)) of each column of v [K, n]: [n].
pub fn soft_min<B: Backend>(values: Tensor<B, 2>, temperature: f64) -> Tensor<B, 1> {
    // From the least on, so that no exponential leaves the finite numbers.
    let least = values.clone().min_dim(0);
    let above = (values - least.clone()).div_scalar(-temperature).exp().mean_dim(0);
    (least + above.log().mul_scalar(-temperature)).squeeze_dim(0)
}

/// How far the slopes ∇V at h_L are from their targets [N, d]; `slope` is δ_L, which sets the scale for the
/// twins too.
fn mismatch<B: Backend>(
    bridge: &BridgeSettings,
    found: Tensor<B, 2>,
    target: Tensor<B, 2>,
    slope: Tensor<B, 2>,
) -> Tensor<B, 1> {
    let [n, _] = found.dims();
    let squares = |x: Tensor<B, 2>| x.square().sum();
    match bridge.gradient_matching {
        GradientMatching::Absolute => squares(found - target).div_scalar(n as f64),
        GradientMatching::Relative => squares(found - target) / squares(slope).add_scalar(TINY),
        GradientMatching::Cosine => {
            let length = |x: Tensor<B, 2>| x.square().sum_dim(1).add_scalar(TINY).sqrt();
            let lengths = length(found.clone()) * length(target.clone());
            let cosines = (found * target).sum_dim(1) / lengths;
            cosines.mean().neg().add_scalar(1.0)
        }
    }
}

/// The slope of any value, which makes of h_0, h_1, …, each [N, d], the V of each, below each other.
pub fn slope_of<B: Differentiable, N: Network<B>>(
    scene: &Scene<B, N>,
    known: &Known<B::InnerBackend>,
    value: impl FnOnce(&[Tensor<B, 2>]) -> Tensor<B, 2>,
) -> Credit<B::InnerBackend> {
    let at = (0..scene.credited(known)).map(|l| hidden(known, l));
    let layers = gradients_at(at, |hidden| value(hidden).sum());
    Credit { layers, embed: None }
}
