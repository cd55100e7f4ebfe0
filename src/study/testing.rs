//! Studies made of a few numbers.

use super::results::{RunResult, StudyResult};
use crate::config::{Arch, Config, Method};
use crate::data::{DataProvenance, DatasetKind, Source};
use crate::number::{Number, numbers};
use crate::train::run_dir::{EpochMetrics, Matmul, Provenance, RUN_SCHEMA, RunRecord, RunStatus};
use crate::verdict::Subject;
use crate::verdict::testing::Specimen;

/// A run of two blocks on CIFAR-10 by what its epochs and its audit should say.
#[derive(Clone)]
pub struct Sketch {
    pub config: Config,
    pub status: RunStatus,
    /// Test accuracy, growth and ‖g_L‖ after each epoch; the audit is of the last.
    pub epochs: Vec<(f64, f64, f64)>,
    /// The twin's accuracy.
    pub frozen: Option<f64>,
    /// Γ_0 … Γ_L.
    pub cosine: Vec<f64>,
}

impl Sketch {
    pub fn new(method: Method, seed: u64, epochs: &[(f64, f64, f64)]) -> Self {
        let published = Config::published(Arch::ResMlp, DatasetKind::Cifar10);
        Self {
            config: Config { method, seed, depth: 4, epochs: epochs.len(), ..published },
            status: RunStatus::Finished,
            epochs: epochs.to_vec(),
            frozen: Some(0.30),
            cosine: vec![0.2; 5],
        }
    }

    /// One epoch, and an audit with these values.
    pub fn audited(method: Method, seed: u64, accuracy: f64, growth: f64, gradient: f64) -> Self {
        Self::new(method, seed, &[(accuracy, growth, gradient)])
    }

    fn run(&self) -> RunResult {
        let metrics: Vec<EpochMetrics> =
            self.epochs.iter().enumerate().map(|(i, values)| line(i + 1, *values)).collect();
        let finished = self.status == RunStatus::Finished;
        RunResult {
            name: format!("{}-s{}", self.config.method, self.config.seed),
            record: RunRecord {
                schema: RUN_SCHEMA.into(),
                status: self.status,
                config: self.config.clone(),
                provenance: provenance(&self.config),
                epoch: metrics.len(),
                last: metrics.last().cloned(),
                diverged: None,
                error: None,
                metrics_sha256: None,
            },
            audit: self.epochs.last().filter(|_| finished).map(|last| {
                let mut audit = self.specimen(*last).audit();
                audit.run = self.subject();
                audit
            }),
            metrics,
        }
    }

    fn specimen(&self, (accuracy, growth, gradient): (f64, f64, f64)) -> Specimen {
        let mut hidden = vec![growth as f32; self.cosine.len()];
        hidden[0] = 1.0;
        Specimen {
            accuracy,
            frozen: self.frozen,
            cosine: self.cosine.clone(),
            batches: 8,
            samples: 8,
            baseline: self.config.is_baseline(),
            ..Specimen::new("run", accuracy, &hidden, &vec![gradient as f32; self.cosine.len()])
        }
    }

    fn subject(&self) -> Subject {
        let config = &self.config;
        Subject {
            method: config.method.to_string(),
            arch: config.arch.to_string(),
            dataset: config.dataset.name().into(),
            seed: Some(config.seed),
            epoch: Some(self.epochs.len() as u64),
            epochs: Some(config.epochs as u64),
            label: config.label(),
            data_source: Source::Copy.name().into(),
            is_baseline: config.is_baseline(),
            diverged: None,
            imported: None,
            frozen_network: None,
        }
    }
}

pub fn study(sketches: &[Sketch]) -> StudyResult {
    StudyResult {
        name: "sketched".into(),
        runs: sketches.iter().map(Sketch::run).collect(),
        missing: Vec::new(),
        claims: None,
    }
}

fn line(epoch: usize, (accuracy, growth, gradient): (f64, f64, f64)) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: Number(2.0),
        train_accuracy: Number(accuracy),
        test_loss: Number(2.0),
        test_accuracy: Number(accuracy),
        learning_rate: Number(1e-3),
        hidden_norms: numbers(&[1.0, growth]),
        gradient_norms: numbers(&[1.0, gradient]),
        growth: Some(Number(growth)),
        cosine: numbers(&[0.2; 2]),
        seconds: Number(1.0),
        growth_of_force: None,
        test_top5: None,
        ranks: Vec::new(),
        samples_per_second: Number(1.0),
    }
}

/// What a run of `config` on CIFAR-10's copies would say, without feedback.
pub fn provenance(config: &Config) -> Provenance {
    Provenance {
        tool: crate::train::lifecycle::TOOL.into(),
        git_revision: String::new(),
        burn: String::new(),
        backend: "flex".into(),
        device: "cpu".into(),
        threads: 1,
        instruction_sets: None,
        matmul: Matmul::Full,
        data: DataProvenance {
            name: config.dataset.name().into(),
            source: Source::Copy,
            sha256: String::new(),
            train: 50_000,
            test: 10_000,
            classes: config.dataset.classes(),
            files: Vec::new(),
        },
        config_hash: config.hash(),
        seed: config.seed,
        feedback_hash: None,
        parameters: 0,
        command_line: Vec::new(),
        start: String::new(),
        end: None,
    }
}
