//! Where a training's batches come from. Every way gives the same images, crops and labels in the
//! same order, to the bit: the draws are made on the host, from streams named after epoch and
//! batch.

use super::resident::{OnDevice, Plan, Resident, Sample, plan};
use crate::config::{BackendName, Config, Method};
use crate::data::{Augmentation, Batch, Dataset, epoch_order};
use crate::learn::random_target;
use crate::model::batch_tensors;
use crate::rng::{self, Stream};
use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, Scope};

/// The batches of a run.
#[derive(Clone)]
pub struct Batches<'a, B: Backend> {
    config: &'a Config,
    data: &'a Dataset,
    device: B::Device,
    way: Way<B>,
}

#[derive(Clone)]
enum Way<B: Backend> {
    /// On the host, by the thread that trains.
    Host,
    /// On the host, by a thread that is one batch ahead.
    Ahead,
    /// On the device.
    Resident { train: Resident<B>, test: Resident<B>, test_plan: Plan<B> },
}

impl<'a, B: Backend> Batches<'a, B> {
    /// The batches of `config`: on a GPU from images that lie there, on the CPU from the host's, made
    /// by a thread of their own where the run has more than one.
    pub fn of(config: &'a Config, data: &'a Dataset, device: &B::Device) -> Self {
        let resident = config.backend == BackendName::Cuda
            && data.kind.has_images()
            && Resident::<B>::holds(&data.train)
            && Resident::<B>::holds(&data.test);
        match (resident, config.threads) {
            (true, _) => Self::resident(config, data, device),
            (false, 1) => Self { config, data, device: device.clone(), way: Way::Host },
            (false, _) => Self { config, data, device: device.clone(), way: Way::Ahead },
        }
    }

    fn resident(config: &'a Config, data: &'a Dataset, device: &B::Device) -> Self {
        let values = data.pixel_values();
        let labels = data.test.labels.iter().map(|&y| u32::from(y));
        let samples = (0..).zip(labels).map(|(image, label)| Sample {
            image,
            augmentation: Augmentation::NONE,
            label,
        });
        let way = Way::Resident {
            train: Resident::new(&data.train, values, device),
            test: Resident::new(&data.test, values, device),
            test_plan: plan(samples, device),
        };
        Self { config, data, device: device.clone(), way }
    }

    /// The batches of `epoch` from number `first` on. A helper, where there is one, lives in `scope`
    /// and ends with the last batch or when what is returned is dropped; if it panics, so does the
    /// scope.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn epoch<'s>(
        &self,
        epoch: usize,
        first: usize,
        scope: &'s Scope<'s, '_>,
    ) -> Result<Box<dyn Iterator<Item = OnDevice<B>> + 's>>
    where
        'a: 's,
    {
        let source = Epoch::new(self.config, self.data, epoch);
        let device = self.device.clone();
        let numbers = first..source.batches();
        Ok(match &self.way {
            Way::Host => Box::new(numbers.map(move |k| batch_tensors(source.batch(k), &device))),
            Way::Ahead => {
                let (sender, receiver) = sync_channel(1);
                // Nobody receives any more where the training was stopped.
                let make = move || {
                    numbers.map(|k| source.batch(k)).try_for_each(|batch| sender.send(batch)).ok();
                };
                Builder::new()
                    .name("batches".into())
                    .spawn_scoped(scope, make)
                    .context("cannot start a thread")?;
                Box::new(receiver.into_iter().map(move |batch| batch_tensors(batch, &device)))
            }
            Way::Resident { train, .. } => {
                let train = train.clone();
                let plan =
                    plan::<B>((0..source.batches()).flat_map(|k| source.samples(k)), &device);
                Box::new(numbers.map(move |k| {
                    let Range { start, end } = source.range(k);
                    train.batch(plan.clone().narrow(0, start, end - start))
                }))
            }
        })
    }

    /// The test images of `range`, which must lie in the split, and their labels.
    pub fn test(&self, range: Range<usize>) -> OnDevice<B> {
        match &self.way {
            Way::Host | Way::Ahead => batch_tensors(self.data.test_batch(range), &self.device),
            Way::Resident { test, test_plan, .. } => {
                test.batch(test_plan.clone().narrow(0, range.start, range.len()))
            }
        }
    }
}

/// The batches of one epoch.
struct Epoch<'a> {
    config: &'a Config,
    data: &'a Dataset,
    epoch: usize,
    order: Vec<u32>,
}

impl<'a> Epoch<'a> {
    fn new(config: &'a Config, data: &'a Dataset, epoch: usize) -> Self {
        let order = epoch_order(config.seed, epoch, data.train.len());
        Self { config, data, epoch, order }
    }

    /// How many there are: the last may be smaller.
    fn batches(&self) -> usize {
        self.order.len().div_ceil(self.config.batch_size)
    }

    /// Where batch `k` lies in the order.
    fn range(&self, k: usize) -> Range<usize> {
        let start = k * self.config.batch_size;
        start..self.order.len().min(start + self.config.batch_size)
    }

    /// What draws the crops of batch `k`.
    fn augmentation(&self, k: usize) -> Option<Stream> {
        let name = format!("augmentation/{}/{k}", self.epoch);
        self.config.augment.then(|| rng::stream(self.config.seed, &name))
    }

    /// The labels of batch `k`, where they are not the images' own.
    fn random_labels(&self, k: usize) -> Option<Vec<u32>> {
        self.random(k, self.data.provenance.classes)
    }

    /// The samples whose targets the vectors of batch `k` are given, where they are not their own.
    fn random_samples(&self, k: usize) -> Option<Vec<u32>> {
        self.random(k, self.data.train.len())
    }

    /// Uniform draws below `count` for each sample of batch `k` of the negative control.
    fn random(&self, k: usize, count: usize) -> Option<Vec<u32>> {
        let Config { method, seed, .. } = *self.config;
        (method == Method::RandomTarget)
            .then(|| random_target::labels(seed, self.epoch, k, self.range(k).len(), count))
    }

    /// Batch `k` on the host.
    fn batch(&self, k: usize) -> Batch {
        let indices = &self.order[self.range(k)];
        let mut batch = self.data.train_batch(indices, self.augmentation(k).as_mut());
        if batch.targets.is_empty() {
            if let Some(labels) = self.random_labels(k) {
                batch.labels = labels;
            }
        } else if let Some(others) = self.random_samples(k) {
            let other = self.data.train_batch(&others, None);
            (batch.labels, batch.targets) = (other.labels, other.targets);
        }
        batch
    }

    /// What batch `k` is made of.
    fn samples(&self, k: usize) -> Vec<Sample> {
        let mut stream = self.augmentation(k);
        let random = self.random_labels(k);
        let sample = |(i, &image): (usize, &u32)| Sample {
            image,
            augmentation: stream.as_mut().map_or(Augmentation::NONE, Augmentation::draw),
            label: match &random {
                Some(labels) => labels[i],
                None => u32::from(self.data.train.labels[image as usize]),
            },
        };
        self.order[self.range(k)].iter().enumerate().map(sample).collect()
    }
}

#[cfg(test)]
mod tests;
