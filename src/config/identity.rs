//! What a run is named by. The identity of a run is a text of ours, in which stand the keys that
//! shape its numbers and matter to it, sorted by name:
//!
//! ```text
//! fa-audit/run-identity/1
//! arch=resmlp
//! ...
//! weight_decay=1e-2
//! width=256
//! ```
//!
//! A key of the first version stands there whenever it matters, even at its default, so that another
//! default renames no run. A key that came later stands there where its value is not the one that runs
//! from before it had. So neither a new key, nor another spelling of a value, nor a dependency's
//! release renames a run.

use super::Config;
use super::keys::{KEYS, Key, Value};
use crate::config::MatmulPrecision;
use sha2::{Digest, Sha256};

const HEAD: &str = "fa-audit/run-identity/1";

impl Config {
    /// SHA-256 (hex) of the run's identity: two runs that share it have the same numbers.
    pub fn hash(&self) -> String {
        digest(&self.identity(|key| key.role.names_the_run()))
    }

    /// Whether a build of this program, this or an earlier one, names the run by `hash`.
    pub fn is_named_by(&self, hash: &str) -> bool {
        self.hash() == hash || self.legacy_hash().is_some_and(|legacy| legacy == hash)
    }

    /// What a frozen twin must share with this run for the two accuracies to be comparable.
    pub fn twin_key(&self) -> String {
        digest(&self.twin().identity(|key| key.role.is_science()))
    }

    /// The same of two runs whose numbers differ by rounding alone.
    pub(super) fn science(&self) -> String {
        digest(&self.identity(|key| key.role.is_science()))
    }

    /// The name of the run's directory, if nobody chose one:
    /// `<method>-<arch>-<dataset>-s<seed>-<hash>`.
    pub fn name(&self) -> String {
        self.name_with(&self.hash())
    }

    /// The name that builds before the table of keys gave the run; `None` where they could not have
    /// trained it.
    pub fn legacy_name(&self) -> Option<String> {
        self.legacy_hash().map(|hash| self.name_with(&hash))
    }

    fn name_with(&self, hash: &str) -> String {
        let Self { method, arch, dataset, seed, .. } = self;
        format!("{method}-{arch}-{dataset}-s{seed}-{}", &hash[..8])
    }

    fn identity(&self, is_part: impl Fn(&Key) -> bool) -> String {
        let says = |key: &&Key| {
            let value = key.value(self);
            is_part(key) && key.matters(self) && key.before_it_was_there() != Some(value)
        };
        let mut lines: Vec<String> = KEYS
            .iter()
            .filter(says)
            .map(|key| format!("{}={}\n", key.name, key.value(self).canonical()))
            .collect();
        lines.sort_unstable();
        format!("{HEAD}\n{}", lines.concat())
    }

    /// The hash that builds before the table of keys gave the run: over the text that TOML had for all
    /// keys of science, and then over the place. `None` where a later key is not as it was then.
    fn legacy_hash(&self) -> Option<String> {
        let (first, later): (Vec<&Key>, Vec<&Key>) =
            KEYS.iter().partition(|key| key.before_it_was_there().is_none());
        // The one later key that those builds had, and hashed in a way of its own.
        let is_new = |key: &Key| key.role.names_the_run() && key.name != "matmul_precision";
        let is_as_before = |key: &Key| key.before_it_was_there() == Some(key.value(self));
        if later.iter().any(|key| is_new(key) && key.matters(self) && !is_as_before(key)) {
            return None;
        }
        let science = first.iter().filter(|key| key.role.is_science());
        let mut lines: Vec<String> =
            science.map(|key| format!("{} = {}\n", key.name, in_toml(&key.value(self)))).collect();
        lines.sort_unstable();
        let mut hasher = Sha256::new_with_prefix(digest(&lines.concat()));
        for part in [self.device.as_str(), self.backend.word()] {
            hasher.update(part);
            hasher.update([0]);
        }
        hasher.update((self.threads as u64).to_le_bytes());
        if self.matmul_precision != MatmulPrecision::F32 {
            hasher.update(self.matmul_precision.word());
        }
        Some(crate::hex(&hasher.finalize()))
    }
}

/// As `toml` 1.2 wrote it.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Real(x) if x % 1.0 == 0.0 => format!("{x}.0"),
        Value::Word(word) => format!("{word:?}"),
        other => other.to_string(),
    }
}

fn digest(text: &str) -> String {
    crate::hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BackendName, Base, Layer, Normalise, resolve};
    use crate::study::Study;
    use std::collections::BTreeMap;

    /// The runs of the committed studies, `study name hash legacy-hash` a line. The legacy hashes
    /// are those that the last build before the table of keys wrote into `study.json`.
    const NAMED: &str = include_str!("../../tests/golden/identities.txt");

    /// As on a machine without a GPU, whatever was built.
    fn on_flex(config: &Config) -> Config {
        Config { device: "cpu".into(), backend: BackendName::Flex, ..config.clone() }
    }

    fn of_study(name: &str) -> Vec<Config> {
        let folder = if name == "synthetic" { "regression" } else { "studies" };
        let path = format!("{}/configs/{folder}/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let study = Study::read(path.as_ref(), &Layer::new("over")).unwrap();
        study.runs.iter().map(on_flex).collect()
    }

    /// If this fails, every run of every user is about to be trained again under another name.
    #[test]
    fn the_runs_of_the_committed_studies_keep_the_names_that_they_have_and_had() {
        let mut named: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for line in NAMED.lines() {
            let (study, run) = line.split_once(' ').unwrap();
            named.entry(study).or_default().push(run.into());
        }
        // Later rules have no names of then.
        let is_of_then = |run: &&Config| matches!(run.rule(), Base::Bp | Base::Fa | Base::Dfa);
        let found = named.keys().map(|study| {
            let line = |run: &Config| {
                format!("{} {} {}", run.name(), run.hash(), run.legacy_hash().unwrap())
            };
            (*study, of_study(study).iter().filter(is_of_then).map(line).collect())
        });
        assert_eq!(found.collect::<BTreeMap<&str, Vec<String>>>(), named);
        assert_eq!(named.len(), 11);
    }

    fn of(keys: &str) -> Config {
        let layer = |text: &str| Layer { source: "test".into(), keys: text.parse().unwrap() };
        let small = "width = 2\ndepth = 1\nepochs = 1\ntrain_samples = 8\ntest_samples = 8\n\
                     device = 'cpu'\nbackend = 'flex'";
        resolve(&[layer(small), layer(keys)]).unwrap()
    }

    /// Hashes that the last build before the table of keys wrote into `run.json`, of values that TOML
    /// writes in another way than most.
    #[test]
    fn the_legacy_hash_is_that_of_earlier_builds_whatever_the_values() {
        for (keys, hash) in [
            ("method = 'dfa'", "0bcf42bf3e47f94e89ffb1e4d58aec3d60441f0eefdbd545549dad027cf11e8f"),
            (
                "method = 'dfa'\nthreads = 2",
                "f6cca67c742383bcef3279f5afb2b6c0db2cdea755d6ac8c8b6ff33190bb1cba",
            ),
            (
                "method = 'fa'\nbackend = 'ndarray'\nseed = 9223372036854775807",
                "7afb803157ca40d4340a7cdcfc50f04d184e8d32aa58fedff85d35b4de74f6d9",
            ),
            (
                "method = 'bp'\nlearning_rate = 1e-5\nfeedback_scale = 2",
                "623e2807677b61f507f819faa3b1e9600e1e1b0c220ce33c729eb1e83cb11450",
            ),
            (
                "method = 'frozen'\nbase = 'bp'\nschedule = 'constant'\nweight_decay = 1e20\n\
                 epsilon = 1e-300",
                "46d723a842f96895a329096e6a85ed0cf9b5c734dc4f19b395684989bd24f1f7",
            ),
            (
                "method = 'dfa'\narch = 'vit-mini'\nheads = 1\npatch = 16\n\
                 credit_tokens = 'cls'\nrms_epsilon = 0",
                "a296b1d558827385743a01d7630b160c110504e798c6471d131b3559c45bb5fb",
            ),
            (
                "method = 'shallow'\nterminal_norm = false\ncheckpoint_epochs = [1]\nnull_draws = 3",
                "f4194aae7c2458ec0345293fca8b3d95f0215a6ed200559878228c8cab030563",
            ),
            (
                "method = 'random-target'\nfeedback_sharing = 'shared'\nembed_signal = 'none'\n\
                 normalise = 'none'\nw2_std = 0.123456789012345678",
                "d0d44305466f20f7b6373f8a84bfa80cb0eb5860183bff005926a8b3407e0cdf",
            ),
            (
                "method = 'dfa'\nbase = 'fa'\nheads = 8\nw2_std = -0.0",
                "0b2a0065933d75b7a4d719bd1a18a8122fe7dc88f4a795461abd82e3c398b199",
            ),
        ] {
            assert_eq!(of(keys).legacy_hash().as_deref(), Some(hash), "{keys}");
        }
    }

    #[test]
    fn the_identity_is_the_keys_that_matter_in_a_form_of_our_own() {
        let identity = of("method = 'dfa'").identity(|key| key.role.names_the_run());
        let wanted = "\
            fa-audit/run-identity/1\narch=resmlp\naugment=false\nbackend=flex\nbatch_size=128\n\
            beta_1=9e-1\nbeta_2=9.99e-1\ndata_seed=0\ndataset=synthetic\ndepth=1\n\
            embed_signal=credit\nepochs=1\nepsilon=1e-8\nexpansion=1\n\
            feedback_distribution=normal\nfeedback_scale=1e0\nfeedback_sharing=layer\n\
            frozen_blocks=0\nlearning_rate=1e-3\nmethod=dfa\nnormalise=rms\npenalty=0e0\n\
            residual_add=true\nrms_epsilon=1e-6\nschedule=cosine\nseed=42\nterminal_norm=true\n\
            test_samples=8\ntrain_samples=8\nw2_std=1e-2\nweight_decay=1e-2\nwidth=2\n";
        assert_eq!(identity, wanted);
    }

    #[test]
    fn what_does_not_matter_to_a_run_does_not_name_it() {
        let dfa = of("method = 'dfa'");
        for other in [
            "base = 'fa'",
            "heads = 8\npatch = 16\nmlp_ratio = 4",
            "credit_tokens = 'cls'",
            "penalty = -0.0",
            "threads = 3",
            "threshold_growth = 20\nnull_draws = 2",
            "data_dir = '/data'",
            "normalise = 'rms'",
        ] {
            assert_eq!(of(&format!("method = 'dfa'\n{other}")).hash(), dfa.hash(), "{other}");
        }
        let none = Config { normalise: Normalise::None, ..dfa.clone() };
        assert_ne!(none.hash(), dfa.hash());
        assert_eq!(Config { rms_epsilon: 0.5, ..none.clone() }.hash(), none.hash());
        assert_ne!(of("method = 'dfa'\nrms_epsilon = 0.5").hash(), dfa.hash());
        let gpu = |device: &str| Config {
            device: device.into(),
            backend: BackendName::Cuda,
            ..dfa.clone()
        };
        assert_eq!(gpu("cuda").hash(), gpu("cuda:1").hash());
        assert_ne!(gpu("cuda").hash(), dfa.hash());
    }

    #[test]
    fn a_key_that_came_later_names_no_run_that_is_as_before() {
        let f32 = of("method = 'dfa'");
        let tf32 = Config { matmul_precision: MatmulPrecision::Tf32, ..f32.clone() };
        let lines = |config: &Config| config.identity(|key| key.role.names_the_run());
        assert!(!lines(&f32).contains("matmul_precision"));
        let new = lines(&tf32);
        let without: Vec<&str> = new.lines().filter(|line| !line.contains("tf32")).collect();
        assert!(new.contains("\nmatmul_precision=tf32\n"));
        assert_eq!(without, lines(&f32).lines().collect::<Vec<_>>());
        assert_ne!(f32.legacy_hash(), tf32.legacy_hash());
    }
}
