//! That the table says of each key what the program does with it.

use super::*;
use crate::config::{Base, Method};
use crate::data;
use crate::train::checkpoint::{Checkpoint, unpack};
use crate::train::run_dir::RunDir;
use crate::train::train_quietly;

/// Every network under the rules and beside them the methods that build on one.
fn runs() -> Vec<Config> {
    let methods = Method::ALL.iter().flat_map(|&method| {
        let bases = if method.rule().is_some() { &[Base::Dfa][..] } else { Base::ALL };
        bases.iter().map(move |&base| (method, base))
    });
    let methods: Vec<_> = methods.collect();
    let of_arch =
        |&arch: &Arch| methods.iter().map(move |&(method, base)| small(arch, method, base));
    let all: Vec<Config> =
        Arch::ALL.iter().filter(|arch| !is_another_plan(**arch)).flat_map(of_arch).collect();
    all.into_iter().filter(|config| config.check().is_ok()).collect()
}

/// Whether a network is in code the same as another, and only larger.
fn is_another_plan(arch: Arch) -> bool {
    use Arch::{AlexNet, ResNet18, ResNet56, SmallResNet, Vgg16};
    matches!(arch, AlexNet | Vgg16 | SmallResNet | ResNet18 | ResNet56)
}

fn small(arch: Arch, method: Method, base: Base) -> Config {
    Config {
        method,
        base,
        width: if arch.is_convolutional() { 1 } else { 8 },
        depth: 2,
        patch: 16,
        epochs: 2,
        batch_size: 8,
        train_samples: 16,
        test_samples: 8,
        probe_batches: 1,
        probe_batch_size: 8,
        auxiliary_width: 4,
        device: "cpu".into(),
        ..Config::published(arch, DatasetKind::Synthetic)
    }
}

/// `config` with another value of `key`, one that the run may have. Of the networks a rule may be bound to
/// one, and a network of feature maps has no skip.
fn changed(config: &Config, key: &Key) -> Option<Config> {
    let others: Vec<serde_json::Value> = match key.value(config) {
        Value::Flag(flag) => vec![(!flag).into()],
        Value::Whole(n) => vec![(n + 1).into(), (2 * n).into()],
        Value::Real(0.5) => vec![0.25.into()],
        Value::Real(x) => vec![(x / 2.0 + 0.25).into()],
        Value::Word(word) => match key.range {
            Range::Words(words) => {
                words().into_iter().filter(|other| *other != word).map(Into::into).collect()
            }
            other => panic!("{}: a word of {other:?}", key.name),
        },
        // It takes a file: tests/cli/frozen_network.rs.
        Value::Nothing if key.name == "frozen_network_sha256" => return None,
        // Of two epochs the first has one rate whatever follows: tests/cli/extension.rs.
        Value::Wholes(_) => return None,
        other => panic!("{}: no other value than {other}", key.name),
    };
    let with = |value: serde_json::Value| {
        let mut table = serde_json::to_value(config).unwrap();
        table[key.name] = value;
        serde_json::from_value::<Config>(table).unwrap()
    };
    let mut fitting = others.into_iter().map(with).filter(|config| config.check().is_ok());
    let found = fitting.next();
    let bound = ["arch", "grape_probe", "residual_add"].contains(&key.name);
    assert!(found.is_some() || bound, "{}: no other value fits", key.name);
    found
}

/// All that a run leaves behind but the times: the bits of its tensors and its last line of metrics.
fn left_by(config: &Config) -> String {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::at(folder.path().join("run"));
    let data = data::load(config.dataset, None, &config.synthetic()).unwrap();
    train_quietly(config, &data, &dir).unwrap();
    let checkpoint = Checkpoint::load(&dir.checkpoint()).unwrap();
    let tensors = [&checkpoint.network, &checkpoint.learner].map(|t| {
        let bits = |(name, data): (String, burn::tensor::TensorData)| {
            format!("{name} {:?} {:?}\n", data.shape, data.as_bytes())
        };
        unpack(t).unwrap().into_iter().map(bits).collect::<String>()
    });
    let mut last = dir.read_metrics().unwrap().pop().unwrap();
    (last.seconds.0, last.samples_per_second.0) = (0.0, 0.0);
    format!("{}{}{last:?}", tensors[0], tensors[1])
}

#[test]
fn what_the_table_says_does_not_matter_to_a_run_changes_no_bit_of_it() {
    let mut unread = std::collections::BTreeSet::new();
    for config in runs() {
        let idle = KEYS.iter().filter(|key| key.role.names_the_run() && !key.matters(&config));
        let mut other = config.clone();
        for key in idle {
            (key.copy)(&mut other, &changed(&config, key).expect("an idle key is free"));
            unread.insert(key.name);
        }
        assert_eq!(other.check().map_err(|e| e.to_string()), Ok(()));
        assert_eq!(config.hash(), other.hash());
        assert!(left_by(&config) == left_by(&other), "{} {}", config.arch, config.label());
    }
    // Of both networks and of backpropagation something.
    for key in ["base", "depth", "patch", "credit_tokens", "expansion", "rms_epsilon"] {
        assert!(unread.contains(key), "{key}");
    }
}

#[test]
fn what_the_table_says_matters_changes_what_a_run_leaves_and_its_name() {
    for (arch, method) in [
        (Arch::ResMlp, Method::Dfa),
        (Arch::VitMini, Method::Fa),
        (Arch::ResMlp, Method::StateBridge),
        (Arch::ResMlp, Method::CreditBridge),
    ] {
        let config = small(arch, method, Base::Dfa);
        let left = left_by(&config);
        let keys = KEYS.iter().filter(|key| key.role.is_science() && key.matters(&config));
        // There is one dataset that needs no files.
        for key in keys.filter(|key| key.name != "dataset") {
            let Some(other) = changed(&config, key) else { continue };
            assert!(left != left_by(&other), "{} has no effect", key.name);
            assert_ne!(config.hash(), other.hash(), "{}", key.name);
        }
    }
}

#[test]
fn runs_that_train_different_networks_have_different_labels() {
    for config in runs() {
        let science = KEYS.iter().filter(|key| key.role.is_science() && key.matters(&config));
        for key in science {
            let is_said = match key.label {
                Label::Words(_) | Label::Key => true,
                Label::Elsewhere => false,
                Label::Unsaid => panic!("{} sets networks apart and no label says it", key.name),
            };
            let Some(other) = changed(&config, key) else { continue };
            // A baseline's blocks do not train: no penalty is due of them.
            if is_said && !(key.name == "penalty" && config.is_baseline()) {
                assert_ne!(config.label(), other.label(), "{}", key.name);
            }
        }
    }
}

#[test]
fn every_default_is_in_its_range_and_of_its_type() {
    for &arch in Arch::ALL {
        for dataset in DatasetKind::ALL {
            let config = Config::published(arch, dataset);
            let checked = config.check().map_err(|e| e.to_string());
            // Patches and feature maps are of images.
            let of_images = arch == Arch::VitMini || arch.is_convolutional();
            if of_images && !dataset.has_images() {
                let refused = format!("arch: {arch} is not valid");
                assert!(checked.is_err_and(|e| e.starts_with(&refused)), "{dataset}");
            } else {
                assert_eq!(checked, Ok(()), "{arch} {dataset}");
            }
        }
    }
}

#[test]
fn an_artefact_that_lacks_a_later_key_has_what_runs_had_then_and_any_other_is_refused() {
    let config = Config::published(Arch::VitMini, DatasetKind::Cifar10);
    let whole = serde_json::to_value(&config).unwrap();
    for key in KEYS {
        let mut table = whole.clone();
        table.as_object_mut().unwrap().remove(key.name);
        let read = serde_json::from_value::<Config>(table);
        match key.before_it_was_there() {
            Some(value) => assert_eq!(key.value(&read.unwrap()), value, "{}", key.name),
            None => {
                let error = read.unwrap_err().to_string();
                assert_eq!(error, format!("missing field `{}`", key.name));
            }
        }
    }
    let mut table = whole;
    table["widht"] = 3.into();
    let error = serde_json::from_value::<Config>(table).unwrap_err().to_string();
    assert!(error.starts_with("unknown field `widht`, expected one of"), "{error}");
}

#[test]
fn names_are_unique_and_nothing_looks_like_two_lines_of_an_identity() {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    assert_eq!(Value::Text("a\nb=c".into()).canonical(), "\"a\\nb=c\"");
}
