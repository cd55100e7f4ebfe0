//! A part of the training split, with equally many images of each class: what a machine can train on that
//! cannot train on all.

use super::{Dataset, PIXELS, Split};

impl Dataset {
    /// The dataset with the first `n / classes` images of each class for its training split, in their
    /// order; the test split stays. 0 stands for all. The provenance counts what is left, and its SHA-256
    /// remains that of the whole.
    #[must_use]
    pub fn with_train_subset(mut self, n: usize) -> Self {
        if n == 0 {
            return self;
        }
        let of_each = n / self.kind.classes();
        let mut taken = vec![0; self.kind.classes()];
        let Split { images, labels, vectors } = &self.train;
        let mut train = Split { vectors: vectors.clone(), ..Split::default() };
        for (image, &label) in images.chunks(PIXELS).zip(labels) {
            let taken = &mut taken[usize::from(label)];
            if *taken < of_each {
                *taken += 1;
                train.images.extend(image);
                train.labels.push(label);
            }
        }
        self.provenance.train = train.len();
        self.train = train;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DatasetKind, SyntheticSpec, load};
    use super::*;

    #[test]
    fn a_subset_has_the_first_images_of_each_class_in_their_order() {
        let spec = SyntheticSpec { train: 600, test: 40, ..SyntheticSpec::default() };
        let all = load(DatasetKind::Synthetic, None, &spec).unwrap();
        let part = all.clone().with_train_subset(100);
        assert_eq!((part.train.len(), part.provenance.train), (100, 100));
        assert_eq!(part.test, all.test);
        assert_eq!(part.provenance.sha256, all.provenance.sha256);
        for class in 0..10 {
            let of = |split: &Split| -> Vec<Vec<u8>> {
                let own = (0..split.len()).filter(|&i| split.labels[i] == class);
                own.map(|i| split.image(i).to_vec()).collect()
            };
            assert_eq!(of(&part.train), of(&all.train)[..10]);
        }
        // In the order of the whole.
        let mut rest = (0..all.train.len()).map(|i| all.train.image(i));
        assert!((0..100).all(|i| rest.any(|image| image == part.train.image(i))));
        assert_eq!(all.clone().with_train_subset(0).train, all.train);
    }
}
