//! The teacher–student task (protocol §3.4): x ~ N(0, I_128), and what a random residual teacher makes
//! of it,
//!
//! h_0 = x, h_{l+1} = h_l + φ_α(W_l h_l), y = s C h_L,  φ_α(z) = (1 − α) z + α tanh(z),
//!
//! W_l ~ N(0, 1/128), C ~ N(0, 1/128), and s such that the targets have unit variance over 1,024
//! samples of their own. Not published, and chosen here: the inputs' distribution, the teacher's
//! depth (`teacher_depth`), its scale, and how many samples there are. At α = 0 it is linear.

use super::{Dataset, DatasetKind, SyntheticSpec, Vectors};
use crate::rng::{Stream, stream};
use anyhow::Result;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// Width of x and of the teacher.
pub(super) const INPUTS: usize = 128;
const OUTPUTS: usize = 10;
const CALIBRATION: usize = 1024;

/// What a teacher is like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// 0 is linear, 1 saturates.
    pub alpha: f64,
    pub depth: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { alpha: 1.0, depth: 4 }
    }
}

/// Makes the dataset of a specification; splits as in `toy_lq`.
///
/// # Errors
/// If a split would be empty or larger than ten million vectors.
pub(super) fn generate(spec: &SyntheticSpec) -> Result<Dataset> {
    let kind = DatasetKind::Student;
    spec.ensure_sizes(kind)?;
    let teacher = Teacher::new(spec);
    let split = |name: &str, n: usize| {
        let mut draw = stream(spec.seed, &format!("student/{name}"));
        let mut vectors = Vectors::default();
        for _ in 0..n {
            // The teacher sees what the student sees.
            let x: Vec<f32> = normals(&mut draw, INPUTS).into_iter().map(|v| v as f32).collect();
            let seen: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            vectors.targets.extend(teacher.outputs(seen).into_iter().map(|v| v as f32));
            vectors.inputs.extend(x);
        }
        vectors.into_split(OUTPUTS)
    };
    Ok(Dataset::new(kind, split("train", spec.train), split("test", spec.test), Vec::new()))
}

fn normals(draw: &mut Stream, count: usize) -> Vec<f64> {
    StandardNormal.sample_iter(draw).take(count).collect()
}

struct Teacher {
    alpha: f64,
    /// Rows of W_l, one block after the other.
    blocks: Vec<Vec<Vec<f64>>>,
    readout: Vec<Vec<f64>>,
    scale: f64,
}

impl Teacher {
    fn new(spec: &SyntheticSpec) -> Self {
        let rows = |name: &str, rows: usize| -> Vec<Vec<f64>> {
            let mut draw = stream(spec.seed, &format!("student/teacher/{name}"));
            let std = 1.0 / (INPUTS as f64).sqrt();
            let row = |_| normals(&mut draw, INPUTS).into_iter().map(|v| v * std).collect();
            (0..rows).map(row).collect()
        };
        let Shape { alpha, depth } = spec.teacher;
        let blocks = (0..depth).map(|l| rows(&l.to_string(), INPUTS)).collect();
        let mut teacher = Self { alpha, blocks, readout: rows("readout", OUTPUTS), scale: 1.0 };
        let mut draw = stream(spec.seed, "student/calibration");
        let outputs = (0..CALIBRATION).flat_map(|_| teacher.outputs(normals(&mut draw, INPUTS)));
        let square = outputs.map(|v| v * v).sum::<f64>() / (CALIBRATION * OUTPUTS) as f64;
        teacher.scale = 1.0 / square.sqrt();
        teacher
    }

    /// y of x.
    fn outputs(&self, x: Vec<f64>) -> Vec<f64> {
        let times = |rows: &[Vec<f64>], h: &[f64]| -> Vec<f64> {
            rows.iter().map(|row| row.iter().zip(h).map(|(w, h)| w * h).sum()).collect()
        };
        let bent = |z: f64| (1.0 - self.alpha) * z + self.alpha * z.tanh();
        let top = self.blocks.iter().fold(x, |h, rows| {
            let z = times(rows, &h);
            h.iter().zip(z).map(|(h, z)| h + bent(z)).collect()
        });
        times(&self.readout, &top).into_iter().map(|v| v * self.scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64, alpha: f64, train: usize) -> SyntheticSpec {
        let teacher = Shape { alpha, depth: 2 };
        SyntheticSpec { seed, train, test: 2, teacher }
    }

    #[test]
    fn a_seed_and_a_teacher_are_a_dataset_and_a_larger_split_begins_with_the_smaller_one() {
        let sha = |spec: &SyntheticSpec| generate(spec).unwrap().provenance.sha256;
        let own = spec(1, 1.0, 4);
        assert_eq!(sha(&own), sha(&own));
        let deeper = Shape { depth: 3, ..own.teacher };
        for other in [spec(2, 1.0, 4), spec(1, 0.5, 4), SyntheticSpec { teacher: deeper, ..own }] {
            assert_ne!(sha(&own), sha(&other));
        }
        let [small, large] = [4, 9].map(|n| generate(&spec(1, 1.0, n)).unwrap());
        assert_eq!(small.train.vectors.targets, large.train.vectors.targets[..4 * OUTPUTS]);
        assert_eq!(small.test, large.test);
    }

    /// y(x) + y(−x) = 0 under every α, and y is additive at α = 0 alone.
    #[test]
    fn the_teacher_is_odd_and_linear_where_alpha_is_zero() {
        let mut draw = stream(3, "test");
        let (a, b) = (normals(&mut draw, INPUTS), normals(&mut draw, INPUTS));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let minus: Vec<f64> = a.iter().map(|v| -v).collect();
        let size = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (alpha, is_linear) in [(0.0, true), (0.25, false), (1.0, false)] {
            let teacher = Teacher::new(&spec(0, alpha, 1));
            let [of_a, of_b, of_sum, of_minus] =
                [&a, &b, &sum, &minus].map(|x| teacher.outputs(x.clone()));
            assert!(of_a.iter().zip(&of_minus).all(|(y, z)| (y + z).abs() < 1e-12));
            let left: Vec<f64> =
                of_sum.iter().zip(of_a.iter().zip(&of_b)).map(|(s, (a, b))| s - a - b).collect();
            assert_eq!(size(&left) < 1e-12, is_linear, "α = {alpha}: {}", size(&left));
        }
    }

    #[test]
    fn the_targets_have_unit_variance() {
        for alpha in [0.0, 1.0] {
            let targets = generate(&spec(5, alpha, 1000)).unwrap().train.vectors.targets;
            let square = targets.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e4;
            assert!((square - 1.0).abs() < 0.15, "α = {alpha}: {square}");
        }
    }
}
