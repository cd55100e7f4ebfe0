//! What is known of a network before it is built. How large it is: a configuration of unknown origin
//! may ask for one that no memory holds. How long it takes: a study says so before it begins.

use super::{Buffer, Draw, outline};
use crate::backend::Window;
use crate::config::Config;
use std::ops::Add;

/// What a network's own file says of it, given a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// [tokens, d] of h_0 … h_L. What is measured of several tokens, `measure` says.
    pub hidden: Vec<[usize; 2]>,
    /// C: what the readout gives for a sample.
    pub outputs: usize,
    pub embed: Size,
    /// One a block.
    pub blocks: Vec<Size>,
    pub readout: Size,
    /// The maps that a gradient crosses between the outputs and h_0.
    pub maps: Vec<Map>,
    /// What no gradient trains and a checkpoint keeps.
    pub buffers: Vec<Buffer>,
    /// [H, W, C] of h_0 … h_L where they are feature maps, positions first and channels last; else empty.
    pub feature_maps: Vec<[usize; 3]>,
    /// Of h_0 … h_L, what slides over each that is a feature map and that a convolution reads.
    pub windows: Vec<Option<Window>>,
    /// Which credit trains a block under a local rule.
    pub credit_at: CreditAt,
    /// Multiply-adds a second on one core, of two that train side by side, until epochs are timed.
    pub usual_rate: f64,
    /// Whether its parameters are trained; else it is a task for what learns its credit.
    pub is_trained: bool,
}

/// Which credit trains block l, h_{l+1} = skip(h_l) + f_l(h_l), under a local rule. The embedding is
/// trained by a_0 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreditAt {
    /// a_l, as published for residual networks, whose hidden states are of one space (protocol §2).
    #[default]
    Input,
    /// a_{l+1}: what is credited is what the block makes (protocol §3.2).
    Output,
}

impl CreditAt {
    /// The layer whose credit trains block `l`.
    pub fn of_block(self, l: usize) -> usize {
        match self {
            Self::Input => l,
            Self::Output => l + 1,
        }
    }
}

/// An affine map of a network, as it is before training.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Its parameters' names begin with it: `blocks.0.linear1`.
    pub name: String,
    /// [in, out]
    pub shape: [usize; 2],
    /// How its weight is drawn.
    pub weight: Draw,
}

impl Outline {
    /// A network of equal blocks between hidden states of one shape, `tokens` tokens of `width`
    /// features, with the readout that the networks share; it runs at the residual MLP's rate.
    /// `maps` are a block's, each with its name in the block.
    pub fn of_equal_blocks(
        config: &Config,
        classes: usize,
        tokens: usize,
        [embed, block]: [Size; 2],
        maps: &[(&str, [usize; 2], Draw)],
    ) -> Self {
        let (d, blocks) = (config.width, config.blocks());
        let norm = if config.terminal_norm { Size::norm(d) } else { Size::NONE };
        let of_block = |l: usize| {
            maps.iter().map(move |&(name, shape, weight)| Map {
                name: format!("blocks.{l}.{name}"),
                shape,
                weight,
            })
        };
        let head = Map { name: HEAD.into(), shape: [d, classes], weight: Draw::of_linear(d) };
        Self {
            hidden: vec![[tokens, d]; blocks + 1],
            outputs: classes,
            embed,
            blocks: vec![block; blocks],
            readout: norm + Size::affine(d, classes),
            maps: (0..blocks).flat_map(of_block).chain([head]).collect(),
            buffers: Vec::new(),
            feature_maps: Vec::new(),
            windows: vec![None; blocks + 1],
            credit_at: CreditAt::Input,
            // With Burn's own operations the published resmlp took 8 s (bp) an epoch of 50,000 images
            // on a 2-core cloud machine; it is faster since, and a first estimate too long.
            usual_rate: 20e9,
            is_trained: true,
        }
    }

    /// Values of all parameters.
    pub fn parameters(&self) -> u64 {
        let blocks = self.blocks.iter().map(|block| block.parameters).sum::<u64>();
        self.embed.parameters + blocks + self.readout.parameters
    }

    /// d of h_0 … h_L.
    pub fn widths(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.hidden.iter().map(|[_, d]| *d)
    }

    /// Whether a hidden state holds several tokens.
    pub fn has_tokens(&self) -> bool {
        self.hidden.iter().any(|[tokens, _]| *tokens > 1)
    }
}

/// The map in which every network's readout ends.
pub(super) const HEAD: &str = "readout.head";

/// The size of a part of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Values of all parameters.
    pub parameters: u64,
    /// Multiply-adds of one image forward.
    pub multiply_adds: u64,
}

impl Size {
    pub const NONE: Self = Self { parameters: 0, multiply_adds: 0 };

    /// An affine map with a bias.
    pub fn affine(inputs: usize, outputs: usize) -> Self {
        let [inputs, outputs] = [inputs, outputs].map(|n| n as u64);
        Self { parameters: (inputs + 1) * outputs, multiply_adds: inputs * outputs }
    }

    /// A LayerNorm; its multiply-adds are few.
    pub fn norm(width: usize) -> Self {
        Self { parameters: 2 * width as u64, multiply_adds: 0 }
    }

    /// The same parameters, at work on each of `tokens`.
    pub fn on_each(self, tokens: usize) -> Self {
        Self { multiply_adds: self.multiply_adds * tokens as u64, ..self }
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            parameters: self.parameters + other.parameters,
            multiply_adds: self.multiply_adds + other.multiply_adds,
        }
    }
}

/// Values of all parameters of the network of `config`.
pub fn parameter_count(config: &Config, classes: usize) -> u64 {
    outline(config, classes).parameters()
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::*;
    use crate::config::{Arch, Method};
    use crate::data::DatasetKind;
    use crate::model::guide_example::{self, ResLinear};
    use crate::model::{Net, Part, export};
    use burn::backend::Flex;
    use burn::module::Module;
    use burn::tensor::TensorData;

    #[test]
    fn the_count_is_that_of_the_network_as_built() {
        for &arch in Arch::ALL {
            let usual = Config {
                width: 12,
                depth: 3,
                expansion: 2,
                mlp_ratio: 3,
                heads: 2,
                patch: 8,
                ..Config::published(arch, DatasetKind::Synthetic)
            };
            let bare = Config { terminal_norm: false, ..usual.clone() };
            let shallow = Config { method: Method::Shallow, ..usual.clone() };
            for config in [usual, bare, shallow] {
                let built = Net::<Flex>::new(&config, 10, &Default::default()).num_params();
                assert_eq!(parameter_count(&config, 10), built as u64, "{}", config.label());
            }
        }
    }

    #[test]
    fn the_guides_network_is_as_large_as_it_says() {
        let config =
            Config { width: 12, ..Config::published(Arch::ResMlp, DatasetKind::Synthetic) };
        let built = ResLinear::<Flex>::new(&config, 10, &Default::default()).num_params();
        assert_eq!(guide_example::outline(&config, 10).parameters(), built as u64);
    }

    /// Feedback for a map is drawn by what the outline says of it.
    #[test]
    fn the_maps_are_those_of_the_network_as_built() {
        for &arch in Arch::ALL {
            let config = Config {
                width: 12,
                depth: 2,
                heads: 2,
                patch: 8,
                w2_std: 0.5,
                ..Config::published(arch, DatasetKind::Synthetic)
            };
            let built = export(&Net::<Flex>::new(&config, 10, &Default::default()));
            let outside = |(name, data): &(&String, &TensorData)| {
                data.shape.num_dims() == 2 && !name.starts_with("embed.")
            };
            let built = built.iter().filter(outside).map(|(name, data)| {
                let values: Vec<f64> = data.iter::<f64>().collect();
                let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
                (name.clone(), data.shape.to_vec(), square.sqrt())
            });
            let outline = outline(&config, 10);
            let mut said = outline.maps.iter().map(|Map { name, shape, weight }| {
                (format!("{name}.weight"), shape.to_vec(), weight.std())
            });
            for (name, shape, std) in built {
                let (_, said_shape, said_std) =
                    said.clone().find(|(said, ..)| *said == name).expect(&name);
                assert_eq!(shape, said_shape, "{name}");
                assert!((std / said_std - 1.0).abs() < 0.15, "{name}: {std}, said {said_std}");
            }
            assert!(said.all(|(name, ..)| Part::of(&name) != Part::Embed));
        }
    }
}
