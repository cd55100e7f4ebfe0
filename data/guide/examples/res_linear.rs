//! A residual network of one affine map a block: f_l(h) = W_l LN(h) + b_l.

use super::init::{Draw, Init};
use super::resmlp::Readout;
use super::{LayerNorm, Linear, Network, Outline, Pass, Size};
use crate::backend::Kernels;
use crate::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A linear embedding, L blocks of LayerNorm and an affine map, the readout of the residual MLP.
#[derive(Module, Debug)]
pub struct ResLinear<B: Backend> {
    embed: Linear<B>,
    blocks: Vec<LinearBlock<B>>,
    readout: Readout<B>,
    residual_add: bool,
}

#[derive(Module, Debug)]
struct LinearBlock<B: Backend> {
    norm: LayerNorm<B>,
    linear: Linear<B>,
}

/// What is known of it beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let d = config.width;
    let embed = Size::affine(config.dataset.inputs(), d);
    let block = Size::norm(d) + Size::affine(d, d);
    let maps = [("linear", [d, d], Draw::Normal(config.w2_std))];
    Outline::of_equal_blocks(config, classes, 1, [embed, block], &maps)
}

impl<B: Kernels> ResLinear<B> {
    /// The initial network: W_l ~ N(0, `w2_std`²), b_l = 0.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let (d, small) = (config.width, Draw::Normal(config.w2_std));
        Self {
            embed: init.linear("embed", config.dataset.inputs(), d),
            blocks: (0..config.blocks())
                .map(|l| LinearBlock {
                    norm: init.layer_norm(d),
                    linear: init.linear_with(
                        &format!("blocks.{l}.linear"),
                        d,
                        d,
                        small,
                        Draw::Constant(0.0),
                    ),
                })
                .collect(),
            readout: Readout::new(&mut init, config, classes),
            residual_add: config.residual_add,
        }
    }
}

impl<B: Kernels> Network<B> for ResLinear<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        self.embed.forward(images, pass).unsqueeze_dim(1)
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let block = &self.blocks[l];
        block.norm.then(&block.linear, hidden.squeeze_dim::<2>(1), pass).unsqueeze_dim(1)
    }

    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        self.residual_add.then_some(hidden)
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.squeeze_dim::<2>(1), pass)
    }
}
