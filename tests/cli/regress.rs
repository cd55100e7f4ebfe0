//! Regressions: the committed baseline catches what was planted, and passes what only rounds
//! otherwise.
//!
//! A planted run is trained from the study of `configs/regression` with one thing changed, and is
//! held against the committed `baseline.json` once as it is, where the changed key is named, and once
//! with its record put back to the unchanged key, which is what the same defect in the code would
//! leave: then the numbers alone must tell.

use crate::common::{Outcome, Place, SMALL};
use fa_audit::model::NamedTensors;
use fa_audit::train::checkpoint::{Checkpoint, pack, unpack};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/regression").join(name)
}

/// Trains and judges FA of seed 1, and its twin, as the committed study does but for `from` → `to`
/// in its file. Returns the directory of the FA run.
fn planted(place: &Place, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(committed("synthetic.toml")).expect("the study");
    assert!(text.contains(from), "{from}");
    let (base, grid) = text.split_once("[[grid]]").expect("a grid");
    assert!(grid.contains("\"fa\"") && grid.contains('1'), "{grid}");
    let grid = "[[grid]]\nmethod = [\"fa\"]\nseed = [1]\n";
    place.write("study.toml", base.replacen(from, to, 1) + grid);
    place.done("audit study.toml --out s");
    let mut runs = std::fs::read_dir(place.path("s")).expect("a study").flatten();
    let name = runs.find(|run| run.file_name().to_string_lossy().starts_with("fa-"));
    format!("s/{}", name.expect("a run").file_name().display())
}

/// The run held against the committed baseline, as JSON.
fn against_the_baseline(place: &Place, run: &str) -> (i32, Value) {
    let baseline = committed("baseline.json");
    let outcome = place.run(&format!("regress {} {run} --json", baseline.display()));
    let json = serde_json::from_str(&outcome.stdout);
    (outcome.code, json.unwrap_or_else(|e| panic!("{e}: {}", outcome.stderr)))
}

/// The metrics with this outcome.
fn metrics(comparison: &Value, outcome: &str) -> Vec<String> {
    let runs = comparison["runs"].as_array().expect("runs").iter();
    let rows = runs.flat_map(|run| run["rows"].as_array().expect("rows"));
    let rows = rows.filter(|row| row["outcome"] == outcome);
    rows.map(|row| row["metric"].as_str().expect("a name").to_string()).collect()
}

/// The run is a regression in which each of `wanted` is breached.
fn is_caught(place: &Place, run: &str, wanted: &[&str]) {
    let (code, comparison) = against_the_baseline(place, run);
    let breached = metrics(&comparison, "breached");
    assert_eq!(code, 4, "{comparison}");
    for metric in wanted {
        assert!(breached.iter().any(|m| m == metric), "{metric} is not in {breached:?}");
    }
}

/// Changes a word in the run's record; after the last change it must not tell of the plant any more.
fn rewrite(place: &Place, run: &str, changes: &[(&str, &str)]) {
    let file = format!("{run}/run.json");
    let mut text = place.read(&file);
    for (from, to) in changes {
        assert!(text.contains(from), "{from}: {text}");
        text = text.replacen(from, to, 1);
    }
    place.write(&file, text);
    let (_, comparison) = against_the_baseline(place, run);
    let breached = metrics(&comparison, "breached");
    assert!(!breached.iter().any(|m| m.starts_with("setting.")), "{breached:?}");
}

/// Transposes the feedback matrices of a checkpoint.
fn transpose_feedback(path: &Path) {
    let mut checkpoint = Checkpoint::load(path).expect("a checkpoint");
    let matrices = unpack(&checkpoint.learner).expect("matrices");
    assert!(!matrices.is_empty());
    let transposed: NamedTensors = matrices
        .into_iter()
        .map(|(name, mut matrix)| {
            let [rows, cols] = matrix.shape[..] else { panic!("{name} is no matrix") };
            assert_eq!(rows, cols, "fa maps block to block");
            let values: Vec<f32> = matrix.iter().collect();
            let turned = matrix.as_mut_slice::<f32>().expect("f32");
            for (k, value) in turned.iter_mut().enumerate() {
                *value = values[k % rows * cols + k / rows];
            }
            (name, matrix)
        })
        .collect();
    checkpoint.learner = pack(&transposed);
    checkpoint.save(path).expect("written");
}

#[test]
fn the_committed_baseline_passes_what_rounds_otherwise() {
    for backend in ["flex", "ndarray"] {
        let place = Place::new();
        let run = planted(&place, "[base]", &format!("[base]\nbackend = \"{backend}\""));
        let (code, comparison) = against_the_baseline(&place, &run);
        let breached = metrics(&comparison, "breached");
        assert_eq!((code, breached.len()), (0, 0), "{backend}: {breached:?}");
        assert!(metrics(&comparison, "within").len() > 100, "{comparison}");
        for outcome in ["missing", "new"] {
            assert_eq!(metrics(&comparison, outcome), [""; 0]);
        }
    }
}

#[test]
fn another_epsilon_of_the_normaliser_is_caught() {
    let place = Place::new();
    let run = planted(&place, "[base]", "[base]\nrms_epsilon = 1e-5");
    is_caught(&place, &run, &["setting.rms_epsilon"]);
    rewrite(&place, &run, &[("\"rms_epsilon\": 0.00001", "\"rms_epsilon\": 1e-6")]);
    is_caught(&place, &run, &["growth", "hidden_norm.h_4"]);
}

#[test]
fn augmentation_switched_off_is_caught() {
    let place = Place::new();
    let run = planted(&place, "augment = true", "augment = false");
    is_caught(&place, &run, &["setting.augment"]);
    rewrite(&place, &run, &[("\"augment\": false", "\"augment\": true")]);
    is_caught(&place, &run, &["growth", "hidden_norm.h_0"]);
}

#[test]
fn swapped_thresholds_are_caught() {
    let place = Place::new();
    let swapped = "[base]\nthreshold_growth = 2\nthreshold_depth_utility = 50";
    let run = planted(&place, "[base]", swapped);
    is_caught(&place, &run, &["setting.threshold_growth", "setting.threshold_depth_utility"]);
    let growth = ("\"threshold_growth\": 2.0", "\"threshold_growth\": 50.0");
    let depth = ("\"threshold_depth_utility\": 50.0", "\"threshold_depth_utility\": 2.0");
    rewrite(&place, &run, &[growth, depth]);
    is_caught(&place, &run, &["growth.threshold", "depth_utility.threshold"]);
}

#[test]
fn a_transposed_feedback_matrix_is_caught() {
    let place = Place::new();
    let run = planted(&place, "[base]", "[base]\ncheckpoint_epochs = [0]");
    assert_eq!(against_the_baseline(&place, &run).0, 0);
    let checkpoint = place.path(&run).join("checkpoint.mpk");

    // The audit reads the matrices transposed: the credit is not the one that trained the network, and
    // no cosine is left that could pass for the baseline's.
    transpose_feedback(&checkpoint);
    place.done(&format!("diagnose {run}/checkpoint.mpk --controls"));
    let verdict = place.read(&format!("{run}/verdict.json"));
    assert!(verdict.contains("feedback.0 is not what seed"), "{verdict}");
    let (code, comparison) = against_the_baseline(&place, &run);
    assert_eq!(code, 4, "{comparison}");
    let missing = metrics(&comparison, "missing");
    for metric in ["cosine.h_0", "cosine.h_1"] {
        assert!(missing.contains(&metric.to_string()), "{missing:?}");
    }

    // Nor does a training go on with them.
    std::fs::copy(place.path(&run).join("epochs/epoch-0000.mpk"), &checkpoint).expect("copied");
    transpose_feedback(&checkpoint);
    rewrite(&place, &run, &[("\"status\": \"finished\"", "\"status\": \"interrupted\"")]);
    let refused = place.run(&format!("train --out {run} --resume"));
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("checkpoint.mpk is contradicted"), "{}", refused.stderr);
}

/// A small study in `s` and a baseline of it.
fn small(place: &Place) -> Outcome {
    write_study(place, "[1, 2]", "");
    place.done("audit study.toml --out s");
    place.done("regress b.json s --update")
}

fn write_study(place: &Place, seeds: &str, more: &str) {
    let keys = "control_samples = 64\nperturbation_directions = 2\nnull_draws = 3\n";
    let grid = format!("[[grid]]\nmethod = ['dfa']\nseed = {seeds}\n");
    place.write("study.toml", format!("name = 's'\n[base]\n{SMALL}{keys}{more}{grid}"));
}

/// Rewrites a file of JSON.
fn edit(place: &Place, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value = place.json(name);
    change(&mut value);
    place.write(name, value.to_string());
}

#[test]
fn a_study_passes_its_own_baseline_and_a_missing_run_or_metric_does_not() {
    let place = Place::new();
    let written = small(&place);
    assert!(written.stderr.contains("b.json: 4 runs, "), "{}", written.stderr);
    let same = place.done("regress b.json s");
    assert!(same.stdout.starts_with("no regression from s in 4 runs"), "{}", same.stdout);

    // The study of one seed lacks a run and its twin.
    write_study(&place, "[1]", "");
    place.done("audit study.toml --out one");
    let lacking = place.run("regress b.json one --format md");
    assert_eq!(lacking.code, 4, "{}", lacking.stdout);
    assert_eq!(lacking.stdout.matches("| run | there | **–** |").count(), 2, "{}", lacking.stdout);

    // One run of it is held against its own entry.
    let entries = std::fs::read_dir(place.path("one")).expect("a study").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let run = format!("one/{}", { names }.find(|name| name.starts_with("dfa-")).expect("a run"));
    let alone = place.done(&format!("regress b.json {run}"));
    assert!(alone.stdout.contains("3 of the baseline's 4 not looked at"), "{}", alone.stdout);
    let dropping = place.run(&format!("regress b.json {run} --update"));
    assert_eq!(dropping.code, 2, "{}", dropping.stderr);
    assert!(dropping.stderr.contains("3 more"), "{}", dropping.stderr);

    // Without a verdict its metrics are missing.
    std::fs::remove_file(place.path(&format!("{run}/verdict.json"))).expect("it was there");
    let unjudged = place.run(&format!("regress b.json {run} --json"));
    assert_eq!(unjudged.code, 4);
    let missing = metrics(&serde_json::from_str(&unjudged.stdout).expect("JSON"), "missing");
    for metric in ["verdict", "growth.status", "cosine.h_0", "control.null.p.h_0"] {
        assert!(missing.iter().any(|m| m == metric), "{metric}: {missing:?}");
    }
}

#[test]
fn updating_takes_the_numbers_and_keeps_the_tolerances() {
    let place = Place::new();
    small(&place);
    edit(&place, "b.json", |b| {
        let rule = r#"[{"metrics": ["growth*"], "kind": "absolute", "by": 0.25}]"#;
        b["tolerances"] = serde_json::from_str(rule).expect("a rule");
        b["runs"][0]["metrics"]["accuracy"] = 0.9999.into();
        b["runs"][1]["metrics"]["accuracy"] = 0.0.into();
        b["runs"][1]["metrics"].as_object_mut().expect("metrics").remove("stability");
    });
    let found = place.run("regress b.json s");
    assert_eq!(found.code, 4, "{}", found.stderr);
    for part in ["1 breach in 1 of 4 runs; 1 improved, 1 new", "Improvements · ", "New · "] {
        assert!(found.stdout.contains(part), "{part}: {}", found.stdout);
    }
    let kept = place.json("b.json")["tolerances"].clone();
    place.done("regress b.json s --update");
    let after = place.json("b.json");
    assert_eq!(after["tolerances"], kept);
    assert_ne!(after["runs"][0]["metrics"]["accuracy"], 0.9999);
    place.done("regress b.json s");
}

#[test]
fn another_network_or_other_data_are_not_compared_unless_forced() {
    let place = Place::new();
    small(&place);
    let kept = place.read("b.json");
    for (key, what) in [("depth = 2", "architecture"), ("train_samples = 600", "data")] {
        let text = place.read("study.toml").replace(key, &format!("{key}0"));
        place.write("other.toml", text.replace("depth = 20", "depth = 3"));
        place.done("audit other.toml --out other");
        for words in ["regress b.json other", "regress b.json other --update"] {
            let refused = place.run(words);
            assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
            assert!(refused.stderr.contains("not comparable"), "{}", refused.stderr);
            assert!(refused.stderr.contains(&format!("({what})")), "{}", refused.stderr);
        }
        assert_eq!(place.read("b.json"), kept);
        let forced = place.run("regress b.json other --force");
        assert_eq!(forced.code, 4, "{}", forced.stdout);
        assert!(forced.stdout.contains("Forced, although not comparable"), "{}", forced.stdout);
        std::fs::remove_dir_all(place.path("other")).expect("it was there");
    }
}

#[test]
fn a_baseline_that_is_none_and_a_place_without_runs_are_usage_errors() {
    let place = Place::new();
    place.write("empty/readme", "");
    let outcome = place.run("regress b.json empty");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("study.json"), "{}", outcome.stderr);
    small(&place);
    let absent = place.run("regress other.json s");
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(absent.stderr.contains("--update writes"), "{}", absent.stderr);
    for (text, part) in [
        ("", "not a baseline"),
        ("{\"schema\": \"fa-audit/verdict/1\"}", "expected \"fa-audit/baseline/1\""),
        ("{\"schema\": \"fa-audit/baseline/1\", \"runs\": []}", "missing field"),
    ] {
        place.write("bad.json", text);
        let outcome = place.run("regress bad.json s");
        assert_eq!(outcome.code, 2, "{text}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("bad.json"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    // One seed is too few for its tolerance.
    edit(&place, "b.json", |b| {
        let rule = r#"[{"metrics": ["*"], "kind": "statistical", "confidence": 0.95}]"#;
        b["tolerances"] = serde_json::from_str(rule).expect("a rule");
    });
    place.done("regress b.json s");
    edit(&place, "b.json", |b| drop(b["runs"].as_array_mut().expect("runs").remove(0)));
    let outcome = place.run("regress b.json s");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("at least two are needed"), "{}", outcome.stderr);
}
