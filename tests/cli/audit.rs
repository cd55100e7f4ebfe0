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
    let mut compared = 0;
    for entry in std::fs::read_dir(place.path("one")).expect("runs").flatten() {
        let name = entry.file_name();
        let read = |root: &str| std::fs::read(place.path(root).join(&name).join("checkpoint.mpk"));
        if entry.path().is_dir() {
            let (a, b) = (read("one").expect("a run"), read("two").expect("a run"));
            assert!(a == b, "{}", name.display());
            compared += 1;
        }
    }
    assert_eq!(compared, 6, "two methods and their twin, two seeds");
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

    // Comes first by name, but its embedding was trained by backpropagation.
    place.done("train --config small.toml --method frozen --base bp --out runs/exact");
    place.done("train --config small.toml --method frozen --out runs/frozen");
    place.done("diagnose runs/dfa/checkpoint.mpk");
    let found = place.json("runs/dfa/verdict.json");
    let depth = &found["diagnostics"]["depth_utility"];
    assert!(depth["value"].is_number(), "{depth}");
    let frozen = place.json("runs/frozen/run.json")["last"]["test_accuracy"].as_f64();
    assert_eq!(depth["frozen_accuracy"].as_f64(), frozen);
    let source = depth["frozen_source"].as_str().unwrap();
    assert!(source.ends_with("runs/frozen/checkpoint.mpk"), "{source}");
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
    for words in
        [&["completions", "bash"][..], &["man"], &["data", "info"], &["pitfalls", "norm-axis"]]
    {
        // Closed before the first byte: a pipe holds more than most results are long.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = place.command(words).stdout(writer).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
        assert!(!said.contains("error"), "{words:?}: {said}");
    }
}

/// A study of two methods and two seeds, with two twins: six runs.
fn six_runs(place: &Place, name: &str) {
    let grid = "method = ['bp', 'dfa']\nseed = [1, 2]\n";
    let study = format!("name = '{name}'\n[base]\n{SMALL}\n[[grid]]\n{grid}");
    place.write(&format!("{name}.toml"), study);
}

/// The runs under `folder`, in the order of their names.
fn runs(place: &Place, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.path(folder)).expect("a study").flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("run.json").exists())
        .map(|entry| format!("{folder}/{}", entry.file_name().display()))
        .collect();
    names.sort();
    names
}

/// Changes a word in a run's record.
fn rewrite(place: &Place, run: &str, from: &str, to: &str) {
    let file = format!("{run}/run.json");
    let text = place.read(&file);
    assert!(text.contains(from), "{text}");
    place.write(&file, text.replacen(from, to, 1));
}

#[test]
fn a_dry_run_lists_the_runs_and_writes_nothing() {
    let place = Place::new();
    six_runs(&place, "s");
    let before = place.done("audit s.toml --out s --dry-run");
    assert!(!place.path("s").exists());
    assert_eq!(before.stdout.matches(" missing ").count(), 6, "{}", before.stdout);
    assert!(before.stdout.contains("6 runs, 0 finished; 18 epochs"), "{}", before.stdout);
    assert!(before.stdout.contains("~ rough"), "{}", before.stdout);
    let half = place.done("audit s.toml --out s --dry-run --shard 1/3");
    assert_eq!(half.stdout.matches(" missing ").count(), 2, "{}", half.stdout);

    place.done("audit s.toml --out s --shard 1/2");
    let record = runs(&place, "s").remove(0);
    rewrite(&place, &record, "\"finished\"", "\"interrupted\"");
    let files = |place: &Place| {
        let text = |run: &String| place.read(&format!("{run}/run.json"));
        (runs(place, "s").iter().map(text).collect::<String>(), place.read("s/study.json"))
    };
    let known = files(&place);
    let after = place.done("audit s.toml --out s --dry-run");
    for (state, count) in [(" finished", 2), ("interrupted", 1), (" missing ", 3)] {
        let table = after.stdout.split("\n\n").next().expect("a table");
        assert_eq!(table.matches(state).count(), count, "{state}: {}", after.stdout);
    }
    assert_eq!(files(&place), known);
    assert!(!place.path("s/verdicts.csv").exists());
}

#[test]
fn two_shards_and_a_merge_are_the_same_study_as_one_call() {
    let place = Place::new();
    six_runs(&place, "s");
    let whole = place.done("audit s.toml --out whole");
    let first = place.done("audit s.toml --out parts --shard 1/2");
    assert_eq!(first.stdout, "");
    assert!(first.stderr.contains("3 of 6 runs"), "{}", first.stderr);
    assert!(first.stderr.contains("fa-audit audit s.toml --out parts"), "{}", first.stderr);
    assert!(!place.path("parts/verdicts.csv").exists());
    let one = runs(&place, "parts");
    assert_eq!(one.len(), 3);
    place.done("audit s.toml --out parts --shard 2/2");
    assert_eq!(runs(&place, "parts").len(), 6);

    let merged = place.done("audit s.toml --out parts");
    assert!(merged.stderr.contains("6 runs in parts, 0 to train"), "{}", merged.stderr);
    assert_eq!(merged.stdout, whole.stdout.replace("whole/", "parts/"));
    assert_eq!(place.read("parts/verdicts.csv"), place.read("whole/verdicts.csv"));
    assert_eq!(place.read("parts/study.json"), place.read("whole/study.json"));
}

#[test]
fn a_shard_that_is_none_is_a_usage_error() {
    let place = Place::new();
    for shard in ["0/2", "3/2", "1/0", "2", "one/two", "1/2/3"] {
        let outcome = place.run(&format!("audit --shard {shard}"));
        assert_eq!(outcome.code, 2, "{shard}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("i/n with i from 1 to n"), "{}", outcome.stderr);
    }
    assert!(!place.path("runs").exists());
}

#[test]
fn results_of_other_code_or_data_are_not_mixed_in_without_a_word() {
    let place = Place::new();
    six_runs(&place, "s");
    let alone = place.done("audit s.toml --out s");
    let run = runs(&place, "s").remove(0);
    let record = place.json(&format!("{run}/run.json"));
    let revision = record["provenance"]["git_revision"].as_str().expect("a revision");
    let sha256 = record["provenance"]["data"]["sha256"].as_str().expect("a hash");

    rewrite(&place, &run, revision, "fedcba9876543210");
    let refused = place.run("audit s.toml --out s");
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
    for word in ["git revision", "fedcba98", "1 run", "5 runs", "--allow-mixed"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    let allowed = place.done("audit s.toml --out s --allow-mixed");
    assert!(allowed.stderr.contains("warning: "), "{}", allowed.stderr);
    assert_eq!(allowed.stdout, alone.stdout);

    // All of one make, but not of this program's: nothing more may be trained.
    for run in &runs(&place, "s")[1..] {
        rewrite(&place, run, revision, "fedcba9876543210");
    }
    place.done("audit s.toml --out s");
    let last = place.path(runs(&place, "s").last().expect("runs"));
    std::fs::remove_dir_all(&last).expect("a run");
    let refused = place.run("audit s.toml --out s");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("this program"), "{}", refused.stderr);
    assert!(!last.exists());

    for run in &runs(&place, "s") {
        rewrite(&place, run, "fedcba9876543210", revision);
    }
    rewrite(&place, &run, sha256, "0123456789abcdef");
    let refused = place.run("audit s.toml --out s");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("synthetic data"), "{}", refused.stderr);
}

#[test]
fn a_run_that_fails_takes_no_other_down() {
    let place = Place::new();
    six_runs(&place, "s");
    place.done("audit s.toml --out s --shard 1/2");
    let broken = runs(&place, "s").remove(0);
    rewrite(&place, &broken, "\"finished\"", "\"interrupted\"");
    place.write(&format!("{broken}/checkpoint.mpk"), "no checkpoint");
    // A file where a run's directory should be.
    let plan = place.json("s/study.json");
    let blocked = plan["runs"][1]["directory"].as_str().expect("a directory").to_string();
    place.write(&format!("s/{blocked}"), "in the way");

    let outcome = place.run("audit s.toml --out s");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert_eq!(place.read("s/verdicts.csv").lines().count(), 1 + 4);
    assert!(outcome.stdout.contains("Verdict"), "the table: {}", outcome.stdout);
    let (_, failed) = outcome.stdout.split_once("Failed").expect("a list of failures");
    for word in [broken.as_str(), &blocked, "not a checkpoint"] {
        assert!(failed.contains(word), "{word}: {failed}");
    }
    let record = place.json(&format!("{broken}/run.json"));
    assert_eq!(record["status"], "failed");
    assert!(record["error"].as_str().is_some_and(|e| e.contains("not a checkpoint")), "{record}");
}

#[test]
fn a_worker_that_was_killed_goes_on_from_its_checkpoint() {
    let place = Place::new();
    six_runs(&place, "s");
    let whole = place.done("audit s.toml --out s");
    // What SIGKILL leaves behind: a record without an end.
    let run = runs(&place, "s").remove(0);
    rewrite(&place, &run, "\"finished\"", "\"running\"");
    let dry = place.done("audit s.toml --out s --dry-run");
    assert!(dry.stdout.contains("interrupted"), "{}", dry.stdout);
    let again = place.done("audit s.toml --out s");
    assert!(again.stderr.contains("6 runs in s, 1 to train"), "{}", again.stderr);
    assert_eq!(again.stdout, whole.stdout);
    assert_eq!(place.json(&format!("{run}/run.json"))["status"], "finished");
}

#[test]
fn a_directory_holds_one_study() {
    let place = Place::new();
    six_runs(&place, "s");
    six_runs(&place, "other");
    place.done("audit s.toml --out s --shard 1/6");
    let outcome = place.run("audit other.toml --out s");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    for word in ["\"s\"", "\"other\"", "--out"] {
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
    }
    assert_eq!(place.json("s/study.json")["name"], "s");

    // The same study with another grid is the same study; what it lost is left alone.
    let grid = "method = ['bp']\nseed = [2]\n";
    place.write("s.toml", format!("name = 's'\n[base]\n{SMALL}\n[[grid]]\n{grid}"));
    let before = runs(&place, "s");
    let changed = place.done("audit s.toml --out s");
    assert!(changed.stderr.contains("1 run here is not the study's"), "{}", changed.stderr);
    assert!(runs(&place, "s").iter().any(|run| *run == before[0]));
    assert_eq!(place.read("s/verdicts.csv").lines().count(), 1 + 2);
}
