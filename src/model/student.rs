//! The student of the teacher–student task (protocol §3.4):
//!
//! h_0 = E x + b, f_l(h) = φ_α(W_l h + b_l), φ_α(z) = (1 − α) z + α tanh(z), outputs = W h_L + b.
//!
//! Linear at α = 0, and no norm before the head: its hidden states are bounded by nothing. Not
//! published, and chosen here: the embedding, the biases, PyTorch's Linear initialisation.

use super::init::{Draw, Init};
use super::resmlp::Readout;
use super::{Linear, Network, Outline, Pass, Size};
use crate::backend::Kernels;
use crate::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Residual network of one map a block, from linear to saturating.
#[derive(Module, Debug)]
pub struct Student<B: Backend> {
    embed: Linear<B>,
    blocks: Vec<Block<B>>,
    readout: Readout<B>,
    alpha: f64,
    residual_add: bool,
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    linear: Linear<B>,
}

/// What is known of it beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let d = config.width;
    let sizes = [config.dataset.inputs(), d].map(|inputs| Size::affine(inputs, d));
    let maps = [("linear", [d, d], Draw::of_linear(d))];
    Outline::of_equal_blocks(config, classes, 1, sizes, &maps)
}

impl<B: Kernels> Student<B> {
    /// The initial network.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let d = config.width;
        let block = |l: usize| Block { linear: init.linear(&format!("blocks.{l}.linear"), d, d) };
        let blocks = (0..config.blocks()).map(block).collect();
        Self {
            embed: init.linear("embed", config.dataset.inputs(), d),
            blocks,
            readout: Readout::new(&mut init, config, classes),
            alpha: config.alpha,
            residual_add: config.residual_add,
        }
    }
}

impl<B: Kernels> Network<B> for Student<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        self.embed.forward(images, pass).unsqueeze_dim(1)
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let z = self.blocks[l].linear.forward(hidden.squeeze_dim::<2>(1), pass);
        let bent = z.clone().tanh().mul_scalar(self.alpha);
        (z.mul_scalar(1.0 - self.alpha) + bent).unsqueeze_dim(1)
    }

    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        self.residual_add.then_some(hidden)
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.squeeze_dim::<2>(1), pass)
    }
}
