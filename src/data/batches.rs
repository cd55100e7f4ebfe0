//! Seeded orders and batches. The order of an epoch depends on the run's seed and the epoch's
//! number alone, so a resumed run sees the same batches as an uninterrupted one.

use super::augment::{Augmentation, Normaliser};
use super::{Dataset, PIXELS, Split};
use crate::rng::{Stream, stream};
use rand::seq::SliceRandom;
use std::ops::Range;

/// A batch on the host, ready for a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// One sample after the other: vectors, or the normalised values of images, each three 32×32
    /// planes.
    pub inputs: Vec<f32>,
    /// One class a sample.
    pub labels: Vec<u32>,
    /// The outputs wanted of vectors; empty where samples are images.
    pub targets: Vec<f32>,
}

impl Batch {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample in it.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn with_capacity(n: usize) -> Self {
        let inputs = Vec::with_capacity(n * PIXELS);
        Self { inputs, labels: Vec::with_capacity(n), targets: Vec::new() }
    }
}

/// The order in which epoch `epoch` visits `n` training images: a uniform permutation of
/// `0..n` from the stream `order/<epoch>` of `seed`.
pub fn epoch_order(seed: u64, epoch: usize, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut stream(seed, &format!("order/{epoch}")));
    order
}

impl Dataset {
    /// The normalised value of every byte, a table for each channel: what the pixels of a batch
    /// are looked up in, wherever it is made.
    pub fn pixel_values(&self) -> [[f32; 256]; 3] {
        *Normaliser::new(self).tables()
    }

    /// The training samples at `indices`, images normalised; with an `augmentation` stream also cropped
    /// and mirrored, three draws an image in the order of `indices`.
    ///
    /// # Panics
    /// If an index is not below `train.len()`.
    pub fn train_batch(&self, indices: &[u32], mut augmentation: Option<&mut Stream>) -> Batch {
        if !self.kind.has_images() {
            return self.vectors(&self.train, indices.iter().map(|&i| i as usize));
        }
        let normaliser = Normaliser::new(self);
        let mut batch = Batch::with_capacity(indices.len());
        for &i in indices {
            let i = i as usize;
            match augmentation.as_deref_mut() {
                Some(stream) => {
                    let how = Augmentation::draw(stream);
                    normaliser.augmented(self.train.image(i), how, &mut batch.inputs);
                }
                None => normaliser.plain(self.train.image(i), &mut batch.inputs),
            }
            batch.labels.push(u32::from(self.train.labels[i]));
        }
        batch
    }

    /// The test samples of `range` in file order, images normalised and nothing else. What of the range
    /// lies beyond the split is left out, so the last batch may be short or empty.
    pub fn test_batch(&self, range: Range<usize>) -> Batch {
        let normaliser = Normaliser::new(self);
        let Split { images, labels, .. } = &self.test;
        let end = range.end.min(labels.len());
        let start = range.start.min(end);
        if !self.kind.has_images() {
            return self.vectors(&self.test, start..end);
        }
        let mut batch = Batch::with_capacity(end - start);
        for image in images[start * PIXELS..end * PIXELS].chunks_exact(PIXELS) {
            normaliser.plain(image, &mut batch.inputs);
        }
        batch.labels.extend(labels[start..end].iter().map(|&label| u32::from(label)));
        batch
    }

    /// The vectors of `split` at `indices`.
    fn vectors(&self, split: &Split, indices: impl Iterator<Item = usize> + Clone) -> Batch {
        let rows = |values: &[f32], width: usize| -> Vec<f32> {
            indices.clone().flat_map(|i| &values[i * width..(i + 1) * width]).copied().collect()
        };
        Batch {
            inputs: rows(&split.vectors.inputs, self.kind.inputs()),
            targets: rows(&split.vectors.targets, self.kind.classes()),
            labels: indices.clone().map(|i| u32::from(split.labels[i])).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DatasetKind, SyntheticSpec, load};

    fn small() -> Dataset {
        let spec = SyntheticSpec { train: 12, test: 7, ..SyntheticSpec::default() };
        load(DatasetKind::Synthetic, None, &spec).unwrap()
    }

    #[test]
    fn an_epochs_order_is_a_permutation_of_its_seed_and_number_alone() {
        let order = epoch_order(42, 3, 1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<u32>>());
        assert_eq!(order, epoch_order(42, 3, 1000));
        assert_ne!(order, epoch_order(42, 4, 1000));
        assert_ne!(order, epoch_order(43, 3, 1000));
    }

    /// A changed shuffle would silently change every run's numbers.
    #[test]
    fn the_order_is_pinned() {
        assert_eq!(epoch_order(42, 1, 10), PINNED);
    }

    #[test]
    fn a_training_batch_holds_the_images_it_was_asked_for() {
        let data = small();
        let batch = data.train_batch(&[5, 0], None);
        let expected = |i: usize| {
            data.train.image(i).iter().enumerate().map(move |(p, &v)| (p / 1024, v)).map(
                |(c, v)| {
                    (f32::from(v) / 255.0 - DatasetKind::Synthetic.mean()[c])
                        / DatasetKind::Synthetic.std()[c]
                },
            )
        };
        assert_eq!(batch.inputs, expected(5).chain(expected(0)).collect::<Vec<f32>>());
        assert_eq!(batch.labels, [5, 0].map(|i| u32::from(data.train.labels[i])));
    }

    #[test]
    fn augmentation_draws_from_its_stream_and_leaves_the_labels_alone() {
        let data = small();
        let indices = [1, 2, 3];
        let draw = |name| data.train_batch(&indices, Some(&mut stream(42, name)));
        assert_eq!(draw("augmentation/1/1"), draw("augmentation/1/1"));
        assert_ne!(draw("augmentation/1/1").inputs, draw("augmentation/1/2").inputs);
        let plain = data.train_batch(&indices, None);
        assert_eq!(plain.labels, draw("augmentation/1/1").labels);
        assert_eq!(plain.inputs.len(), draw("augmentation/1/1").inputs.len());
    }

    #[test]
    fn test_batches_cover_the_split_once_and_the_last_is_short() {
        let data = small();
        let batches: Vec<Batch> = (0..7).step_by(3).map(|i| data.test_batch(i..i + 3)).collect();
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [3, 3, 1]);
        let pixels: Vec<f32> = batches.into_iter().flat_map(|b| b.inputs).collect();
        assert_eq!(pixels, data.test_batch(0..7).inputs);
        assert!(data.test_batch(7..9).is_empty());
        assert!(data.test_batch(20..30).is_empty());
    }

    const PINNED: [u32; 10] = [9, 8, 4, 5, 3, 2, 6, 1, 7, 0];
}
