//! Reports, pitfalls and controls, as a person asks for them.

use crate::common::{Place, SMALL};

/// A finished study of three runs and their twin in `s`.
fn study(place: &Place) {
    let text = format!(
        "name = 's'\n[base]\n{SMALL}control_samples = 64\nperturbation_directions = 2\nnull_draws = 3\n\
         [[grid]]\nmethod = ['bp', 'fa', 'dfa']\nseed = [1]\n"
    );
    place.write("study.toml", text);
    place.done("audit study.toml --out s");
}

#[test]
fn a_study_is_reported_in_every_format_from_its_directory_alone() {
    let place = Place::new();
    study(&place);
    std::fs::remove_file(place.path("study.toml")).expect("it is there");
    let runs: Vec<String> = std::fs::read_dir(place.path("s"))
        .expect("runs")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into())
        .collect();
    assert_eq!(runs.len(), 4);

    let html = place.done("report s --format html").stdout;
    assert_eq!(html, place.read("s/report.html"), "audit writes the page, too");
    for run in &runs {
        assert!(html.contains(run.as_str()), "{run}");
    }
    for word in ["<svg", "Decision utility", "Threshold sweep", "First firings", "null band"] {
        assert!(html.contains(word), "{word}");
    }
    assert!(!html.contains("<script") && !html.contains("src="), "nothing is loaded");

    let markdown = place.done("report s --format md").stdout;
    assert_eq!(markdown, place.read("s/report.md"));
    let tool = place.json(&format!("s/{}/run.json", runs[0]))["provenance"]["tool"].clone();
    let tool = tool.as_str().expect("a name");
    assert!(tool.starts_with("fa-audit "), "{tool}");
    assert!(markdown.contains(&format!("| Tool | {tool} |")), "{markdown}");
    assert_eq!(html.matches(tool).count(), 1, "{tool}");
    for word in ["| ", "Provenance", "Decision utility", "First firings"] {
        assert!(markdown.contains(word), "{word}");
    }

    let json: serde_json::Value =
        serde_json::from_str(&place.done("report s --format json").stdout).expect("JSON");
    assert_eq!(json["schema"], "fa-audit/study/1");
    assert_eq!(json["runs"].as_array().map(Vec::len), Some(4));
    let csv = place.done("report s --format csv").stdout;
    assert_eq!(csv, place.read("s/verdicts.csv"));
    assert!(place.done("report s --format junit").stdout.contains("<testsuites"));
    let latex = place.done("report s --format latex").stdout;
    assert!(latex.starts_with("% fa-audit ") && latex.contains("\\toprule"), "{latex}");
    let long = place.done("report s --format long").stdout;
    assert!(
        long.starts_with("study,run,seed,epoch,layer,quantity,value,method,matrix\n"),
        "{long}"
    );
    assert_eq!(long.matches(",test_accuracy,").count(), 4 * 3, "four runs of three epochs");
    place.write("table.tex", &latex);
    place.write("long.csv", &long);
    for file in ["table.tex", "long.csv"] {
        place.done(&format!("verify {file} --of s"));
    }
    assert!(place.done("report s").stdout.contains("First firings"));
    assert!(place.done("report s --seeds").stdout.contains("Controls of dfa"));

    place.done("report s --format html --out page.html");
    assert_eq!(place.read("page.html"), html);
}

#[test]
fn every_chart_is_an_svg_that_needs_nothing_else() {
    let place = Place::new();
    study(&place);
    place.done("report s --figures figures --out table.txt");
    let captions = place.read("figures/captions.md");
    let mut count = 0;
    for entry in std::fs::read_dir(place.path("figures")).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "captions.md" {
            continue;
        }
        count += 1;
        assert!(captions.contains(&format!("`{name}`")), "{name}: {captions}");
        let svg = std::fs::read_to_string(entry.path()).expect("a text");
        let document = roxmltree::Document::parse(&svg).expect("well-formed");
        let root = document.root_element();
        assert!(root.tag_name().name() == "svg" && root.attribute("width").is_some());
        for needed in ["var(", "@import", "http://www.w3.org/1999/xlink", "href"] {
            assert!(!svg.contains(needed), "{name}: {needed}");
        }
    }
    // Cosines and epochs of each of four methods, two of norms, one of accuracies.
    assert_eq!(count, 4 + 4 + 2 + 1, "{captions}");
}

#[test]
fn a_report_of_what_is_no_study_is_a_usage_error_that_says_what_was_expected() {
    let place = Place::new();
    place.write("empty/readme", "");
    let outcome = place.run("report empty");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("study.json"), "{}", outcome.stderr);
}

#[test]
fn an_unfinished_run_stands_in_every_report_as_what_it_is() {
    let place = Place::new();
    study(&place);
    let record = std::fs::read_dir(place.path("s"))
        .expect("runs")
        .flatten()
        .map(|entry| entry.path().join("run.json"))
        .find(|path| path.display().to_string().contains("/dfa-"))
        .expect("a dfa run");
    let text = std::fs::read_to_string(&record).expect("a record");
    let text = text.replace("\"status\": \"finished\"", "\"status\": \"failed\"");
    std::fs::write(&record, text.replace("\"error\": null", "\"error\": \"the disk is full\""))
        .expect("written");
    for format in ["html", "md", "json", "junit", "table"] {
        let report = place.done(&format!("report s --format {format}")).stdout;
        assert!(report.contains("the disk is full"), "{format}: {report}");
    }
}

#[test]
fn the_controls_of_a_checkpoint_stand_in_its_verdict_and_its_reasons() {
    let place = Place::new();
    place.done(
        "train --config small.toml --method dfa --out runs/dfa --set control_samples=64 \
         --set null_draws=5 --set perturbation_directions=2",
    );
    let outcome = place.done("diagnose runs/dfa/checkpoint.mpk --controls");
    assert!(outcome.stdout.contains("5 fresh draws"), "{}", outcome.stdout);
    let controls = &place.json("runs/dfa/verdict.json")["controls"];
    assert_eq!(controls["null"]["draws"], 5);
    assert_eq!(controls["perturbation"]["samples"], 64);
    for control in [
        "null",
        "perturbation",
        "nudging",
        "descent",
        "shadow",
        "common_mode",
        "clamp",
        "aggregation",
        "rank",
    ] {
        let found = &controls[control];
        assert!(found.is_object() && found.get("not_evaluated").is_none(), "{control}: {found}");
    }
    // The same seed draws the same controls.
    let again = place.done("diagnose runs/dfa/checkpoint.mpk --controls");
    assert_eq!(outcome.stdout, again.stdout);
}

#[test]
fn every_pitfall_shows_a_wrong_number_and_a_right_one() {
    let place = Place::new();
    let all = place.done("pitfalls").stdout;
    for number in 1..=7 {
        assert!(all.contains(&format!("{number}  ")), "{all}");
    }
    assert_eq!(all.matches("   wrong ").count(), 7);
    assert!(all.contains("1.142857") && all.contains("5 and 10"), "{all}");
    assert!(all.contains("cannot be audited without its feedback matrices"), "{all}");
    let missing = |line: &str| line.trim_end().ends_with(" not evaluated");
    assert!(!all.lines().any(missing), "{all}");
    let one = place.done("pitfalls half-precision").stdout;
    assert!(one.starts_with("3  half-precision"), "{one}");
    assert_eq!(place.run("pitfalls nonsense").code, 2);
}
