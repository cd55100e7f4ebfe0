//! Claims that are said before training, and what becomes of them.

use crate::common::{Outcome, Place, SMALL};

const CLAIMS: &str = "\
[[claim]]
claim = \"Backpropagation learns something.\"
method = \"bp\"
metric = \"accuracy\"
threshold = \"above 0\"
seeds = [1, 2]
[[claim]]
claim = \"DFA is far ahead of its frozen blocks.\"
method = \"dfa\"
metric = \"accuracy\"
control = \"frozen(dfa)\"
threshold = \"at least 90 points\"
seeds = [1, 2]
";

/// The study file, with these lines in front of its grid.
fn study(keys: &str, seeds: &str) -> String {
    format!(
        "name = 's'\n{keys}\n[base]\n{SMALL}epochs = 2\ncontrol_samples = 32\nperturbation_directions = 1\n\
         null_draws = 2\n[[grid]]\nmethod = ['bp', 'dfa']\nseed = {seeds}\n"
    )
    .replacen("epochs = 3\n", "", 1)
}

fn claiming(place: &Place, claims: &str) {
    place.write("claims.toml", claims);
    place.write("study.toml", study("claims = 'claims.toml'", "[1, 2]"));
}

/// The claims of the study as its JSON report has them: how each ends.
fn outcomes(place: &Place) -> Vec<String> {
    let json = place.done("report s --format json").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let claims = json["claims"]["claims"].as_array().expect("claims").clone();
    claims.iter().map(|claim| claim["outcome"].as_str().expect("a word").to_owned()).collect()
}

fn everywhere(place: &Place, words: &[&str]) {
    for format in ["table", "md", "html", "json", "junit"] {
        let report = place.done(&format!("report s --format {format}")).stdout;
        let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(report.contains(words), "{format}: {words}\n{report}");
        }
    }
}

#[test]
fn claims_said_before_training_stand_or_are_walked_back_in_every_report() {
    let place = Place::new();
    claiming(&place, CLAIMS);
    let outcome = place.run("audit study.toml --out s --fail-on claims");
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("Claims") && outcome.stdout.contains("walked back"),
        "{}",
        outcome.stdout
    );
    let plan = place.json("s/study.json");
    assert_eq!(plan["claims"]["file"], "claims.toml");
    assert_eq!(plan["claims"]["text"], CLAIMS);
    assert_eq!(plan["claims"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(plan["claims"]["begun"], serde_json::json!([]));

    assert_eq!(outcomes(&place), ["stands", "walked back"]);
    everywhere(&place, &["Accuracy of dfa minus that of frozen(dfa): ", "(n=2)"]);
    let csv = place.done("report s --format csv").stdout;
    assert!(csv.contains("stands: Backpropagation learns something."), "{csv}");
    assert!(place.read("s/claims.csv").contains("DFA is far ahead of its frozen blocks."));
    place.done("verify s --stored");

    // Going on changes nothing, and one claim alone fails nothing that was not asked for.
    let again = place.done("audit study.toml --out s --json");
    assert_eq!(place.json("s/study.json"), plan);
    let lines: Vec<serde_json::Value> =
        again.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().filter(|line| line["outcome"].is_string()).count(), 2);
}

#[test]
fn claims_written_or_changed_after_training_are_untested_and_every_report_says_so() {
    let place = Place::new();
    place.write("study.toml", study("", "[1, 2]"));
    place.done("audit study.toml --out s");
    // Without claims there is nothing that could fail.
    place.done("audit study.toml --out s --fail-on claims");
    claiming(&place, CLAIMS);
    let late = place.run("audit study.toml --out s --fail-on claims");
    assert_eq!(late.code, 3, "{}", late.stderr);
    assert_eq!(outcomes(&place), ["untested", "untested"]);
    everywhere(&place, &["had begun when it was registered", "Post hoc: "]);

    claiming(&place, &CLAIMS.replace("90 points", "-90 points"));
    place.done("audit study.toml --out s");
    for format in ["table", "md", "html", "json"] {
        let report = place.done(&format!("report s --format {format}")).stdout;
        let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(report.contains("Claims changed after training"), "{format}: {report}");
    }
    let csv = place.done("report s --format csv").stdout;
    assert!(csv.contains("untested: Backpropagation") && !csv.contains("stands: "), "{csv}");
    assert!(place.read("s/claims.csv").contains("Post hoc: "));

    // Withdrawn, they stay.
    place.write("study.toml", study("", "[1, 2]"));
    place.done("audit study.toml --out s");
    assert!(
        place.read("s/report.md").contains("the study names none since"),
        "{}",
        place.read("s/report.md")
    );
}

#[test]
fn claims_that_are_edited_in_the_plan_show_in_reports_and_to_verify() {
    let place = Place::new();
    claiming(&place, CLAIMS);
    place.done("audit study.toml --out s");
    let plan = place.read("s/study.json").replace("at least 90 points", "at most 90 points");
    place.write("s/study.json", plan);
    assert_eq!(outcomes(&place), ["untested", "untested"]);
    let outcome = place.run("verify s --stored");
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(
        outcome.stdout.contains("s/study.json: claims, column sha256: printed "),
        "{outcome:?}"
    );
}

#[test]
fn a_mistake_in_claims_is_a_usage_error_before_anything_is_trained() {
    let place = Place::new();
    let refused = |place: &Place, words: &str| {
        let Outcome { code, stderr, .. } = place.run("audit study.toml --out s");
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert!(!place.path("s").exists());
    };
    claiming(&place, &CLAIMS.replacen("accuracy", "acuracy", 1));
    refused(
        &place,
        "claims.toml: claim 1 (\"Backpropagation learns something.\"): metric: unknown metric \"acuracy\"; did you mean `accuracy`?",
    );
    claiming(&place, &CLAIMS.replace("frozen(dfa)", "frozen"));
    refused(
        &place,
        "claims.toml: claim 2 (\"DFA is far ahead of its frozen blocks.\"): control: the study has no method \"frozen\"",
    );
    claiming(&place, &CLAIMS.replacen("seeds = [1, 2]", "seeds = [1, 5]", 1));
    refused(&place, "the study has no bp of seed 5");
    std::fs::remove_file(place.path("claims.toml")).expect("it is there");
    let outcome = place.run("audit study.toml --out s");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("claims: cannot read") && outcome.stderr.contains("claims.toml")
    );
    let outcome = place.run("diagnose x.mpk --fail-on claims");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}
