//! The trajectory of a weight gradient: over how many directions have the gradients of a matrix spread
//! in the course of a training?
//!
//! ```text
//! G = [vec ∇W_1; …; vec ∇W_T],  a row an epoch,  ranks of [`rank`](super::rank)
//! ```
//!
//! Protocol §11 names the matrices whose rank a collapse is said of; this is the one that no single
//! checkpoint holds. All gradients of a training would be many times the network, so that a sketch is
//! kept of each (Charikar, Chen and Farach-Colton 2002): every entry is added, with a random sign, to one
//! of [`WIDTH`] sums. That keeps lengths and angles to a relative 1/√WIDTH, 3 %, and with them the
//! singular values of the few rows.

use super::rank::{MatrixRank, RankOf, rank};
use crate::rng::stream;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values of a sketch.
pub const WIDTH: usize = 1 << 10;

/// What is kept of the gradients of each matrix, by its name and by epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trajectory(BTreeMap<String, BTreeMap<usize, Vec<f32>>>);

impl Trajectory {
    /// Adds the gradient of `matrix` after `epoch`, or puts it in the place of the one that is there.
    /// The sketch is of the stream `control/trajectory/<matrix>` of `seed`.
    pub fn add(&mut self, seed: u64, matrix: &str, epoch: usize, gradient: &[f64]) {
        let sketch = sketch(seed, matrix, gradient);
        self.0.entry(matrix.into()).or_default().insert(epoch, sketch);
    }

    /// The ranks of each matrix's gradients, named `∇ over epochs of <matrix>`.
    pub fn ranks(&self) -> Vec<MatrixRank> {
        let of = |(matrix, epochs): (&String, &BTreeMap<usize, Vec<f32>>)| {
            let values: Vec<f64> = epochs.values().flatten().map(|v| f64::from(*v)).collect();
            rank(&RankOf::Trajectory.name(matrix), epochs.len(), WIDTH, &values)
        };
        self.0.iter().map(of).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a training that stands after `epoch` could have left it.
    pub fn is_of(&self, epoch: usize) -> bool {
        let rows = || self.0.values().flatten();
        rows().all(|(own, sketch)| *own <= epoch && sketch.len() == WIDTH)
    }
}

fn sketch(seed: u64, matrix: &str, gradient: &[f64]) -> Vec<f32> {
    let mut draws = stream(seed, &format!("control/trajectory/{matrix}"));
    let mut sums = vec![0.0; WIDTH];
    for value in gradient {
        let draw = draws.next_u32() as usize;
        let sign = if draw & WIDTH == 0 { 1.0 } else { -1.0 };
        sums[draw % WIDTH] += sign * value;
    }
    sums.into_iter().map(|sum: f64| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{noise, rng};
    use super::*;

    const MATRIX: &str = "blocks.0.linear1.weight";

    /// The ranks of the rows by their sketches, and by all of their values.
    fn both(rows: &[Vec<f64>]) -> [MatrixRank; 2] {
        let mut trajectory = Trajectory::default();
        for (epoch, row) in (1..).zip(rows) {
            trajectory.add(7, MATRIX, epoch, row);
        }
        let whole: Vec<f64> = rows.iter().flatten().copied().collect();
        let [sketched] = trajectory.ranks().try_into().unwrap();
        [sketched, rank("all", rows.len(), rows[0].len(), &whole)]
    }

    #[test]
    fn the_ranks_of_sketches_are_those_of_the_gradients_to_a_few_per_cent() {
        for (seed, directions) in [(1, 1), (2, 3), (3, 12), (4, 30)] {
            let mut rng = rng(seed);
            let basis = noise(&mut rng, directions, 20_000, 1.0);
            let weights = noise(&mut rng, 30, directions, 1.0);
            let row = |t: usize| -> Vec<f64> {
                let mix = |j: usize| {
                    weights.row(t).iter().zip(basis.iter_rows()).map(|(w, b)| w * b[j]).sum()
                };
                (0..20_000).map(mix).collect()
            };
            let rows: Vec<Vec<f64>> = (0..30).map(row).collect();
            let [sketched, exact] = both(&rows);
            assert_eq!((sketched.rows, sketched.cols), (30, WIDTH));
            for (a, b) in [
                (sketched.effective, exact.effective),
                (sketched.stable, exact.stable),
                (sketched.participation, exact.participation),
            ] {
                // Three times 1/√WIDTH.
                assert!((a.0 / b.0 - 1.0).abs() < 0.1, "{directions} directions: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn an_epoch_that_is_measured_again_stands_once() {
        let mut trajectory = Trajectory::default();
        assert!(trajectory.is_empty() && trajectory.ranks().is_empty());
        trajectory.add(7, MATRIX, 1, &[1.0, 2.0]);
        trajectory.add(7, MATRIX, 2, &[2.0, -1.0]);
        let once = trajectory.clone();
        trajectory.add(7, MATRIX, 2, &[2.0, -1.0]);
        assert_eq!(trajectory, once);
        assert_eq!(once.ranks()[0].matrix, "∇ over epochs of blocks.0.linear1.weight");
        assert!(once.is_of(2) && !once.is_of(1));
        let text = serde_json::to_string(&once).unwrap();
        assert_eq!(serde_json::from_str::<Trajectory>(&text).unwrap(), once);
        let short: Trajectory = serde_json::from_str(r#"{"w": {"1": [1.0]}}"#).unwrap();
        assert!(!short.is_of(1), "a sketch of another width");
    }
}
