//! A finished run that is trained on.

use crate::bad_input::fails;
use crate::common::Place;
use fa_audit::train::checkpoint::Checkpoint;

fn load(place: &Place, run: &str) -> Checkpoint {
    Checkpoint::load(&place.path(&format!("{run}/checkpoint.mpk"))).expect("a checkpoint")
}

const TRAIN: &str = "train --config small.toml --method dfa";

#[test]
fn a_finished_run_is_extended_and_says_what_that_does_to_the_schedule() {
    let place = Place::new();
    place.done(&format!("{TRAIN} --out run"));
    let short = place.read("run/metrics.jsonl");
    let said = place.done("train --out run --resume --epochs 5").stderr;
    let rate = "extended from 3 to 5 epochs: the learning rate was 2.5e-4 in epoch 3 and is 3.5e-4 in the next";
    assert!(said.contains(rate), "{said}");
    let long = place.read("run/metrics.jsonl");
    assert!(long.starts_with(&short));
    assert_eq!(long.lines().count(), 5);
    assert!(place.done("train --out run --resume").stderr.contains("is finished"));
    let found = place.read("run/config.toml");
    assert!(found.contains("extended_at = [3]") && found.contains("epochs = 5"), "{found}");

    // It is another run than one of five epochs, and says so.
    place.done(&format!("{TRAIN} --epochs 5 --out straight"));
    assert_ne!(load(&place, "run").network, load(&place, "straight").network);
    place.done("diagnose run/checkpoint.mpk");
    let label = place.json("run/verdict.json")["run"]["label"].to_string();
    assert!(label.contains("extended_at=[3]"), "{label}");
}

#[test]
fn without_a_schedule_an_extended_run_is_the_longer_one_to_the_bit() {
    let place = Place::new();
    let train = format!("{TRAIN} --set schedule=constant");
    place.done(&format!("{train} --epochs 2 --out run"));
    place.done("train --out run --resume --epochs 3");
    place.done("train --out run --resume --epochs 4");
    place.done(&format!("{train} --epochs 4 --out straight"));
    let (run, straight) = (load(&place, "run"), load(&place, "straight"));
    assert_eq!(run.network, straight.network);
    assert_eq!(run.config.hash(), straight.config.hash());
}

/// As if the program had died when it had written that the run is to be longer, and nothing else.
#[test]
fn an_extension_that_was_cut_off_goes_on() {
    let place = Place::new();
    place.done(&format!("{TRAIN} --out run --set checkpoint_epochs=[3]"));
    place.done("train --out run --resume --epochs 5");
    let whole = load(&place, "run");
    let metrics = place.read("run/metrics.jsonl");
    let file = |name: &str| place.path(name);
    std::fs::copy(file("run/epochs/epoch-0003.mpk"), file("run/checkpoint.mpk")).expect("a copy");
    place.done("train --out run --resume");
    assert_eq!(load(&place, "run").network, whole.network);
    let times = |text: &str| -> Vec<String> {
        text.lines().map(|l| l.split("\"seconds\"").next().unwrap_or(l).to_string()).collect()
    };
    assert_eq!(times(&place.read("run/metrics.jsonl")), times(&metrics));
}

#[test]
fn what_is_no_longer_run_of_the_same_is_refused() {
    let place = Place::new();
    place.done(&format!("{TRAIN} --out run"));
    let other = ["--resume --epochs 5", "another run than a longer one of run"];
    fails(&place, "train --out run --resume --epochs 5 --set width=8", 2, &other);
    fails(&place, "train --out run --resume --epochs 2", 2, &["another run than the one in run"]);
    let wrong = ["extended_at", "each above the one before"];
    fails(&place, &format!("{TRAIN} --set extended_at=[3]"), 2, &wrong);
    assert_eq!(place.read("run/metrics.jsonl").lines().count(), 3);

    place.stop_after_an_epoch("cut", "-INT", &format!("{TRAIN} --epochs 400 --out cut"));
    let first = ["cut did not train through its 400 epochs, which come first"];
    fails(&place, "train --out cut --resume --epochs 500", 2, &first);
}
