//! Diagnosing and studies.

use crate::common::{Place, SMALL};

#[test]
fn a_study_trains_what_is_missing_and_ends_with_the_table() {
    let place = Place::new();
    let study =
        format!("name = 's'\n[base]\n{SMALL}\n[[grid]]\nmethod = ['bp', 'dfa']\nseed = [1]\n");
    place.write("study.toml", study);
    let first = place.done("audit study.toml --out s --workers 2");
    assert!(first.stderr.contains("3 runs in s, 3 to train"), "{}", first.stderr);
    for word in ["bp", "dfa", "frozen(dfa)", "baseline", "Growth", "h_2"] {
        assert!(first.stdout.contains(word), "{word}: {}", first.stdout);
    }
    let widest = first.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns:\n{}", first.stdout);
    assert_eq!(place.read("s/verdicts.csv").lines().count(), 4);
    let again = place.done("audit study.toml --out s");
    assert!(again.stderr.contains("3 runs in s, 0 to train"), "{}", again.stderr);
    assert_eq!(first.stdout, again.stdout);
}

#[test]
fn a_worker_count_does_not_change_a_bit() {
    let place = Place::new();
    let study =
        format!("name = 's'\n[base]\n{SMALL}\n[[grid]]\nmethod = ['fa', 'dfa']\nseed = [1, 2]\n");
    place.write("study.toml", study);
    let one = place.done("audit study.toml --out one --workers 1");
    let two = place.done("audit study.toml --out two --workers 2");
    assert_eq!(one.stdout, two.stdout.replace("two/", "one/"));
    for entry in std::fs::read_dir(place.path("one")).expect("runs").flatten() {
        let name = entry.file_name();
        let read = |root: &str| std::fs::read(place.path(root).join(&name).join("checkpoint.mpk"));
        if entry.path().is_dir() {
            let (a, b) = (read("one").expect("a run"), read("two").expect("a run"));
            assert!(a == b, "{}", name.display());
        }
    }
}

#[test]
fn a_study_that_is_told_to_stop_saves_its_runs_and_goes_on_to_the_same_table() {
    let place = Place::new();
    let keys = SMALL
        .replace("train_samples = 600", "train_samples = 6000")
        .replace("epochs = 3", "epochs = 8");
    let study =
        format!("name = 's'\n[base]\n{keys}\n[[grid]]\nmethod = ['fa', 'dfa']\nseed = [1]\n");
    place.write("study.toml", study);
    let whole = place.done("audit study.toml --out whole");
    let cut = place.stop_after_an_epoch("cut", "-TERM", "audit study.toml --out cut --workers 2");
    assert_eq!(cut.code, 130, "{}", cut.stderr);
    let interrupted = std::fs::read_dir(place.path("cut"))
        .expect("runs")
        .flatten()
        .filter_map(|run| std::fs::read_to_string(run.path().join("run.json")).ok())
        .filter(|record| record.contains("\"status\": \"interrupted\""))
        .count();
    assert!(interrupted > 0, "the workers saved");
    assert_eq!(whole.stdout, place.done("audit study.toml --out cut").stdout);
}

#[test]
fn depth_utility_needs_a_frozen_twin_and_finds_the_one_beside_the_run() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --out runs/dfa");
    place.done("diagnose runs/dfa/checkpoint.mpk");
    let alone = place.json("runs/dfa/verdict.json");
    assert_eq!(alone["diagnostics"]["depth_utility"]["status"], "not evaluated");
    assert_ne!(alone["verdict"], "trustworthy");

    // Another seed is no twin, and is not taken for one.
    place.done("train --config small.toml --method frozen --seed 5 --out runs/other");
    place.done("diagnose runs/dfa/checkpoint.mpk");
    let other = place.json("runs/dfa/verdict.json");
    assert_eq!(other["diagnostics"]["depth_utility"]["status"], "not evaluated");

    place.done("train --config small.toml --method frozen --out runs/frozen");
    place.done("diagnose runs/dfa/checkpoint.mpk");
    let found = place.json("runs/dfa/verdict.json");
    let depth = &found["diagnostics"]["depth_utility"];
    assert!(depth["value"].is_number(), "{depth}");
    let frozen = place.json("runs/frozen/run.json")["last"]["test_accuracy"].as_f64();
    assert_eq!(depth["frozen_accuracy"].as_f64(), frozen);
    let margin = 100.0 * (found["accuracy"].as_f64().unwrap() - frozen.unwrap());
    assert!((depth["value"].as_f64().unwrap() - margin).abs() < 1e-5);
}

#[test]
fn the_audit_measures_what_the_training_recorded() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --out dfa");
    place.done("diagnose dfa/checkpoint.mpk");
    let verdict = place.json("dfa/verdict.json");
    let last = &place.json("dfa/run.json")["last"];
    assert_eq!(verdict["accuracy"], last["test_accuracy"]);
    assert_eq!(verdict["diagnostics"]["growth"]["value"], last["growth"]);
    assert_eq!(verdict["diagnostics"]["reference"]["per_layer"], last["gradient_norms"]);
    assert_eq!(verdict["cosine"]["per_layer"], last["cosine"]);
}

#[test]
fn json_is_one_object_a_line_and_nothing_else() {
    let place = Place::new();
    place.done("train --config small.toml --method bp --out bp");
    place.done("train --config small.toml --method dfa --out dfa");
    let outcome = place.done("diagnose bp/checkpoint.mpk dfa/checkpoint.mpk --json --out both");
    let lines: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let methods: Vec<_> = lines.iter().map(|v| v["run"]["method"].as_str()).collect();
    assert_eq!(methods, [Some("bp"), Some("dfa")]);
    assert_eq!(lines[1], place.json("both/dfa/verdict.json"));
    assert_eq!(place.read("both/verdicts.csv").lines().count(), 3);
}

#[test]
fn a_verdict_that_fail_on_names_is_exit_code_3() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --out dfa");
    let strict = "--frozen frozen/checkpoint.mpk --fail-on walked-back";
    place.done("train --config small.toml --method frozen --out frozen");
    // No margin is a hundred points: with this threshold every run is walked back.
    let set = "--set threshold_depth_utility=100 --out strict";
    place.done(&format!("train --config small.toml --method dfa {set}"));
    let outcome = place.run(&format!("diagnose strict/checkpoint.mpk {strict}"));
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let never = "diagnose strict/checkpoint.mpk --frozen frozen/checkpoint.mpk --fail-on never";
    assert_eq!(place.run(never).code, 0);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_fa-audit");
    let line = format!("{program} completions bash | head -n 1; exit ${{PIPESTATUS[0]}}");
    let status = std::process::Command::new("bash")
        .args(["-c", &line])
        .current_dir(place.path(""))
        .output()
        .expect("bash");
    assert_eq!(status.status.code(), Some(0), "{}", String::from_utf8_lossy(&status.stderr));
}
