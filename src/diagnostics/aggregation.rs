//! Aggregation: what one number for all layers depends on, and what it hides.
//!
//! ```text
//! four aggregates   = {mean, median} over layers of {mean, median} over samples of cos_i(l)
//! misrepresentation = mean over layers of Γ_l − median over layers of Γ_l
//! carriers          = fewest layers that hold 80 % of Σ|Γ_l|
//! ```
//!
//! Protocol §5, §7 (pitfalls 5, 6); arXiv:2606.21126. The four are inferred: the source names none,
//! and on one checkpoint they ran from −.028 to +.074. Layers are block positions 0 … L−1, as in the
//! aggregate of [`cosine`](super::cosine): a_L trains no block (without blocks position 0 alone). Mode 2
//! ("aggregation collapse") is that few layers carry the aggregate; the null band says which of them
//! show more than any feedback would.

use super::null::NullCalibration;
use super::{NORM_FLOOR, Unmeasured, batches, credit, deep, floored_cosine, gradient};
use crate::number::Number;
use crate::stats::{extremes, mean, median};
use crate::trace::LayerTrace;
use serde::{Deserialize, Serialize};

/// The layers named together hold at least this share of Σ|Γ_l|. Recommended, not published.
pub const CARRIED: f64 = 0.8;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregation {
    /// Mean and median over layers of mean and median over samples.
    pub values: Vec<Aggregate>,
    pub lowest: Number,
    pub highest: Number,
    /// Whether two of the values differ in sign.
    pub sign_flip: bool,
    /// Mean over block positions 1 … L−1; absent with fewer than two blocks.
    pub deep: Option<Number>,
    /// The aggregate (mean of means) minus the median layer's mean.
    pub misrepresentation: Number,
    /// The fewest layers that hold together 80 % of Σ|Γ_l|, the largest first; empty where every
    /// cosine is zero or one is not finite.
    pub carriers: Vec<usize>,
    /// What they hold together of Σ|Γ_l|.
    pub carried: Option<Number>,
    /// Block positions whose Γ_l lies inside the null band; absent without a null.
    pub inside_null: Option<Vec<usize>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// `mean` or `median`.
    pub over_layers: String,
    /// `mean` or `median`.
    pub over_samples: String,
    pub value: Number,
}

/// The aggregates of the cosines of credit and reference gradient.
pub fn aggregation(
    trace: &LayerTrace,
    null: Option<&NullCalibration>,
) -> Result<Aggregation, Unmeasured> {
    let batches = batches(trace)?;
    let layers = batches[0].hidden.len();
    let (mut means, mut medians) = (Vec::with_capacity(layers), Vec::with_capacity(layers));
    for l in 0..layers {
        let mut cosines = Vec::new();
        for batch in &batches {
            let (a, g) = (&credit(batch)?[l], &gradient(batch)?[l]);
            let pairs = a.iter_rows().zip(g.iter_rows());
            cosines.extend(pairs.map(|(a, g)| floored_cosine(a, g, NORM_FLOOR)));
        }
        means.push(mean(&cosines));
        medians.push(median(&cosines));
    }
    let deep = deep(&means);
    let positions = trace.training_layers();
    let chosen = |values: &[f64]| -> Vec<f64> { positions.iter().map(|&l| values[l]).collect() };
    let (means, medians) = (chosen(&means), chosen(&medians));

    let aggregates = [
        ("mean", "mean", mean(&means)),
        ("mean", "median", mean(&medians)),
        ("median", "mean", median(&means)),
        ("median", "median", median(&medians)),
    ];
    let (lowest, highest) = extremes(&aggregates.map(|(.., value)| value));
    let concentration = Concentration::of(&means);
    Ok(Aggregation {
        lowest: Number(lowest),
        highest: Number(highest),
        sign_flip: lowest < 0.0 && highest > 0.0,
        deep: deep.map(Number),
        misrepresentation: Number(mean(&means) - median(&means)),
        carried: concentration.as_ref().map(|c| Number(c.share)),
        carriers: concentration
            .map_or_else(Vec::new, |c| c.carriers.into_iter().map(|i| positions[i]).collect()),
        inside_null: null.map(|null| inside(null, &positions)).transpose()?,
        values: aggregates.map(Aggregate::from).into(),
    })
}

impl From<(&str, &str, f64)> for Aggregate {
    fn from((over_layers, over_samples, value): (&str, &str, f64)) -> Self {
        Self {
            over_layers: over_layers.into(),
            over_samples: over_samples.into(),
            value: Number(value),
        }
    }
}

/// The positions whose cosine lies inside the null band.
fn inside(null: &NullCalibration, positions: &[usize]) -> Result<Vec<usize>, Unmeasured> {
    let mut inside = Vec::new();
    for &l in positions {
        let Some(layer) = null.per_layer.get(l) else {
            return Err(Unmeasured::Malformed(format!(
                "the null has {} layers, and none of number {l}",
                null.per_layer.len()
            )));
        };
        inside.extend(layer.inside.then_some(l));
    }
    Ok(inside)
}

/// How the credit is spread over block positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Concentration {
    /// The fewest layers that hold [`CARRIED`] of Σ|Γ_l|, the largest first.
    pub carriers: Vec<usize>,
    /// What they hold together of Σ|Γ_l|, and the first of them alone.
    pub share: f64,
    pub top_share: f64,
}

impl Concentration {
    /// Of Γ_0 … Γ_{L−1}. `None` where all are zero or one is not finite.
    pub fn of(cosines: &[f64]) -> Option<Self> {
        // Ten equal layers: eight hold 80 %, though their shares add up to a rounding error less.
        const ROUNDING: f64 = 1e-12;
        let total: f64 = cosines.iter().map(|v| v.abs()).sum();
        if !(total.is_finite() && total > 0.0) {
            return None;
        }
        let share_of = |l: usize| cosines[l].abs() / total;
        let mut order: Vec<usize> = (0..cosines.len()).collect();
        order.sort_by(|&a, &b| share_of(b).total_cmp(&share_of(a)));
        let mut share = 0.0;
        let mut carriers = Vec::new();
        for l in order {
            if share >= CARRIED - ROUNDING {
                break;
            }
            share += share_of(l);
            carriers.push(l);
        }
        let top_share = share_of(*carriers.first()?);
        Some(Self { carriers, share, top_share })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cosine::cosine;
    use super::super::null::null_calibration;
    use super::super::testing::{batch, matrix, random_trace, rng, same_everywhere, trace};
    use super::*;
    use crate::number::numbers;
    use crate::trace::{BatchTrace, Matrix};
    use rand::RngExt;

    /// A batch whose sample i has the angle of `layers[l][i]` = (x, y) to the gradient at layer l.
    fn angled(layers: &[&[(f64, f64)]]) -> BatchTrace {
        let credit = |samples: &&[(f64, f64)]| {
            let data = samples.iter().flat_map(|&(x, y)| [x, y]).collect();
            Matrix::new(samples.len(), 2, data)
        };
        let along = vec![matrix(&vec![&[2.0, 0.0][..]; layers[0].len()]); layers.len()];
        BatchTrace {
            credit: Some(layers.iter().map(credit).collect()),
            gradient: Some(along.clone()),
            ..batch(along)
        }
    }

    /// The middle by discarding both ends; the mean of two.
    fn middle(values: &[f64]) -> f64 {
        let mut left = values.to_vec();
        while left.len() > 2 {
            let smallest = (0..left.len()).min_by(|&a, &b| left[a].total_cmp(&left[b])).unwrap();
            left.remove(smallest);
            let largest = (0..left.len()).max_by(|&a, &b| left[a].total_cmp(&left[b])).unwrap();
            left.remove(largest);
        }
        left.iter().sum::<f64>() / left.len() as f64
    }

    #[test]
    fn an_aggregate_of_zero_has_no_sign_to_flip() {
        // Cosines 0, 0 and ±1: the median is 0, the mean ±1/3.
        for last in [1.0, -1.0] {
            let layers = [&[(0.0, 1.0)][..], &[(0.0, 1.0)], &[(last, 0.0)], &[(1.0, 0.0)]];
            let found = aggregation(&trace(vec![angled(&layers)]), None).unwrap();
            assert_eq!(found.lowest.0.min(-found.highest.0), -1.0 / 3.0, "{found:?}");
            assert!(found.lowest.0 == 0.0 || found.highest.0 == 0.0, "{found:?}");
            assert!(!found.sign_flip, "{found:?}");
        }
    }

    #[test]
    fn agrees_with_angles_between_unit_vectors() {
        for seed in 0..40 {
            let trace = random_trace(seed);
            let found = aggregation(&trace, None).unwrap();
            let (mut means, mut medians) = (Vec::new(), Vec::new());
            for l in 0..trace.blocks() {
                let mut cosines = Vec::new();
                for batch in &trace.batches {
                    let unit = |matrix: &Matrix, i: usize| -> Vec<f64> {
                        let row = matrix.row(i);
                        let length = row.iter().fold(0.0, |s: f64, &v| s.hypot(v));
                        row.iter().map(|v| v / length).collect()
                    };
                    for i in 0..batch.samples() {
                        let a = unit(&batch.credit.as_ref().unwrap()[l], i);
                        let g = unit(&batch.gradient.as_ref().unwrap()[l], i);
                        let chord = a.iter().zip(&g).fold(0.0, |s: f64, (x, y)| s.hypot(x - y));
                        cosines.push((2.0 * (chord / 2.0).asin()).cos());
                    }
                }
                means.push(cosines.iter().rev().sum::<f64>() / cosines.len() as f64);
                medians.push(middle(&cosines));
            }
            let average = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
            let expected = [average(&means), average(&medians), middle(&means), middle(&medians)];
            for (value, expected) in found.values.iter().zip(expected) {
                assert!((value.value.0 - expected).abs() < 1e-12, "seed {seed} {value:?}");
            }
            assert_eq!(found.values[0].value.0, cosine(&trace).unwrap().value);
            assert!(expected.iter().any(|v| (found.lowest.0 - v).abs() < 1e-12));
            assert!(expected.iter().all(|v| found.lowest.0 <= v + 1e-12));
            assert!(expected.iter().all(|v| found.highest.0 >= v - 1e-12));
            let products = expected.iter().flat_map(|a| expected.iter().map(move |b| a * b));
            assert_eq!(found.sign_flip, products.fold(0.0, f64::min) < 0.0);
            assert!((found.misrepresentation.0 - (expected[0] - expected[2])).abs() < 1e-12);
            match found.deep {
                None => assert_eq!(trace.blocks(), 1),
                Some(deep) => assert!((deep.0 - average(&means[1..])).abs() < 1e-12),
            }
        }
    }

    #[test]
    fn three_positions_of_pythagorean_angles_by_hand() {
        // Γ: (1 + .8 + 0)/3 = .6 (median .8) and twice (.6 − .6 − .6)/3 = −.2 (median −.6).
        // a_L is parallel and stays out.
        let (down, up) = ((-3.0, 4.0), (3.0, 4.0));
        let found = aggregation(
            &trace(vec![angled(&[
                &[(1.0, 0.0), (4.0, 3.0), (0.0, 1.0)],
                &[up, down, down],
                &[down, up, down],
                &[(1.0, 0.0); 3],
            ])]),
            None,
        )
        .unwrap();
        let near = |v: Number, expected: f64| (v.0 - expected).abs() < 1e-12;
        for (value, (layers, samples, expected)) in found.values.iter().zip([
            ("mean", "mean", 0.2 / 3.0),
            ("mean", "median", -0.4 / 3.0),
            ("median", "mean", -0.2),
            ("median", "median", -0.6),
        ]) {
            assert_eq!((&*value.over_layers, &*value.over_samples), (layers, samples));
            assert!(near(value.value, expected), "{value:?}");
        }
        assert!(near(found.lowest, -0.6) && near(found.highest, 0.2 / 3.0) && found.sign_flip);
        assert!(near(found.deep.unwrap(), -0.2));
        assert!(near(found.misrepresentation, 0.8 / 3.0));
        // .6 + .2 of 1.0.
        assert_eq!(found.carriers.len(), 2);
        assert_eq!(found.carriers[0], 0);
        assert!(near(found.carried.unwrap(), 0.8));
        assert_eq!(found.inside_null, None);
    }

    #[test]
    fn layers_inside_the_null_band_are_named_and_the_last_is_not() {
        let network = trace(vec![angled(&[&[(1.0, 0.0)], &[(0.0, 1.0)], &[(0.0, 1.0)]])]);
        let draws = [vec![0.1, 0.1, 0.1], vec![-0.1, -0.1, -0.1]];
        let null = null_calibration(&[1.0, 0.0, 0.0], &draws).unwrap();
        let found = aggregation(&network, Some(&null)).unwrap();
        assert_eq!(found.inside_null, Some(vec![1]));
        assert_eq!(found.carriers, [0]);
        let short = NullCalibration { per_layer: vec![], ..null };
        assert!(matches!(aggregation(&network, Some(&short)), Err(Unmeasured::Malformed(_))));
    }

    /// Every subset of layers: the smallest that reach 80 %, and of those the largest sum.
    #[test]
    fn the_carriers_are_the_best_of_all_subsets() {
        let mut rng = rng(1);
        for _ in 0..200 {
            let layers = rng.random_range(1..9usize);
            let cosines: Vec<f64> =
                (0..layers).map(|_| rng.random_range(-1.0f64..1.0).powi(3)).collect();
            let total: f64 = cosines.iter().map(|v| v.abs()).sum();
            let held = |set: u32| -> f64 {
                (0..layers).filter(|l| set >> l & 1 == 1).map(|l| cosines[l].abs() / total).sum()
            };
            let reach = (1..1u32 << layers).filter(|&set| held(set) >= 0.8);
            let least = reach.clone().map(u32::count_ones).min().unwrap();
            let best = reach.filter(|set| set.count_ones() == least).map(held).fold(0.0, f64::max);
            let found = Concentration::of(&cosines).unwrap();
            assert_eq!(found.carriers.len(), least as usize, "{cosines:?}");
            assert!((found.share - best).abs() < 1e-12);
            let largest = cosines.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert_eq!(cosines[found.carriers[0]].abs(), largest);
            assert!((found.top_share - largest / total).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_layers_carry_alike_and_the_published_ones_do_not() {
        assert_eq!(Concentration::of(&[-0.1; 10]).unwrap().carriers.len(), 8);
        assert_eq!(Concentration::of(&[0.3; 5]).unwrap().carriers.len(), 4);
        // Protocol §6.2, final figure 1: FA at the output end, DFA at the input end.
        let fa = Concentration::of(&[0.016, 0.072, -0.085, 0.997]).unwrap();
        assert_eq!(fa.carriers, [3]);
        let dfa = Concentration::of(&[0.400, 0.001, -0.0004, -0.002]).unwrap();
        assert_eq!(dfa.carriers, [0]);
        assert!((dfa.top_share - 0.4 / 0.4034).abs() < 1e-12);
    }

    #[test]
    fn without_credit_anywhere_nobody_carries() {
        assert_eq!(Concentration::of(&[0.0, 0.0]), None);
        assert_eq!(Concentration::of(&[]), None);
        assert_eq!(Concentration::of(&[f64::INFINITY, 1.0]), None);
        let silent = aggregation(&trace(vec![angled(&[&[(0.0, 0.0)], &[(0.0, 0.0)]])]), None);
        let silent = silent.unwrap();
        assert_eq!((silent.carriers.len(), silent.carried, silent.sign_flip), (0, None, false));
        assert_eq!(silent.values.iter().map(|v| v.value).collect::<Vec<_>>(), numbers(&[0.0; 4]));
    }

    #[test]
    fn a_nan_reaches_every_aggregate_and_a_lone_position_is_its_own() {
        let lost = trace(vec![angled(&[&[(f64::NAN, 0.0)], &[(1.0, 0.0)], &[(1.0, 0.0)]])]);
        let lost = aggregation(&lost, None).unwrap();
        assert!(lost.values.iter().all(|v| v.value.0.is_nan()));
        assert!(lost.lowest.0.is_nan() && lost.highest.0.is_nan() && !lost.sign_flip);
        assert!(lost.misrepresentation.0.is_nan() && lost.carriers.is_empty());
        assert_eq!(lost.deep, Some(Number(1.0)));
        let lone = aggregation(&trace(vec![angled(&[&[(4.0, 3.0)]])]), None).unwrap();
        assert!(lone.values.iter().all(|v| (v.value.0 - 0.8).abs() < 1e-12));
        assert_eq!((lone.deep, lone.misrepresentation.0), (None, 0.0));
        assert_eq!(lone.carriers, [0]);
        let mut bare = same_everywhere(vec![matrix(&[&[1.0]])]);
        bare.credit = None;
        assert_eq!(aggregation(&trace(vec![bare]), None), Err(Unmeasured::NoCredit));
    }
}
