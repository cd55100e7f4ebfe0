//! The guide's rules, and that every rule says what it is.

use super::guide_learned_dfa::LearnedDfa;
use super::guide_sdfa::Sdfa;
use super::*;
use crate::config::{Arch, Method};
use crate::data::DatasetKind;
use crate::model::Net;
use burn::backend::{Autodiff, Flex};

type B = Autodiff<Flex>;

fn matrix<const R: usize, const C: usize>(rows: [[f32; C]; R]) -> Tensor<Flex, 2> {
    Tensor::from_floats(rows, &Default::default())
}

/// A batch of two samples as a local rule sees it, and a network to ask.
fn known(error: Tensor<Flex, 2>, top: Option<Tensor<Flex, 2>>) -> Known<Flex> {
    let labels = Tensor::from_ints([1, 0], &Default::default());
    let outputs = error.zeros_like();
    Known { blocks: 1, outputs, error, target: labels.into(), top, hidden: Vec::new() }
}

/// A rule of one block that works with `own`.
fn learner(own: Own<Flex>) -> Learner<B> {
    let config = Config::published(Arch::ResMlp, DatasetKind::Synthetic);
    Learner::new(Base::Dfa, Settings::of(&config), own)
}

const TURN: Turn = Turn { seed: 1, epoch: 1, step: 0 };

fn net() -> Net<B> {
    let config = Config { width: 2, ..Config::published(Arch::ResMlp, DatasetKind::Synthetic) };
    Net::new(&config, 3, &Default::default())
}

#[test]
fn the_guides_error_sign_dfa_is_dfa_of_the_errors_sign() {
    let own = Own::of_feedback(vec![matrix([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])], None);
    let error = matrix([[0.2, -0.7, 0.5], [-0.9, 0.4, 0.5]]);
    let values = |credit: Credit<Flex>| credit.layers[0].to_data();
    let (net, learner, buffers) = (net(), learner(own), Buffers::new());
    let scene = learner.scene(&net, &buffers, TURN);
    let sdfa = values(Sdfa::credit(&scene, &known(error.clone(), None)));
    let dfa = |error| values(dfa::Dfa::credit(&scene, &known(error, None)));
    assert_eq!(sdfa, dfa(error.clone().sign()));
    assert_ne!(sdfa, dfa(error));
}

/// With a linear readout W the target of B is W e for every sample; the descent on two errors in
/// general position fits it there, and nowhere else.
#[test]
fn the_guides_learned_feedback_comes_to_the_readout() {
    let w = matrix([[0.5, -1.0, 0.25], [1.5, 0.75, -0.5]]);
    let error = matrix([[0.2, -0.7, 0.5], [-0.9, 0.4, 0.5]]);
    let target = error.clone().matmul(w.clone().transpose());
    let seen = known(error.clone(), Some(target.clone().div_scalar(2.0)));
    let own = Own::of_feedback(vec![matrix([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])], None);
    let (net, mut learner, buffers) = (net(), learner(own), Buffers::new());
    let distance = |learner: &Learner<B>| -> f32 {
        let scene = learner.scene(&net, &buffers, TURN);
        let credit = LearnedDfa::credit(&scene, &seen).layers.remove(0);
        (credit - target.clone()).square().sum().into_scalar()
    };
    let start = distance(&learner);
    for _ in 0..200 {
        let mut gradients = LearnedDfa::learn(&learner.scene(&net, &buffers, TURN), &seen);
        let own = learner.own_mut();
        own.change(|name, _, value| value - gradients.remove(name).expect("one each"));
    }
    let end = distance(&learner);
    assert!(start > 1.0 && end < 1e-8, "from {start} to {end}");
    let elsewhere = matrix([[1.0, 1.0, 1.0]]);
    let of = |b: Tensor<Flex, 2>| elsewhere.clone().matmul(b.transpose()).to_data();
    assert_ne!(of(learner.own().layers().next().unwrap().clone()), of(w));
}

/// What a card names as the proof must be a test of this project.
#[test]
fn every_rule_has_an_identity_card_whose_proof_is_a_test() {
    let sources = [
        include_str!("../../tests/numerics/identities.rs"),
        include_str!("../../tests/numerics/rules.rs"),
        include_str!("../../tests/numerics/golden.rs"),
        include_str!("../../tests/numerics/bridges.rs"),
        include_str!("../../tests/numerics/grape.rs"),
        include_str!("../../tests/numerics/two_phase.rs"),
    ];
    for rule in Method::ALL.iter().filter_map(|method| method.rule()) {
        let Card { paper, equation, differs, limits, proof, .. } = card(rule);
        for text in [paper, equation, differs, limits, proof] {
            assert!(!text.is_empty(), "{rule}");
        }
        let name = format!("fn {proof}()");
        assert!(sources.iter().any(|source| source.contains(&name)), "{rule}: {proof}");
    }
}
