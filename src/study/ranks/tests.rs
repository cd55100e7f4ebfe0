use super::super::testing::{Sketch, study};
use super::*;
use crate::config::Method;

const CALM: (f64, f64, f64) = (0.30, 2.0, 1e-4);

/// A method, its seed, and loss and rank after each epoch.
type Sketched<'a> = (Method, u64, &'a [(f64, f64)]);

/// A method whose training loss and effective rank of W_T − W_0 are these after each epoch.
fn study_of(of: &[Sketched]) -> StudyResult {
    let sketches: Vec<Sketch> = of
        .iter()
        .map(|(method, seed, epochs)| Sketch::new(*method, *seed, &vec![CALM; epochs.len()]))
        .collect();
    let mut study = study(&sketches);
    for (run, (.., epochs)) in study.runs.iter_mut().zip(of) {
        for (line, (loss, rank)) in run.metrics.iter_mut().zip(*epochs) {
            line.train_loss = Number(*loss);
            line.ranks = [1.0, 3.0]
                .map(|factor| MatrixRank {
                    matrix: RankOf::Change.name(factor),
                    rows: 4,
                    cols: 4,
                    effective: Number(rank * factor),
                    energy: Number(*rank),
                    stable: Number(1.0),
                    participation: Number(2.0),
                })
                .to_vec();
        }
    }
    study
}

fn found(of: &[Sketched]) -> Vec<MethodRanks> {
    let mut found = ranks(&study_of(of));
    assert_eq!(found.len(), 1);
    found.remove(0).methods
}

const FAST: &[(f64, f64)] = &[(2.0, 1.0), (1.0, 2.0), (0.5, 5.0)];
const SLOW: &[(f64, f64)] = &[(2.2, 1.0), (1.9, 4.0), (1.0, 7.0)];

#[test]
fn methods_are_compared_at_the_lowest_loss_that_all_reach() {
    let methods = found(&[(Method::Bp, 42, FAST), (Method::Dfa, 42, SLOW)]);
    let [bp, dfa] = &methods[..] else { panic!("{methods:?}") };
    let read = |method: &MethodRanks| {
        let matched = method.matched.clone().unwrap();
        (matched.loss[0].0, matched.epochs[0], matched.ranks[0].effective.mean)
    };
    // The mean over the two matrices is twice the rank given.
    assert_eq!(read(bp), (1.0, 2, 4.0));
    assert_eq!(read(dfa), (1.0, 3, 14.0));
    assert_eq!(bp.epochs.len(), 3);
    assert_eq!(bp.epochs[2].ranks[0].effective, Summary::of(&[10.0]));
}

#[test]
fn each_seed_has_its_own_loss_and_one_without_a_partner_has_none() {
    let slower: &[(f64, f64)] = &[(2.2, 1.0), (1.9, 4.0), (1.5, 9.0)];
    let methods = found(&[
        (Method::Bp, 1, FAST),
        (Method::Bp, 2, FAST),
        (Method::Bp, 3, FAST),
        (Method::Dfa, 1, SLOW),
        (Method::Dfa, 2, slower),
    ]);
    let bp = methods[0].matched.as_ref().unwrap();
    assert_eq!((&bp.seeds[..], &bp.epochs[..]), (&[1, 2][..], &[2, 2][..]));
    assert_eq!(bp.loss, [Number(1.0), Number(1.5)]);
    assert_eq!(methods[1].matched.as_ref().unwrap().ranks[0].effective, Summary::of(&[14.0, 18.0]));
}

#[test]
fn what_exploded_matches_nothing_and_what_recorded_none_is_left_out() {
    let exploded: &[(f64, f64)] = &[(f64::NAN, f64::NAN)];
    let methods = found(&[(Method::Bp, 1, FAST), (Method::Dfa, 1, exploded)]);
    assert!(methods.iter().all(|method| method.matched.is_none()), "{methods:?}");
    assert!(methods[1].epochs[0].ranks[0].effective.mean.is_nan());

    let mut study = study_of(&[(Method::Bp, 1, FAST), (Method::Dfa, 1, SLOW)]);
    for line in &mut study.runs[1].metrics {
        line.ranks.clear();
    }
    assert_eq!(ranks(&study)[0].methods.len(), 1);
    study.runs.truncate(0);
    assert!(ranks(&study).is_empty());
}
