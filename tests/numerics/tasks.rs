//! The toy linear–quadratic task on the production network in float64: its reference gradient is the
//! costate, and nothing of it is trained.

use crate::common::{F64, host, relative};
use burn::tensor::backend::AutodiffBackend;
use fa_audit::config::{Arch, Config, Method};
use fa_audit::data::{self, Dataset, DatasetKind};
use fa_audit::learn::{Reference, Trainee, Turn, forward_and_back};
use fa_audit::model::{Target, batch_tensors, export};

type Inner = <F64 as AutodiffBackend>::InnerBackend;

const SAMPLES: usize = 40;

fn toy(method: Method, seed: u64) -> (Config, Dataset, Trainee<F64>) {
    let published = Config::published(Arch::Lq, DatasetKind::ToyLq);
    let config =
        Config { method, seed, train_samples: SAMPLES, test_samples: SAMPLES, ..published };
    let data = data::load(config.dataset, None, &config.synthetic()).expect("vectors");
    let trainee = Trainee::initial(&config, data.provenance.classes, &Default::default());
    (config, data, trainee.expect("a network"))
}

fn reference(config: &Config, data: &Dataset, trainee: &Trainee<F64>) -> Reference<Inner> {
    let (x, y) = batch_tensors::<F64>(data.test_batch(0..SAMPLES), &Default::default());
    forward_and_back(trainee.net(), trainee.pass(), config.objective, x, y)
}

/// v M of rows v and M [rows, columns] in row-major order.
fn times(v: &[f64], m: &[f64]) -> Vec<f64> {
    let columns = m.len() / v.len();
    (0..columns).map(|j| v.iter().enumerate().map(|(i, x)| x * m[i * columns + j]).sum()).collect()
}

/// Mᵀ v: v of M's columns.
fn back(v: &[f64], m: &[f64]) -> Vec<f64> {
    m.chunks(v.len()).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
}

/// Protocol §14: λ_L = Cᵀ e, λ_l = (I + A_l)ᵀ λ_{l+1}, e = C h_L − y, in plain arithmetic from the
/// matrices; the mean over the batch is the program's convention.
#[test]
fn the_reference_gradient_of_the_toy_task_is_its_costate() {
    let (config, data, trainee) = toy(Method::Dfa, 42);
    assert_eq!((config.width, config.depth), (64, 12));
    let found = reference(&config, &data, &trainee);
    let tensors = export(trainee.net());
    let values = |name: &str| -> Vec<f64> { tensors[name].iter::<f64>().collect() };
    let c = values("readout.head.weight");
    let maps: Vec<Vec<f64>> =
        (0..config.depth).map(|l| values(&format!("blocks.{l}.linear.weight"))).collect();
    let hidden: Vec<Vec<f64>> = found.hidden.into_iter().map(host).collect();
    let gradient: Vec<Vec<f64>> = found.gradient.into_iter().map(host).collect();
    let batch = data.test_batch(0..SAMPLES);
    for i in 0..SAMPLES {
        let row = |of: &[f64]| of[64 * i..64 * (i + 1)].to_vec();
        let input: Vec<f64> =
            batch.inputs[64 * i..64 * (i + 1)].iter().map(|v| f64::from(*v)).collect();
        assert_eq!(row(&hidden[0]), input, "h_0 is the input");
        let outputs = times(&row(&hidden[12]), &c);
        let targets = &batch.targets[10 * i..10 * (i + 1)];
        let e: Vec<f64> = outputs.iter().zip(targets).map(|(z, y)| z - f64::from(*y)).collect();
        let mut costate = back(&e, &c);
        for l in (0..=config.depth).rev() {
            if l < config.depth {
                let through = back(&costate, &maps[l]);
                costate.iter_mut().zip(through).for_each(|(a, b)| *a += b);
            }
            let own: Vec<f64> = row(&gradient[l]).iter().map(|g| g * SAMPLES as f64).collect();
            assert!(relative(&own, &costate) < 1e-12, "h_{l}: {}", relative(&own, &costate));
        }
    }
}

/// h_{l+1} − (I + A_l) h_l = σ ξ_l of deviation 0.03, new at every layer, the same where the network is
/// run again; A_l and C have the specified deviations.
#[test]
fn the_toy_system_is_as_specified_and_runs_again_to_the_same_bits() {
    let (config, data, trainee) = toy(Method::Dfa, 42);
    let [one, two] = [(); 2].map(|()| reference(&config, &data, &trainee));
    let hidden: Vec<Vec<f64>> = one.hidden.into_iter().map(host).collect();
    assert_eq!(hidden, two.hidden.into_iter().map(host).collect::<Vec<_>>());
    let tensors = export(trainee.net());
    let std =
        |values: &[f64]| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.1;
    let mut noises = Vec::new();
    for l in 0..config.depth {
        let map: Vec<f64> = tensors[&format!("blocks.{l}.linear.weight")].iter::<f64>().collect();
        assert!(near(std(&map), 0.1 / 8.0), "A_{l}");
        let noise: Vec<f64> = hidden[l]
            .chunks(64)
            .zip(hidden[l + 1].chunks(64))
            .flat_map(|(h, next)| {
                let moved = times(h, &map);
                (0..64).map(|j| next[j] - h[j] - moved[j]).collect::<Vec<_>>()
            })
            .collect();
        assert!(near(std(&noise), 0.03), "ξ_{l}: {}", std(&noise));
        noises.push(noise);
    }
    let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let together = product(&noises[0], &noises[1]) / product(&noises[0], &noises[0]);
    assert!(together.abs() < 0.1, "{together}");
    let c: Vec<f64> = tensors["readout.head.weight"].iter::<f64>().collect();
    assert!(near(std(&c), 1.0 / 8.0));
    assert!(
        tensors
            .iter()
            .filter(|(name, _)| name.ends_with("bias"))
            .all(|(_, data)| { data.iter::<f64>().all(|v| v == 0.0) })
    );
    assert!(tensors.keys().all(|name| !name.starts_with("embed")));
}

/// No credit is formed for blocks that learn nothing; an update leaves the network.
#[test]
fn an_update_leaves_the_toy_system() {
    let (_, data, mut trainee) = toy(Method::Dfa, 7);
    let (x, y) = batch_tensors::<F64>(data.train_batch(&[3, 1, 4], None), &Default::default());
    assert!(matches!(y, Target::Values(_)));
    let lesson = trainee.learn(x, y, Turn { seed: 7, epoch: 1, step: 0 });
    for (name, gradient) in lesson.network {
        assert!(name.starts_with("readout."), "{name}");
        assert!(host(gradient).iter().all(|v| v.is_finite()), "{name}");
    }
    trainee.update(|_| unreachable!("it is not trained"));
}
