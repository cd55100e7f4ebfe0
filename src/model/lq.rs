//! The fixed linear system of the toy task (protocol §3.5, §14):
//!
//! h_0 = x, h_{l+1} = h_l + A_l h_l + σ ξ_l, outputs = C h_L,
//! A_l ~ N(0, a²/d), C ~ N(0, 1/d), a = 0.1, σ = 0.03, ξ_l ~ N(0, I).
//!
//! Nothing of it is trained: the task is to learn its credit, and under squared error the reference
//! gradient is the costate, λ_L = Cᵀ e and λ_l = (I + A_l)ᵀ λ_{l+1}, e = C h_L − y.
//!
//! ξ_l has a row of its own for each place in a batch, from the stream `noise/<l>`: an epoch's order
//! gives a sample another one, and a network that is run again from h_l sees the same. An input of
//! another width than h_0 is brought there by a fixed matrix of variance 1/inputs.

use super::init::{Draw, Init};
use super::outline::HEAD;
use super::resmlp::Readout;
use super::{Linear, Network, Outline, Pass, Size, draw_values};
use crate::backend::{Kernels, float_tensor};
use crate::config::Config;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// a
const COUPLING: f64 = 0.1;
/// σ
const NOISE: f64 = 0.03;
/// Places of a batch whose noise is drawn; it begins again behind them.
const PLACES: usize = 1024;

/// Fixed residual linear network with noise.
#[derive(Module, Debug)]
pub struct Lq<B: Backend> {
    embed: Embedding<B>,
    blocks: Vec<Step<B>>,
    readout: Readout<B>,
    residual_add: bool,
}

/// Nothing where the input is h_0.
#[derive(Module, Debug)]
struct Embedding<B: Backend> {
    linear: Option<Linear<B>>,
}

#[derive(Module, Debug)]
struct Step<B: Backend> {
    linear: Linear<B>,
    /// σ ξ_l [places, d]
    noise: Tensor<B, 2>,
}

/// What is known of it beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let (d, inputs) = (config.width, config.dataset.inputs());
    let embed = if inputs == d { Size::NONE } else { Size::affine(inputs, d) };
    let maps = [("linear", [d, d], coupling(d))];
    let sizes = [embed, Size::affine(d, d)];
    let mut outline = Outline::of_equal_blocks(config, classes, 1, sizes, &maps);
    if let Some(head) = outline.maps.last_mut() {
        head.weight = of_variance_one(d);
    }
    Outline { is_trained: false, ..outline }
}

fn coupling(d: usize) -> Draw {
    Draw::Normal(COUPLING / (d as f64).sqrt())
}

fn of_variance_one(inputs: usize) -> Draw {
    Draw::Normal(1.0 / (inputs as f64).sqrt())
}

impl<B: Kernels> Lq<B> {
    /// The system of the configuration's seed.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let (d, inputs) = (config.width, config.dataset.inputs());
        let mut map = |name: &str, inputs, outputs, draw| {
            init.linear_with(name, inputs, outputs, draw, Draw::Constant(0.0))
        };
        let linear = (inputs != d).then(|| map("embed.linear", inputs, d, of_variance_one(inputs)));
        let step = |l: usize| Step {
            linear: map(&format!("blocks.{l}.linear"), d, d, coupling(d)),
            noise: {
                let name = format!("noise/{l}");
                let drawn = draw_values(config.seed, &name, PLACES * d, Draw::Normal(NOISE));
                float_tensor(TensorData::new(drawn, [PLACES, d]), device)
            },
        };
        let blocks = (0..config.blocks()).map(step).collect();
        Self {
            embed: Embedding { linear },
            blocks,
            readout: Readout::with_head(&mut init, config, |init| {
                init.linear_with(HEAD, d, classes, of_variance_one(d), Draw::Constant(0.0))
            }),
            residual_add: config.residual_add,
        }
    }
}

impl<B: Backend> Step<B> {
    /// σ ξ_l [n, d].
    fn noise(&self, n: usize) -> Tensor<B, 2> {
        let [places, d] = self.noise.dims();
        match n.div_ceil(places) {
            0 | 1 => self.noise.clone().slice([0..n, 0..d]),
            times => self.noise.clone().repeat_dim(0, times).slice([0..n, 0..d]),
        }
    }
}

impl<B: Kernels> Network<B> for Lq<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let hidden = match &self.embed.linear {
            Some(linear) => linear.forward(images, pass),
            None => images,
        };
        hidden.unsqueeze_dim(1)
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let step = &self.blocks[l];
        let [n, _, _] = hidden.dims();
        (step.linear.forward(hidden.squeeze_dim::<2>(1), pass) + step.noise(n)).unsqueeze_dim(1)
    }

    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        self.residual_add.then_some(hidden)
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.squeeze_dim::<2>(1), pass)
    }
}
