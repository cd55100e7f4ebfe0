//! Perturbation correlation ρ_l: does the credit foresee how the loss responds to a small change
//! of h_l?
//!
//! ```text
//! actual    = CE(h_l + εv) − CE(h_l)         through the rest of the network, each sample
//! predicted = ⟨a_l, εv⟩                      v Gaussian, length one for each sample
//! ρ_l       = Pearson correlation over the pooled (sample × direction) pairs
//! ```
//!
//! Protocol §5; arXiv:2606.21126 (32 directions, ε = 1e-3, 1024 samples; pooling inferred). Two
//! controls: the reference gradient (published for BP: +.9965) and a random vector (+.0056). Where
//! ‖h_l‖ has run away, εv is below the resolution of f32, in which the published ρ was taken: then its
//! positive control fails. So ρ is measured in f64, and the published one in f32 stands beside it. For isotropic directions the correlation of ⟨a, v⟩ and
//! ⟨g, v⟩ is cos(a, g) (protocol §13): ρ is the cosine pooled differently, no independent evidence.

use super::{deep, share};
use crate::number::Number;
use crate::stats::pearson;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Perturbation {
    /// `f64` or `f32`: the arithmetic in which the losses were computed.
    pub precision: String,
    pub epsilon: Number,
    pub directions: usize,
    pub samples: usize,
    /// Layers 0 … L.
    pub per_layer: Vec<PerturbationLayer>,
    /// Mean ρ of the credit over layers 1 … L−1 (as published); absent with fewer than two blocks.
    pub deep: Option<Number>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerturbationLayer {
    /// ρ of the method's credit.
    pub credit: Number,
    /// Positive control: ρ of the reference gradient.
    pub gradient: Number,
    /// Negative control: ρ of a random vector.
    pub random: Number,
    /// Share of pairs whose loss did not change at all: the perturbation is below the resolution
    /// of the arithmetic.
    pub unresolved: Number,
}

/// What the probe saw at one layer: pooled (sample × direction) pairs, all lists in one order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerturbationPairs {
    /// CE(h + εv) − CE(h), in nats.
    pub actual: Vec<f64>,
    /// ⟨a, εv⟩ for the credit a.
    pub credit: Vec<f64>,
    /// ⟨g, εv⟩ for the reference gradient g.
    pub gradient: Vec<f64>,
    /// ⟨r, εv⟩ for a random vector r.
    pub random: Vec<f64>,
}

/// The correlations at layers 0 … L. ρ is NaN where either side does not vary.
pub fn perturbation(
    layers: &[PerturbationPairs],
    epsilon: f64,
    directions: usize,
    samples: usize,
    precision: &str,
) -> Perturbation {
    let layer = |pairs: &PerturbationPairs| PerturbationLayer {
        credit: Number(pearson(&pairs.actual, &pairs.credit)),
        gradient: Number(pearson(&pairs.actual, &pairs.gradient)),
        random: Number(pearson(&pairs.actual, &pairs.random)),
        unresolved: Number(share(&pairs.actual, |change| change == 0.0)),
    };
    let per_layer: Vec<PerturbationLayer> = layers.iter().map(layer).collect();
    let credit: Vec<f64> = per_layer.iter().map(|l| l.credit.0).collect();
    Perturbation {
        precision: precision.into(),
        epsilon: Number(epsilon),
        directions,
        samples,
        deep: deep(&credit).map(Number),
        per_layer,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::rng;
    use super::*;
    use rand::RngExt;
    use rand_distr::{Distribution, StandardNormal};

    fn probe(layers: &[PerturbationPairs]) -> Perturbation {
        perturbation(layers, 1e-3, 32, 1024, "f64")
    }

    /// √(slope of y on x · slope of x on y), the slopes fitted by the normal equations.
    fn naive(x: &[f64], y: &[f64]) -> f64 {
        let slope = |x: &[f64], y: &[f64]| {
            let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for (x, y) in x.iter().zip(y) {
                n += 1.0;
                sx += x;
                sy += y;
                sxx += x * x;
                sxy += x * y;
            }
            (n * sxy - sx * sy) / (n * sxx - sx * sx)
        };
        let (forth, back) = (slope(x, y), slope(y, x));
        (forth * back).sqrt().copysign(forth)
    }

    #[test]
    fn agrees_with_the_slopes_of_both_regressions_at_every_layer() {
        let mut rng = rng(1);
        for _ in 0..40 {
            let (layers, count) = (rng.random_range(1..6), rng.random_range(3..50));
            let pairs: Vec<PerturbationPairs> = (0..layers)
                .map(|_| {
                    let mut draw = || (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
                    PerturbationPairs {
                        actual: draw(),
                        credit: draw(),
                        gradient: draw(),
                        random: draw(),
                    }
                })
                .collect();
            let found = probe(&pairs);
            let mut deep = Vec::new();
            for (l, (found, pairs)) in found.per_layer.iter().zip(&pairs).enumerate() {
                let near = |v: Number, of: &[f64]| (v.0 - naive(&pairs.actual, of)).abs() < 1e-7;
                assert!(near(found.credit, &pairs.credit));
                assert!(near(found.gradient, &pairs.gradient));
                assert!(near(found.random, &pairs.random));
                if l > 0 && l < layers - 1 {
                    deep.push(naive(&pairs.actual, &pairs.credit));
                }
            }
            assert_eq!(found.per_layer.len(), layers);
            match found.deep {
                None => assert!(deep.is_empty()),
                Some(v) => {
                    let expected = deep.iter().sum::<f64>() / deep.len() as f64;
                    assert!((v.0 - expected).abs() < 1e-7);
                }
            }
        }
    }

    #[test]
    fn four_pairs_give_the_correlations_by_hand() {
        // The deviations of 1, 3, 2, 4 from theirs: Σ = 4, over 5.
        let pairs = PerturbationPairs {
            actual: vec![1.0, 2.0, 3.0, 4.0],
            credit: vec![1e-9, 3e-9, 2e-9, 4e-9],
            gradient: vec![10.0, 20.0, 30.0, 40.0],
            random: vec![1.0, -1.0, -1.0, 1.0],
        };
        let found = probe(&[pairs]);
        let layer = &found.per_layer[0];
        assert!((layer.credit.0 - 0.8).abs() < 1e-12);
        assert!((layer.gradient.0 - 1.0).abs() < 1e-12);
        assert_eq!((layer.random.0, layer.unresolved.0), (0.0, 0.0));
        assert_eq!((found.directions, found.samples, found.deep), (32, 1024, None));
    }

    /// Protocol §13, on a loss that is linear: g and a of length one at 60°, ρ = cos 60°.
    #[test]
    fn under_isotropic_directions_rho_is_the_cosine() {
        let mut rng = rng(2);
        let (g, a) = ([1.0, 0.0, 0.0], [0.5, 0.75f64.sqrt(), 0.0]);
        let mut pairs = PerturbationPairs::default();
        for _ in 0..20_000 {
            let v: Vec<f64> = (0..3).map(|_| StandardNormal.sample(&mut rng)).collect();
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let along = |of: [f64; 3]| of.iter().zip(&v).map(|(x, y)| 1e-3 * x * y / length).sum();
            pairs.actual.push(along(g));
            pairs.credit.push(along(a));
            pairs.gradient.push(along(g));
            pairs.random.push(along([0.0, 0.0, 1.0]));
        }
        let layer = &probe(&[pairs]).per_layer[0];
        assert!((layer.credit.0 - 0.5).abs() < 0.02, "{:?}", layer.credit);
        assert!((layer.gradient.0 - 1.0).abs() < 1e-12);
        assert!(layer.random.0.abs() < 0.02, "{:?}", layer.random);
    }

    #[test]
    fn a_loss_that_never_moves_is_unresolved_and_has_no_correlation() {
        let still = PerturbationPairs {
            actual: vec![0.0; 3],
            credit: vec![1.0, 2.0, 4.0],
            gradient: vec![1.0, 2.0, 4.0],
            random: vec![1.0, 2.0, 4.0],
        };
        let partly = PerturbationPairs { actual: vec![0.0, 0.0, 1.0], ..still.clone() };
        let found = probe(&[partly.clone(), still, partly]);
        let lost = &found.per_layer[1];
        assert_eq!(lost.unresolved.0, 1.0);
        assert!(lost.credit.0.is_nan() && lost.gradient.0.is_nan() && lost.random.0.is_nan());
        assert!(found.deep.unwrap().0.is_nan());
        assert_eq!(found.per_layer[0].unresolved.0, 2.0 / 3.0);
        assert!(found.per_layer[0].credit.0 > 0.9);
    }

    #[test]
    fn a_nan_reaches_the_correlation_of_its_own_side_alone() {
        let pairs = PerturbationPairs {
            actual: vec![1.0, 2.0, 4.0],
            credit: vec![1.0, f64::NAN, 4.0],
            gradient: vec![1.0, 2.0, 4.0],
            random: vec![1.0, 2.0, f64::INFINITY],
        };
        let layer = &probe(&[pairs]).per_layer[0];
        assert!(layer.credit.0.is_nan() && layer.random.0.is_nan());
        assert!((layer.gradient.0 - 1.0).abs() < 1e-12);
    }
}
