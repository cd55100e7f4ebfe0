//! State Bridge (arXiv:2606.21126; protocol §2.3, §14): an auxiliary network learns to predict the last
//! hidden state from any other, and credit comes back through it and the readout,
//!
//! a_l = ∂ℓ(readout(ĥ_L(h_l, l, s)), y)/∂h_l,  the readout as it is,
//!
//! ℓ each sample's own loss. The predictor, G = ĥ_L (`direct`) or ĥ_L − h_l (`residual`), minimises
//!
//! mean ‖ĥ_L(h_l, l, s) − h_L‖² / (‖h_L‖² + 1e-8),  h_L held fixed,
//!
//! at one layer l < L a sample, drawn anew for every batch, with AdamW, after the batch's credit. a_L,
//! which trains nothing, is the same at h_L, where the predictor did not learn.

use super::auxiliary::inputs::{Inputs, drawn_layers, hidden};
use super::auxiliary::{self, AuxiliaryNet, Targets, gradients_at, gradients_of, tracked};
use super::{BridgeSettings, Card, Credit, Entry, Given, Gradients, Known, LocalRule, Rule, Scene};
use crate::backend::{Differentiable, Kernels};
use crate::config::{Auxiliary, Config, PredictorOutput};
use crate::model::{Network, Outline, Target};
use burn::tensor::Tensor;

/// State Bridge.
pub struct StateBridge;

/// What the names of the predictor's matrices begin with.
const PREDICTOR: &str = "auxiliary";

impl Rule for StateBridge {
    const CARD: Card = Card {
        paper: "Hao, Wan & Zhai 2026 (arXiv:2606.21126)",
        equation: "a_l = ∂ℓ(readout(ĥ_L(h_l, l, s)), y)/∂h_l, ĥ_L by least squares on h_L",
        differs: "size, optimiser and form of the predictor are not published: `auxiliary_…`, `predictor_…` and \
                  `code` are keys with recommended defaults",
        limits: "one token and one width; LN hides the credit along h_l − mean and along 1; the predictor may \
                 meet h_L with a Jacobian that is not the network's",
        proof: "state_bridge_with_the_true_remaining_network_is_the_gradient",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        let d = outline.widths().next_back().expect("h_L");
        auxiliary::layout(config, outline, PREDICTOR, config.predictor_octaves, d)
    }
}

impl LocalRule for StateBridge {
    const NEEDS_TOP: bool = true;
    const NEEDS_HIDDEN: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        let bridge = scene.bridge();
        let inputs = Inputs::of(known, bridge.code, bridge.predictor_octaves);
        let net = AuxiliaryNet::of(scene.own, PREDICTOR).lifted::<B>();
        credit_through(scene, known, |hidden| {
            let context = Tensor::from_inner(inputs.context_of_layers(hidden.len()));
            predicted(&net, bridge, Tensor::cat(hidden.to_vec(), 0), context)
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
        let inputs = Inputs::of(known, bridge.code, bridge.predictor_octaves);
        let rows = drawn_layers(scene.turn, inputs.samples(), known.blocks);
        let top = hidden(known, known.blocks);
        let targets = Targets::of(bridge.auxiliary, scene.turn, inputs.samples());
        // The twins' too are held against the size of h_L, which a target of zeros has not.
        let scale = top.clone().square().sum_dim(1).add_scalar(1e-8).recip();
        let target = targets.of_true(top, "target");

        let own = tracked::<B>(scene.own, PREDICTOR);
        let [h, context] = [inputs.hidden(&rows), inputs.context(&rows)].map(Tensor::from_inner);
        let guess = predicted(&AuxiliaryNet::of(&own, PREDICTOR), bridge, h, context);
        let miss = (guess - Tensor::from_inner(target)).square().sum_dim(1);
        gradients_of(&own, (miss * Tensor::from_inner(scale)).mean())
    }
}

/// ĥ_L [n, d] of rows h [n, d].
fn predicted<B: Kernels>(
    net: &AuxiliaryNet<B>,
    bridge: &BridgeSettings,
    h: Tensor<B, 2>,
    context: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let output = net.run(h.clone(), context).output;
    match bridge.predictor_output {
        PredictorOutput::Direct => output,
        PredictorOutput::Residual => h + output,
    }
}

/// The credit through any predictor, which makes of h_0, h_1, …, each [N, d], the ĥ_L of each, below each
/// other.
pub fn credit_through<B: Differentiable, N: Network<B>>(
    scene: &Scene<B, N>,
    known: &Known<B::InnerBackend>,
    predict: impl FnOnce(&[Tensor<B, 2>]) -> Tensor<B, 2>,
) -> Credit<B::InnerBackend> {
    let count = scene.credited(known);
    let layers = gradients_at((0..count).map(|l| hidden(known, l)), |hidden| {
        let top = predict(hidden);
        let [rows, _] = top.dims();
        let target = Target::from_inner(known.target.clone()).repeated(count);
        scene.settings.objective.mean_loss(scene.readout(top), target).mul_scalar(rows as f64)
    });
    Credit { layers, embed: None }
}
