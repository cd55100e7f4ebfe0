//! Training: determinism, resuming, interrupts, divergence.

use crate::common::{Place, metrics};
use fa_audit::train::checkpoint::Checkpoint;
use std::time::Duration;

/// Both runs end in the same bits: the metrics but for the times, and the whole checkpoint.
fn same_run(place: &Place, a: &str, b: &str) {
    let [left, right] = [a, b].map(|run| metrics(&place.path(run).join("metrics.jsonl")));
    assert!(!left.is_empty());
    assert_eq!(left, right, "{a} and {b}");
    let [left, right] = [a, b]
        .map(|run| std::fs::read(place.path(run).join("checkpoint.mpk")).expect("a checkpoint"));
    assert!(left == right, "the checkpoints of {a} and {b} differ");
}

#[test]
fn the_same_command_gives_the_same_metrics_and_the_same_checkpoint() {
    let place = Place::new();
    for method in ["bp", "fa", "dfa", "random-target", "state-bridge", "credit-bridge"] {
        for run in ["one", "two"] {
            place.done(&format!(
                "train --config small.toml --method {method} --set auxiliary_width=16 \
                 --out {method}-{run}"
            ));
        }
        same_run(&place, &format!("{method}-one"), &format!("{method}-two"));
    }
    let other = "train --config small.toml --method bp --seed 43 --out other";
    place.done(other);
    let differs = metrics(&place.path("other/metrics.jsonl"));
    assert_ne!(differs, metrics(&place.path("bp-one/metrics.jsonl")), "the seed is used");
}

/// Wide enough for the matrix products to be shared: over 192³ multiplications each.
#[test]
fn the_numbers_do_not_depend_on_the_threads() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --set width=512 --set epochs=1 \
                 --set train_samples=256 --set batch_size=128";
    for threads in [1, 2, 3] {
        place.done(&format!("{train} --set threads={threads} --out t{threads}"));
    }
    let of = |threads: u8| metrics(&place.path(&format!("t{threads}/metrics.jsonl")));
    assert_eq!(of(1).len(), 1);
    assert_eq!(of(1), of(2));
    assert_eq!(of(1), of(3));
}

#[test]
fn a_vit_trains_and_is_diagnosed() {
    let place = Place::new();
    let vit = "--arch vit-mini --set heads=2 --set patch=8 --set epochs=1";
    place.done(&format!("train --config small.toml --method frozen {vit} --out frozen"));
    place.done(&format!("train --config small.toml --method dfa {vit} --out dfa"));
    let outcome = place.done("diagnose dfa/checkpoint.mpk");
    assert!(outcome.stdout.contains("vit-mini"), "{}", outcome.stdout);
    let verdict = place.json("dfa/verdict.json");
    assert_eq!(verdict["evaluation"]["tokens"], "cls");
    assert_eq!(verdict["cosine"]["per_layer"].as_array().map(Vec::len), Some(3));
}

#[test]
fn an_interrupted_run_saves_and_resumes_to_the_same_bits() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --set train_samples=6000 --set epochs=8 --no-progress";
    place.done(&format!("{train} --out whole"));
    let outcome = place.stop_after_an_epoch("cut", "-INT", &format!("{train} --out cut"));
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    assert_eq!(place.json("cut/run.json")["status"], "interrupted");
    assert!(metrics(&place.path("cut/metrics.jsonl")).len() < 8);
    place.done("train --out cut --resume");
    assert_eq!(place.json("cut/run.json")["status"], "finished");
    same_run(&place, "whole", "cut");
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let place = Place::new();
    let train = "train --config small.toml --method fa --set train_samples=6000 --set epochs=8 --no-progress";
    place.done(&format!("{train} --out whole"));
    let outcome = place.stop_after_an_epoch("cut", "-KILL", &format!("{train} --out cut"));
    assert_eq!(outcome.code, -1, "killed");
    place.done("train --out cut --resume");
    same_run(&place, "whole", "cut");
}

/// What the learner learned for itself, its averages and its slots go on as well, and a run that dies in
/// the warm-up ends it when the whole one does.
#[test]
fn a_killed_run_of_a_learned_credit_resumes_to_the_same_bits() {
    let place = Place::new();
    for (method, keys) in [("state-bridge", ""), ("credit-bridge", "--set warm_up=0.5")] {
        let train = format!(
            "train --config small.toml --method {method} {keys} --set auxiliary_width=16 \
             --set train_samples=3000 --set epochs=8 --no-progress"
        );
        place.done(&format!("{train} --out {method}-whole"));
        let cut = format!("{method}-cut");
        let outcome = place.stop_after_an_epoch(&cut, "-KILL", &format!("{train} --out {cut}"));
        assert_eq!(outcome.code, -1, "killed");
        place.done(&format!("train --out {cut} --resume"));
        same_run(&place, &format!("{method}-whole"), &cut);
    }
}

/// The state inside an epoch: the steps taken, what the epoch has summed, and the draws that follow.
#[test]
fn a_run_of_each_learned_or_two_phase_credit_that_is_interrupted_inside_an_epoch_resumes_to_the_same_bits()
 {
    let place = Place::new();
    for (method, keys) in [
        ("state-bridge", "--set auxiliary_width=16"),
        ("credit-bridge", "--set auxiliary_width=16 --set warm_up=0.5"),
        ("ep", "--set ep_phases=symmetric"),
    ] {
        let train = format!(
            "train --config small.toml --method {method} {keys} --set train_samples=2000 \
             --set epochs=5 --no-progress"
        );
        let whole = format!("{method}-whole");
        place.done(&format!("{train} --out {whole}"));
        // Before its first step the second epoch may still wait for the checkpoint of the first.
        let cut = (0..9).map(|i| (format!("{method}-cut-{i}"), 4 << i)).find(|(cut, behind)| {
            let (line, behind) = (format!("{train} --out {cut}"), Duration::from_millis(*behind));
            let outcome = place.stop_behind_an_epoch(cut, "-INT", &line, behind);
            // A fast machine may have trained to the end by then.
            if outcome.code == 0 {
                return false;
            }
            assert_eq!(outcome.code, 130, "{method}: {}", outcome.stderr);
            let checkpoint = Checkpoint::load(&place.path(cut).join("checkpoint.mpk"));
            checkpoint.expect("a checkpoint").progress.step > 0
        });
        let (cut, _) = cut.unwrap_or_else(|| panic!("{method}: no interrupt inside an epoch"));
        place.done(&format!("train --out {cut} --resume"));
        same_run(&place, &whole, &cut);
    }
}

/// An auxiliary network sees one token, and a network without blocks has nothing to bridge.
#[test]
fn a_bridge_on_a_network_that_it_cannot_serve_is_refused_with_the_reason() {
    let place = Place::new();
    for (words, reason) in [
        ("--method state-bridge --arch vit-mini", "method: state-bridge"),
        ("--method frozen --base credit-bridge --arch vit-mini", "base: credit-bridge"),
        ("--method shallow --base state-bridge", "state-bridge needs blocks"),
        ("--method credit-bridge --arch small-cnn", "differ in size"),
        ("--method fa --arch small-cnn", "layer-fa crosses each convolution"),
        ("--method frozen --base fa --arch small-cnn", "base: fa"),
    ] {
        let outcome = place.run(&format!("train --config small.toml {words} --out run"));
        assert_eq!(outcome.code, 2, "{words}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(reason), "{words}: {}", outcome.stderr);
        assert!(!place.path("run").exists());
    }
}

#[test]
fn metrics_past_the_newest_checkpoint_are_trained_again() {
    let place = Place::new();
    place.done("train --config small.toml --method bp --out whole");
    place.done("train --config small.toml --method bp --out cut --set checkpoint_epochs=[2]");
    place.done("train --config small.toml --method bp --out whole2 --set checkpoint_epochs=[2]");
    // As if the program had died between the last line of metrics and its checkpoint.
    std::fs::copy(place.path("cut/epochs/epoch-0002.mpk"), place.path("cut/checkpoint.mpk"))
        .expect("a copy");
    place.done("train --out cut --resume");
    same_run(&place, "whole2", "cut");
    assert_eq!(
        metrics(&place.path("whole/metrics.jsonl")),
        metrics(&place.path("cut/metrics.jsonl")),
        "keeping checkpoints changes nothing"
    );
}

#[test]
fn the_written_configuration_repeats_the_run() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --penalty 0.01 --seed 7 --out one");
    place.done("train --config one/config.toml --out two");
    same_run(&place, "one", "two");
}

#[test]
fn a_run_that_leaves_the_finite_numbers_is_recorded_and_stays_diagnosable() {
    let place = Place::new();
    place.done("train --config small.toml --method frozen --out frozen");
    let outcome =
        place.done("train --config small.toml --method bp --set learning_rate=1e30 --out wild");
    assert!(outcome.stderr.contains("diverged in epoch 1"), "{}", outcome.stderr);
    let record = place.json("wild/run.json");
    assert_eq!(record["status"], "finished");
    assert_eq!(record["diverged"]["epoch"], 1);
    assert!(place.read("wild/metrics.jsonl").contains("\"nan\""));
    place.done("diagnose wild/checkpoint.mpk --frozen frozen/checkpoint.mpk");
    let verdict = place.json("wild/verdict.json");
    assert_eq!(verdict["verdict"], "walked back");
    assert_eq!(verdict["diagnostics"]["growth"]["status"], "fired");
    assert_eq!(verdict["diagnostics"]["growth"]["value"], "nan");
}

/// The depth ladder: only the last blocks train, and the embedding and the readout with them.
#[test]
fn the_first_blocks_of_a_ladder_stay() {
    let place = Place::new();
    for method in ["bp", "fa", "dfa"] {
        place.done(&format!(
            "train --config small.toml --method {method} --set frozen_blocks=1 \
             --set checkpoint_epochs=[0] --out {method}"
        ));
        let first = parameters(&place, &format!("{method}/epochs/epoch-0000.mpk"));
        let last = parameters(&place, &format!("{method}/checkpoint.mpk"));
        for (name, before) in &first {
            let stays = before.as_bytes() == last[name].as_bytes();
            assert_eq!(stays, name.starts_with("blocks.0."), "{method}: {name}");
        }
    }
    assert_eq!(place.run("train --config small.toml --set frozen_blocks=3 --out x").code, 2);
}

/// The parameters of the checkpoint `file`.
fn parameters(place: &Place, file: &str) -> fa_audit::model::NamedTensors {
    let checkpoint = fa_audit::train::checkpoint::Checkpoint::load(&place.path(file));
    let checkpoint = checkpoint.expect("a checkpoint");
    fa_audit::train::checkpoint::unpack(&checkpoint.network).expect("parameters")
}

#[test]
fn frozen_blocks_stay_and_shallow_networks_have_none() {
    let place = Place::new();
    for base in ["bp", "dfa"] {
        let keep = "--set checkpoint_epochs=[0]";
        let run = format!("frozen-{base}");
        place.done(&format!(
            "train --config small.toml --method frozen --base {base} {keep} --out {run}"
        ));
        let first = parameters(&place, &format!("{run}/epochs/epoch-0000.mpk"));
        let last = parameters(&place, &format!("{run}/checkpoint.mpk"));
        for (name, before) in &first {
            let stays = before.as_bytes() == last[name].as_bytes();
            assert_eq!(stays, name.starts_with("blocks."), "{base}: {name}");
        }
        place.done(&format!(
            "train --config small.toml --method shallow --base {base} --out shallow-{base}"
        ));
        let outcome = place.done(&format!("diagnose shallow-{base}/checkpoint.mpk"));
        assert!(outcome.stdout.contains("baseline"), "{}", outcome.stdout);
    }
}
