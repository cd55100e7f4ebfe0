//! Feedback that is not the run's own, in a checkpoint whose checksum is right.

use crate::bad_input::fails;
use crate::common::Place;
use fa_audit::train::checkpoint::Checkpoint;

#[test]
fn feedback_that_is_not_what_the_seed_draws_is_contradicted_and_not_resumed() {
    let place = Place::new();
    place.done("train --config small.toml --set train_samples=64 --method dfa --out run");
    place.done("diagnose run/checkpoint.mpk");
    assert!(!contradictions(&place).contains("feedback is not the run's"));
    assert!(place.done("train --out run --resume").stderr.contains("is finished"));

    let path = place.path("run/checkpoint.mpk");
    let mut checkpoint = Checkpoint::load(&path).expect("a checkpoint");
    let first = checkpoint.learner.remove("feedback.0").expect("a matrix");
    let second = checkpoint.learner.insert("feedback.1".into(), first).expect("another");
    checkpoint.learner.insert("feedback.0".into(), second);
    checkpoint.save(&path).expect("written");

    let words = ["run/checkpoint.mpk is contradicted", "feedback.0 holds what seed 42 draws for"];
    fails(&place, "train --out run --resume", 1, &words);
    let outcome = place.done("diagnose run/checkpoint.mpk");
    let verdict = place.json("run/verdict.json");
    let found = contradictions(&place);
    let parts = ["The feedback is not the run's: feedback.0 holds", "record says feedback of hash"];
    for part in parts {
        assert!(found.contains(part), "no `{part}` in: {found}");
    }
    assert_ne!(verdict["verdict"], "trustworthy");
    assert_eq!(verdict["cosine"]["interpretable"], false);
    let shown: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert!(shown.join(" ").contains("feedback is not the run's"), "{}", outcome.stdout);
}

/// What the verdict of the run says of checks that are contradicted.
fn contradictions(place: &Place) -> String {
    let verdict = place.json("run/verdict.json");
    let checks = verdict["evidence"]["checks"].as_array().expect("checks").clone();
    assert!(!checks.is_empty());
    let contradicted = checks.iter().filter(|check| check["standing"] == "contradicted");
    contradicted.map(|check| check["finding"].to_string()).collect()
}
