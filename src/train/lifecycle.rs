//! A run's life, as `run.json` tells it: opened new or where it stopped, running, and then finished,
//! interrupted or failed.

use super::checkpoint::{Checkpoint, Progress};
use super::identity::contradictions;
use super::lock::Lock;
use super::memory;
use super::metrics_file::Recovery;
use super::progress::Reporter;
use super::run_dir::{Matmul, Provenance, RUN_SCHEMA, RunDir, RunRecord, RunStatus};
use super::session::{Outcome, Session};
use crate::backend::{self, Differentiable, Task};
use crate::config::{self, Config, Layer};
use crate::data::Dataset;
use crate::failure::{caught, usage};
use crate::files::exists;
use crate::learn::feedback_hash;
use crate::model::parameter_count;
use anyhow::{Result, bail};
use burn::module::Module;

/// The program as every record names it: name and version.
pub const TOOL: &str = concat!("fa-audit ", env!("CARGO_PKG_VERSION"));

/// A run that is this program's to train: its directory is locked.
pub struct LockedRun {
    dir: RunDir,
    config: Config,
    newest: Option<Checkpoint>,
    _lock: Lock,
}

/// A run that stopped, locked, before it is said with which keys it goes on.
pub struct StoppedRun {
    dir: RunDir,
    saved: Layer,
    own: Config,
    newest: Option<Checkpoint>,
    lock: Lock,
}

impl StoppedRun {
    /// Takes up the run in `dir`.
    ///
    /// # Errors
    /// A usage error where `dir` holds no run, or one that was imported and so has no optimiser state;
    /// as [`RunDir::lock`]; or names the file that cannot be read.
    pub fn open(dir: RunDir) -> Result<Self> {
        if !dir.can_resume()? {
            return Err(usage(format!("--resume: {} holds no run", dir.path().display())));
        }
        let lock = dir.lock()?;
        let path = dir.checkpoint();
        let newest = if exists(&path)? { Some(Checkpoint::load(&path)?) } else { None };
        if let Some(imported) = newest.as_ref().and_then(|c| c.imported.as_ref()) {
            return Err(usage(format!(
                "--resume: {} was imported from {}, which holds no optimiser state to go on from",
                path.display(),
                imported.file
            )));
        }
        let saved = Layer::from_artefact(&dir.config_file())?;
        let own = config::resolve(std::slice::from_ref(&saved))?;
        Ok(Self { dir, saved, own, newest, lock })
    }

    /// The keys of the run's own configuration.
    pub fn saved(&self) -> &Layer {
        &self.saved
    }

    /// Goes on with `config`, which may repeat the run's own but not change it. Lines of
    /// `metrics.jsonl` that the newest checkpoint does not know are dropped.
    ///
    /// # Errors
    /// A usage error where `config` is another run's; else if the checkpoint is, or if the metrics
    /// cannot be read or written.
    pub fn go_on(self, config: Config) -> Result<(LockedRun, Recovery)> {
        let Self { dir, own, newest, lock, .. } = self;
        let extends = config.epochs > own.epochs;
        let config = if extends { extended(&dir, &own, &config)? } else { config };
        if !extends && config.hash() != own.hash() {
            return Err(usage(format!(
                "--resume: the flags ask for another run than the one in {} (its configuration is {})",
                dir.path().display(),
                dir.config_file().display()
            )));
        }
        if newest.as_ref().is_some_and(|newest| !own.goes_on_from(&newest.config)) {
            bail!(
                "{} is of another run than {}",
                dir.checkpoint().display(),
                dir.config_file().display()
            );
        }
        if let Some(newest) = &newest {
            let recorded = dir.record()?.and_then(|record| record.provenance.feedback_hash);
            let found = contradictions(newest, recorded.as_deref())?;
            if !found.is_empty() {
                bail!("{} is contradicted: {}", dir.checkpoint().display(), found.join("; "));
            }
        }
        let start = Progress::default();
        let recovery = dir.recover_metrics(newest.as_ref().map_or(&start, |c| &c.progress))?;
        if extends {
            dir.write_config(&config)?;
        }
        Ok((LockedRun { dir, config, newest, _lock: lock }, recovery))
    }
}

/// The run of `own` in `dir`, longer, as `asked`.
///
/// # Errors
/// A usage error where it did not train to its end, or `asked` differs in more than its epochs.
fn extended(dir: &RunDir, own: &Config, asked: &Config) -> Result<Config> {
    let record = dir.record()?;
    let place = dir.path().display();
    let is_whole = record.is_some_and(|record| {
        record.status == RunStatus::Finished
            && record.diverged.is_none()
            && record.epoch == own.epochs
    });
    if !is_whole {
        return Err(usage(format!(
            "--resume --epochs {}: {place} did not train through its {} epochs, which come first",
            asked.epochs, own.epochs
        )));
    }
    let longer = own.extended_to(asked.epochs);
    let asked = Config { extended_at: longer.extended_at.clone(), ..asked.clone() };
    if asked.hash() != longer.hash() {
        return Err(usage(format!(
            "--resume --epochs {}: the flags ask for another run than a longer one of {place}",
            asked.epochs
        )));
    }
    Ok(asked)
}

impl LockedRun {
    /// A new run in `dir`; with `force` in place of the one that is there.
    ///
    /// # Errors
    /// If the backend or the device cannot be used, and then nothing was made or replaced; as
    /// [`RunDir::create`]; or if the configuration cannot be written.
    pub fn create(dir: RunDir, config: Config, force: bool) -> Result<Self> {
        backend::run(&config, Nothing)?;
        let lock = dir.create(force)?;
        dir.write_config(&config)?;
        Ok(Self { dir, config, newest: None, _lock: lock })
    }

    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Its directory's name.
    ///
    /// # Errors
    /// If the system does not say where the directory lies.
    pub fn name(&self) -> Result<String> {
        let path = crate::files::absolute(self.dir.path())?;
        Ok(path.file_name().unwrap_or_default().to_string_lossy().into())
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Finished epochs, as the newest checkpoint has them.
    pub fn epoch(&self) -> usize {
        self.newest.as_ref().map_or(0, |c| c.progress.epoch)
    }

    /// Whether nothing is left to do and to write.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn is_over(&self) -> Result<bool> {
        let epoch = self.epoch();
        let record = self.dir.record()?;
        let is_finished = record.is_some_and(|r| {
            let is_extended = r.config.epochs < self.config.epochs;
            r.status == RunStatus::Finished && r.epoch == epoch && !is_extended
        });
        Ok(self.newest.is_some() && is_finished && self.dir.read_metrics()?.len() == epoch)
    }

    /// Trains to the end or an interruption, and records how it ended. `reporter` is made for this
    /// many epochs and steps.
    ///
    /// # Errors
    /// As [`Session::train`], and where the network does not fit the memory; `run.json` then holds the
    /// message. Or if a record cannot be read or written.
    pub fn train(
        &self,
        data: &Dataset,
        reporter: impl FnOnce(usize, u64) -> Reporter,
    ) -> Result<Outcome> {
        backend::run(&self.config, Training { run: self, data, reporter })
    }
}

/// Asks only for a backend and a device.
struct Nothing;

impl Task for Nothing {
    type Output = ();

    fn run<B: Differentiable>(self, _: B::Device) -> Result<()> {
        Ok(())
    }
}

struct Training<'a, R> {
    run: &'a LockedRun,
    data: &'a Dataset,
    reporter: R,
}

impl<R: FnOnce(usize, u64) -> Reporter> Task for Training<'_, R> {
    type Output = Outcome;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Outcome> {
        let Self { run, data, reporter } = self;
        let LockedRun { dir, config, newest, .. } = run;
        let mut record = running::<B>(run, data, &device)?;
        // A panic, too, ends in the record.
        let outcome = caught(|| {
            memory::ensure_network_fits(config)?;
            let mut session = match newest {
                Some(c) => Session::<B>::resume(config, data, dir, device, c)?,
                None => Session::<B>::start(config, data, dir, device)?,
            };
            let feedback = session.learner_state();
            let hash = (!feedback.is_empty()).then(|| feedback_hash(&feedback));
            record.provenance.feedback_hash = hash;
            record.provenance.parameters = session.net().num_params();
            dir.write_record(&record)?;

            let mut reporter = reporter(config.epochs, session.total_steps());
            let outcome = session.train(&mut reporter);
            reporter.end();
            outcome
        });

        let read = || Ok((dir.read_metrics()?.pop(), dir.metrics_sha256()?));
        let ((last, sha256), outcome) = match (read(), outcome) {
            (Ok(found), outcome) => (found, outcome),
            (Err(error), Ok(_)) => ((None, None), Err(error)),
            // What ended the training comes first.
            (Err(_), Err(first)) => ((None, None), Err(first)),
        };
        (record.last, record.metrics_sha256) = (last, sha256);
        record.epoch = record.last.as_ref().map_or(0, |m| m.epoch);
        end(&mut record, &outcome);
        let written = dir.write_record(&record);
        outcome.and_then(|outcome| written.map(|()| outcome))
    }
}

/// The record of a run that begins or goes on, as far as it is known before the network is built.
fn running<B: Differentiable>(
    run: &LockedRun,
    data: &Dataset,
    device: &B::Device,
) -> Result<RunRecord> {
    let config = &run.config;
    let exact = backend::matmul_is_exact::<B>(device);
    let before = run.dir.record()?.map(|record| record.provenance);
    let parameters = parameter_count(config, data.provenance.classes);
    Ok(RunRecord {
        schema: RUN_SCHEMA.into(),
        status: RunStatus::Running,
        config: config.clone(),
        provenance: Provenance {
            tool: TOOL.into(),
            git_revision: revisions(before.as_ref()),
            burn: backend::BURN_VERSION.into(),
            backend: config.backend.to_string(),
            device: format!("{device:?}"),
            threads: config.threads,
            instruction_sets: Some(backend::instruction_sets()),
            matmul: if exact { Matmul::Full } else { Matmul::Reduced },
            data: data.provenance.clone(),
            config_hash: config.hash(),
            seed: config.seed,
            feedback_hash: before.and_then(|p| p.feedback_hash),
            parameters: usize::try_from(parameters).unwrap_or(usize::MAX),
            command_line: std::env::args_os().map(|a| a.to_string_lossy().into()).collect(),
            start: crate::now(),
            end: None,
        },
        epoch: run.epoch(),
        last: None,
        diverged: None,
        error: None,
        metrics_sha256: None,
    })
}

/// Records how the run ended.
fn end(record: &mut RunRecord, outcome: &Result<Outcome>) {
    record.provenance.end = Some(crate::now());
    match outcome {
        Ok(Outcome::Finished { diverged }) => {
            record.status = RunStatus::Finished;
            record.diverged = diverged.clone();
        }
        Ok(Outcome::Interrupted { .. }) => record.status = RunStatus::Interrupted,
        Err(error) => {
            record.status = RunStatus::Failed;
            record.error = Some(format!("{error:#}"));
        }
    }
}

/// The revisions of this program that trained the run, this one last.
fn revisions(before: Option<&Provenance>) -> String {
    const OWN: &str = env!("FA_AUDIT_GIT_REVISION");
    match before.map(|p| p.git_revision.as_str()) {
        Some(before) if before.ends_with(OWN) => before.into(),
        Some(before) => format!("{before}, {OWN}"),
        None => OWN.into(),
    }
}
