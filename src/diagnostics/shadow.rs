//! Double-precision shadow: is the reference gradient merely small, or rounding noise?
//!
//! ```text
//! cos_i(l)  = cos(g_l in f32, g_l in f64)                                          sample i
//! relative  = ‖g_f32 − g_f64‖_F / ‖g_f64‖_F                                        over all samples
//! ```
//!
//! Protocol §13: gradients of norm 1e-10 agree with f64 in a scaled pre-LN network, so "below the
//! floor" need not mean noise; for a DFA-trained network the shadow says which. Norms with floor
//! 1e-30, in f64 on both sides.

use super::{NORM_FLOOR, norm};
use crate::number::Number;
use crate::stats::{extremes, mean, median};
use crate::trace::Matrix;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    pub samples: usize,
    /// Layers 0 … L.
    pub per_layer: Vec<ShadowLayer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowLayer {
    /// Median norm of the gradient in f32 and in f64.
    pub norm_f32: Number,
    pub norm_f64: Number,
    /// cos(g_f32, g_f64): mean and smallest over samples.
    pub cosine: Number,
    pub worst_cosine: Number,
    /// ‖g_f32 − g_f64‖ / ‖g_f64‖ over all samples (Frobenius).
    pub relative_error: Number,
}

/// One layer of one batch in both precisions.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// [N, d]
    pub single: &'a Matrix,
    /// The same shape, row-major.
    pub double: &'a [f64],
}

/// What the shadow says of the reference gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// f32 shows every sample's gradient: where it is small, it is small and not noise.
    Resolved,
    /// f32 shows something else at some layer.
    Noise,
    /// In between: right on average, not for every sample.
    Partly,
}

/// A layer is resolved where no sample's cosine is under this. Recommended, not published.
pub const RESOLVED_COSINE: f64 = 0.99;

/// A layer is resolved where its relative error is not over this. Recommended, not published.
pub const RESOLVED_ERROR: f64 = 1e-2;

/// A layer whose mean cosine is under this is noise. Recommended, not published.
pub const NOISE_COSINE: f64 = 0.9;

/// Compares both precisions: `layers[l][k]` is layer l of batch k.
///
/// # Panics
/// If the two sides of a pair differ in shape.
pub fn shadow(layers: &[Vec<Pair>]) -> Shadow {
    let samples = |batches: &Vec<Pair>| batches.iter().map(|pair| pair.single.rows()).sum();
    Shadow {
        samples: layers.first().map_or(0, samples),
        per_layer: layers.iter().map(|batches| ShadowLayer::of(batches)).collect(),
    }
}

impl ShadowLayer {
    fn of(batches: &[Pair]) -> Self {
        let (mut singles, mut doubles, mut cosines) = (Vec::new(), Vec::new(), Vec::new());
        let (mut error, mut energy) = (0.0, 0.0);
        for Pair { single, double } in batches {
            let cols = single.cols();
            assert_eq!(double.len(), single.rows() * cols, "both precisions of one gradient");
            for (i, g) in single.iter_rows().enumerate() {
                let exact = &double[i * cols..(i + 1) * cols];
                let (mut dot, mut squares) = (0.0, 0.0);
                for (x, y) in g.iter().zip(exact) {
                    dot += x * y;
                    squares += y * y;
                    error += (x - y).powi(2);
                }
                energy += squares;
                let (length, exact_length) = (norm(g), squares.sqrt());
                cosines.push(dot / (length.max(NORM_FLOOR) * exact_length.max(NORM_FLOOR)));
                singles.push(length);
                doubles.push(exact_length);
            }
        }
        Self {
            norm_f32: Number(median(&singles)),
            norm_f64: Number(median(&doubles)),
            cosine: Number(mean(&cosines)),
            worst_cosine: Number(extremes(&cosines).0),
            relative_error: Number((error / energy).sqrt()),
        }
    }

    fn is_resolved(&self) -> bool {
        self.worst_cosine.0 >= RESOLVED_COSINE && self.relative_error.0 <= RESOLVED_ERROR
    }

    fn is_noise(&self) -> bool {
        let values = [self.cosine, self.worst_cosine, self.relative_error];
        values.iter().any(|v| v.0.is_nan()) || self.cosine.0 < NOISE_COSINE
    }
}

impl Shadow {
    /// Judged over all layers; what is NaN, or not there, is noise.
    pub fn resolution(&self) -> Resolution {
        if self.per_layer.is_empty() || self.per_layer.iter().any(ShadowLayer::is_noise) {
            Resolution::Noise
        } else if self.per_layer.iter().all(ShadowLayer::is_resolved) {
            Resolution::Resolved
        } else {
            Resolution::Partly
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, matrix, noise, rng};
    use super::*;
    use rand::RngExt;

    fn one(single: &Matrix, double: &[f64]) -> Shadow {
        shadow(&[vec![Pair { single, double }]])
    }

    fn exact(single: &Matrix) -> Vec<f64> {
        single.iter_rows().flatten().copied().collect()
    }

    /// cos = 1 − ‖û − v̂‖²/2, and the error from ‖x − y‖² = ‖x‖² + ‖y‖² − 2⟨x, y⟩ of all batches in one.
    #[test]
    fn agrees_with_chords_on_the_unit_sphere() {
        for seed in 0..40 {
            let mut rng = rng(seed);
            let cols = rng.random_range(2..7);
            let layers = rng.random_range(1..4);
            let data: Vec<Vec<(Matrix, Vec<f64>)>> = (0..layers)
                .map(|_| {
                    (0..rng.random_range(1..4))
                        .map(|_| {
                            let rows = rng.random_range(1..6);
                            let single = noise(&mut rng, rows, cols, 1e-9);
                            let mut double = exact(&single);
                            double.iter_mut().for_each(|v| *v += rng.random_range(-5e-10..5e-10));
                            (single, double)
                        })
                        .collect()
                })
                .collect();
            let pairs: Vec<Vec<Pair>> = data
                .iter()
                .map(|b| b.iter().map(|(single, double)| Pair { single, double }).collect())
                .collect();
            let found = shadow(&pairs);
            assert_eq!(found.samples, data[0].iter().map(|(m, _)| m.rows()).sum::<usize>());
            for (layer, batches) in found.per_layer.iter().zip(&data) {
                let (mut cosines, mut x, mut y) = (Vec::new(), Vec::new(), Vec::new());
                for (single, double) in batches {
                    let flat = exact(single);
                    for (a, b) in flat.chunks(cols).zip(double.chunks(cols)) {
                        let unit = |v: &[f64]| -> Vec<f64> {
                            let length = v.iter().fold(0.0, |s: f64, x| s.hypot(*x));
                            v.iter().map(|x| x / length).collect()
                        };
                        let (a, b) = (unit(a), unit(b));
                        let chord: f64 = a.iter().zip(&b).map(|(p, q)| (p - q).powi(2)).sum();
                        cosines.push(1.0 - chord / 2.0);
                    }
                    x.extend(flat);
                    y.extend_from_slice(double);
                }
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(p, q)| p * q).sum::<f64>();
                let error = (dot(&x, &x) + dot(&y, &y) - 2.0 * dot(&x, &y)) / dot(&y, &y);
                cosines.sort_by(f64::total_cmp);
                let average = cosines.iter().rev().sum::<f64>() / cosines.len() as f64;
                assert!((layer.cosine.0 - average).abs() < 1e-12, "seed {seed}");
                assert!((layer.worst_cosine.0 - cosines[0]).abs() < 1e-12, "seed {seed}");
                assert!((layer.relative_error.0 - error.sqrt()).abs() < 1e-9, "seed {seed}");
            }
        }
    }

    #[test]
    fn two_batches_give_norms_cosines_and_error_by_hand() {
        // Norms 5, 18.5 | 8 in f32 and 5, 12 | 6 in f64. The second differs by 6.5, the third is
        // turned by 90°: 42.25 + 64 + 36 over 25 + 144 + 36.
        let (first, second) = (matrix(&[&[3.0, 4.0], &[18.5, 0.0]]), matrix(&[&[8.0, 0.0]]));
        let found = shadow(&[vec![
            Pair { single: &first, double: &[3.0, 4.0, 12.0, 0.0] },
            Pair { single: &second, double: &[0.0, 6.0] },
        ]]);
        let layer = &found.per_layer[0];
        assert_eq!((found.samples, layer.norm_f32.0, layer.norm_f64.0), (3, 8.0, 6.0));
        assert!(close(layer.cosine.0, 2.0 / 3.0));
        assert_eq!(layer.worst_cosine.0, 0.0);
        assert!(close(layer.relative_error.0, (142.25f64 / 205.0).sqrt()));
    }

    #[test]
    fn a_gradient_of_1e_10_rounded_to_f32_is_small_and_not_noise() {
        let mut rng = rng(1);
        let double: Vec<f64> = (0..64 * 16).map(|_| rng.random_range(-1e-10..1e-10)).collect();
        let rounded = Matrix::new(64, 16, double.iter().map(|&v| f64::from(v as f32)).collect());
        let found = one(&rounded, &double);
        let layer = &found.per_layer[0];
        assert!(layer.worst_cosine.0 > 1.0 - 1e-12);
        assert!((1e-9..1e-7).contains(&layer.relative_error.0));
        assert_eq!(found.resolution(), Resolution::Resolved);
    }

    #[test]
    fn one_layer_of_noise_decides_and_one_bad_sample_spoils_the_resolution() {
        let up = matrix(&[&[1.0f32, 0.0][..]; 20]);
        let same = exact(&up);
        let mut one_turned = same.clone();
        one_turned[..2].copy_from_slice(&[0.0, 1.0]);
        let turned: Vec<f64> = same.chunks(2).flat_map(|v| [v[1], v[0]]).collect();
        let pairs = |all: &[&[f64]]| {
            let layers: Vec<Vec<Pair>> =
                all.iter().map(|double| vec![Pair { single: &up, double }]).collect();
            shadow(&layers).resolution()
        };
        assert_eq!(pairs(&[&same, &same]), Resolution::Resolved);
        assert_eq!(pairs(&[&same, &one_turned]), Resolution::Partly);
        assert_eq!(pairs(&[&one_turned, &same, &turned]), Resolution::Noise);
        // Parallel, but 2 % too long.
        let longer: Vec<f64> = same.iter().map(|v| v * 1.02).collect();
        assert_eq!(pairs(&[&same, &longer]), Resolution::Partly);
        assert_eq!(pairs(&[]), Resolution::Noise);
    }

    #[test]
    fn a_turned_sample_counts_however_short_it_is_beside_the_others() {
        // One of 200, a thousandth as long: mean cosine .995, relative error 1e-4.
        let mut double = [1.0, 0.0].repeat(200);
        let mut single = double.clone();
        single[..2].copy_from_slice(&[1e-3, 0.0]);
        double[..2].copy_from_slice(&[0.0, 1e-3]);
        let found = one(&Matrix::new(200, 2, single), &double);
        let layer = &found.per_layer[0];
        assert!((layer.cosine.0 - 0.995).abs() < 1e-6 && layer.relative_error.0 < 2e-4);
        assert_eq!((layer.worst_cosine.0, found.resolution()), (0.0, Resolution::Partly));
    }

    #[test]
    fn any_value_that_is_nan_makes_noise() {
        let good = ShadowLayer {
            norm_f32: Number(1.0),
            norm_f64: Number(1.0),
            cosine: Number(1.0),
            worst_cosine: Number(1.0),
            relative_error: Number(0.0),
        };
        let nan = Number(f64::NAN);
        for bad in [
            ShadowLayer { cosine: nan, ..good.clone() },
            ShadowLayer { worst_cosine: nan, ..good.clone() },
            ShadowLayer { relative_error: nan, ..good.clone() },
        ] {
            let found = Shadow { samples: 1, per_layer: vec![good.clone(), bad] };
            assert_eq!(found.resolution(), Resolution::Noise);
        }
    }

    #[test]
    fn a_nan_on_either_side_reaches_mean_and_worst_and_is_noise() {
        let good = matrix(&[&[1.0], &[1.0]]);
        let nan = matrix(&[&[f32::NAN], &[1.0]]);
        for found in [one(&good, &[f64::NAN, 1.0]), one(&nan, &[1.0, 1.0])] {
            let layer = &found.per_layer[0];
            assert!(layer.cosine.0.is_nan() && layer.worst_cosine.0.is_nan());
            assert!(layer.relative_error.0.is_nan());
            assert_eq!(found.resolution(), Resolution::Noise);
        }
        assert!(one(&good, &[f64::INFINITY, 1.0]).per_layer[0].cosine.0.is_nan());
        let zero = matrix(&[&[0.0], &[0.0]]);
        for found in [one(&good, &[0.0, 0.0]), one(&zero, &[1.0, 1.0]), one(&zero, &[0.0, 0.0])] {
            assert_eq!(found.per_layer[0].cosine.0, 0.0);
            assert_eq!(found.resolution(), Resolution::Noise);
        }
    }

    #[test]
    #[should_panic(expected = "both precisions of one gradient")]
    fn a_pair_of_different_shapes_is_refused() {
        one(&matrix(&[&[1.0, 2.0]]), &[1.0]);
    }
}
