//! Convolutional networks that are a stack of layers, which nothing passes (protocol §3.2): the first
//! layer is the embedding, each other one a block, f_l(h) = h_{l+1}, and an affine map reads the last.
//!
//! A layer is pool(φ(norm(W ∗ h + b))) or, behind the maps, φ(W h + b). A hidden state is one vector
//! [N, 1, H · W · C], position after position and channels last: whatever is measured of a feature map, its
//! credit, gradient and norm, is of all its positions, flattened.
//!
//! A block is trained by the credit at its output: h_l and h_{l+1} are of different spaces.

mod plans;

use super::activity::{self, Norm, active};
use super::convolution::{Convolution, of_images};
use super::init::{Draw, Init};
use super::outline::{CreditAt, HEAD};
use super::resmlp::Readout;
use super::{Linear, Map, Network, Outline, Pass, Size};
use crate::backend::{Kernels, Window};
use crate::config::{Activation, ActivityNorm, Config};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Of CIFAR's images.
const CHANNELS: usize = 3;
const SIDE: usize = 32;

/// A layer as a plan describes it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    /// A convolution with a norm where one is wanted, pooled over squares of `pool`.
    Map { features: usize, kernel: usize, stride: usize, padding: usize, pool: usize },
    /// An affine map of all that is below, without a norm.
    Whole { features: usize },
}

impl Layer {
    /// A convolution of 3 × 3 that keeps the sides.
    fn same(features: usize, pool: usize) -> Self {
        Self::Map { features, kernel: 3, stride: 1, padding: 1, pool }
    }

    fn features(self) -> usize {
        match self {
            Self::Map { features, .. } | Self::Whole { features } => features,
        }
    }
}

/// What a layer makes, and of what.
#[derive(Clone, Copy, Debug)]
struct Place {
    layer: Layer,
    /// [H, W, C] of what it is given.
    given: [usize; 3],
}

impl Place {
    /// What slides over the maps; `None` of a layer that sees all.
    fn window(&self) -> Option<Window> {
        let [height, width, _] = self.given;
        match self.layer {
            Layer::Map { kernel, stride, padding, .. } => {
                Some(Window { sides: [height, width], kernel, stride, padding })
            }
            Layer::Whole { .. } => None,
        }
    }

    /// [in, out] of its map.
    fn map(&self) -> [usize; 2] {
        let [height, width, channels] = self.given;
        match self.layer {
            Layer::Map { features, kernel, .. } => [kernel * kernel * channels, features],
            Layer::Whole { features } => [height * width * channels, features],
        }
    }

    /// [H, W, C] of what it makes.
    fn made(&self) -> [usize; 3] {
        match (self.layer, self.window()) {
            (Layer::Map { features, pool, .. }, Some(window)) => {
                let [height, width] = window.output();
                [height / pool, width / pool, features]
            }
            (layer, _) => [1, 1, layer.features()],
        }
    }

    /// Its map's name under `part`.
    fn name(&self, part: &str) -> String {
        let kind = if self.window().is_some() { "conv" } else { "linear" };
        format!("{part}.{kind}")
    }

    fn size(&self, config: &Config) -> Size {
        let [inputs, outputs] = self.map();
        let map = Size::affine(inputs, outputs);
        match self.window() {
            Some(window) => map.on_each(window.outputs()) + activity::size(config, outputs),
            None => map,
        }
    }
}

/// Where each layer stands: the embedding, and as many as the configuration has blocks.
fn places(config: &Config) -> Vec<Place> {
    let mut given = [SIDE, SIDE, CHANNELS];
    let place = |layer: Layer| {
        let place = Place { layer, given };
        given = place.made();
        place
    };
    plans::plan(config).into_iter().take(1 + config.blocks()).map(place).collect()
}

/// The index of layer `k`'s map where maps, norms, activations and pools follow each other in one list; `None`
/// beyond the last.
///
/// # Panics
/// If the network of `config` is no stack.
pub fn sequential_place(config: &Config, k: usize) -> Option<usize> {
    let plan = plans::plan(config);
    let of = |layer: &Layer| match layer {
        Layer::Map { pool, .. } => {
            let norm = usize::from(config.activity_norm != ActivityNorm::None);
            2 + norm + usize::from(*pool > 1)
        }
        Layer::Whole { .. } => 2,
    };
    (k < plan.len()).then(|| plan[..k].iter().map(of).sum())
}

/// The part of the network that layer `k` is.
fn part(k: usize) -> String {
    match k.checked_sub(1) {
        None => "embed".into(),
        Some(l) => format!("blocks.{l}"),
    }
}

/// What is known of a stack beforehand.
pub(super) fn outline(config: &Config, classes: usize) -> Outline {
    let places = places(config);
    let wide = |place: &Place| place.made().iter().product::<usize>();
    let top = places.last().map_or(0, wide);
    let norm = if config.terminal_norm { Size::norm(top) } else { Size::NONE };
    let map = |(k, place): (usize, &Place)| {
        let shape = place.map();
        Map { name: place.name(&part(k)), shape, weight: Draw::of_linear(shape[0]) }
    };
    let head = Map { name: HEAD.into(), shape: [top, classes], weight: Draw::of_linear(top) };
    let sizes: Vec<Size> = places.iter().map(|place| place.size(config)).collect();
    let buffers = |(k, place): (usize, &Place)| match place.window() {
        Some(_) => activity::buffers(config, &format!("{}.norm", part(k)), place.layer.features()),
        None => Vec::new(),
    };
    Outline {
        hidden: places.iter().map(|place| [1, wide(place)]).collect(),
        outputs: classes,
        embed: sizes[0],
        blocks: sizes[1..].to_vec(),
        readout: norm + Size::affine(top, classes),
        maps: places.iter().enumerate().skip(1).map(map).chain([head]).collect(),
        buffers: places.iter().enumerate().flat_map(buffers).collect(),
        feature_maps: places.iter().map(Place::made).collect(),
        windows: places.iter().skip(1).map(Place::window).chain([None]).collect(),
        credit_at: CreditAt::Output,
        usual_rate: 8e9,
        is_trained: true,
    }
}

/// A stack of convolutions and affine maps.
#[derive(Module, Debug)]
pub struct Stack<B: Backend> {
    embed: Unit<B>,
    blocks: Vec<Unit<B>>,
    readout: Readout<B>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    places: Vec<Place>,
}

#[derive(Module, Debug)]
struct Unit<B: Backend> {
    conv: Option<Convolution<B>>,
    linear: Option<Linear<B>>,
    norm: Option<Norm<B>>,
}

impl<B: Kernels> Stack<B> {
    /// The initial network, PyTorch's Linear and Conv2d initialisation.
    pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
        let mut init = Init::new(config.seed, device);
        let places = places(config);
        let mut units = Vec::with_capacity(places.len());
        for (k, place) in places.iter().enumerate() {
            let (part, [inputs, outputs]) = (part(k), place.map());
            let name = place.name(&part);
            units.push(match place.window() {
                Some(_) => Unit {
                    conv: Some(Convolution::new(&mut init, &name, [inputs, outputs], true)),
                    linear: None,
                    norm: Norm::of(&mut init, config, &format!("{part}.norm"), outputs),
                },
                None => Unit {
                    conv: None,
                    linear: Some(init.linear(&name, inputs, outputs)),
                    norm: None,
                },
            });
        }
        let embed = units.remove(0);
        let top = places.last().map_or(0, |place| place.made().iter().product());
        let readout = Readout::over(&mut init, config, top, classes);
        Self { embed, blocks: units, readout, activation: config.activation, places }
    }

    /// Layer `k` of rows: of maps [N · H · W, C], or of what is below [N, in]; [N, 1, _].
    fn run(
        &self,
        unit: &Unit<B>,
        k: usize,
        hidden: Tensor<B, 2>,
        n: usize,
        pass: &mut Pass<B>,
    ) -> Tensor<B, 3> {
        let place = &self.places[k];
        let [_, _, channels] = place.given;
        let of = |x: Tensor<B, 2>| {
            let count = x.shape().num_elements();
            x.reshape([count / channels, channels])
        };
        let x = match (&unit.conv, &unit.linear, place.window()) {
            (Some(conv), _, Some(window)) => conv.forward(of(hidden), window, pass),
            (_, Some(linear), _) => linear.forward(hidden, pass),
            _ => unreachable!("a unit has the map of its place"),
        };
        let x = match &unit.norm {
            Some(norm) => norm.forward(x, pass),
            None => x,
        };
        let x = active(self.activation, x);
        let x = match (place.layer, place.window()) {
            (Layer::Map { pool, .. }, Some(window)) if pool > 1 => {
                B::max_pool(x, window.output(), pool)
            }
            _ => x,
        };
        let wide = place.made().iter().product();
        x.reshape([n, 1, wide])
    }
}

impl<B: Kernels> Network<B> for Stack<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let [n, _] = images.dims();
        self.run(&self.embed, 0, of_images(images, CHANNELS), n, pass)
    }

    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
        let [n, ..] = hidden.dims();
        self.run(&self.blocks[l], l + 1, hidden.squeeze_dim::<2>(1), n, pass)
    }

    fn skip(&self, _: usize, _: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        None
    }

    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        self.readout.forward(hidden.squeeze_dim::<2>(1), pass)
    }

    fn window(&self, l: usize) -> Option<Window> {
        self.places.get(l + 1).and_then(Place::window)
    }
}
