//! The rules beside the published ones, and the update rules: exact identities in float64 on the
//! production step, and PyTorch's numbers (`python tests/golden/make_update_rules.py`, which defines
//! each).

use crate::common::{F64, host, kinds_of_networks, matrix, published, relative, wave};
use crate::golden::{compare, formula_parameters};
use burn::backend::NdArray;
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::backend::float_tensor;
use fa_audit::config::{Arch, Base, Config, Method, Objective, OptimizerName};
use fa_audit::learn::{
    Credited, Gradients, Known, Learner, Own, Settings, Trainee, Turn, forward_and_back,
};
use fa_audit::model::{Buffers, Net, Part, assign, initial_buffers, matrices, outline};
use fa_audit::train::Optimizer;
use fa_audit::train::update::{self, Parameter, Slots};
use serde_json::Value;
use std::collections::BTreeMap;

type Inner = NdArray<f64>;

const CLASSES: usize = 10;
const SAMPLES: usize = 8;
const TURN: Turn = Turn { seed: 3, epoch: 1, step: 0 };

fn small(arch: Arch, method: Method) -> Config {
    let width = if arch.is_convolutional() { 4 } else { 16 };
    let config = Config { method, width, depth: 3, patch: 16, ..published(arch) };
    Config { w2_std: 0.1, ..config }
}

fn batch() -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
    let labels: Vec<i64> = (0..SAMPLES as i64).map(|i| (3 * i) % 10).collect();
    let labels = TensorData::new(labels, [SAMPLES]);
    let pixels = matrix(wave(11, SAMPLES * 3072, 1.0), SAMPLES, 3072);
    (pixels, Tensor::from_data(labels, &Default::default()))
}

/// onehot(y) of the batch.
fn onehot() -> Tensor<Inner, 2> {
    let hot = |i: usize| if (3 * (i / CLASSES)) % 10 == i % CLASSES { 1.0 } else { 0.0 };
    matrix((0..SAMPLES * CLASSES).map(hot).collect(), SAMPLES, CLASSES)
}

fn net(config: &Config) -> Net<F64> {
    Net::new(config, CLASSES, &Default::default())
}

fn learned_with(
    net: &Net<F64>,
    buffers: &Buffers<Inner>,
    learner: &Learner<F64>,
) -> Gradients<F64> {
    let (images, labels) = batch();
    learner.learn(net, buffers, images, labels, TURN).network
}

/// The weight of every map that a gradient crosses, by its name.
fn weights(net: &Net<F64>) -> BTreeMap<String, Tensor<Inner, 2>> {
    let all = matrices(net).into_iter();
    let crossed = all.filter(|(name, _)| Part::of(name) != Part::Embed);
    crossed.map(|(name, w)| (name.strip_suffix(".weight").unwrap().to_string(), w)).collect()
}

fn assert_same_bits(own: &Gradients<F64>, other: &Gradients<F64>, what: &str) {
    assert!(own.keys().eq(other.keys()));
    for (name, gradient) in own {
        assert_eq!(host(gradient.clone()), host(other[name].clone()), "{what}: {name}");
    }
}

/// Protocol §12, 4: with B = Wᵀ each is backpropagation, through attention too; with other matrices it
/// is not. Under `frsf` |W| ∘ sign(W) is W; under `usf` the weights are given one magnitude.
#[test]
fn crossing_maps_through_their_own_transposes_is_backpropagation() {
    for arch in kinds_of_networks() {
        for rule in [Base::LayerFa, Base::KolenPollack, Base::Frsf, Base::Usf] {
            let config = small(arch, Method::Bp);
            let mut net = net(&config);
            if rule == Base::Usf {
                net = of_one_magnitude(net, 0.25);
            }
            let settings = Settings::of(&config);
            let own = |scale: f64| {
                let stands = weights(&net).into_iter().map(|(map, w)| match rule {
                    Base::Usf => {
                        (format!("scale.{map}"), matrix::<Inner>(vec![0.25 * scale], 1, 1))
                    }
                    _ => (format!("feedback.{map}"), w.mul_scalar(scale)),
                });
                Own::new(stands)
            };
            let buffers = initial_buffers(&outline(&config, CLASSES).buffers, &Default::default());
            let learned = |learner| learned_with(&net, &buffers, &learner);
            let bp = learned(Learner::new(Base::Bp, settings, Own::none()));
            let same = learned(Learner::new(rule, settings, own(1.0)));
            assert_same_bits(&same, &bp, &format!("{arch}, {rule}"));
            let other = learned(Learner::new(rule, settings, own(2.0)));
            let maps =
                ["linear1", "linear", "conv", "conv1"].map(|map| format!("blocks.0.{map}.weight"));
            let first =
                maps.iter().find(|name| bp.contains_key(*name)).expect("a map of the first block");
            let differs = relative(&host(other[first].clone()), &host(bp[first].clone()));
            assert!(differs > 0.1, "{arch}, {rule}: its matrices are not used");
            let head = "readout.head.weight";
            assert_eq!(host(other[head].clone()), host(bp[head].clone()));
        }
    }
}

/// The network with every weight outside the embedding set to ± `magnitude`.
fn of_one_magnitude(net: Net<F64>, magnitude: f64) -> Net<F64> {
    struct Signs(f64);
    impl fa_audit::model::Change<F64> for Signs {
        fn change(&mut self, name: &str, shape: &[usize], flat: Tensor<F64, 1>) -> Tensor<F64, 1> {
            match (Part::of(name), shape.len()) {
                (Part::Embed, _) | (_, 1) => flat,
                _ => flat.sign().mul_scalar(self.0),
            }
        }
    }
    fa_audit::model::map_named(net, &mut Signs(magnitude))
}

/// The credit of a rule of the exact family at h_l is what its own backward pass brings there; at h_L,
/// behind the readout's map alone, and below, it is not the reference.
#[test]
fn the_credit_of_layer_wise_feedback_is_what_its_own_backward_pass_brings() {
    let config = small(Arch::ResMlp, Method::LayerFa);
    let trainee = Trainee::<F64>::initial(&config, CLASSES, &Default::default()).unwrap();
    let (images, labels) = batch();
    let reference = forward_and_back(
        trainee.net(),
        trainee.pass(),
        config.objective,
        images.clone(),
        labels.clone(),
    );
    let known = known(Objective::CrossEntropy.error(reference.outputs, labels.clone().inner()));
    let credit = |learner: &Learner<F64>| {
        let batch = || (images.clone(), labels.clone());
        match learner.credit(trainee.net(), &trainee.buffers, &known, batch) {
            Credited::Whole(states) => states.into_iter().map(host).collect::<Vec<_>>(),
            _ => panic!("of the exact family"),
        }
    };
    let own = credit(&trainee.learner);
    let aligned = weights(trainee.net()).into_iter();
    let aligned = Own::new(aligned.map(|(map, w)| (format!("feedback.{map}"), w)));
    let settings = *trainee.learner.settings();
    let exact = credit(&Learner::new(Base::LayerFa, settings, aligned));
    for (l, g) in reference.gradient.into_iter().map(host).enumerate() {
        assert_eq!(exact[l], g, "h_{l}");
        assert!(relative(&own[l], &g) > 0.1, "h_{l}");
    }
}

fn known(error: Tensor<Inner, 2>) -> Known<Inner> {
    let target = batch().1.inner().into();
    let outputs = error.zeros_like();
    Known { blocks: 3, outputs, error, target, top: None, hidden: Vec::new() }
}

/// B = M ∘ sign(W) with M drawn for the batch: the same batch twice gives the same, another batch
/// another; and M depends on no weight's size.
#[test]
fn under_brsf_magnitudes_are_drawn_for_every_batch_and_signs_are_the_weights() {
    let config = small(Arch::ResMlp, Method::Brsf);
    let trainee = Trainee::<F64>::initial(&config, CLASSES, &Default::default()).unwrap();
    let gradient = |turn: Turn| {
        let (images, labels) = batch();
        host(trainee.learn(images, labels, turn).network["blocks.0.linear1.weight"].clone())
    };
    assert_eq!(gradient(TURN), gradient(TURN));
    for other in [Turn { step: 1, ..TURN }, Turn { epoch: 2, ..TURN }, Turn { seed: 4, ..TURN }] {
        assert_ne!(gradient(TURN), gradient(other));
    }
}

/// e is −onehot(y) where the network gives no class a chance; then DRTP is DFA, whatever the error of
/// the batch.
#[test]
fn drtp_is_dfa_of_outputs_that_give_no_class_a_chance() {
    let config = small(Arch::ResMlp, Method::Drtp);
    let trainee = Trainee::<F64>::initial(&config, CLASSES, &Default::default()).unwrap();
    let own = trainee.learner.own().clone();
    let credit = |rule, error| {
        let learner = Learner::<F64>::new(rule, Settings::of(&config), own.clone());
        match learner.credit(trainee.net(), &trainee.buffers, &known(error), batch) {
            Credited::Shared(layers) => layers.into_iter().map(host).collect::<Vec<_>>(),
            _ => panic!("a local rule"),
        }
    };
    let targets = onehot().neg();
    let any = matrix(wave(2, SAMPLES * CLASSES, 1.0), SAMPLES, CLASSES);
    assert_eq!(credit(Base::Drtp, any), credit(Base::Dfa, targets.clone()));
    assert_eq!(credit(Base::Drtp, targets.clone().neg()), credit(Base::Dfa, targets));
}

/// Protocol §12, 5: under every update rule the distance of W and B shrinks by 1 − ηλ a step, η the
/// rate of the map.
#[test]
fn kolen_pollack_brings_feedback_to_the_weights_by_one_factor() {
    for (optimizer, momentum) in
        [(OptimizerName::Adamw, 0.9), (OptimizerName::Sgd, 0.0), (OptimizerName::Muon, 0.9)]
    {
        let config = Config {
            optimizer,
            momentum,
            weight_decay: 0.3,
            learning_rate: 0.05,
            ..small(Arch::ResMlp, Method::KolenPollack)
        };
        let mut trainee = Trainee::<F64>::initial(&config, CLASSES, &Default::default()).unwrap();
        let mut rule = Optimizer::<F64>::new(&config);
        let distances = |trainee: &Trainee<F64>| -> BTreeMap<String, f64> {
            let of = |(map, w): (String, Tensor<Inner, 2>)| {
                let b = trainee.learner.own().feedback(&map).expect("B").clone();
                (map, host((w - b).square().sum().sqrt())[0])
            };
            weights(trainee.net()).into_iter().map(of).collect()
        };
        let mut before = distances(&trainee);
        for step in 0..4 {
            let (images, labels) = batch();
            let lesson = trainee.learn(images, labels, Turn { step, ..TURN });
            let start = host(weights(trainee.net())["blocks.0.linear1"].clone());
            trainee.update(|net| rule.step(net, lesson.network, config.learning_rate));
            rule.step_own(&mut trainee.learner, lesson.own, config.learning_rate);
            let after = distances(&trainee);
            for (map, distance) in &after {
                let is_muons = optimizer == OptimizerName::Muon && map.starts_with("blocks.");
                let rate = if is_muons { config.muon_learning_rate } else { config.learning_rate };
                let factor = 1.0 - rate * config.weight_decay;
                let found = distance / before[map];
                assert!((found - factor).abs() < 1e-7, "{optimizer}, {map}: {found}, {factor}");
            }
            let moved = host(weights(trainee.net())["blocks.0.linear1"].clone());
            assert!(relative(&moved, &start) > 1e-3, "{optimizer}: it learns");
            before = after;
        }
    }
}

/// e is the gradient of each sample's own loss, and the host's losses are the device's.
#[test]
fn under_every_objective_the_error_is_the_gradient_of_the_loss() {
    for &objective in Objective::ALL {
        let outputs = matrix::<F64>(wave(5, SAMPLES * CLASSES, 2.0), SAMPLES, CLASSES);
        let labels = batch().1;
        let leaf = outputs.clone().require_grad();
        let loss = objective.mean_loss(leaf.clone(), labels.clone());
        let gradient = leaf.grad(&loss.backward()).unwrap().mul_scalar(SAMPLES as f64);
        let error = objective.error(outputs.clone().inner(), labels.clone().inner());
        assert!(relative(&host(error), &host(gradient)) < 1e-14, "{objective}");
        let host_labels: Vec<u32> = (0..SAMPLES as u32).map(|i| (3 * i) % 10).collect();
        let losses = objective.losses(outputs.clone().inner(), &host_labels);
        let on_device = objective.sample_losses(outputs.clone().inner(), labels.clone().inner());
        assert!(relative(&host(on_device), &losses) < 1e-14, "{objective}");
        let mean = losses.iter().sum::<f64>() / SAMPLES as f64;
        assert!((mean / host(loss)[0] - 1.0).abs() < 1e-14, "{objective}");
    }
}

/// Under squared error the whole way from objective to gradient: DFA's readout has the gradient that
/// the definition gives, hᵀ(z − onehot(y))/N.
#[test]
fn squared_error_trains_the_readout_by_its_own_definition() {
    let config = Config {
        objective: Objective::SquaredError,
        terminal_norm: false,
        ..small(Arch::ResMlp, Method::Dfa)
    };
    let trainee = Trainee::<F64>::initial(&config, CLASSES, &Default::default()).unwrap();
    let (images, labels) = batch();
    let lesson = trainee.learn(images.clone(), labels.clone(), TURN);
    let pass = trainee.pass();
    let reference = forward_and_back(trainee.net(), pass, config.objective, images, labels.clone());
    let error = (reference.outputs - onehot()).div_scalar(SAMPLES as f64);
    let top = reference.hidden.last().unwrap().clone().squeeze_dim::<2>(1);
    let want = host(top.transpose().matmul(error));
    assert!(relative(&host(lesson.network["readout.head.weight"].clone()), &want) < 1e-12);
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/update_rules.json")).expect("update_rules.json")
}

fn numbers(tensor: &Value) -> Vec<f64> {
    let head = tensor["head"].as_array().expect("a head");
    head.iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// PyTorch's matrices are [out, in], ours [in, out].
fn transposed(values: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// The configuration of a golden case, and what AdamW's betas and epsilon in f32 cost it.
fn setting(case: &Value) -> (Config, f64) {
    let number = |key: &str| case[key].as_f64().unwrap_or_else(|| panic!("{key} of {case}"));
    let config = Config { weight_decay: number("weight_decay"), ..published(Arch::ResMlp) };
    let rate = number("lr");
    match case["rule"].as_str().expect("a rule") {
        "adamw" => (Config { learning_rate: rate, ..config }, 1e-3 * 1e-4),
        "sgd" => {
            let momentum = number("momentum");
            let optimizer = OptimizerName::Sgd;
            (Config { optimizer, momentum, learning_rate: rate, ..config }, 1e-11)
        }
        "muon" => {
            let (optimizer, muon_momentum) = (OptimizerName::Muon, number("momentum"));
            (Config { optimizer, muon_momentum, muon_learning_rate: rate, ..config }, 1e-11)
        }
        rule => panic!("no update rule {rule}"),
    }
}

#[test]
fn five_steps_of_every_update_rule_are_those_of_its_reference() {
    let golden = &golden()["update_rules"];
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let key = case["matrix"].as_str().expect("the matrix");
        let problem = &golden["matrices"][key];
        let shape = [0, 1].map(|i| problem["start"]["shape"][i].as_u64().unwrap() as usize);
        let inner = [shape[1], shape[0]];
        let vector = |tensor: &Value| -> Tensor<Inner, 1> {
            let values = transposed(&numbers(tensor), shape);
            let values = TensorData::new(values, [shape[0] * shape[1]]);
            float_tensor(values, &Default::default())
        };
        let (config, tolerance) = setting(case);
        let rule = update::of::<Inner>(&config);
        let name = "blocks.0.linear1.weight";
        let parameter = Parameter { name, shape: &inner, part: Part::Block(0) };
        let (mut value, mut slots) = (vector(&problem["start"]), Slots::default());
        let gradients = problem["gradients"].as_array().expect("gradients");
        let after = case["after"].as_array().expect("matrices");
        assert_eq!((gradients.len(), after.len()), (5, 5));
        for (t, (gradient, after)) in (1..).zip(gradients.iter().zip(after)) {
            let gradient = vector(gradient);
            (value, slots) = rule.update(config.learning_rate, &parameter, value, gradient, slots);
            for (own, want) in host(value.clone()).iter().zip(transposed(&numbers(after), shape)) {
                let what = format!("{}, {key}, step {t}: {own}, {want}", case["rule"]);
                assert!((own - want).abs() < tolerance, "{what}");
            }
        }
        assert_eq!(slots.time, 5);
    }
}

/// Muon leaves to AdamW what is no matrix of a block.
#[test]
fn muon_moves_the_blocks_matrices_alone() {
    let config = Config { optimizer: OptimizerName::Muon, ..published(Arch::ResMlp) };
    let plain = Config { optimizer: OptimizerName::Adamw, ..config.clone() };
    let moved = |config: &Config, part: Part, shape: &[usize]| {
        let vector = |p| -> Tensor<Inner, 1> {
            float_tensor(TensorData::new(wave(p, 12, 1.0), [12]), &Default::default())
        };
        let parameter = Parameter { name: "x", shape, part };
        let rule = update::of::<Inner>(config);
        let (value, _) = rule.update(1e-3, &parameter, vector(1), vector(2), Slots::default());
        host(value)
    };
    for (part, shape, is_muons) in [
        (Part::Block(1), &[3, 4][..], true),
        (Part::Block(1), &[12], false),
        (Part::Embed, &[3, 4], false),
        (Part::Readout, &[3, 4], false),
        (Part::Learner, &[3, 4], false),
    ] {
        let same = moved(&config, part, shape) == moved(&plain, part, shape);
        assert_eq!(!same, is_muons, "{part:?} {shape:?}");
    }
}

/// PyTorch's gradients where every map but the embedding's is crossed through a given matrix.
#[test]
fn layer_wise_feedback_is_pytorchs() {
    let golden = &golden()["feedback"];
    let config = Config { width: 6, depth: 2, ..published(Arch::ResMlp) };
    let net = net(&config);
    let net = assign(net.clone(), &formula_parameters(&net)).expect("every parameter");
    let pixels = (0..6 * 3072).map(|k| (0.013 * (k + 1) as f64).sin()).collect();
    let images = matrix::<F64>(pixels, 6, 3072);
    compare("inputs", &host(images.clone()), &golden["inputs"]);
    let labels: Vec<i64> =
        golden["labels"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    let labels: Tensor<F64, 1, Int> =
        Tensor::from_data(TensorData::new(labels, [6]), &Default::default());
    for case in ["bp", "random", "sign"] {
        let golden = &golden[case];
        let matrices = golden["matrices"].as_object().expect("a matrix for each map").iter();
        let own = matrices.map(|(map, b)| {
            let shape = [0, 1].map(|i| b["shape"][i].as_u64().unwrap() as usize);
            (format!("feedback.{map}"), matrix::<Inner>(numbers(b), shape[0], shape[1]))
        });
        let learner = Learner::new(Base::LayerFa, Settings::of(&config), Own::new(own));
        let batch = || (images.clone(), labels.clone());
        let known = known(matrix(vec![0.0; 60], 6, 10));
        let Credited::Whole(credit) = learner.credit(&net, &Buffers::new(), &known, batch) else {
            panic!("of the exact family");
        };
        for (l, a) in credit.into_iter().enumerate() {
            compare(&format!("{case}, a_{l}"), &host(a), &golden["hidden"][l]);
        }
        let lesson = learner.learn(&net, &Buffers::new(), images.clone(), labels.clone(), TURN);
        let gradients = golden["gradient"].as_object().expect("a gradient for each parameter");
        assert_eq!(lesson.network.len(), gradients.len());
        for (name, gradient) in lesson.network {
            compare(&format!("{case}, {name}"), &host(gradient), &gradients[&name]);
        }
    }
}
