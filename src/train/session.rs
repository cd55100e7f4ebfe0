//! A run from its first or newest state to its end.

use super::batches::Batches;
use super::checkpoint::{Checkpoint, Progress, pack, pack_slots, unpack_slots};
use super::evaluate::{evaluate_on, read};
use super::frozen_network;
use super::interrupt;
use super::optimizer::{Optimizer, learning_rate};
use super::progress::Reporter;
use super::ranks;
use super::run_dir::{Divergence, EpochMetrics, RunDir};
use crate::backend::Differentiable;
use crate::config::Config;
use crate::data::Dataset;
use crate::diagnostics;
use crate::diagnostics::trajectory::Trajectory;
use crate::learn::two_phase::growth_of_force;
use crate::learn::{Lesson, Trainee, Turn};
use crate::model::{NamedTensors, Net, Target, export, hits};
use crate::number::{Number, numbers};
use crate::probe::probe;
use anyhow::{Context, Result, anyhow, ensure};
use burn::tensor::{Int, Tensor};
use std::time::Instant;

/// How a session ended.
#[derive(Debug)]
pub enum Outcome {
    Finished {
        diverged: Option<Divergence>,
    },
    /// Saved in the middle of `epoch`.
    Interrupted {
        epoch: usize,
    },
}

/// A run in progress.
pub struct Session<'a, B: Differentiable> {
    config: &'a Config,
    data: &'a Dataset,
    dir: &'a RunDir,
    device: B::Device,
    batches: Batches<'a, B>,
    trainee: Trainee<B>,
    optimizer: Optimizer<B>,
    progress: Progress,
    trajectory: Trajectory,
    diverged: Option<Divergence>,
    /// Losses and hits that are still on the device: reading them waits for it.
    pending: Vec<Pending<B>>,
    /// Of relaxations, likewise.
    forces: Vec<Tensor<B::InnerBackend, 1>>,
}

struct Pending<B: Differentiable> {
    loss: Tensor<B::InnerBackend, 1>,
    hits: Tensor<B::InnerBackend, 1, Int>,
    samples: usize,
}

/// Steps between two looks at the loss while someone watches.
const LOOK_EVERY: usize = 16;

impl<'a, B: Differentiable> Session<'a, B> {
    /// A new run.
    ///
    /// # Errors
    /// If the configuration stands on another run's network, and that cannot be had.
    pub fn start(
        config: &'a Config,
        data: &'a Dataset,
        dir: &'a RunDir,
        device: B::Device,
    ) -> Result<Self> {
        let classes = data.provenance.classes;
        let trainee = match &config.frozen_network_sha256 {
            Some(digest) => frozen_network::trainee(config, digest, classes, &device)?,
            None => Trainee::initial(config, classes, &device)?,
        };
        Ok(Self {
            trainee,
            optimizer: Optimizer::new(config),
            progress: Progress::default(),
            trajectory: Trajectory::default(),
            diverged: None,
            pending: Vec::new(),
            forces: Vec::new(),
            batches: Batches::of(config, data, &device),
            config,
            data,
            dir,
            device,
        })
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint's data are not these, or its tensors do not fit the network.
    pub fn resume(
        config: &'a Config,
        data: &'a Dataset,
        dir: &'a RunDir,
        device: B::Device,
        checkpoint: &Checkpoint,
    ) -> Result<Self> {
        checkpoint.data.ensure_same(&data.provenance)?;
        let mut optimizer = Optimizer::new(config);
        optimizer.import(unpack_slots(&checkpoint.slots)?, &device)?;
        Ok(Self {
            trainee: checkpoint.trainee(&device)?,
            optimizer,
            progress: checkpoint.progress.clone(),
            trajectory: checkpoint.trajectory.clone(),
            diverged: dir.read_metrics()?.iter().find_map(EpochMetrics::divergence),
            pending: Vec::new(),
            forces: Vec::new(),
            batches: Batches::of(config, data, &device),
            config,
            data,
            dir,
            device,
        })
    }

    /// What the learner owns, on the host.
    pub fn learner_state(&self) -> NamedTensors {
        self.trainee.learner.state()
    }

    /// The network.
    pub fn net(&self) -> &Net<B> {
        self.trainee.net()
    }

    /// How far the run has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Steps of one epoch: the last batch may be smaller.
    fn steps(&self) -> usize {
        self.data.train.len().div_ceil(self.config.batch_size)
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        (self.steps() * self.config.epochs) as u64
    }

    /// Trains to the end, until an interrupt is asked for, or until an epoch's numbers are no longer
    /// finite: no step leads back from there.
    ///
    /// # Errors
    /// If an artefact cannot be written, or a parameter that is trained received no gradient.
    pub fn train(&mut self, reporter: &mut Reporter) -> Result<Outcome> {
        if self.progress == Progress::default() {
            self.keep(0)?;
        }
        if self.dir.read_metrics()?.len() < self.progress.epoch {
            self.record_again()?;
        }
        while self.progress.epoch < self.config.epochs && self.diverged.is_none() {
            let epoch = self.progress.epoch + 1;
            let done = (self.progress.epoch * self.steps() + self.progress.step) as u64;
            reporter.at(epoch, done);
            if !self.train_epoch(epoch, reporter, interrupt::asked)? {
                self.checkpoint().save(&self.dir.checkpoint())?;
                return Ok(Outcome::Interrupted { epoch });
            }
            let metrics = self.measure(epoch)?;
            reporter.epoch(&metrics);
            self.end_epoch(epoch);
            // In this order: whatever is there when the program dies, the newest checkpoint has all
            // that came before it.
            self.dir.append_metrics(&metrics)?;
            self.keep(epoch)?;
            self.checkpoint().save(&self.dir.checkpoint())?;
            self.diverged = metrics.divergence();
            reporter.saved(&metrics)?;
        }
        Ok(Outcome::Finished { diverged: self.diverged.clone() })
    }

    /// Trains the rest of `epoch`; `false` where `stop`, which is asked before every step, ended it.
    ///
    /// # Errors
    /// As [`Session::train_batch`].
    pub fn train_epoch(
        &mut self,
        epoch: usize,
        reporter: &Reporter,
        mut stop: impl FnMut() -> bool,
    ) -> Result<bool> {
        let rate = learning_rate(self.config, epoch);
        let before = self.progress.seconds;
        let start = Instant::now();
        let (batches, first) = (self.batches.clone(), self.progress.step);
        std::thread::scope(|scope| {
            for (k, (images, target)) in (first..).zip(batches.epoch(epoch, first, scope)?) {
                if stop() {
                    self.settle();
                    return Ok(false);
                }
                if k == 0 {
                    self.progress = Progress { epoch: self.progress.epoch, ..Progress::default() };
                }
                self.train_batch(images, target, rate)
                    .with_context(|| format!("epoch {epoch}, step {k}"))?;
                self.progress.step = k + 1;
                self.progress.seconds = before + start.elapsed().as_secs_f64();
                let look = reporter.is_shown() && k % LOOK_EVERY == 0;
                reporter.step(look.then(|| self.running()));
            }
            self.settle();
            self.progress.seconds = before + start.elapsed().as_secs_f64();
            Ok(true)
        })
    }

    /// One step of rule and optimiser on inputs [N, _] and what their outputs are held against.
    ///
    /// # Errors
    /// If a parameter that is trained received no gradient.
    pub fn train_batch(
        &mut self,
        images: Tensor<B, 2>,
        target: Target<B>,
        rate: f64,
    ) -> Result<()> {
        let Progress { epoch, step, .. } = self.progress;
        let turn = Turn { seed: self.config.seed, epoch: epoch + 1, step };
        self.trainee.learner.begin(turn.epoch);
        let [samples, _] = images.dims();
        let Lesson { loss, outputs, network, own, force, buffers } =
            self.trainee.learn(images, target.clone(), turn);
        let lost = self.trainee.without_gradient(&network);
        ensure!(lost.is_empty(), "no gradient reached {}", lost.join(", "));
        self.trainee.buffers = buffers;
        self.trainee.update(|net| self.optimizer.step(net, network, rate));
        self.optimizer.step_own(&mut self.trainee.learner, own, rate);
        self.forces.extend(force);
        self.pending.push(Pending { loss, hits: hits(outputs, target.inner()), samples });
        Ok(())
    }

    /// Closes `epoch`. Its sums stay until the next one's first step, in case its line is lost.
    pub fn end_epoch(&mut self, epoch: usize) {
        self.progress = Progress { epoch, step: 0, seconds: 0.0, ..self.progress };
    }

    /// Brings what is pending into the epoch's sums, in f64 and in order.
    fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let samples: Vec<usize> = pending.iter().map(|p| p.samples).collect();
        let read = read(pending.into_iter().map(|p| (p.loss, p.hits)));
        for ((loss, hits), samples) in read.into_iter().zip(samples) {
            self.progress.loss_sum += loss * samples as f64;
            self.progress.correct += hits;
            self.progress.seen += samples as u64;
        }
        let forces = std::mem::take(&mut self.forces);
        if !forces.is_empty() {
            let squares: Vec<f64> = Tensor::cat(forces, 0).into_data().iter::<f64>().collect();
            self.progress.unsettle(growth_of_force(&squares));
        }
    }

    /// Loss, accuracy and samples a second of the epoch so far.
    pub fn running(&mut self) -> (f64, f64, f64) {
        self.settle();
        let p = &self.progress;
        let seen = p.seen as f64;
        (p.loss_sum / seen, p.correct as f64 / seen, seen / p.seconds)
    }

    /// Writes the newest epoch's line where it was lost; how long the epoch took is lost with it.
    fn record_again(&mut self) -> Result<()> {
        self.progress.seconds = f64::NAN;
        let metrics = self.measure(self.progress.epoch)?;
        self.progress.seconds = 0.0;
        self.dir.append_metrics(&metrics)?;
        self.diverged = metrics.divergence();
        Ok(())
    }

    fn measure(&mut self, epoch: usize) -> Result<EpochMetrics> {
        let (train_loss, train_accuracy, speed) = self.running();
        let total = self.data.test.len();
        let test = evaluate_on(&self.trainee, total, |range| self.batches.test(range));
        let trace = probe(&self.trainee, self.config, self.data, &self.device)?.trace;
        // A network without blocks has no growth; all else is measured whenever a trace is there.
        let growth = diagnostics::growth::growth(&trace);
        let norms = diagnostics::growth::hidden_norms(&trace);
        let reference = diagnostics::reference::reference(&trace, self.config.threshold_reference);
        let cosine = diagnostics::cosine::cosine(&trace);
        let unmeasured = |e: diagnostics::Unmeasured| anyhow!("epoch {epoch}: {e}");
        let ranks = match ranks::are_wanted(self.config, epoch) {
            true => {
                let (of, at) = ((self.config, self.data), (epoch, &mut self.trajectory));
                ranks::ranks(&self.trainee, of, &self.device, &trace, at)
                    .with_context(|| format!("epoch {epoch}"))?
            }
            false => Vec::new(),
        };
        Ok(EpochMetrics {
            epoch,
            train_loss: Number(train_loss),
            train_accuracy: Number(train_accuracy),
            test_loss: Number(test.loss),
            test_accuracy: Number(test.accuracy),
            learning_rate: Number(learning_rate(self.config, epoch)),
            hidden_norms: numbers(&norms.map_err(unmeasured)?),
            gradient_norms: reference.map_err(unmeasured)?.detail.per_layer,
            growth: growth.ok().map(|found| Number(found.value)),
            cosine: cosine.map_err(unmeasured)?.detail.per_layer,
            growth_of_force: self.progress.growth_of_force.map(Number),
            test_top5: test.top5.map(Number),
            ranks,
            seconds: Number(self.progress.seconds),
            samples_per_second: Number(speed),
        })
    }

    /// Keeps the state after `epoch` where the configuration asks for it.
    fn keep(&self, epoch: usize) -> Result<()> {
        if !self.config.checkpoint_epochs.contains(&epoch) {
            return Ok(());
        }
        let path = self.dir.epoch_checkpoint(epoch);
        if let Some(directory) = path.parent() {
            crate::files::create_folder(directory)?;
        }
        self.checkpoint().save(&path)
    }

    /// The state between two steps.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            config: self.config.clone(),
            data: self.data.provenance.clone(),
            progress: self.progress.clone(),
            network: pack(&export(self.net())),
            buffers: pack(&self.trainee.buffers_on_host()),
            learner: pack(&self.trainee.learner.state()),
            slots: pack_slots(self.optimizer.export()),
            trajectory: self.trajectory.clone(),
            imported: None,
        }
    }
}
