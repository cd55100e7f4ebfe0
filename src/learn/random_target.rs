//! The negative control (protocol §2.6): y ~ U{0 … C−1}, drawn anew for every batch, under the
//! base rule. What a method shows here owes nothing to the data.

use crate::rng;
use rand::RngExt;

/// Labels for `count` samples of one batch, from the stream `labels/<epoch>/<batch>`.
pub fn labels(seed: u64, epoch: usize, batch: usize, count: usize, classes: usize) -> Vec<u32> {
    let mut stream = rng::stream(seed, &format!("labels/{epoch}/{batch}"));
    (0..count).map(|_| stream.random_range(0..classes as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_uniform_and_new_for_every_batch() {
        let first = labels(42, 1, 0, 10_000, 10);
        assert_eq!(first, labels(42, 1, 0, 10_000, 10));
        assert_ne!(first, labels(42, 1, 1, 10_000, 10));
        for class in 0..10 {
            let count = first.iter().filter(|&&y| y == class).count();
            assert!((900..1100).contains(&count), "class {class}: {count} of 10000");
        }
    }
}
