//! What the benchmarks share: the networks that they measure, and data of CIFAR-10's size.

// Each benchmark is a program of its own, and none uses all of this.
#![allow(dead_code)]

use anyhow::Result;
use fa_audit::config::{Arch, Config, Method, Schedule};
use fa_audit::data::{
    self, DataProvenance, Dataset, DatasetKind, PIXELS, Source, Split, SyntheticSpec,
};
use fa_audit::rng::stream;
use rand::Rng as _;
use std::fmt;
use std::path::Path;

/// The networks of the benchmarks, at the published sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Net {
    /// Residual MLP, d = 256, L = 4
    #[value(name = "resmlp-256x4")]
    ResMlp256x4,
    /// Residual MLP, d = 512, L = 12
    #[value(name = "resmlp-512x12")]
    ResMlp512x12,
    /// ViT-Mini, d = 128, L = 4
    VitMini,
}

impl Net {
    pub const ALL: [Self; 3] = [Self::ResMlp256x4, Self::ResMlp512x12, Self::VitMini];

    /// The published training of this network under `method` on CIFAR-10, at a constant learning
    /// rate: a benchmark has no last epoch.
    pub fn config(self, method: Method) -> Config {
        let (arch, width, depth) = match self {
            Self::ResMlp256x4 => (Arch::ResMlp, 256, 4),
            Self::ResMlp512x12 => (Arch::ResMlp, 512, 12),
            Self::VitMini => (Arch::VitMini, 128, 4),
        };
        Config {
            method,
            width,
            depth,
            schedule: Schedule::Constant,
            device: "cpu".into(),
            ..Config::published(arch, DatasetKind::Cifar10)
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::ResMlp256x4 => "resmlp-256x4",
            Self::ResMlp512x12 => "resmlp-512x12",
            Self::VitMini => "vit-mini",
        })
    }
}

/// The rules that train them.
pub const RULES: [Method; 3] = [Method::Bp, Method::Fa, Method::Dfa];

/// CIFAR-10 from `dir`; without one, random bytes of its sizes. The training images fill whole
/// batches of 128, so that all steps have the same size.
///
/// # Errors
/// As [`data::load`].
pub fn cifar_sized(dir: Option<&Path>) -> Result<Dataset> {
    let mut data = match dir {
        Some(_) => data::load(DatasetKind::Cifar10, dir, &SyntheticSpec::default())?,
        None => random(50_000, 10_000),
    };
    let whole = data.train.len() / 128 * 128;
    data.train.labels.truncate(whole);
    data.train.images.truncate(whole * PIXELS);
    Ok(data)
}

/// A dataset like CIFAR-10 with random pixels and labels.
pub fn random(train: usize, test: usize) -> Dataset {
    let split = |name: &str, n: usize| {
        let mut stream = stream(0, name);
        let (mut images, mut labels) = (vec![0; n * PIXELS], vec![0; n]);
        stream.fill_bytes(&mut images);
        stream.fill_bytes(&mut labels);
        labels.iter_mut().for_each(|label| *label %= 10);
        Split { images, labels, ..Split::default() }
    };
    let kind = DatasetKind::Cifar10;
    let provenance = DataProvenance {
        name: "random bytes".into(),
        source: Source::Generated,
        sha256: String::new(),
        train,
        test,
        classes: kind.classes(),
        files: Vec::new(),
    };
    Dataset {
        kind,
        train: split("bench/train", train),
        test: split("bench/test", test),
        mean: kind.mean(),
        std: kind.std(),
        provenance,
    }
}
