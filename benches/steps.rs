//! Times of what the program does over and over: a training step of each rule on each network, the
//! probe, and each control of an audit. On the CPU, one thread.

mod common;

use anyhow::{Context, Result};
use burn::module::Module;
use common::Net;
use divan::{Bencher, black_box};
use fa_audit::audit::controls::{self, Subject};
use fa_audit::audit::double::descent;
use fa_audit::audit::rerun::Rerun;
use fa_audit::backend::{self, Differentiable, Task};
use fa_audit::config::{Config, Method};
use fa_audit::data::Dataset;
use fa_audit::diagnostics::{aggregation, clamp, common_mode};
use fa_audit::learn::{Trainee, forward_and_back};
use fa_audit::model::batch_tensors;
use fa_audit::probe::{Probe, evaluation_batch, probe};
use fa_audit::train::Session;
use fa_audit::train::checkpoint::Checkpoint;
use fa_audit::train::run_dir::RunDir;

fn main() {
    divan::main();
}

/// One step with its optimiser, on a batch that lies ready.
#[divan::bench_group(sample_size = 1, max_time = 10)]
mod step {
    use super::{Bencher, Method, Net, bench_step};

    #[divan::bench(args = Net::ALL)]
    fn bp(bencher: Bencher, net: Net) {
        bench_step(bencher, net, Method::Bp);
    }

    #[divan::bench(args = Net::ALL)]
    fn fa(bencher: Bencher, net: Net) {
        bench_step(bencher, net, Method::Fa);
    }

    #[divan::bench(args = Net::ALL)]
    fn dfa(bencher: Bencher, net: Net) {
        bench_step(bencher, net, Method::Dfa);
    }
}

fn bench_step(bencher: Bencher, net: Net, method: Method) {
    struct Steps<'a, 'b> {
        bencher: Bencher<'a, 'b>,
        config: &'a Config,
    }
    impl Task for Steps<'_, '_> {
        type Output = ();

        fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
            let Self { bencher, config } = self;
            let (data, dir) = (common::random(128, 128), RunDir::at("not-written"));
            let mut session = Session::<B>::start(config, &data, &dir, device.clone())?;
            let batch = data.test_batch(0..config.batch_size);
            let (images, labels) = batch_tensors::<B>(batch, &device);
            bencher.bench_local(|| {
                let rate = config.learning_rate;
                session.train_batch(images.clone(), labels.clone(), rate).expect("gradients");
                session.running()
            });
            Ok(())
        }
    }
    let config = &net.config(method);
    backend::run(config, Steps { bencher, config }).expect("a step");
}

/// What an audit measures on a checkpoint of the residual MLP, d = 256, L = 4, trained by DFA.
#[divan::bench_group(sample_size = 1, sample_count = 5, max_time = 20)]
mod audit {
    use super::{Bencher, Double, Single, bench_double, bench_single};

    #[divan::bench(args = Single::ALL)]
    fn single(bencher: Bencher, what: Single) {
        bench_single(bencher, what);
    }

    #[divan::bench(args = Double::ALL)]
    fn double(bencher: Bencher, what: Double) {
        bench_double(bencher, what);
    }
}

/// Measured in the precision of the training.
#[derive(Clone, Copy, Debug)]
enum Single {
    Probe,
    Null,
    Rank,
    Perturbation,
    Nudging,
    CommonMode,
    Clamp,
    Aggregation,
}

impl Single {
    const ALL: [Self; 8] = [
        Self::Probe,
        Self::Null,
        Self::Rank,
        Self::Perturbation,
        Self::Nudging,
        Self::CommonMode,
        Self::Clamp,
        Self::Aggregation,
    ];

    fn measure<B: Differentiable>(self, subject: &Subject<B>, probed: &Probe<B>) {
        let Subject { trainee, config, data, device, .. } = subject;
        let rerun = || Rerun::new(trainee, config, data, device);
        match self {
            Self::Probe => {
                let again = probe(trainee, config, data, device);
                black_box(again.expect("a probe").trace);
            }
            Self::Null => {
                black_box(controls::null(subject, probed).expect("null draws").ok());
            }
            Self::Rank => {
                black_box(controls::ranks(subject, probed).expect("whole tensors").ok());
            }
            Self::Perturbation => {
                let (directions, epsilon) =
                    (config.perturbation_directions, config.perturbation_epsilon);
                black_box(rerun().perturbed(directions, epsilon));
            }
            Self::Nudging => {
                black_box(rerun().nudged(config.nudge_step));
            }
            Self::CommonMode => {
                black_box(common_mode::common_mode(&probed.trace).ok());
            }
            Self::Clamp => {
                black_box(clamp::clamp(&probed.trace).ok());
            }
            Self::Aggregation => {
                black_box(aggregation::aggregation(&probed.trace, None).ok());
            }
        }
    }
}

/// Measured in double precision.
#[derive(Clone, Copy, Debug)]
enum Double {
    Shadow,
    Descent,
    Perturbation,
    Nudging,
}

impl Double {
    const ALL: [Self; 4] = [Self::Shadow, Self::Descent, Self::Perturbation, Self::Nudging];

    fn measure<B: Differentiable>(
        self,
        trainee: &Trainee<B>,
        config: &Config,
        data: &Dataset,
        device: &B::Device,
    ) {
        let rerun = || Rerun::new(trainee, config, data, device);
        match self {
            Self::Shadow => {
                let frozen = trainee.net().clone().no_grad();
                let objective = config.objective;
                for k in 0..config.control_samples / config.probe_batch_size {
                    let batch = evaluation_batch(config, data, k);
                    let (images, labels) = batch_tensors::<B>(batch, device);
                    let pass = trainee.pass();
                    black_box(forward_and_back(&frozen, pass, objective, images, labels).gradient);
                }
            }
            Self::Descent => {
                let batch = data.test_batch(0..config.control_samples);
                let (images, labels) = batch_tensors::<B>(batch, device);
                black_box(descent(trainee, config, images, labels));
            }
            Self::Perturbation => {
                let (directions, epsilon) =
                    (config.perturbation_directions, config.perturbation_epsilon);
                black_box(rerun().perturbed(directions, epsilon));
            }
            Self::Nudging => {
                black_box(rerun().nudged(config.nudge_step));
            }
        }
    }
}

/// Data, and a checkpoint after a few steps of DFA.
fn trained() -> Result<(Config, Dataset, Checkpoint)> {
    struct Few<'a>(&'a Config, &'a Dataset);
    impl Task for Few<'_> {
        type Output = Checkpoint;

        fn run<B: Differentiable>(self, device: B::Device) -> Result<Checkpoint> {
            let Self(config, data) = self;
            let dir = RunDir::at("not-written");
            let mut session = Session::<B>::start(config, data, &dir, device.clone())?;
            for _ in 0..20 {
                let batch = data.test_batch(0..config.batch_size);
                let (images, labels) = batch_tensors::<B>(batch, &device);
                session.train_batch(images, labels, config.learning_rate)?;
            }
            Ok(session.checkpoint())
        }
    }
    let config = Net::ResMlp256x4.config(Method::Dfa);
    let data = common::random(128, 1280);
    let checkpoint = backend::run(&config, Few(&config, &data))?;
    Ok((config, data, checkpoint))
}

fn bench_single(bencher: Bencher, what: Single) {
    struct Measurement<'a, 'b> {
        bencher: Bencher<'a, 'b>,
        what: Single,
        config: &'a Config,
        data: &'a Dataset,
        checkpoint: &'a Checkpoint,
    }
    impl Task for Measurement<'_, '_> {
        type Output = ();

        fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
            let Self { bencher, what, config, data, checkpoint } = self;
            let trainee = &checkpoint.trainee::<B>(&device)?;
            let subject = Subject {
                trainee,
                checkpoint,
                config,
                data,
                device: &device,
                start_is_known: true,
            };
            let probed = probe(trainee, config, data, &device)?;
            bencher.bench_local(|| what.measure(&subject, &probed));
            Ok(())
        }
    }
    let (config, data, checkpoint) = &trained().expect("a trained network");
    let task = Measurement { bencher, what, config, data, checkpoint };
    backend::run(config, task).expect("a control");
}

fn bench_double(bencher: Bencher, what: Double) {
    struct Measurement<'a, 'b> {
        bencher: Bencher<'a, 'b>,
        what: Double,
        config: &'a Config,
        data: &'a Dataset,
        checkpoint: &'a Checkpoint,
    }
    impl Task for Measurement<'_, '_> {
        type Output = ();

        fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
            let Self { bencher, what, config, data, checkpoint } = self;
            let trainee = checkpoint.trainee::<B>(&device)?;
            bencher.bench_local(|| what.measure(&trainee, config, data, &device));
            Ok(())
        }
    }
    let (config, data, checkpoint) = &trained().expect("a trained network");
    let task = Measurement { bencher, what, config, data, checkpoint };
    backend::run_in_f64(task).context("a build with f64").flatten().expect("a control");
}
