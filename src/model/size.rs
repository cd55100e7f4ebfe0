//! How large a network is, before it is built: a configuration of unknown origin may ask for one
//! that no memory holds.

use crate::config::{Arch, Config};
use crate::data::PIXELS;

/// Values of all parameters of the network of `config`.
pub fn parameter_count(config: &Config, classes: usize) -> u64 {
    let [d, expansion, patch, ratio, classes, blocks] =
        [config.width, config.expansion, config.patch, config.mlp_ratio, classes, config.blocks()]
            .map(|n| n as u64);
    let pixels = PIXELS as u64;
    let linear = |inputs: u64, outputs: u64| (inputs + 1) * outputs;
    let norm = 2 * d;
    let readout = if config.terminal_norm { norm } else { 0 } + linear(d, classes);
    let (embed, block) = match config.arch {
        Arch::ResMlp => {
            let inner = d * expansion;
            (linear(pixels, d), norm + linear(d, inner) + linear(inner, d))
        }
        Arch::VitMini => {
            let (values, inner) = (3 * patch * patch, d * ratio);
            let tokens = 1 + pixels / values;
            let attention = 4 * linear(d, d);
            let mlp = linear(d, inner) + linear(inner, d);
            (linear(values, d) + (1 + tokens) * d, 2 * norm + attention + mlp)
        }
    };
    embed + blocks * block + readout
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::data::DatasetKind;
    use crate::model::Net;
    use burn::backend::Flex;
    use burn::module::Module;

    #[test]
    fn the_count_is_that_of_the_network_as_built() {
        for arch in [Arch::ResMlp, Arch::VitMini] {
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
}
