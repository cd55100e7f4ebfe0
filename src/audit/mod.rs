//! One run's audit: load its checkpoint, probe it on the data it was trained on, hold it against its
//! frozen twin, judge it; or judge a trace that another program recorded.

mod beside;
pub mod controls;
pub mod double;
mod feedback;
mod harness;
mod learned;
pub mod rerun;
mod traced;
mod twin;
pub mod unchanged;

use crate::backend::{self, Differentiable, Task};
use crate::battery;
use crate::config::{Config, MatmulPrecision, Method, Normalise};
use crate::data::Dataset;
use crate::diagnostics::controls::Controls;
use crate::evidence::proof::Proof;
use crate::evidence::settled::settled;
use crate::evidence::{Checked, Statement, examine};
use crate::failure::usage;
use crate::foreign;
use crate::model::batch_tensors;
use crate::probe::{evaluation_batch, probe};
use crate::shown;
use crate::trace::LayerTrace;
use crate::trace::file::Format;
use crate::train::checkpoint::Checkpoint;
use crate::train::evaluate;
use crate::train::run_dir::{EpochMetrics, RunDir, RunRecord};
use crate::verdict::{Audit, Beside, FrozenBaseline, Subject, Thresholds, judge};
use anyhow::{Context, Result, ensure};
use beside::find_twin;
use burn::module::Module;
use feedback::feedback_of;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How checkpoints are audited.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The frozen twin; without it one is looked for beside the run, or in the trace's metadata.
    pub frozen: Option<PathBuf>,
    /// Where the CIFAR files lie, if not where they lay in training.
    pub data_dir: Option<PathBuf>,
    /// Whether the controls are computed, too.
    pub controls: bool,
    /// Another device than in training: (device, backend).
    pub device: Option<(String, crate::config::BackendName)>,
}

/// Audits checkpoints and traces, reading each dataset and each twin once.
#[derive(Default)]
pub struct Auditor {
    options: Options,
    /// By SHA-256 and training samples.
    datasets: HashMap<(String, usize), Rc<Dataset>>,
    accuracies: HashMap<PathBuf, f64>,
}

impl Auditor {
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// From here on with this frozen twin, or the one beside the run, and with controls or without.
    pub fn turn_to(&mut self, frozen: Option<PathBuf>, controls: bool) {
        (self.options.frozen, self.options.controls) = (frozen, controls);
    }

    /// Audits the trace or, where its name has no trace's ending, the checkpoint at `path`.
    ///
    /// # Errors
    /// Names the file: unreadable or damaged checkpoints, missing feedback matrices, other data
    /// than in training, a frozen run of another network; traces whose arrays do not fit.
    pub fn audit(&mut self, path: &Path) -> Result<Audit> {
        if let Some(format) = Format::of(path) {
            return self.audit_trace(path, format);
        }
        let checkpoint = self.load(path)?;
        let config = &checkpoint.config;
        let data = self.dataset(&checkpoint).with_context(|| path.display().to_string())?;
        let controls = self.options.controls && !config.is_baseline();
        let run = RunDir::at(path.parent().unwrap_or(Path::new("")));
        let recorded = self.recorded(path, &checkpoint)?;
        let task =
            Measurement { checkpoint: &checkpoint, data: &data, controls, recorded: &recorded };
        let measured = backend::run(config, task).with_context(|| path.display().to_string())?;
        self.accuracies.insert(path.to_path_buf(), measured.accuracy);
        let frozen = self.frozen_twin(path, &checkpoint)?;
        let record = run.record()?;
        let twin = frozen.as_ref().map(|(_, twin)| twin);
        let harness =
            self.harness(path, &checkpoint, twin, record.as_ref(), &recorded, &measured)?;
        let Measured { trace, accuracy, controls, growth_of_force, .. } = measured;
        let frozen = frozen.map(|(baseline, _)| baseline);
        let beside =
            Beside { frozen, learned_credit: self.learned_credit(path, &checkpoint, accuracy)? };
        let thresholds = Thresholds {
            growth: config.threshold_growth,
            reference: config.threshold_reference,
            stability: config.threshold_stability,
            depth_utility: config.threshold_depth_utility,
        };
        let mut evidence = examine(&trace, &statement(&checkpoint, accuracy));
        evidence.checks.push(feedback_of(path, &checkpoint)?);
        evidence.checks.extend(harness);
        evidence.checks.extend(
            growth_of_force.map(|growth| settled(growth, config.ep_steps, config.ep_step_size)),
        );
        evidence.checks.sort_by_key(|checked| checked.standing);
        let subject = subject(&checkpoint, record.as_ref());
        Ok(judge(subject, evidence, &trace, Some(accuracy), beside, &thresholds, controls))
    }

    fn load(&self, path: &Path) -> Result<Checkpoint> {
        let loaded = Checkpoint::load(path);
        let foreign = loaded.is_err().then(|| foreign::seems(path)).flatten();
        let mut checkpoint = match foreign.filter(|what| *what != foreign::CHECKPOINT) {
            Some(what) => loaded.with_context(|| {
                format!(
                    "{} seems to be {what}; expected a checkpoint, or a trace that ends in .npz or \
                     .safetensors",
                    path.display()
                )
            })?,
            None => loaded?,
        };
        let config = &mut checkpoint.config;
        if let Some(dir) = &self.options.data_dir {
            config.data_dir = Some(dir.clone());
        }
        if let Some((device, backend)) = &self.options.device {
            (config.device, config.backend) = (device.clone(), *backend);
            config.matmul_precision = MatmulPrecision::F32;
        }
        Ok(checkpoint)
    }

    /// The data of a run, which must be those that it was trained on.
    fn dataset(&mut self, checkpoint: &Checkpoint) -> Result<Rc<Dataset>> {
        let config = &checkpoint.config;
        let wanted = &checkpoint.data;
        if let Some(data) = self.datasets.get(&(wanted.sha256.clone(), wanted.train)) {
            return Ok(data.clone());
        }
        let data = config.load_data()?;
        wanted.ensure_same(&data.provenance)?;
        let data = Rc::new(data);
        self.datasets.insert((wanted.sha256.clone(), wanted.train), data.clone());
        Ok(data)
    }

    fn frozen_twin(
        &mut self,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<Option<(FrozenBaseline, Checkpoint)>> {
        if checkpoint.config.is_baseline() {
            return Ok(None);
        }
        if checkpoint.config.has_frozen_network() {
            return match &self.options.frozen {
                None => Ok(None),
                Some(given) => Err(usage(format!(
                    "--frozen {}: leave it out: the network of this run was taken as it is",
                    given.display()
                ))),
            };
        }
        let found = match &self.options.frozen {
            Some(given) => Some(given.clone()),
            // What lies beside it shares neither its initialisation nor its data order.
            None if checkpoint.imported.is_some() => None,
            None => find_twin(path, &checkpoint.config)
                .context("looking for the frozen twin, which --frozen names")?,
        };
        let Some(twin_path) = found else { return Ok(None) };
        let named = twin_path.display();
        if Format::of(&twin_path).is_some() {
            return Err(usage(format!(
                "--frozen {named}: the twin of a checkpoint is a checkpoint"
            )));
        }
        let twin = self.load(&twin_path)?;
        check_twin(&checkpoint.config, &twin.config)
            .map_err(|problem| usage(format!("--frozen {named}: {problem}")))?;
        ensure!(
            twin.data.sha256 == checkpoint.data.sha256,
            "--frozen {named}: it was trained on other data"
        );
        let baseline = FrozenBaseline {
            accuracy: self.twin_accuracy(&twin_path, &twin)?,
            method: words(&twin),
            source: shown::line(&twin_path.display().to_string()),
            differs: twin::differences(checkpoint, &twin),
        };
        Ok(Some((baseline, twin)))
    }

    /// The test accuracy of the checkpoint at `path`, measured once.
    fn twin_accuracy(&mut self, path: &Path, twin: &Checkpoint) -> Result<f64> {
        if let Some(&accuracy) = self.accuracies.get(path) {
            return Ok(accuracy);
        }
        let data = self.dataset(twin)?;
        let task = Accuracy { checkpoint: twin, data: &data };
        let accuracy =
            backend::run(&twin.config, task).with_context(|| path.display().to_string())?;
        self.accuracies.insert(path.to_path_buf(), accuracy);
        Ok(accuracy)
    }
}

/// Which run a checkpoint is, for the reader.
fn words(checkpoint: &Checkpoint) -> String {
    let Checkpoint { config, progress, .. } = checkpoint;
    format!("{}, seed {}, epoch {}", config.label(), config.seed, progress.epoch)
}

fn subject(checkpoint: &Checkpoint, record: Option<&RunRecord>) -> Subject {
    let config = &checkpoint.config;
    let diverged = record.and_then(|r| r.diverged.as_ref()).map(|d| {
        format!("{} was {} after epoch {}", d.quantity, crate::number::text(d.value.0), d.epoch)
    });
    Subject {
        method: config.method.to_string(),
        arch: config.arch.to_string(),
        dataset: config.dataset.name().into(),
        seed: Some(config.seed),
        // Without `--epoch` an import knows of none.
        epoch: Some(checkpoint.progress.epoch as u64)
            .filter(|&epoch| epoch > 0 || checkpoint.imported.is_none()),
        epochs: Some(config.epochs as u64),
        label: config.label(),
        data_source: checkpoint.data.source.name().into(),
        is_baseline: config.is_baseline(),
        diverged,
        imported: checkpoint.imported.as_ref().map(|i| shown::line(&i.file)),
        frozen_network: config.frozen_network_sha256.clone(),
    }
}

/// What a checkpoint says of itself, to be held against what the probe saw.
fn statement(checkpoint: &Checkpoint, accuracy: f64) -> Statement {
    let config = &checkpoint.config;
    Statement {
        method: config.rule().to_string(),
        is_baseline: config.is_baseline(),
        epoch: Some(checkpoint.progress.epoch as u64),
        accuracy: Some(accuracy),
        proof: Proof::Own,
        normalises: config.rule().is_local().then_some(config.normalise == Normalise::Rms),
    }
}

/// What keeps `twin` from being the frozen twin of `config`, for one that a person named.
fn check_twin(config: &Config, twin: &Config) -> Result<(), String> {
    if twin.method != Method::Frozen {
        return Err(format!("it was trained by {}, not with frozen blocks", twin.label()));
    }
    let differences = config.shape_unlike(twin);
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("another network: {}", differences.join("; ")))
}

struct Measurement<'a> {
    checkpoint: &'a Checkpoint,
    data: &'a Dataset,
    controls: bool,
    recorded: &'a Recorded,
}

/// What the run recorded of the checkpoint's epoch, or why that is not known.
type Recorded = Result<EpochMetrics, String>;

struct Measured {
    trace: LayerTrace,
    accuracy: f64,
    controls: Option<Controls>,
    /// Under a rule that relaxes states.
    growth_of_force: Option<f64>,
    /// The controls of the harness that run the network.
    harness: Vec<Checked>,
}

impl Task for Measurement<'_> {
    type Output = Measured;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Measured> {
        let Self { checkpoint, data, controls, recorded } = self;
        let config = &checkpoint.config;
        let trainee = checkpoint.trainee::<B>(&device)?;
        let probe = probe(&trainee, config, data, &device)?;
        let accuracy = evaluate(&trainee, data, &device).accuracy;
        let mut harness = Vec::new();
        let controls = if controls {
            let subject = battery::Subject { checkpoint, trainee: &trainee, data, device: &device };
            let fitted = recorded.as_ref().ok().map(|line| line.train_accuracy.0);
            harness = battery::of_network(&subject, &probe.trace, accuracy, fitted)?;
            let subject = controls::Subject {
                trainee: &trainee,
                checkpoint,
                config,
                data,
                device: &device,
                start_is_known: checkpoint.imported.is_none(),
            };
            Some(controls::controls(&subject, &probe)?)
        } else {
            None
        };
        let net = trainee.net().clone().no_grad();
        let batch = || batch_tensors::<B>(evaluation_batch(config, data, 0), &device);
        let growth_of_force = trainee.learner.growth_of_force(&net, &trainee.buffers, batch);
        Ok(Measured { trace: probe.trace, accuracy, controls, growth_of_force, harness })
    }
}

struct Accuracy<'a> {
    checkpoint: &'a Checkpoint,
    data: &'a Dataset,
}

impl Task for Accuracy<'_> {
    type Output = f64;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<f64> {
        let trainee = self.checkpoint.trainee::<B>(&device)?;
        Ok(evaluate(&trainee, self.data, &device).accuracy)
    }
}
