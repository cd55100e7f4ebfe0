//! Auxiliary networks, from which State and Credit Bridge take their credits (protocol §14):
//!
//! net(h_l, l, s) = W_m gelu(… gelu(W_0 [LN(h_l) ⊕ time(l) ⊕ s] + b_0) …) + b_m,
//! time(l) = (sin, cos)(2^k π l/L),  k = 0, 1, …,
//!
//! an affine LayerNorm, hidden layers of equal width with exact GELU, and a code s of the sample. Maps
//! start as PyTorch's. LN hides from the net what h − mean and 1 are long, so that no gradient at h_l
//! has a part along 1, and but a little along h − mean.

pub(super) mod inputs;
mod targets;

pub(super) use targets::Targets;

use super::{Entry, Gradients, Own};
use crate::backend::{Affine, Differentiable, Kernels, ScaleShift};
use crate::config::{Code, Config};
use crate::model::{Draw, Outline, Part};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// What an auxiliary network that is called `name` owns, beside hidden states of one width.
pub(super) fn layout(
    config: &Config,
    outline: &Outline,
    name: &str,
    octaves: usize,
    outputs: usize,
) -> Vec<Entry> {
    let d = outline.widths().next().expect("h_0");
    let code = match config.code {
        Code::Error | Code::Zero => outline.outputs,
        Code::Delta => d,
    };
    let entry = |what: String, shape, draw| Entry {
        part: Part::Auxiliary,
        ..Entry::fixed(format!("{name}.{what}"), shape, draw)
    };
    let mut inputs = d + 2 * octaves + code;
    let mut entries = vec![
        entry("norm.gamma".into(), [1, d], Draw::Constant(1.0)),
        entry("norm.beta".into(), [1, d], Draw::Constant(0.0)),
    ];
    for k in 0..=config.auxiliary_layers {
        let width = if k < config.auxiliary_layers { config.auxiliary_width } else { outputs };
        let draw = Draw::of_linear(inputs);
        entries.push(entry(format!("{k}.weight"), [inputs, width], draw));
        entries.push(entry(format!("{k}.bias"), [1, width], draw));
        inputs = width;
    }
    entries
}

/// An auxiliary network.
#[derive(Clone, Debug)]
pub struct AuxiliaryNet<B: Backend> {
    norm: ScaleShift<B>,
    /// The hidden layers' and the output's.
    maps: Vec<Affine<B>>,
}

/// One pass through an auxiliary network.
pub struct Ran<B: Backend> {
    /// [n, outputs]
    pub output: Tensor<B, 2>,
    /// What each GELU was given, [n, width].
    before: Vec<Tensor<B, 2>>,
}

impl<B: Kernels> AuxiliaryNet<B> {
    /// The network of this name among what a rule owns.
    ///
    /// # Panics
    /// If a part of it is missing.
    pub fn of(own: &Own<B>, name: &str) -> Self {
        let get = |what: String| own.get(&format!("{name}.{what}")).cloned();
        let vector = |what: String| get(what).map(|row| row.squeeze_dim::<1>(0));
        let norm = |what: &str| vector(format!("norm.{what}")).expect("a norm");
        let map = |k: usize| {
            let (weight, bias) = (get(format!("{k}.weight"))?, vector(format!("{k}.bias"))?);
            Some(Affine::new(weight, bias))
        };
        Self {
            norm: ScaleShift { gamma: norm("gamma"), beta: norm("beta") },
            maps: (0..).map_while(map).collect(),
        }
    }

    /// The same on a backend that differentiates, which forms no gradient of it.
    pub fn lifted<A: Differentiable<InnerBackend = B>>(self) -> AuxiliaryNet<A> {
        let map = |Affine { weight, bias, .. }| {
            Affine::new(Tensor::from_inner(weight), Tensor::from_inner(bias))
        };
        let ScaleShift { gamma, beta } = self.norm;
        AuxiliaryNet {
            norm: ScaleShift { gamma: Tensor::from_inner(gamma), beta: Tensor::from_inner(beta) },
            maps: self.maps.into_iter().map(map).collect(),
        }
    }

    /// Of rows h [n, d] and their contexts time ⊕ s [n, _].
    pub fn run(&self, h: Tensor<B, 2>, context: Tensor<B, 2>) -> Ran<B> {
        let (last, inner) = self.maps.split_last().expect("an output");
        let mut x = Tensor::cat(vec![B::layer_norm_rows(h, self.norm.clone()), context], 1);
        let mut before = Vec::with_capacity(inner.len());
        for map in inner {
            let z = B::affine(x, map.clone());
            x = B::exact_gelu(z.clone());
            before.push(z);
        }
        Ran { output: B::affine(x, last.clone()), before }
    }

    /// ∂(Σ output)/∂h [n, d] of a network with one output, written out as a pass forward: Burn
    /// differentiates once, and the network learns from its own gradient. `ran` is what
    /// [`AuxiliaryNet::run`] gave of h.
    pub fn gradient(&self, h: Tensor<B, 2>, ran: &Ran<B>) -> Tensor<B, 2> {
        let ([n, d], (last, inner)) = (h.dims(), self.maps.split_last().expect("an output"));
        let [width, _] = last.weight.dims();
        let mut dx = last.weight.clone().transpose().expand([n, width]);
        for (map, z) in inner.iter().zip(&ran.before).rev() {
            let dz = B::exact_gelu_backward(z.clone(), dx);
            dx = B::affine_backward_x(map.weight.clone(), dz);
        }
        // The rest is the context's.
        let dx = dx.narrow(1, 0, d);
        let through = B::layer_norm_rows_backward(h, self.norm.gamma.clone(), dx, true);
        through.x.expect("asked for")
    }
}

/// What a rule owns of the auxiliary network `name`, so that gradients reach it.
pub(super) fn tracked<B: Differentiable>(own: &Own<B::InnerBackend>, name: &str) -> Own<B> {
    let of = |name_of: &str| name_of.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let parts = own.iter().filter(|(name, _)| of(name));
    let leaf = |(name, matrix): (&str, &Tensor<_, 2>)| {
        (name.to_string(), Tensor::<B, 2>::from_inner(matrix.clone()).require_grad())
    };
    Own::new(parts.map(leaf))
}

/// What reaches each matrix of `own` from `loss`, by name.
pub(super) fn gradients_of<B: Differentiable>(own: &Own<B>, loss: Tensor<B, 1>) -> Gradients<B> {
    let all = loss.backward();
    let reached = |(name, leaf): (&str, &Tensor<B, 2>)| {
        let gradient = leaf.grad(&all)?;
        Some((name.to_string(), gradient.flatten(0, 1)))
    };
    own.iter().filter_map(reached).collect()
}

/// ∂(what `total` makes of h_0, h_1, …)/∂h_l, each [N, d].
pub(super) fn gradients_at<B: Differentiable>(
    hidden: impl Iterator<Item = Tensor<<B as AutodiffBackend>::InnerBackend, 2>>,
    total: impl FnOnce(&[Tensor<B, 2>]) -> Tensor<B, 1>,
) -> Vec<Tensor<B::InnerBackend, 2>> {
    let leaf = |h| Tensor::<B, 2>::from_inner(h).require_grad();
    let leaves: Vec<_> = hidden.map(leaf).collect();
    let gradients = total(&leaves).backward();
    let at = |leaf: &Tensor<B, 2>| {
        leaf.grad(&gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like())
    };
    leaves.iter().map(at).collect()
}
