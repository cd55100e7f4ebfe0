//! A learned credit and the twins that a study trains beside it; the ranking by cosine and by function.

use crate::common::{Place, SMALL};
use serde_json::Value;

/// A study of these methods, with these lines in front of its keys.
fn study(head: &str, methods: &str, seeds: &str) -> String {
    format!(
        "name = 's'\n{head}\n[base]\n{SMALL}auxiliary_width = 8\ncontrol_samples = 32\n\
         perturbation_directions = 2\nnull_draws = 2\n[[grid]]\nmethod = {methods}\nseed = {seeds}\n"
    )
}

fn report(place: &Place, format: &str) -> String {
    place.done(&format!("report s --format {format}")).stdout
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_study_trains_the_twins_of_a_learned_credit_and_every_report_tells_what_it_gains() {
    let place = Place::new();
    place.write("study.toml", study("", "['dfa', 'state-bridge']", "[1, 2]"));
    let plan = place.done("audit study.toml --out s --dry-run").stdout;
    let labels: Vec<&str> = ["shuffled", "random", "zero-target"].into();
    for label in &labels {
        // Labels are broken over lines.
        assert_eq!(plan.matches(&format!("auxiliary={label}")).count(), 2, "{plan}");
    }
    assert!(plan.contains("12 runs, 0 finished"), "{plan}");
    let audit = place.done("audit study.toml --out s");
    assert!(audit.stdout.contains("Learned credit over its twins"), "{}", audit.stdout);
    let widest = audit.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns:\n{}", audit.stdout);

    // The gain is the difference of the two accuracies, which each run has of itself.
    let json: Value = serde_json::from_str(&report(&place, "json")).expect("JSON");
    let runs = json["runs"].as_array().expect("runs");
    let accuracy = |label: &str, seed: u64| {
        let is_it = |run: &&Value| {
            run["audit"]["run"]["label"].as_str().is_some_and(|own| own.starts_with(label))
                && run["config"]["seed"] == seed
                && run["config"]["auxiliary"] != "untrained"
        };
        runs.iter().filter(is_it).collect::<Vec<_>>()
    };
    let mut gains = Vec::new();
    for seed in [1, 2] {
        let all = accuracy("state-bridge", seed);
        let of = |auxiliary: &str| {
            let run = all.iter().find(|run| run["config"]["auxiliary"] == auxiliary);
            run.unwrap_or_else(|| panic!("{auxiliary}"))
        };
        let learned = of("learned");
        let own = learned["audit"]["accuracy"].as_f64().expect("an accuracy");
        for label in &labels {
            let twin = of(label)["audit"]["accuracy"].as_f64().expect("an accuracy");
            let found = &learned["audit"]["learned_credit"][label];
            assert_eq!(found["accuracy"], twin);
            let gain = found["gain"].as_f64().expect("a gain");
            assert!((gain - 100.0 * (own - twin)).abs() < 1e-9, "{found}");
            if *label == "shuffled" {
                gains.push(gain);
            }
            assert!(of(label)["audit"].get("learned_credit").is_none(), "a twin has no twin");
        }
        let reasons = learned["audit"]["reasons"].to_string();
        assert!(reasons.contains("Learned credit: accuracy "), "{reasons}");
    }
    let methods = json["methods"].as_array().expect("methods");
    let bridge = methods.iter().find(|method| method["learned_credit"].is_array()).expect("it");
    let shuffled = &bridge["learned_credit"][1];
    assert_eq!((&shuffled["over"], &shuffled["gain"]["n"]), (&"shuffled".into(), &2.into()));
    let mean = shuffled["gain"]["mean"].as_f64().expect("a mean");
    assert!((mean - (gains[0] + gains[1]) / 2.0).abs() < 1e-9);

    for format in ["table", "md", "html"] {
        let text = words(&report(&place, format));
        for part in
            ["Learned credit over its twins", "points over its twin with shuffled targets (n=2)"]
        {
            assert!(text.contains(part), "{format}: {part}");
        }
    }
    let header = report(&place, "csv");
    let header = header.lines().next().expect("a header");
    assert!(header.ends_with(
        "gain_over_shuffled,gain_over_random,gain_over_zero_target,gain_over_untrained"
    ));
    let junit = report(&place, "junit");
    assert_eq!(junit.matches(": learned credit\"").count(), 2, "{junit}");

    // Everything is found again, wherever the study lies.
    std::fs::rename(place.path("s"), place.path("moved")).expect("moved");
    let verified = place.done("verify moved");
    assert!(verified.stdout.contains("Everything agrees"), "{}", verified.stdout);
    std::fs::rename(place.path("moved"), place.path("s")).expect("moved back");

    // Of a twin that is not there the verdict says so.
    let dir = |auxiliary: &str| {
        let run = accuracy("state-bridge", 1)
            .into_iter()
            .find(|run| run["config"]["auxiliary"] == auxiliary)
            .expect("its run");
        run["name"].as_str().expect("a name").to_owned()
    };
    let (learned, shuffled) = (dir("learned"), dir("shuffled"));
    std::fs::remove_dir_all(place.path(&format!("s/{shuffled}"))).expect("removed");
    let outcome = place.done(&format!("diagnose s/{learned}/checkpoint.mpk"));
    let text = words(&outcome.stdout);
    assert!(text.contains("The twin with shuffled targets, which decides, is missing."), "{text}");
    assert!(
        text.contains("not held against its twin with shuffled targets: no finished run"),
        "{text}"
    );
}

#[test]
fn a_claim_on_a_learned_credit_is_held_against_the_twin() {
    let place = Place::new();
    // Whatever the accuracies: one claims that the run is over its twin by 100 points and one that it is
    // over nothing at all, which stands only where the twin does worse.
    let claims = "[[claim]]\nclaim = 'It learns.'\nmethod = 'state-bridge'\nmetric = 'accuracy'\n\
                  threshold = 'at least 0'\nseeds = [1]\n";
    place.write("claims.toml", claims);
    place.write("study.toml", study("claims = 'claims.toml'", "['state-bridge']", "[1]"));
    place.done("audit study.toml --out s");
    let json: Value = serde_json::from_str(&report(&place, "json")).expect("JSON");
    let bridge = json["runs"].as_array().expect("runs").iter();
    let gain = bridge
        .filter_map(|run| run["audit"]["learned_credit"]["shuffled"]["gain"].as_f64())
        .next()
        .expect("a gain");
    let claim = &json["claims"]["claims"][0];
    let reason = claim["reason"].as_str().expect("a reason");
    let (outcome, said) = match gain > 0.0 {
        true => ("stands", "Over its twin with shuffled targets: "),
        false => ("walked back", "But its twin with shuffled targets does as well"),
    };
    assert_eq!(claim["outcome"], outcome, "{gain}: {reason}");
    assert!(reason.contains(said), "{reason}");
    // Without twins nothing tells what the network's learning alone would have brought.
    let alone = study("claims = 'claims.toml'\nauxiliary_twins = []", "['state-bridge']", "[1]");
    place.write("alone.toml", alone.replace("name = 's'", "name = 'alone'"));
    place.done("audit alone.toml --out alone");
    let text = words(&place.done("report alone").stdout);
    assert!(text.contains("Untested all the same, because it rests on a learned credit"), "{text}");
}

#[test]
fn methods_are_ranked_by_cosine_and_by_function_in_every_report() {
    let place = Place::new();
    let methods = "['bp', 'fa', 'layer-fa', 'kolen-pollack', 'ep']";
    place.write("study.toml", study("", methods, "[1, 2]"));
    let audit = place.done("audit study.toml --out s");
    let widest = audit.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns:\n{}", audit.stdout);
    for text in [
        audit.stdout.clone(),
        report(&place, "table"),
        report(&place, "md"),
        report(&place, "html"),
    ] {
        let text = words(&text).replace("&#39;", "'");
        for part in [
            "Ranking by cosine and by function, λ = 0",
            "Kendall's τ-b of cosine and function, λ = 0",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("osine over the trained layers ranks against "), "{text}");
    }
    let json: Value = serde_json::from_str(&report(&place, "json")).expect("JSON");
    let found = &json["inversion"][0];
    let ranked: Vec<&Value> = found["methods"].as_array().expect("methods").iter().collect();
    assert_eq!(ranked.len(), 4, "without BP: {found}");
    for agreement in found["agreements"].as_array().expect("agreements") {
        assert_eq!(agreement["per_seed"].as_array().map(Vec::len), Some(2), "{agreement}");
        let tau = agreement["tau"]["mean"].as_f64().expect("a mean");
        assert!((-1.0..=1.0).contains(&tau), "{agreement}");
    }
    let verified = place.done("verify s");
    assert!(verified.stdout.contains("Everything agrees"), "{}", verified.stdout);
}
