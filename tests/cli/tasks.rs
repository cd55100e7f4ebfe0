//! Equilibrium propagation, the tasks that are made of vectors, and their networks.

use crate::common::{Place, metrics};
use fa_audit::train::checkpoint::{Checkpoint, unpack};
use serde_json::Value;

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["evidence"]["checks"].as_array().expect("checks");
    checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("{name}: {checks:?}"))
}

fn label(verdict: &Value) -> &str {
    verdict["run"]["label"].as_str().expect("a label")
}

#[test]
fn equilibrium_propagation_resumes_to_the_same_bits_and_its_states_settle() {
    let place = Place::new();
    let train = "train --config small.toml --method ep --set train_samples=640 --set epochs=6 --no-progress";
    place.done(&format!("{train} --out whole"));
    let outcome = place.stop_after_an_epoch("cut", "-INT", &format!("{train} --out cut"));
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    place.done("train --out cut --resume");
    let [whole, cut] = ["whole", "cut"].map(|run| place.path(run));
    let lines = metrics(&whole.join("metrics.jsonl"));
    assert_eq!(lines, metrics(&cut.join("metrics.jsonl")));
    let bytes = |run: &std::path::Path| std::fs::read(run.join("checkpoint.mpk")).expect("it");
    assert!(bytes(&whole) == bytes(&cut), "the checkpoints differ");
    assert!(lines.iter().all(|line| line["growth_of_force"].as_f64() < Some(1.0)), "{lines:?}");

    place.done("diagnose whole/checkpoint.mpk");
    let verdict = place.json("whole/verdict.json");
    assert!(label(&verdict).starts_with("ep d=16 L=2 displacement "), "{verdict}");
    assert_eq!(check(&verdict, "settled states")["standing"], "holds");
    // The clamped h_0 is no fault of the recording, and trains no block.
    let finite = check(&verdict, "finite and non-zero");
    assert_eq!(finite["standing"], "holds");
    let remarks = finite["remarks"].as_array().expect("remarks");
    let is_told = |remark: &Value| {
        remark.as_str().is_some_and(|r| r.contains("zero for every sample at h_0"))
    };
    assert!(remarks.iter().any(is_told), "{finite}");
    assert_eq!(verdict["cosine"]["trains"], serde_json::json!([1, 2]));
    assert!(verdict["cosine"]["per_layer"][1].as_f64() > Some(0.9), "{verdict}");
}

#[test]
fn the_credit_of_equilibrium_propagation_is_named_and_a_relaxation_that_diverges_is_told() {
    let place = Place::new();
    let train = "train --config small.toml --method ep --set epochs=1 --set train_samples=128";
    place.done(&format!("{train} --set ep_credit=residual --out residual"));
    place.done("diagnose residual/checkpoint.mpk");
    let verdict = place.json("residual/verdict.json");
    assert!(label(&verdict).starts_with("ep d=16 L=2 residual "), "{verdict}");
    let first = &verdict["cosine"]["per_layer"][0];
    assert!(first.as_f64() > Some(0.5), "what trains the embedding is told: {first}");

    let outcome = place.done(&format!("{train} --set ep_step_size=0.9 --out large"));
    assert!(outcome.stderr.contains("do not settle"), "{}", outcome.stderr);
    let growth = &metrics(&place.path("large/metrics.jsonl"))[0]["growth_of_force"];
    assert!(growth.is_string() || growth.as_f64() > Some(1.0), "{growth}");
    place.run("diagnose large/checkpoint.mpk");
    let verdict = place.json("large/verdict.json");
    assert_eq!(check(&verdict, "settled states")["standing"], "contradicted");
}

const TOY: &str = "train --arch lq --dataset toy-lq --method dfa --set train_samples=512 \
                   --set test_samples=1280 --set epochs=2 --set checkpoint_epochs=[0]";

#[test]
fn on_the_toy_task_feedback_that_is_not_learned_has_no_cosine_and_the_system_stays() {
    let place = Place::new();
    for seed in [42, 123, 456] {
        place.done(&format!("{TOY} --seed {seed} --out {seed}"));
        place.done(&format!("diagnose {seed}/checkpoint.mpk"));
        let verdict = place.json(&format!("{seed}/verdict.json"));
        let cosine = verdict["cosine"]["aggregate"].as_f64().expect("a cosine");
        assert!(cosine.abs() < 0.04, "seed {seed}: {cosine}");
        let gradients = verdict["diagnostics"]["reference"]["status"].as_str();
        assert_eq!(gradients, Some("passed"), "{verdict}");
        let network = |path: &str| {
            let checkpoint = Checkpoint::load(&place.path(&format!("{seed}/{path}"))).expect("it");
            unpack(&checkpoint.network).expect("whole tensors")
        };
        assert!(network("epochs/epoch-0000.mpk") == network("checkpoint.mpk"));
    }
    place.done(&format!("{TOY} --seed 42 --out again"));
    let [one, two] =
        ["42", "again"].map(|run| metrics(&place.path(&format!("{run}/metrics.jsonl"))));
    assert_eq!(one, two);
    // Half the squared length of ten standard normal targets and of outputs of about their size.
    let loss = one[1]["test_loss"].as_f64().expect("a loss");
    assert!((8.0..14.0).contains(&loss) && one[0]["test_loss"] == one[1]["test_loss"], "{loss}");
    let refused = place.run(&format!("{TOY} --set objective=cross-entropy --out no"));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("objective: cross-entropy is not valid"), "{}", refused.stderr);
}

#[test]
fn a_student_learns_its_teachers_outputs() {
    let place = Place::new();
    let train = "train --arch student --dataset student --set train_samples=2000 --set test_samples=256 \
                 --set depth=2 --set teacher_depth=1 --set batch_size=32 --set learning_rate=3e-3 --set probe_batches=1";
    let last =
        |run: &str| metrics(&place.path(&format!("{run}/metrics.jsonl"))).pop().expect("a line");
    place.done(&format!("{train} --method bp --set epochs=4 --out bp"));
    // Before training the outputs are small, and half of ten unit variances is 5.
    let bp = last("bp");
    assert!(bp["test_loss"].as_f64() < Some(3.0), "{bp}");
    assert!(bp["test_accuracy"].as_f64() > Some(0.4), "{bp}");
    for method in ["dfa", "ep", "random-target"] {
        place.done(&format!("{train} --method {method} --set epochs=1 --out {method}"));
        place.done(&format!("diagnose {method}/checkpoint.mpk --controls"));
    }
    place.done(&format!("{train} --method bp --set epochs=1 --set alpha=0 --out linear"));
    let data =
        |run: &str| place.json(&format!("{run}/run.json"))["provenance"]["data"]["sha256"].clone();
    assert_eq!(data("bp"), data("dfa"));
    assert_ne!(data("bp"), data("linear"));
    place.done("diagnose bp/checkpoint.mpk");
    let verdict = place.json("bp/verdict.json");
    let contradicted = verdict["evidence"]["checks"].as_array().expect("checks").iter();
    let contradicted: Vec<_> = contradicted.filter(|c| c["standing"] == "contradicted").collect();
    assert!(contradicted.is_empty(), "{contradicted:?}");
}

/// Without skip and norm, and with each of the norms of its hidden activity.
#[test]
fn a_plain_network_trains_and_is_diagnosed() {
    let place = Place::new();
    let mlp = "train --config small.toml --arch mlp --method bp";
    for (norm, activation) in
        [("none", "relu"), ("layer", "tanh"), ("rms", "gelu"), ("batch", "relu")]
    {
        let keys = format!("--set activity_norm={norm} --set activation={activation}");
        place.done(&format!("{mlp} {keys} --out {norm}"));
        let lines = metrics(&place.path(&format!("{norm}/metrics.jsonl")));
        let loss = |epoch: usize| lines[epoch - 1]["train_loss"].as_f64().expect("a loss");
        assert!(loss(3) < loss(1), "{norm}: {} to {}", loss(1), loss(3));
        place.done(&format!("diagnose {norm}/checkpoint.mpk"));
    }
    let verdict = place.json("rms/verdict.json");
    assert!(label(&verdict).starts_with("bp d=16 L=2 activation=gelu activity_norm=rms "));
    let refused = place.run(&format!("{mlp} --set activity_norm=group --out no"));
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("\"group\" is not valid, expected none, layer, rms, batch"),
        "{}",
        refused.stderr
    );
}

/// A run's running statistics go on where they stopped, and stand in its checkpoint.
#[test]
fn batch_norm_resumes_to_the_same_bits_and_no_diagnosis_changes_a_checkpoint() {
    let place = Place::new();
    let train = "train --config small.toml --arch mlp --set activity_norm=batch --method dfa \
                 --set train_samples=640 --set epochs=6 --no-progress";
    place.done(&format!("{train} --out whole"));
    let outcome = place.stop_after_an_epoch("cut", "-INT", &format!("{train} --out cut"));
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    place.done("train --out cut --resume");
    let [whole, cut] = ["whole", "cut"].map(|run| place.path(&format!("{run}/checkpoint.mpk")));
    let bytes = |path: &std::path::Path| std::fs::read(path).expect("a checkpoint");
    let before = bytes(&whole);
    assert!(before == bytes(&cut), "the checkpoints differ");
    let buffers = unpack(&Checkpoint::load(&whole).expect("it").buffers).expect("tensors");
    assert_eq!(buffers.len(), 2 * 3);
    let moved = |(name, data): (&String, &burn::tensor::TensorData)| {
        let start = if name.ends_with("mean") { 0.0 } else { 1.0 };
        data.iter::<f32>().all(|v| v != start && v.is_finite())
    };
    assert!(buffers.iter().all(moved), "{buffers:?}");

    place.done("diagnose whole/checkpoint.mpk --controls");
    assert!(before == bytes(&whole));
    let verdict = place.json("whole/verdict.json");
    assert!(label(&verdict).starts_with("dfa d=16 L=2 activity_norm=batch"), "{verdict}");
    assert_eq!(check(&verdict, "evaluation mode")["standing"], "holds");
}

/// The same of feature maps, whose credit is full and tiled.
#[test]
fn feature_maps_resume_to_the_same_bits_and_no_diagnosis_changes_a_checkpoint() {
    let place = Place::new();
    for (arch, form) in [("small-cnn", "full"), ("small-cnn", "tiled"), ("small-resnet", "tiled")] {
        let train = format!(
            "train --config small.toml --arch {arch} --set width=1 --set depth=3 --method dfa --set \
             feedback_form={form} --set train_samples=320 --set epochs=6 --no-progress"
        );
        let [whole, cut] = ["whole", "cut"].map(|run| format!("{arch}-{form}-{run}"));
        place.done(&format!("{train} --out {whole}"));
        let outcome = place.stop_after_an_epoch(&cut, "-INT", &format!("{train} --out {cut}"));
        assert_eq!(outcome.code, 130, "{}", outcome.stderr);
        place.done(&format!("train --out {cut} --resume"));
        let bytes = |run: &str| {
            std::fs::read(place.path(&format!("{run}/checkpoint.mpk"))).expect("a checkpoint")
        };
        let before = bytes(&whole);
        assert!(before == bytes(&cut), "{arch}, {form}: the checkpoints differ");
        place.done(&format!("diagnose {whole}/checkpoint.mpk"));
        assert!(before == bytes(&whole));
        let verdict = place.json(&format!("{whole}/verdict.json"));
        assert_eq!(check(&verdict, "feedback matrices")["standing"], "holds");
    }
}
