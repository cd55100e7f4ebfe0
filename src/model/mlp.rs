//! The plain multilayer perceptron:
//!
//! h_0 = φ(norm(E x + b)), h_{l+1} = f_l(h_l) = φ(norm(W_l h_l + b_l)), logits = W h_L + b,
//!
//! φ by `activation`, and what normalises the hidden activity by `activity_norm`. No skip passes a
//! block and no norm stands before the head, unless `residual_add` and `terminal_norm` ask for them.

use super::activity::{self, Norm, active};
use super::init::{Draw, Init};
use super::resmlp::Readout;
use super::{Linear, Network, Outline, Pass, Size};
use crate::backend::Kernels;
use crate::config::{Activation, Config};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Plain MLP: L + 1 affine layers with an activation, and a linear head.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    embed: Layer<B>,
    blocks: Vec<Layer<B>>,
    readout: Readout<B>,
    #[module(skip)]
    activation: Activation,
    residual_add: bool,
}

#[derive(Module, Debug)]
struct Layer<B: Backend> {
    linear: Linear<B>,
    norm: Option<Norm<B>>,
}

/// What is known of it beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let d = config.width;
    let sizes = [config.dataset.inputs(), d]
        .map(|inputs| Size::affine(inputs, d) + activity::size(config, d));
    let maps = [("linear", [d, d], Draw::of_linear(d))];
    let layers = (0..config.blocks()).map(|l| format!("blocks.{l}"));
    let layers = std::iter::once("embed".to_string()).chain(layers);
    Outline {
        buffers: layers
            .flat_map(|layer| activity::buffers(config, &format!("{layer}.norm"), d))
            .collect(),
        ..Outline::of_equal_blocks(config, classes, 1, sizes, &maps)
    }
}

impl<B: Kernels> Mlp<B> {
    /// The initial network, PyTorch's Linear initialisation.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let d = config.width;
        let mut layer = |name: &str, inputs| Layer {
            linear: init.linear(&format!("{name}.linear"), inputs, d),
            norm: Norm::of(&mut init, config, &format!("{name}.norm"), d),
        };
        Self {
            embed: layer("embed", config.dataset.inputs()),
            blocks: (0..config.blocks()).map(|l| layer(&format!("blocks.{l}"), d)).collect(),
            readout: Readout::new(&mut init, config, classes),
            activation: config.activation,
            residual_add: config.residual_add,
        }
    }

    /// φ(norm(W x + b)).
    fn active(&self, layer: &Layer<B>, x: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let x = layer.linear.forward(x, pass);
        let x = match &layer.norm {
            None => x,
            Some(norm) => norm.forward(x, pass),
        };
        active(self.activation, x).unsqueeze_dim(1)
    }
}

impl<B: Kernels> Network<B> for Mlp<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        self.active(&self.embed, images, pass)
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        self.active(&self.blocks[l], hidden.squeeze_dim::<2>(1), pass)
    }

    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        self.residual_add.then_some(hidden)
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.squeeze_dim::<2>(1), pass)
    }
}
