//! Equilibrium propagation (Scellier & Bengio 2017) on the production step in float64: what it is in
//! the limit, what the published settings make of it, and what its credits are.

use crate::common::{F64, host, matrix, published, relative, wave};
use burn::module::{Module, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::backend::Kernels;
use fa_audit::config::{
    Arch, Base, Config, CreditTokens, EmbedSignal, EpCredit, EpPhases, FeedbackForm, Method,
    Objective,
};
use fa_audit::learn::{
    Credited, Gradients, Known, Learner, Lesson, Normaliser, Nudging, Own, Reference, Settings,
    Turn, forward_and_back,
};
use fa_audit::model::{Buffers, CreditAt, Net, Network, Pass};

type Inner = <F64 as AutodiffBackend>::InnerBackend;

const TURN: Turn = Turn { seed: 0, epoch: 1, step: 0 };

fn nudging(strength: f64, (steps, step_size): (usize, f64), phases: EpPhases) -> Nudging {
    Nudging { strength, steps, step_size, phases, ..Nudging::RECOVERED }
}

/// A network, a batch and what is asked of it.
struct Case<N> {
    net: N,
    images: Tensor<F64, 2>,
    labels: Tensor<F64, 1, Int>,
    objective: Objective,
    /// So many steps of such a size that the states have settled.
    settled: (usize, f64),
}

impl<N: Network<F64>> Case<N> {
    fn settings(&self, nudging: Nudging) -> Settings {
        Settings {
            normaliser: Normaliser::None,
            penalty: 0.0,
            credit_tokens: CreditTokens::All,
            embed_signal: EmbedSignal::Credit,
            credit_at: CreditAt::Input,
            feedback_form: FeedbackForm::Full,
            objective: self.objective,
            trains_network: true,
            nudging,
            seed: 0,
            bridge: None,
            grape: None,
            anchor_every: 0,
        }
    }

    fn learner(&self, rule: Base, nudging: Nudging) -> Learner<F64> {
        Learner::new(rule, self.settings(nudging), Own::none())
    }

    fn batch(&self) -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
        (self.images.clone(), self.labels.clone())
    }

    fn lesson(&self, rule: Base, nudging: Nudging) -> Lesson<F64> {
        let (images, labels) = self.batch();
        let learner = self.learner(rule, nudging);
        learner.learn(&self.net, &Buffers::new(), images, labels, TURN)
    }

    /// The relative error of all gradients together against backpropagation's.
    fn error(&self, nudging: Nudging) -> f64 {
        let exact = self.lesson(Base::Bp, nudging);
        let own = self.lesson(Base::Ep, nudging);
        assert_eq!(host(own.loss), host(exact.loss));
        assert_eq!(host(own.outputs), host(exact.outputs));
        assert!(own.network.keys().eq(exact.network.keys()));
        let all = |gradients: &Gradients<F64>| -> Vec<f64> {
            gradients.values().flat_map(|g| host(g.clone())).collect()
        };
        relative(&all(&own.network), &all(&exact.network))
    }

    fn reference(&self) -> Reference<Inner> {
        let (images, labels) = self.batch();
        forward_and_back(&self.net, Pass::eval(&Buffers::new()), self.objective, images, labels)
    }

    /// g_0 … g_L of each sample's own loss.
    fn gradients(&self) -> Vec<Vec<f64>> {
        let [n, _] = self.images.dims();
        let whole = |g: Tensor<Inner, 3>| host(g.mul_scalar(n as f64));
        self.reference().gradient.into_iter().map(whole).collect()
    }

    /// a_0 … a_L.
    fn credit(&self, nudging: Nudging) -> Vec<Vec<f64>> {
        let known = Known {
            blocks: self.net.blocks(),
            outputs: matrix(Vec::new(), 0, 1),
            error: matrix(Vec::new(), 0, 1),
            target: self.labels.clone().inner().into(),
            top: None,
            hidden: Vec::new(),
        };
        let learner = self.learner(Base::Ep, nudging);
        match learner.credit(&self.net, &Buffers::new(), &known, || self.batch()) {
            Credited::Whole(states) => states.into_iter().map(host).collect(),
            _ => panic!("of the two-phase family"),
        }
    }

    fn growth_of_force(&self, nudging: Nudging) -> f64 {
        let learner = self.learner(Base::Ep, nudging);
        let growth = learner.growth_of_force(&self.net, &Buffers::new(), || self.batch());
        growth.expect("it relaxes")
    }
}

fn labels(n: usize, classes: usize) -> Tensor<F64, 1, Int> {
    let labels: Vec<i64> = (0..n).map(|i| ((3 * i + 1) % classes) as i64).collect();
    Tensor::from_data(TensorData::new(labels, [n]), &Default::default())
}

/// The residual MLP, d = 16, under cross-entropy, on hidden states of about unit variance.
fn resmlp(depth: usize, settled: (usize, f64)) -> Case<Net<F64>> {
    const SAMPLES: usize = 8;
    let config =
        Config { method: Method::Ep, width: 16, depth, w2_std: 0.05, ..published(Arch::ResMlp) };
    Case {
        net: Net::new(&config, 10, &Default::default()),
        images: matrix(wave(11, SAMPLES * 3072, 3.0), SAMPLES, 3072),
        labels: labels(SAMPLES, 10),
        objective: Objective::CrossEntropy,
        settled,
    }
}

/// Two blocks, whose states settle fast.
fn shallow() -> Case<Net<F64>> {
    resmlp(2, (200, 0.4))
}

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

fn linear(blocks: usize) -> Case<LinearNet<F64>> {
    let weight = |p: usize, rows: usize, columns: usize| {
        let values = wave(p, rows * columns, 0.4);
        Param::from_tensor(matrix::<F64>(values, rows, columns).require_grad())
    };
    Case {
        net: LinearNet {
            embed: weight(1, 6, 5),
            blocks: (0..blocks).map(|l| weight(2 + l, 5, 5)).collect(),
            readout: weight(9, 5, 3),
        },
        images: matrix(wave(20, 4 * 6, 1.0), 4, 6),
        labels: labels(4, 3),
        objective: Objective::SquaredError,
        settled: (400, 0.2),
    }
}

/// Protocol §12, 7 and §14: the relative error of the gradient against backpropagation's, all
/// parameters together, falls with β one-sided and with β² under two nudged phases.
fn falls_with_the_nudge<N: Network<F64>>(case: &Case<N>) {
    let error = |beta, phases| case.error(nudging(beta, case.settled, phases));
    let betas: [f64; 5] = [0.5, 0.1, 0.05, 0.01, 0.001];
    let [one_sided, symmetric] = [EpPhases::OneSided, EpPhases::Symmetric]
        .map(|phases| betas.map(|beta| error(beta, phases)));
    for (beta, (one, two)) in betas.iter().zip(one_sided.iter().zip(symmetric)) {
        println!("β {beta}: one-sided {one:.1e}, symmetric {two:.1e}");
    }
    let slope = |errors: &[f64; 5], from: usize, to: usize| {
        (errors[from] / errors[to]).ln() / (betas[from] / betas[to]).ln()
    };
    for (from, to) in [(2, 3), (3, 4)] {
        let (first, second) = (slope(&one_sided, from, to), slope(&symmetric, from, to));
        assert!((first - 1.0).abs() < 0.05, "slope {first} from β = {}", betas[from]);
        assert!((second - 2.0).abs() < 0.05, "slope {second} from β = {}", betas[from]);
    }
    assert!(one_sided[3] < 0.1 && symmetric[3] < 0.01, "{one_sided:?} {symmetric:?}");
    assert!(one_sided[4] < 1e-2 && symmetric[4] < 1e-5, "{one_sided:?} {symmetric:?}");
}

#[test]
fn equilibrium_propagation_is_backpropagation_in_the_limit() {
    falls_with_the_nudge(&shallow());
    falls_with_the_nudge(&linear(2));
}

/// Without blocks nothing relaxes, and the gradient is exact.
#[test]
fn without_blocks_equilibrium_propagation_is_backpropagation() {
    let case = linear(0);
    for phases in [EpPhases::OneSided, EpPhases::Symmetric] {
        assert!(case.error(nudging(0.3, (20, 0.1), phases)) < 1e-14, "{phases}");
    }
}

/// Protocol §14: the settings of the reference's records stop far from the stationary state, whatever
/// the nudge.
#[test]
fn twenty_steps_of_a_tenth_leave_an_error_that_no_small_nudge_removes() {
    let case = resmlp(3, (400, 0.4));
    let error = |beta, steps| case.error(nudging(beta, steps, EpPhases::OneSided));
    let (published, converged) = (error(0.001, (20, 0.1)), error(0.001, case.settled));
    println!("β 0.001: 20 steps of 0.1 {published:.2}, converged {converged:.1e}");
    assert!((0.5..1.0).contains(&published), "{published}");
    assert!(converged < 1e-2, "{converged}");
}

/// Protocol §14. Where the states have settled, −r_{l−1}/β is g_l, and what reaches the clamped h_0 is
/// g_0. The displacement is right at h_1 alone: from there it adds up what lies below,
/// a_{l+1} = (∂h_{l+1}/∂h_l) a_l + g_{l+1}, which on a linear network is a product.
#[test]
fn a_settled_residual_is_the_gradient_and_a_displacement_adds_up_over_the_layers() {
    fn residuals_are_gradients<N: Network<F64>>(case: &Case<N>) -> Vec<Vec<f64>> {
        let nudge = nudging(1e-4, case.settled, EpPhases::Symmetric);
        let residual = case.credit(Nudging { credit: EpCredit::Residual, ..nudge });
        for (l, (a, g)) in residual.iter().zip(case.gradients()).enumerate() {
            assert!(relative(a, &g) < 1e-5, "h_{l}: {}", relative(a, &g));
        }
        case.credit(nudge)
    }
    residuals_are_gradients(&shallow());
    let case = linear(2);
    let displacement = residuals_are_gradients(&case);
    let gradients = case.gradients();
    assert!(displacement[0].iter().all(|v| *v == 0.0));
    assert!(relative(&displacement[1], &gradients[1]) < 1e-5);
    let below = matrix::<Inner>(displacement[1].clone(), 4, 5);
    let passed = below.clone().matmul(case.net.blocks[1].val().inner()) + below;
    let sum: Vec<f64> = host(passed).iter().zip(&gradients[2]).map(|(a, g)| a + g).collect();
    assert!(relative(&displacement[2], &sum) < 1e-5);
    assert!(relative(&displacement[2], &gradients[2]) > 0.5, "not the gradient");
}

/// A second implementation: the whole energy of all states, differentiated as it stands.
#[test]
fn the_steps_of_all_blocks_in_one_graph_are_descent_on_the_energy() {
    fn descends<N: Network<F64>>(case: &Case<N>, beta: f64) {
        let [n, _] = case.images.dims();
        let hidden = case.reference().hidden;
        let pass = &mut Pass::eval(&Buffers::new());
        let mut states = hidden.clone();
        for _ in 0..7 {
            let leaves: Vec<Tensor<F64, 3>> =
                states.iter().map(|h| Tensor::from_inner(h.clone()).require_grad()).collect();
            let outputs = case.net.readout(leaves[case.net.blocks()].clone(), pass);
            let loss = case.objective.mean_loss(outputs, case.labels.clone());
            let mut energy = loss.mul_scalar(beta * n as f64);
            for l in 0..case.net.blocks() {
                let branch = case.net.branch(l, leaves[l].clone(), pass);
                let reached = case.net.advance(l, leaves[l].clone(), branch, pass);
                let residual = leaves[l + 1].clone() - reached;
                energy = energy + residual.square().sum().mul_scalar(0.5);
            }
            let gradients = energy.backward();
            for (h, leaf) in states.iter_mut().zip(&leaves).skip(1) {
                *h = h.clone() - leaf.grad(&gradients).expect("a state").mul_scalar(0.1);
            }
        }
        let credit = case.credit(nudging(beta, (7, 0.1), EpPhases::OneSided));
        for (l, (a, (moved, still))) in
            credit.iter().zip(states.into_iter().zip(hidden)).enumerate().skip(1)
        {
            let wanted = host((moved - still).div_scalar(-beta));
            assert!(relative(a, &wanted) < 1e-12, "h_{l}");
        }
    }
    descends(&resmlp(3, (7, 0.1)), 0.5);
    descends(&linear(2), 0.5);
    // A force needs five steps to reach h_1.
    descends(&linear(5), -0.25);
}

/// Protocol §14: a step of 0.5 diverges on a small net. Silence would leave a credit without meaning.
#[test]
fn states_that_do_not_settle_are_told_by_the_force_on_them() {
    let case = shallow();
    let growth = |step_size, steps| {
        case.growth_of_force(nudging(0.5, (steps, step_size), EpPhases::Symmetric))
    };
    for (steps, size) in [(20, 0.1), (20, 0.25), case.settled] {
        assert!(growth(size, steps) < 0.8, "{steps} of {size}: {}", growth(size, steps));
    }
    assert!(growth(1.0, 20) > 10.0, "{}", growth(1.0, 20));
    assert!(!growth(10.0, 400).is_finite(), "{}", growth(10.0, 400));
}
