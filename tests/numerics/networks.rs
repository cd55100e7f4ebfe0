//! The forward passes of the plain networks against plain arithmetic from their parameters, in f64.
//! PyTorch's own stand in `golden.rs` for the published ones.

use crate::common::{F64, host, matrix, relative, wave};
use fa_audit::config::{Activation, ActivityNorm, Arch, Config};
use fa_audit::data::DatasetKind;
use fa_audit::model::{NamedTensors, Net, Network, Pass, export, initial_buffers, outline};

const SAMPLES: usize = 3;
const INPUTS: usize = 128;

/// What the network makes of the batch: h_0 … h_L and the outputs.
fn forward(config: &Config, net: &Net<F64>) -> Vec<Vec<f64>> {
    let buffers = initial_buffers(&outline(config, 10).buffers, &Default::default());
    let pass = &mut Pass::eval(&buffers);
    let images = matrix(wave(3, SAMPLES * INPUTS, 1.5), SAMPLES, INPUTS);
    let mut hidden = net.embed(images, pass);
    let mut all = vec![host(hidden.clone())];
    for l in 0..config.depth {
        let branch = net.branch(l, hidden.clone(), pass);
        hidden = net.advance(l, hidden, branch, pass);
        all.push(host(hidden.clone()));
    }
    all.push(host(net.readout(hidden, pass)));
    all
}

/// x W + b for each row of x.
fn affine(tensors: &NamedTensors, map: &str, x: &[f64]) -> Vec<f64> {
    let weight: Vec<f64> = tensors[&format!("{map}.weight")].iter::<f64>().collect();
    let bias: Vec<f64> = tensors[&format!("{map}.bias")].iter::<f64>().collect();
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let mut y = Vec::new();
    for row in x.chunks(inputs) {
        for j in 0..outputs {
            let terms = row.iter().enumerate().map(|(i, v)| v * weight[i * outputs + j]);
            y.push(bias[j] + terms.sum::<f64>());
        }
    }
    y
}

/// 2/√π Σ (−1)^n x^{2n+1} / (n! (2n+1)).
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..80 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

fn active(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Gelu => x * (1.0 + erf(x / 2f64.sqrt())) / 2.0,
    }
}

/// γ is 1 and β 0 in the initial network.
fn normed(norm: ActivityNorm, rows: &[f64], d: usize) -> Vec<f64> {
    let of_row = |row: &[f64]| -> Vec<f64> {
        let mean = match norm {
            ActivityNorm::Layer => row.iter().sum::<f64>() / d as f64,
            ActivityNorm::None | ActivityNorm::Rms | ActivityNorm::Batch => 0.0,
        };
        let square = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
        let scale = match norm {
            ActivityNorm::None => 1.0,
            // Nothing has run yet: the variance is 1.
            ActivityNorm::Batch => 1.0 / (1.0 + 1e-5f64).sqrt(),
            ActivityNorm::Layer | ActivityNorm::Rms => 1.0 / (square + 1e-5).sqrt(),
        };
        row.iter().map(|v| (v - mean) * scale).collect()
    };
    rows.chunks(d).flat_map(of_row).collect()
}

fn agrees(config: &Config, layer: impl Fn(&NamedTensors, &str, &[f64]) -> Vec<f64>) {
    let net = Net::<F64>::new(config, 10, &Default::default());
    let (found, tensors) = (forward(config, &net), export(&net));
    let x = wave(3, SAMPLES * INPUTS, 1.5);
    let embedding = if tensors.contains_key("embed.weight") { "embed" } else { "embed.linear" };
    let mut h = match config.arch {
        Arch::Student => affine(&tensors, embedding, &x),
        _ => layer(&tensors, embedding, &x),
    };
    let (outputs, states) = found.split_last().expect("outputs");
    for (l, state) in states.iter().enumerate() {
        assert!(relative(state, &h) < 1e-13, "{}, h_{l}", config.label());
        if l < config.depth {
            let branch = layer(&tensors, &format!("blocks.{l}.linear"), &h);
            let skip = if config.residual_add { 1.0 } else { 0.0 };
            h = h.iter().zip(branch).map(|(h, f)| skip * h + f).collect();
        }
    }
    let wanted = affine(&tensors, "readout.head", &h);
    assert!(relative(outputs, &wanted) < 1e-13, "{}", config.label());
}

#[test]
fn a_plain_network_is_its_formula_with_every_activation_and_norm() {
    let mlp = Config::published(Arch::Mlp, DatasetKind::Student);
    assert!(!mlp.residual_add && !mlp.terminal_norm);
    for &activation in Activation::ALL {
        for &activity_norm in ActivityNorm::ALL {
            for residual_add in [false, true] {
                let keys = Config { activation, activity_norm, residual_add, ..mlp.clone() };
                let config = Config { width: 12, depth: 2, ..keys };
                agrees(&config, |tensors, map, x| {
                    let y = normed(activity_norm, &affine(tensors, map, x), 12);
                    y.into_iter().map(|v| active(activation, v)).collect()
                });
            }
        }
    }
}

#[test]
fn a_student_bends_from_linear_to_saturating() {
    for alpha in [0.0, 0.25, 1.0] {
        let student = Config::published(Arch::Student, DatasetKind::Student);
        let config = Config { alpha, depth: 3, width: 12, ..student };
        agrees(&config, |tensors, map, x| {
            let y = affine(tensors, map, x).into_iter();
            y.map(|z| (1.0 - alpha) * z + alpha * z.tanh()).collect()
        });
    }
}
