//! Residual networks of feature maps (He et al. 2016; protocol §3.3), in the form for CIFAR:
//!
//! h_0 = φ(norm(W ∗ x)), h_{l+1} = φ(s(h_l) + norm(W2 ∗ φ(norm(W1 ∗ h_l)))), logits = head(mean h_L),
//!
//! every convolution of 3 × 3, the mean over positions. The shortcut s is the identity where block l keeps
//! the map's shape. Where it halves the sides and doubles the features, it is `pad`, every second position
//! with zeros for the features that are new, half of them before (option A of the paper), or `projection`,
//! norm(W_s ∗ h) of 1 × 1 (option B).
//!
//! f_l is the whole block, shortcut and last φ in it: nothing passes it, h_l and h_{l+1} are of different
//! spaces, and a block is trained by the credit at its output. A hidden state is one vector [N, 1, H · W · C],
//! as in [`stack`](super::stack).

mod plans;

use super::activity::{self, Norm, active};
use super::convolution::{Convolution, of_images};
use super::init::{Draw, Init};
use super::outline::{CreditAt, HEAD};
use super::resmlp::Readout;
use super::{Map, Network, Outline, Pass, Size};
use crate::backend::{Kernels, Window};
use crate::config::{Activation, ActivityNorm, Config, Shortcut};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Of CIFAR's images.
const CHANNELS: usize = 3;
const SIDE: usize = 32;

/// A convolution with its norm.
#[derive(Clone, Copy, Debug)]
struct Layer {
    window: Window,
    /// Features of what it is given and of what it makes.
    features: [usize; 2],
}

impl Layer {
    fn of(side: usize, kernel: usize, stride: usize, features: [usize; 2]) -> Self {
        let window = Window { sides: [side, side], kernel, stride, padding: kernel / 2 };
        Self { window, features }
    }

    /// [in, out] of its map.
    fn map(&self) -> [usize; 2] {
        let [given, made] = self.features;
        [self.window.kernel * self.window.kernel * given, made]
    }

    fn size(&self, config: &Config) -> Size {
        let [inputs, outputs] = self.map();
        let mut map = Size::affine(inputs, outputs);
        if !has_bias(config) {
            map.parameters -= outputs as u64;
        }
        map.on_each(self.window.outputs()) + activity::size(config, outputs)
    }
}

/// A block's place in the network.
#[derive(Clone, Copy, Debug)]
struct Place {
    conv1: Layer,
    conv2: Layer,
    /// What shortens the way where the shape changes.
    shortcut: Option<Layer>,
}

impl Place {
    /// [H, W, C] of what it makes.
    fn made(&self) -> [usize; 3] {
        let [height, width] = self.conv2.window.output();
        [height, width, self.conv2.features[1]]
    }

    /// Its convolutions with their names in the block.
    fn layers(&self, shortcut: Shortcut) -> Vec<(&'static str, &'static str, Layer)> {
        let mut layers = vec![("conv1", "norm1", self.conv1), ("conv2", "norm2", self.conv2)];
        if let (Some(layer), Shortcut::Projection) = (self.shortcut, shortcut) {
            layers.push(("shortcut.conv", "shortcut.norm", layer));
        }
        layers
    }
}

/// A shift behind a norm would change nothing.
fn has_bias(config: &Config) -> bool {
    config.activity_norm == ActivityNorm::None
}

fn stem(config: &Config) -> Layer {
    Layer::of(SIDE, 3, 1, [CHANNELS, config.width])
}

/// As many blocks as the configuration has.
fn places(config: &Config) -> Vec<Place> {
    let (mut side, mut given) = (SIDE, config.width);
    let mut places = Vec::new();
    for stage in plans::stages(config) {
        for k in 0..stage.blocks {
            let stride = if k == 0 { stage.stride } else { 1 };
            let features = [given, stage.features];
            let conv1 = Layer::of(side, 3, stride, features);
            let changes = stride > 1 || given != stage.features;
            let shortcut = changes.then(|| Layer::of(side, 1, stride, features));
            (side, given) = (conv1.window.output()[0], stage.features);
            let conv2 = Layer::of(side, 3, 1, [given, given]);
            places.push(Place { conv1, conv2, shortcut });
        }
    }
    places.truncate(config.blocks());
    places
}

/// The stage in which block `l` stands, and its place there, both from 0; `None` beyond the last.
///
/// # Panics
/// If the network of `config` is no residual network of feature maps.
pub fn stage_of(config: &Config, l: usize) -> Option<(usize, usize)> {
    let mut first = 0;
    for (stage, plan) in plans::stages(config).into_iter().enumerate() {
        if l < first + plan.blocks {
            return Some((stage, l - first));
        }
        first += plan.blocks;
    }
    None
}

/// What is known of a residual network beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let places = places(config);
    let stem = stem(config);
    let [height, width] = stem.window.output();
    let mut feature_maps = vec![[height, width, config.width]];
    feature_maps.extend(places.iter().map(Place::made));
    let top = feature_maps.last().map_or(0, |[.., features]| *features);
    let layers: Vec<Vec<_>> = places.iter().map(|place| place.layers(config.shortcut)).collect();
    let map = |(l, layers): (usize, &Vec<(&str, &str, Layer)>)| {
        let map = |&(name, _, layer): &(&str, &str, Layer)| Map {
            name: format!("blocks.{l}.{name}"),
            shape: layer.map(),
            weight: Draw::of_linear(layer.map()[0]),
        };
        layers.iter().map(map).collect::<Vec<_>>()
    };
    let buffers = |(l, layers): (usize, &Vec<(&str, &str, Layer)>)| {
        let of = |&(_, norm, layer): &(&str, &str, Layer)| {
            activity::buffers(config, &format!("blocks.{l}.{norm}"), layer.features[1])
        };
        layers.iter().flat_map(of).collect::<Vec<_>>()
    };
    let head = Map { name: HEAD.into(), shape: [top, classes], weight: Draw::of_linear(top) };
    let norm = if config.terminal_norm { Size::norm(top) } else { Size::NONE };
    let size = |layers: &Vec<(&str, &str, Layer)>| {
        layers.iter().fold(Size::NONE, |sum, (.., layer)| sum + layer.size(config))
    };
    Outline {
        hidden: feature_maps.iter().map(|map| [1, map.iter().product()]).collect(),
        outputs: classes,
        embed: stem.size(config),
        blocks: layers.iter().map(size).collect(),
        readout: norm + Size::affine(top, classes),
        maps: layers.iter().enumerate().flat_map(map).chain([head]).collect(),
        buffers: activity::buffers(config, "embed.norm", config.width)
            .into_iter()
            .chain(layers.iter().enumerate().flat_map(buffers))
            .collect(),
        feature_maps,
        windows: places.iter().map(|place| Some(place.conv1.window)).chain([None]).collect(),
        credit_at: CreditAt::Output,
        usual_rate: 8e9,
        is_trained: true,
    }
}

/// A residual network of feature maps.
#[derive(Module, Debug)]
pub struct ResNet<B: Backend> {
    embed: Unit<B>,
    blocks: Vec<Block<B>>,
    readout: Readout<B>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    stem: Layer,
    #[module(skip)]
    places: Vec<Place>,
}

#[derive(Module, Debug)]
struct Unit<B: Backend> {
    conv: Convolution<B>,
    norm: Option<Norm<B>>,
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    conv1: Convolution<B>,
    norm1: Option<Norm<B>>,
    conv2: Convolution<B>,
    norm2: Option<Norm<B>>,
    shortcut: Option<Unit<B>>,
}

impl<B: Kernels> Unit<B> {
    fn new(init: &mut Init<B>, config: &Config, [conv, norm]: [String; 2], layer: Layer) -> Self {
        Self {
            conv: Convolution::new(init, &conv, layer.map(), has_bias(config)),
            norm: Norm::of(init, config, &norm, layer.features[1]),
        }
    }
}

impl<B: Kernels> ResNet<B> {
    /// The initial network, PyTorch's Conv2d and Linear initialisation.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let (stem, places) = (stem(config), places(config));
        let embed =
            Unit::new(&mut init, config, ["embed.conv", "embed.norm"].map(Into::into), stem);
        let mut blocks = Vec::with_capacity(places.len());
        for (l, place) in places.iter().enumerate() {
            let mut units = place.layers(config.shortcut).into_iter().map(|(conv, norm, layer)| {
                Unit::new(
                    &mut init,
                    config,
                    [conv, norm].map(|of| format!("blocks.{l}.{of}")),
                    layer,
                )
            });
            let mut next = || units.next();
            let (Some(first), Some(second), shortcut) = (next(), next(), next()) else {
                unreachable!("a block has two convolutions")
            };
            blocks.push(Block {
                conv1: first.conv,
                norm1: first.norm,
                conv2: second.conv,
                norm2: second.norm,
                shortcut,
            });
        }
        let top = places.last().map_or(config.width, |place| place.conv2.features[1]);
        let readout = Readout::over(&mut init, config, top, classes);
        Self { embed, blocks, readout, activation: config.activation, stem, places }
    }
}

/// norm(W ∗ x) of maps x [N · H · W, C].
fn run<B: Kernels>(
    (conv, norm): (&Convolution<B>, &Option<Norm<B>>),
    layer: Layer,
    x: Tensor<B, 2>,
    pass: &mut Pass<B>,
) -> Tensor<B, 2> {
    let x = conv.forward(x, layer.window, pass);
    match norm {
        Some(norm) => norm.forward(x, pass),
        None => x,
    }
}

/// Every `stride`-th position of maps [N · H · W, C], with zeros for the features that are new: as many
/// before as behind, one more behind where they are odd.
fn padded<B: Kernels>(layer: Layer, x: Tensor<B, 2>) -> Tensor<B, 2> {
    let Window { sides: [height, width], stride, .. } = layer.window;
    let [given, made] = layer.features;
    let n = x.dims()[0] / (height * width);
    let x = x.reshape([n, height / stride, stride, width / stride, stride, given]);
    let x: Tensor<B, 6> = x.narrow(2, 0, 1).narrow(4, 0, 1);
    let rows = n * (height / stride) * (width / stride);
    let x = x.reshape([rows, given]);
    let before = (made - given) / 2;
    let zeros = |count: usize| {
        (count > 0).then(|| x.clone().narrow(1, 0, 1).zeros_like().repeat_dim(1, count))
    };
    let parts = [zeros(before), Some(x.clone()), zeros(made - given - before)];
    Tensor::cat(parts.into_iter().flatten().collect(), 1)
}

impl<B: Kernels> Network<B> for ResNet<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let [n, _] = images.dims();
        let Unit { conv, norm } = &self.embed;
        let x = run((conv, norm), self.stem, of_images(images, CHANNELS), pass);
        let x = active(self.activation, x);
        let wide = x.shape().num_elements() / n;
        x.reshape([n, 1, wide])
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let (block, place) = (&self.blocks[l], &self.places[l]);
        let [n, _, wide] = hidden.dims();
        let [given, _] = place.conv1.features;
        let x = hidden.reshape([n * wide / given, given]);
        let inner = run((&block.conv1, &block.norm1), place.conv1, x.clone(), pass);
        let inner = active(self.activation, inner);
        let made = run((&block.conv2, &block.norm2), place.conv2, inner, pass);
        let past = match (&block.shortcut, place.shortcut) {
            (Some(Unit { conv, norm }), Some(layer)) => run((conv, norm), layer, x, pass),
            (None, Some(layer)) => padded(layer, x),
            (_, None) => x,
        };
        let made = active(self.activation, past + made);
        let wide = made.shape().num_elements() / n;
        made.reshape([n, 1, wide])
    }

    fn skip(&self, _: usize, _: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        None
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        let [n, _, wide] = hidden.dims();
        let features = match self.places.last() {
            Some(place) => place.conv2.features[1],
            None => self.stem.features[1],
        };
        let mean = hidden.reshape([n, wide / features, features]).mean_dim(1);
        self.readout.forward(mean.squeeze_dim::<2>(1), pass)
    }

    fn window(&self, l: usize) -> Option<Window> {
        self.places.get(l).map(|place| place.conv1.window)
    }
}
