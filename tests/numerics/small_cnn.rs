//! Networks of feature maps: golden numbers from PyTorch (float64, `python tests/golden/make_convolutional.py`,
//! which defines each number), what trains which layer, and direct feedback in its two forms.

use crate::common::{F64, host, matrix, published, relative, wave};
use crate::golden::{compare, compare_after, formula_parameters};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::backend::{Window, differentiating};
use fa_audit::config::{ActivityNorm, Arch, Config, FeedbackForm, Method, OptimizerName};
use fa_audit::learn::{Entry, Learner, Settings, Trainee, Turn, dfa, forward_and_back, layout};
use fa_audit::model::{
    Buffers, Net, Network, Pass, assign, export, gradients, initial_buffers, outline,
    parameter_count,
};
use fa_audit::train::Optimizer;
use serde_json::Value;

type Inner = <F64 as AutodiffBackend>::InnerBackend;

const CLASSES: usize = 10;
const SAMPLES: usize = 6;
const TURN: Turn = Turn { seed: 0, epoch: 1, step: 0 };

/// The narrowest of the golden numbers.
fn small(method: Method, activity_norm: ActivityNorm) -> Config {
    Config { method, activity_norm, width: 4, ..published(Arch::SmallCnn) }
}

fn images() -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
    let pixels = (0..SAMPLES * 3072).map(|k| (0.013 * (k + 1) as f64).sin()).collect();
    let labels = Tensor::from_data(TensorData::from([3i64, 1, 4, 1, 5, 9]), &Default::default());
    (matrix(pixels, SAMPLES, 3072), labels)
}

fn of_formula(config: &Config) -> Net<F64> {
    let net = Net::new(config, CLASSES, &Default::default());
    let parameters = formula_parameters(&net);
    assign(net, &parameters).expect("every parameter has a formula")
}

fn buffers(config: &Config) -> Buffers<Inner> {
    initial_buffers(&outline(config, CLASSES).buffers, &Default::default())
}

fn learner(config: &Config) -> Learner<F64> {
    let matrix = |(l, Entry { name, shape: [rows, cols], .. }): (usize, Entry)| {
        let values = wave(1000 + l, rows * cols, 1.0 / (cols as f64).sqrt());
        (name, TensorData::new(values, [rows, cols]))
    };
    let matrices = layout(config, CLASSES).into_iter().enumerate().map(matrix).collect();
    Learner::from_named(config, CLASSES, &matrices, &Default::default()).expect("its matrices")
}

#[test]
fn the_small_cnn_is_as_large_as_published() {
    let published = published(Arch::SmallCnn);
    assert_eq!(parameter_count(&published, CLASSES), 2_193_674);
    let without = Config { activity_norm: ActivityNorm::None, ..published.clone() };
    assert_eq!(parameter_count(&without, CLASSES), 2_193_226);
    let widths: Vec<usize> = outline(&published, CLASSES).widths().collect();
    assert_eq!(widths, [32 * 32 * 32, 64 * 16 * 16, 128 * 8 * 8, 256]);
}

/// The golden numbers `name` are those of `config`, which backpropagation trains.
pub fn is_pytorchs(name: &str, config: &Config) {
    let text = include_str!("../golden/convolutional.json");
    let all: Value = serde_json::from_str(text).expect("convolutional.json");
    let golden = &all[name];
    let (net, (inputs, labels)) = (of_formula(config), images());
    let pass = Pass::eval(&fa_audit::learn::lift(&buffers(config)));
    let reference = forward_and_back(&net, pass, config.objective, inputs.clone(), labels.clone());
    assert_eq!(reference.hidden.len(), config.depth + 1);
    for (l, (h, g)) in reference.hidden.into_iter().zip(reference.gradient).enumerate() {
        compare(&format!("h_{l}"), &host(h), &golden["hidden"][l]);
        compare(&format!("g_{l}"), &host(g), &golden["gradient"][l]);
    }
    compare("logits", &host(reference.outputs), &golden["logits"]);

    let muon = Config { optimizer: OptimizerName::Muon, ..config.clone() };
    for (method, step) in [(Method::Bp, "bp"), (Method::Dfa, "dfa"), (Method::Bp, "muon")] {
        let config =
            Config { method, ..if step == "muon" { muon.clone() } else { config.clone() } };
        let (inputs, labels) = images();
        let lesson = learner(&config).learn(&net, &buffers(&config), inputs, labels, TURN);
        for (name, values) in lesson.buffers {
            compare(&name, &host(values), &golden["buffers"][&name]);
        }
        let found = lesson.network.clone();
        let moved = Optimizer::new(&config).step(net.clone(), lesson.network, config.learning_rate);
        let moved = export(&moved);
        assert_eq!(found.len(), moved.len(), "{method}: every parameter has a gradient");
        let golden = &golden["step"][step];
        for (parameter, gradient) in found {
            let what = format!("{name}, {step}, {parameter}");
            let gradient = host(gradient);
            // Behind BatchNorm a shift changes nothing: its gradient is rounding.
            if config.activity_norm == ActivityNorm::Batch && parameter.ends_with("conv.bias") {
                assert!(gradient.iter().all(|g| g.abs() < 1e-12), "{what}: {gradient:?}");
                continue;
            }
            if step != "muon" {
                compare(&format!("gradient of {what}"), &gradient, &golden["gradient"][&parameter]);
            }
            let after: Vec<f64> = moved[&parameter].iter::<f64>().collect();
            compare_after(&what, &after, &golden["after"][&parameter]);
        }
    }
}

#[test]
fn the_small_cnn_without_a_norm_its_gradients_and_a_step_are_pytorchs() {
    is_pytorchs("small-cnn", &small(Method::Bp, ActivityNorm::None));
}

#[test]
fn the_small_cnn_with_batch_norm_its_gradients_and_a_step_are_pytorchs() {
    is_pytorchs("small-cnn, batch", &small(Method::Bp, ActivityNorm::Batch));
}

/// The derivative of the loss along the gradient, against a central difference, batch statistics included.
#[test]
fn the_gradient_of_backpropagation_is_the_slope_of_the_loss() {
    for &activity_norm in ActivityNorm::ALL {
        // With the corners of max pooling alone, which a short step does not meet.
        let activation = fa_audit::config::Activation::Tanh;
        let config = Config { activation, width: 2, ..small(Method::Bp, activity_norm) };
        let (net, learner) = (of_formula(&config), learner(&config));
        let lesson = |net: &Net<F64>| {
            let (_, labels) = images();
            let inputs = matrix(wave(11, SAMPLES * 3072, 1.0), SAMPLES, 3072);
            learner.learn(net, &buffers(&config), inputs, labels, TURN)
        };
        let gradient = lesson(&net).network;
        let parameters = export(&net);
        for (name, slope) in gradient {
            let along = wave(77, parameters[&name].num_elements(), 1.0);
            let loss = |by: f64| {
                let mut moved = parameters.clone();
                let old = moved.remove(&name).expect("a parameter");
                let values = old.iter::<f64>().zip(&along).map(|(v, a)| v + by * a).collect();
                moved.insert(name.clone(), TensorData::new::<f64, _>(values, old.shape.clone()));
                host(lesson(&assign(net.clone(), &moved).expect("the same shapes")).loss)[0]
            };
            let step = 3e-8;
            let difference = (loss(step) - loss(-step)) / (2.0 * step);
            let slope: f64 = host(slope).iter().zip(&along).map(|(g, a)| g * a).sum();
            let size = difference.abs().max(1e-3);
            assert!(
                (slope - difference).abs() < 1e-4 * size,
                "{activity_norm}, {name}: {slope}, {difference}"
            );
        }
    }
}

/// Protocol §3.2: layer by layer, each from what is below it, held, and the credit at its own output.
#[test]
fn each_layer_is_trained_by_the_credit_at_its_own_output() {
    for feedback_form in [FeedbackForm::Full, FeedbackForm::Tiled] {
        let config = Config { feedback_form, ..small(Method::Dfa, ActivityNorm::Batch) };
        let (net, learner) = (of_formula(&config), learner(&config));
        let (_, labels) = images();
        let inputs = matrix(wave(11, SAMPLES * 3072, 1.0), SAMPLES, 3072);
        let lesson = learner.learn(&net, &buffers(&config), inputs.clone(), labels.clone(), TURN);
        let error = config.objective.error(lesson.outputs.clone(), labels.inner());
        let _turn = differentiating();
        let mut pass = Pass::train(&fa_audit::learn::lift(&buffers(&config)));
        let mut hidden = net.embed(inputs, &mut pass);
        for l in 0..=3 {
            let kernel = learner.own().feedback(l).expect("B_l").clone();
            let b = match (feedback_form, net.window(l)) {
                (FeedbackForm::Tiled, Some(window)) => dfa::tiled(kernel, window),
                _ => kernel,
            };
            let a = host(error.clone().matmul(b.transpose()));
            let scaled = a.chunks(a.len() / SAMPLES).flat_map(|row| {
                let rms = (row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64).sqrt();
                row.iter().map(move |v| v / (rms + 1e-6) / SAMPLES as f64).collect::<Vec<_>>()
            });
            let scaled = Tensor::<F64, 1>::from_data(
                TensorData::new(scaled.collect(), [a.len()]),
                (&Default::default(), hidden.dtype()),
            );
            let loss = (hidden.clone().reshape([a.len()]) * scaled).sum();
            let part = if l == 0 { "embed.".into() } else { format!("blocks.{}.", l - 1) };
            let all = gradients(&net, &loss.backward());
            let own: Vec<_> = all.into_iter().filter(|(name, _)| name.starts_with(&part)).collect();
            assert!(own.len() >= 2, "{part}");
            for (name, wanted) in own {
                let (found, wanted) = (host(lesson.network[&name].clone()), host(wanted));
                // Behind BatchNorm a shift's gradient is rounding alone.
                if !name.ends_with("conv.bias") {
                    let error = relative(&found, &wanted);
                    assert!(error < 1e-10, "{feedback_form}, {name}: {error:.1e}");
                }
            }
            if l < 3 {
                hidden = net.branch(l, Tensor::from_inner(hidden.inner()), &mut pass);
            }
        }
    }
}

/// BioTorch's: the gradient of a convolution's input where the error stands at every position of its output.
#[test]
fn tiled_feedback_is_the_error_everywhere_through_a_kernel() {
    let window = Window { sides: [5, 4], kernel: 3, stride: 2, padding: 1 };
    let (channels, classes, [down, right]) = (2, 3, window.output());
    let kernel = wave(5, 9 * channels * classes, 1.0);
    let b = host(dfa::tiled::<Inner>(matrix(kernel.clone(), 9 * channels, classes), window));
    let mut wanted = vec![0.0; 20 * channels * classes];
    for (y, x) in (0..down).flat_map(|y| (0..right).map(move |x| (y, x))) {
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let (row, column) = (2 * y + i, 2 * x + j);
            if !(1..=5).contains(&row) || !(1..=4).contains(&column) {
                continue;
            }
            for k in 0..channels * classes {
                let at = ((row - 1) * 4 + column - 1) * channels * classes;
                wanted[at + k] += kernel[(i * 3 + j) * channels * classes + k];
            }
        }
    }
    assert!(relative(&b, &wanted) < 1e-14);
}

/// A batch of one: no statistic of it moves the variance, and nothing is lost.
#[test]
fn a_batch_of_one_trains_every_parameter_with_finite_gradients() {
    for method in [Method::Bp, Method::Dfa, Method::LayerFa, Method::Ep] {
        for &activity_norm in ActivityNorm::ALL {
            let config = Config { ep_steps: 3, ..small(method, activity_norm) };
            let trainee = Trainee::<F64>::initial(&config, CLASSES, &Default::default()).unwrap();
            let (inputs, labels) = images();
            let lesson = trainee.learn(inputs.narrow(0, 2, 1), labels.narrow(0, 2, 1), TURN);
            assert!(trainee.without_gradient(&lesson.network).is_empty(), "{method}");
            for (name, gradient) in lesson.network {
                assert!(host(gradient).iter().all(|g| g.is_finite()), "{method}, {name}");
            }
            for (name, values) in lesson.buffers {
                assert!(host(values).iter().all(|v| v.is_finite()), "{method}, {name}");
            }
        }
    }
}

/// What a depth ladder trains: fewer blocks, read from where they end.
#[test]
fn with_fewer_blocks_the_readout_follows_the_last() {
    for (blocks, d) in [(1, 8 * 16 * 16), (2, 16 * 8 * 8), (3, 32)] {
        let config = Config { depth: blocks, ..small(Method::Bp, ActivityNorm::Batch) };
        let net = Net::<F64>::new(&config, CLASSES, &Default::default());
        assert_eq!(net.blocks(), blocks);
        assert_eq!(export(&net)["readout.head.weight"].shape[..], [d, CLASSES]);
        assert_eq!(Settings::of(&config).credit_at.of_block(blocks - 1), blocks);
    }
}
