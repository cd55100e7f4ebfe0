//! The small vision transformer (protocol §3.1), pre-LN:
//!
//! tokens = [cls; patches · P + b] + positions = h_0,
//! f(h) = attn(LN₁ h) + mlp(LN₂(h + attn(LN₁ h))), logits = head(LN(cls of h_L)).
//!
//! One block's two sublayers are one residual branch, so that L blocks have L + 1 hidden states,
//! as in the residual MLP. Not published, and chosen here: patch 4, 4 heads, MLP ratio 2, learned
//! positions and cls token from N(0, 0.02²), PyTorch's default Linear initialisation elsewhere.

use super::init::{Draw, Init};
use super::resmlp::Readout;
use super::{Ending, LayerNorm, Linear, Network, Outline, Pass, Size};
use crate::backend::Kernels;
use crate::config::Config;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

const CHANNELS: usize = 3;
const SIDE: usize = 32;

/// Small vision transformer: T = (32/patch)² patches and a cls token, which the readout sees.
#[derive(Module, Debug)]
pub struct VitMini<B: Backend> {
    embed: Tokens<B>,
    blocks: Vec<VitBlock<B>>,
    readout: Readout<B>,
    residual_add: bool,
}

#[derive(Module, Debug)]
struct Tokens<B: Backend> {
    patch: Linear<B>,
    /// [1, 1, d]
    cls: Param<Tensor<B, 3>>,
    /// [1, 1 + T, d]
    positions: Param<Tensor<B, 3>>,
    patch_size: usize,
}

#[derive(Module, Debug)]
struct VitBlock<B: Backend> {
    norm1: LayerNorm<B>,
    attention: Attention<B>,
    norm2: LayerNorm<B>,
    linear1: Linear<B>,
    linear2: Linear<B>,
}

#[derive(Module, Debug)]
struct Attention<B: Backend> {
    query: Linear<B>,
    key: Linear<B>,
    value: Linear<B>,
    output: Linear<B>,
    heads: usize,
}

/// What is known of it beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let (d, inner) = (config.width, config.width * config.mlp_ratio);
    let values = CHANNELS * config.patch * config.patch;
    let patches = CHANNELS * SIDE * SIDE / values;
    let tokens = 1 + patches;
    let positions = Size { parameters: ((1 + tokens) * d) as u64, multiply_adds: 0 };
    let products = Size { parameters: 0, multiply_adds: (2 * tokens * tokens * d) as u64 };
    let attention = Size::affine(d, 4 * d);
    let mlp = Size::affine(d, inner) + Size::affine(inner, d);
    let norms = Size::norm(d) + Size::norm(d);
    let embed = Size::affine(values, d).on_each(patches) + positions;
    let block = (attention + mlp).on_each(tokens) + products + norms;
    let map = |name, inputs, outputs| (name, [inputs, outputs], Draw::of_linear(inputs));
    let maps = [
        map("attention.query", d, d),
        map("attention.key", d, d),
        map("attention.value", d, d),
        map("attention.output", d, d),
        map("linear1", d, inner),
        map("linear2", inner, d),
    ];
    Outline {
        // As for the residual MLP: the published one took 12 minutes an epoch.
        usual_rate: 8e9,
        ..Outline::of_equal_blocks(config, classes, tokens, [embed, block], &maps)
    }
}

impl<B: Kernels> VitMini<B> {
    /// The initial network.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let (d, patch) = (config.width, config.patch);
        let tokens = (SIDE / patch).pow(2);
        let small = Draw::Normal(0.02);
        Self {
            embed: Tokens {
                patch: init.linear("embed.patch", CHANNELS * patch * patch, d),
                cls: init.param("embed.cls", [1, 1, d], small),
                positions: init.param("embed.positions", [1, 1 + tokens, d], small),
                patch_size: patch,
            },
            blocks: (0..config.blocks())
                .map(|l| VitBlock {
                    norm1: init.layer_norm(d),
                    attention: Attention::new(&mut init, l, d, config.heads),
                    norm2: init.layer_norm(d),
                    linear1: init.linear(&format!("blocks.{l}.linear1"), d, d * config.mlp_ratio),
                    linear2: init.linear(&format!("blocks.{l}.linear2"), d * config.mlp_ratio, d),
                })
                .collect(),
            readout: Readout::new(&mut init, config, classes),
            residual_add: config.residual_add,
        }
    }
}

impl<B: Kernels> Network<B> for VitMini<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let [n, _] = images.dims();
        let p = self.embed.patch_size;
        let grid = SIDE / p;
        let patches = images
            .reshape([n, CHANNELS, grid, p, grid, p])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([n * grid * grid, CHANNELS * p * p]);
        let patches = self.embed.patch.forward(patches, pass);
        let [_, d] = patches.dims();
        let cls = self.embed.cls.val().expand([n, 1, d]);
        Tensor::cat(vec![cls, patches.reshape([n, grid * grid, d])], 1) + self.embed.positions.val()
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let block = &self.blocks[l];
        let dims = hidden.dims();
        let (attended, inner) = block.sublayers(hidden, pass);
        (attended + block.linear2.forward(inner, pass)).reshape(dims)
    }

    fn branch_ending(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Option<Ending<B>> {
        let block = &self.blocks[l];
        let dims = hidden.dims();
        let (attended, x) = block.sublayers(hidden, pass);
        Some(Ending { rest: Some(attended.reshape(dims)), x, map: block.linear2.affine(pass) })
    }

    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        self.residual_add.then_some(hidden)
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.narrow(1, 0, 1).squeeze_dim::<2>(1), pass)
    }
}

impl<B: Kernels> VitBlock<B> {
    /// attn(LN₁ h) and what the MLP's last map is applied to, both by rows [N · tokens, _].
    fn sublayers(&self, hidden: Tensor<B, 3>, pass: &Pass<B>) -> (Tensor<B, 2>, Tensor<B, 2>) {
        let [n, tokens, d] = hidden.dims();
        let rows = hidden.reshape([n * tokens, d]);
        let attended = self.attention.forward(self.norm1.forward(rows.clone()), n, pass);
        let inner = self.norm2.then(&self.linear1, rows + attended.clone(), pass);
        (attended, B::exact_gelu(inner))
    }
}

impl<B: Kernels> Attention<B> {
    fn new(init: &mut Init<B>, l: usize, d: usize, heads: usize) -> Self {
        let mut linear = |name| init.linear(&format!("blocks.{l}.attention.{name}"), d, d);
        Self {
            query: linear("query"),
            key: linear("key"),
            value: linear("value"),
            output: linear("output"),
            heads,
        }
    }

    /// Multi-head self-attention without mask and dropout, of rows [n · tokens, d].
    fn forward(&self, rows: Tensor<B, 2>, n: usize, pass: &Pass<B>) -> Tensor<B, 2> {
        let [all, d] = rows.dims();
        let (tokens, head) = (all / n, d / self.heads);
        let split = |linear: &Linear<B>| -> Tensor<B, 4> {
            B::split_heads(linear.forward(rows.clone(), pass), n, self.heads)
        };
        let scores = split(&self.query).matmul(split(&self.key).transpose());
        let scores = scores.reshape([all * self.heads, tokens]);
        let weights = B::scaled_softmax(scores, 1.0 / (head as f64).sqrt());
        let weights = weights.reshape([n, self.heads, tokens, tokens]);
        let context = weights.matmul(split(&self.value));
        self.output.forward(B::merge_heads(context), pass)
    }
}
