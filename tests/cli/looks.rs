//! What cannot be looked at is not taken for what is not there. A symbolic link to itself is what no
//! user can look at, root included.

use crate::bad_input::fails;
use crate::common::Place;
use std::os::unix::fs::symlink;
use std::path::Path;

const TINY: &str = "train --config small.toml --epochs 1 --set train_samples=64 --method";

/// Puts a link to itself in the place of what lies there; the bytes that lay there.
fn hide(place: &Place, name: &str) -> Option<Vec<u8>> {
    let path = place.path(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_some() {
        std::fs::remove_file(&path).expect("removed");
    }
    symlink(&path, &path).expect("a link");
    bytes
}

fn restore(place: &Place, name: &str, bytes: &[u8]) {
    std::fs::remove_file(place.path(name)).expect("removed");
    place.write(name, bytes);
}

#[test]
fn a_twin_that_cannot_be_looked_at_is_an_error_that_names_it() {
    let place = Place::new();
    place.done(&format!("{TINY} dfa --out runs/dfa"));
    place.done(&format!("{TINY} frozen --out runs/frozen"));
    let diagnose = "diagnose runs/dfa/checkpoint.mpk";
    place.done(diagnose);
    let before = place.json("runs/dfa/verdict.json");
    assert!(before["diagnostics"]["depth_utility"]["frozen_accuracy"].is_f64(), "{before}");

    let record = hide(&place, "runs/frozen/run.json").expect("a record");
    fails(&place, diagnose, 1, &["frozen/run.json", "looking for the frozen twin", "--frozen"]);
    place.done(&format!("{diagnose} --frozen runs/frozen/checkpoint.mpk"));
    // One that is damaged may be the twin's as well.
    restore(&place, "runs/frozen/run.json", &record[..record.len() / 2]);
    fails(&place, diagnose, 1, &["frozen/run.json is not a run record", "--frozen"]);
    place.write("runs/frozen/run.json", &record);
    place.done(diagnose);
    assert_eq!(place.json("runs/dfa/verdict.json"), before);

    hide(&place, "runs/another");
    fails(&place, diagnose, 1, &["another/run.json", "--frozen"]);
    std::fs::remove_file(place.path("runs/another")).expect("removed");
    // Whether the run diverged stands in its own record.
    hide(&place, "runs/dfa/run.json");
    fails(&place, diagnose, 1, &["runs/dfa/run.json"]);
}

#[test]
fn what_the_harness_is_held_against_and_cannot_be_looked_at_is_an_error_that_names_it() {
    let place = Place::new();
    for method in ["usf", "bp"] {
        place.done(&format!("{TINY} {method} --out runs/{method}"));
    }
    let diagnose = "diagnose runs/usf/checkpoint.mpk --controls";
    place.done(diagnose);
    let before = place.json("runs/usf/verdict.json");
    for name in ["runs/usf/metrics.jsonl", "runs/bp/checkpoint.mpk"] {
        let bytes = hide(&place, name).expect("a file");
        fails(&place, diagnose, 1, &[name]);
        restore(&place, name, &bytes);
        place.done(diagnose);
        assert_eq!(place.json("runs/usf/verdict.json"), before);
    }
}

#[test]
fn a_study_whose_files_cannot_be_looked_at_is_not_reported_without_them() {
    let place = Place::new();
    let text = "name = 's'\n[base]\nepochs = 1\nwidth = 8\ndepth = 1\ntrain_samples = 64\n\
                test_samples = 64\nprobe_batches = 2\nprobe_batch_size = 32\ncontrol_samples = 16\n\
                null_draws = 2\nperturbation_directions = 1\n[[grid]]\nmethod = ['dfa']\nseed = [1]\n";
    place.write("study.toml", text);
    place.done("audit study.toml --out s");
    place.done("regress baseline.json s --update");
    let runs = std::fs::read_dir(place.path("s")).expect("a study").flatten();
    let run = runs
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.starts_with("dfa-"))
        .expect("a run");
    for file in ["run.json", "verdict.json", "metrics.jsonl"] {
        let name = format!("s/{run}/{file}");
        let bytes = hide(&place, &name).expect("a file");
        for line in ["report s", "report s --format json", "regress baseline.json s"] {
            fails(&place, line, 1, &[&name]);
        }
        if file != "verdict.json" {
            for line in ["audit study.toml --out s --dry-run", "audit study.toml --out s"] {
                fails(&place, line, 1, &[&name]);
            }
        }
        restore(&place, &name, &bytes);
    }
    place.done("regress baseline.json s");
    // What lies beside a study's runs may be one.
    hide(&place, "s/stranger");
    fails(&place, "audit study.toml --out s", 1, &["s/stranger/run.json"]);
    std::fs::remove_file(place.path("s/stranger")).expect("removed");
    let plan = hide(&place, "s/study.json").expect("a plan");
    for line in ["report s", "regress baseline.json s"] {
        fails(&place, line, 1, &["s/study.json"]);
    }
    restore(&place, "s/study.json", &plan);
    hide(&place, "baseline.json");
    fails(&place, "regress baseline.json s --update", 1, &["baseline.json"]);
}

#[test]
fn a_run_that_cannot_be_looked_at_is_neither_begun_anew_nor_replaced() {
    let place = Place::new();
    place.done(&format!("{TINY} dfa --out run"));
    for file in ["run.json", "checkpoint.mpk", "metrics.jsonl", "config.toml"] {
        let name = format!("run/{file}");
        let bytes = hide(&place, &name).expect("a file");
        fails(&place, "train --out run --resume", 1, &[&name]);
        if ["run.json", "checkpoint.mpk"].contains(&file) {
            let line = format!("{TINY} dfa --out run");
            assert_ne!(place.run(&line).code, 0, "{file}");
        }
        restore(&place, &name, &bytes);
    }
    assert!(place.done("train --out run --resume").stderr.contains("is finished"));
    hide(&place, "out.mpk");
    fails(&place, "import x.pt --config small.toml --out out.mpk", 1, &["out.mpk"]);
}

#[test]
fn data_that_cannot_be_looked_at_are_not_absent() {
    let place = Place::new();
    std::fs::create_dir(place.path("cifar")).expect("a folder");
    let absent = place.done("data info --data-dir cifar").stdout;
    assert!(absent.contains("cifar10 in cifar: no files"), "{absent}");
    hide(&place, "cifar/data_batch_1.bin");
    let outcome = place.run("data info --data-dir cifar");
    assert!(outcome.stderr.contains("cifar/data_batch_1.bin"), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("cifar10 in cifar: no files"), "{}", outcome.stdout);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    // Found where another was, so that it is the file itself that is looked at.
    place.write("cifar/data_batch_2.bin", "short");
    std::fs::remove_file(place.path("cifar/data_batch_1.bin")).expect("removed");
    assert!(place.done("data info --data-dir cifar").stdout.contains("5 bytes"));
    hide(&place, "cifar/test_batch.bin");
    fails(&place, "data info --data-dir cifar", 1, &["cifar/test_batch.bin"]);
    let outcome = place.run("data info --data-dir cifar");
    let line = |name: &str| outcome.stdout.lines().find(|l| l.contains(name)).expect("its line");
    assert!(line(" test_batch.bin").contains("cannot be read"), "{}", outcome.stdout);
    assert!(!line(" test_batch.bin").contains("absent"), "{}", outcome.stdout);
    fails(&place, "data info --data-dir nowhere", 1, &["nowhere", "no such folder"]);
    let train = "train --config cifar.toml --dataset cifar10 --data-dir cifar --out run";
    fails(&place, train, 1, &["cifar/data_batch_1.bin"]);
    assert!(!Path::new(&place.path("run")).exists());
}
