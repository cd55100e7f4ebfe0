//! Whether a frozen run is a run's twin: the same seed, initialisation, data order and length, so that
//! the two differ in whether the blocks were trained and in nothing else.

use crate::config::Config;
use crate::train::checkpoint::Checkpoint;

/// What of `frozen` is not as a twin of `run` has it, such as `seed 7 instead of 42`.
pub fn differences(run: &Checkpoint, frozen: &Checkpoint) -> Vec<String> {
    let mut found = of_keys(&run.config, &frozen.config);
    let (ours, theirs) = (run.progress.epoch, frozen.progress.epoch);
    // An import that does not know its epoch is at none.
    let known =
        |checkpoint: &Checkpoint| checkpoint.imported.is_none() || checkpoint.progress.epoch > 0;
    if ours != theirs && known(run) && known(frozen) {
        found.push(differs("epoch", &theirs, &ours));
    }
    found
}

/// `key theirs instead of ours`
pub fn differs(key: &str, theirs: &dyn std::fmt::Display, ours: &dyn std::fmt::Display) -> String {
    format!("{key} {theirs} instead of {ours}")
}

/// The keys that a twin shares and this one does not.
fn of_keys(run: &Config, frozen: &Config) -> Vec<String> {
    let (run, frozen) = (run.twin(), frozen.twin());
    let differing = run.differing_keys(&frozen).filter(|key| key.role.is_science());
    differing.map(|key| differs(key.name, &key.value(&frozen), &key.value(&run))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Arch, Base, Method};
    use crate::data::DatasetKind;

    #[test]
    fn what_keeps_a_frozen_run_from_being_a_twin_is_named_and_nothing_else() {
        let run = Config {
            method: Method::Dfa,
            penalty: 0.01,
            epochs: 7,
            ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
        };
        assert_eq!(of_keys(&run, &run.twin()), [""; 0]);
        // Neither what the baseline may choose nor what only looks at the network.
        let own = Config { base: Base::Bp, probe_batches: 3, threshold_growth: 9.0, ..run.twin() };
        assert_eq!(of_keys(&run, &own), [""; 0]);
        let other = Config { seed: 7, epochs: 9, probe_batches: 3, ..run.twin() };
        assert_eq!(of_keys(&run, &other), ["seed 7 instead of 42", "epochs 9 instead of 7"]);
        let slower = Config { learning_rate: 0.5, ..run.twin() };
        let found = of_keys(&run, &slower);
        assert!(found.len() == 1 && found[0].starts_with("learning_rate "), "{found:?}");
    }
}
