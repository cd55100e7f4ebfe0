//! The configuration of a run: every key, its meaning, its default and where that default comes
//! from. A configuration is flat: each key is also `--set key=value`, and each flag of the
//! command line is a key of the same name.
//!
//! "published" marks a value of the reference implementation (arXiv:2606.21126), "recommended" one
//! that was not published.

mod resolve;
mod validate;
mod words;

pub use resolve::{Layer, resolve};
pub use words::{
    Arch, BackendName, Base, CreditTokens, EmbedSignal, FeedbackDistribution, FeedbackSharing,
    MatmulPrecision, Measure, Method, Normalise, Objective, OptimizerName, Schedule,
};

use crate::data::DatasetKind;
use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// A resolved configuration: all keys present, all values validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What trains the network.
    pub method: Method,
    /// The rule under `frozen`, `shallow` and `random-target`.
    pub base: Base,
    /// Seed of every random stream of the run but the synthetic data's.
    pub seed: u64,

    /// The network.
    pub arch: Arch,
    /// Width d of the hidden states (published: 256, vit-mini 128).
    pub width: usize,
    /// Number of residual blocks L (published: 4).
    pub depth: usize,
    /// resmlp: hidden width of a block over d (published: 1).
    pub expansion: usize,
    /// resmlp: standard deviation of W2 at initialisation (published: 0.01).
    pub w2_std: f64,
    /// LayerNorm before the head (published: true).
    pub terminal_norm: bool,
    /// h_{l+1} = h_l + f_l(h_l); without it h_{l+1} = f_l(h_l) (published: true).
    pub residual_add: bool,
    /// The first so many blocks stay at initialisation: the depth ladder trains the last
    /// `depth - frozen_blocks` (default: 0).
    pub frozen_blocks: usize,
    /// vit-mini: patch size in pixels (recommended: 4, which makes 64 tokens).
    pub patch: usize,
    /// vit-mini: attention heads (recommended: 4).
    pub heads: usize,
    /// vit-mini: hidden width of the MLP over d (recommended: 2).
    pub mlp_ratio: usize,
    /// vit-mini: tokens that receive the credit (recommended: all).
    pub credit_tokens: CreditTokens,
    /// vit-mini: where norms and cosines are taken (published: cls).
    pub measure: Measure,

    /// The data.
    pub dataset: DatasetKind,
    /// Where the CIFAR files lie; not part of the run's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// RandomCrop(32, pad 4) and horizontal flip of training images (published: true).
    pub augment: bool,
    /// synthetic: seed of teacher and images, the same for every run of a study.
    pub data_seed: u64,
    /// synthetic: number of training images.
    pub train_samples: usize,
    /// synthetic: number of test images.
    pub test_samples: usize,

    /// Penalty weight λ of λ · mean_batch Σ_j f_l(h_l)_j² in every block's loss (published: 0).
    pub penalty: f64,
    /// Scaling of the credit (published: rms).
    pub normalise: Normalise,
    /// ε of the RMS normalisation (published: 1e-6).
    pub rms_epsilon: f64,
    /// Distribution of the feedback matrices (published: normal).
    pub feedback_distribution: FeedbackDistribution,
    /// Factor on the feedback's standard deviation 1/√(columns) (published: 1).
    pub feedback_scale: f64,
    /// One feedback matrix a layer, or one for all (published: layer).
    pub feedback_sharing: FeedbackSharing,
    /// What trains the embedding under a local rule (published for DFA: credit).
    pub embed_signal: EmbedSignal,

    /// Passes over the training data (published: 100; 30 for the penalty runs).
    pub epochs: usize,
    /// Samples a step (published: 128).
    pub batch_size: usize,
    /// AdamW learning rate η (published: 1e-3).
    pub learning_rate: f64,
    /// AdamW decoupled weight decay (published: 0.01).
    pub weight_decay: f64,
    /// AdamW β₁ (PyTorch's default).
    pub beta_1: f64,
    /// AdamW β₂ (PyTorch's default).
    pub beta_2: f64,
    /// AdamW ε (PyTorch's default 1e-8; Burn's is 1e-5).
    pub epsilon: f64,
    /// Learning rate over the epochs (published: cosine).
    pub schedule: Schedule,
    #[serde(skip)]
    pub optimizer: OptimizerName,
    #[serde(skip)]
    pub momentum: f64,
    #[serde(skip)]
    pub muon_learning_rate: f64,
    #[serde(skip)]
    pub muon_momentum: f64,
    #[serde(skip)]
    pub objective: Objective,
    /// Epochs after which a checkpoint is kept beside the newest one; 0 is the initial network.
    pub checkpoint_epochs: Vec<usize>,

    /// Evaluation batches of the probe, from the start of the unshuffled test set (published: 10).
    pub probe_batches: usize,
    /// Samples of an evaluation batch, on which the reference gradient's scale depends
    /// (published: 128).
    pub probe_batch_size: usize,
    /// Growth per block above which scale stability fires (published: 50).
    pub threshold_growth: f64,
    /// Median ‖g_L‖ below which reference validity fires (published: 1e-7 at N = 128).
    pub threshold_reference: f64,
    /// Mean pairwise cosine between batches above which stability fires (published: 0.30).
    pub threshold_stability: f64,
    /// Percentage points over the frozen baseline below which depth utility fires (published: 2).
    pub threshold_depth_utility: f64,

    /// Test images of the controls that run the network again (published for ρ: 1024; vit-mini,
    /// whose blocks see 65 tokens an image: 128).
    pub control_samples: usize,
    /// Fresh feedback draws of the null calibration (published: 20).
    pub null_draws: usize,
    /// Random directions a layer of the perturbation correlation ρ (published: 32).
    pub perturbation_directions: usize,
    /// Length ε of a perturbation (published: 1e-3).
    pub perturbation_epsilon: f64,
    /// Step η of the nudging test along the RMS-normalised credit (published: 0.01).
    pub nudge_step: f64,
    /// Length of the descent test's step over the norm of the block's parameters (recommended:
    /// 1e-3, about one AdamW step at the published learning rate).
    pub descent_step: f64,

    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// `flex` or `ndarray` on the CPU, `cuda` on the GPU.
    pub backend: BackendName,
    /// Threads of the matrix products, on `flex`; above one, another makes the batches. The numbers
    /// do not depend on it. One is best where runs train side by side, in processes of their own.
    pub threads: usize,
    /// Matrix products on a GPU: `f32`, or `tf32`, which is faster and rounds their operands. A CPU
    /// always has `f32`.
    #[serde(default)]
    pub matmul_precision: MatmulPrecision,
}

impl Config {
    /// The published settings of `arch` on `dataset`.
    pub fn published(arch: Arch, dataset: DatasetKind) -> Self {
        let synthetic = dataset == DatasetKind::Synthetic;
        let data = crate::data::SyntheticSpec::default();
        Self {
            method: Method::Bp,
            base: Base::Dfa,
            seed: 42,
            arch,
            width: if arch == Arch::VitMini { 128 } else { 256 },
            depth: 4,
            expansion: 1,
            w2_std: 0.01,
            terminal_norm: true,
            residual_add: true,
            frozen_blocks: 0,
            patch: 4,
            heads: 4,
            mlp_ratio: 2,
            credit_tokens: CreditTokens::All,
            measure: Measure::Cls,
            dataset,
            data_dir: None,
            augment: dataset.augmentable(),
            data_seed: data.seed,
            train_samples: data.train,
            test_samples: data.test,
            penalty: 0.0,
            normalise: Normalise::Rms,
            rms_epsilon: 1e-6,
            feedback_distribution: FeedbackDistribution::Normal,
            feedback_scale: 1.0,
            feedback_sharing: FeedbackSharing::Layer,
            embed_signal: EmbedSignal::Credit,
            epochs: if synthetic { 15 } else { 100 },
            batch_size: 128,
            learning_rate: 1e-3,
            weight_decay: 0.01,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            schedule: Schedule::Cosine,
            optimizer: OptimizerName::Adamw,
            momentum: 0.9,
            muon_learning_rate: 0.02,
            muon_momentum: 0.95,
            objective: Objective::CrossEntropy,
            checkpoint_epochs: Vec::new(),
            probe_batches: 10,
            probe_batch_size: 128,
            threshold_growth: 50.0,
            threshold_reference: 1e-7,
            threshold_stability: 0.30,
            threshold_depth_utility: 2.0,
            control_samples: if arch == Arch::VitMini { 128 } else { 1024 },
            null_draws: 20,
            perturbation_directions: 32,
            perturbation_epsilon: 1e-3,
            nudge_step: 0.01,
            descent_step: 1e-3,
            device: "auto".into(),
            backend: BackendName::of_this_build(),
            threads: 1,
            matmul_precision: MatmulPrecision::F32,
        }
    }

    /// Checks a configuration that was read from an artefact, not resolved from what was written.
    ///
    /// # Errors
    /// Names the first key whose value is out of range, and what was expected.
    pub fn check(&self) -> Result<()> {
        validate::validate(self).map_err(|e| anyhow!("{}: {}", e.key, e.problem))
    }

    /// The synthetic data of this run.
    pub fn synthetic(&self) -> crate::data::SyntheticSpec {
        crate::data::SyntheticSpec {
            seed: self.data_seed,
            train: self.train_samples,
            test: self.test_samples,
        }
    }

    /// Number of residual blocks of the network as built: none for `shallow`.
    pub fn blocks(&self) -> usize {
        if self.method == Method::Shallow { 0 } else { self.depth }
    }

    /// The rule that forms the credit.
    pub fn rule(&self) -> Base {
        self.method.rule().unwrap_or(self.base)
    }

    /// Whether this run is itself a baseline that others are compared with.
    pub fn is_baseline(&self) -> bool {
        matches!(self.method, Method::Frozen | Method::Shallow)
    }

    /// A short name for tables: `dfa λ=0.01`, `frozen(dfa)`, `fa d=512 L=12`. Runs that share it
    /// are pooled over seeds.
    pub fn label(&self) -> String {
        let mut label = self.method.to_string();
        if self.method.rule().is_none() {
            label += &format!("({})", self.base);
        }
        if self.penalty > 0.0 && !self.is_baseline() {
            label += &format!(" λ={}", self.penalty);
        }
        let published = Self::published(self.arch, self.dataset);
        if self.width != published.width {
            label += &format!(" d={}", self.width);
        }
        if self.depth != published.depth {
            label += &format!(" L={}", self.depth);
        }
        if !self.terminal_norm {
            label += " no LN";
        }
        if !self.residual_add {
            label += " no skip";
        }
        if self.frozen_blocks > 0 {
            label += &format!(" last {}", self.depth - self.frozen_blocks);
        }
        label += &self.unnamed_differences(&published);
        label
    }

    /// ` key=value` for every other key that sets the trained network apart from the published
    /// one, so that runs that differ are never pooled as seeds of one setting.
    fn unnamed_differences(&self, published: &Self) -> String {
        const SAID_ELSEWHERE: [&str; 12] = [
            "method",
            "base",
            "seed",
            "arch",
            "dataset",
            "penalty",
            "width",
            "depth",
            "terminal_norm",
            "residual_add",
            "frozen_blocks",
            "epochs",
        ];
        // Not as TOML, whose integers are signed: a record may hold any seed.
        let table = |c: &Self| match serde_json::to_value(c) {
            Ok(serde_json::Value::Object(keys)) => keys,
            _ => unreachable!("a configuration is a table of plain values"),
        };
        let theirs = table(published);
        table(self)
            .into_iter()
            .filter(|(key, value)| {
                let key = key.as_str();
                !NOT_SCIENCE.contains(&key)
                    && !SAID_ELSEWHERE.contains(&key)
                    && theirs.get(key) != Some(value)
            })
            .map(|(key, value)| match value.as_str() {
                Some(word) => format!(" {key}={word}"),
                None => format!(" {key}={value}"),
            })
            .collect()
    }

    /// The frozen twin of this run: the same seed, initialisation and data order, the blocks
    /// untrained. Method, penalty and feedback are the baseline's own.
    pub fn twin(&self) -> Self {
        let defaults = Self::published(self.arch, self.dataset);
        Self {
            method: Method::Frozen,
            base: Base::Dfa,
            frozen_blocks: 0,
            penalty: defaults.penalty,
            normalise: defaults.normalise,
            rms_epsilon: defaults.rms_epsilon,
            feedback_distribution: defaults.feedback_distribution,
            feedback_scale: defaults.feedback_scale,
            feedback_sharing: defaults.feedback_sharing,
            embed_signal: defaults.embed_signal,
            credit_tokens: defaults.credit_tokens,
            checkpoint_epochs: Vec::new(),
            ..self.clone()
        }
    }

    /// What a frozen twin must share with this run for the two accuracies to be comparable.
    pub fn twin_key(&self) -> String {
        self.twin().science_hash()
    }

    /// SHA-256 (hex) of all keys that shape the numbers of a training run: the run's identity.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new_with_prefix(self.science_hash());
        for part in [self.device.as_str(), self.backend.word()] {
            hasher.update(part);
            hasher.update([0]);
        }
        hasher.update(self.threads.to_le_bytes());
        // Runs from before there was a choice keep their names.
        if self.matmul_precision != MatmulPrecision::F32 {
            hasher.update(self.matmul_precision.word());
        }
        crate::hex(&hasher.finalize())
    }

    /// As [`Config::hash`], without where it runs and what only looks at the trained network.
    fn science_hash(&self) -> String {
        let mut table = toml::Table::try_from(self).expect("a configuration is a TOML table");
        for key in NOT_SCIENCE {
            table.remove(key);
        }
        crate::hex(&Sha256::digest(table.to_string()))
    }
}

/// Keys that say where a run goes on and what looks at the trained network.
const NOT_SCIENCE: [&str; 19] = [
    "data_dir",
    "checkpoint_epochs",
    "probe_batches",
    "probe_batch_size",
    "measure",
    "threshold_growth",
    "threshold_reference",
    "threshold_stability",
    "threshold_depth_utility",
    "control_samples",
    "null_draws",
    "perturbation_directions",
    "perturbation_epsilon",
    "nudge_step",
    "descent_step",
    "device",
    "backend",
    "threads",
    "matmul_precision",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_toml() {
        let config = Config::published(Arch::ResMlp, DatasetKind::Cifar10);
        let back: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(back, config);
    }

    #[test]
    fn the_precision_of_matrix_products_is_part_of_a_run_and_older_runs_had_f32() {
        let f32 = Config::published(Arch::ResMlp, DatasetKind::Cifar10);
        let tf32 = Config { matmul_precision: MatmulPrecision::Tf32, ..f32.clone() };
        assert_ne!(f32.hash(), tf32.hash());
        let mut older = toml::Table::try_from(&f32).unwrap();
        assert_eq!(older.remove("matmul_precision").unwrap().as_str(), Some("f32"));
        assert_eq!(older.try_into::<Config>().unwrap(), f32);
        assert!(f32.check().is_ok());
        let on_gpu = Config { device: "cuda".into(), backend: BackendName::Cuda, ..tf32.clone() };
        assert!(on_gpu.check().is_ok());
        let on_cpu = Config { device: "cpu".into(), ..tf32 };
        assert!(on_cpu.check().unwrap_err().to_string().starts_with("matmul_precision: tf32"));
    }

    #[test]
    fn a_twin_differs_in_method_penalty_and_feedback_alone() {
        let dfa = Config {
            method: Method::Dfa,
            penalty: 0.01,
            ..Config::published(Arch::ResMlp, DatasetKind::Cifar10)
        };
        let frozen = Config { method: Method::Frozen, penalty: 0.0, base: Base::Bp, ..dfa.clone() };
        assert_eq!(dfa.twin_key(), frozen.twin_key());
        let longer = Config { epochs: 31, ..frozen.clone() };
        assert_ne!(dfa.twin_key(), longer.twin_key());
        let other = Config { seed: 43, ..frozen };
        assert_ne!(dfa.twin_key(), other.twin_key());
    }
}
