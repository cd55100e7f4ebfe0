use super::super::testing::{Sketch, study};
use super::*;
use crate::config::{Base, Method as Rule};

/// A run by accuracy (frozen: .30), growth and gradient.
fn run(method: Rule, seed: u64, accuracy: f64, growth: f64, gradient: f64) -> Sketch {
    Sketch::audited(method, seed, accuracy, growth, gradient)
}

/// The published extremes (protocol §4): BP and DFA, two seeds each, and a frozen baseline.
fn published() -> Sweep {
    sweep(&study(&[
        run(Rule::Bp, 1, 0.60, 11.0, 1.02e-4),
        run(Rule::Bp, 2, 0.58, 1.0, 4.0e-4),
        run(Rule::Dfa, 1, 0.26, 694.0, 4.18e-9),
        run(Rule::Dfa, 2, 0.27, 1900.0, 1.0e-9),
        Sketch { frozen: None, ..run(Rule::Frozen, 1, 0.30, 900.0, 1e-9) },
    ]))
}

fn near(found: Option<Number>, want: f64) -> bool {
    found.is_some_and(|found| (found.0 / want - 1.0).abs() < 1e-6)
}

#[test]
fn the_published_extremes_have_the_published_gaps() {
    let found = published();
    assert_eq!(found.methods, ["bp", "dfa"]);
    let growth = found.growth.separation;
    assert!(near(growth.healthy, 11.0) && near(growth.degenerate, 694.0));
    assert!(near(growth.ratio, 694.0 / 11.0), "63 times");
    let reference = found.reference.separation;
    assert!(near(reference.healthy, 1.02e-4) && near(reference.degenerate, 4.18e-9));
    // Published as 24,338, from values with more digits.
    assert!((reference.ratio.unwrap().0 - 24_402.0).abs() < 1.0, "{reference:?}");
    let depth = found.depth_utility.separation;
    assert!(near(depth.healthy, 28.0) && near(depth.degenerate, -3.0));
    assert_eq!(depth.ratio, None);
}

#[test]
fn the_grid_spans_a_factor_of_ten_to_each_side_of_the_published_threshold() {
    let found = published();
    let grid: Vec<f64> = found.growth.points.iter().map(|p| p.threshold.0).collect();
    assert_eq!((grid.len(), grid[0], grid[4], grid[8]), (9, 5.0, 50.0, 500.0));
    assert!((grid[6] - 158.113883).abs() < 1e-6, "50 √10");
    let floors: Vec<f64> = found.reference.points.iter().map(|p| p.threshold.0).collect();
    assert_eq!((floors[4], found.reference.used), (1e-7, Number(1e-7)));
    assert!((floors[0] / 1e-8 - 1.0).abs() < 1e-12 && (floors[8] / 1e-6 - 1.0).abs() < 1e-12);
    let points: Vec<f64> = found.depth_utility.points.iter().map(|p| p.threshold.0).collect();
    assert_eq!(points, DEPTH_UTILITY_GRID);
}

#[test]
fn dfa_with_penalty_fires_depth_utility_only_from_1_5_points_on() {
    // Protocol §4 (d): −4 points fire at all thresholds, +1.1 to +1.4 only from 1.5 on.
    let mut penalised: Vec<Sketch> =
        [0.311, 0.314].iter().map(|a| run(Rule::Dfa, (a * 1e3) as u64, *a, 1.0, 1e-4)).collect();
    penalised.iter_mut().for_each(|s| s.config.penalty = 0.01);
    penalised.push(run(Rule::Dfa, 1, 0.26, 600.0, 1e-9));
    let found = sweep(&study(&penalised)).depth_utility;
    let fires = |threshold| {
        let point = found.points.iter().find(|p| p.threshold == Number(threshold)).unwrap();
        (point.fires.len(), point.verdict_changes.clone())
    };
    assert_eq!(fires(1.0), (1, vec!["dfa λ=0.01".to_string()]));
    assert_eq!(fires(1.5), (2, vec![]));
    assert_eq!(fires(10.0), (2, vec![]));
    // The mean margin 1.25 is where it turns; DFA without penalty fires by growth at any threshold.
    assert!(near(found.same_verdicts.low, 1.25) && found.same_verdicts.high.is_none());
    assert!(near(found.same_firings.low, 1.25));
}

#[test]
fn a_range_ends_where_more_than_half_of_the_seeds_turn() {
    // DFA fires while two of three seeds grow by more: up to 80. FA passes from 20 on: 1 of 3 is not half.
    let seeds = |method, growths: [f64; 3]| {
        growths.map(|growth| run(method, growth as u64, 0.5, growth, 1e-4))
    };
    let runs = [seeds(Rule::Dfa, [60.0, 80.0, 90.0]), seeds(Rule::Fa, [10.0, 20.0, 45.0])].concat();
    let found = sweep(&study(&runs)).growth;
    assert_eq!(found.same_firings, Range { low: Some(Number(20.0)), high: Some(Number(80.0)) });
    assert_eq!(found.same_verdicts, found.same_firings);
    for point in &found.points {
        let t = point.threshold.0;
        let mut want = Vec::new();
        want.extend((t < 80.0).then_some("dfa"));
        want.extend((t < 20.0).then_some("fa"));
        assert_eq!(point.fires, want, "{t}");
        assert_eq!(point.verdict_changes.is_empty(), (20.0..80.0).contains(&t), "{t}");
    }
    // FA is trustworthy, one of its seeds at 45; DFA's mildest seed is at 60.
    let gap = found.separation;
    assert_eq!((gap.healthy, gap.degenerate), (Some(Number(45.0)), Some(Number(60.0))));
}

#[test]
fn a_verdict_that_another_diagnostic_forces_bounds_no_range() {
    let found = published();
    // DFA also fires the reference and depth utility: growth cannot change its verdict.
    assert_eq!(found.growth.same_firings.high, Some(Number(694.0)));
    assert_eq!(found.growth.same_verdicts.high, None);
    assert_eq!(found.growth.same_verdicts.low, Some(Number(1.0)));
}

#[test]
fn at_the_threshold_used_the_sweep_says_what_the_verdicts_say() {
    let mut runs = Vec::new();
    for (i, growth) in [1.0, 49.0, 51.0, 400.0, f64::INFINITY, f64::NAN].into_iter().enumerate() {
        for (j, gradient) in [1e-3, 1.1e-7, 0.9e-7, f64::NAN].into_iter().enumerate() {
            let mut sketch =
                run(Rule::Dfa, (7 * i + j) as u64, 0.3 + 0.01 * (i + j) as f64, growth, gradient);
            // Three seeds a method.
            sketch.config.penalty = ((4 * i + j) / 3) as f64;
            runs.push(sketch);
        }
    }
    let study = study(&runs);
    let told = sweep(&study);
    let summaries: Vec<MethodSummary> =
        methods(&study).iter().filter_map(|m| m.summary()).collect();
    assert_eq!(summaries.len(), 8);
    let fired = |status: fn(&MethodSummary) -> Status| -> Vec<&str> {
        let fired = summaries.iter().filter(|m| status(m) == Status::Fired);
        fired.map(|m| m.label.as_str()).collect()
    };
    let at = |s: &DiagnosticSweep, t| -> Vec<String> {
        s.points.iter().find(|p| p.threshold == Number(t)).unwrap().fires.clone()
    };
    assert_eq!(at(&told.growth, 50.0), fired(|m| m.growth.status));
    assert_eq!(at(&told.reference, 1e-7), fired(|m| m.reference.status));
    assert_eq!(at(&told.depth_utility, 2.0), fired(|m| m.depth_utility.status));
    assert!(!at(&told.growth, 50.0).is_empty() && at(&told.growth, 50.0).len() < 8);
}

#[test]
fn what_is_not_finite_fires_everywhere_and_is_counted() {
    let found = sweep(&study(&[
        run(Rule::Dfa, 1, 0.1, f64::NAN, 1e-4),
        run(Rule::Dfa, 2, 0.1, 700.0, 1e-4),
        run(Rule::Fa, 1, 0.1, f64::INFINITY, 1e-4),
    ]))
    .growth;
    assert!(found.points.iter().all(|p| p.fires.contains(&"fa".to_string())));
    assert_eq!(found.separation.degenerate, Some(Number(700.0)));
    assert_eq!(found.separation.degenerate_not_finite, 2);
    assert_eq!((found.separation.healthy, found.separation.ratio), (None, None));
    // One of three healthy seeds exploded, and the gap says so.
    let healthy = [f64::NAN, 1.0, 1.0].iter().enumerate();
    let mut runs: Vec<_> =
        healthy.map(|(i, growth)| run(Rule::Bp, i as u64, 0.6, *growth, 1e-4)).collect();
    runs.push(run(Rule::Dfa, 1, 0.1, 700.0, 1e-4));
    let found = sweep(&study(&runs)).growth.separation;
    assert!(found.healthy.unwrap().0.is_nan() && found.ratio.unwrap().0.is_nan());
}

#[test]
fn a_method_that_was_not_evaluated_is_named() {
    let alone = Sketch { frozen: None, ..run(Rule::Bp, 1, 0.6, 1.0, 1e-4) };
    let found = sweep(&study(&[alone, run(Rule::Fa, 1, 0.6, 1.0, 1e-4)]));
    assert_eq!(found.depth_utility.not_evaluated, ["bp"]);
    assert!(found.growth.not_evaluated.is_empty());
    assert!(found.depth_utility.points.iter().all(|p| p.fires.is_empty()));
}

#[test]
fn a_study_without_audits_or_with_baselines_alone_separates_nothing() {
    let mut frozen = Sketch { frozen: None, ..run(Rule::Frozen, 1, 0.3, 1.0, 1e-4) };
    frozen.config.base = Base::Bp;
    for runs in [vec![], vec![frozen]] {
        let found = sweep(&study(&runs));
        assert!(found.methods.is_empty());
        assert_eq!(found.growth.same_firings, Range { low: None, high: None });
        assert_eq!(found.growth.separation.healthy, None);
        assert!(found.growth.points.iter().all(|p| p.fires.is_empty()));
    }
}
