//! What a second call judges again: what has changed, and nothing else.

use crate::common::{Place, SMALL};
use std::collections::BTreeMap;
use std::time::SystemTime;

const AUDIT: &str = "audit study.toml --out s";

/// The runs of a finished study by method, each with the time of its verdict.
fn verdicts(place: &Place) -> BTreeMap<String, (String, SystemTime)> {
    let runs = std::fs::read_dir(place.path("s")).expect("a study").flatten();
    let runs = runs.filter(|entry| entry.path().is_dir()).map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let verdict = std::fs::metadata(entry.path().join("verdict.json")).expect("a verdict");
        let method = name.split('-').next().expect("a method").to_string();
        (method, (name, verdict.modified().expect("a time")))
    });
    runs.collect()
}

/// The methods that were judged between two looks.
fn judged(
    before: &BTreeMap<String, (String, SystemTime)>,
    after: &BTreeMap<String, (String, SystemTime)>,
) -> Vec<String> {
    before.keys().filter(|method| before[*method] != after[*method]).cloned().collect()
}

fn study() -> Place {
    let place = Place::new();
    place.write(
        "study.toml",
        format!(
            "name = 's'\n[base]\n{SMALL}control_samples = 32\nperturbation_directions = 2\n\
             null_draws = 2\n[[grid]]\nmethod = ['bp', 'dfa']\n"
        ),
    );
    place
}

#[test]
fn a_verdict_is_made_again_where_what_it_was_made_from_has_changed() {
    let place = study();
    let whole = place.done(AUDIT).stdout;
    let first = verdicts(&place);
    assert_eq!(place.done(AUDIT).stdout, whole);
    assert_eq!(judged(&first, &verdicts(&place)), [""; 0]);

    // Who judges one without controls has written another verdict.
    let dfa = &first["dfa"].0;
    place.done(&format!("diagnose s/{dfa}/checkpoint.mpk"));
    let before = verdicts(&place);
    assert_eq!(place.done(AUDIT).stdout, whole);
    assert_eq!(judged(&before, &verdicts(&place)), ["dfa"]);

    // The run of backpropagation is every other one's ceiling but the baseline's.
    let before = verdicts(&place);
    let record = format!("s/{}/run.json", first["bp"].0);
    place.write(&record, place.read(&record) + "\n");
    assert_eq!(place.done(AUDIT).stdout, whole);
    assert_eq!(judged(&before, &verdicts(&place)), ["bp", "dfa"]);

    // A note that is lost, or none of ours, stands for nothing.
    for (method, text) in [("bp", "{}"), ("dfa", "")] {
        let before = verdicts(&place);
        place.write(&format!("s/{}/judged.json", first[method].0), text);
        assert_eq!(place.done(AUDIT).stdout, whole);
        assert_eq!(judged(&before, &verdicts(&place)), [method]);
    }
}

#[test]
fn a_key_that_is_set_for_a_study_is_of_all_its_runs_and_stands_in_its_plan() {
    let place = study();
    let error = place.run(&format!("{AUDIT} --set method=fa"));
    assert_eq!(error.code, 2);
    assert!(error.stderr.contains("--set: method: the grid of study.toml"), "{}", error.stderr);
    let error = place.run(&format!("{AUDIT} --set epohcs=1"));
    assert_eq!(error.code, 2);
    assert!(error.stderr.contains("did you mean `epochs`?"), "{}", error.stderr);

    place.done(&format!("{AUDIT} --set epochs=1"));
    let plan = place.json("s/study.json");
    assert!(plan["source"].as_str().expect("a text").contains("epochs = 1"), "{plan}");
    for run in verdicts(&place).values() {
        assert_eq!(place.read(&format!("s/{}/metrics.jsonl", run.0)).lines().count(), 1);
    }
}
