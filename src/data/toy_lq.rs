//! The toy linear–quadratic task (protocol §3.5, §14): h_0 ~ N(0, I_64), and a target y ~ N(0, I_10)
//! that is independent of it. No network can fit it: what is learned is the credit of the fixed
//! system of `arch = lq`, whose costate is known.
//!
//! y must not depend on h_0: a code of outputs and target would then tell the outputs, and the
//! Jacobian of a predictor of h_L would collapse.

use super::{Dataset, DatasetKind, SyntheticSpec, Vectors};
use crate::rng::stream;
use anyhow::Result;
use rand_distr::{Distribution, StandardNormal};

/// Width of h_0.
pub(super) const INPUTS: usize = 64;

/// Makes the dataset of a specification. A sample has consecutive draws of its own, so that a larger
/// split begins with the smaller one.
///
/// # Errors
/// If a split would be empty or larger than ten million vectors.
pub(super) fn generate(spec: &SyntheticSpec) -> Result<Dataset> {
    let kind = DatasetKind::ToyLq;
    spec.ensure_sizes(kind)?;
    let split = |name: &str, n: usize| {
        let mut draw = stream(spec.seed, &format!("toy-lq/{name}"));
        let mut vectors = Vectors::default();
        for _ in 0..n {
            let mut take = |count| -> Vec<f32> {
                StandardNormal.sample_iter(&mut draw).take(count).map(|v: f64| v as f32).collect()
            };
            vectors.inputs.extend(take(INPUTS));
            vectors.targets.extend(take(kind.classes()));
        }
        vectors.into_split(kind.classes())
    };
    Ok(Dataset::new(kind, split("train", spec.train), split("test", spec.test), Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64, train: usize) -> SyntheticSpec {
        SyntheticSpec { seed, train, test: 3, ..SyntheticSpec::default() }
    }

    #[test]
    fn a_seed_is_a_dataset_and_a_larger_split_begins_with_the_smaller_one() {
        let made = |seed, train| generate(&spec(seed, train)).unwrap();
        assert_eq!(made(1, 20).provenance.sha256, made(1, 20).provenance.sha256);
        assert_ne!(made(1, 20).provenance.sha256, made(2, 20).provenance.sha256);
        let (small, large) = (made(1, 5), made(1, 20));
        assert_eq!(small.train.vectors.inputs, large.train.vectors.inputs[..5 * INPUTS]);
        assert_eq!(small.train.vectors.targets, large.train.vectors.targets[..50]);
        assert_eq!(small.test, large.test);
    }

    /// Standard normal, and the targets without a linear trace of the inputs: 640 coefficients of
    /// 4,000 samples have a root mean square of 1/√4000.
    #[test]
    fn inputs_and_targets_are_standard_normal_and_independent() {
        let n = 4000;
        let vectors = generate(&spec(0, n)).unwrap().train.vectors;
        for values in [&vectors.inputs, &vectors.targets] {
            let count = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
            let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
            assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.03, "{mean} {square}");
        }
        let mut sum = vec![0.0; INPUTS * 10];
        for (x, y) in vectors.inputs.chunks(INPUTS).zip(vectors.targets.chunks(10)) {
            for (i, x) in x.iter().enumerate() {
                for (j, y) in y.iter().enumerate() {
                    sum[10 * i + j] += f64::from(x * y) / n as f64;
                }
            }
        }
        let rms = (sum.iter().map(|v| v * v).sum::<f64>() / sum.len() as f64).sqrt();
        assert!((rms * (n as f64).sqrt() - 1.0).abs() < 0.15, "{rms}");
    }

    #[test]
    fn labels_are_the_largest_of_the_targets_and_sizes_are_refused_by_name() {
        let train = generate(&spec(0, 50)).unwrap().train;
        for (label, target) in train.labels.iter().zip(train.vectors.targets.chunks(10)) {
            assert!(target.iter().all(|v| *v <= target[usize::from(*label)]));
        }
        let error = generate(&spec(0, 0)).unwrap_err().to_string();
        assert_eq!(error, "toy-lq.train: found 0 vectors, expected 1 to 10000000");
    }
}
