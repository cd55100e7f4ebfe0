//! BatchNorm in a network (Ioffe & Szegedy 2015): what it computes, what it keeps, and who changes that.

use crate::common::{F64, host, matrix, relative, wave};
use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use fa_audit::backend::Differentiable;
use fa_audit::config::{ActivityNorm, Arch, Base, Config, Method};
use fa_audit::data::DatasetKind;
use fa_audit::learn::{Known, Learner, Own, Settings, Trainee, Turn, forward_and_back};
use fa_audit::model::{Buffers, Mode, NamedTensors, Network, Part, Pass, Target, export, matrices};
use std::collections::BTreeMap;

const SAMPLES: usize = 6;
const INPUTS: usize = 128;
const WIDTH: usize = 5;
const TURN: Turn = Turn { seed: 3, epoch: 1, step: 0 };

fn of(method: Method) -> Config {
    let mlp = Config::published(Arch::Mlp, DatasetKind::Student);
    Config { method, activity_norm: ActivityNorm::Batch, width: WIDTH, depth: 2, ..mlp }
}

fn trainee<B: Differentiable>(config: &Config) -> Trainee<B> {
    Trainee::initial(config, 10, &Default::default()).expect("a network")
}

/// Inputs and wanted outputs.
fn batch<B: Backend>() -> (Tensor<B, 2>, Tensor<B, 2>) {
    let inputs = matrix(wave(3, SAMPLES * INPUTS, 1.5), SAMPLES, INPUTS);
    (inputs, matrix(wave(4, SAMPLES * 10, 1.0), SAMPLES, 10))
}

fn on_host(tensors: NamedTensors) -> BTreeMap<String, Vec<f64>> {
    tensors.into_iter().map(|(name, data)| (name, data.iter::<f64>().collect())).collect()
}

/// The columns of x [n, d].
fn columns(x: &[f64], d: usize) -> Vec<Vec<f64>> {
    (0..d).map(|j| x.iter().skip(j).step_by(d).copied().collect()).collect()
}

/// x W + b.
fn affine(tensors: &BTreeMap<String, Vec<f64>>, map: &str, x: &[f64]) -> Vec<f64> {
    let (weight, bias) = (&tensors[&format!("{map}.weight")], &tensors[&format!("{map}.bias")]);
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let value = |k: usize| {
        let row = &x[k / outputs * inputs..][..inputs];
        let terms = row.iter().enumerate().map(|(i, v)| v * weight[i * outputs + k % outputs]);
        bias[k % outputs] + terms.sum::<f64>()
    };
    (0..x.len() / inputs * outputs).map(value).collect()
}

/// Mean, variance over n and variance over n − 1 of each column of what the norm behind the embedding is
/// given.
fn statistics(tensors: &BTreeMap<String, Vec<f64>>) -> Vec<[f64; 3]> {
    let z = affine(tensors, "embed.linear", &wave(3, SAMPLES * INPUTS, 1.5));
    let of_column = |column: Vec<f64>| {
        let n = column.len() as f64;
        let mean = column.iter().sum::<f64>() / n;
        let square = column.iter().map(|z| (z - mean).powi(2)).sum::<f64>();
        [mean, square / n, square / (n - 1.0)]
    };
    columns(&z, WIDTH).into_iter().map(of_column).collect()
}

#[test]
fn running_statistics_move_by_pytorchs_momentum_and_are_what_an_evaluation_sees() {
    let trainee = trainee::<F64>(&of(Method::Bp));
    let tensors = on_host(export(trainee.net()));
    let of_batch = statistics(&tensors);
    let z = columns(&affine(&tensors, "embed.linear", &wave(3, SAMPLES * INPUTS, 1.5)), WIDTH);
    let mut pass = Pass { mode: Mode::Train, ..trainee.pass() };
    let mut running = [[0.0, 1.0]; WIDTH];
    for step in 0..3 {
        // γ is 1 and β 0.
        let normed = |j: usize, [mean, variance]: [f64; 2]| -> Vec<f64> {
            z[j].iter().map(|z| ((z - mean) / (variance + 1e-5).sqrt()).max(0.0)).collect()
        };
        let columns_of =
            |pass: &mut Pass<F64>| columns(&host(trainee.net().embed(batch().0, pass)), WIDTH);
        let trained = columns_of(&mut pass);
        for (j, [mean, variance, unbiased]) in of_batch.iter().copied().enumerate() {
            assert!(relative(&trained[j], &normed(j, [mean, variance])) < 1e-12, "{step}");
            let [old_mean, old_variance] = running[j];
            running[j] = [0.9 * old_mean + 0.1 * mean, 0.9 * old_variance + 0.1 * unbiased];
        }
        let kept = |k: usize| running.iter().map(|kept| kept[k]).collect::<Vec<_>>();
        for (k, name) in ["running_mean", "running_var"].into_iter().enumerate() {
            let found = host(pass.buffers[&format!("embed.norm.{name}")].clone());
            assert!(relative(&found, &kept(k)) < 1e-12, "{step}, {name}");
        }
        let mut still = Pass { mode: Mode::Eval, ..pass.clone() };
        let evaluated = columns_of(&mut still);
        for (j, running) in running.iter().enumerate() {
            assert!(relative(&evaluated[j], &normed(j, *running)) < 1e-12, "{step}");
        }
    }
}

/// Of every norm, and of no other part.
#[test]
fn a_step_changes_the_running_statistics_once_and_a_probe_changes_no_bit_of_them() {
    type B = Autodiff<Flex>;
    for method in [Method::Bp, Method::Dfa, Method::Fa, Method::LayerFa, Method::Ep] {
        let config = of(method);
        let mut trainee = trainee::<B>(&config);
        let start = on_host(trainee.buffers_on_host());
        assert_eq!(start.len(), 2 * 3);
        let (inputs, target) = batch::<B>();
        let learned = |trainee: &Trainee<B>| {
            let target = Target::Values(target.clone());
            trainee.learn(inputs.clone(), target, TURN).buffers
        };
        trainee.buffers = learned(&trainee);
        let once = on_host(trainee.buffers_on_host());
        let want = statistics(&on_host(export(trainee.net())));
        let want: Vec<f64> = want.iter().map(|[mean, ..]| 0.1 * mean).collect();
        assert!(relative(&once["embed.norm.running_mean"], &want) < 1e-5, "{method}");
        assert!(once.iter().all(|(name, values)| *values != start[name]), "{method}");

        let objective = trainee.learner.settings().objective;
        let target = Target::Values(target.clone());
        let reference = forward_and_back(
            trainee.net(),
            trainee.pass(),
            objective,
            inputs.clone(),
            target.clone(),
        );
        assert_eq!(reference.hidden.len(), 3);
        let known = Known {
            blocks: 2,
            outputs: reference.outputs.clone(),
            error: objective.error(reference.outputs, target.clone().inner()),
            target: target.clone().inner(),
            top: reference.gradient.last().map(|g| g.clone().sum_dim(1).squeeze_dim::<2>(1)),
            hidden: reference.hidden,
        };
        let again = || (inputs.clone(), target);
        trainee.learner.credit(trainee.net(), &trainee.buffers, &known, again);
        assert_eq!(on_host(trainee.buffers_on_host()), once, "{method}");
        assert_ne!(on_host(to_host(&learned(&trainee))), once, "{method}");
    }
}

fn to_host(buffers: &Buffers<Flex>) -> NamedTensors {
    buffers.iter().map(|(name, value)| (name.clone(), value.to_data())).collect()
}

/// In f32 and by the fast kernels, with the batch's statistics.
#[test]
fn feedback_of_the_weights_is_backpropagation_to_the_bit_through_batch_norm() {
    type B = Autodiff<Flex>;
    let trainee = trainee::<B>(&of(Method::LayerFa));
    let settings = Settings::of(&of(Method::LayerFa));
    let lesson = |rule, own| {
        let learner = Learner::<B>::new(rule, settings, own);
        let (inputs, target) = batch::<B>();
        let target = Target::Values(target);
        let found = learner.learn(trainee.net(), &trainee.buffers, inputs, target, TURN).network;
        found.into_iter().map(|(name, g)| (name, host(g))).collect::<BTreeMap<_, _>>()
    };
    let crossed = matrices(trainee.net()).into_iter();
    let crossed = crossed.filter(|(name, _)| Part::of(name) != Part::Embed);
    let own = Own::new(crossed.map(|(name, w)| {
        (format!("feedback.{}", name.strip_suffix(".weight").expect("a map")), w)
    }));
    let bp = lesson(Base::Bp, Own::none());
    assert!(bp.contains_key("blocks.1.norm.gamma"));
    assert_eq!(lesson(Base::LayerFa, own), bp);
    assert_ne!(lesson(Base::LayerFa, trainee.learner.own().clone()), bp);
}

#[test]
fn without_a_scale_and_a_shift_nothing_of_a_norm_is_trained() {
    let bare = Config { norm_affine: false, ..of(Method::Bp) };
    let names = |config: &Config| -> Vec<String> {
        export(trainee::<F64>(config).net()).into_keys().filter(|n| n.contains("norm")).collect()
    };
    assert_eq!((names(&bare).len(), names(&of(Method::Bp)).len()), (0, 2 * 3));
    let [bare, affine] = [bare, of(Method::Bp)].map(|config| {
        let trainee = trainee::<F64>(&config);
        let pass = &mut Pass { mode: Mode::Train, ..trainee.pass() };
        host(trainee.net().embed(batch().0, pass))
    });
    assert_eq!(bare, affine);
}

#[test]
fn a_checkpoint_without_its_running_statistics_is_refused_by_name() {
    let config = of(Method::Bp);
    let whole = trainee::<F64>(&config);
    let (network, learner) = (export(whole.net()), whole.learner.state());
    let refused = |buffers: &NamedTensors| {
        let tensors = [&network, buffers, &learner];
        let found = Trainee::<F64>::from_named(&config, 10, tensors, &Default::default());
        found.map(drop).map_err(|e| e.to_string())
    };
    let buffers = whole.buffers_on_host();
    assert_eq!(refused(&buffers), Ok(()));
    let mut other = buffers.clone();
    other.remove("embed.norm.running_mean");
    other.insert("embed.norm.running_var".into(), TensorData::new(vec![1.0; 2], [2]));
    other.insert("embed.norm.more".into(), TensorData::new(vec![1.0; 2], [2]));
    let want = "the buffers do not fit the network: embed.norm.running_mean is missing, \
                embed.norm.running_var is [2], expected [5], embed.norm.more is unknown";
    assert_eq!(refused(&other), Err(want.into()));
}
