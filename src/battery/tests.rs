//! Faults planted in runs on disk: each is caught and named, and no healthy run of any rule is accused.

use super::*;
use crate::audit::{Auditor, Options};
use crate::config::{Arch, Base, Config, Method, OptimizerName};
use crate::data::{self, DatasetKind};
use crate::evidence::Standing;
use crate::learn::{draw, feedback_hash};
use crate::study::testing::provenance;
use crate::train::checkpoint::{HostTensor, pack};
use crate::train::run_dir::{Provenance, RUN_SCHEMA, RunDir, RunRecord, RunStatus};
use crate::train::train_quietly;
use crate::verdict::{Audit, Decision};
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder of small runs on one data set.
struct Runs {
    folder: TempDir,
    data: Dataset,
}

fn small(method: Method) -> Config {
    Config {
        method,
        width: 16,
        depth: 3,
        epochs: 2,
        train_samples: 512,
        test_samples: 400,
        batch_size: 64,
        probe_batches: 8,
        probe_batch_size: 32,
        control_samples: 128,
        perturbation_directions: 4,
        null_draws: 3,
        checkpoint_epochs: vec![0, 1],
        device: "cpu".into(),
        ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
    }
}

fn method_of(rule: Base) -> Method {
    *Method::ALL.iter().find(|method| method.rule() == Some(rule)).expect("every rule is a method")
}

impl Runs {
    fn new(config: &Config) -> Self {
        let data = data::load(config.dataset, None, &config.synthetic()).unwrap();
        Self { folder: TempDir::new().unwrap(), data }
    }

    /// A run of `config` and its frozen twin.
    fn with_twin(config: &Config) -> Self {
        let runs = Self::new(config);
        runs.train("run", config);
        let twin = Config { checkpoint_epochs: config.checkpoint_epochs.clone(), ..config.twin() };
        runs.train("twin", &Config { device: "cpu".into(), ..twin });
        runs
    }

    fn dir(&self, name: &str) -> RunDir {
        RunDir::at(self.folder.path().join(name))
    }

    /// Trains, without a record: who is looked for beside a run needs one.
    fn train(&self, name: &str, config: &Config) {
        train_quietly(config, &self.data, &self.dir(name)).unwrap();
    }

    /// Writes the record of a finished run.
    fn record(&self, name: &str) {
        let Checkpoint { config, data, learner, .. } = self.load(name);
        let hash = feedback_hash(&unpack(&learner).unwrap());
        let provenance = Provenance { data, feedback_hash: Some(hash), ..provenance(&config) };
        let record = RunRecord {
            schema: RUN_SCHEMA.into(),
            status: RunStatus::Finished,
            epoch: config.epochs,
            config,
            provenance,
            last: None,
            metrics_sha256: None,
            diverged: None,
            error: None,
        };
        self.dir(name).write_record(&record).unwrap();
    }

    fn checkpoint(&self, name: &str) -> PathBuf {
        self.dir(name).checkpoint()
    }

    fn load(&self, name: &str) -> Checkpoint {
        Checkpoint::load(&self.checkpoint(name)).unwrap()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Checkpoint)) {
        let mut checkpoint = self.load(name);
        change(&mut checkpoint);
        checkpoint.save(&self.checkpoint(name)).unwrap();
    }

    fn audit_with(&self, name: &str, controls: bool) -> Audit {
        let twin = self.checkpoint("twin");
        let frozen = (name != "twin" && twin.exists()).then_some(twin);
        let options = Options { controls, frozen, ..Options::default() };
        Auditor::new(options).audit(&self.checkpoint(name)).unwrap()
    }

    /// The contradiction of `check` holds `words`, is among the first reasons, and the verdict is not good.
    fn caught(&self, name: &str, controls: bool, check: &str, words: &str) {
        let audit = self.audit_with(name, controls);
        let found: Vec<&Checked> = audit.evidence.contradictions().collect();
        let named = found.iter().find(|c| c.check == check && c.finding.contains(words));
        let findings: Vec<&str> = found.iter().map(|c| c.finding.as_str()).collect();
        let named = named.unwrap_or_else(|| panic!("{check}, {words}: {findings:?}"));
        assert!(audit.reasons[..found.len()].contains(&named.finding), "{:?}", audit.reasons);
        assert_ne!(audit.verdict, Decision::Trustworthy);
    }
}

/// Changes the first value of a parameter by its last bit.
fn nudge(network: &mut BTreeMap<String, HostTensor>, name: &str) {
    let mut tensors = unpack(network).unwrap();
    let held = &tensors[name];
    let mut values: Vec<f32> = held.iter::<f32>().collect();
    values[0] = f32::from_bits(values[0].to_bits() + 1);
    tensors.insert(name.into(), TensorData::new(values, held.shape.clone()));
    *network = pack(&tensors);
}

fn innocent(audit: &Audit, who: &str) {
    let accused: Vec<&str> = audit.evidence.contradictions().map(|c| c.finding.as_str()).collect();
    assert!(accused.is_empty(), "{who}: {accused:?}");
}

fn holds(audit: &Audit, who: &str, checks: &[&str]) {
    for check in checks {
        let found =
            audit.evidence.of(check).unwrap_or_else(|| panic!("{who}: {check} was not made"));
        assert_eq!(found.standing, Standing::Holds, "{who}, {check}: {}", found.finding);
    }
}

/// What must hold of every run that this program trains, whatever its rule.
const ALWAYS: [&str; 9] = [
    zero_credit::CHECK,
    constant_predictor::CHECK,
    shuffled_labels::CHECK,
    evaluation_mode::CHECK,
    itself::CHECK,
    itself::TWIN,
    random_credit::CHECK,
    frozen_blocks::CHECK,
    own_record::CHECK,
];

#[test]
fn no_healthy_run_of_any_rule_is_accused() {
    for &rule in Base::ALL {
        let runs = Runs::with_twin(&small(method_of(rule)));
        let audit = runs.audit_with("run", true);
        innocent(&audit, rule.word());
        holds(&audit, rule.word(), &ALWAYS);
        let ceiling = audit.evidence.of(ceiling::CHECK).unwrap();
        assert_eq!(ceiling.standing, Standing::Holds, "{rule}: {}", ceiling.finding);
        let twin = runs.audit_with("twin", true);
        innocent(&twin, "twin");
        holds(&twin, "twin", &[frozen_blocks::CHECK, own_record::CHECK]);
    }
}

#[test]
fn no_healthy_transformer_is_accused() {
    for method in [Method::Bp, Method::Dfa, Method::Fa] {
        let config = Config {
            arch: Arch::VitMini,
            depth: 2,
            patch: 16,
            heads: 2,
            train_samples: 128,
            test_samples: 64,
            probe_batches: 2,
            control_samples: 32,
            epochs: 1,
            checkpoint_epochs: Vec::new(),
            ..small(method)
        };
        let audit = Runs::with_twin(&config).audit_with("run", true);
        innocent(&audit, method.word());
        holds(&audit, method.word(), &ALWAYS);
    }
}

#[test]
fn no_update_rule_moves_a_block_under_zero_credit() {
    for &optimizer in OptimizerName::ALL {
        let config =
            Config { optimizer, epochs: 1, checkpoint_epochs: Vec::new(), ..small(Method::Dfa) };
        let audit = Runs::with_twin(&config).audit_with("run", true);
        innocent(&audit, optimizer.word());
        holds(&audit, optimizer.word(), &ALWAYS);
    }
}

#[test]
fn a_run_whose_rms_has_no_epsilon_is_not_accused_of_zero_over_zero() {
    let config =
        Config { rms_epsilon: 0.0, epochs: 1, checkpoint_epochs: Vec::new(), ..small(Method::Dfa) };
    let audit = Runs::with_twin(&config).audit_with("run", true);
    innocent(&audit, "rms_epsilon 0");
    let found = audit.evidence.of(zero_credit::CHECK).unwrap();
    assert!(found.finding.contains("divides zero by zero"), "{}", found.finding);
}

#[test]
fn without_controls_only_what_is_contradicted_is_told() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let audit = runs.audit_with("run", false);
    for check in [frozen_blocks::CHECK, itself::TWIN, zero_credit::CHECK, own_record::CHECK] {
        assert_eq!(audit.evidence.of(check), None, "{check}");
    }
    runs.change("twin", |twin| nudge(&mut twin.network, "blocks.0.linear1.weight"));
    assert!(runs.audit_with("run", false).evidence.of(frozen_blocks::CHECK).is_some());
}

// The frozen twin.

#[test]
fn a_frozen_twin_of_which_one_bit_of_a_block_moved_is_named() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    runs.change("twin", |twin| nudge(&mut twin.network, "blocks.1.linear2.weight"));
    let words = "blocks of the frozen twin are not frozen: 1 of their parameters";
    runs.caught("run", false, frozen_blocks::CHECK, words);
    runs.caught("run", true, frozen_blocks::CHECK, "first blocks.1.linear2.weight");
    // And where it is audited itself.
    let audit = runs.audit_with("twin", false);
    assert_eq!(audit.verdict, Decision::Baseline);
    assert!(
        audit.reasons[0].starts_with("The blocks of the run are not frozen"),
        "{:?}",
        audit.reasons
    );
}

#[test]
fn a_frozen_twin_that_was_trained_is_told_from_one_of_another_seed() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let trained = runs.load("run");
    runs.change("twin", |twin| {
        twin.slots = trained.slots;
        let mut network = unpack(&twin.network).unwrap();
        let of_run = unpack(&trained.network).unwrap();
        network.extend(of_run.into_iter().filter(|(name, _)| name.starts_with("blocks.")));
        twin.network = pack(&network);
    });
    runs.caught(
        "run",
        false,
        frozen_blocks::CHECK,
        "the optimiser keeps a state for it, so it was trained",
    );

    let runs = Runs::new(&small(Method::Dfa));
    runs.train("run", &small(Method::Dfa));
    let twin = small(Method::Dfa).twin();
    runs.train("twin", &Config { seed: 7, device: "cpu".into(), ..twin });
    runs.change("twin", |twin| twin.config.seed = 42);
    runs.caught("run", false, frozen_blocks::CHECK, "it was trained, or drawn from another seed");
}

#[test]
fn an_optimisers_state_for_a_frozen_block_is_named() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let slots = runs.load("run").slots;
    runs.change("twin", |twin| twin.slots = slots);
    runs.caught("run", false, frozen_blocks::CHECK, "keeps a state for blocks.0.");
}

#[test]
fn a_frozen_twin_whose_readout_was_never_trained_is_named() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let initial = Checkpoint::load(&runs.dir("twin").epoch_checkpoint(0)).unwrap();
    runs.change("twin", |twin| twin.network = initial.network);
    runs.caught(
        "run",
        false,
        frozen_blocks::CHECK,
        "The readout of the frozen twin is what seed 42 draws",
    );
}

#[test]
fn a_frozen_twin_that_is_the_run_itself_is_named() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let network = runs.load("run").network;
    runs.change("twin", |twin| twin.network = network);
    runs.caught("run", false, itself::TWIN, "The frozen twin is the run itself");
}

#[test]
fn a_lower_block_that_was_trained_though_it_was_to_be_frozen_is_named() {
    let config = Config { frozen_blocks: 1, ..small(Method::Bp) };
    let runs = Runs::with_twin(&config);
    innocent(&runs.audit_with("run", true), "frozen_blocks 1");
    runs.change("run", |run| nudge(&mut run.network, "blocks.0.linear1.bias"));
    runs.caught("run", false, frozen_blocks::CHECK, "first blocks.0.linear1.bias");
}

// The feedback.

#[test]
fn feedback_drawn_anew_between_training_and_evaluation_is_named() {
    for method in [Method::Dfa, Method::Fa, Method::Drtp, Method::LayerFa, Method::Frsf] {
        let runs = Runs::with_twin(&small(method));
        runs.change("run", |run| run.learner = pack(&draw(&run.config, 10, 7)));
        runs.caught("run", false, own_feedback::CHECK, "is not what seed 42 draws");
    }
}

/// What learns is no longer what the seed draws: there its own record tells.
#[test]
fn learned_feedback_that_is_not_the_trainings_is_named_by_the_runs_record() {
    let config =
        Config { epochs: 8, learning_rate: 0.01, weight_decay: 0.3, ..small(Method::KolenPollack) };
    let runs = Runs::with_twin(&config);
    innocent(&runs.audit_with("run", true), "kolen-pollack");
    runs.change("run", |run| run.learner = pack(&draw(&run.config, 10, 7)));
    runs.caught("run", true, own_record::CHECK, "its feedback is another than in training");
}

// The record.

#[test]
fn a_test_accuracy_that_the_checkpoint_does_not_have_is_named() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let file = runs.dir("run").metrics_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let changed: String = text
        .lines()
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["test_accuracy"] = 0.93.into();
            format!("{line}\n")
        })
        .collect();
    std::fs::write(&file, changed).unwrap();
    runs.caught(
        "run",
        true,
        own_record::CHECK,
        "a test accuracy of 93.00%, where the checkpoint has",
    );
}

#[test]
fn another_epochs_parameters_in_the_newest_checkpoint_are_named() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    let first = Checkpoint::load(&runs.dir("run").epoch_checkpoint(1)).unwrap();
    runs.change("run", |run| run.network = first.network);
    runs.caught("run", true, own_record::CHECK, "the checkpoint is another run's or epoch's");
}

/// What cannot be read is said, and the verdict is not lost for it.
#[test]
fn metrics_that_are_damaged_are_not_checkable() {
    let runs = Runs::with_twin(&small(Method::Dfa));
    std::fs::write(runs.dir("run").metrics_file(), "{}\n").unwrap();
    let audit = runs.audit_with("run", true);
    let found = audit.evidence.of(own_record::CHECK).unwrap();
    assert_eq!(found.standing, Standing::NotCheckable);
    assert!(found.finding.contains("not a line of metrics"), "{}", found.finding);
}

// The labels, and the ceiling.

#[test]
fn a_run_trained_on_labels_that_were_shuffled_once_is_named() {
    let config = Config {
        train_samples: 128,
        epochs: 40,
        batch_size: 16,
        learning_rate: 0.003,
        schedule: crate::config::Schedule::Constant,
        checkpoint_epochs: Vec::new(),
        ..small(Method::Bp)
    };
    let mut runs = Runs::new(&config);
    runs.data.train.labels.shuffle(&mut crate::rng::stream(1, "test"));
    runs.train("run", &config);
    runs.caught("run", true, shuffled_labels::TRAINED, "it was trained on other labels");
    let honest = Runs::new(&config);
    honest.train("run", &config);
    let audit = honest.audit_with("run", true);
    innocent(&audit, "a small training set, fitted");
    holds(&audit, "a small training set, fitted", &[shuffled_labels::TRAINED]);
}

#[test]
fn a_run_of_backpropagation_that_loses_to_what_it_is_the_ceiling_of_is_named() {
    let config =
        Config { train_samples: 2048, epochs: 10, learning_rate: 0.003, ..small(Method::Usf) };
    let runs = Runs::with_twin(&config);
    runs.train("bp", &Config { method: Method::Bp, ..config.clone() });
    for name in ["run", "bp"] {
        runs.record(name);
    }
    let honest = runs.audit_with("run", true);
    innocent(&honest, "usf beside bp");
    let found = honest.evidence.of(ceiling::CHECK).unwrap();
    assert!(
        found.finding.contains("backpropagation's run beside it is not beaten"),
        "{}",
        found.finding
    );
    let initial = Checkpoint::load(&runs.dir("bp").epoch_checkpoint(0)).unwrap();
    runs.change("bp", |bp| bp.network = initial.network);
    runs.caught("run", true, ceiling::CHECK, "Backpropagation, the ceiling, loses");
    // One that cannot be read is not taken for one that is not there.
    std::fs::write(runs.checkpoint("bp"), "no checkpoint").unwrap();
    let found = runs.audit_with("run", true);
    let found = found.evidence.of(ceiling::CHECK).unwrap();
    assert_eq!(found.standing, Standing::NotCheckable);
    assert!(found.finding.contains("not a checkpoint"), "{}", found.finding);
}
