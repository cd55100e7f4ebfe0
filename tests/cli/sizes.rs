//! What is too large for the memory or for a file is one error, and the run's record says so.

use crate::common::{Outcome, Place};
use std::process::{Command, Stdio};

/// The program under what `ulimit` sets.
fn limited(place: &Place, limit: &str, line: &str) -> Outcome {
    let program = env!("CARGO_BIN_EXE_fa-audit");
    let script = format!("ulimit {limit}; exec {program} {line}");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(place.path("")).stdin(Stdio::null());
    Outcome::of(command.output().expect("bash"))
}

fn is_one_error(outcome: &Outcome, words: &[&str]) {
    let errors: Vec<_> = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!((outcome.code, errors.len()), (1, 1), "{}", outcome.stderr);
    for word in words {
        assert!(errors[0].contains(word), "no `{word}` in: {}", errors[0]);
    }
}

#[test]
fn a_network_that_does_not_fit_the_memory_is_refused_and_recorded_as_failed() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --out";
    let vast = place.run(&format!("{train} vast --set width=60000 --set depth=512"));
    is_one_error(&vast, &["width 60000, depth 512", "does not fit the memory", "TiB"]);
    let record = place.json("vast/run.json");
    assert_eq!(record["status"], "failed");
    assert!(record["error"].as_str().is_some_and(|e| e.contains("does not fit")), "{record}");

    // 2 GiB of addresses; the network needs 3.
    let outcome =
        limited(&place, "-v 2097152", &format!("{train} limited --set width=5000 --set depth=4"));
    is_one_error(&outcome, &["does not fit the memory", "the limit that ulimit -v set"]);
    assert_eq!(place.json("limited/run.json")["status"], "failed");
    assert_eq!(limited(&place, "-v 2097152", &format!("{train} small")).code, 0);
}

#[test]
fn data_that_do_not_fit_the_memory_are_refused_before_they_are_made() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --set train_samples=16777216 --out run";
    let outcome = limited(&place, "-v 4194304", train);
    is_one_error(&outcome, &["the synthetic data (16777", "does not fit the memory"]);
    assert!(!place.path("run").exists());
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_not_the_end_of_the_program() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --out run";
    let outcome = limited(&place, "-f 64", train);
    is_one_error(&outcome, &["cannot write run/checkpoint.mpk", "File too large"]);
    assert_eq!(place.json("run/run.json")["status"], "failed");
    place.done("train --resume --out run");
    assert_eq!(place.json("run/run.json")["status"], "finished");
}
