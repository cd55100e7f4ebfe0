//! The exact family: one backward pass over the uncut network,
//!
//! total = mean loss + λ Σ_l mean Σ_j f_l(h_l)_j².
//!
//! Backpropagation crosses every affine map through its own transpose. A rule that crosses them
//! through other matrices changes what arrives below; each parameter's gradient is formed of what
//! arrives, and the credit of h_l is what this backward pass brings there.

use super::local::penalty;
use super::{Gradients, Lesson, Own, Rule, Settings, Turn, lower};
use crate::backend::Differentiable;
use crate::model::{Network, Part, Pass, Target, Transport, gradients, matrices};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What the file of a rule of this family implements.
pub trait ExactRule: Rule {
    /// Whether maps are crossed through other matrices than their own transposes.
    const CROSSES: bool = false;

    /// What stands for the weight W [in, out] of `map` (`blocks.0.linear1`) in the backward pass;
    /// `None` for W itself. The embedding's maps are not asked for: no gradient crosses them.
    fn back<B: Backend>(
        map: &str,
        weight: Tensor<B, 2>,
        own: &Own<B>,
        turn: Turn,
    ) -> Option<Tensor<B, 2>> {
        let _ = (map, weight, own, turn);
        None
    }

    /// The gradients of what the rule owns and learns, given those of the network.
    fn learn<B: Differentiable>(network: &Gradients<B>) -> Gradients<B> {
        let _ = network;
        Gradients::<B>::new()
    }
}

type Back<B> = fn(&str, Tensor<B, 2>, &Own<B>, Turn) -> Option<Tensor<B, 2>>;

/// The functions of one rule.
pub(super) struct Exact<B: Differentiable> {
    pub(super) crosses: bool,
    back: Back<B::InnerBackend>,
    learn: fn(&Gradients<B>) -> Gradients<B>,
}

impl<B: Differentiable> Exact<B> {
    pub(super) fn of<R: ExactRule>() -> Self {
        Self { crosses: R::CROSSES, back: R::back, learn: R::learn::<B> }
    }

    /// What gradients cross the maps of `net` through in one batch.
    pub(super) fn transport<N: Network<B>>(
        &self,
        net: &N,
        own: &Own<B::InnerBackend>,
        turn: Turn,
    ) -> Transport<B> {
        if !self.crosses {
            return Transport::Transposed;
        }
        let back = |(name, weight): (String, Tensor<B::InnerBackend, 2>)| {
            let map = name.strip_suffix(".weight")?;
            let back = (self.back)(map, weight, own, turn)?;
            Some((map.to_string(), Tensor::from_inner(back)))
        };
        let maps = matrices(net).into_iter().filter(|(name, _)| Part::of(name) != Part::Embed);
        Transport::Through(maps.filter_map(back).collect())
    }
}

pub(super) fn learn<B: Differentiable, N: Network<B>>(
    net: &N,
    rule: &Exact<B>,
    settings: &Settings,
    mut pass: Pass<B>,
    images: Tensor<B, 2>,
    target: Target<B>,
) -> Lesson<B> {
    let through = &mut pass;
    let mut hidden = net.embed(images, through);
    let mut penalties = Vec::new();
    for l in 0..net.blocks() {
        let branch = net.branch(l, hidden.clone(), through);
        if settings.penalty > 0.0 {
            penalties.push(penalty(branch.clone(), settings));
        }
        hidden = net.advance(l, hidden, branch, through);
    }
    let outputs = net.readout(hidden, through);
    let loss = settings.objective.mean_loss(outputs.clone(), target);
    let total = penalties.into_iter().fold(loss.clone(), |sum, p| sum + p);
    let network = gradients(net, &total.backward());
    Lesson {
        loss: loss.inner(),
        outputs: outputs.inner(),
        own: (rule.learn)(&network),
        force: Vec::new(),
        network,
        buffers: lower(pass.buffers),
    }
}
