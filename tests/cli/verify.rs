//! Every printed number is recomputed, and the first that differs is named.

use crate::common::{Outcome, Place, SMALL};

/// A finished study of two runs and their twin in `s`.
fn study(place: &Place) {
    let text = format!(
        "name = 's'\n[base]\n{SMALL}control_samples = 64\nperturbation_directions = 2\nnull_draws = 3\n\
         [[grid]]\nmethod = ['bp', 'dfa']\nseed = [1]\n"
    );
    place.write("study.toml", text);
    place.done("audit study.toml --out s");
}

/// The directory of the study's run by `method`.
fn run_of(place: &Place, method: &str) -> String {
    let runs = std::fs::read_dir(place.path("s")).expect("runs").flatten();
    let mut names = runs.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|name| name.starts_with(&format!("{method}-"))).expect("its run")
}

/// Changes the file `name` for as long as it takes to verify `what`.
fn planted(place: &Place, name: &str, change: impl Fn(&str) -> String, what: &str) -> Outcome {
    let whole = place.read(name);
    let changed = change(&whole);
    assert_ne!(changed, whole, "{name}");
    place.write(name, &changed);
    let outcome = place.run(&format!("--quiet verify {what}"));
    place.write(name, whole);
    assert_eq!(outcome.code, 1, "{what}: {} {}", outcome.stdout, outcome.stderr);
    outcome
}

/// The text with another digit in the place of the first that follows the last of `marks`, each looked
/// for behind the one before; and the number that stood there.
fn other_digit(text: &str, marks: &[&str]) -> String {
    let mut at = 0;
    for mark in marks {
        at += text[at..].find(mark).unwrap_or_else(|| panic!("{mark} in {text}")) + mark.len();
    }
    at += text[at..].find(|c: char| ('1'..='9').contains(&c)).expect("a digit");
    let other = if &text[at..=at] == "7" { "6" } else { "7" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

fn said(outcome: &Outcome) -> &str {
    outcome.stdout.lines().next().expect("a line")
}

#[test]
fn a_study_that_nobody_changed_agrees_wherever_it_lies_and_every_planted_digit_is_named() {
    let place = Place::new();
    study(&place);
    let outcome = place.done("verify s");
    assert!(
        outcome.stdout.contains("Everything agrees: ")
            && outcome.stdout.contains("3 verdicts measured again"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("measuring s/"), "{}", outcome.stderr);
    place.done("verify s/report.md");
    std::fs::rename(place.path("s"), place.path("elsewhere")).expect("moved");
    place.done("verify elsewhere");
    std::fs::rename(place.path("elsewhere"), place.path("s")).expect("moved back");

    let dfa = run_of(&place, "dfa");
    for stored in ["", " --stored"] {
        let planted = |name: &str, marks: &[&str]| {
            planted(&place, name, |text| other_digit(text, marks), &format!("s{stored}"))
        };
        // The row of dfa; its eleventh cell, growth, behind accuracy and frozen accuracy.
        let table = planted("s/verdicts.csv", &["\ndfa,", ",false,", ",", ",", ",", "."]);
        assert!(said(&table).contains("s/verdicts.csv: row 2 (dfa "), "{}", table.stdout);
        assert!(said(&table).contains(", seed 1), column growth: printed "), "{}", table.stdout);
        let page = planted("s/report.md", &["\n## Verdicts", "\n| dfa", " | ", " | "]);
        assert!(said(&page).contains("s/report.md: \"Verdicts\", row dfa "), "{}", page.stdout);
        assert!(said(&page).contains(", column "), "{}", page.stdout);
        let page = planted("s/report.html", &["<h2>Verdicts", ">dfa", "<td", ">"]);
        assert!(said(&page).contains("s/report.html: \"Verdicts\", row dfa "), "{}", page.stdout);
        assert!(said(&page).contains(", column "), "{}", page.stdout);

        let verdict = format!("s/{dfa}/verdict.json");
        let found = planted(&verdict, &["\"growth\": {", "\"value\": "]);
        let words = format!("{verdict}: diagnostics.growth, column value: printed ");
        assert!(said(&found).contains(&words), "{}", found.stdout);
        let found = planted(&verdict, &["\"cosine\": {", "\"per_layer\": [", "0."]);
        assert!(said(&found).contains(&verdict), "{}", found.stdout);

        let metrics = format!("s/{dfa}/metrics.jsonl");
        let found = planted(&metrics, &["\"epoch\":2", "\"learning_rate\":"]);
        let words = format!("{metrics}: epoch 2, column learning_rate: printed ");
        assert!(said(&found).contains(&words), "{}", found.stdout);
        // Nothing follows from it, and the record knows the file.
        let found = planted(&metrics, &["\"epoch\":2", "\"test_loss\":"]);
        let words = format!("{metrics}: the whole file, whose SHA-256 stands in run.json");
        assert!(said(&found).contains(&words), "{}", found.stdout);
    }
}

#[test]
fn a_number_that_follows_from_nothing_stored_is_found_by_measuring_again() {
    let place = Place::new();
    study(&place);
    let verdict = format!("s/{}/verdict.json", run_of(&place, "dfa"));
    let change = |text: &str| other_digit(text, &["\"null\": {", "\"low\": "]);
    let found = planted(&place, &verdict, change, &verdict);
    let words = format!("{verdict}: controls.null.per_layer[0], column low: printed ");
    assert!(said(&found).contains(&words), "{}", found.stdout);
    let verdict_and_reason = |text: &str| {
        text.replace("\"verdict\": \"", "\"verdict\": \"in")
            .replace("inwalked back", "trustworthy")
            .replace("intrustworthy", "walked back")
            .replace("ininconclusive", "trustworthy")
    };
    let found = planted(&place, &verdict, verdict_and_reason, &format!("{verdict} --stored"));
    assert!(said(&found).contains("column verdict: printed"), "{}", found.stdout);
}

#[test]
fn a_report_elsewhere_is_held_against_the_directory_that_is_named() {
    let place = Place::new();
    study(&place);
    for format in ["table", "csv", "json", "md", "html", "junit"] {
        let file = format!("out/report-{format}");
        std::fs::create_dir_all(place.path("out")).expect("a folder");
        place.done(&format!("report s --format {format} --out {file}"));
        place.done(&format!("verify {file} --of s"));
        let text = place.read(&file);
        let at = text.rfind(|c: char| c.is_ascii_digit()).expect("a digit");
        let other = if &text[at..=at] == "7" { "6" } else { "7" };
        let change = |text: &str| format!("{}{other}{}", &text[..at], &text[at + 1..]);
        let found = planted(&place, &file, change, &format!("{file} --of s"));
        assert!(said(&found).starts_with(&format!("Differs: {file}: ")), "{}", found.stdout);
    }
    let outcome = place.run("verify out/report-md");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--of names the directory"), "{}", outcome.stderr);
}

#[test]
fn a_single_run_its_kept_epochs_and_collected_verdicts_are_verified() {
    let place = Place::new();
    place.done(
        "train --config small.toml --method dfa --out runs/dfa --set control_samples=64 --set \
         checkpoint_epochs=[1]",
    );
    place.done("train --config small.toml --method frozen --out runs/frozen");
    place.done("diagnose runs/dfa/checkpoint.mpk");
    place.done("diagnose runs/dfa/epochs/epoch-0001.mpk --frozen runs/frozen/checkpoint.mpk");
    let outcome = place.done("verify runs/dfa");
    assert!(outcome.stdout.contains("2 verdicts measured again"), "{}", outcome.stdout);
    let kept = "runs/dfa/epochs/epoch-0001.verdict.json";
    let change = |text: &str| other_digit(text, &["\"stability\": {", "\"normalised\": "]);
    let found = planted(&place, kept, change, "runs/dfa");
    let words = format!("{kept}: diagnostics.stability, column normalised: printed ");
    assert!(said(&found).contains(&words), "{}", found.stdout);
    let table = |text: &str| other_digit(text, &["\ndfa,", ",3,", "."]);
    let found = planted(&place, "runs/dfa/verdicts.csv", table, "runs/dfa");
    assert!(said(&found).contains("verdicts.csv: row 1, column accuracy"), "{}", found.stdout);

    place.done("diagnose runs/dfa runs/frozen --out collected");
    let outcome = place.run("verify collected");
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("does not lie beside it"), "{}", outcome.stderr);
    place.done("verify collected --stored");
    let record = |text: &str| text.replace("\"seed\": 42", "\"seed\": 43");
    let found = planted(&place, "runs/dfa/run.json", record, "runs/dfa --stored");
    assert!(
        found.stdout.contains("runs/dfa/") || found.stderr.contains("another run"),
        "{found:?}"
    );
}

#[test]
fn what_is_nothing_of_ours_or_not_there_is_said_and_nothing_is_called_verified() {
    let place = Place::new();
    place.write("empty/readme", "");
    for (what, words) in [
        ("empty", "expected study.json, run.json or a verdict.json"),
        ("empty/readme", "is no report of fa-audit"),
        ("nowhere", "cannot read nowhere"),
    ] {
        let outcome = place.run(&format!("verify {what}"));
        assert!(outcome.code == 1 || outcome.code == 2, "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn a_verdict_on_a_trace_is_measured_again_from_the_trace() {
    let place = Place::new();
    place.write("trace.safetensors", include_bytes!("../golden/pytorch.safetensors"));
    place.done("diagnose trace.safetensors --controls");
    let outcome = place.done("verify trace.verdict.json");
    assert!(outcome.stdout.contains("1 verdict measured again"), "{}", outcome.stdout);
    let change = |text: &str| other_digit(text, &["\"common_mode\": {", "\"mean_energy\": "]);
    let found = planted(&place, "trace.verdict.json", change, "trace.verdict.json");
    assert!(said(&found).contains("column mean_energy: printed"), "{}", found.stdout);
}
