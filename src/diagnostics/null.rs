//! Null calibration: which cosines would any fixed random feedback show?
//!
//! ```text
//! Γ_l^k = Γ_l with the credit recomputed under the k-th fresh draw of all feedback matrices
//! band  = [min_k Γ_l^k, max_k Γ_l^k]
//! p     = (1 + #{k : |Γ_l^k| ≥ |Γ_l|}) / (1 + K)                         two-sided
//! ```
//!
//! Protocol §5, §13; arXiv:2606.21126 (seed 42, penalised DFA: trained .1627, 20 draws
//! .0022 ± .0220). The network is fixed and only the credit is drawn anew, so the band is what
//! feedback that the network never met shows there. Empirical, never a formula: samples share one
//! feedback and are not independent. p counts the trained value among the draws, so that K draws
//! reach 1/(K+1) at best (Phipson and Smyth 2010): 20 are the fewest that go below .05.

use super::Unmeasured;
use crate::number::Number;
use crate::stats::{extremes, mean, sample_std};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NullCalibration {
    /// Fresh draws of all feedback matrices.
    pub draws: usize,
    /// Layers 0 … L.
    pub per_layer: Vec<NullLayer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NullLayer {
    /// Γ_l under the feedback that trained the network.
    pub trained: Number,
    /// Mean and sample standard deviation of Γ_l over the draws.
    pub mean: Number,
    pub std: Option<Number>,
    /// The null band: smallest and largest Γ_l of the draws.
    pub low: Number,
    pub high: Number,
    /// Two-sided empirical p-value (1 + #{|Γ_draw| ≥ |Γ_trained|}) / (1 + draws); absent where the
    /// credit does not depend on the feedback.
    pub p: Option<Number>,
    /// Whether the trained value lies inside the band.
    pub inside: bool,
    /// Whether the draws change this layer's credit at all (FA's last block receives the exact
    /// gradient).
    pub depends: bool,
}

/// Holds Γ_0 … Γ_L under the feedback that trained the network against those under fresh draws:
/// `draws[k][l]` is Γ_l under the k-th. A NaN makes p NaN and lies outside.
pub fn null_calibration(
    trained: &[f64],
    draws: &[Vec<f64>],
) -> Result<NullCalibration, Unmeasured> {
    if draws.is_empty() {
        return Err(Unmeasured::NoFeedback);
    }
    if let Some(k) = draws.iter().position(|draw| draw.len() != trained.len()) {
        return Err(Unmeasured::Malformed(format!(
            "draw {k} of the null has {} layers where the network has {}",
            draws[k].len(),
            trained.len()
        )));
    }
    let layer = |(l, &trained): (usize, &f64)| {
        let values: Vec<f64> = draws.iter().map(|draw| draw[l]).collect();
        NullLayer::of(trained, &values)
    };
    let per_layer = trained.iter().enumerate().map(layer).collect();
    Ok(NullCalibration { draws: draws.len(), per_layer })
}

impl NullLayer {
    fn of(trained: f64, draws: &[f64]) -> Self {
        let (low, high) = extremes(draws);
        // A NaN equals nothing: it counts as changed, since nothing shows that it did not.
        let depends = draws.iter().any(|&v| v != trained);
        let p = if trained.is_nan() || low.is_nan() {
            f64::NAN
        } else {
            let as_large = draws.iter().filter(|v| v.abs() >= trained.abs()).count();
            (1 + as_large) as f64 / (1 + draws.len()) as f64
        };
        Self {
            trained: Number(trained),
            mean: Number(mean(draws)),
            std: sample_std(draws).map(Number),
            low: Number(low),
            high: Number(high),
            p: depends.then_some(Number(p)),
            inside: depends && low <= trained && trained <= high,
            depends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, rng};
    use super::*;
    use rand::RngExt;

    /// One layer under these draws.
    fn layer(trained: f64, draws: &[f64]) -> NullLayer {
        let draws: Vec<Vec<f64>> = draws.iter().map(|&v| vec![v]).collect();
        null_calibration(&[trained], &draws).unwrap().per_layer.remove(0)
    }

    /// p and band from the sorted draws.
    fn naive(trained: f64, draws: &[f64]) -> (f64, bool) {
        let mut sorted = draws.to_vec();
        sorted.sort_by(f64::total_cmp);
        let inside = sorted[0] <= trained && *sorted.last().unwrap() >= trained;
        let mut sizes: Vec<f64> = draws.iter().map(|v| v * v).collect();
        sizes.sort_by(f64::total_cmp);
        let smaller = sizes.partition_point(|&v| v < trained * trained);
        (1.0 - smaller as f64 / (draws.len() + 1) as f64, inside)
    }

    #[test]
    fn agrees_with_the_sorted_draws_at_every_layer() {
        let mut rng = rng(1);
        let (mut inside, mut outside) = (0, 0);
        for _ in 0..200 {
            let (layers, count) = (rng.random_range(1..6), rng.random_range(1..8));
            let trained: Vec<f64> = (0..layers).map(|_| rng.random_range(-1.0..1.0)).collect();
            let draws: Vec<Vec<f64>> = (0..count)
                .map(|_| (0..layers).map(|_| rng.random_range(-0.7..0.9)).collect())
                .collect();
            let found = null_calibration(&trained, &draws).unwrap();
            assert_eq!((found.draws, found.per_layer.len()), (count, layers));
            for (l, layer) in found.per_layer.iter().enumerate() {
                let column: Vec<f64> = draws.iter().map(|draw| draw[l]).collect();
                let (p, within) = naive(trained[l], &column);
                assert!(close(layer.p.unwrap().0, p));
                assert_eq!((layer.inside, layer.trained.0), (within, trained[l]));
                inside += usize::from(within);
                outside += usize::from(!within);
            }
        }
        assert!(inside > 100 && outside > 100);
    }

    #[test]
    fn four_draws_give_the_band_and_the_p_by_hand() {
        // |−.6| and |.5| reach |.5|: p = 3/5. Σ(v − .05)² = .65.
        let found = layer(0.5, &[0.1, -0.6, 0.5, 0.2]);
        assert_eq!((found.low.0, found.high.0), (-0.6, 0.5));
        assert!(close(found.mean.0, 0.05) && close(found.p.unwrap().0, 0.6));
        assert!(close(found.std.unwrap().0, (0.65f64 / 3.0).sqrt()));
        assert!(found.inside && found.depends);
    }

    #[test]
    fn the_published_seed_stands_out_of_twenty_draws_with_the_least_p_they_can_show() {
        let draws: Vec<f64> = (0..20).map(|k| 0.0022 + 0.0220 * (k as f64 - 9.5) / 6.0).collect();
        for trained in [0.1627, -0.1627] {
            let found = layer(trained, &draws);
            assert!(!found.inside && close(found.p.unwrap().0, 1.0 / 21.0));
        }
        assert!(layer(0.03, &draws).inside);
    }

    /// Where the trained value is but another draw, p ≤ k/(K+1) happens just that often.
    #[test]
    fn under_the_null_p_is_uniform() {
        let mut rng = rng(2);
        let repeats = 4000;
        let mut p = Vec::new();
        for _ in 0..repeats {
            let mut all: Vec<f64> = (0..20).map(|_| rng.random_range(-1.0..1.0)).collect();
            let trained = all.pop().unwrap();
            p.push(layer(trained, &all).p.unwrap().0);
        }
        for k in [1, 5, 10, 16] {
            let level = f64::from(k) / 20.0;
            let seen = p.iter().filter(|&&p| p <= level + 1e-9).count() as f64 / repeats as f64;
            assert!((seen - level).abs() < 0.03, "{level}: {seen}");
        }
    }

    #[test]
    fn a_credit_that_no_draw_changes_has_no_p_and_lies_in_no_band() {
        let exact = layer(1.0, &[1.0, 1.0]);
        assert_eq!((exact.depends, exact.inside, exact.p), (false, false, None));
        let nearly = layer(1.0, &[1.0, 1.0 - 1e-15]);
        assert!(nearly.depends && nearly.inside && nearly.p == Some(Number(2.0 / 3.0)));
    }

    #[test]
    fn a_nan_is_never_significant() {
        for (trained, draws) in
            [(f64::NAN, [0.1, 0.2]), (0.5, [f64::NAN, 0.2]), (f64::NAN, [f64::NAN; 2])]
        {
            let found = layer(trained, &draws);
            assert!(found.depends && !found.inside && found.p.unwrap().0.is_nan());
        }
    }

    #[test]
    fn one_draw_has_no_deviation_and_no_draw_no_null() {
        assert_eq!(layer(0.5, &[0.1]).std, None);
        assert_eq!(null_calibration(&[0.5], &[]), Err(Unmeasured::NoFeedback));
        let uneven = null_calibration(&[0.5, 0.5], &[vec![0.1, 0.2], vec![0.1]]);
        assert_eq!(
            uneven.unwrap_err().to_string(),
            "the trace is malformed: draw 1 of the null has 1 layers where the network has 2"
        );
    }
}
