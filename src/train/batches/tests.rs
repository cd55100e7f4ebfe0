use super::*;
use crate::backend::{self, Differentiable, Task};
use crate::config::Arch;
use crate::data::{DatasetKind, load};
use crate::train::checkpoint::Checkpoint;
use crate::train::run_dir::RunDir;
use crate::train::{Reporter, Session};
use burn::tensor::TensorData;
use std::collections::HashSet;

/// Batches of 300 images, the last of 200; as CIFAR in that images are augmented and normalised by
/// constants that differ between channels.
fn config(train: usize, method: Method) -> Config {
    Config {
        method,
        augment: true,
        batch_size: 300,
        train_samples: train,
        test_samples: 70,
        width: 8,
        depth: 1,
        epochs: 2,
        ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
    }
}

fn data(config: &Config) -> Dataset {
    let mut data = load(DatasetKind::Synthetic, None, &config.synthetic()).unwrap();
    (data.mean, data.std) = (DatasetKind::Cifar10.mean(), DatasetKind::Cifar10.std());
    data
}

/// Does `task` on every CPU backend of this build.
fn on_each(config: &Config, task: impl Task<Output = ()> + Copy) {
    for name in backend::built().into_iter().filter(|&name| name != BackendName::Cuda) {
        backend::run(&Config { backend: name, ..config.clone() }, task).unwrap();
    }
}

fn host<B: Backend>((images, labels): OnDevice<B>) -> (TensorData, Vec<i64>) {
    (images.into_data(), labels.classes().into_data().iter::<i64>().collect())
}

fn collect<B: Backend>(
    batches: &Batches<B>,
    epoch: usize,
    first: usize,
) -> Vec<(TensorData, Vec<i64>)> {
    std::thread::scope(|scope| batches.epoch(epoch, first, scope).unwrap().map(host).collect())
}

#[derive(Clone, Copy)]
struct AllWays<'a>(&'a Config, &'a Dataset);

impl Task for AllWays<'_> {
    type Output = ();

    fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
        let Self(config, data) = self;
        let by_host = Batches::<B>::of(config, data, &device);
        assert!(matches!(by_host.way, Way::Host));
        let two = Config { threads: 2, ..config.clone() };
        let ahead = Batches::<B>::of(&two, data, &device);
        assert!(matches!(ahead.way, Way::Ahead));
        let resident = Batches::<B>::resident(config, data, &device);

        let want = collect(&by_host, 3, 0);
        let sizes: Vec<usize> = want.iter().map(|(_, labels)| labels.len()).collect();
        assert_eq!(sizes, [300, 300, 300, 300, 300, 300, 200]);
        assert_eq!(want[0].0.shape[..], [300, 3072]);
        for batches in [&ahead, &resident] {
            // Strict: dtype, shape and every bit.
            assert!(collect(batches, 3, 0) == want, "a whole epoch");
            assert!(collect(batches, 3, 5) == want[5..], "the rest of an epoch");
            assert!(collect(batches, 3, 7).is_empty(), "nothing is left");
            for range in [0..50, 50..70] {
                assert!(host(batches.test(range.clone())) == host(by_host.test(range)), "test");
            }
        }
        Ok(())
    }
}

/// 2000 draws hold every crop in both orientations.
#[test]
fn every_way_gives_the_same_batches_to_the_bit() {
    for method in [Method::Dfa, Method::RandomTarget] {
        let config = config(2000, method);
        let data = data(&config);
        let epoch = Epoch::new(&config, &data, 3);
        let draws: HashSet<_> = (0..epoch.batches())
            .flat_map(|k| epoch.samples(k))
            .map(|s| (s.augmentation.top, s.augmentation.left, s.augmentation.flip))
            .collect();
        assert_eq!(draws.len(), 9 * 9 * 2);
        on_each(&config, AllWays(&config, &data));
    }
}

#[test]
fn every_way_gives_the_same_batches_without_augmentation() {
    let config = Config { augment: false, ..config(2000, Method::Dfa) };
    on_each(&config, AllWays(&config, &data(&config)));
}

#[test]
fn random_labels_are_not_the_images_own() {
    let labels = |method| {
        let config = config(300, method);
        let data = data(&config);
        let epoch = Epoch::new(&config, &data, 1);
        let own = epoch.batch(0).labels;
        assert_eq!(own, epoch.samples(0).iter().map(|s| s.label).collect::<Vec<_>>());
        own
    };
    assert_ne!(labels(Method::Dfa), labels(Method::RandomTarget));
}

/// Takes one batch: its number of images, if there was one.
struct TakeOne<'a>(&'a Config, &'a Dataset);

impl Task for TakeOne<'_> {
    type Output = Option<usize>;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Option<usize>> {
        let batches = Batches::<B>::of(self.0, self.1, &device);
        std::thread::scope(|scope| {
            Ok(batches.epoch(1, 0, scope)?.next().map(|(images, _)| images.dims()[0]))
        })
    }
}

/// The scope ends, although nobody takes the batches that are left.
#[test]
fn a_helper_whose_batches_nobody_takes_ends() {
    let config = Config { threads: 2, batch_size: 8, ..config(200, Method::Dfa) };
    let data = data(&config);
    assert_eq!(backend::run(&config, TakeOne(&config, &data)).unwrap(), Some(8));
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn a_helper_that_panics_is_no_shorter_epoch() {
    let config = Config { threads: 2, ..config(200, Method::Dfa) };
    let mut data = data(&config);
    data.train.images.truncate(1000);
    backend::run(&config, TakeOne(&config, &data)).unwrap();
}

/// Trains two epochs, stopped after `stop` steps of each and gone on with from the checkpoint.
struct Interrupted<'a> {
    config: &'a Config,
    data: &'a Dataset,
    stop: Option<usize>,
}

impl Task for Interrupted<'_> {
    type Output = Checkpoint;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Checkpoint> {
        let Self { config, data, stop } = self;
        let folder = tempfile::tempdir()?;
        let dir = RunDir::at(folder.path());
        let reporter = Reporter::new(true, false, config.epochs, 0);
        let mut session = Session::<B>::start(config, data, &dir, device.clone())?;
        for epoch in 1..=config.epochs {
            if let Some(steps) = stop {
                let mut asked = 0..steps;
                assert!(!session.train_epoch(epoch, &reporter, || asked.next().is_none())?);
                assert_eq!(session.progress().step, steps);
                let saved = session.checkpoint();
                session = Session::resume(config, data, &dir, device.clone(), &saved)?;
            }
            assert!(session.train_epoch(epoch, &reporter, || false)?);
            session.end_epoch(epoch);
        }
        Ok(session.checkpoint())
    }
}

/// Parameters, optimiser and sums as they are stored, without the times.
fn state(checkpoint: Checkpoint) -> Vec<u8> {
    let Checkpoint { mut progress, network, slots, .. } = checkpoint;
    progress.seconds = 0.0;
    rmp_serde::to_vec_named(&(progress, network, slots)).unwrap()
}

#[test]
fn a_run_has_the_same_bits_with_a_helper_and_when_it_is_interrupted_within_an_epoch() {
    let one = Config { batch_size: 64, ..config(500, Method::RandomTarget) };
    let two = Config { threads: 2, ..one.clone() };
    let data = data(&one);
    let run = |config: &Config, stop| {
        state(backend::run(config, Interrupted { config, data: &data, stop }).unwrap())
    };
    let whole = run(&one, None);
    for stop in [None, Some(0), Some(3), Some(7)] {
        assert!(run(&two, stop) == whole, "stopped after {stop:?} steps");
    }
    assert!(run(&one, Some(3)) == whole);
    assert!(run(&Config { seed: 43, ..one.clone() }, None) != whole);
}
