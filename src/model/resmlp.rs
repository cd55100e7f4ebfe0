//! The residual MLP (protocol §1):
//!
//! h_0 = E x + b, f_l(h) = W2 · GELU(W1 · LN(h) + b1) + b2, logits = head(LN(h_L)).

use super::init::{Draw, Init};
use super::outline::HEAD;
use super::{Ending, LayerNorm, Linear, Network, Outline, Pass, Size, tangent};
use crate::backend::Kernels;
use crate::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Residual MLP: a linear embedding, L pre-LN blocks, an optional terminal LayerNorm and a head.
#[derive(Module, Debug)]
pub struct ResMlp<B: Backend> {
    embed: Linear<B>,
    blocks: Vec<MlpBlock<B>>,
    readout: Readout<B>,
    residual_add: bool,
}

#[derive(Module, Debug)]
struct MlpBlock<B: Backend> {
    norm: LayerNorm<B>,
    linear1: Linear<B>,
    linear2: Linear<B>,
}

/// Terminal LayerNorm (where wanted) and linear head.
#[derive(Module, Debug)]
pub struct Readout<B: Backend> {
    norm: Option<LayerNorm<B>>,
    head: Linear<B>,
}

/// What is known of it beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let (d, inner) = (config.width, config.width * config.expansion);
    let block = Size::norm(d) + Size::affine(d, inner) + Size::affine(inner, d);
    let maps = [
        ("linear1", [d, inner], Draw::of_linear(d)),
        ("linear2", [inner, d], Draw::Normal(config.w2_std)),
    ];
    Outline::of_equal_blocks(
        config,
        classes,
        1,
        [Size::affine(config.dataset.inputs(), d), block],
        &maps,
    )
}

impl<B: Kernels> Readout<B> {
    pub(super) fn new(init: &mut Init<B>, config: &Config, classes: usize) -> Self {
        Self::over(init, config, config.width, classes)
    }

    /// Over d features.
    pub(super) fn over(init: &mut Init<B>, config: &Config, d: usize, classes: usize) -> Self {
        let norm = config.terminal_norm.then(|| init.layer_norm(d));
        Self { norm, head: init.linear(HEAD, d, classes) }
    }

    /// With a head that is drawn in another way, under its usual name [`HEAD`].
    pub(super) fn with_head(
        init: &mut Init<B>,
        config: &Config,
        head: impl FnOnce(&mut Init<B>) -> Linear<B>,
    ) -> Self {
        let norm = config.terminal_norm.then(|| init.layer_norm(config.width));
        Self { norm, head: head(init) }
    }

    /// logits [N, classes] of [N, d].
    pub(super) fn forward(&self, hidden: Tensor<B, 2>, pass: &Pass<B>) -> Tensor<B, 2> {
        // Not as one operation: its gradients would differ in rounding with what a rule looks at.
        let hidden = match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        };
        self.head.forward(hidden, pass)
    }
}

impl<B: Kernels> MlpBlock<B> {
    /// GELU(W1 · LN(h) + b1) [N, inner] of h [N, 1, d].
    fn inner(&self, hidden: Tensor<B, 3>, pass: &Pass<B>) -> Tensor<B, 2> {
        B::exact_gelu(self.norm.then(&self.linear1, hidden.squeeze_dim::<2>(1), pass))
    }
}

impl<B: Kernels> ResMlp<B> {
    /// The initial network: PyTorch's Linear initialisation, but W2 ~ N(0, `w2_std`²), b2 = 0.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let inner = config.width * config.expansion;
        Self {
            embed: init.linear("embed", config.dataset.inputs(), config.width),
            blocks: (0..config.blocks())
                .map(|l| MlpBlock {
                    norm: init.layer_norm(config.width),
                    linear1: init.linear(&format!("blocks.{l}.linear1"), config.width, inner),
                    linear2: init.linear_with(
                        &format!("blocks.{l}.linear2"),
                        inner,
                        config.width,
                        Draw::Normal(config.w2_std),
                        Draw::Constant(0.0),
                    ),
                })
                .collect(),
            readout: Readout::new(&mut init, config, classes),
            residual_add: config.residual_add,
        }
    }
}

impl<B: Kernels> Network<B> for ResMlp<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        self.embed.forward(images, pass).unsqueeze_dim(1)
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let block = &self.blocks[l];
        block.linear2.forward(block.inner(hidden, pass), pass).unsqueeze_dim(1)
    }

    fn embed_ending(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Option<Ending<B>> {
        Some(Ending { rest: None, x: images, map: self.embed.affine(pass) })
    }

    fn branch_ending(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Option<Ending<B>> {
        let block = &self.blocks[l];
        Some(Ending { rest: None, x: block.inner(hidden, pass), map: block.linear2.affine(pass) })
    }

    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        self.residual_add.then_some(hidden)
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.squeeze_dim::<2>(1), pass)
    }

    fn branch_tangent(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        along: Tensor<B, 3>,
        _: &mut Pass<B>,
    ) -> Option<[Tensor<B, 3>; 2]> {
        let MlpBlock { norm, linear1, linear2 } = &self.blocks[l];
        let rows = [hidden, along].map(|x| x.squeeze_dim::<2>(1));
        let inner = tangent::gelu(tangent::linear(linear1, tangent::layer_norm(norm, rows)));
        Some(tangent::linear(linear2, inner).map(|x| x.unsqueeze_dim(1)))
    }

    fn readout_tangent(
        &self,
        hidden: Tensor<B, 3>,
        along: Tensor<B, 3>,
        _: &mut Pass<B>,
    ) -> Option<Tensor<B, 2>> {
        let rows = [hidden, along].map(|x| x.squeeze_dim::<2>(1));
        let Readout { norm, head } = &self.readout;
        let rows = match norm {
            Some(norm) => tangent::layer_norm(norm, rows),
            None => rows,
        };
        let [_, slope] = tangent::linear(head, rows);
        Some(slope)
    }
}
