//! Ranks over epochs: recorded while a run trains, the same after an interruption, told by a report.

use crate::common::{Place, metrics};
use serde_json::Value;

#[test]
fn ranks_are_recorded_in_the_epochs_that_ask_and_resume_to_the_same_bits() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --set train_samples=640 --set epochs=5 \
                 --set rank_every=2 --no-progress";
    place.done(&format!("{train} --out whole"));
    let outcome = place.stop_after_an_epoch("cut", "-INT", &format!("{train} --out cut"));
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    place.done("train --out cut --resume");
    let [whole, cut] = ["whole", "cut"].map(|run| place.path(run));
    let lines = metrics(&whole.join("metrics.jsonl"));
    assert_eq!(lines, metrics(&cut.join("metrics.jsonl")));
    let bytes = |run: &std::path::Path| std::fs::read(run.join("checkpoint.mpk")).expect("it");
    assert!(bytes(&whole) == bytes(&cut), "the checkpoints differ");

    let recorded: Vec<usize> =
        (1..=5).filter(|epoch| lines[epoch - 1]["ranks"].is_array()).collect();
    assert_eq!(recorded, [2, 4, 5]);
    let find = |epoch: usize, matrix: &str| -> &Value {
        let ranks = lines[epoch - 1]["ranks"].as_array().expect("ranks");
        ranks.iter().find(|rank| rank["matrix"] == matrix).unwrap_or_else(|| panic!("{matrix}"))
    };
    // A softmax error of ten classes sums to zero.
    let credit = find(5, "a_0")["effective"].as_f64().expect("a number");
    assert!(credit > 1.0 && credit <= 9.0 + 1e-6, "{credit}");
    let rows = |epoch| find(epoch, "∇ over epochs of blocks.0.linear1.weight")["rows"].clone();
    assert_eq!([rows(2), rows(4), rows(5)], [1, 2, 3]);
    let change = find(5, "W_T − W_0 of blocks.1.linear2.weight");
    let change =
        ["effective", "energy", "stable", "participation"].map(|rank| change[rank].as_f64());
    assert!(change.iter().all(|rank| *rank >= Some(1.0)), "{change:?}");
    assert!(change[0] > change[1] && change[1] > change[3], "{change:?}");
}

#[test]
fn a_study_tells_ranks_at_matched_loss() {
    let place = Place::new();
    std::fs::write(
        place.path("study.toml"),
        "name = 'ranks'\n[base]\nwidth = 16\ndepth = 2\nepochs = 3\ntrain_samples = 640\n\
         test_samples = 640\nprobe_batches = 4\nrank_every = 1\n\
         [[grid]]\nmethod = ['bp', 'dfa']\nseed = 42\n",
    )
    .expect("written");
    let outcome = place.run("audit study.toml --out study --no-progress");
    let told = &outcome.stdout;
    for words in
        ["Effective rank over epochs", "Ranks by four formulas", "at matched loss", "rising:"]
    {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let report = place.done("report study --format json");
    let report: Value = serde_json::from_str(&report.stdout).expect("JSON");
    let methods = report["ranks"][0]["methods"].as_array().expect("methods");
    let matched = |name: &str| {
        let is_it = |method: &&Value| method["name"].as_str().is_some_and(|n| n.starts_with(name));
        methods.iter().find(is_it).unwrap_or_else(|| panic!("{name}: {methods:?}"))["matched"]
            .clone()
    };
    assert_eq!(matched("bp")["loss"], matched("dfa")["loss"]);
    assert_eq!(matched("dfa")["epochs"][0], 3, "the slower method is read at its end");
}
