use super::*;
use crate::claims::parse;
use crate::claims::registered::ClaimsFile;
use crate::config::{Auxiliary, Method};
use crate::evidence::{Checked, Part};
use crate::study::testing::{Sketch, study};

/// DFA and its frozen twin over seeds, with these accuracies.
fn with(accuracies: &[(f64, f64)]) -> StudyResult {
    let runs = (1..).zip(accuracies).flat_map(|(seed, (dfa, frozen))| {
        let one = |method, accuracy| Sketch {
            frozen: Some(*frozen),
            cosine: vec![0.4, 0.2, 0.1, 0.3, 0.9],
            ..Sketch::audited(method, seed, accuracy, 1.2, 1e-4)
        };
        [one(Method::Dfa, *dfa), one(Method::Frozen, *frozen)]
    });
    study(&runs.collect::<Vec<_>>())
}

const THREE: [(f64, f64); 3] = [(0.34, 0.30), (0.33, 0.30), (0.32, 0.30)];

/// The claim with these keys, registered before any run.
fn claimed_of(study: &StudyResult, keys: &str) -> Tested {
    let text =
        format!("[[claim]]\nclaim = 'It is so.'\nmethod = 'dfa'\nseeds = [1, 2, 3]\n{keys}\n");
    let source = ClaimsFile { name: "claims.toml".into(), text: text.clone() };
    let registered = Registered::next(None, Some(&source), &[], "").unwrap();
    let claims = parse("claims.toml", &text).unwrap();
    let study = StudyResult { claims: Some(StudyClaims { registered, claims }), ..study.clone() };
    tested(&study).remove(0)
}

const OVER_FROZEN: &str = "metric = 'accuracy'\ncontrol = 'frozen(dfa)'\nthreshold = ";

#[test]
fn an_accuracy_over_its_control_stands_or_is_walked_back_with_mean_deviation_and_n() {
    let study = with(&THREE);
    // 4, 3 and 2 points: 3 ± 1.
    let stands = claimed_of(&study, &format!("{OVER_FROZEN}'at least 1 point'"));
    assert_eq!(stands.outcome, Outcome::Stands, "{}", stands.reason);
    let summary = stands.summary().unwrap();
    assert!((summary.mean - 0.03).abs() < 1e-12 && summary.n == 3);
    assert!((summary.std.unwrap() - 0.01).abs() < 1e-12, "n − 1");
    assert!(stands.reason.contains("0.03 ± 0.01 (n=3)"), "{}", stands.reason);
    assert!(stands.reason.contains("as claimed, at least 0.01"), "{}", stands.reason);
    assert!(
        stands.reason.contains("Other seeds may turn it: the 95 % interval"),
        "{}",
        stands.reason
    );
    let back = claimed_of(&study, &format!("{OVER_FROZEN}'at least 5 points'"));
    assert_eq!(back.outcome, Outcome::WalkedBack);
    assert!(back.reason.contains("not as claimed"), "{}", back.reason);
    // Of each seed the smallest decides: exactly two points are two points.
    let each = |points| format!("{OVER_FROZEN}'at least {points} points'\nacross_seeds = 'each'");
    assert_eq!(claimed_of(&study, &each("2")).outcome, Outcome::Stands);
    assert_eq!(claimed_of(&study, &each("2.5")).outcome, Outcome::WalkedBack);
}

#[test]
fn every_usual_claim_is_decided_by_its_own_numbers() {
    let study = with(&THREE);
    for (keys, outcome) in [
        ("metric = 'growth'\nthreshold = 'below 1.5'", Outcome::Stands),
        ("metric = 'growth'\nthreshold = 'below 1.1'", Outcome::WalkedBack),
        // .2, .1 and .3.
        ("metric = 'cosine'\nlayers = 'deep'\nthreshold = 'above 0.15'", Outcome::Stands),
        ("metric = 'cosine'\nlayers = 'deep'\nthreshold = 'above 0.25'", Outcome::WalkedBack),
        (
            "metric = 'cosine'\nlayers = 'deep'\nacross_layers = 'each'\nthreshold = 'above 0.15'",
            Outcome::WalkedBack,
        ),
        (
            "metric = 'cosine'\nlayers = [1, 3]\nacross_layers = 'each'\nthreshold = 'above 0.15'",
            Outcome::Stands,
        ),
        (
            "metric = 'reference'\nlayers = 'all'\nacross_layers = 'each'\nthreshold = 'at least 1e-7'",
            Outcome::Stands,
        ),
        (
            "metric = 'reference'\nlayers = 'all'\nacross_layers = 'each'\nthreshold = 'at least 1e-3'",
            Outcome::WalkedBack,
        ),
        ("metric = 'depth_utility'\nthreshold = 'above 2 points'", Outcome::Stands),
        ("metric = 'verdict'\nthreshold = 'trustworthy'", Outcome::Stands),
        ("metric = 'verdict'\nthreshold = 'walked back'", Outcome::WalkedBack),
    ] {
        let found = claimed_of(&study, keys);
        assert_eq!(found.outcome, outcome, "{keys}: {}", found.reason);
    }
}

#[test]
fn a_claim_is_untested_where_a_run_is_missing_unfinished_or_not_judged() {
    let mut study = with(&THREE);
    let claim = format!("{OVER_FROZEN}'at least 1 point'");
    let of = |study: &StudyResult, words: &str| {
        let found = claimed_of(study, &claim);
        assert_eq!(found.outcome, Outcome::Untested);
        assert!(found.reason.contains(words) && found.summary().is_none(), "{}", found.reason);
    };
    let frozen = study.runs.pop().unwrap();
    of(&study, "there is no run of frozen(dfa) with seed 3");
    study.runs.push(frozen.clone());
    study.runs[5].record.status = RunStatus::Failed;
    study.runs[5].audit = None;
    of(&study, "the run of frozen(dfa) with seed 3 failed");
    study.runs[5].record.status = RunStatus::Finished;
    of(&study, "was not judged");
}

#[test]
fn a_claim_is_untested_where_its_metric_was_not_evaluated_or_its_evidence_is_contradicted() {
    let mut study = with(&THREE);
    let of = |study: &StudyResult, keys: &str, words: &str| {
        let found = claimed_of(study, keys);
        assert_eq!(found.outcome, Outcome::Untested, "{}", found.reason);
        assert!(found.reason.contains(words), "{}", found.reason);
    };
    let null = "metric = 'cosine'\ncontrol = 'null'\nthreshold = 'above 0'";
    of(&study, null, "its controls were not computed");
    let audit = study.runs[2].audit.as_mut().unwrap();
    audit.diagnostics.growth.value = None;
    audit.diagnostics.growth.reason = Some("no hidden states".into());
    audit.cosine.interpretable = false;
    of(
        &study,
        "metric = 'growth'\nthreshold = 'below 2'",
        "dfa, seed 2: not evaluated: no hidden states",
    );
    let cosine = "metric = 'cosine'\nthreshold = 'above 0'";
    of(&study, cosine, "does not let the cosines be read");
    let checked = Checked::contradicted("scale", &[Part::Reference], "It is 2 times too large.");
    study.runs[4].audit.as_mut().unwrap().evidence.checks.push(checked);
    for keys in [
        "metric = 'accuracy'\nthreshold = 'above 0'",
        "metric = 'verdict'\nthreshold = 'trustworthy'",
    ] {
        of(
            &study,
            keys,
            "dfa, seed 3: its evidence is contradicted (scale: It is 2 times too large)",
        );
    }
    let mut study = with(&THREE);
    study.runs[0].audit.as_mut().unwrap().verdict = Decision::Inconclusive;
    let verdict = "metric = 'verdict'\nthreshold = 'trustworthy'";
    of(&study, verdict, "trustworthy on 2 of 3 seeds; seed 1 is inconclusive");
    study.runs[2].audit.as_mut().unwrap().verdict = Decision::WalkedBack;
    assert_eq!(claimed_of(&study, verdict).outcome, Outcome::WalkedBack, "a seed refutes it");
}

#[test]
fn what_exploded_is_walked_back_and_never_dropped() {
    let mut study = with(&THREE);
    study.runs[0].audit.as_mut().unwrap().diagnostics.growth.value = Some(f64::INFINITY.into());
    let found = claimed_of(&study, "metric = 'growth'\nthreshold = 'above 1'");
    assert_eq!(found.outcome, Outcome::WalkedBack);
    assert!(found.reason.contains("inf (n=3)"), "{}", found.reason);
}

#[test]
fn a_claim_that_was_registered_once_its_runs_had_begun_is_post_hoc() {
    let mut study = with(&THREE);
    let text = "[[claim]]\nclaim = 'x'\nmethod = 'dfa'\nmetric = 'growth'\nthreshold = 'below 2'\nseeds = [1]";
    let source = ClaimsFile { name: "claims.toml".into(), text: text.into() };
    let begun = ["dfa-s1".to_owned()];
    let registered = Registered::next(None, Some(&source), &begun, "2026").unwrap();
    let claims = parse("claims.toml", text).unwrap();
    study.claims = Some(StudyClaims { registered, claims });
    let found = tested(&study).remove(0);
    assert_eq!(found.outcome, Outcome::Untested);
    assert!(found.reason.starts_with("Post hoc: dfa-s1 had begun"), "{}", found.reason);
    assert!(found.reason.contains("Made before, it would be: stands."), "{}", found.reason);
}

#[test]
fn a_claim_about_what_the_study_does_not_have_is_refused_before_training() {
    let runs: Vec<Config> = with(&THREE).runs.into_iter().map(|run| run.record.config).collect();
    let of = |keys: &str| {
        let text =
            format!("[[claim]]\nclaim = 'x'\nmetric = 'accuracy'\nthreshold = 'above 0'\n{keys}");
        misnamed(&parse("c", &text).unwrap(), &runs)
    };
    assert_eq!(of("method = 'dfa'\nseeds = [1, 2]\ncontrol = 'frozen(dfa)'"), None);
    let error = of("method = 'dfa'\nseeds = [1]\ncontrol = 'frozen'").unwrap();
    assert!(
        error.contains("control: the study has no method \"frozen\"; it has dfa and frozen(dfa)"),
        "{error}"
    );
    let error = of("method = 'dfa'\nseeds = [9]").unwrap();
    assert!(error.contains("no dfa of seed 9; it has seeds 1, 2 and 3"), "{error}");
    let mut twice = runs.clone();
    twice.push(Config { width: 64, ..runs[0].clone() });
    let text = "[[claim]]\nclaim = 'x'\nmetric = 'accuracy'\nthreshold = 'above 0'\nmethod = 'dfa'\nseeds = [1]\n";
    let error = misnamed(&parse("c", text).unwrap(), &twice).unwrap();
    assert!(error.contains("differ in width: `only = { width = … }` chooses"), "{error}");
    let only = format!("{text}only = {{ width = 64 }}");
    assert_eq!(misnamed(&parse("c", &only).unwrap(), &twice), None);
}

/// Of a run and of its twin.
type Pair = (f64, f64);

/// State Bridge and its twins with shuffled targets over seeds, with these accuracies and cosines.
fn bridges(runs: &[(Pair, Pair)]) -> StudyResult {
    let of_seed = |(seed, ((accuracy, twin), (cosine, its))): (u64, &(Pair, Pair))| {
        let one = |auxiliary, accuracy, cosine: f64| {
            let mut run = Sketch {
                frozen: Some(0.30),
                cosine: vec![cosine; 5],
                ..Sketch::audited(Method::StateBridge, seed, accuracy, 1.2, 1e-4)
            };
            run.config.auxiliary = auxiliary;
            run
        };
        [
            one(Auxiliary::Learned, *accuracy, *cosine),
            one(Auxiliary::Shuffled, *twin, *its),
            one(Auxiliary::Random, 0.9, 0.9),
        ]
    };
    study(&(1..).zip(runs).flat_map(of_seed).collect::<Vec<_>>())
}

fn of_bridge(study: &StudyResult, keys: &str) -> Tested {
    let text = format!(
        "[[claim]]\nclaim = 'It is so.'\nmethod = 'state-bridge'\nseeds = [1, 2, 3]\n{keys}\n"
    );
    let source = ClaimsFile { name: "claims.toml".into(), text: text.clone() };
    let registered = Registered::next(None, Some(&source), &[], "").unwrap();
    let claims = parse("claims.toml", &text).unwrap();
    let configs: Vec<Config> = study.runs.iter().map(|run| run.record.config.clone()).collect();
    assert_eq!(misnamed(&claims, &configs), None, "twins make no claim ambiguous");
    let study = StudyResult { claims: Some(StudyClaims { registered, claims }), ..study.clone() };
    tested(&study).remove(0)
}

const COSINES: Pair = (0.3, 0.01);
const ACCURACY: &str = "metric = 'accuracy'\nthreshold = 'above 0.4'";
const TRUSTED: &str = "metric = 'verdict'\nthreshold = 'trustworthy'";
const ALIGNED: &str = "metric = 'cosine'\nthreshold = 'above 0.2'";
const DEEP: &str =
    "metric = 'cosine'\nlayers = 'deep'\nacross_layers = 'each'\nthreshold = 'above 0.2'";
const DEPTH: &str = "metric = 'depth_utility'\nthreshold = 'above 2 points'";
const CALM: &str = "metric = 'growth'\nthreshold = 'below 2'";

#[test]
fn a_claim_on_a_learned_credit_stands_where_its_twin_does_worse() {
    let clear = [(0.45, 0.24), (0.45, 0.25), (0.46, 0.24)].map(|accuracies| (accuracies, COSINES));
    let study = bridges(&clear);
    for claim in [ACCURACY, TRUSTED, ALIGNED, DEEP, DEPTH] {
        let found = of_bridge(&study, claim);
        assert_eq!(found.outcome, Outcome::Stands, "{claim}: {}", found.reason);
        assert!(
            found.reason.contains("Over its twin with shuffled targets: 0."),
            "{}",
            found.reason
        );
    }
    let calm = of_bridge(&study, CALM);
    assert_eq!(calm.outcome, Outcome::Stands);
    assert!(!calm.reason.contains("twin"), "the scale rests on no credit: {}", calm.reason);
}

#[test]
fn a_claim_on_a_learned_credit_does_not_stand_where_the_shuffled_twin_does_as_well() {
    // 1, 2 and 3 points: their interval reaches below zero; and a twin that is better.
    let near = [(0.45, 0.44), (0.46, 0.44), (0.47, 0.44)].map(|accuracies| (accuracies, COSINES));
    let worse = [((0.45, 0.5), COSINES); 3];
    for runs in [near, worse] {
        let study = bridges(&runs);
        for claim in [ACCURACY, TRUSTED, DEPTH] {
            let found = of_bridge(&study, claim);
            assert_eq!(found.outcome, Outcome::WalkedBack, "{claim}: {}", found.reason);
            let words = "its twin with shuffled targets does as well: over it accuracy is ";
            assert!(found.reason.contains(words), "{}", found.reason);
        }
        // Its cosines are its own.
        assert_eq!(of_bridge(&study, ALIGNED).outcome, Outcome::Stands);
        assert_eq!(of_bridge(&study, CALM).outcome, Outcome::Stands);
    }
    let same = bridges(&[((0.45, 0.24), (0.3, 0.3)); 3]);
    for claim in [ALIGNED, DEEP] {
        assert_eq!(of_bridge(&same, claim).outcome, Outcome::WalkedBack);
    }
    // What is no claim of a gain is not held against it, nor one whose control it is.
    let low = "metric = 'accuracy'\nthreshold = 'below 0.5'";
    assert_eq!(of_bridge(&bridges(&near), low).outcome, Outcome::Stands);
    let own = "metric = 'accuracy'\ncontrol = 'state-bridge auxiliary=shuffled'\nthreshold = 'above 1 point'";
    assert_eq!(of_bridge(&bridges(&near), own).outcome, Outcome::Stands);
    let dfa = claimed_of(&with(&THREE), "metric = 'accuracy'\nthreshold = 'above 0.1'");
    assert_eq!(dfa.outcome, Outcome::Stands, "{}", dfa.reason);
}

#[test]
fn a_claim_on_a_learned_credit_is_untested_without_the_twin_of_each_seed() {
    let mut study = bridges(&[((0.45, 0.24), COSINES); 3]);
    study.runs[4].audit = None;
    let found = of_bridge(&study, ACCURACY);
    assert_eq!(found.outcome, Outcome::Untested);
    assert!(
        found
            .reason
            .contains("the run of state-bridge auxiliary=shuffled with seed 2 was not judged")
    );
    study.runs.remove(4);
    let found = of_bridge(&study, ACCURACY);
    assert_eq!(found.outcome, Outcome::Untested);
    let words = "no twin of state-bridge with shuffled targets and seed 2";
    assert!(found.reason.contains(words), "{}", found.reason);
    assert_eq!(of_bridge(&study, CALM).outcome, Outcome::Stands);
}

#[test]
fn a_twin_is_meant_by_its_whole_name_or_its_key_alone() {
    let study = bridges(&[((0.45, 0.24), COSINES); 3]);
    let of = |keys: &str| {
        of_bridge(&study, &format!("metric = 'accuracy'\nthreshold = 'above 0.8'\n{keys}"))
    };
    assert_eq!(of("").outcome, Outcome::WalkedBack);
    let chosen = of("only = { auxiliary = 'random' }");
    assert_eq!(chosen.outcome, Outcome::Stands, "{}", chosen.reason);
}
