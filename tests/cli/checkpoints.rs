//! Checkpoints that earlier programs wrote (`tests/checkpoints/README.md`).

use crate::common::Place;
use fa_audit::train::checkpoint::{Checkpoint, unpack, unpack_slots};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

/// Every number of a checkpoint, by section and name.
fn tensors(checkpoint: &Checkpoint) -> Vec<(String, Vec<f32>)> {
    let values = |data: &burn::tensor::TensorData| data.iter::<f32>().collect::<Vec<_>>();
    let mut all = Vec::new();
    for section in [&checkpoint.network, &checkpoint.learner] {
        let unpacked = unpack(section).expect("whole tensors");
        all.extend(unpacked.iter().map(|(name, data)| (name.clone(), values(data))));
    }
    for (name, slots) in unpack_slots(&checkpoint.slots).expect("whole slots") {
        all.push((format!("{name}, time"), vec![slots.time as f32]));
        for (slot, data) in &slots.values {
            all.push((format!("{name}, {slot}"), values(data)));
        }
    }
    all
}

/// Parameters, feedback and both moments are found: what goes on from them ends where the program
/// that wrote them ended, but for the rounding of another instruction set.
#[test]
fn a_run_of_format_1_goes_on_and_ends_where_its_own_program_ended() {
    let place = Place::new();
    for file in ["run.json", "config.toml", "metrics.jsonl", "checkpoint.mpk"] {
        let bytes = std::fs::read(fixture("format-1").join(file)).expect("a fixture");
        place.write(&format!("run/{file}"), bytes);
    }
    place.done("train --resume --out run");
    let own = Checkpoint::load(&place.path("run/checkpoint.mpk")).expect("of today");
    let want = Checkpoint::load(&fixture("format-1-end.mpk")).expect("of format 1");
    assert_eq!((own.progress.epoch, want.progress.epoch), (2, 2));
    let (own, want) = (tensors(&own), tensors(&want));
    assert_eq!(own.len(), want.len());
    for ((name, own), (same, want)) in own.iter().zip(&want) {
        assert_eq!((name, own.len()), (same, want.len()));
        for (a, b) in own.iter().zip(want) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1e-3), "{name}: {a}, {b}");
        }
    }
    assert!(want.iter().any(|(name, _)| name == "embed.weight, moment_2"));
    assert!(want.iter().any(|(name, _)| name == "feedback.0"));
}

#[test]
fn a_checkpoint_of_format_1_is_diagnosed() {
    let place = Place::new();
    place.write("old/checkpoint.mpk", std::fs::read(fixture("format-1-end.mpk")).expect("bytes"));
    let outcome = place.done("diagnose old/checkpoint.mpk --controls");
    assert!(outcome.stdout.contains("dfa λ=0.01"), "{}", outcome.stdout);
    let verdict = place.json("old/verdict.json");
    assert_eq!(verdict["cosine"]["per_layer"].as_array().map(Vec::len), Some(2));
    assert!(verdict["controls"]["null"]["draws"].as_u64() == Some(20), "{verdict}");
}
