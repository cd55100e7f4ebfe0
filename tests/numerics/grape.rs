//! GrAPE (protocol §11): forward derivatives against reverse mode, and what each form of the rule does to
//! feedback, in float64 on the production step.

use crate::common::{F64, host, matrix, published, relative, wave};
use burn::backend::NdArray;
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::config::{Arch, Config, GrapeForm, Method, Probe};
use fa_audit::learn::{Trainee, Turn, draw};
use fa_audit::model::{Net, Network, Pass};
use fa_audit::train::Optimizer;

const CLASSES: usize = 10;
const SAMPLES: usize = 8;
const WIDTH: usize = 12;

fn small(form: GrapeForm) -> Config {
    Config {
        method: Method::Grape,
        grape_form: form,
        width: WIDTH,
        depth: 3,
        w2_std: 0.1,
        ..published(Arch::ResMlp)
    }
}

fn trainee(config: &Config) -> Trainee<F64> {
    Trainee::initial(config, CLASSES, &Default::default()).expect("a network")
}

fn batch() -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
    let labels: Vec<i64> = (0..SAMPLES as i64).map(|i| (3 * i) % 10).collect();
    let labels = TensorData::new(labels, [SAMPLES]);
    let pixels = matrix(wave(11, SAMPLES * 3072, 1.0), SAMPLES, 3072);
    (pixels, Tensor::from_data(labels, &Default::default()))
}

/// The feedback matrices B_0, B_1, … [d][C].
fn feedback(trainee: &Trainee<F64>) -> Vec<Vec<f64>> {
    trainee.learner.own().layers().map(|b| host(b.clone())).collect()
}

/// As the rule alone changes them, over so many steps on one batch: the network stays.
fn moved(config: &Config, steps: usize) -> [Trainee<F64>; 2] {
    let (mut trainee, before) = (trainee(config), trainee(config));
    let mut optimizer = Optimizer::new(config);
    for step in 0..steps {
        let (images, labels) = batch();
        let turn = Turn { seed: config.seed, epoch: 1, step };
        let lesson = trainee.learn(images, labels, turn);
        optimizer.step_own(&mut trainee.learner, lesson.own, 1e-3);
    }
    [before, trainee]
}

/// Rows of [d][C] at length 1.
fn rows(values: &[f64]) -> Vec<f64> {
    let unit = |row: &[f64]| {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter().map(|v| v / length).collect::<Vec<_>>()
    };
    values.chunks(CLASSES).flat_map(unit).collect()
}

/// cos(B[i], J[i]) of each row.
fn cosines(b: &[f64], j: &[f64]) -> Vec<f64> {
    let (b, j) = (rows(b), rows(j));
    let dot = |(b, j): (&[f64], &[f64])| b.iter().zip(j).map(|(b, j)| b * j).sum();
    b.chunks(CLASSES).zip(j.chunks(CLASSES)).map(dot).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of J_nᵀ at h_l over the batch, by reverse mode: [d][C].
fn jacobian(trainee: &Trainee<F64>, l: usize) -> Vec<f64> {
    let hidden = hidden(trainee.net(), l);
    let mut columns = Vec::new();
    for class in 0..CLASSES {
        let leaf = hidden.clone().detach().require_grad();
        let outputs = trainee.net().outputs_from(l, leaf.clone(), &mut trainee.pass());
        let gradients = outputs.narrow(1, class, 1).sum().backward();
        let slope = leaf.grad(&gradients).expect("it is in the graph");
        columns.push(host(slope.mean_dim(0)));
    }
    (0..WIDTH).flat_map(|i| columns.iter().map(move |c| c[i])).collect()
}

fn hidden(net: &Net<F64>, l: usize) -> Tensor<F64, 3> {
    let pass = &mut Pass::eval(&Default::default());
    let h = net.embed(batch().0, pass);
    (0..l).fold(h, |h, l| {
        let branch = net.branch(l, h.clone(), pass);
        net.advance(l, h, branch, pass)
    })
}

/// ⟨u, J δ⟩ forward is ⟨Jᵀ u, δ⟩ in reverse, with a norm before the head and without, with skips and without.
#[test]
fn the_tangents_of_the_residual_mlp_are_those_of_reverse_mode() {
    for (terminal_norm, residual_add) in [(true, true), (false, true), (true, false)] {
        let config = Config { terminal_norm, residual_add, expansion: 2, ..small(GrapeForm::V2) };
        let trainee = trainee(&config);
        for l in 0..=3 {
            let hidden = hidden(trainee.net(), l);
            let along = matrix::<F64>(wave(7, SAMPLES * WIDTH, 1.0), SAMPLES, WIDTH);
            let along = along.unsqueeze_dim::<3>(1);
            let u = matrix::<F64>(wave(5, SAMPLES * CLASSES, 1.0), SAMPLES, CLASSES);
            let leaf = hidden.clone().detach().require_grad();
            let outputs = trainee.net().outputs_from(l, leaf.clone(), &mut trainee.pass());
            let gradients = (outputs * u.clone()).sum().backward();
            let reverse = leaf.grad(&gradients).expect("in the graph") * along.clone().inner();
            let pass = &mut trainee.pass();
            let slope = trainee.net().outputs_tangent(l, hidden, along, pass).expect("tangents");
            let forward = host((slope * u).sum_dim(1));
            let reverse = host(reverse.sum_dim(2));
            assert!(relative(&forward, &reverse) < 1e-12, "{l}: {forward:?} {reverse:?}");
        }
    }
}

/// A perturbation to both sides sees the tangent to the second order of its length, a hundredth of the
/// hidden state's.
#[test]
fn a_perturbation_sees_nearly_what_a_tangent_sees() {
    let of = |grape_probe| {
        let config = Config { grape_probe, grape_decay: 0.0, ..small(GrapeForm::V2) };
        let [_, after] = moved(&config, 1);
        let state = after.learner.state();
        state["jacobian.1"].iter::<f64>().collect::<Vec<_>>()
    };
    let off = relative(&of(Probe::Perturbation), &of(Probe::Tangent));
    assert!(off < 1e-3 && off > 0.0, "{off}");
}

#[test]
fn grape_turns_feedback_to_the_jacobian_and_v1_turns_no_row() {
    for form in [GrapeForm::V1, GrapeForm::Alternative1, GrapeForm::Alternative2, GrapeForm::V2] {
        let config = Config { grape_rate: 0.02, grape_probes: 4, grape_decay: 0.99, ..small(form) };
        let [before, after] = moved(&config, 400);
        for (l, (old, new)) in feedback(&before).iter().zip(feedback(&after)).enumerate() {
            let (turned, j) = (relative(&rows(&new), &rows(old)), jacobian(&after, l));
            let [was, is] = [cosines(old, &j), cosines(&new, &j)];
            match form {
                // With rows at one length it is no rule at all; its rows did move in length.
                GrapeForm::V1 => {
                    assert!(turned < 1e-12, "{l}: {turned}");
                    assert!(relative(&new, old) > 1e-2, "{l}");
                }
                // What a row disagreed with it comes to oppose.
                GrapeForm::Alternative1 => {
                    let clear = was.iter().zip(&is).filter(|(was, _)| was.abs() > 0.1);
                    let follows: Vec<_> = clear.map(|(was, is)| was.signum() * is).collect();
                    assert!(follows.len() > 4 && mean(&follows) > 0.9, "{l}: {was:?} to {is:?}");
                    assert!(mean(&is).abs() < 0.7, "{l}: {is:?}");
                }
                GrapeForm::Alternative2 | GrapeForm::V2 => {
                    assert!(mean(&is) > 0.9 && mean(&was) < 0.5, "{form} {l}: {was:?} to {is:?}");
                }
            }
        }
    }
}

#[test]
fn a_step_keeps_the_norm_it_is_asked_to_keep() {
    let norms = |b: &[Vec<f64>]| -> Vec<f64> {
        b.iter().map(|b| b.iter().map(|v| v * v).sum::<f64>().sqrt()).collect()
    };
    for form in [GrapeForm::V1, GrapeForm::Alternative1, GrapeForm::Alternative2] {
        let with = Config { grape_rate: 0.1, grape_noise: 0.01, ..small(form) };
        let [before, after] = moved(&with, 5);
        let off = relative(&norms(&feedback(&after)), &norms(&feedback(&before)));
        assert!(off < 1e-12, "{form}: {off}");
        let [_, free] = moved(&Config { grape_rescale: false, ..with }, 5);
        let off = relative(&norms(&feedback(&free)), &norms(&feedback(&before)));
        assert!(off > 1e-4, "{form}: {off}");
    }
    let [_, after] = moved(&small(GrapeForm::V2), 2);
    for b in feedback(&after) {
        assert!(relative(&rows(&b), &b) < 1e-12);
    }
}

/// v2's step is up the gradient of the rows' summed cosines, as automatic differentiation has it.
#[test]
fn the_second_forms_step_is_the_gradient_of_the_rows_cosines() {
    let config = Config { grape_rate: 1e-3, grape_decay: 0.0, ..small(GrapeForm::V2) };
    let [before, after] = moved(&config, 1);
    let (old, new) = (&feedback(&before)[1], &feedback(&after)[1]);
    let seen: Vec<f64> = after.learner.state()["jacobian.1"].iter::<f64>().collect();
    let b = matrix::<F64>(old.clone(), WIDTH, CLASSES).require_grad();
    let j = matrix::<F64>(seen, WIDTH, CLASSES);
    let length = |x: Tensor<F64, 2>| x.square().sum_dim(1).sqrt();
    let cosines = (b.clone() * j.clone()).sum_dim(1) / (length(b.clone()) * length(j));
    let slope = host(b.grad(&cosines.sum().backward()).expect("in the graph"));
    let stepped: Vec<f64> = old.iter().zip(slope).map(|(b, s)| b + 1e-3 * s).collect();
    assert!(relative(&rows(&stepped), new) < 1e-12);
}

/// Of one probe E‖δ (δᵀ g)‖² = (d + 2)‖g‖², so that the mean of K reaches g at a cosine of √(K/(K + d + 1)):
/// here for one sample, whose Jacobian's columns are the g.
#[test]
fn probes_reach_the_jacobian_at_the_cosine_that_gaussian_probes_have() {
    let probes = 26;
    let config = Config { grape_probes: probes, grape_decay: 0.0, ..small(GrapeForm::V2) };
    let trainee = trainee(&config);
    let (images, labels) = batch();
    let one = (images.narrow(0, 0, 1), labels.narrow(0, 0, 1));
    let hidden = hidden(trainee.net(), 1).narrow(0, 0, 1);
    let mut truth = Vec::new();
    for class in 0..CLASSES {
        let leaf = hidden.clone().detach().require_grad();
        let outputs = trainee.net().outputs_from(1, leaf.clone(), &mut trainee.pass());
        let gradients = outputs.narrow(1, class, 1).sum().backward();
        truth.push(host(leaf.grad(&gradients).expect("in the graph")));
    }
    let (mut squares, mut lengths, mut count) = (0.0, 0.0, 0.0);
    for step in 0..300 {
        let turn = Turn { seed: 5, epoch: 1, step };
        let lesson = trainee.learn(one.0.clone(), one.1.clone(), turn);
        let seen = host(lesson.own["jacobian.1"].clone());
        for (class, g) in truth.iter().enumerate() {
            let column: Vec<f64> = (0..WIDTH).map(|i| seen[i * CLASSES + class]).collect();
            let dot: f64 = column.iter().zip(g).map(|(a, b)| a * b).sum();
            let [found, own] = [&column, g].map(|v| v.iter().map(|v| v * v).sum::<f64>());
            squares += found / own;
            lengths += dot / own;
            count += 1.0;
        }
    }
    // E‖mean‖² = (1 + (d + 1)/K)‖g‖², E⟨mean, g⟩ = ‖g‖²; classes share probes, so that the 300 count.
    let (square, along) = (squares / count, lengths / count);
    let wanted = 1.0 + (WIDTH as f64 + 1.0) / probes as f64;
    assert!((along - 1.0).abs() < 0.05, "{along}");
    assert!((square / wanted - 1.0).abs() < 0.1, "{square}, expected {wanted}");
}

/// Every so many epochs the first batch gives backpropagation's gradients, and no other one does.
#[test]
fn an_anchored_batch_is_trained_by_the_exact_gradient() {
    let anchored = Config { anchor_every: 2, ..small(GrapeForm::V2) };
    let bp = Config { method: Method::Bp, ..small(GrapeForm::V2) };
    let plain = small(GrapeForm::V2);
    let at = |config: &Config, epoch, step| {
        let (images, labels) = batch();
        trainee(config).learn(images, labels, Turn { seed: 1, epoch, step })
    };
    let same = |a: &Config, b: &Config, epoch, step| {
        let [a, b] = [a, b].map(|config| at(config, epoch, step).network);
        let values = |g: std::collections::BTreeMap<_, Tensor<NdArray<f64>, 1>>| {
            g.into_iter().map(|(name, v)| (name, host(v))).collect::<Vec<(String, Vec<f64>)>>()
        };
        values(a) == values(b)
    };
    assert!(same(&anchored, &bp, 2, 0));
    for (epoch, step) in [(2, 1), (1, 0), (3, 0)] {
        assert!(same(&anchored, &plain, epoch, step), "{epoch} {step}");
        assert!(!same(&anchored, &bp, epoch, step), "{epoch} {step}");
    }
    assert!(anchored.label().contains("anchored every 2"), "{}", anchored.label());
    // The feedback of the batch that is not its own stays.
    assert!(at(&anchored, 2, 0).own.is_empty());
    assert!(draw(&anchored, CLASSES, 1).contains_key("jacobian.0"));
}
