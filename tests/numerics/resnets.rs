//! The larger networks of feature maps: sizes as published, golden numbers from PyTorch (float64,
//! `python tests/golden/make_convolutional.py`).

use crate::common::published;
use crate::small_cnn::is_pytorchs;
use fa_audit::config::{ActivityNorm, Arch, Config, Shortcut};
use fa_audit::model::{outline, parameter_count};

/// Those that others count: the usual CIFAR forms with ten classes. A shift before a norm is counted where
/// their programs have it: in VGG, not in the residual networks.
#[test]
fn the_networks_are_as_large_as_published() {
    for (arch, parameters, blocks) in [
        (Arch::ResNet20, 269_722, 9),
        (Arch::ResNet56, 853_018, 27),
        (Arch::ResNet18, 11_173_962, 8),
        (Arch::Vgg16, 14_728_266, 12),
        (Arch::AlexNet, 2_472_266, 4),
    ] {
        let config = published(arch);
        assert_eq!(parameter_count(&config, 10), parameters, "{arch}");
        assert_eq!(outline(&config, 10).blocks.len(), blocks, "{arch}");
    }
    // Option B of the paper: three projections less one stage's, 16 → 32 and 32 → 64, with their norms.
    let projection = Config { shortcut: Shortcut::Projection, ..published(Arch::ResNet20) };
    assert_eq!(parameter_count(&projection, 10), 269_722 + 16 * 32 + 64 + 32 * 64 + 128);
}

#[test]
fn the_maps_have_the_published_sides_and_features() {
    let of = |arch: Arch| outline(&published(arch), 10).feature_maps;
    assert_eq!(of(Arch::ResNet18)[1..], {
        let stage = |side, features| [[side, side, features]; 2];
        [stage(32, 64), stage(16, 128), stage(8, 256), stage(4, 512)].concat()
    });
    assert_eq!(of(Arch::AlexNet), [[4, 4, 64], [2, 2, 192], [2, 2, 384], [2, 2, 256], [1, 1, 256]]);
    assert_eq!(of(Arch::Vgg16).last(), Some(&[1, 1, 512]));
    assert_eq!(of(Arch::ResNet56)[27], [8, 8, 64]);
}

fn of_width(arch: Arch, width: usize) -> Config {
    Config { width, ..published(arch) }
}

#[test]
fn alexnet_and_vgg_their_gradients_and_steps_are_pytorchs() {
    is_pytorchs("alexnet", &of_width(Arch::AlexNet, 2));
    is_pytorchs("vgg-16, batch", &of_width(Arch::Vgg16, 1));
}

#[test]
fn the_small_resnet_its_gradients_and_steps_are_pytorchs_with_either_shortcut() {
    is_pytorchs("small-resnet, batch", &of_width(Arch::SmallResNet, 4));
    let bare = Config {
        shortcut: Shortcut::Pad,
        activity_norm: ActivityNorm::None,
        ..of_width(Arch::SmallResNet, 3)
    };
    is_pytorchs("small-resnet, pad", &bare);
}

#[test]
fn resnet_18_and_20_their_gradients_and_steps_are_pytorchs() {
    is_pytorchs("resnet-18, batch", &of_width(Arch::ResNet18, 2));
    is_pytorchs("resnet-20, batch", &of_width(Arch::ResNet20, 3));
}
