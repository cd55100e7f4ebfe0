//! `fa-audit train`: one run, from its first or newest state to its end.

use super::options::RunOptions;
use super::{DONE, INTERRUPTED, Show};
use crate::backend;
use crate::config::{Config, Schedule};
use crate::data::{Dataset, DatasetKind};
use crate::message::tell;
use crate::model::parameter_count;
use crate::train::interrupt;
use crate::train::lifecycle::{LockedRun, StoppedRun};
use crate::train::memory;
use crate::train::run_dir::RunDir;
use crate::train::{EventFile, Outcome, Recovery, Reporter, learning_rate};
use anyhow::Result;
use indicatif::HumanDuration;
use std::path::PathBuf;
use std::time::Instant;

/// Train a network and record the run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit train --method dfa                            on the embedded synthetic data
  fa-audit train --config configs/resmlp-30.toml --method dfa --data-dir ~/data --seed 123
  fa-audit train --out runs/mine --resume                goes on where a run stopped
  fa-audit train --out runs/mine --resume --epochs 60    trains a finished run of fewer epochs on")]
pub struct Args {
    #[command(flatten)]
    options: RunOptions,
    /// The run's directory [default: runs/<method>-<arch>-<dataset>-s<seed>-<hash>]
    #[arg(long, value_name = "RUN_DIR")]
    out: Option<PathBuf>,
    /// Continue the run in --out
    #[arg(long, conflicts_with = "force", requires = "out")]
    resume: bool,
    /// Write TensorBoard event files to a folder of the run's name in here
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Replace the run in --out
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args, show: Show) -> Result<u8> {
    interrupt::catch()?;
    let resumed = if args.resume { Some(resumed(&args, show)?) } else { None };
    let config = match &resumed {
        Some(run) => run.config().clone(),
        None => args.options.config()?,
    };
    if let Some(run) = &resumed
        && run.is_over()?
    {
        tell(format!("{} is finished", run.dir().path().display()));
        return Ok(DONE);
    }
    memory::ensure_data_fit(&config)?;
    let data = config.load_data()?;
    let run = match resumed {
        Some(run) => run,
        None => {
            let dir = match args.out {
                Some(path) => RunDir::at(path),
                None => RunDir::of("runs".as_ref(), &config)?,
            };
            LockedRun::create(dir, config, args.force)?
        }
    };
    if !show.quiet {
        tell(header(run.config(), &data));
    }
    let board = match &args.tensorboard {
        Some(folder) => Some(EventFile::create(&folder.join(run.name()?))?),
        None => None,
    };
    let start = Instant::now();
    let outcome = run.train(&data, |epochs, steps| {
        Reporter::new(show.quiet, !show.no_progress, epochs, steps).with_board(board)
    })?;
    let place = run.dir().path().display();
    let elapsed = HumanDuration(start.elapsed());
    match outcome {
        Outcome::Interrupted { epoch } => {
            if !show.quiet {
                tell(format!(
                    "interrupted in epoch {epoch} after {elapsed}, saved; go on: train --out {place} --resume"
                ));
            }
            Ok(INTERRUPTED)
        }
        Outcome::Finished { diverged } => {
            if let Some(d) = diverged {
                tell(format!(
                    "the run diverged in epoch {}: {} is {}",
                    d.epoch, d.quantity, d.value.0
                ));
            }
            if !show.quiet {
                tell(format!(
                    "saved in {place} after {elapsed}; audit it: fa-audit diagnose {place}/checkpoint.mpk"
                ));
            }
            Ok(DONE)
        }
    }
}

/// What an extension does to the schedule, of a run that is about to be extended.
fn extension(run: &LockedRun) -> Option<String> {
    let (config, last) = (run.config(), run.epoch());
    if config.extended_at.last() != Some(&last) {
        return None;
    }
    let [before, after] = [last, last + 1].map(|epoch| learning_rate(config, epoch));
    let rate = match config.schedule {
        Schedule::Constant => format!("stays {after:.1e}"),
        Schedule::Cosine => format!(
            "was {before:.1e} in epoch {last} and is {after:.1e} in the next, as a cosine over {} epochs has it",
            config.epochs
        ),
    };
    Some(format!("extended from {last} to {} epochs: the learning rate {rate}", config.epochs))
}

/// What is trained, on what and where.
fn header(config: &Config, data: &Dataset) -> String {
    let Config { seed, device, backend, threads, .. } = config;
    let parameters = parameter_count(config, data.provenance.classes);
    let hint = match config.dataset {
        DatasetKind::Synthetic => "; --dataset cifar10 for real images",
        _ => "",
    };
    format!(
        "{}: {}, {} blocks, {parameters} parameters; seed {seed}\n\
         data: {} ({}), {} to train on and {} to test on{hint}\n\
         on {device} ({backend}), {threads} thread{}, {} epochs",
        config.label(),
        config.arch,
        config.blocks(),
        config.dataset,
        data.provenance.source.name(),
        data.train.len(),
        data.test.len(),
        if *threads == 1 { "" } else { "s" },
        config.epochs
    )
}

/// The run in --out where it stopped, with its own configuration, which flags may repeat but not
/// change.
fn resumed(args: &Args, show: Show) -> Result<LockedRun> {
    let stopped = StoppedRun::open(RunDir::at(args.out.clone().unwrap_or_default()))?;
    let mut asked = args.options.config_over(stopped.saved().clone())?;
    if asked.device == "auto" {
        backend::settle(&mut asked)?;
    }
    let (run, Recovery { dropped, lacks_newest }) = stopped.go_on(asked)?;
    if !show.quiet {
        if let Some(text) = extension(&run) {
            tell(text);
        }
        let file = run.dir().metrics_file();
        for what in dropped {
            tell(format!("{}: {what}: dropped", file.display()));
        }
        if lacks_newest {
            let epoch = run.epoch();
            tell(format!("{}: the line of epoch {epoch} is lost: measured again", file.display()));
        }
    }
    Ok(run)
}
