//! What runs are named: runs and studies of earlier builds are found again.

use crate::common::Place;
use fa_audit::config::Config;
use fa_audit::train::run_dir::RunDir;
use std::path::{Path, PathBuf};

const STUDY: &str = "name = \"small\"\n[base]\nwidth = 8\ndepth = 1\nepochs = 1\n\
                     train_samples = 32\ntest_samples = 16\nprobe_batches = 1\n\
                     probe_batch_size = 8\ncontrol_samples = 8\nnull_draws = 2\n\
                     perturbation_directions = 1\n[[grid]]\nmethod = [\"bp\", \"dfa\"]\n";

/// The folders of runs under `root`.
fn runs(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).expect("a folder").flatten();
    let mut runs: Vec<_> =
        entries.map(|e| e.path()).filter(|path| path.join("run.json").exists()).collect();
    runs.sort();
    runs
}

fn config(run: &Path) -> Config {
    RunDir::at(run).read_record().expect("a record").config
}

fn name(run: &Path) -> String {
    run.file_name().expect("a name").to_string_lossy().into()
}

/// Gives each run of the study the name that earlier builds gave it.
fn as_earlier_builds_named_them(root: &Path) {
    let mut plan = std::fs::read_to_string(root.join("study.json")).expect("a plan");
    for run in runs(root) {
        let config = config(&run);
        assert_eq!(name(&run), config.name());
        let legacy = config.legacy_name().expect("an earlier build could train it");
        assert_ne!(legacy, config.name());
        plan = plan.replace(&config.name(), &legacy);
        std::fs::rename(&run, root.join(legacy)).expect("another name");
    }
    std::fs::write(root.join("study.json"), plan).expect("a plan");
}

#[test]
fn a_study_of_earlier_builds_is_found_again_and_goes_on() {
    let place = Place::new();
    place.write("study.toml", STUDY);
    place.done("audit study.toml --out study");
    let root = place.path("study");
    as_earlier_builds_named_them(&root);
    let before = runs(&root);
    assert_eq!(before.len(), 3);

    let again = place.done("audit study.toml --out study");
    assert!(again.stderr.contains("3 runs in study, 0 to train"), "{}", again.stderr);
    assert!(!again.stderr.contains("left alone"), "{}", again.stderr);
    assert_eq!(runs(&root), before);
    let plan = place.json("study/study.json");
    for run in &before {
        let entries = plan["runs"].as_array().expect("runs");
        let entry = entries.iter().find(|entry| entry["directory"] == name(run).as_str());
        let hash = &entry.expect("a run of the plan")["config_hash"];
        assert_eq!(*hash, config(run).hash().as_str(), "the plan has the new hash");
    }
    place.done("report study --format csv");

    // One that is not there is trained under its new name, beside the others.
    std::fs::remove_dir_all(&before[0]).expect("removed");
    let lost = config(&before[1]).legacy_name();
    let again = place.done("audit study.toml --out study");
    assert!(again.stderr.contains("3 runs in study, 1 to train"), "{}", again.stderr);
    let after = runs(&root);
    assert_eq!(after.len(), 3);
    assert_eq!(lost, Some(name(&before[1])));
    assert_eq!(after.iter().filter(|run| name(run) == config(run).name()).count(), 1);
}

#[test]
fn a_run_of_earlier_builds_is_not_trained_again_under_a_new_name() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --set epochs=1";
    place.done(train);
    let [run] = &runs(&place.path("runs"))[..] else { panic!("one run") };
    let config = config(run);
    assert_eq!(name(run), config.name());
    let legacy = config.legacy_name().expect("an earlier build could train it");
    std::fs::rename(run, place.path("runs").join(&legacy)).expect("another name");
    let refused = place.run(train);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains(&format!("runs/{legacy} holds a run")), "{}", refused.stderr);
    place.done(&format!("train --out runs/{legacy} --resume"));
}

/// `run.json` and `config.toml` as the first version wrote them, with a key less than it came to have.
#[test]
fn what_the_first_version_wrote_is_read_and_is_the_run_that_it_was() {
    let place = Place::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/first_version");
    let read = |file: &str| std::fs::read_to_string(golden.join(file)).expect("a golden file");
    let without = read("config.toml").replace("matmul_precision = \"f32\"\n", "");
    assert!(!without.contains("matmul"));
    place.write("run/config.toml", without);
    place.write("run/run.json", read("run.json"));
    let record = RunDir::at(place.path("run")).read_record().expect("a record");
    let legacy = record.config.legacy_name().expect("an earlier build trained it");
    assert!(legacy.ends_with(&record.provenance.config_hash[..8]), "{legacy}");
    place.done("train --out run --resume");
    assert_eq!(config(&place.path("run")), record.config);
    let flags = place.run("train --out run --resume --set matmul_precision=tf32");
    assert_eq!(flags.code, 2, "{}", flags.stderr);
}
