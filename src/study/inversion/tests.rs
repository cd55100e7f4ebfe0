use super::*;
use crate::config::Auxiliary;
use crate::diagnostics::controls::Control;
use crate::report::testing::{SEEDS, bridges, study as made_up};
use crate::study::testing::{Sketch, study as sketched};

/// The place of `method` by each column.
fn ranks_of(found: &Inversion, method: &str) -> Vec<f64> {
    let ranked = found.methods.iter().find(|m| m.method == method).expect("it is ranked");
    ranked.places.iter().map(|place| place.rank.expect("a rank").0).collect()
}

fn tau(found: &Inversion, over: Over, by: By) -> &Agreement {
    found.agreements.iter().find(|a| a.over == over && a.by == by).expect("one each")
}

#[test]
fn equal_values_share_their_middle_place() {
    assert_eq!(ranks(&[0.3, 0.1, 0.2]), [1.0, 3.0, 2.0]);
    assert_eq!(ranks(&[0.3, 0.3, 0.1, 0.3]), [2.0, 2.0, 4.0, 2.0]);
    assert_eq!(ranks(&[-1.0, -1.0]), [1.5, 1.5]);
}

/// The penalised runs of the paper (protocol §6.3), as an audit would have them: cosine, ρ, Δ, ratio,
/// accuracy, fall of the loss.
fn published() -> StudyResult {
    let runs = [
        (Method::Dfa, 0.151, 0.080, -4.98e-5, 0.1, 0.3595, 0.095),
        (Method::StateBridge, 0.322, 0.402, -1.93e-3, 0.5, 0.453, 0.447),
        (Method::CreditBridge, 0.679, 0.464, -4.26e-4, 0.3, 0.360, 0.121),
    ];
    let mut sketches = Vec::new();
    let mut wanted = Vec::new();
    for (method, cosine, rho, delta, ratio, accuracy, fall) in runs {
        for seed in SEEDS {
            let mut sketch = Sketch::new(method, seed, &[(0.1, 1.2, 1e-4), (accuracy, 1.2, 1e-4)]);
            sketch.config.penalty = 0.01;
            sketch.cosine = vec![cosine; 5];
            sketches.push(sketch);
            wanted.push((rho, delta, ratio, fall));
        }
    }
    let mut study = sketched(&sketches);
    let controls = made_up().runs[0].audit.as_ref().unwrap().controls.clone().unwrap();
    for (run, (rho, delta, ratio, fall)) in study.runs.iter_mut().zip(wanted) {
        let mut controls = controls.clone();
        match (&mut controls.perturbation, &mut controls.nudging, &mut controls.descent) {
            (Control::Found(p), Control::Found(n), Control::Found(d)) => {
                p.per_layer.iter_mut().for_each(|layer| layer.credit = Number(rho));
                n.per_layer.iter_mut().for_each(|layer| layer.credit = Number(delta));
                d.per_block.iter_mut().for_each(|block| block.ratio = Number(ratio));
            }
            _ => panic!("all three were measured"),
        }
        run.audit.as_mut().unwrap().controls = Some(controls);
        run.metrics[1].train_loss = Number(run.metrics[0].train_loss.0 - fall);
    }
    study
}

#[test]
fn the_published_methods_are_ranked_by_cosine_and_by_each_function() {
    let found = inversions(&published()).remove(0);
    assert_eq!(found.condition, "λ = 0.01");
    let order: Vec<&str> = found.methods.iter().map(|m| m.method.as_str()).collect();
    assert_eq!(order, ["credit-bridge λ=0.01", "state-bridge λ=0.01", "dfa λ=0.01"]);
    // Cosine, deep cosine, ρ, −Δ, descent, accuracy, loss.
    assert_eq!(ranks_of(&found, order[0]), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
    assert_eq!(ranks_of(&found, order[1]), [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(ranks_of(&found, order[2]), [3.0; 7]);
    let third = 1.0 / 3.0;
    for over in [Over::Trained, Over::Deep] {
        for (by, want) in [
            (By::Perturbation, 1.0),
            (By::Nudging, third),
            (By::Descent, third),
            (By::Accuracy, third),
            (By::LossDecrease, third),
        ] {
            let found = tau(&found, over, by);
            assert_eq!((found.per_seed.len(), &found.not_evaluated), (3, &None));
            let tau = found.tau.unwrap();
            assert!((tau.mean - want).abs() < 1e-12 && tau.std == Some(0.0), "{by:?}: {tau}");
            // The seeds do not differ here at all.
            assert_eq!(found.order, Order::Along);
        }
    }
}

#[test]
fn tau_is_taken_on_each_seed_and_its_interval_over_them_decides() {
    let mut study = published();
    // State Bridge's accuracy falls under DFA's on one seed: −1 there, and on the others ⅓.
    study.runs[3].audit.as_mut().unwrap().accuracy = Some(Number(0.1));
    study.runs[6].audit.as_mut().unwrap().accuracy = Some(Number(0.2));
    let found = inversions(&study).remove(0);
    let accuracy = tau(&found, Over::Trained, By::Accuracy);
    let per_seed: Vec<(u64, f64)> = accuracy.per_seed.iter().map(|s| (s.seed, s.tau.0)).collect();
    let third = 1.0 / 3.0;
    // DFA .3595 over CB .2 over SB .1 against CB over SB over DFA: one pair of three agrees.
    assert_eq!(per_seed, [(42, -third), (123, third), (456, third)]);
    let summary = accuracy.tau.unwrap();
    assert!((summary.mean - third / 3.0).abs() < 1e-12);
    assert_eq!(accuracy.interval, interval_95(&[-third, third, third]));
    assert_eq!(accuracy.order, Order::Open);
}

#[test]
fn an_order_that_is_against_another_on_every_seed_is_called_so() {
    let mut study = published();
    for run in &mut study.runs {
        let audit = run.audit.as_mut().unwrap();
        audit.accuracy = Some(Number(1.0 - audit.cosine.aggregate.unwrap().0));
    }
    let found = inversions(&study).remove(0);
    let accuracy = tau(&found, Over::Deep, By::Accuracy);
    assert_eq!((accuracy.tau.unwrap().mean, accuracy.order), (-1.0, Order::Against));
    // Of one seed its sign decides, without an interval.
    study.runs.retain(|run| run.record.config.seed == 42);
    let one = inversions(&study).remove(0);
    let accuracy = tau(&one, Over::Trained, By::Accuracy);
    assert_eq!((accuracy.interval, accuracy.order), (None, Order::Against));
}

#[test]
fn two_methods_have_no_order_and_a_metric_that_is_missing_says_why() {
    let mut study = published();
    study.runs.truncate(6);
    let found = inversions(&study).remove(0);
    assert_eq!(found.methods.len(), 2);
    for agreement in &found.agreements {
        assert_eq!(agreement.order, Order::NotEvaluated);
        assert_eq!(
            agreement.not_evaluated.as_deref(),
            Some("2 methods are ranked, and 3 are needed")
        );
    }
    let mut study = published();
    study.runs[4].audit.as_mut().unwrap().controls = None;
    study.runs[8].metrics.truncate(1);
    let found = inversions(&study).remove(0);
    let rho = tau(&found, Over::Trained, By::Perturbation);
    assert_eq!(rho.per_seed.iter().map(|s| s.seed).collect::<Vec<_>>(), [42, 456]);
    assert_eq!(
        rho.not_evaluated.as_deref(),
        Some("state-bridge λ=0.01, seed 123: its controls were not computed")
    );
    let loss = tau(&found, Over::Trained, By::LossDecrease);
    let why = loss.not_evaluated.as_deref().unwrap();
    assert!(why.starts_with("credit-bridge λ=0.01, seed 456: its loss has no decrease"), "{why}");
    // Without a value of every seed a method has no place there, nor have the others.
    assert!(found.methods.iter().all(|m| m.places[2].rank.is_none()));
    assert!(found.methods.iter().all(|m| m.places[5].rank.is_some()));
}

#[test]
fn methods_that_are_all_equal_have_no_tau() {
    let mut study = published();
    for run in &mut study.runs {
        run.audit.as_mut().unwrap().accuracy = Some(Number(0.25));
    }
    let found = inversions(&study).remove(0);
    let accuracy = tau(&found, Over::Trained, By::Accuracy);
    assert_eq!((accuracy.tau, accuracy.order), (None, Order::NotEvaluated));
    assert_eq!(accuracy.not_evaluated.as_deref(), Some("seed 42: all methods are equal"));
}

#[test]
fn bp_baselines_and_controls_are_not_ranked_and_a_cosine_without_reference_ranks_nothing() {
    let found = inversions(&bridges());
    let names = |of: &Inversion| of.methods.iter().map(|m| m.method.clone()).collect::<Vec<_>>();
    // DFA's reference has collapsed without the penalty.
    assert_eq!((found[0].condition.as_str(), found.len()), ("λ = 0", 2));
    assert_eq!(names(&found[0]), ["credit-bridge", "state-bridge", "fa"]);
    assert_eq!(found[0].left_out.len(), 1);
    assert_eq!(found[0].left_out[0].method, "dfa");
    assert!(
        found[0].left_out[0]
            .why
            .ends_with("its reference (fired) does not let the cosines be read"),
        "{}",
        found[0].left_out[0].why
    );
    assert_eq!(found[1].condition, "λ = 0.01");
    assert_eq!(names(&found[1]), ["credit-bridge λ=0.01", "dfa λ=0.01"]);
}

#[test]
fn what_is_trained_otherwise_is_another_condition_and_named_by_what_differs() {
    let mut sketches = Vec::new();
    for width in [64, 128] {
        for method in [Method::Fa, Method::Dfa] {
            for seed in [1, 2] {
                let mut sketch = Sketch::audited(method, seed, 0.4, 1.2, 1e-4);
                sketch.config.width = width;
                sketches.push(sketch);
            }
        }
    }
    let mut twin = Sketch::audited(Method::StateBridge, 1, 0.4, 1.2, 1e-4);
    (twin.config.width, twin.config.auxiliary) = (64, Auxiliary::Shuffled);
    sketches.push(twin);
    let found = inversions(&sketched(&sketches));
    let names: Vec<&str> = found.iter().map(|found| found.condition.as_str()).collect();
    assert_eq!(names, ["λ = 0, width 64", "λ = 0, width 128"]);
    assert!(found.iter().all(|found| found.methods.len() == 2), "{found:?}");
    // One method alone has nothing to stand beside.
    let alone = inversions(&sketched(&[Sketch::audited(Method::Fa, 1, 0.4, 1.2, 1e-4)]));
    assert!(alone.is_empty());
}
