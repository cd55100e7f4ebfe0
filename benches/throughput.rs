//! Samples a second of a training as `fa-audit train` runs it: order, augmentation, batch assembly
//! and steps, without what an epoch's end adds. Prints one JSON object a line for each measurement.
//!
//! `compare.py` runs this beside `pytorch_step.py`, which prints the same keys.

mod common;

use anyhow::{Context, Result, bail};
use burn::tensor::TensorData;
use clap::Parser;
use common::Net;
use fa_audit::backend::{self, Differentiable, Task};
use fa_audit::config::{Base, Config, Method};
use fa_audit::data::Dataset;
use fa_audit::train::checkpoint::{Checkpoint, pack, unpack};
use fa_audit::train::run_dir::RunDir;
use fa_audit::train::{Reporter, Session};
use std::path::PathBuf;
use std::time::Instant;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the throughput of a training
#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "resmlp-256x4")]
    net: Net,
    #[arg(long, default_value = "dfa", value_parser = rule)]
    rule: Method,
    /// Length of a measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// End a measurement after so many steps, if earlier
    #[arg(long)]
    steps: Option<u64>,
    /// Steps before the first measurement
    #[arg(long, default_value_t = 20)]
    warmup: u64,
    /// Measurements of each network, in turns
    #[arg(long, default_value_t = 1, conflicts_with = "wait")]
    rounds: usize,
    /// Threads of the tensor operations, where the configuration allows more than one
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Folder of CIFAR-10's binary files; random bytes without it
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Measure a second network beside the fresh one: its blocks' parameters are F times as large,
    /// as its activations are after many epochs of DFA
    #[arg(long, value_name = "F", conflicts_with = "wait")]
    explode: Option<f64>,
    /// Measure once for each line on standard input, to keep pace with another program
    #[arg(long)]
    wait: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn rule(word: &str) -> Result<Method, String> {
    let mut rules = Method::ALL.iter().filter(|method| method.rule().is_some());
    let found = rules.find(|method| method.word() == word);
    found.copied().ok_or_else(|| format!("one of {}", Base::WORDS.join(", ")))
}

fn main() -> Result<()> {
    let start = Instant::now();
    let options = Options::parse();
    let mut config = options.net.config(options.rule);
    config.threads = options.threads;
    allowed(&config)?;
    let data = common::cifar_sized(options.data_dir.as_deref())?;
    let task = Measurement { options: &options, config: &config, data: &data, start };
    backend::run(&config, task)
}

/// Refuses what the program itself would refuse.
fn allowed(config: &Config) -> Result<()> {
    let mut layer = fa_audit::config::Layer::new("--threads");
    layer.keys.insert("threads".into(), (config.threads as i64).into());
    fa_audit::config::resolve(&[layer]).map(|_| ())
}

struct Measurement<'a> {
    options: &'a Options,
    config: &'a Config,
    data: &'a Dataset,
    start: Instant,
}

impl Task for Measurement<'_> {
    type Output = ();

    fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
        let Self { options, config, data, start } = self;
        // Named only: nothing is written there.
        let dir = &RunDir::at("not-written");
        let fresh = Session::<B>::start(config, data, dir, device.clone())?;
        let mut trainings = vec![Training::new(fresh, 1.0)];
        if let Some(factor) = options.explode {
            let state = exploded(trainings[0].session.checkpoint(), factor)?;
            let session = Session::<B>::resume(config, data, dir, device, &state)?;
            trainings.push(Training::new(session, factor));
        }
        let reporter = Reporter::new(true, false, config.epochs, 0);
        let mut first_step = None;
        for training in &mut trainings {
            let mut steps = 0;
            training.until(&reporter, || {
                if steps == 1 {
                    first_step.get_or_insert_with(|| start.elapsed().as_secs_f64());
                }
                steps += 1;
                steps > options.warmup.max(1)
            })?;
        }
        let mut rounds = 0;
        while options.go(rounds)? {
            // In turns, the order alternating: what drifts, drifts for both.
            let order: Vec<usize> = match rounds % 2 {
                0 => (0..trainings.len()).collect(),
                _ => (0..trainings.len()).rev().collect(),
            };
            for k in order {
                let (steps, seconds) = trainings[k].measure(&reporter, options)?;
                trainings[k].print(&self, steps, seconds, first_step)?;
            }
            rounds += 1;
        }
        Ok(())
    }
}

impl Options {
    /// Whether there is one more measurement.
    fn go(&self, rounds: usize) -> Result<bool> {
        if !self.wait {
            return Ok(rounds < self.rounds);
        }
        println!("{}", serde_json::json!({ "ready": true }));
        Ok(std::io::stdin().read_line(&mut String::new())? > 0)
    }
}

struct Training<'a, B: Differentiable> {
    session: Session<'a, B>,
    /// The epoch in progress, from 1.
    epoch: usize,
    explode: f64,
}

impl<'a, B: Differentiable> Training<'a, B> {
    fn new(session: Session<'a, B>, explode: f64) -> Self {
        Self { session, epoch: 1, explode }
    }

    /// Trains until `stop`, which is asked before every step, through as many epochs as it takes.
    fn until(&mut self, reporter: &Reporter, mut stop: impl FnMut() -> bool) -> Result<()> {
        while self.session.train_epoch(self.epoch, reporter, &mut stop)? {
            self.session.end_epoch(self.epoch);
            self.epoch += 1;
        }
        Ok(())
    }

    /// Steps and seconds of one measurement.
    fn measure(&mut self, reporter: &Reporter, options: &Options) -> Result<(u64, f64)> {
        let (mut steps, mut seconds) = (0, 0.0);
        let start = Instant::now();
        self.until(reporter, || {
            seconds = start.elapsed().as_secs_f64();
            let over = seconds >= options.seconds || options.steps == Some(steps);
            steps += u64::from(!over);
            over
        })?;
        Ok((steps, seconds))
    }

    fn print(
        &mut self,
        measurement: &Measurement,
        steps: u64,
        seconds: f64,
        first_step: Option<f64>,
    ) -> Result<()> {
        let Measurement { options, config, data, .. } = measurement;
        let (loss, accuracy, _) = self.session.running();
        let epochs = self.session.progress().seen as f64 / data.train.len() as f64;
        let samples = steps * config.batch_size as u64;
        let line = serde_json::json!({
            "program": "fa-audit",
            "form": config.backend.word(),
            "net": options.net.to_string(),
            "rule": options.rule.word(),
            "threads": config.threads,
            "explode": self.explode,
            "steps": steps,
            "seconds": seconds,
            "samples_per_second": samples as f64 / seconds,
            "epochs": (self.epoch - 1) as f64 + epochs,
            "loss": loss,
            "accuracy": accuracy,
            "peak_memory_mb": peak_memory()?,
            "first_step_seconds": first_step,
        });
        println!("{line}");
        Ok(())
    }
}

/// The state with the linear layers of all blocks `factor` times as large: their hidden states grow
/// by its square.
fn exploded(state: Checkpoint, factor: f64) -> Result<Checkpoint> {
    let mut parameters = unpack(&state.network)?;
    for (name, data) in &mut parameters {
        if name.starts_with("blocks.") && name.contains(".linear") {
            let scaled = data.iter::<f32>().map(|v| v * factor as f32).collect();
            *data = TensorData::new::<f32, _>(scaled, data.shape.clone());
        }
    }
    Ok(Checkpoint { network: pack(&parameters), ..state })
}

/// The most memory that this process has held, VmHWM, in MB (10⁶ bytes).
fn peak_memory() -> Result<f64> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let Some(kb) = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<f64>().ok()) else {
        bail!("{path} has no line VmHWM");
    };
    Ok(kb * 1024.0 / 1e6)
}
