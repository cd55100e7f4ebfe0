//! Golden numbers from PyTorch (float64): forward pass, reference gradient at every layer, raw
//! credits, and for every rule the gradient of every parameter and one AdamW step. They are made by
//! `python tests/golden/make_golden.py` (PyTorch; the script is the snippet), which defines each
//! number; networks and inputs are the same formula on both sides.

use crate::common::{F64, host, matrix, published, wave};
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::config::{Arch, Config, Method};
use fa_audit::learn::{Credited, Entry, Known, Learner, Turn, forward_and_back, layout};
use fa_audit::model::{Buffers, Change, NamedTensors, Net, Pass, assign, export, map_named};
use fa_audit::train::Optimizer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Rounding of twelve printed digits and of two orders of summation.
const TOLERANCE: f64 = 1e-9;
const CLASSES: usize = 10;
const SAMPLES: usize = 6;

struct Case {
    config: Config,
    net: Net<F64>,
    images: Tensor<F64, 2>,
    labels: Tensor<F64, 1, Int>,
    golden: Value,
}

impl Case {
    fn new(arch: Arch) -> Self {
        let text = include_str!("../golden/golden.json");
        let all: Value = serde_json::from_str(text).expect("golden.json");
        let golden = all[arch.word()].clone();
        let depth = golden["gradient"].as_array().expect("g_0 … g_L").len() - 1;
        let small = Config { width: 8, depth, heads: 2, patch: 8, ..published(arch) };
        let device = Default::default();
        let net = Net::new(&small, CLASSES, &device);
        let parameters = formula_parameters(&net);
        let pixels = (0..SAMPLES * 3072).map(|k| (0.013 * (k + 1) as f64).sin()).collect();
        Self {
            net: assign(net, &parameters).expect("every parameter has a formula"),
            images: matrix(pixels, SAMPLES, 3072),
            labels: Tensor::from_data(TensorData::from([3i64, 1, 4, 1, 5, 9]), &device),
            golden,
            config: small,
        }
    }

    /// The rule with the formula's matrices: those that map the error are counted from 1000, those
    /// that map a credit from 2000.
    fn learner(&self, method: Method, penalty: f64) -> Learner<F64> {
        let config = Config { method, penalty, ..self.config.clone() };
        let matrix = |(l, Entry { name, shape: [rows, cols], .. }): (usize, Entry)| {
            let first = if cols == CLASSES { 1000 } else { 2000 };
            let values = wave(first + l, rows * cols, 1.0 / (cols as f64).sqrt());
            (name, TensorData::new(values, [rows, cols]))
        };
        let matrices = layout(&config, CLASSES).into_iter().enumerate().map(matrix).collect();
        Learner::from_named(&config, CLASSES, &matrices, &Default::default()).expect("its matrices")
    }

    /// The rules of which `golden.json` holds `what`.
    fn rules(&self, what: &str) -> Vec<Method> {
        let golden = |rule: &&Method| self.golden[what].get(rule.word()).is_some();
        let rules: Vec<Method> = Method::ALL.iter().filter(golden).copied().collect();
        for published in [Method::Fa, Method::Dfa] {
            assert!(rules.contains(&published), "golden.json holds no {what} of {published}");
        }
        rules
    }
}

/// The parameters in the order in which the network holds them: the formula counts them so.
fn order(net: &Net<F64>) -> Vec<String> {
    struct Names(Vec<String>);
    impl Change<F64> for Names {
        fn change(&mut self, name: &str, _: &[usize], flat: Tensor<F64, 1>) -> Tensor<F64, 1> {
            self.0.push(name.into());
            flat
        }
    }
    let mut names = Names(Vec::new());
    map_named(net.clone(), &mut names);
    names.0
}

pub fn formula_parameters(net: &Net<F64>) -> NamedTensors {
    let own = export(net);
    let value = |(p, name): (usize, String)| {
        let shape = own[&name].shape.clone();
        let count = shape.num_elements();
        let values = match name.rsplit('.').next() {
            Some("weight") => wave(p, count, 1.0 / (shape[0] as f64).sqrt()),
            Some("gamma") => wave(p, count, 0.1).into_iter().map(|v| 1.0 + v).collect(),
            Some("cls" | "positions") => wave(p, count, 0.5),
            _ => wave(p, count, 0.05),
        };
        (name, TensorData::new(values, shape))
    };
    order(net).into_iter().enumerate().map(value).collect()
}

/// Holds values against a golden summary: the first elements, norm, sum and Σ v_k cos k, each on
/// the scale of the whole tensor.
pub fn compare(what: &str, values: &[f64], golden: &Value) {
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("{what}: {v} is no number"));
    let norm = number(&golden["norm"]);
    let own: f64 = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    // Gradients that are zero but for rounding (a softmax does not see its key bias).
    let scale = norm.max(1e-7);
    let close = |a: f64, b: f64, size: f64, name: &str| {
        assert!((a - b).abs() <= TOLERANCE * size, "{what}, {name}: {a}, golden {b}");
    };
    close(own, norm, scale, "norm");
    for (k, v) in golden["head"].as_array().expect("a head").iter().enumerate() {
        close(values[k], number(v), scale, &format!("element {k}"));
    }
    let spread = scale * (values.len() as f64).sqrt();
    close(values.iter().sum(), number(&golden["sum"]), spread, "sum");
    let probe = values.iter().enumerate().map(|(k, v)| v * (k as f64).cos()).sum();
    close(probe, number(&golden["probe"]), spread, "probe");
}

fn the_forward_pass_and_the_reference_gradient_are_pytorchs(arch: Arch) {
    let case = Case::new(arch);
    let (pass, objective) = (Pass::eval(&Buffers::new()), case.config.objective);
    let (images, labels) = (case.images.clone(), case.labels.clone());
    let reference = forward_and_back(&case.net, pass, objective, images.clone(), labels.clone());
    assert_eq!(reference.hidden.len(), case.config.depth + 1);
    for (l, (h, g)) in reference.hidden.into_iter().zip(reference.gradient.clone()).enumerate() {
        compare(&format!("h_{l}"), &host(h), &case.golden["hidden"][l]);
        compare(&format!("g_{l}"), &host(g), &case.golden["gradient"][l]);
    }
    compare("logits", &host(reference.outputs.clone()), &case.golden["logits"]);

    let top = reference.gradient[case.config.depth].clone().sum_dim(1).squeeze_dim::<2>(1);
    let known = Known {
        blocks: case.config.depth,
        outputs: reference.outputs.clone(),
        error: objective.error(reference.outputs, labels.clone().inner()),
        target: labels.clone().inner().into(),
        top: Some(top),
        hidden: Vec::new(),
    };
    for rule in case.rules("credit") {
        let learner = case.learner(rule, 0.0);
        let batch = || (images.clone(), labels.clone());
        let Credited::Shared(layers) = learner.credit(&case.net, &Buffers::new(), &known, batch)
        else {
            panic!("{rule} is a local rule");
        };
        assert_eq!(layers.len(), case.config.depth + 1);
        let golden = &case.golden["credit"][rule.word()];
        for (l, a) in layers.into_iter().take(case.config.depth).enumerate() {
            compare(&format!("{rule} a_{l}"), &host(a), &golden[l]);
        }
    }
}

fn a_step_of_every_rule_is_pytorchs(arch: Arch) {
    let case = Case::new(arch);
    for method in case.rules("step") {
        for (penalty, suffix) in [(0.0, ""), (0.01, "+penalty")] {
            let config = Config { penalty, ..case.config.clone() };
            let name = format!("{method}{suffix}");
            let golden = &case.golden["step"][&name];
            let learner = case.learner(method, penalty);
            let (images, labels) = (case.images.clone(), case.labels.clone());
            let turn = Turn { seed: 0, epoch: 1, step: 0 };
            let lesson = learner.learn(&case.net, &Buffers::new(), images, labels, turn).network;
            let gradients: BTreeMap<_, _> =
                lesson.iter().map(|(n, g)| (n.clone(), host(g.clone()))).collect();
            let moved =
                Optimizer::new(&config).step(case.net.clone(), lesson, config.learning_rate);
            let moved = export(&moved);
            assert_eq!(gradients.len(), moved.len(), "{name}: every parameter has a gradient");
            for (parameter, gradient) in gradients {
                let what = format!("{name}, {parameter}");
                compare(&format!("gradient of {what}"), &gradient, &golden["gradient"][&parameter]);
                let after = moved[&parameter].clone().convert::<f64>();
                let after: Vec<f64> = after.into_vec().expect("f64 values");
                // AdamW's betas and epsilon are f32 in Burn: 1 − β₂ differs in the eighth digit.
                compare_after(&what, &after, &golden["after"][&parameter]);
            }
        }
    }
}

/// As [`compare`] for parameters after a step of η = 1e-3.
pub fn compare_after(what: &str, values: &[f64], golden: &Value) {
    for (k, v) in golden["head"].as_array().expect("a head").iter().enumerate() {
        let golden = v.as_f64().expect("a number");
        let difference = (values[k] - golden).abs();
        assert!(
            difference <= 1e-3 * 1e-4,
            "{what} after a step, element {k}: {}, golden {golden}",
            values[k]
        );
    }
    let norm: f64 = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let golden = golden["norm"].as_f64().expect("a number");
    assert!(
        (norm - golden).abs() <= 1e-7 * golden,
        "{what} after a step, norm: {norm}, golden {golden}"
    );
}

#[test]
fn the_resmlps_forward_pass_and_reference_gradient_are_pytorchs() {
    the_forward_pass_and_the_reference_gradient_are_pytorchs(Arch::ResMlp);
}

#[test]
fn the_vits_forward_pass_and_reference_gradient_are_pytorchs() {
    the_forward_pass_and_the_reference_gradient_are_pytorchs(Arch::VitMini);
}

#[test]
fn a_step_of_every_rule_on_the_resmlp_is_pytorchs() {
    a_step_of_every_rule_is_pytorchs(Arch::ResMlp);
}

#[test]
fn a_step_of_every_rule_on_the_vit_is_pytorchs() {
    a_step_of_every_rule_is_pytorchs(Arch::VitMini);
}
