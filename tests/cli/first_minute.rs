//! What a person meets first: what is trained, where the data lie, and the verdict as the last line.

use crate::common::{Place, SMALL};

#[test]
fn the_verdict_with_its_reason_is_the_last_line_of_every_table_and_the_first_of_every_page() {
    let place = Place::new();
    place.write(
        "study.toml",
        format!("name = 's'\n[base]\n{SMALL}null_draws = 2\n[[grid]]\nmethod = ['dfa', 'bp']\nseed = [1, 2]\n"),
    );
    let audit = place.done("audit study.toml --out s").stdout;
    // One paragraph, a line a method, none of the baseline.
    let (_, last) = audit.trim_end().rsplit_once("\n\n").expect("paragraphs");
    let last = last.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(last.starts_with("dfa d=16"), "{last}");
    assert!(last.contains(", 2 seeds: walked back: "), "{last}");
    assert!(last.contains("points under frozen blocks") || last.contains("are asked"), "{last}");
    assert!(last.contains("bp d=16") && !last.contains("frozen(dfa)"), "{last}");
    assert!(last.ends_with('.'), "{last}");

    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&place.done("report s").stdout).ends_with(&last));
    let line = last.split(". bp").next().expect("a line");
    let markdown = place.read("s/report.md").replace('\\', "");
    let at = markdown.find(line).unwrap_or_else(|| panic!("no `{line}` in {markdown}"));
    assert!(at < markdown.find("## Setting").expect("a setting"));
    let page = place.read("s/report.html");
    let at = page.find(line).expect("in the page");
    assert!(at < page.find("id=\"verdicts\"").expect("a table"));

    let run = std::fs::read_dir(place.path("s")).expect("runs").flatten();
    let run = run.map(|e| e.file_name().into_string().expect("UTF-8"));
    let run = run.filter(|name| name.starts_with("dfa-")).min().expect("a run");
    let one = place.done(&format!("diagnose s/{run}/checkpoint.mpk")).stdout;
    let (_, last) = one.trim_end().rsplit_once("\n\n").expect("paragraphs");
    assert!(last.starts_with("dfa d=16") && words(last).contains(": walked back: "), "{last}");
}

#[test]
fn a_training_says_what_it_trains_on_what_and_how_long_it_took() {
    let place = Place::new();
    let said = place.done("train --config small.toml --method dfa --out run").stderr;
    for words in [
        "resmlp, 2 blocks, 50522 parameters; seed 42",
        "data: synthetic (generated), 600 to train on and 300 to test on; --dataset cifar10",
        "on cpu (flex), 1 thread, 3 epochs",
        "saved in run after ",
    ] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    assert_eq!(place.done("train --config small.toml --out quiet --quiet").stderr, "");
}

#[test]
fn the_environment_names_the_data_where_nothing_else_does() {
    let place = Place::new();
    let train = ["train", "--config", "cifar.toml", "--dataset", "cifar10", "--out", "run"];
    let with = |folder: &str, more: &[&str]| {
        let mut command = place.command(&[&train, more].concat());
        let output = command.env("FA_AUDIT_DATA_DIR", folder).output().expect("it starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(with("", &[]).contains("needs --data-dir DIR or the variable FA_AUDIT_DATA_DIR"));
    assert!(with("nowhere", &[]).contains("nowhere: found no such folder"));
    // What is typed goes first.
    let typed = with("nowhere", &["--data-dir", "elsewhere"]);
    assert!(typed.contains("elsewhere: found no such folder"), "{typed}");
}
