//! The names that PyTorch programs usually give to what a network holds: torchvision's, and those of the usual
//! networks for CIFAR.

use crate::config::{Arch, Config};
use crate::model::{sequential_place, stage_of};

/// Those of the tensor that is called `name` in a module of this structure; none where it has no usual name.
pub(super) fn names(config: &Config, name: &str) -> Vec<String> {
    let Some((above, last)) = name.rsplit_once('.') else { return Vec::new() };
    let holders = match config.arch {
        Arch::SmallCnn => small_cnn(above).into_iter().map(String::from).collect(),
        Arch::AlexNet | Arch::Vgg16 => of_sequential(config, above),
        Arch::SmallResNet | Arch::ResNet18 | Arch::ResNet20 | Arch::ResNet56 => {
            of_stages(config, above)
        }
        Arch::ResMlp | Arch::VitMini | Arch::Mlp | Arch::Student | Arch::Lq => Vec::new(),
    };
    holders.into_iter().map(|holder| format!("{holder}.{last}")).collect()
}

fn small_cnn(above: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 8] = [
        ("embed.conv", "conv1"),
        ("embed.norm", "bn1"),
        ("blocks.0.conv", "conv2"),
        ("blocks.0.norm", "bn2"),
        ("blocks.1.conv", "conv3"),
        ("blocks.1.norm", "bn3"),
        ("blocks.2.linear", "fc1"),
        ("readout.head", "fc2"),
    ];
    NAMES.iter().find(|(own, _)| *own == above).map(|(_, usual)| *usual)
}

/// `features.N` of a Sequential in which a convolution, its norm, an activation and a pool follow each other, and
/// `classifier`.
fn of_sequential(config: &Config, above: &str) -> Vec<String> {
    if above == "readout.head" {
        return vec!["classifier".into(), "classifier.0".into(), "fc".into()];
    }
    let (layer, part) = match above.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        Some((l, part)) => (l.parse::<usize>().ok().map(|l| l + 1), part),
        None => (Some(0), above.strip_prefix("embed.").unwrap_or(above)),
    };
    let place = layer.and_then(|layer| sequential_place(config, layer));
    let place = match part {
        "conv" => place,
        "norm" => place.map(|place| place + 1),
        _ => None,
    };
    place.map(|place| format!("features.{place}")).into_iter().collect()
}

/// `layer1.0.conv1`, and of a projection `downsample` (torchvision) or `shortcut`.
fn of_stages(config: &Config, above: &str) -> Vec<String> {
    match above {
        "embed.conv" => return vec!["conv1".into()],
        "embed.norm" => return vec!["bn1".into()],
        "readout.head" => return vec!["fc".into(), "linear".into()],
        _ => {}
    }
    let found = above.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    let Some((l, part)) = found else { return Vec::new() };
    let Some((stage, k)) = l.parse().ok().and_then(|l| stage_of(config, l)) else {
        return Vec::new();
    };
    let parts: &[&str] = match part {
        "conv1" => &["conv1"],
        "norm1" => &["bn1"],
        "conv2" => &["conv2"],
        "norm2" => &["bn2"],
        "shortcut.conv" => &["downsample.0", "shortcut.0"],
        "shortcut.norm" => &["downsample.1", "shortcut.1"],
        _ => &[],
    };
    parts.iter().map(|part| format!("layer{}.{k}.{part}", stage + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ActivityNorm;
    use crate::data::DatasetKind;

    fn first(arch: Arch, name: &str) -> String {
        let config = Config::published(arch, DatasetKind::Cifar10);
        names(&config, name).into_iter().next().unwrap_or_default()
    }

    /// By the indices that the networks' own definitions print.
    #[test]
    fn usual_names_are_those_of_the_usual_programs() {
        for (arch, name, usual) in [
            (Arch::Vgg16, "embed.conv.weight", "features.0.weight"),
            (Arch::Vgg16, "embed.norm.running_var", "features.1.running_var"),
            (Arch::Vgg16, "blocks.0.conv.bias", "features.3.bias"),
            (Arch::Vgg16, "blocks.1.conv.weight", "features.7.weight"),
            (Arch::Vgg16, "blocks.11.norm.weight", "features.41.weight"),
            (Arch::AlexNet, "blocks.0.conv.weight", "features.3.weight"),
            (Arch::AlexNet, "blocks.3.conv.weight", "features.10.weight"),
            (Arch::AlexNet, "readout.head.bias", "classifier.bias"),
            (Arch::ResNet18, "blocks.2.shortcut.norm.bias", "layer2.0.downsample.1.bias"),
            (Arch::ResNet20, "blocks.5.norm2.weight", "layer2.2.bn2.weight"),
            (Arch::ResNet56, "blocks.26.conv1.weight", "layer3.8.conv1.weight"),
            (Arch::SmallCnn, "blocks.2.linear.weight", "fc1.weight"),
        ] {
            assert_eq!(first(arch, name), usual);
        }
        let config = Config {
            activity_norm: ActivityNorm::None,
            ..Config::published(Arch::Vgg16, DatasetKind::Cifar10)
        };
        assert_eq!(names(&config, "blocks.1.conv.weight"), ["features.5.weight"]);
        assert!(names(&config, "blocks.x.conv.weight").is_empty());
        assert!(names(&config, "feedback.0").is_empty());
    }
}
