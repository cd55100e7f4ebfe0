//! `fa-audit train`: one run, from its first or newest state to its end.

use super::options::RunOptions;
use super::{DONE, INTERRUPTED, Show};
use crate::backend::{self, Differentiable, Task};
use crate::config::Config;
use crate::credit::feedback_hash;
use crate::data::{self, Dataset, DatasetKind};
use crate::failure::{caught, usage};
use crate::files::exists;
use crate::message::tell;
use crate::train::checkpoint::{Checkpoint, Progress};
use crate::train::interrupt;
use crate::train::lock::Lock;
use crate::train::run_dir::{Matmul, Provenance, RUN_SCHEMA, RunDir, RunRecord, Status};
use crate::train::{Outcome, Recovery, Reporter, Session};
use anyhow::{Result, bail};
use burn::module::Module;
use std::path::PathBuf;

/// Train a network and record the run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit train --method dfa                            on the embedded synthetic data
  fa-audit train --config configs/resmlp-30.toml --method dfa --data-dir ~/data --seed 123
  fa-audit train --out runs/mine --resume                goes on where a run stopped")]
pub struct Args {
    #[command(flatten)]
    options: RunOptions,
    /// The run's directory [default: runs/<method>-<arch>-<dataset>-s<seed>-<hash>]
    #[arg(long, value_name = "RUN_DIR")]
    out: Option<PathBuf>,
    /// Continue the run in --out
    #[arg(long, conflicts_with = "force", requires = "out")]
    resume: bool,
    /// Replace the run in --out
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args, show: Show) -> Result<u8> {
    interrupt::catch()?;
    let (dir, config, checkpoint, lock) = if args.resume {
        resumed(&args, show)?
    } else {
        let config = args.options.config()?;
        (RunDir::at(args.out.unwrap_or_else(|| default_directory(&config))), config, None, None)
    };
    if !show.quiet && config.dataset == DatasetKind::Synthetic {
        tell("data: the embedded synthetic task (--dataset cifar10 for real images)");
    }
    if let Some(newest) = &checkpoint
        && is_over(&dir, newest)?
    {
        tell(format!("{} is finished", dir.path().display()));
        return Ok(DONE);
    }
    let data = data::load(config.dataset, config.data_dir.as_deref(), &config.synthetic())?;
    let _lock = match lock {
        Some(lock) => lock,
        None => {
            let lock = dir.create(args.force)?;
            dir.write_config(&config)?;
            lock
        }
    };
    let outcome = backend::run(
        &config,
        Training { config: &config, data: &data, dir: &dir, checkpoint, show },
    )?;
    let place = dir.path().display();
    match outcome {
        Outcome::Interrupted { epoch } => {
            if !show.quiet {
                tell(format!(
                    "interrupted in epoch {epoch}, saved; go on: train --out {place} --resume"
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
                    "saved in {place}; audit it: fa-audit diagnose {place}/checkpoint.mpk"
                ));
            }
            Ok(DONE)
        }
    }
}

fn default_directory(config: &Config) -> PathBuf {
    let Config { method, arch, seed, .. } = config;
    let dataset = config.dataset.name();
    format!("runs/{method}-{arch}-{dataset}-s{seed}-{}", &config.hash()[..8]).into()
}

/// What a resumed run goes on from: its place, its own configuration, which flags may repeat but not
/// change, its newest state and its lock.
type Resumed = (RunDir, Config, Option<Checkpoint>, Option<Lock>);

fn resumed(args: &Args, show: Show) -> Result<Resumed> {
    let dir = RunDir::at(args.out.clone().unwrap_or_default());
    if !dir.can_resume()? {
        return Err(usage(format!("--resume: {} holds no run", dir.path().display())));
    }
    let lock = dir.lock()?;
    let path = dir.checkpoint();
    let checkpoint = if exists(&path)? { Some(Checkpoint::load(&path)?) } else { None };
    if let Some(imported) = checkpoint.as_ref().and_then(|c| c.imported.as_ref()) {
        return Err(usage(format!(
            "--resume: {} was imported from {}, which holds no optimiser state to go on from",
            path.display(),
            imported.file
        )));
    }
    let saved = crate::config::Layer::from_file(&dir.config_file())?;
    let own = crate::config::resolve(std::slice::from_ref(&saved))?;
    let mut asked = args.options.config_over(Some(saved))?;
    if asked.device == "auto" {
        backend::settle(&mut asked)?;
    }
    if asked.hash() != own.hash() {
        return Err(usage(format!(
            "--resume: the flags ask for another run than the one in {} (its configuration is {})",
            dir.path().display(),
            dir.config_file().display()
        )));
    }
    if checkpoint.as_ref().is_some_and(|newest| newest.config.hash() != own.hash()) {
        bail!("{} is of another run than {}", path.display(), dir.config_file().display());
    }
    let start = Progress::default();
    let progress = checkpoint.as_ref().map_or(&start, |c| &c.progress);
    let Recovery { dropped, lacks_newest } = dir.recover_metrics(progress)?;
    if !show.quiet {
        let file = dir.metrics_file();
        for what in dropped {
            tell(format!("{}: {what}: dropped", file.display()));
        }
        if lacks_newest {
            let epoch = progress.epoch;
            tell(format!("{}: the line of epoch {epoch} is lost: measured again", file.display()));
        }
    }
    Ok((dir, asked, checkpoint, Some(lock)))
}

/// Whether a run has nothing left to do and to write.
fn is_over(dir: &RunDir, newest: &Checkpoint) -> Result<bool> {
    let epoch = newest.progress.epoch;
    let record = dir.record()?;
    let is_finished = record.is_some_and(|r| r.status == Status::Finished && r.epoch == epoch);
    Ok(is_finished && dir.read_metrics()?.len() == epoch)
}

struct Training<'a> {
    config: &'a Config,
    data: &'a Dataset,
    dir: &'a RunDir,
    checkpoint: Option<Checkpoint>,
    show: Show,
}

impl Task for Training<'_> {
    type Output = Outcome;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Outcome> {
        let Self { config, data, dir, .. } = self;
        let mut session = match &self.checkpoint {
            Some(c) => Session::<B>::resume(config, data, dir, device.clone(), c)?,
            None => Session::<B>::start(config, data, dir, device.clone())?,
        };
        let exact = backend::matmul_is_exact::<B>(&device);
        let matmul = if exact { Matmul::Full } else { Matmul::Reduced };
        let feedback = session.feedback();
        let mut record = RunRecord {
            schema: RUN_SCHEMA.into(),
            status: Status::Running,
            config: config.clone(),
            provenance: Provenance {
                tool: format!("fa-audit {}", env!("CARGO_PKG_VERSION")),
                git_revision: revisions(dir)?,
                burn: backend::BURN_VERSION.into(),
                backend: config.backend.to_string(),
                device: format!("{device:?}"),
                threads: config.threads,
                matmul,
                data: data.provenance.clone(),
                config_hash: config.hash(),
                seed: config.seed,
                feedback_hash: (!feedback.is_empty()).then(|| feedback_hash(feedback)),
                parameters: session.net().num_params(),
                command_line: std::env::args().collect(),
                start: crate::now(),
                end: None,
            },
            epoch: self.checkpoint.as_ref().map_or(0, |c| c.progress.epoch),
            last: None,
            diverged: None,
            error: None,
        };
        dir.write_record(&record)?;

        let (quiet, bar) = (self.show.quiet, !self.show.no_progress);
        let reporter = Reporter::new(quiet, bar, config.epochs, session.total_steps());
        // A panic, too, ends in the record.
        let outcome = caught(|| session.train(&reporter));
        reporter.end();

        let (last, outcome) = match (dir.read_metrics(), outcome) {
            (Ok(mut lines), outcome) => (lines.pop(), outcome),
            (Err(error), Ok(_)) => (None, Err(error)),
            // What ended the training comes first.
            (Err(_), Err(first)) => (None, Err(first)),
        };
        record.last = last;
        record.epoch = record.last.as_ref().map_or(0, |m| m.epoch);
        record.provenance.end = Some(crate::now());
        match &outcome {
            Ok(Outcome::Finished { diverged }) => {
                record.status = Status::Finished;
                record.diverged = diverged.clone();
            }
            Ok(Outcome::Interrupted { .. }) => record.status = Status::Interrupted,
            Err(error) => {
                record.status = Status::Failed;
                record.error = Some(format!("{error:#}"));
            }
        }
        let written = dir.write_record(&record);
        outcome.and_then(|outcome| written.map(|()| outcome))
    }
}

/// The revisions of this program that trained the run in `dir`, this one last.
fn revisions(dir: &RunDir) -> Result<String> {
    const OWN: &str = env!("FA_AUDIT_GIT_REVISION");
    Ok(match dir.record()?.map(|record| record.provenance.git_revision) {
        Some(before) if before.ends_with(OWN) => before,
        Some(before) => format!("{before}, {OWN}"),
        None => OWN.into(),
    })
}
