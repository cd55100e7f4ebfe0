//! How long training takes: by the epochs that were timed, and before there are any by the size of
//! the network.

use super::plan::PlannedRun;
use crate::config::{Auxiliary, BackendName, Base, Config, EpPhases, Method};
use crate::data::{DatasetKind, TRAIN_IMAGES};
use crate::learn::{Family, family, layout};
use crate::model::{Outline, Part, Size, outline};
use crate::stats::median;
use crate::train::run_dir::EpochMetrics;
use anyhow::Result;
use std::collections::HashMap;

/// A duration in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub seconds: f64,
    /// Reckoned from the size of the network, not from epochs like these.
    pub is_rough: bool,
}

/// What is known of the time that epochs take.
#[derive(Default)]
pub struct Estimator {
    /// The newest training times of an epoch by [`kind`].
    timed: HashMap<String, Vec<f64>>,
    /// Multiply-adds a second of each network as timed, the newest last.
    rates: HashMap<&'static str, Vec<f64>>,
}

/// Epochs that an estimate looks back on.
const NEWEST: usize = 31;

impl Estimator {
    /// From what `runs` have recorded.
    ///
    /// # Errors
    /// Names the `metrics.jsonl` that cannot be read.
    pub fn of(runs: &[PlannedRun]) -> Result<Self> {
        let mut estimator = Self::default();
        for run in runs {
            estimator.learn(run.config, &run.dir.read_metrics()?);
        }
        Ok(estimator)
    }

    /// Takes the times of more epochs of `config` in.
    pub fn learn(&mut self, config: &Config, epochs: &[EpochMetrics]) {
        let newest = &epochs[epochs.len().saturating_sub(NEWEST)..];
        for seconds in newest.iter().map(|m| m.seconds.0).filter(|s| *s > 0.0) {
            push(self.timed.entry(kind(config)).or_default(), seconds);
            push(self.rates.entry(config.arch.word()).or_default(), work(config) / seconds);
        }
    }

    /// What an epoch of `config` takes, evaluation included; `None` on a GPU that was not timed.
    pub fn epoch(&self, config: &Config) -> Option<Estimate> {
        let evaluation = 1.0 + evaluation(config);
        if let Some(seconds) = self.timed.get(&kind(config)) {
            let seconds = median(seconds) * evaluation;
            return Some(Estimate { seconds, is_rough: false });
        }
        let rate = match self.rates.get(config.arch.word()) {
            Some(rates) => median(rates),
            None if config.backend == BackendName::Cuda => return None,
            None => outline(config, config.dataset.classes()).usual_rate,
        };
        Some(Estimate { seconds: work(config) / rate * evaluation, is_rough: true })
    }

    /// What `epochs` epochs of `config` take.
    pub fn epochs(&self, config: &Config, epochs: usize) -> Option<Estimate> {
        let one = self.epoch(config)?;
        Some(Estimate { seconds: one.seconds * epochs as f64, ..one })
    }
}

fn push(values: &mut Vec<f64>, value: f64) {
    if values.len() == NEWEST {
        values.remove(0);
    }
    values.push(value);
}

/// Runs that share it take the same time.
fn kind(config: &Config) -> String {
    let keys = config.keys_that_matter().filter(|key| key.takes_time);
    keys.map(|key| format!("{}={}\n", key.name, key.value(config))).collect()
}

/// Training and test samples.
fn samples(config: &Config) -> (usize, usize) {
    match config.dataset {
        DatasetKind::Cifar10 | DatasetKind::Cifar100 => match config.train_subset {
            0 => (TRAIN_IMAGES, 10_000),
            n => (n, 10_000),
        },
        DatasetKind::Synthetic | DatasetKind::ToyLq | DatasetKind::Student => {
            (config.train_samples, config.test_samples)
        }
    }
}

/// Multiply-adds of a training epoch: a trained layer costs one forward and two backward, a frozen
/// one and the embedding (whose input needs no gradient) one less each. The head's are few.
fn work(config: &Config) -> f64 {
    let outline = outline(config, config.dataset.classes());
    let fixed = match config.method {
        Method::Frozen => config.blocks(),
        _ => config.frozen_blocks.min(config.blocks()),
    };
    let trained = config.blocks() - fixed;
    let passes = |(l, block): (usize, &Size)| {
        let passes = if l < fixed { 1.0 } else { 3.0 };
        passes * block.multiply_adds as f64
    };
    let blocks: f64 = outline.blocks.iter().enumerate().map(passes).sum();
    let once = 2.0 * outline.embed.multiply_adds as f64 + blocks + relaxation(config, &outline);
    // Forming and scaling the credit; small beside a transformer's blocks.
    let is_local = family(config.rule()) == Family::Local && trained > 0 && !outline.has_tokens();
    let once = once * if is_local { 1.25 } else { 1.0 };
    (once + auxiliary(config)) * samples(config).0 as f64
}

/// Multiply-adds of an auxiliary network on one image: a credit is a pass forward and one back at each
/// layer. A predictor learns from one pass forward and two back, a value network from that at two layers,
/// from its own gradient at one of them, and from its average on every noisy copy.
fn auxiliary(config: &Config) -> f64 {
    let own = layout(config, config.dataset.classes());
    let maps = own.iter().filter(|entry| entry.part == Part::Auxiliary);
    let once: usize = maps.map(|entry| entry.shape[0] * entry.shape[1]).sum();
    let learning = match (config.auxiliary, config.rule()) {
        (Auxiliary::Untrained, _) => 0,
        (_, Base::CreditBridge) => 11 + config.bridge_copies,
        _ => 3,
    };
    (once * (2 * config.blocks() + learning)) as f64
}

/// Multiply-adds by which the states of one sample relax: a step takes all blocks but the first forward
/// and back.
fn relaxation(config: &Config, outline: &Outline) -> f64 {
    if family(config.rule()) != Family::TwoPhase {
        return 0.0;
    }
    let phases = match config.ep_phases {
        EpPhases::OneSided => 1.0,
        EpPhases::Symmetric => 2.0,
    };
    let above = outline.blocks.iter().skip(1).map(|block| block.multiply_adds as f64).sum::<f64>();
    phases * config.ep_steps as f64 * 2.0 * above
}

/// The time after an epoch over the epoch's: the test set forward, the probe's batches, whose
/// credit is compared with the gradient at each layer.
fn evaluation(config: &Config) -> f64 {
    let (train, test) = samples(config);
    let probe = test.min(config.probe_batches * config.probe_batch_size);
    (test as f64 / 3.0 + 1.5 * probe as f64) / train as f64
}

/// Seconds until all is done: `waiting` runs in their order go to whichever of `workers` is free
/// first, the workers' present runs taking `busy` seconds more.
pub fn wall_time(busy: &[f64], waiting: &[f64], workers: usize) -> f64 {
    let mut free_at = busy.to_vec();
    free_at.resize(workers.max(busy.len()).max(1), 0.0);
    for run in waiting {
        if let Some(first) = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)) {
            *first += run;
        }
    }
    free_at.into_iter().fold(0.0, f64::max)
}

/// `45 s`, `12 min`, `2 h 10 min`.
pub fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    match minutes {
        _ if seconds < 90.0 => format!("{:.0} s", seconds.ceil()),
        m if m < 90.0 => format!("{m:.0} min"),
        m if m < 48.0 * 60.0 => format!("{:.0} h {:.0} min", (m / 60.0).floor(), m % 60.0),
        m => format!("{:.1} days", m / 60.0 / 24.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arch;

    fn published(arch: Arch, method: Method) -> Config {
        Config { method, ..Config::published(arch, DatasetKind::Cifar10) }
    }

    #[test]
    fn the_published_networks_take_about_what_they_were_timed_at() {
        let minutes = |arch, method| {
            Estimator::default().epoch(&published(arch, method)).unwrap().seconds / 60.0
        };
        let near = |value: f64, want: f64| (value / want - 1.0).abs() < 0.25;
        assert!(near(minutes(Arch::ResMlp, Method::Bp), 8.0 / 60.0));
        assert!(near(minutes(Arch::ResMlp, Method::Dfa), 10.0 / 60.0));
        assert!(near(minutes(Arch::VitMini, Method::Dfa), 12.0));
        assert!(near(minutes(Arch::VitMini, Method::Bp), 12.0));
    }

    #[test]
    fn a_learned_credit_takes_its_time() {
        let seconds = |config: &Config| Estimator::default().epoch(config).unwrap().seconds;
        let [dfa, state, credit] = [Method::Dfa, Method::StateBridge, Method::CreditBridge]
            .map(|method| published(Arch::ResMlp, method));
        let over_dfa = |config: &Config| seconds(config) / seconds(&dfa);
        assert!((1.5..2.1).contains(&over_dfa(&state)), "{}", over_dfa(&state));
        assert!((2.0..4.0).contains(&over_dfa(&credit)), "{}", over_dfa(&credit));
        let untrained = Config { auxiliary: Auxiliary::Untrained, ..credit.clone() };
        assert!(seconds(&untrained) < seconds(&credit));
    }

    #[test]
    fn a_timed_epoch_beats_a_reckoned_one_and_teaches_the_rate() {
        let timed = published(Arch::ResMlp, Method::Bp);
        let other = published(Arch::ResMlp, Method::Dfa);
        let mut estimator = Estimator::default();
        let guess = estimator.epoch(&other).unwrap();
        // Ten times as slow as usual.
        let seconds = 10.0 * work(&timed) / outline(&timed, 10).usual_rate;
        for _ in 0..3 {
            push(estimator.timed.entry(kind(&timed)).or_default(), seconds);
            push(estimator.rates.entry("resmlp").or_default(), work(&timed) / seconds);
        }
        let known = estimator.epoch(&timed).unwrap();
        assert!(!known.is_rough && known.seconds > seconds && known.seconds < 1.3 * seconds);
        let scaled = estimator.epoch(&other).unwrap();
        assert!(scaled.is_rough);
        assert!((scaled.seconds / guess.seconds - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_gpu_that_was_not_timed_is_not_guessed_at() {
        let config = Config {
            backend: BackendName::Cuda,
            device: "cuda".into(),
            ..published(Arch::ResMlp, Method::Bp)
        };
        assert_eq!(Estimator::default().epoch(&config), None);
    }

    #[test]
    fn a_study_ends_with_its_last_worker() {
        assert_eq!(wall_time(&[], &[3.0, 1.0, 1.0, 1.0], 2), 3.0);
        assert_eq!(wall_time(&[2.0, 5.0], &[1.0], 2), 5.0);
        assert_eq!(wall_time(&[2.0], &[4.0], 1), 6.0);
        assert_eq!(wall_time(&[], &[], 4), 0.0);
    }

    #[test]
    fn a_duration_reads_as_a_person_says_it() {
        let cases = [(0.2, "1 s"), (45.0, "45 s"), (100.0, "2 min"), (7800.0, "2 h 10 min")];
        for (seconds, want) in cases {
            assert_eq!(duration(seconds), want);
        }
        assert_eq!(duration(3.0 * 86_400.0), "3.0 days");
        assert_eq!(duration(0.0), "0 s");
    }
}
