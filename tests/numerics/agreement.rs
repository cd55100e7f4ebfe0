//! flex and ndarray are independent implementations: from one seed they must tell the same.

use crate::common::{F64, host, kinds_of_networks, published, relative, rules};
use anyhow::Result;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::backend::{Differentiable, Task, float_tensor, run_in_f64, scalar};
use fa_audit::config::{ActivityNorm, Arch, Config, Method, Probe};
use fa_audit::learn::{Credited, Known, Trainee, Turn, forward_and_back};

const CLASSES: usize = 10;
const SAMPLES: usize = 16;

/// A nudge that moves states by about their own size: what is read off their differences then has as
/// many digits as they.
const FAR: f64 = 10.0;

/// Everything that an audit reads off one batch, by name, and the gradients of one step.
fn measured<B: Differentiable>(config: &Config) -> Vec<(String, Vec<f64>)> {
    let device = Default::default();
    let trainee = Trainee::<B>::initial(config, CLASSES, &device).expect("a network");
    let pixels: Vec<f64> =
        (0..SAMPLES * 3072).map(|k| (0.013 * (k * k % 9973) as f64).sin()).collect();
    let images = float_tensor::<B, 2>(TensorData::new(pixels, [SAMPLES, 3072]), &device);
    let labels: Vec<i32> = (0..SAMPLES as i32).map(|i| i % CLASSES as i32).collect();
    let labels = Tensor::<B, 1, Int>::from_data(TensorData::new(labels, [SAMPLES]), &device);
    let objective = trainee.learner.settings().objective;
    let (net, pass) = (trainee.net(), trainee.pass());
    let reference = forward_and_back(net, pass, objective, images.clone(), labels.clone());
    let known = Known {
        blocks: config.blocks(),
        outputs: reference.outputs.clone(),
        error: objective.error(reference.outputs.clone(), labels.clone().inner()),
        target: labels.clone().inner().into(),
        top: reference.gradient.last().map(|g| g.clone().sum_dim(1).squeeze_dim::<2>(1)),
        hidden: reference.hidden.clone(),
    };
    let mut all = Vec::new();
    for (l, h) in reference.hidden.into_iter().enumerate() {
        all.push((format!("h_{l}"), host(h)));
    }
    for (l, g) in reference.gradient.into_iter().enumerate() {
        all.push((format!("g_{l}"), host(g)));
    }
    let batch = || (images.clone(), labels.clone());
    let credit = match trainee.learner.credit(net, &trainee.buffers, &known, batch) {
        Credited::Reference => Vec::new(),
        Credited::Shared(layers) => layers.into_iter().map(host).collect(),
        Credited::Whole(states) => states.into_iter().map(host).collect::<Vec<_>>(),
    };
    for (l, a) in credit.into_iter().enumerate() {
        all.push((format!("a_{l}"), a));
    }
    let lesson = trainee.learn(images, labels, Turn { seed: 1, epoch: 1, step: 0 });
    for (name, gradient) in lesson.network.into_iter().chain(lesson.own) {
        all.push((format!("gradient of {name}"), host(gradient)));
    }
    all
}

struct Measured<'a>(&'a Config);

impl Task for Measured<'_> {
    type Output = Vec<(String, Vec<f64>)>;

    fn run<B: Differentiable>(self, _: B::Device) -> Result<Self::Output> {
        Ok(measured::<B>(self.0))
    }
}

fn of(arch: Arch, method: Method) -> Config {
    let width = if arch.is_convolutional() { 4 } else { 32 };
    Config { method, width, depth: 3, warm_up: 0.0, ep_nudge: FAR, ..published(arch) }
}

/// Every network under every rule that it can be trained by.
fn all() -> impl Iterator<Item = (Arch, Method)> {
    let of_arch = |arch: Arch| rules().map(move |method| (arch, method));
    let all = kinds_of_networks().flat_map(of_arch);
    all.filter(|&(arch, method)| of(arch, method).check().is_ok())
}

/// A softmax does not see its key bias, nor BatchNorm the shift before it: the gradient is rounding alone.
fn is_rounding(name: &str, config: &Config) -> bool {
    let shifted = config.activity_norm == ActivityNorm::Batch && name.ends_with("conv.bias");
    name.ends_with("key.bias") || shifted
}

/// The difference of two passes a hundredth of the hidden state's length apart, over that: what they round
/// counts a hundred times.
fn is_perturbed(name: &str, config: &Config) -> bool {
    config.grape_probe == Probe::Perturbation && name.contains("jacobian.")
}

/// Scale or shift of all of a map's positions, of which the norm behind takes most away again: what is left of
/// the sum has lost a digit (in f32 1.6e-5 was found, in f64 the bound of all others holds).
fn is_left_over(name: &str, config: &Config) -> bool {
    let of_norm = name.ends_with(".gamma") || name.ends_with(".beta");
    config.arch.is_residual_convolutional() && of_norm
}

fn flex_and_ndarray_agree(arch: Arch, method: Method) {
    let config = of(arch, method);
    let flex = measured::<Autodiff<Flex>>(&config);
    let ndarray = measured::<Autodiff<NdArray>>(&config);
    assert_eq!(flex.len(), ndarray.len());
    for ((name, a), (_, b)) in flex.iter().zip(&ndarray) {
        if !is_rounding(name, &config) {
            let difference = relative(a, b);
            let bound = match (is_perturbed(name, &config), is_left_over(name, &config)) {
                (true, _) => 1e-4,
                (_, true) => 3e-5,
                _ => 1e-5,
            };
            assert!(difference < bound, "{arch}, {method}, {name}: {difference:.1e}");
        }
    }
}

#[test]
fn flex_and_ndarray_agree_on_every_network_under_every_rule() {
    // The states of two phases differ by little against their own size, and what is left of a difference in f32
    // are few digits; while they relax, rounding also decides which of two values a pool passes. The test below
    // compares them in f64.
    let relaxes_maps =
        |&(arch, method): &(Arch, Method)| arch.is_convolutional() && method == Method::Ep;
    for (arch, method) in all().filter(|run| !relaxes_maps(run)) {
        flex_and_ndarray_agree(arch, method);
    }
}

/// What a task of `run_in_f64` computes on flex is ndarray's in f64, and not an f32 computation.
#[test]
fn flex_in_double_precision_is_ndarrays_double_precision() {
    for (arch, method) in all() {
        let config = of(arch, method);
        let flex = run_in_f64(Measured(&config)).expect("a backend").expect("a measurement");
        let single = measured::<Autodiff<Flex>>(&config);
        let ndarray = measured::<F64>(&config);
        assert_eq!(flex.len(), ndarray.len());
        for (((name, a), (_, b)), (_, rounded)) in flex.iter().zip(&ndarray).zip(&single) {
            if is_rounding(name, &config) {
                continue;
            }
            let difference = relative(a, b);
            let relaxes_maps = arch.is_convolutional() && method == Method::Ep;
            let bound = if relaxes_maps { 1e-11 } else { 1e-12 };
            assert!(difference < bound, "{arch}, {method}, {name}: {difference:.1e}");
            // What is zero, or drawn from the seed, is the same in f32.
            let drawn = name.starts_with("a_") && method == Method::RandomTarget;
            assert!(drawn || a == rounded || relative(rounded, b) > 1e-9, "{method}, {name}");
        }
    }
}

#[test]
fn a_scalar_in_double_precision_keeps_its_digits_and_the_precision_ends_with_the_task() {
    struct Third;
    impl Task for Third {
        type Output = f64;

        fn run<B: Differentiable>(self, device: B::Device) -> Result<f64> {
            let ones = float_tensor::<B, 1>(TensorData::from([1.0f64]), &device);
            Ok(scalar(ones.div_scalar(3.0)))
        }
    }
    assert_eq!(run_in_f64(Third).expect("a backend").expect("a third"), 1.0 / 3.0);
    let after = Third.run::<Autodiff<Flex>>(Default::default()).expect("a third");
    assert_eq!(after, f64::from(1f32 / 3.0));
}
