//! The configuration of a run. A configuration is flat: each key is also `--set key=value`, and each
//! flag of the command line is a key of the same name. What a key means, its default and what it is
//! for stand in one table, in [`keys`].

mod identity;
pub mod keys;
mod resolve;
mod validate;
mod words;

pub use keys::Config;
pub use resolve::{Layer, nearest_key, refuse_idle_keys, resolve, without_idle_keys};
pub use words::{
    Activation, ActivityNorm, Arch, Auxiliary, BackendName, Base, Code, CreditTokens, EmbedSignal,
    EpCredit, EpPhases, FeedbackDistribution, FeedbackForm, FeedbackSharing, GradientMatching,
    GrapeForm, MatmulPrecision, Measure, Method, Normalise, Objective, OptimizerName,
    PredictorOutput, Probe, Schedule, Shortcut,
};

use crate::data::{self, Dataset, TeacherShape};
use anyhow::{Result, anyhow};
use keys::{KEYS, Key, Label, Role, Value};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A map of the keys, without those that are left out for good.
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = KEYS.iter().map(|key| (key.name, key.value(self)));
        let keys: Vec<_> = keys.filter(|(_, value)| *value != Value::Nothing).collect();
        let mut map = serializer.serialize_map(Some(keys.len()))?;
        for (name, value) in keys {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl Config {
    /// Checks a configuration that was read from an artefact, not resolved from what was written.
    ///
    /// # Errors
    /// Names the first key whose value is out of range, and what was expected.
    pub fn check(&self) -> Result<()> {
        validate::validate(self).map_err(|e| anyhow!("{}: {}", e.key, e.problem))
    }

    /// The data of this run.
    ///
    /// # Errors
    /// As [`data::load`].
    pub fn load_data(&self) -> Result<Dataset> {
        let data = data::load(self.dataset, self.data_dir.as_deref(), &self.synthetic())?;
        Ok(data.with_train_subset(self.train_subset))
    }

    /// The data of this run, where they are made in memory.
    pub fn synthetic(&self) -> crate::data::SyntheticSpec {
        crate::data::SyntheticSpec {
            seed: self.data_seed,
            train: self.train_samples,
            test: self.test_samples,
            teacher: TeacherShape { alpha: self.alpha, depth: self.teacher_depth },
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

    /// Epochs, the first ones, that Credit Bridge trains by DFA.
    pub fn warm_up_epochs(&self) -> usize {
        (self.warm_up * self.planned(1) as f64).round() as usize
    }

    /// Epochs of the training that `epoch` is of, as it was planned then.
    pub fn planned(&self, epoch: usize) -> usize {
        self.extended_at.iter().copied().find(|&end| epoch <= end).unwrap_or(self.epochs)
    }

    /// The same training of more `epochs`, extended after its last.
    pub fn extended_to(&self, epochs: usize) -> Self {
        let mut longer = Self { epochs, ..self.clone() };
        longer.extended_at.push(self.epochs);
        longer
    }

    /// Whether this is the training of `other`, or one that was extended from it.
    pub fn goes_on_from(&self, other: &Self) -> bool {
        let earlier = |end: &usize| *end < other.epochs;
        let extended_at = self.extended_at.iter().copied().filter(earlier).collect();
        let then = Self { epochs: other.epochs, extended_at, ..self.clone() };
        other.epochs <= self.epochs && then.hash() == other.hash()
    }

    /// Whether this run is itself a baseline that others are compared with.
    pub fn is_baseline(&self) -> bool {
        matches!(self.method, Method::Frozen | Method::Shallow)
    }

    /// A short name for tables: `dfa λ=0.01`, `frozen(dfa)`, `fa d=512 L=12`. Runs that share it
    /// are pooled over seeds.
    pub fn label(&self) -> String {
        let published = Self::published(self.arch, self.dataset);
        let (mut words, mut others) = (Vec::new(), Vec::new());
        for key in self.keys_that_matter() {
            match key.label {
                Label::Words(said) => words.extend(said(self, &published)),
                Label::Key if key.value(self) != key.value(&published) => {
                    others.push(format!("{}={}", key.name, key.value(self).in_label()));
                }
                Label::Key | Label::Elsewhere | Label::Unsaid => {}
            }
        }
        others.sort();
        words.extend(others);
        words.join(" ")
    }

    /// The frozen twin of this run: the same seed, initialisation and data order, the blocks
    /// untrained. Method, penalty and feedback are the baseline's own.
    pub fn twin(&self) -> Self {
        let mut twin = Self::published(self.arch, self.dataset);
        for key in KEYS.iter().filter(|key| key.role.is_shared_by_a_twin()) {
            (key.copy)(&mut twin, self);
        }
        Self { method: Method::Frozen, ..twin }
    }

    /// Whether its network is another run's, which it leaves as it is.
    pub fn has_frozen_network(&self) -> bool {
        self.frozen_network_sha256.is_some()
    }

    /// How the network of `other` is built otherwise, key by key: `its depth is 2, the run's 3`.
    pub fn shape_unlike(&self, other: &Self) -> Vec<String> {
        let shape = self.differing_keys(other).filter(|key| key.role == Role::Shape);
        let said = |key: &Key| {
            format!("its {} is {}, the run's {}", key.name, key.value(other), key.value(self))
        };
        shape.map(said).collect()
    }

    /// Whether its credit comes from an auxiliary network, whatever that learns.
    fn has_auxiliary(&self) -> bool {
        self.method.rule().is_some_and(Base::has_auxiliary)
    }

    /// Whether its credit is learned: what its gains are due to, its auxiliary twins tell.
    pub fn has_learned_credit(&self) -> bool {
        self.has_auxiliary() && self.auxiliary == Auxiliary::Learned
    }

    /// Whether it is a control of a learned credit: its auxiliary network learns other targets, or none.
    pub fn is_auxiliary_twin(&self) -> bool {
        self.has_auxiliary() && !self.has_learned_credit()
    }

    /// Whether `other` is this run of a learned credit with other targets, and like it in all else that
    /// shapes the numbers.
    pub fn has_auxiliary_twin(&self, other: &Self) -> bool {
        let twin = || Self { auxiliary: other.auxiliary, ..self.clone() };
        self.has_learned_credit()
            && other.is_auxiliary_twin()
            && twin().science() == other.science()
    }

    /// The keys that its numbers, or what is measured of it, depend on.
    pub fn keys_that_matter(&self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(|key| key.matters(self))
    }

    /// The keys of `role` that matter, the first by its value alone: `resmlp, width 256, depth 4`.
    pub fn in_words(&self, role: Role) -> String {
        let keys = self.keys_that_matter().filter(|key| key.role == role);
        let said = |(i, key): (usize, &Key)| match i {
            0 => key.value(self).to_string(),
            _ => format!("{} {}", key.name, key.value(self)),
        };
        keys.enumerate().map(said).collect::<Vec<_>>().join(", ")
    }

    /// The keys that matter to this run or to `other`, and in which they differ.
    pub fn differing_keys(&self, other: &Self) -> impl Iterator<Item = &'static Key> {
        let matters = |key: &&Key| key.matters(self) || key.matters(other);
        KEYS.iter().filter(matters).filter(|key| key.value(self) != key.value(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetKind;

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
    fn an_auxiliary_twin_differs_in_what_its_auxiliary_network_learns_alone() {
        let published = Config::published(Arch::ResMlp, DatasetKind::Cifar10);
        let bridge = Config { method: Method::StateBridge, penalty: 0.01, ..published.clone() };
        let shuffled = Config { auxiliary: Auxiliary::Shuffled, ..bridge.clone() };
        assert!(bridge.has_learned_credit() && !bridge.is_auxiliary_twin());
        assert!(shuffled.is_auxiliary_twin() && !shuffled.has_learned_credit());
        assert!(bridge.has_auxiliary_twin(&shuffled));
        assert!(!shuffled.has_auxiliary_twin(&bridge) && !bridge.has_auxiliary_twin(&bridge));
        // Where it was trained and what it is judged by make no other twin.
        let elsewhere =
            Config { backend: BackendName::Ndarray, threshold_growth: 9.0, ..shuffled.clone() };
        assert!(bridge.has_auxiliary_twin(&elsewhere));
        for other in [
            Config { penalty: 0.0, ..shuffled.clone() },
            Config { seed: 7, ..shuffled.clone() },
            Config { method: Method::CreditBridge, ..shuffled.clone() },
        ] {
            assert!(!bridge.has_auxiliary_twin(&other), "{}", other.label());
        }
        // A rule without one has no twin, whatever the key says, nor has a baseline.
        let dfa = Config { method: Method::Dfa, ..published };
        let frozen = Config { method: Method::Frozen, base: Base::StateBridge, ..dfa.clone() };
        assert!(!dfa.has_learned_credit() && !frozen.has_learned_credit());
        assert!(!Config { auxiliary: Auxiliary::Random, ..dfa }.is_auxiliary_twin());
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
