//! A toy rule of the two-phase family: equilibrium propagation (Scellier & Bengio 2017) on a residual
//! linear network under squared error, its states relaxed to the minimum of
//!
//! E = ½ Σ_l ‖h_{l+1} − h_l − f_l(h_l)‖² + β ½‖z − onehot(y)‖².

use crate::common::{F64, host, matrix, relative, wave};
use burn::module::{Module, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::backend::Kernels;
use fa_audit::config::{Base, CreditTokens, EmbedSignal, Objective};
use fa_audit::learn::two_phase::{self, Phase, TwoPhaseRule};
use fa_audit::learn::{Learner, Normaliser, Own, Settings, Turn};
use fa_audit::model::{Buffers, Network, Pass};

type Inner = <F64 as AutodiffBackend>::InnerBackend;

const SAMPLES: usize = 4;
const WIDTH: usize = 5;
const CLASSES: usize = 3;

/// h_0 = x E, f_l(h) = h W_l, z = h_L W.
#[derive(Module, Debug)]
struct LinearNet<B: Backend> {
    embed: Param<Tensor<B, 2>>,
    blocks: Vec<Param<Tensor<B, 2>>>,
    readout: Param<Tensor<B, 2>>,
}

impl<B: Kernels> Network<B> for LinearNet<B> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }
    fn embed(&self, images: Tensor<B, 2>, _: &mut Pass<B>) -> Tensor<B, 3> {
        images.matmul(self.embed.val()).unsqueeze_dim(1)
    }
    fn branch(&self, l: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Tensor<B, 3> {
        hidden.squeeze_dim::<2>(1).matmul(self.blocks[l].val()).unsqueeze_dim(1)
    }
    fn skip(&self, _: usize, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Option<Tensor<B, 3>> {
        Some(hidden)
    }
    fn readout(&self, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Tensor<B, 2> {
        hidden.squeeze_dim::<2>(1).matmul(self.readout.val())
    }
}

/// Equilibrium propagation by so many small steps that the states are converged.
struct Toy {
    /// w_k and β_k of each phase.
    phases: Vec<(f64, f64)>,
}

const STEPS: usize = 400;
const STEP: f64 = 0.2;

impl TwoPhaseRule<F64> for Toy {
    fn relax<N: Network<F64>>(
        &self,
        net: &N,
        pass: &mut Pass<F64>,
        images: Tensor<F64, 2>,
        labels: Tensor<F64, 1, Int>,
    ) -> Vec<Phase<F64>> {
        let clamped = net.embed(images, pass).detach();
        let relax = |&(weight, nudge): &(f64, f64)| {
            let mut states: Vec<Tensor<Inner, 3>> =
                (0..net.blocks()).map(|_| clamped.clone().inner()).collect();
            for _ in 0..STEPS {
                let leaves: Vec<Tensor<F64, 3>> =
                    states.iter().map(|h| Tensor::from_inner(h.clone()).require_grad()).collect();
                let all = [vec![clamped.clone()], leaves.clone()].concat();
                // Per sample, so that a step does not depend on the batch's size.
                let energy = self.energy(net, pass, &all, labels.clone(), nudge);
                let gradients = energy.mul_scalar(SAMPLES as f64).backward();
                for (h, leaf) in states.iter_mut().zip(&leaves) {
                    let down = leaf.grad(&gradients).expect("a state").mul_scalar(STEP);
                    *h = h.clone() - down;
                }
            }
            Phase { weight, nudge, states }
        };
        self.phases.iter().map(relax).collect()
    }

    fn energy<N: Network<F64>>(
        &self,
        net: &N,
        pass: &mut Pass<F64>,
        states: &[Tensor<F64, 3>],
        labels: Tensor<F64, 1, Int>,
        nudge: f64,
    ) -> Tensor<F64, 1> {
        let outputs = net.readout(states[net.blocks()].clone(), pass);
        let mut energy = Objective::SquaredError.mean_loss(outputs, labels).mul_scalar(nudge);
        for l in 0..net.blocks() {
            let branch = net.branch(l, states[l].clone(), pass);
            let reached = net.advance(l, states[l].clone(), branch, pass);
            let residual = states[l + 1].clone() - reached;
            energy = energy + residual.square().sum().mul_scalar(0.5 / SAMPLES as f64);
        }
        energy
    }
}

/// Protocol §12, 7: the relative error of the gradient against backpropagation's falls with β one-sided
/// and with β² under two nudged phases.
#[test]
fn a_two_phase_rule_is_backpropagation_in_the_limit() {
    let weight = |p: usize, rows: usize, columns: usize| {
        let values = wave(p, rows * columns, 0.4);
        Param::from_tensor(matrix::<F64>(values, rows, columns).require_grad())
    };
    let net = LinearNet::<F64> {
        embed: weight(1, 6, WIDTH),
        blocks: (0..2).map(|l| weight(2 + l, WIDTH, WIDTH)).collect(),
        readout: weight(9, WIDTH, CLASSES),
    };
    let settings = Settings {
        normaliser: Normaliser::None,
        penalty: 0.0,
        credit_tokens: CreditTokens::All,
        embed_signal: EmbedSignal::Credit,
        objective: Objective::SquaredError,
        seed: 0,
        bridge: None,
    };
    let images = matrix::<F64>(wave(20, SAMPLES * 6, 1.0), SAMPLES, 6);
    let labels = TensorData::from([0i64, 2, 1, 1]);
    let labels: Tensor<F64, 1, Int> = Tensor::from_data(labels, &Default::default());
    let turn = Turn { seed: 0, epoch: 1, step: 0 };
    let bp = Learner::new(Base::Bp, settings, Own::none());
    let exact = bp.learn(&net, &Buffers::new(), images.clone(), labels.clone(), turn);
    let error = |phases: Vec<(f64, f64)>| {
        let (images, labels) = (images.clone(), labels.clone());
        let lesson =
            two_phase::learn(&net, &Toy { phases }, &settings, &Buffers::new(), images, labels);
        assert_eq!(host(lesson.loss), host(exact.loss.clone()));
        assert!(lesson.network.keys().eq(exact.network.keys()));
        let all = |gradients: &fa_audit::learn::Gradients<F64>| -> Vec<f64> {
            gradients.values().flat_map(|g| host(g.clone())).collect()
        };
        relative(&all(&lesson.network), &all(&exact.network))
    };
    let one_sided = |beta: f64| error(vec![(1.0 / beta, beta), (-1.0 / beta, 0.0)]);
    let symmetric = |beta: f64| error(vec![(0.5 / beta, beta), (-0.5 / beta, -beta)]);
    let slope = |error: &dyn Fn(f64) -> f64| (error(0.02) / error(0.01)).log2();
    let (first, second) = (slope(&one_sided), slope(&symmetric));
    assert!((first - 1.0).abs() < 0.05 && one_sided(0.01) < 0.1, "slope {first}");
    assert!((second - 2.0).abs() < 0.05 && symmetric(0.01) < 0.01, "slope {second}");
}
