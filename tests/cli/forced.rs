//! `--force` removes what a run wrote, and nothing else.

use crate::bad_input::fails;
use crate::common::Place;
use std::collections::BTreeMap;
use std::path::Path;

const TRAIN: &str = "train --config small.toml --epochs 2 --set checkpoint_epochs=[1,2] --out run";

/// Every file below `folder` with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = std::fs::read(&path).expect("a file");
                    found.insert(path.display().to_string(), bytes);
                }
            }
        }
    }
    found
}

#[test]
fn what_others_put_into_a_run_outlives_its_replacement() {
    let place = Place::new();
    place.done(&format!("{TRAIN} --method dfa"));
    place.done("diagnose run/checkpoint.mpk");
    place.done("diagnose run/epochs/epoch-0001.mpk");
    let foreign = [
        "run/notes.txt",
        "run/epochs/notes.txt",
        "run/epochs/epoch-best.mpk",
        "run/epochs/epoch-1.mpk",
        "run/epochs/my-epoch-0001.mpk",
        "run/epochs/deeper/epoch-0001.mpk",
    ];
    for name in foreign {
        place.write(name, "mine");
    }
    place.done(&format!("{TRAIN} --method bp --set checkpoint_epochs=[2] --force"));
    for name in foreign {
        assert_eq!(place.read(name), "mine", "{name}");
    }
    for name in ["epochs/epoch-0001.mpk", "epochs/epoch-0001.verdict.json", "verdict.json"] {
        assert!(!place.path("run").join(name).exists(), "{name} was the former run's");
    }
    assert!(!place.path("run/verdicts.csv").exists());
    assert!(place.path("run/epochs/epoch-0002.mpk").exists());
    assert_eq!(place.json("run/run.json")["config"]["method"], "bp");
}

#[test]
fn what_cannot_be_replaced_is_named_before_anything_is_removed() {
    let place = Place::new();
    place.done(&format!("{TRAIN} --method dfa"));
    for name in ["run/verdict.json", "run/epochs/epoch-0007.mpk"] {
        std::fs::create_dir(place.path(name)).expect("a folder");
        let before = files(&place.path("run"));
        let again = format!("{TRAIN} --method bp --force");
        fails(&place, &again, 1, &["cannot replace", name, "it is a folder"]);
        let mut after = files(&place.path("run"));
        // The lock names its newest holder.
        let lock = place.path("run/.lock").display().to_string();
        after.insert(lock.clone(), before[&lock].clone());
        assert!(before == after, "{name}: something was removed or changed");
        std::fs::remove_dir(place.path(name)).expect("removed");
    }
    place.done("train --out run --resume");
    place.done(&format!("{TRAIN} --method bp --force"));
}
