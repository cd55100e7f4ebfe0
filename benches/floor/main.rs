//! The floor: how fast a training step could be on this machine, and what share of that is reached.
//!
//! floor = operations / gemm peak + bytes of AdamW / memory ceiling. A sum, not the larger of the two:
//! one thread does one after the other, and a parameter's update waits for its gradient. The bytes
//! that matrix products move are not counted: fetching them overlaps with their arithmetic.
//!
//! The memory ceiling is measured at the size of the network's own optimiser state, as a cache may
//! hold it; the triad, which no cache holds, stands beside it.

#[path = "../common/mod.rs"]
mod common;

mod ceiling;
mod work;

use anyhow::Result;
use burn::module::Module;
use clap::Parser;
use common::{Net, RULES};
use fa_audit::backend::{self, Differentiable, Task};
use fa_audit::config::{Config, Method};
use fa_audit::data::Dataset;
use fa_audit::model::batch_tensors;
use fa_audit::stats::median;
use fa_audit::train::Session;
use fa_audit::train::run_dir::RunDir;
use std::time::Instant;
use work::Work;

/// Prints the floor of a training step and the share of it that is reached
#[derive(Parser)]
struct Options {
    /// One network instead of all
    #[arg(long)]
    net: Option<Net>,
    /// Seconds for each measurement of a step, and for each of a ceiling a tenth
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let brief = options.seconds / 10.0;
    let peak = ceiling::flops(10.0 * brief);
    println!("one thread: gemm {:.0} GFLOP/s (1024 x 1024 x 1024)", peak / 1e9);
    println!("            triad {:.1} GB/s (3 x 128 MiB)\n", ceiling::triad(10.0 * brief) / 1e9);
    println!(
        "{:<14} {:<12} {:>7} {:>8} {:>7} {:>9} {:>9} {:>7} {:>11}",
        "network",
        "rule",
        "GFLOP",
        "AdamW MB",
        "GB/s",
        "floor ms",
        "shapes ms",
        "step ms",
        "of floor %"
    );
    let data = common::random(128, 128);
    for net in Net::ALL.into_iter().filter(|n| options.net.is_none_or(|only| only == *n)) {
        let mut bandwidth = None;
        for method in RULES {
            let config = &net.config(method);
            let measured =
                backend::run(config, Steps { config, data: &data, seconds: options.seconds })?;
            let Measured { parameters, step } = measured;
            let bandwidth =
                *bandwidth.get_or_insert_with(|| ceiling::optimizer_traffic(parameters, brief));
            let line = |rule: &str, work: &Work, step: f64| {
                let memory = work.optimizer_bytes / bandwidth;
                let floor = work.flops() / peak + memory;
                // The same with the time that each product takes at its own shape.
                let products: f64 = work
                    .products
                    .iter()
                    .map(|p| ceiling::product(p, brief / 10.0) * p.count as f64)
                    .sum();
                println!(
                    "{:<14} {rule:<12} {:>7.3} {:>8.1} {:>7.1} {:>9.2} {:>9.2} {:>7.2} {:>11.0}",
                    net.to_string(),
                    work.flops() / 1e9,
                    work.optimizer_bytes / 1e6,
                    bandwidth / 1e9,
                    1e3 * floor,
                    1e3 * (products + work.elementwise / peak + memory),
                    1e3 * step,
                    100.0 * floor / step
                );
            };
            let classes = data.provenance.classes;
            let dense = if method == Method::Dfa { "dfa, dense" } else { config.method.word() };
            line(dense, &work::work(net, config, classes, parameters), step);
            if method == Method::Dfa {
                let low_rank = work::low_rank(net, config, classes, parameters);
                line("dfa, rank C", &low_rank, step);
            }
        }
    }
    Ok(())
}

struct Steps<'a> {
    config: &'a Config,
    data: &'a Dataset,
    seconds: f64,
}

struct Measured {
    parameters: usize,
    /// Median seconds of a step, without the assembly of its batch.
    step: f64,
}

impl Task for Steps<'_> {
    type Output = Measured;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Measured> {
        let Self { config, data, seconds } = self;
        let dir = RunDir::at("not-written");
        let mut session = Session::<B>::start(config, data, &dir, device.clone())?;
        let batch = data.test_batch(0..config.batch_size);
        let (images, labels) = batch_tensors::<B>(batch, &device);
        let mut times = Vec::new();
        let start = Instant::now();
        while times.len() < 8 || start.elapsed().as_secs_f64() < seconds {
            let step = Instant::now();
            session.train_batch(images.clone(), labels.clone(), config.learning_rate)?;
            session.running();
            times.push(step.elapsed().as_secs_f64());
        }
        // The first steps allocate.
        Ok(Measured { parameters: session.net().num_params(), step: median(&times[3..]) })
    }
}
