//! Whatever is not what a run wrote is refused.

use super::*;
use crate::config::{Arch, Config};
use crate::data::{self, DatasetKind, SyntheticSpec};
use crate::train::run_dir::RunDir;
use crate::train::train_quietly;
use burn::tensor::TensorData;

/// A small checkpoint in a folder, and its bytes.
fn small() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        method: crate::config::Method::Dfa,
        width: 2,
        depth: 1,
        epochs: 1,
        train_samples: 8,
        test_samples: 8,
        probe_batches: 2,
        probe_batch_size: 4,
        ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
    };
    let spec = SyntheticSpec { train: 8, test: 8, ..SyntheticSpec::default() };
    let data = data::load(DatasetKind::Synthetic, None, &spec).unwrap();
    let run = RunDir::at(dir.path().join("run"));
    train_quietly(&config, &data, &run).unwrap();
    let bytes = std::fs::read(run.checkpoint()).unwrap();
    (dir, bytes)
}

/// Where the content begins: before it stand keys, the format, the checksum and lengths.
fn body_at(bytes: &[u8]) -> usize {
    let envelope: EnvelopeIn = rmp_serde::from_slice(bytes).unwrap();
    bytes.len() - envelope.body.len()
}

#[test]
fn a_checkpoint_cut_at_any_byte_is_refused() {
    let (_dir, bytes) = small();
    assert!(Checkpoint::decode(&bytes).is_ok());
    let body = body_at(&bytes);
    for length in 0..bytes.len() {
        let error = format!("{:#}", Checkpoint::decode(&bytes[..length]).unwrap_err());
        assert!(!error.contains('\n'), "{error}");
        if length > body {
            assert!(error.contains("cut short") && error.contains(&length.to_string()), "{error}");
        }
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let error = Checkpoint::decode(&longer).unwrap_err().to_string();
    assert!(error.contains("something follows"), "{error}");
}

#[test]
fn a_checkpoint_with_any_bit_flipped_is_refused() {
    let (_dir, mut bytes) = small();
    let body = body_at(&bytes);
    // All of the head, the content's first kilobyte and its last, and every 97th byte between.
    let last = bytes.len() - 1024;
    let places = (0..body + 1024).chain((body + 1024..last).step_by(97)).chain(last..bytes.len());
    for at in places {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let found = Checkpoint::decode(&bytes);
            assert!(found.is_err(), "bit {bit} of byte {at} of {}", bytes.len());
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(Checkpoint::decode(&bytes).is_ok());
}

#[test]
fn a_content_that_no_run_writes_is_refused_whatever_its_checksum() {
    let (dir, bytes) = small();
    let refused = |change: &dyn Fn(&mut Checkpoint), word: &str| {
        let mut checkpoint = Checkpoint::decode(&bytes).unwrap();
        change(&mut checkpoint);
        let path = dir.path().join("changed.mpk");
        checkpoint.save(&path).unwrap();
        let error = format!("{:#}", Checkpoint::load(&path).unwrap_err());
        assert!(error.contains("changed.mpk") && error.contains(word), "{error}");
    };
    // 35 gigabytes of parameters in a file of a few kilobytes.
    refused(&|c| c.config.width = 1 << 16, "expected the 8792375306");
    refused(&|c| c.config.depth = 0, "depth: 0 is not valid");
    refused(&|c| c.config.frozen_blocks = 7, "frozen_blocks");
    refused(&|c| c.data.classes = 1 << 40, "expected 10");
    refused(&|c| c.progress.epoch = 2, "epoch 2 of 1");
    refused(&|c| c.slots.values_mut().next().unwrap().time = usize::MAX, "optimiser");
    refused(
        &|c| {
            let longer = pack(&[("x".into(), TensorData::zeros::<f32, _>([7]))].into());
            c.slots
                .values_mut()
                .next()
                .unwrap()
                .values
                .insert("moment_1".into(), longer["x"].clone());
        },
        "the optimiser's state of",
    );
}
