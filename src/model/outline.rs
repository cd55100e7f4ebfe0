//! What is known of a network before it is built. How large it is: a configuration of unknown origin
//! may ask for one that no memory holds. How long it takes: a study says so before it begins.

use super::outline;
use crate::config::Config;
use std::ops::Add;

/// What a network's own file says of it, given a configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outline {
    pub embed: Size,
    /// One block of the equal ones.
    pub block: Size,
    /// Whether a hidden state holds several tokens, of which `measure` says what is measured.
    pub has_tokens: bool,
    /// Multiply-adds a second on one core, of two that train side by side, until epochs are timed.
    pub usual_rate: f64,
}

impl Outline {
    /// A network of one token that runs at the residual MLP's rate.
    pub fn new(embed: Size, block: Size) -> Self {
        // With Burn's own operations the published resmlp took 8 s (bp) an epoch of 50,000 images on a
        // 2-core cloud machine; it is faster since, and a first estimate too long.
        Self { embed, block, has_tokens: false, usual_rate: 20e9 }
    }

    /// Values of all parameters, with those of the readout that the networks share.
    fn parameters(&self, config: &Config, classes: usize) -> u64 {
        let head = Size::affine(config.width, classes).parameters;
        let norm = if config.terminal_norm { Size::norm(config.width).parameters } else { 0 };
        self.embed.parameters + config.blocks() as u64 * self.block.parameters + norm + head
    }
}

/// The size of a part of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Values of all parameters.
    pub parameters: u64,
    /// Multiply-adds of one image forward.
    pub multiply_adds: u64,
}

impl Size {
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
    outline(config).parameters(config, classes)
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::*;
    use crate::config::{Arch, Method};
    use crate::data::DatasetKind;
    use crate::model::Net;
    use crate::model::guide_example::{self, ResLinear};
    use burn::backend::Flex;
    use burn::module::Module;

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
        assert_eq!(guide_example::outline(&config).parameters(&config, 10), built as u64);
    }
}
