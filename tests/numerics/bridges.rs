//! State and Credit Bridge: exact identities in float64 on the production step (protocol §14), and what
//! their auxiliary networks learn against the definitions in plain arithmetic.

use crate::common::{F64, host, matrix, published, relative, wave};
use crate::identities::LinearNet;
use burn::backend::NdArray;
use burn::tensor::{Int, Tensor, TensorData};
use fa_audit::config::{
    Arch, Auxiliary, Base, Code, Config, GradientMatching, Method, Normalise, OptimizerName,
    PredictorOutput,
};
use fa_audit::learn::credit_bridge::{slope_of, soft_min};
use fa_audit::learn::state_bridge::credit_through;
use fa_audit::learn::{
    AuxiliaryNet, Credit, Credited, Known, Learner, Own, Scene, Settings, Trainee, Turn,
    forward_and_back,
};
use fa_audit::model::{Buffers, Network, Pass};
use fa_audit::rng;
use fa_audit::train::Optimizer;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

type Inner = NdArray<f64>;

const CLASSES: usize = 10;
/// A power of two, as the layers of the network are: means are then exact in binary.
const SAMPLES: usize = 8;
const DEPTH: usize = 3;
const WIDTH: usize = 12;
const TURN: Turn = Turn { seed: 3, epoch: 2, step: 5 };

fn small(method: Method) -> Config {
    Config {
        method,
        width: WIDTH,
        depth: DEPTH,
        w2_std: 0.1,
        auxiliary_width: 7,
        auxiliary_layers: 2,
        predictor_octaves: 3,
        bridge_copies: 4,
        warm_up: 0.0,
        ..published(Arch::ResMlp)
    }
}

fn batch() -> (Tensor<F64, 2>, Tensor<F64, 1, Int>) {
    let labels: Vec<i64> = (0..SAMPLES as i64).map(|i| (3 * i) % 10).collect();
    let labels = TensorData::new(labels, [SAMPLES]);
    let pixels = matrix(wave(11, SAMPLES * 3072, 1.0), SAMPLES, 3072);
    (pixels, Tensor::from_data(labels, &Default::default()))
}

fn labels() -> Vec<u32> {
    (0..SAMPLES as u32).map(|i| (3 * i) % 10).collect()
}

fn trainee(config: &Config) -> Trainee<F64> {
    Trainee::initial(config, CLASSES, &Default::default()).expect("a network")
}

/// What the batch shows, and the true gradient of each sample's own loss at h_0 … h_L.
fn seen(trainee: &Trainee<F64>) -> (Known<Inner>, Vec<Vec<f64>>) {
    let (images, labels) = batch();
    let objective = trainee.learner.settings().objective;
    let reference =
        forward_and_back(trainee.net(), trainee.pass(), objective, images, labels.clone());
    let known = Known {
        blocks: DEPTH,
        outputs: reference.outputs.clone(),
        error: objective.error(reference.outputs, labels.clone().inner()),
        target: labels.inner().into(),
        top: reference.gradient.last().map(|g| g.clone().squeeze_dim::<2>(1)),
        hidden: reference.hidden,
    };
    let own = |g: &Tensor<Inner, 3>| host(g.clone().mul_scalar(SAMPLES as f64));
    (known, reference.gradient.iter().map(own).collect())
}

fn scene<'a, N>(
    net: &'a N,
    learner: &'a Learner<F64>,
    buffers: &'a Buffers<Inner>,
) -> Scene<'a, F64, N> {
    Scene {
        net,
        buffers,
        own: learner.own(),
        settings: learner.settings(),
        epoch: 1,
        turn: TURN,
        measures: true,
    }
}

fn layers(credit: Credit<Inner>) -> Vec<Vec<f64>> {
    credit.layers.into_iter().map(host).collect()
}

/// a_0 … a_L as the production learner measures them.
fn credit_of(trainee: &Trainee<F64>, learner: &Learner<F64>) -> Vec<Vec<f64>> {
    match learner.credit(trainee.net(), &trainee.buffers, &seen(trainee).0, batch) {
        Credited::Shared(layers) => layers.into_iter().map(host).collect(),
        _ => panic!("a local rule"),
    }
}

fn assert_near(own: &[Vec<f64>], want: &[Vec<f64>], tolerance: f64) {
    assert_eq!(own.len(), want.len());
    for (l, (own, want)) in own.iter().zip(want).enumerate() {
        assert!(want.iter().any(|v| *v != 0.0), "a_{l} is something");
        let off = relative(own, want);
        assert!(off < tolerance, "a_{l}: {off:.1e}");
    }
}

/// h_L of h_l: the blocks from l on.
fn remaining<N: Network<F64>>(net: &N, l: usize, h: &Tensor<F64, 2>) -> Tensor<F64, 2> {
    let pass = &mut Pass::eval(&Buffers::new());
    let top = (l..net.blocks()).fold(h.clone().unsqueeze_dim(1), |h: Tensor<F64, 3>, l| {
        let branch = net.branch(l, h.clone(), pass);
        net.advance(l, h, branch, pass)
    });
    top.squeeze_dim(1)
}

#[test]
fn state_bridge_with_the_true_remaining_network_is_the_gradient() {
    let trainee = trainee(&small(Method::StateBridge));
    let (known, gradient) = seen(&trainee);
    let scene = scene(trainee.net(), &trainee.learner, &trainee.buffers);
    let credit = credit_through(&scene, &known, |hidden| {
        let top = hidden.iter().enumerate().map(|(l, h)| remaining(trainee.net(), l, h));
        Tensor::cat(top.collect(), 0)
    });
    assert_near(&layers(credit), &gradient, 1e-14);
}

#[test]
fn credit_bridge_with_the_exact_remaining_loss_is_the_gradient() {
    let trainee = trainee(&small(Method::CreditBridge));
    let (known, gradient) = seen(&trainee);
    let objective = trainee.learner.settings().objective;
    let scene = scene(trainee.net(), &trainee.learner, &trainee.buffers);
    let credit = slope_of(&scene, &known, |hidden| {
        let ahead = hidden.iter().enumerate().map(|(l, h)| {
            let pass = &mut Pass::eval(&Buffers::new());
            let outputs = trainee.net().outputs_from(l, h.clone().unsqueeze_dim(1), pass);
            objective.sample_losses(outputs, batch().1).unsqueeze_dim(1)
        });
        Tensor::cat(ahead.collect(), 0)
    });
    assert_near(&layers(credit), &gradient, 1e-14);
}

/// A linear network without noise is linear in every hidden state: least squares finds it.
#[test]
fn state_bridge_with_a_least_squares_predictor_of_a_linear_network_is_the_gradient() {
    const D: usize = 6;
    let net = LinearNet::<F64>::new(DEPTH, true, 0.4);
    let settings = Settings::of(&small(Method::StateBridge));
    let learner = Learner::new(Base::StateBridge, settings, Own::none());
    let start = matrix::<F64>(wave(4, 2 * SAMPLES * D, 1.0), 2 * SAMPLES, D);
    let mut hidden = vec![start];
    for l in 0..DEPTH {
        let h = hidden[l].clone().unsqueeze_dim(1);
        let pass = &mut Pass::eval(&Buffers::new());
        let branch = net.branch(l, h.clone(), pass);
        hidden.push(net.advance(l, h, branch, pass).squeeze_dim(1));
    }
    let labels: Vec<i64> = (0..2 * SAMPLES as i64).map(|i| i % 3).collect();
    let labels: Tensor<F64, 1, Int> =
        Tensor::from_data(TensorData::new(labels, [2 * SAMPLES]), &Default::default());
    let gradient = |l: usize| {
        let leaf = hidden[l].clone().detach().require_grad();
        let pass = &mut Pass::eval(&Buffers::new());
        let outputs = net.outputs_from(l, leaf.clone().unsqueeze_dim(1), pass);
        let loss = settings.objective.mean_loss(outputs, labels.clone());
        let reached = leaf.grad(&loss.backward()).expect("a gradient");
        host(reached.mul_scalar(2.0 * SAMPLES as f64))
    };
    let gradients: Vec<_> = (0..=DEPTH).map(gradient).collect();
    let nothing = matrix(vec![0.0; 6 * SAMPLES], 2 * SAMPLES, 3);
    let known = Known {
        blocks: DEPTH,
        outputs: nothing.clone(),
        error: nothing,
        target: labels.inner().into(),
        top: None,
        hidden: hidden.iter().map(|h| h.clone().inner().unsqueeze_dim(1)).collect(),
    };
    let buffers = Buffers::new();
    let scene = scene(&net, &learner, &buffers);
    let top = host(hidden[DEPTH].clone());
    let credit = credit_through(&scene, &known, |rows| {
        let predicted = rows.iter().map(|h| {
            let fitted = least_squares(&host(h.clone()), &top, D);
            h.clone().matmul(matrix(fitted, D, D))
        });
        Tensor::cat(predicted.collect(), 0)
    });
    assert_near(&layers(credit), &gradients, 1e-12);
}

/// P [d, d] with the least ‖X P − Y‖, by the normal equations and elimination with pivots.
fn least_squares(x: &[f64], y: &[f64], d: usize) -> Vec<f64> {
    let product = |a: &[f64], b: &[f64], i: usize, j: usize| -> f64 {
        a.chunks(d).zip(b.chunks(d)).map(|(a, b)| a[i] * b[j]).sum()
    };
    let row = |i: usize| -> Vec<f64> {
        let left = (0..d).map(|j| product(x, x, i, j));
        left.chain((0..d).map(|j| product(x, y, i, j))).collect()
    };
    let mut rows: Vec<Vec<f64>> = (0..d).map(row).collect();
    for k in 0..d {
        let pivot = (k..d).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs()));
        rows.swap(k, pivot.expect("a row"));
        let scale = rows[k][k];
        rows[k].iter_mut().for_each(|v| *v /= scale);
        let pivot = rows[k].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = row[k];
            row.iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    rows.into_iter().flat_map(|row| row[d..].to_vec()).collect()
}

/// What the rule owns, with `change` made of each matrix.
fn changed(own: &Own<Inner>, change: impl Fn(&str, Vec<f64>) -> Vec<f64>) -> Own<Inner> {
    let of = |(name, m): (&str, &Tensor<Inner, 2>)| {
        let [rows, cols] = m.dims();
        (name.to_string(), matrix(change(name, host(m.clone())), rows, cols))
    };
    Own::new(own.iter().map(of).collect::<Vec<_>>())
}

/// The whole step: a residual predictor that adds nothing sees h_l as h_L, and each block is trained
/// by that credit, scaled.
#[test]
fn state_bridge_with_an_empty_residual_predictor_asks_the_readout_of_h_l() {
    for normalise in [Normalise::Rms, Normalise::None] {
        let residual = PredictorOutput::Residual;
        let config = Config { predictor_output: residual, normalise, ..small(Method::StateBridge) };
        let trainee = trainee(&config);
        let empty = changed(trainee.learner.own(), |name, values| {
            if name.starts_with("auxiliary.2.") { vec![0.0; values.len()] } else { values }
        });
        let learner = Learner::new(Base::StateBridge, *trainee.learner.settings(), empty);
        let (known, _) = seen(&trainee);
        let objective = config.objective;
        let want: Vec<_> = known
            .hidden
            .iter()
            .map(|h| {
                let leaf = Tensor::<F64, 3>::from_inner(h.clone()).require_grad();
                let outputs = trainee.net().readout(leaf.clone(), &mut trainee.pass());
                let loss = objective.mean_loss(outputs, batch().1);
                let reached = leaf.grad(&loss.backward()).expect("a gradient");
                host(reached.mul_scalar(SAMPLES as f64))
            })
            .collect();
        assert_near(&credit_of(&trainee, &learner), &want, 1e-14);

        let (images, labels) = batch();
        let lesson = learner.learn(trainee.net(), &trainee.buffers, images, labels, TURN);
        for (l, a) in want.iter().take(DEPTH).enumerate() {
            // The last bias of a block sees the mean of its credit, whatever lies below.
            let bias = host(lesson.network[&format!("blocks.{l}.linear2.bias")].clone());
            assert!(relative(&bias, &mean_scaled(a, &config)) < 1e-12, "block {l}, {normalise}");
        }
    }
}

/// mean over the batch of ã.
fn mean_scaled(a: &[f64], config: &Config) -> Vec<f64> {
    let mut mean = vec![0.0; WIDTH];
    for row in a.chunks(WIDTH) {
        let rms = (row.iter().map(|v| v * v).sum::<f64>() / WIDTH as f64).sqrt();
        let scale = match config.normalise {
            Normalise::Rms => 1.0 / (rms + config.rms_epsilon),
            Normalise::None => 1.0,
        };
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += scale * v / SAMPLES as f64);
    }
    mean
}

/// LN on the input: nothing along 1, and along h − mean what ε leaves.
#[test]
fn a_bridges_credit_is_blind_along_one_and_along_the_centred_state() {
    for method in [Method::StateBridge, Method::CreditBridge] {
        let trainee = trainee(&small(method));
        let credit = credit_of(&trainee, &trainee.learner);
        let hidden = seen(&trainee).0.hidden;
        assert_eq!(credit.len(), DEPTH + 1);
        for (a, h) in credit.iter().zip(hidden) {
            for (a, h) in a.chunks(WIDTH).zip(host(h).chunks(WIDTH)) {
                let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
                let mean = h.iter().sum::<f64>() / WIDTH as f64;
                let centred: Vec<f64> = h.iter().map(|v| v - mean).collect();
                let along: f64 = a.iter().zip(&centred).map(|(x, y)| x * y).sum();
                let one = a.iter().sum::<f64>().abs() / norm(a);
                assert!(norm(a) > 0.0 && one < 1e-13, "{method}: {one:.1e}");
                let cosine = along.abs() / (norm(a) * norm(&centred));
                assert!(cosine < 1e-3, "{method}: {cosine:.1e}");
            }
        }
    }
}

/// −λ log mean exp(−v/λ) by its definition.
#[test]
fn the_soft_minimum_lies_between_the_least_and_the_mean() {
    let soft = |rows: &[f64], columns: usize, temperature: f64| {
        let values = matrix::<Inner>(rows.to_vec(), rows.len() / columns, columns);
        host(soft_min(values, temperature))
    };
    // Constants are kept.
    assert_eq!(soft(&[0.7, -3.0, 0.7, -3.0, 0.7, -3.0], 2, 0.1), [0.7, -3.0]);
    let values = [0.3, -0.2, 0.55, 0.1, 0.0, 1.4];
    let mean = values.iter().sum::<f64>() / 6.0;
    let of = |temperature| soft(&values, 1, temperature)[0];
    for temperature in [0.05, 0.1, 1.0] {
        let sum: f64 = values.iter().map(|v| (-v / temperature).exp()).sum();
        let want = -temperature * (sum / 6.0).ln();
        assert!((of(temperature) - want).abs() < 1e-14);
        assert!(-0.2 < want && want < mean);
        // It follows a shift.
        let shifted = values.map(|v| v + 1000.0);
        assert!((soft(&shifted, 1, temperature)[0] - 1000.0 - want).abs() < 1e-12);
    }
    assert!((of(1e6) - mean).abs() < 1e-6);
    assert!((of(1e-5) + 0.2).abs() < 1e-4);
    // Far apart, no exponential leaves the finite numbers.
    assert!((soft(&[0.0, 1e9], 1, 0.1)[0] - 0.1 * 2f64.ln()).abs() < 1e-12);
}

/// Of a linear V at h + σξ the soft minimum is, on average over ξ, V(h) − σ²‖w‖²/(2λ).
#[test]
fn the_soft_minimum_of_a_linear_value_is_lower_by_half_its_variance_over_lambda() {
    let (sigma, slope, lambda) = (0.1, 1.7, 0.4);
    let mut stream = rng::stream(1, "test/softmin");
    let noise: Vec<f64> = (0..400_000).map(|_| StandardNormal.sample(&mut stream)).collect();
    let values = noise.iter().map(|xi| 2.0 + sigma * slope * xi).collect();
    let found = host(soft_min(matrix::<Inner>(values, noise.len(), 1), lambda))[0];
    let want = 2.0 - (sigma * slope).powi(2) / (2.0 * lambda);
    assert!((found - want).abs() < 2e-3 && (found - 2.0).abs() > 3e-2, "{found}, {want}");
}

/// The slope that the value network learns from is the one that it gives as credit.
#[test]
fn the_value_networks_gradient_written_out_is_that_of_a_backward_pass() {
    let config = Config { auxiliary_layers: 3, ..small(Method::CreditBridge) };
    let trainee = trainee(&config);
    let (known, _) = seen(&trainee);
    let credit = credit_of(&trainee, &trainee.learner);
    let value = AuxiliaryNet::of(trainee.learner.own(), "auxiliary");
    for (l, a) in credit.iter().enumerate() {
        let h = known.hidden[l].clone().squeeze_dim::<2>(1);
        let ran = value.run(h.clone(), context(&config, &known, &[l; SAMPLES]));
        let off = relative(&host(value.gradient(h, &ran)), a);
        assert!(off < 1e-13, "{l}: {off:.1e}");
    }
}

/// time ⊕ s of sample i at `layers[i]`, by their definitions.
fn context(config: &Config, known: &Known<Inner>, layers: &[usize]) -> Tensor<Inner, 2> {
    let octaves = match config.rule() {
        Base::StateBridge => config.predictor_octaves,
        _ => config.value_octaves,
    };
    let code = match config.code {
        Code::Error => host(known.error.clone()),
        Code::Zero => vec![0.0; SAMPLES * CLASSES],
        Code::Delta => delta(known),
    };
    let width = code.len() / SAMPLES;
    let row = |(l, code): (&usize, &[f64])| {
        let time = *l as f64 / DEPTH as f64;
        let angle = |k: usize| 2f64.powi(k as i32) * std::f64::consts::PI * time;
        let time = (0..octaves).flat_map(move |k| [angle(k).sin(), angle(k).cos()]);
        time.chain(code.to_vec()).collect::<Vec<_>>()
    };
    let values: Vec<f64> = layers.iter().zip(code.chunks(width)).flat_map(row).collect();
    matrix(values, SAMPLES, 2 * octaves + width)
}

fn delta(known: &Known<Inner>) -> Vec<f64> {
    host(known.top.clone().expect("δ_L")).iter().map(|v| v * SAMPLES as f64).collect()
}

/// h of sample i at `layers[i]`.
fn at(known: &Known<Inner>, layers: &[usize]) -> Vec<f64> {
    let row = |(i, l): (usize, &usize)| {
        host(known.hidden[*l].clone())[i * WIDTH..(i + 1) * WIDTH].to_vec()
    };
    layers.iter().enumerate().flat_map(row).collect()
}

fn stream(what: &str) -> rng::Stream {
    rng::stream(3, &format!("auxiliary/2/5/{what}"))
}

fn normals(what: &str, count: usize) -> Vec<f64> {
    StandardNormal.sample_iter(stream(what)).take(count).collect()
}

/// What stands for `target`, `width` numbers a sample, in a twin.
fn in_place_of(target: Vec<f64>, what: &str, config: &Config) -> Vec<f64> {
    let width = target.len() / SAMPLES;
    match config.auxiliary {
        Auxiliary::Learned | Auxiliary::Untrained => target,
        Auxiliary::Shuffled => {
            let mut draws = stream("order");
            let mut order: Vec<usize> = (0..SAMPLES).collect();
            for i in (1..SAMPLES).rev() {
                order.swap(i, draws.random_range(0..i));
            }
            order.iter().flat_map(|&i| target[i * width..(i + 1) * width].to_vec()).collect()
        }
        Auxiliary::Random => {
            let square = target.iter().map(|v| v * v).sum::<f64>() / target.len() as f64;
            let all = normals(what, target.len());
            all.into_iter().map(|v| v * square.sqrt()).collect()
        }
        Auxiliary::ZeroTarget => vec![0.0; target.len()],
    }
}

/// The loss of the auxiliary network by its definition.
fn loss(config: &Config, known: &Known<Inner>, own: &Own<Inner>) -> f64 {
    let mut draws = stream("layer");
    let drawn: Vec<usize> = (0..SAMPLES).map(|_| draws.random_range(0..DEPTH)).collect();
    let net = AuxiliaryNet::of(own, "auxiliary");
    let run = |layers: &[usize]| {
        let h = matrix(at(known, layers), SAMPLES, WIDTH);
        let ran = net.run(h.clone(), context(config, known, layers));
        (host(ran.output.clone()), h, ran)
    };
    let mean = |x: Vec<f64>| x.iter().sum::<f64>() / x.len() as f64;
    let squares = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>();
    if config.rule() == Base::StateBridge {
        let top = at(known, &[DEPTH; SAMPLES]);
        let target = in_place_of(top.clone(), "target", config);
        let (mut guess, h, _) = run(&drawn);
        if config.predictor_output == PredictorOutput::Residual {
            guess.iter_mut().zip(host(h)).for_each(|(g, h)| *g += h);
        }
        let miss = |i: usize| {
            let row = i * WIDTH..(i + 1) * WIDTH;
            let off: Vec<f64> =
                guess[row.clone()].iter().zip(&target[row.clone()]).map(|(a, b)| a - b).collect();
            squares(&off) / (squares(&top[row]) + 1e-8)
        };
        return mean((0..SAMPLES).map(miss).collect());
    }
    let off = |found: &[f64], target: Vec<f64>, what: &str| {
        let target = in_place_of(target, what, config);
        mean(found.iter().zip(target).map(|(a, b)| (a - b).powi(2)).collect())
    };
    let (top, h, ran) = run(&[DEPTH; SAMPLES]);
    let terminal = off(&top, config.objective.losses(known.outputs.clone(), &labels()), "value");

    let average = AuxiliaryNet::of(own, "average");
    let next: Vec<usize> = drawn.iter().map(|l| l + 1).collect();
    let noise = normals("noise", config.bridge_copies * SAMPLES * WIDTH);
    let copies: Vec<Vec<f64>> = noise
        .chunks(SAMPLES * WIDTH)
        .map(|noise| {
            let moved = at(known, &next);
            let moved = moved.iter().zip(noise).map(|(h, xi)| h + config.bridge_noise * xi);
            let h = matrix(moved.collect(), SAMPLES, WIDTH);
            host(average.run(h, context(config, known, &next)).output)
        })
        .collect();
    let ahead = (0..SAMPLES).map(|i| {
        let lambda = config.softmin_temperature;
        let sum: f64 = copies.iter().map(|copy| (-copy[i] / lambda).exp()).sum();
        -lambda * (sum / copies.len() as f64).ln()
    });
    let consistency = off(&run(&drawn).0, ahead.collect(), "bridge");

    let slope = host(net.gradient(h, &ran));
    let delta = delta(known);
    let target = in_place_of(delta.clone(), "gradient", config);
    let miss: Vec<f64> = slope.iter().zip(&target).map(|(a, b)| a - b).collect();
    let mismatch = match config.gradient_matching {
        GradientMatching::Absolute => squares(&miss) / SAMPLES as f64,
        GradientMatching::Relative => squares(&miss) / squares(&delta),
        GradientMatching::Cosine => {
            let cosine = |(a, b): (&[f64], &[f64])| {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                1.0 - dot / (squares(a) * squares(b)).sqrt()
            };
            mean(slope.chunks(WIDTH).zip(target.chunks(WIDTH)).map(cosine).collect())
        }
    };
    terminal + consistency + config.gradient_weight * mismatch
}

/// Finite differences of the loss along some entries of every matrix, through ∇V as well.
#[test]
fn the_gradients_of_the_auxiliary_networks_are_the_slopes_of_their_losses() {
    let state = small(Method::StateBridge);
    let value = Config { gradient_weight: 0.7, ..small(Method::CreditBridge) };
    let mut configs = vec![
        Config { predictor_output: PredictorOutput::Residual, ..state.clone() },
        Config { code: Code::Zero, ..state.clone() },
        Config { code: Code::Delta, ..state.clone() },
        Config { gradient_matching: GradientMatching::Absolute, ..value.clone() },
        Config { gradient_matching: GradientMatching::Cosine, ..value.clone() },
    ];
    for auxiliary in
        [Auxiliary::Learned, Auxiliary::Shuffled, Auxiliary::Random, Auxiliary::ZeroTarget]
    {
        configs.push(Config { auxiliary, ..state.clone() });
        configs.push(Config { auxiliary, ..value.clone() });
    }
    for config in configs {
        let trainee = trainee(&config);
        let (known, _) = seen(&trainee);
        // Away from where V̄ is V.
        let own = changed(trainee.learner.own(), |name, values| {
            let moved = |(k, v): (usize, f64)| {
                if name.starts_with("average.") { v + 0.1 * (k as f64).sin() } else { v }
            };
            values.into_iter().enumerate().map(moved).collect()
        });
        let learner = Learner::<F64>::new(config.rule(), *trainee.learner.settings(), own.clone());
        let (images, labels) = batch();
        let lesson = learner.learn(trainee.net(), &trainee.buffers, images, labels, TURN);
        let learned: Vec<&str> = lesson.own.keys().map(String::as_str).collect();
        assert!(learned.iter().all(|name| name.starts_with("auxiliary.")), "{learned:?}");
        assert_eq!(learned.len(), 2 + 2 * (config.auxiliary_layers + 1));
        for (name, gradient) in &lesson.own {
            let gradient = host(gradient.clone());
            let count = gradient.len();
            for k in [0, count / 3, count / 2, count - 1] {
                let moved = |step: f64| {
                    let own = changed(&own, |other, mut values| {
                        if other == name {
                            values[k] += step;
                        }
                        values
                    });
                    loss(&config, &known, &own)
                };
                let step = 1e-5;
                let slope = (moved(step) - moved(-step)) / (2.0 * step);
                let off = (gradient[k] - slope).abs();
                let what = format!("{} {name}[{k}]: {}, {slope}", config.label(), gradient[k]);
                assert!(off < 1e-6 * slope.abs().max(1e-2), "{what}");
            }
        }
    }
}

/// One step: AdamW with the auxiliary's own rate and decay whatever moves the network, and then the
/// average, which began as the network itself.
#[test]
fn the_auxiliary_network_has_an_update_rule_of_its_own_and_its_average_follows() {
    let adamw = Config {
        auxiliary_learning_rate: 0.02,
        auxiliary_weight_decay: 0.3,
        average_decay: 0.75,
        ..small(Method::CreditBridge)
    };
    let sgd = Config { optimizer: OptimizerName::Sgd, learning_rate: 0.1, ..adamw.clone() };
    for config in [adamw, sgd] {
        let mut trainee = trainee(&config);
        let before = trainee.learner.own().clone();
        let get = |own: &Own<Inner>, name: &str| host(own.get(name).expect(name).clone());
        let mut rule = Optimizer::<F64>::new(&config);
        let (images, labels) = batch();
        let lesson = trainee.learn(images, labels, TURN);
        let gradients = lesson.own.clone();
        // Half of the schedule is left.
        rule.step_own(&mut trainee.learner, lesson.own, config.learning_rate / 2.0);
        let after = trainee.learner.own();
        for (name, gradient) in gradients {
            let (old, new) = (get(&before, &name), get(after, &name));
            let rate = 0.01;
            for ((old, new), g) in old.iter().zip(&new).zip(host(gradient)) {
                // The first step of AdamW: m/(1 − β₁) = g, √(v/(1 − β₂)) = |g|; its ε is f32.
                let want = (1.0 - rate * 0.3) * old - rate * g / (g.abs() + 1e-8);
                assert!((new - want).abs() < 1e-6, "{name}: {new}, {want}");
            }
            let average = name.replacen("auxiliary", "average", 1);
            assert_eq!(get(&before, &average), old, "{average} begins as {name}");
            for ((own, old), new) in get(after, &average).iter().zip(&old).zip(&new) {
                assert!((own - (0.75 * old + 0.25 * new)).abs() < 1e-15, "{average}");
            }
        }
    }
}

#[test]
fn an_untrained_auxiliary_network_gives_a_credit_and_learns_nothing() {
    for method in [Method::StateBridge, Method::CreditBridge] {
        let config = Config { auxiliary: Auxiliary::Untrained, ..small(method) };
        let trainee = trainee(&config);
        let (images, labels) = batch();
        assert!(trainee.learn(images, labels, TURN).own.is_empty());
        let credit = credit_of(&trainee, &trainee.learner);
        assert!(credit.iter().all(|a| a.iter().any(|v| *v != 0.0)));
    }
}

/// Learned targets draw no batch's order or numbers, and every batch draws its own layers.
#[test]
fn each_batch_draws_anew() {
    for method in [Method::StateBridge, Method::CreditBridge] {
        let trainee = trainee(&small(method));
        let learned = |turn| {
            let (images, labels) = batch();
            host(trainee.learn(images, labels, turn).own["auxiliary.0.weight"].clone())
        };
        assert_eq!(learned(TURN), learned(TURN));
        for other in [Turn { step: 6, ..TURN }, Turn { epoch: 3, ..TURN }, Turn { seed: 4, ..TURN }]
        {
            assert_ne!(learned(TURN), learned(other), "{method}");
        }
    }
}

/// In the warm-up DFA trains and is measured, V learns; then V's slope does both.
#[test]
fn credit_bridge_trains_by_dfa_until_the_warm_up_is_over() {
    let config = Config { warm_up: 0.2, epochs: 10, ..small(Method::CreditBridge) };
    let mut trainee = trainee(&config);
    let own = trainee.learner.own().clone();
    let dfa = Learner::<F64>::new(Base::Dfa, Settings::of(&config), own.clone());
    let later = Settings::of(&Config { warm_up: 0.0, ..config.clone() });
    let bridge = Learner::<F64>::new(Base::CreditBridge, later, own);
    let bias = |learner: &Learner<F64>, trainee: &Trainee<F64>| {
        let (images, labels) = batch();
        let lesson = learner.learn(trainee.net(), &trainee.buffers, images, labels, TURN);
        (host(lesson.network["blocks.1.linear2.bias"].clone()), lesson.own.len())
    };
    for epoch in 0..=10 {
        trainee.learner.begin(epoch);
        let warm = epoch <= 2;
        let same = if warm { &dfa } else { &bridge };
        assert_eq!(credit_of(&trainee, &trainee.learner), credit_of(&trainee, same), "{epoch}");
        let (found, learned) = bias(&trainee.learner, &trainee);
        assert!(relative(&found, &bias(same, &trainee).0) < 1e-12, "{epoch}");
        assert!(learned > 0, "V learns in epoch {epoch}");
    }
    assert_ne!(credit_of(&trainee, &dfa), credit_of(&trainee, &bridge));
    // Without a warm-up there is nothing to draw for it.
    let without = Trainee::<F64>::initial(&small(Method::CreditBridge), 10, &Default::default());
    assert_eq!(without.expect("a network").learner.own().layers().count(), 0);
}

/// The null calibration's draw is another auxiliary network, with its average, at the same epoch.
#[test]
fn a_redrawn_bridge_has_another_auxiliary_network_at_the_same_epoch() {
    for (method, warm_up) in
        [(Method::StateBridge, 0.0), (Method::CreditBridge, 0.0), (Method::CreditBridge, 0.3)]
    {
        let config = Config { warm_up, epochs: 10, ..small(method) };
        let mut trainee = trainee(&config);
        for epoch in [1, 10] {
            trainee.learner.begin(epoch);
            let other = trainee.learner.redrawn(&config, CLASSES, 99, &Default::default());
            let other = other.expect("its matrices").expect("random");
            let old = credit_of(&trainee, &trainee.learner);
            for (l, (a, b)) in old.iter().zip(credit_of(&trainee, &other)).enumerate() {
                assert!(relative(a, &b) > 1e-3, "{method}, a_{l}");
            }
            // The credit of the same matrices at the epoch at which the learner is.
            let mut same = Learner::new(config.rule(), Settings::of(&config), other.own().clone());
            same.begin(epoch);
            assert_eq!(credit_of(&trainee, &other), credit_of(&trainee, &same));
            for (name, value) in other.own().iter() {
                if let Some(of) = name.strip_prefix("average.") {
                    let v = other.own().get(&format!("auxiliary.{of}")).expect("V").clone();
                    assert_eq!(host(value.clone()), host(v));
                }
            }
        }
    }
}

#[test]
fn training_leaves_out_the_credit_that_trains_nothing() {
    let trainee = trainee(&small(Method::StateBridge));
    let (known, _) = seen(&trainee);
    let count = |measures| {
        let scene = Scene { measures, ..scene(trainee.net(), &trainee.learner, &trainee.buffers) };
        credit_through(&scene, &known, |h| Tensor::cat(h.to_vec(), 0)).layers.len()
    };
    assert_eq!((count(false), count(true)), (DEPTH, DEPTH + 1));
}
