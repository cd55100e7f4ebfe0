//! Exact identities (protocol §12): proofs, on the production step, that a rule is what it says.
//! They hold to rounding in float64, on a linear network that speaks the same `Network` as the
//! published ones, under plain gradient descent and without RMS normalisation.

use crate::common::{F64, host, kinds_of_networks, matrix, published, relative, rules, wave};
use burn::module::{Module, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::backend::Kernels;
use fa_audit::config::{
    Arch, Base, Config, CreditTokens, EmbedSignal, FeedbackForm, Method, Normalise, Objective,
};
use fa_audit::learn::{
    Family, Gradients, Learner, Lesson, Normaliser, Nudging, Own, Settings, Trainee, Turn, family,
    forward_and_back,
};
use fa_audit::model::{Buffers, Change, CreditAt, Network, Pass, export, map_named};

type Inner = <F64 as AutodiffBackend>::InnerBackend;

/// A power of two: the batch mean is then exact in binary.
const SAMPLES: usize = 8;
const INPUTS: usize = 5;
const WIDTH: usize = 6;
const CLASSES: usize = 3;
const BLOCKS: usize = 3;

/// h_0 = x E, f_l(h) = h W_l, logits = h_L W; weights in Burn's layout [in, out].
#[derive(Module, Debug)]
pub struct LinearNet<B: Backend> {
    embed: Param<Tensor<B, 2>>,
    blocks: Vec<Param<Tensor<B, 2>>>,
    readout: Param<Tensor<B, 2>>,
    residual_add: bool,
}

impl<B: Backend> LinearNet<B> {
    /// Weights from the wave formula, times `scale`.
    pub fn new(blocks: usize, residual_add: bool, scale: f64) -> Self {
        // The quadratic term keeps a wave from being a matrix of rank two.
        let weight = |p: usize, rows: usize, cols: usize| {
            let values = (0..rows * cols).map(|k| {
                let k = (k + 1) as f64;
                scale * (0.37 * k + 0.053 * k * k + 0.91 * p as f64).sin()
            });
            Param::from_tensor(matrix(values.collect(), rows, cols))
        };
        Self {
            embed: weight(1, INPUTS, WIDTH),
            blocks: (0..blocks).map(|l| weight(2 + l, WIDTH, WIDTH)).collect(),
            readout: weight(50, WIDTH, CLASSES),
            residual_add,
        }
    }
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
        self.residual_add.then_some(hidden)
    }
    fn readout(&self, hidden: Tensor<B, 3>, _: &mut Pass<B>) -> Tensor<B, 2> {
        hidden.squeeze_dim::<2>(1).matmul(self.readout.val())
    }
}

const PLAIN: Settings = Settings {
    normaliser: Normaliser::None,
    penalty: 0.0,
    credit_tokens: CreditTokens::All,
    embed_signal: EmbedSignal::Credit,
    credit_at: CreditAt::Input,
    feedback_form: FeedbackForm::Full,
    objective: Objective::CrossEntropy,
    trains_network: true,
    nudging: Nudging::RECOVERED,
    seed: 0,
    bridge: None,
    grape: None,
    anchor_every: 0,
};

/// What the embedding learns from a map of its own.
const MAPPED: Settings = Settings { embed_signal: EmbedSignal::Mapped, ..PLAIN };

const TURN: Turn = Turn { seed: 0, epoch: 1, step: 0 };

/// Fixed feedback B_0, B_1, … and perhaps B_e.
fn aligned(
    rule: Base,
    settings: Settings,
    layers: Vec<Tensor<Inner, 2>>,
    embed: Option<Tensor<Inner, 2>>,
) -> Learner<F64> {
    Learner::new(rule, settings, Own::of_feedback(layers, embed))
}

fn backpropagation() -> Learner<F64> {
    Learner::new(Base::Bp, PLAIN, Own::none())
}

fn batch(seed: usize) -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
    let x = (0..SAMPLES * INPUTS).map(|k| (((k * k + 31 * seed) % 101) as f64 * 0.7).cos());
    let labels: Vec<i64> = (0..SAMPLES).map(|i| ((i * i + seed) % CLASSES) as i64).collect();
    let labels = TensorData::new(labels, [SAMPLES]);
    (matrix(x.collect(), SAMPLES, INPUTS), Tensor::from_data(labels, &Default::default()))
}

fn gradients_of(net: &LinearNet<F64>, learner: &Learner<F64>) -> Gradients<F64> {
    let (images, labels) = batch(1);
    learner.learn(net, &Buffers::new(), images, labels, TURN).network
}

/// One step of gradient descent on the production gradients.
fn descend(net: LinearNet<F64>, learner: &Learner<F64>, seed: usize) -> LinearNet<F64> {
    struct Descent(Gradients<F64>);
    impl Change<F64> for Descent {
        fn change(&mut self, name: &str, _: &[usize], flat: Tensor<F64, 1>) -> Tensor<F64, 1> {
            match self.0.remove(name) {
                Some(gradient) => Tensor::from_inner(flat.inner() - gradient.mul_scalar(0.1)),
                None => flat,
            }
        }
    }
    let (images, labels) = batch(seed);
    let gradients = learner.learn(&net, &Buffers::new(), images, labels, TURN).network;
    map_named(net, &mut Descent(gradients))
}

/// Parameter `name` on the host.
fn weight(net: &LinearNet<F64>, name: &str) -> Vec<f64> {
    export(net)[name].clone().convert::<f64>().into_vec().expect("f64 values")
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn random(p: usize, rows: usize, cols: usize) -> Tensor<Inner, 2> {
    let values = (0..rows * cols).map(|k| ((k * k + 7 * k + 13 * p) as f64 * 0.61).sin());
    matrix(values.collect(), rows, cols)
}

/// FA with matrices W_1 … W_{L−1}, and W_0 for the embedding: in Burn's layout B_l = W_{l+1}.
fn fa_with_transposed_weights(net: &LinearNet<F64>) -> Learner<F64> {
    let inner = |p: &Param<Tensor<F64, 2>>| p.val().inner();
    let layers = net.blocks[1..].iter().map(inner).collect();
    aligned(Base::Fa, MAPPED, layers, Some(inner(&net.blocks[0])))
}

/// Protocol §12, 4. The local losses average over the batch a credit that is a batch mean already:
/// times N, exactly, it is the gradient.
#[test]
fn fa_with_the_transposed_weights_is_backpropagation_to_the_bit() {
    let net = LinearNet::new(BLOCKS, false, 0.4);
    let fa = gradients_of(&net, &fa_with_transposed_weights(&net));
    assert_eq!(fa.len(), BLOCKS + 2);
    for (name, gradient) in gradients_of(&net, &backpropagation()) {
        let mut own = host(fa[&name].clone());
        if name != "readout" {
            own.iter_mut().for_each(|v| *v *= SAMPLES as f64);
        }
        let want = host(gradient);
        assert!(want.iter().any(|v| *v != 0.0), "{name} has a gradient");
        assert_eq!(own, want, "{name}");
    }
}

/// Protocol §12, 4, on a residual network, where a block's Jacobian is I + W.
#[test]
fn fa_with_the_blocks_jacobians_is_backpropagation() {
    let net = LinearNet::<F64>::new(BLOCKS, true, 0.3);
    let mut identity = vec![0.0; WIDTH * WIDTH];
    identity.iter_mut().step_by(WIDTH + 1).for_each(|v| *v = 1.0);
    let identity = matrix::<Inner>(identity, WIDTH, WIDTH);
    let jacobian = |l: usize| net.blocks[l].val().inner() + identity.clone();
    let layers = (1..BLOCKS).map(jacobian).collect();
    let fa = gradients_of(&net, &aligned(Base::Fa, MAPPED, layers, Some(jacobian(0))));
    for (name, gradient) in gradients_of(&net, &backpropagation()) {
        let factor = if name == "readout" { 1.0 } else { SAMPLES as f64 };
        let own: Vec<f64> = host(fa[&name].clone()).iter().map(|v| v * factor).collect();
        assert!(relative(&own, &host(gradient)) < 1e-13, "{name}");
    }
}

/// Protocol §12, 4: B_l = (W_L … W_{l+1})ᵀ. The embedding shares block 0's credit, so it is left
/// out: its own would need one matrix more.
#[test]
fn dfa_with_the_product_of_the_weights_above_is_backpropagation() {
    let net = LinearNet::<F64>::new(BLOCKS, false, 0.4);
    let mut above = vec![net.readout.val().inner()];
    for l in (1..BLOCKS).rev() {
        above.push(net.blocks[l].val().inner().matmul(above[above.len() - 1].clone()));
    }
    above.reverse();
    let dfa = gradients_of(&net, &aligned(Base::Dfa, PLAIN, above, None));
    for (name, gradient) in gradients_of(&net, &backpropagation()) {
        let difference = relative(&host(dfa[&name].clone()), &host(gradient));
        assert_eq!(difference < 1e-13, name != "embed", "{name}: {difference:.1e}");
    }
}

/// Protocol §12, 1: Q_l = ½‖W_l‖² − ⟨B_l, W_{l+1}⟩ changes by ½‖ΔW_l‖² in each step.
#[test]
fn under_fa_the_norm_invariant_holds_at_every_layer() {
    let mut net = LinearNet::new(BLOCKS, false, 0.4);
    let matrices: Vec<_> = (0..BLOCKS).map(|l| random(l, WIDTH, WIDTH)).collect();
    let embed = Some(matrices[BLOCKS - 1].clone());
    let learner = aligned(Base::Fa, MAPPED, matrices[..BLOCKS - 1].to_vec(), embed);
    // (W, the weight above it, the matrix that stands for that weight)
    let mut layers = vec![("embed".to_string(), "blocks.0".to_string(), BLOCKS - 1)];
    layers.extend((0..BLOCKS - 1).map(|l| (format!("blocks.{l}"), format!("blocks.{}", l + 1), l)));
    for seed in 0..20 {
        let next = descend(net.clone(), &learner, seed);
        for (own, above, b) in &layers {
            let b = host(matrices[*b].clone());
            invariant_holds(&net, &next, own, above, &b);
        }
        net = next;
    }
}

/// Protocol §12, 1: for DFA it holds at the last hidden layer, where B stands for the readout, and
/// at no other.
#[test]
fn under_dfa_the_norm_invariant_holds_at_the_last_layer_alone() {
    let mut net = LinearNet::new(BLOCKS, false, 0.4);
    let matrices: Vec<_> = (0..BLOCKS).map(|l| random(l, WIDTH, CLASSES)).collect();
    let learner = aligned(Base::Dfa, PLAIN, matrices.clone(), None);
    let last = host(matrices[BLOCKS - 1].clone());
    let mut broken = false;
    for seed in 0..20 {
        let next = descend(net.clone(), &learner, seed);
        let own = format!("blocks.{}", BLOCKS - 1);
        invariant_holds(&net, &next, &own, "readout", &last);
        let (before, after) =
            invariants(&net, &next, "blocks.0", "blocks.1", &square(&matrices[0]));
        broken |= (before - after).abs() > 1e-6;
        net = next;
    }
    assert!(broken, "the test could not have failed");
}

/// Any [d, d] matrix made of a [d, C] one.
fn square(b: &Tensor<Inner, 2>) -> Vec<f64> {
    host(b.clone()).into_iter().cycle().take(WIDTH * WIDTH).collect()
}

/// (change of ½‖W‖² − ⟨B, W_above⟩, ½‖ΔW‖²)
fn invariants(
    before: &LinearNet<F64>,
    after: &LinearNet<F64>,
    own: &str,
    above: &str,
    b: &[f64],
) -> (f64, f64) {
    let (w, w_next) = (weight(before, own), weight(after, own));
    let q = |net, w: &[f64]| dot(w, w) / 2.0 - dot(b, &weight(net, above));
    let delta: Vec<f64> = w_next.iter().zip(&w).map(|(a, b)| a - b).collect();
    (q(after, &w_next) - q(before, &w), dot(&delta, &delta) / 2.0)
}

fn invariant_holds(
    before: &LinearNet<F64>,
    after: &LinearNet<F64>,
    own: &str,
    above: &str,
    b: &[f64],
) {
    let (change, half) = invariants(before, after, own, above, b);
    assert!(half > 1e-12, "{own} moves");
    assert!((change - half).abs() < 1e-13, "{own}: {change} against {half}");
}

/// Protocol §12, 2 (Lillicrap's linear net: DFA without blocks): W Bᵀ + B Wᵀ − W0ᵀ W0 changes by
/// −ΔW0ᵀ ΔW0 in each step.
#[test]
fn lillicraps_linear_net_conserves_its_matrix() {
    let mut net = LinearNet::<F64>::new(0, false, 0.4);
    let b = random(1, WIDTH, CLASSES);
    let learner = aligned(Base::Dfa, PLAIN, vec![b.clone()], None);
    let quantity = |net: &LinearNet<F64>| {
        let (w0, w) = (net.embed.val().inner(), net.readout.val().inner());
        let wb = w.matmul(b.clone().transpose());
        wb.clone() + wb.transpose() - w0.clone().transpose().matmul(w0)
    };
    for seed in 0..20 {
        let next = descend(net.clone(), &learner, seed);
        let delta = next.embed.val().inner() - net.embed.val().inner();
        let want = host(delta.clone().transpose().matmul(delta).neg());
        let change = host(quantity(&next) - quantity(&net));
        for (change, want) in change.iter().zip(&want) {
            assert!((change - want).abs() < 1e-13, "{change} against {want}");
        }
        net = next;
    }
}

/// Protocol §12, 3: from zero weights, W_l = B_{l−1} A B_lᵀ for some A at all times.
#[test]
fn linear_dfa_from_zero_stays_in_the_span_of_its_feedback() {
    let mut net = LinearNet::<F64>::new(BLOCKS, false, 0.0);
    let matrices: Vec<_> = (0..BLOCKS).map(|l| random(l, WIDTH, CLASSES)).collect();
    let learner = aligned(Base::Dfa, PLAIN, matrices.clone(), None);
    for seed in 0..30 {
        net = descend(net, &learner, seed);
    }
    for l in 0..BLOCKS {
        let w = net.blocks[l].val().inner();
        // The embedding is trained by B_0 e, as block 0 is.
        let left = projector(&matrices[l.saturating_sub(1)]);
        let right = projector(&matrices[l]);
        let inside = left.matmul(w.clone()).matmul(right);
        let (inside, w) = (host(inside), host(w));
        assert!(dot(&w, &w) > 1e-12, "block {l} learns");
        assert!(relative(&inside, &w) < 1e-12, "block {l}");
    }
}

/// The orthogonal projector onto the columns of `b`, by Gram and Schmidt.
fn projector(b: &Tensor<Inner, 2>) -> Tensor<Inner, 2> {
    let values = host(b.clone().transpose());
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for column in values.chunks(WIDTH) {
        let mut v = column.to_vec();
        for _ in 0..2 {
            for e in &basis {
                let along = dot(&v, e);
                v.iter_mut().zip(e).for_each(|(x, y)| *x -= along * y);
            }
        }
        let norm = dot(&v, &v).sqrt();
        basis.push(v.into_iter().map(|x| x / norm).collect());
    }
    let basis = matrix::<Inner>(basis.concat(), CLASSES, WIDTH);
    basis.clone().transpose().matmul(basis)
}

/// Images and labels for the published networks.
fn images() -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
    let pixels = wave(11, SAMPLES * 3072, 1.0);
    let labels: Vec<i64> = (0..SAMPLES as i64).map(|i| i % 10).collect();
    let labels = Tensor::from_data(TensorData::new(labels, [SAMPLES]), &Default::default());
    (matrix(pixels, SAMPLES, 3072), labels)
}

fn small(arch: Arch, method: Method) -> Config {
    let width = if arch.is_convolutional() { 4 } else { 16 };
    Config { method, width, depth: 3, w2_std: 0.1, ..published(arch) }
}

fn lesson_of(config: &Config) -> (Trainee<F64>, Lesson<F64>) {
    let trainee = Trainee::<F64>::initial(config, 10, &Default::default()).expect("a network");
    let (images, labels) = images();
    let lesson = trainee.learn(images, labels, TURN);
    (trainee, lesson)
}

/// A penalty too small to count sends the credit through the whole branch, as Burn's own operations
/// would; without it the last map of a branch meets one row a sample, under DFA as two factors.
#[test]
fn a_branch_is_trained_through_its_last_map_as_through_its_whole() {
    const MANY: usize = 64;
    let pixels = matrix(wave(11, MANY * 3072, 1.0), MANY, 3072);
    let labels: Vec<i64> = (0..MANY as i64).map(|i| i % 10).collect();
    let labels = Tensor::from_data(TensorData::new(labels, [MANY]), &Default::default());
    for (arch, method, normalise) in [
        (Arch::ResMlp, Method::Dfa, Normalise::Rms),
        (Arch::ResMlp, Method::Dfa, Normalise::None),
        (Arch::ResMlp, Method::Fa, Normalise::Rms),
        (Arch::VitMini, Method::Dfa, Normalise::Rms),
        (Arch::VitMini, Method::Fa, Normalise::Rms),
    ] {
        let gradients = |penalty: f64| {
            let config = Config { normalise, penalty, ..small(arch, method) };
            let config = Config { width: 64, patch: 16, ..config };
            let trainee = Trainee::<F64>::initial(&config, 10, &Default::default());
            trainee.expect("a network").learn(pixels.clone(), labels.clone(), TURN).network
        };
        let (ending, whole) = (gradients(0.0), gradients(1e-300));
        assert!(ending.keys().eq(whole.keys()));
        let mut rounded = 0;
        for (name, gradient) in ending {
            let (own, other) = (host(gradient), host(whole[&name].clone()));
            let error = relative(&own, &other);
            // The same for every token of a row, a key's bias is invisible to the softmax.
            let is_zero = name.ends_with("key.bias") && dot(&own, &own) < 1e-30;
            assert!(is_zero || error < 1e-12, "{arch}, {method}, {name}: {error}");
            rounded += usize::from(own != other);
        }
        // Where the two ways do the same arithmetic there is nothing to compare.
        let same = arch == Arch::ResMlp && method == Method::Fa;
        assert!(same || rounded > 0, "{arch}, {method}: the same way twice");
    }
}

/// Protocol §12, 4. Where the head's map is crossed through another matrix, the norm below it sees that;
/// a rule of two phases looks at it from another state.
#[test]
fn the_readouts_gradient_is_the_same_under_every_rule() {
    for arch in kinds_of_networks() {
        let (_, bp) = lesson_of(&small(arch, Method::Bp));
        let of_one_phase =
            |method: &Method| method.rule().is_none_or(|rule| family(rule) != Family::TwoPhase);
        for method in rules().filter(of_one_phase).chain([Method::Frozen]) {
            if small(arch, method).check().is_err() {
                continue;
            }
            let (_, other) = lesson_of(&small(arch, method));
            let rule = method.rule().unwrap_or(Base::Dfa);
            let crosses = family(rule) == Family::Exact && rule != Base::Bp;
            let part = if crosses { "readout.head." } else { "readout." };
            let readout = bp.network.iter().filter(|(name, _)| name.starts_with(part));
            let mut compared = 0;
            for (name, gradient) in readout {
                let own = host(other.network[name].clone());
                assert_eq!(own, host(gradient.clone()), "{arch}, {method}, {name}");
                compared += 1;
            }
            let norm = if published(arch).terminal_norm && !crosses { 2 } else { 0 };
            assert_eq!(compared, 2 + norm);
        }
    }
}

/// "FA" that trained by exact backpropagation because B was never used is a mistake that was really
/// made: at step 0 the first block's gradient must be its formula's, and not the true one.
#[test]
fn credit_reaches_the_first_block_as_its_formula_says_and_is_not_backpropagations() {
    for normalise in [Normalise::Rms, Normalise::None] {
        for method in [Method::Fa, Method::Dfa] {
            let config = Config { normalise, ..small(Arch::ResMlp, method) };
            let (trainee, lesson) = lesson_of(&config);
            let (_, bp) = lesson_of(&Config { method: Method::Bp, ..config.clone() });
            // The last bias of a block sees the mean of its credit, whatever lies below.
            let name = "blocks.0.linear2.bias";
            let own = host(lesson.network[name].clone());
            let formula = mean_credit_of_block_0(&trainee, &config);
            assert!(relative(&own, &formula) < 1e-10, "{method}, {normalise}");
            let exact = host(bp.network[name].clone());
            let cosine = dot(&own, &exact) / (dot(&own, &own) * dot(&exact, &exact)).sqrt();
            assert!(cosine.abs() < 0.9, "{method}, {normalise}: cosine {cosine}");
        }
    }
}

/// mean over the batch of ã_0, from the definitions, in plain arithmetic.
fn mean_credit_of_block_0(trainee: &Trainee<F64>, config: &Config) -> Vec<f64> {
    let d = config.width;
    let (images, labels) = images();
    let objective = Objective::CrossEntropy;
    let reference =
        forward_and_back(trainee.net(), trainee.pass(), objective, images, labels.clone());
    let matrix_of =
        |l: usize| -> Vec<f64> { host(trainee.learner.own().feedback(l).expect("B_l").clone()) };
    let times =
        |b: &[f64], v: &[f64]| -> Vec<f64> { b.chunks(v.len()).map(|row| dot(row, v)).collect() };
    let e = host(objective.error(reference.outputs.clone(), labels.inner()));
    let top = host(reference.gradient[config.depth].clone());
    let mut mean = vec![0.0; d];
    for i in 0..SAMPLES {
        let mut a = match config.rule() {
            Base::Dfa => times(&matrix_of(0), &e[10 * i..10 * (i + 1)]),
            _ => {
                let top = top[d * i..d * (i + 1)].to_vec();
                (0..config.depth - 1).rev().fold(top, |a, l| times(&matrix_of(l), &a))
            }
        };
        if config.normalise == Normalise::Rms {
            let rms = (dot(&a, &a) / d as f64).sqrt();
            a.iter_mut().for_each(|v| *v /= rms + config.rms_epsilon);
        }
        mean.iter_mut().zip(&a).for_each(|(m, v)| *m += v / SAMPLES as f64);
    }
    mean
}
