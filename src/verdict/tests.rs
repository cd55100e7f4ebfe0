mod controls;

use super::testing::{Specimen, published};
use super::*;
use crate::diagnostics::testing::{matrix, same_everywhere, trace};

fn specimen(label: &str) -> Specimen {
    let mut all = published().into_iter();
    all.find(|s| s.label == label).expect("a published run")
}

fn statuses(audit: &Audit) -> [Status; 4] {
    let d = &audit.diagnostics;
    [d.growth.status, d.reference.status, d.stability.status, d.depth_utility.status]
}

use Status::{Fired, Inconclusive, NotEvaluated, Passed};

#[test]
fn the_published_runs_get_the_published_verdicts() {
    let expected = [
        ("BP", [Passed, Passed, Passed, Passed], Decision::Trustworthy),
        ("FA", [Passed, Passed, Passed, Passed], Decision::Trustworthy),
        ("DFA", [Fired, Fired, Passed, Fired], Decision::WalkedBack),
        ("DFA λ=1e-2", [Passed, Passed, Passed, Fired], Decision::WalkedBack),
    ];
    for (label, found, verdict) in expected {
        let audit = specimen(label).audit();
        assert_eq!(statuses(&audit), found, "{label}");
        assert_eq!(audit.verdict, verdict, "{label}");
    }
}

#[test]
fn the_rule_over_every_combination_of_statuses() {
    let all = [Passed, Fired, Inconclusive, NotEvaluated];
    for a in all {
        for b in all {
            for c in all {
                let found = Decision::of(a, b, c);
                let statuses = [a, b, c];
                match found {
                    Decision::WalkedBack => assert!(statuses.contains(&Fired)),
                    Decision::Trustworthy => assert_eq!(statuses, [Passed; 3]),
                    Decision::Inconclusive => {
                        assert!(!statuses.contains(&Fired));
                        assert_ne!(statuses, [Passed; 3]);
                    }
                    Decision::Baseline => panic!("the rule knows no baseline"),
                }
            }
        }
    }
}

#[test]
fn a_value_at_its_threshold_passes_and_what_is_not_finite_fires() {
    assert!(!fires_above(50.0, 50.0) && fires_above(50.000001, 50.0));
    assert!(!fires_below(1e-7, 1e-7) && fires_below(9.99e-8, 1e-7));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(fires_above(bad, 50.0) && fires_below(bad, 1e-7), "{bad}");
    }
    assert!(fires_above(1.0, f64::NAN) && fires_below(1.0, f64::NAN));
}

#[test]
fn a_run_that_exploded_is_walked_back_whatever_else() {
    for bad in [f32::NAN, f32::INFINITY] {
        let exploded = Specimen {
            hidden: vec![8.0, 1e20, bad, bad, bad],
            gradient: vec![bad; 5],
            accuracy: 0.9,
            ..specimen("BP")
        };
        let audit = exploded.audit();
        assert_eq!(statuses(&audit), [Fired, Fired, Fired, Passed]);
        assert_eq!(audit.verdict, Decision::WalkedBack);
        assert!(audit.cosine.aggregate.unwrap().0.is_nan());
        assert!(!audit.cosine.interpretable);
    }
}

#[test]
fn without_a_frozen_twin_a_healthy_run_is_inconclusive_and_says_how_to_go_on() {
    let alone = Specimen { frozen: None, ..specimen("BP") };
    let audit = alone.audit();
    assert_eq!(audit.diagnostics.depth_utility.status, NotEvaluated);
    assert_eq!(audit.diagnostics.depth_utility.value, None);
    assert_eq!(audit.verdict, Decision::Inconclusive);
    assert!(audit.reasons[0].contains("depth utility was not evaluated"));
    assert!(audit.notes[0].contains("--frozen"), "{:?}", audit.notes);
}

#[test]
fn a_baseline_gets_no_depth_utility_and_names_no_mode() {
    let audit = specimen("frozen (DFA)").audit();
    assert_eq!(
        audit.diagnostics.depth_utility.reason.as_deref(),
        Some("this run is itself the baseline")
    );
    assert!(audit.reasons.iter().all(|r| !r.contains("Mode")), "{:?}", audit.reasons);
}

#[test]
fn what_passed_or_is_missing_is_told_only_of_a_run_that_may_stand() {
    let is_told = |run: Specimen| {
        let reasons = run.audit().reasons;
        reasons.iter().any(|r| r.contains("Nothing that was evaluated") || r.contains("All three"))
    };
    assert!(is_told(specimen("BP")) && is_told(Specimen { frozen: None, ..specimen("BP") }));
    assert!(!is_told(specimen("DFA")));
    assert!(!is_told(Specimen { frozen: None, ..specimen("DFA") }));
    assert!(!is_told(specimen("frozen (DFA)")));
}

#[test]
fn a_cosine_that_is_no_number_is_named_by_its_layers() {
    let lost = |layers: &[usize]| {
        let mut cosine = vec![0.3; 5];
        layers.iter().for_each(|&l| cosine[l] = f64::NAN);
        Specimen { cosine, ..specimen("FA") }.audit().reasons.join("\n")
    };
    assert!(lost(&[2]).contains("The cosine is not a number at layer 2."), "{}", lost(&[2]));
    let two = lost(&[0, 3]);
    assert!(two.contains("The cosine is not a number at layers 0 and 3."), "{two}");
}

#[test]
fn stability_never_decides_and_needs_eight_batches() {
    // Every sample of every batch alike: cosine 1 between batches.
    let layers = || vec![matrix(&[&[1.0f32, 2.0][..]; 4]); 3];
    let with = |batches: usize| {
        let trace = trace((0..batches).map(|_| same_everywhere(layers())).collect());
        let frozen = FrozenBaseline {
            accuracy: 0.3,
            method: "frozen".into(),
            source: "test".into(),
            differs: Vec::new(),
        };
        let subject = specimen("DFA").subject();
        judge(
            subject,
            Evidence::default(),
            &trace,
            Some(0.5),
            frozen.into(),
            &Thresholds::default(),
            None,
        )
    };
    let drift = with(8);
    assert_eq!(drift.diagnostics.stability.status, Fired);
    assert_eq!(drift.verdict, Decision::Trustworthy);
    assert!(drift.reasons.iter().any(|r| r.contains("sub-mode drift")));
    let few = with(7);
    assert_eq!(few.diagnostics.stability.status, Inconclusive);
    assert!((few.diagnostics.stability.value.unwrap().0 - 1.0).abs() < 1e-12);
    assert!(few.notes.iter().any(|n| n.contains("7 of at least 8 batches")));
}

#[test]
fn mode_one_makes_the_cosines_uninterpretable_and_mode_two_unnameable() {
    let audit = specimen("DFA").audit();
    let text = audit.reasons.join("\n");
    assert!(
        text.contains("Mode 1, scale: block 0 multiplies the mean hidden norm by 607"),
        "{text}"
    );
    assert!(
        text.contains("Mode 1, reference: the median gradient norm at h_4 is 5.7e-9 (N = 128)")
    );
    assert!(text.contains("not interpretable"));
    assert!(text.contains("Mode 2 can be neither named nor excluded"));
    assert!(text.contains("29.54% is 4.86 points under frozen blocks (34.40%)"), "{text}");
}

#[test]
fn mode_two_names_the_layers_that_carry_the_credit() {
    let audit = specimen("FA").audit();
    let text = audit.reasons.join("\n");
    assert!(text.contains("Mode 2: the aggregate cosine +0.320"), "{text}");
    assert!(text.contains("layer 3 carries 73%"), "{text}");
    assert!(text.contains("layers 3 and 0 together 93%"), "{text}");
    assert!(text.contains("median layer has +0.16"), "{text}");
    assert!(text.contains("null band is not evaluated"), "{text}");
}

#[test]
fn evenly_spread_credit_names_no_mode_two_nor_does_rounding_noise() {
    let even = specimen("DFA λ=1e-2").audit();
    assert!(even.reasons.iter().all(|r| !r.contains("Mode 2")), "{:?}", even.reasons);
    // Two cosines of 0.001 with a spread of 0.05 over 1280 samples are within their own error.
    let noise = Specimen { cosine: vec![0.001, 0.0, 0.0, 0.0, 0.0], ..specimen("FA") };
    assert!(noise.audit().reasons.iter().all(|r| !r.contains("Mode 2")));
}

#[test]
fn backpropagation_claims_no_mode_and_a_rule_that_looks_like_it_is_questioned() {
    let bp = specimen("BP").audit();
    assert!(bp.reasons.iter().all(|r| !r.contains("Mode")), "{:?}", bp.reasons);
    assert!(bp.notes.is_empty(), "{:?}", bp.notes);
    let copied = Specimen { label: "DFA", ..specimen("BP") };
    assert!(copied.audit().notes[0].contains("is the reference gradient itself"));
    let exploded = Specimen { hidden: vec![1.0, 1.0, 1.0, 1.0, 900.0], ..specimen("BP") };
    assert!(exploded.audit().reasons[0].starts_with("Scale: block 3 multiplies"));
}

#[test]
fn a_diverged_run_is_never_trustworthy() {
    let diverged = Specimen { diverged: Some("loss was nan in epoch 3"), ..specimen("BP") };
    let audit = diverged.audit();
    assert_eq!(audit.verdict, Decision::Inconclusive);
    assert_eq!(audit.reasons[0], "Training diverged: loss was nan in epoch 3.");
}

#[test]
fn a_floor_that_only_fires_for_the_batch_size_says_so() {
    // 8.9e-7 at N = 128 is 5.6e-8 at N = 2048.
    let wide = Specimen { gradient: vec![5.6e-8; 5], samples: 2048, batches: 1, ..specimen("FA") };
    let audit = wide.audit();
    assert_eq!(audit.diagnostics.reference.status, Fired);
    let note = audit.notes.iter().find(|n| n.contains("N = 2048")).unwrap();
    assert!(note.ends_with("At 128 it would be 9.0e-7, which would pass."), "{note}");
}

#[test]
fn that_nothing_proves_the_reference_is_told_of_a_run_with_cosines() {
    use crate::evidence::{Checked, proof};
    let told = |label: &str, proof: Checked| {
        let mut audit = specimen(label).audit();
        audit.evidence.checks.push(proof);
        reasons::reasons(&audit).contains(&"Nobody proved it.".to_string())
    };
    let unproved = || Checked::not_checkable(proof::CHECK, "Nobody proved it.");
    assert!(told("FA", unproved()));
    assert!(!told("frozen (DFA)", unproved()));
    assert!(!told("FA", Checked::holds(proof::CHECK, "Nobody proved it.")));
}

#[test]
fn a_reference_at_its_floor_passes_and_what_it_would_do_at_128_is_told() {
    let note = |value: f64, n: usize, standard: f64| {
        let mut audit = specimen("FA").audit();
        let found = &mut audit.diagnostics.reference;
        found.value = Some(Number(value));
        found.detail.batch_size = Some(n);
        found.detail.at_batch_128 = Some(Number(standard));
        caveats::caveats(&audit).into_iter().find(|n| n.contains("scales with 1/N"))
    };
    assert!(note(1e-7, 64, 5e-8).unwrap().ends_with("5.0e-8, which would fire."));
    assert!(note(5e-8, 256, 1e-7).unwrap().ends_with("1.0e-7, which would pass."));
    assert!(note(1e-6, 64, 5e-7).unwrap().ends_with("it would be 5.0e-7."));
    assert_eq!(note(1e-7, 128, 1e-7), None);
    assert_eq!(note(f64::NAN, 64, f64::NAN), None);
}

#[test]
fn a_threshold_of_ones_own_is_compared_with_its_calibration() {
    let own = Thresholds { growth: 5.0, reference: 1e-6, ..Thresholds::default() };
    let run = specimen("BP");
    let beside = Beside::default();
    let audit =
        judge(run.subject(), Evidence::default(), &run.trace(), Some(0.58), beside, &own, None);
    let text = audit.notes.join("\n");
    assert!(text.contains("growth threshold is 5 instead of the published 50 (outside"), "{text}");
    assert!(text.contains("reference threshold is 1e-6 instead of the published 1e-7 (inside"));
}

#[test]
fn an_empty_or_malformed_trace_is_inconclusive_and_does_not_panic() {
    let mut malformed = specimen("BP").trace();
    malformed.batches[3].hidden.pop();
    for bad in [trace(vec![]), malformed] {
        let audit = judge(
            Subject::default(),
            Evidence::default(),
            &bad,
            Some(0.5),
            Beside::default(),
            &Thresholds::default(),
            None,
        );
        assert_eq!(statuses(&audit), [NotEvaluated; 4]);
        assert_eq!(audit.verdict, Decision::Inconclusive);
        assert_eq!(audit.cosine.aggregate, None);
        serde_json::to_string(&audit).unwrap();
    }
}

#[test]
fn over_seeds_a_diagnostic_fires_on_more_than_half_and_depth_on_the_mean() {
    let seeds = |growths: [f32; 3], accuracies: [f64; 3]| -> MethodSummary {
        let audits: Vec<Audit> = (0..3)
            .map(|i| {
                let run = Specimen {
                    hidden: vec![1.0, growths[i], 1.0],
                    gradient: vec![1e-4; 3],
                    cosine: vec![0.2; 3],
                    accuracy: accuracies[i],
                    frozen: Some(0.30),
                    ..specimen("DFA")
                };
                Specimen { seed: [42, 123, 456][i], ..run }.audit()
            })
            .collect();
        let found = summarise(&audits);
        assert_eq!(found.len(), 1);
        found[0].clone()
    };
    let one = seeds([60.0, 1.0, 1.0], [0.31, 0.35, 0.33]);
    assert_eq!((one.growth.fired, one.growth.status), (1, Passed));
    // Fires on one seed (+1), passes on the mean (+3).
    assert_eq!((one.depth_utility.fired, one.depth_utility.status), (1, Passed));
    assert_eq!(one.accuracy.to_string(), "0.33 ± 0.02 (n=3)");
    assert_eq!(one.verdict, Decision::Trustworthy);
    let two = seeds([60.0, 70.0, 1.0], [0.31, 0.31, 0.35]);
    assert_eq!((two.growth.fired, two.growth.status), (2, Fired));
    // Fires on two of three seeds, and still passes on the mean (+2.33).
    assert_eq!((two.depth_utility.fired, two.depth_utility.status), (2, Passed));
    assert_eq!(two.verdict, Decision::WalkedBack);
}

#[test]
fn a_seed_without_a_twin_keeps_the_method_from_passing() {
    let with = specimen("BP").audit();
    let without = Specimen { frozen: None, seed: 123, ..specimen("BP") };
    let found = summarise(&[with, without.audit(), specimen("FA").audit()]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].depth_utility.status, NotEvaluated);
    assert_eq!(found[0].depth_utility.evaluated, 1);
    assert_eq!(found[0].verdict, Decision::Inconclusive);
    assert_eq!(found[0].seeds, [Some(42), Some(123)]);
    assert_eq!(found[1].verdict, Decision::Trustworthy);
}

#[test]
fn a_learned_credit_tells_what_it_gains_over_its_twins_and_which_one_is_missing() {
    let with = |twins: &[(&'static str, f64)]| {
        let run = specimen("DFA λ=1e-2");
        Specimen { accuracy: 0.40, auxiliary_twins: Some(twins.to_vec()), ..run }.audit()
    };
    let told = |audit: &Audit| {
        let mut found = audit.reasons.iter().filter(|r| r.starts_with("Learned credit: "));
        let said = found.next().cloned().unwrap_or_default();
        assert!(found.next().is_none());
        said
    };
    let gains = with(&[("random", 0.41), ("shuffled", 0.25)]);
    assert_eq!(
        told(&gains),
        "Learned credit: accuracy 40.00% is 1.00 points under the twin with random targets (41.00%) and \
         15.0 points over the twin with shuffled targets (25.00%)."
    );
    assert!(gains.notes.iter().all(|note| !note.contains("Learned credit")), "{:?}", gains.notes);
    let as_well = with(&[("shuffled", 0.40)]);
    assert!(told(&as_well).contains("does as well: no gain is the learned credit's"));
    // The published rule decides as before.
    assert_eq!(as_well.verdict, gains.verdict);
    let missing = with(&[("untrained", 0.25)]);
    assert!(told(&missing).ends_with("which decides, is missing."), "{}", told(&missing));
    let alone = with(&[]);
    assert!(told(&alone).ends_with("is not evaluated."), "{}", told(&alone));
    for audit in [missing, alone] {
        let note = audit.notes.iter().find(|note| note.starts_with("Learned credit: ")).unwrap();
        assert!(note.contains("auxiliary = \"shuffled\""), "{note}");
    }
    assert_eq!(told(&specimen("DFA").audit()), "");
}

#[test]
fn a_seed_that_diverged_keeps_the_method_from_being_trustworthy() {
    let healthy = Specimen { seed: 123, ..specimen("BP") };
    assert_eq!(summarise(&[healthy.audit()])[0].verdict, Decision::Trustworthy);
    let diverged = Specimen { diverged: Some("loss was nan in epoch 3"), ..specimen("BP") };
    assert_eq!(summarise(&[healthy.audit(), diverged.audit()])[0].verdict, Decision::Inconclusive);
}
