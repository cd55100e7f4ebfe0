//! The embedded task: no files, made in memory from a seed, and such that depth pays.
//!
//! A latent z ∈ ℝ¹⁰ is drawn and labelled by a random teacher with one hidden layer of cosines,
//! y = argmax_c standardised(Σ_h A_ch cos(w_h·z + φ_h)) + b_c. The image shows z as a sum of
//! smooth random patterns, below stronger patterns that have nothing to do with the label, and
//! pixel noise. Why so:
//!
//! - The image is linear in z, so the embedding can find z; the label is not, and the path
//!   embedding → LayerNorm → head is nearly linear. What the trained blocks add is therefore
//!   visible as accuracy: the gap between backpropagation and frozen blocks is the task's purpose.
//! - Part of the teacher is linear (its first Hermite coefficient). A shallow network gets well
//!   above chance, as on CIFAR-10, and there is something that bad credit can destroy.
//! - The distractors make up most of the image's variance, as lighting does in photographs. They
//!   keep the embedding's share of ‖h_0‖ small without being something a network could memorise.
//! - The strong distractors and the many latents also make the linear part easy to damage: with
//!   direct feedback alignment the network ends below its own frozen blocks.
//! - The biases b make the classes about equally frequent, so that chance is 10 %.
//!
//! Measured on seed 0 with an independent PyTorch implementation (residual MLP, L = 4, AdamW 1e-3,
//! batch 128, cosine): at d = 128, three run seeds, after 12 epochs BP .692–.697, frozen blocks
//! .484–.490, DFA .394–.404 (growth 29–31); at d = 64, two run seeds,
//! after 15 epochs .68, .49, .38.
//!
//! Every part has a stream of its own and an image its own consecutive draws: a larger split
//! begins with the smaller one. The cosine and the normal draws use the platform's mathematics
//! library, so another platform may differ in a rounded byte; the SHA-256 of the provenance says so.

use super::{Dataset, DatasetKind, PIXELS, PLANE, SIDE, Split, student};
use crate::rng::{Stream, stream};
use anyhow::{Result, bail};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::array::from_fn;
use std::f64::consts::TAU;

/// Latent coordinates that the teacher sees.
const LATENT: usize = 10;
/// Latent coordinates that it does not.
const DISTRACTORS: usize = 16;
/// Hidden units of the teacher.
const HIDDEN: usize = 64;
/// Standard deviation of w_h·z, in radians: how far from linear the teacher is.
const FREQUENCY: f64 = 1.1;
const CLASSES: usize = 10;

/// Standard deviations of the three parts of an image, in grey levels.
const SIGNAL_LEVELS: f64 = 10.0;
const DISTRACTOR_LEVELS: f64 = 38.5;
const NOISE_LEVELS: f32 = 4.0;

/// The centre of the grey levels, 127.5 of 255.
pub(super) const MEAN: [f32; 3] = [0.5; 3];
/// √(10² + 38.5² + 4²) = 40 of 255 grey levels.
pub(super) const STD: [f32; 3] = [0.157; 3];

/// A split larger than this is a typing error: it would take more than 3 GB.
const MOST_IMAGES: usize = 1_000_000;
/// Likewise.
const MOST_VECTORS: usize = 10_000_000;

/// Which dataset to make in memory. Its seed is apart from the run's seed: runs of several seeds
/// share their data, as they do on CIFAR.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticSpec {
    /// Seed of teacher and samples.
    pub seed: u64,
    /// Training samples.
    pub train: usize,
    /// Test samples.
    pub test: usize,
    /// student: α and depth of the teacher.
    pub teacher: student::Shape,
}

impl Default for SyntheticSpec {
    fn default() -> Self {
        Self { seed: 0, train: 10_000, test: 2_000, teacher: student::Shape::default() }
    }
}

impl SyntheticSpec {
    pub(super) fn ensure_sizes(&self, kind: DatasetKind) -> Result<()> {
        let (what, most) = match kind.has_images() {
            true => ("images", MOST_IMAGES),
            false => ("vectors", MOST_VECTORS),
        };
        for (key, n) in [("train", self.train), ("test", self.test)] {
            if n == 0 || n > most {
                bail!("{kind}.{key}: found {n} {what}, expected 1 to {most}");
            }
        }
        Ok(())
    }
}

/// Makes the dataset of a specification.
///
/// # Errors
/// If a split would be empty or larger than a million images.
pub(super) fn generate(spec: &SyntheticSpec) -> Result<Dataset> {
    spec.ensure_sizes(DatasetKind::Synthetic)?;
    let task = Task::new(spec.seed);
    let (train, test) = (task.split("train", spec.train), task.split("test", spec.test));
    Ok(Dataset::new(DatasetKind::Synthetic, train, test, Vec::new()))
}

type Latent = [f64; LATENT];

/// What all images of a seed share.
struct Task {
    seed: u64,
    teacher: Teacher,
    /// One image for each coordinate of the signal, then of the distractors, in grey levels.
    patterns: Vec<Vec<f32>>,
}

impl Task {
    fn new(seed: u64) -> Self {
        let mut stream = stream(seed, "synthetic/patterns");
        let scale = |levels: f64, count: usize| levels / (count as f64).sqrt();
        let mut patterns = Vec::with_capacity(LATENT + DISTRACTORS);
        for i in 0..LATENT + DISTRACTORS {
            let levels = if i < LATENT {
                scale(SIGNAL_LEVELS, LATENT)
            } else {
                scale(DISTRACTOR_LEVELS, DISTRACTORS)
            };
            patterns.push(pattern(&mut stream, levels));
        }
        Self { seed, teacher: Teacher::new(seed), patterns }
    }

    fn split(&self, name: &str, n: usize) -> Split {
        let mut latents = stream(self.seed, &format!("synthetic/{name}/latents"));
        let mut noise = stream(self.seed, &format!("synthetic/{name}/noise"));
        let mut split = Split { images: Vec::with_capacity(n * PIXELS), ..Split::default() };
        let mut levels = vec![0.0; PIXELS];
        let mut bytes = vec![0; 2 * PIXELS];
        for _ in 0..n {
            let z: Latent = normals(&mut latents);
            let rest: [f64; DISTRACTORS] = normals(&mut latents);
            levels.fill(127.5);
            for (z, pattern) in z.iter().chain(&rest).zip(&self.patterns) {
                let z = *z as f32;
                for (level, value) in levels.iter_mut().zip(pattern) {
                    *level += z * value;
                }
            }
            noise.fill_bytes(&mut bytes);
            let pixels = levels.iter().zip(bytes.chunks_exact(2));
            split.images.extend(pixels.map(|(level, pair)| to_byte(level + triangular(pair))));
            split.labels.push(self.teacher.label(&z));
        }
        split
    }
}

/// The nearest grey level; the cast cuts off what lies outside, as a camera does.
fn to_byte(level: f32) -> u8 {
    (level + 0.5) as u8
}

/// Noise of mean 0 and standard deviation [`NOISE_LEVELS`] with a triangular density, from two
/// random bytes: a normal draw for each of the 37 million pixels would take longer than all the rest.
fn triangular(pair: &[u8]) -> f32 {
    // The sum of two bytes has mean 255 and variance 2·(256² − 1)/12.
    const UNIT: f32 = 104.511_56;
    let sum: u16 = pair.iter().map(|&byte| u16::from(byte)).sum();
    (f32::from(sum) - 255.0) * (NOISE_LEVELS / UNIT)
}

fn normals<const N: usize>(stream: &mut Stream) -> [f64; N] {
    from_fn(|_| stream.sample(StandardNormal))
}

/// A smooth pattern: in each channel four plane waves of at most three periods an image side,
/// scaled to mean 0 and root mean square `levels` over the image.
fn pattern(stream: &mut Stream, levels: f64) -> Vec<f32> {
    const WAVES: usize = 4;
    const PERIODS: f64 = 3.0;
    let mut values = vec![0.0; PIXELS];
    for plane in values.chunks_exact_mut(PLANE) {
        for _ in 0..WAVES {
            let [fx, fy]: [f64; 2] = from_fn(|_| stream.random_range(-PERIODS..PERIODS));
            let phase = stream.random_range(0.0..TAU);
            for (i, value) in plane.iter_mut().enumerate() {
                let (x, y) = ((i % SIDE) as f64, (i / SIDE) as f64);
                *value += (TAU * (fx * x + fy * y) / SIDE as f64 + phase).cos();
            }
        }
    }
    let mean = values.iter().sum::<f64>() / PIXELS as f64;
    let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / PIXELS as f64;
    values.iter().map(|v| ((v - mean) * levels / square.sqrt()) as f32).collect()
}

/// The random network that labels a latent.
struct Teacher {
    weights: Vec<Latent>,
    phases: Vec<f64>,
    readout: Vec<[f64; HIDDEN]>,
    /// Of each class's score: what is subtracted, what divides, what is added.
    mean: [f64; CLASSES],
    std: [f64; CLASSES],
    bias: [f64; CLASSES],
}

impl Teacher {
    /// Latents on which the scores are standardised and the classes balanced. They are a draw of
    /// their own, so that the label of an image does not depend on how many images there are.
    const CALIBRATION: usize = 4096;

    fn new(seed: u64) -> Self {
        let mut draw = stream(seed, "synthetic/teacher");
        let scale = FREQUENCY / (LATENT as f64).sqrt();
        let mut teacher = Self {
            weights: (0..HIDDEN).map(|_| normals(&mut draw).map(|w: f64| w * scale)).collect(),
            phases: (0..HIDDEN).map(|_| draw.random_range(0.0..TAU)).collect(),
            readout: (0..CLASSES).map(|_| normals(&mut draw)).collect(),
            mean: [0.0; CLASSES],
            std: [1.0; CLASSES],
            bias: [0.0; CLASSES],
        };
        teacher.calibrate(&mut stream(seed, "synthetic/calibration"));
        teacher
    }

    fn calibrate(&mut self, draw: &mut Stream) {
        let raw: Vec<[f64; CLASSES]> =
            (0..Self::CALIBRATION).map(|_| self.scores(&normals(draw))).collect();
        let n = Self::CALIBRATION as f64;
        self.mean = from_fn(|c| raw.iter().map(|s| s[c]).sum::<f64>() / n);
        let mean = self.mean;
        self.std =
            from_fn(|c| (raw.iter().map(|s| (s[c] - mean[c]).powi(2)).sum::<f64>() / n).sqrt());
        let scores: Vec<[f64; CLASSES]> = raw.iter().map(|s| self.standardised(s)).collect();
        // A class that is too frequent is made less attractive, in proportion to the logarithm;
        // 50 steps bring every class within a few images of a tenth.
        for _ in 0..50 {
            let mut counts = [0.0; CLASSES];
            for score in &scores {
                counts[argmax(score, &self.bias)] += 1.0;
            }
            for (bias, count) in self.bias.iter_mut().zip(counts) {
                *bias -= 0.25 * ((count + 1.0) * CLASSES as f64 / n).ln();
            }
        }
    }

    /// The readout's output for a latent, before standardising.
    fn scores(&self, z: &Latent) -> [f64; CLASSES] {
        let hidden: [f64; HIDDEN] = from_fn(|h| (dot(&self.weights[h], z) + self.phases[h]).cos());
        from_fn(|c| dot(&self.readout[c], &hidden))
    }

    fn standardised(&self, raw: &[f64; CLASSES]) -> [f64; CLASSES] {
        from_fn(|c| (raw[c] - self.mean[c]) / self.std[c])
    }

    fn label(&self, z: &Latent) -> u8 {
        argmax(&self.standardised(&self.scores(z)), &self.bias) as u8
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The class with the largest score + bias.
fn argmax(scores: &[f64; CLASSES], bias: &[f64; CLASSES]) -> usize {
    let value = |c: usize| scores[c] + bias[c];
    (1..CLASSES).fold(0, |best, c| if value(c) > value(best) { c } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64, train: usize, test: usize) -> SyntheticSpec {
        SyntheticSpec { seed, train, test, ..SyntheticSpec::default() }
    }

    #[test]
    fn a_seed_is_a_dataset_and_another_seed_another() {
        let sha = |seed| generate(&spec(seed, 20, 10)).unwrap().provenance.sha256;
        assert_eq!(sha(1), sha(1));
        assert_ne!(sha(1), sha(2));
    }

    /// A changed task would silently change every demonstration's numbers. Labels, and not bytes,
    /// because they do not depend on a platform's last bit of a cosine.
    #[test]
    fn the_task_is_pinned() {
        let labels = generate(&spec(0, 16, 1)).unwrap().train.labels;
        assert_eq!(labels, [0, 2, 2, 9, 4, 1, 2, 2, 9, 1, 2, 3, 3, 5, 2, 5]);
    }

    #[test]
    fn a_larger_split_begins_with_the_smaller_one() {
        let (small, large) = (generate(&spec(3, 5, 3)).unwrap(), generate(&spec(3, 9, 4)).unwrap());
        assert_eq!(small.train.images, large.train.images[..5 * PIXELS]);
        assert_eq!(small.train.labels, large.train.labels[..5]);
        assert_eq!(small.test.images, large.test.images[..3 * PIXELS]);
    }

    #[test]
    fn the_splits_share_no_image() {
        let data = generate(&spec(0, 30, 30)).unwrap();
        for i in 0..30 {
            assert!((0..30).all(|j| data.train.image(i) != data.test.image(j)));
        }
    }

    /// A tenth of 4000 is 400; the binomial spread is 19, the calibration's own a little less.
    #[test]
    fn the_classes_are_about_equally_frequent() {
        for seed in 0..3 {
            let teacher = Teacher::new(seed);
            let mut draw = stream(seed, "synthetic/test/balance");
            let mut counts = [0_i32; CLASSES];
            for _ in 0..4000 {
                counts[usize::from(teacher.label(&normals(&mut draw)))] += 1;
            }
            assert!(counts.iter().all(|&n| (n - 400).abs() < 130), "{counts:?}");
        }
    }

    #[test]
    fn the_constants_standardise_the_images() {
        let data = generate(&spec(0, 300, 1)).unwrap();
        let batch = data.train_batch(&(0..300).collect::<Vec<u32>>(), None);
        let n = batch.inputs.len() as f64;
        let mean = batch.inputs.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let square = batch.inputs.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((square.sqrt() - 1.0).abs() < 0.05, "{square}");
    }

    #[test]
    fn the_noise_has_the_stated_spread() {
        let bytes: Vec<[u8; 2]> = (0..=255).flat_map(|a| (0..=255).map(move |b| [a, b])).collect();
        let values: Vec<f64> = bytes.iter().map(|pair| f64::from(triangular(pair))).collect();
        let n = values.len() as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / n;
        assert!((values.iter().sum::<f64>() / n).abs() < 1e-6);
        assert!((variance.sqrt() - f64::from(NOISE_LEVELS)).abs() < 1e-4);
    }

    /// Without a nonlinear part depth could not pay, without a linear part a shallow network
    /// would stay at chance. For cos(w·z + φ) with Gaussian z the best linear function is known,
    /// −exp(−‖w‖²/2) sin φ · w·z (Stein's lemma); it explains, averaged over frequencies,
    /// phases and classes, about a third of the variance.
    #[test]
    fn the_teacher_is_partly_linear_and_mostly_not() {
        for seed in 0..3 {
            let teacher = Teacher::new(seed);
            let share = |c: usize| {
                let mut linear = [0.0; LATENT];
                for h in 0..HIDDEN {
                    let w = &teacher.weights[h];
                    let slope = -(-dot(w, w) / 2.0).exp() * teacher.phases[h].sin();
                    for (sum, w) in linear.iter_mut().zip(w) {
                        *sum += teacher.readout[c][h] * slope * w;
                    }
                }
                dot(&linear, &linear) / teacher.std[c].powi(2)
            };
            let mean = (0..CLASSES).map(share).sum::<f64>() / CLASSES as f64;
            assert!((0.2..0.5).contains(&mean), "seed {seed}: {mean}");
        }
    }

    #[test]
    fn an_empty_or_absurd_split_is_refused_by_name() {
        let message = |s: SyntheticSpec| generate(&s).unwrap_err().to_string();
        assert_eq!(
            message(spec(0, 0, 1)),
            "synthetic.train: found 0 images, expected 1 to 1000000"
        );
        assert!(message(spec(0, 1, usize::MAX)).starts_with("synthetic.test"));
    }
}
