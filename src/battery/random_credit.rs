//! Is the cosine of random credit of the same norm zero?
//!
//! The credit of each sample is replaced by an isotropic vector of its length. Its cosine with any
//! gradient has mean 0 and variance 1/d, so that Γ_l, the mean over N samples, has the standard
//! deviation 1/√(N d). A Γ_l beyond six of these is made by the harness: a cosine folded to be positive,
//! samples that are counted twice, a reference that follows the credit.

use super::CHANCE;
use crate::diagnostics::cosine::per_layer;
use crate::diagnostics::{NORM_FLOOR, norm};
use crate::evidence::{Checked, Part};
use crate::rng;
use crate::trace::{LayerTrace, Matrix};
use crate::words::{list, signed};
use rand_distr::{Distribution, StandardNormal};

pub const CHECK: &str = "random credit";

/// Measures Γ_l of random credit, drawn from the streams `control/random-credit/<l>` of `seed`.
pub(super) fn random_credit(trace: &LayerTrace, seed: u64) -> Checked {
    let own = match per_layer(trace) {
        Ok(own) => own,
        Err(why) => return Checked::not_checkable(CHECK, format!("{why}.")),
    };
    let mut drawn = trace.clone();
    for l in 0..own.len() {
        let mut stream = rng::stream(seed, &format!("control/random-credit/{l}"));
        for batch in &mut drawn.batches {
            if let Some(credit) = &mut batch.credit {
                credit[l] = of_the_same_norm(&credit[l], &mut stream);
            }
        }
    }
    match per_layer(&drawn) {
        Ok(random) => judged(&random, &bands(trace), &own, &trace.training_layers()),
        Err(why) => Checked::not_checkable(CHECK, format!("{why}.")),
    }
}

fn of_the_same_norm(credit: &Matrix, stream: &mut rng::Stream) -> Matrix {
    let rows = credit.iter_rows().flat_map(|row| {
        let values: Vec<f64> = row.iter().map(|_| StandardNormal.sample(stream)).collect();
        let factor = norm(row) / norm(&values);
        values.into_iter().map(|v| factor * v).collect::<Vec<_>>()
    });
    Matrix::new(credit.rows(), credit.cols(), rows.collect())
}

/// What |Γ_l| of random credit stays under at each layer: 6/√(N d). Of N samples those count that have
/// a direction in credit and gradient.
fn bands(trace: &LayerTrace) -> Vec<f64> {
    let band = |l: usize| {
        let (mut samples, mut directed, mut width) = (0, 0, 1);
        for batch in &trace.batches {
            let (Some(a), Some(g)) = (&batch.credit, &batch.gradient) else { continue };
            width = a[l].cols();
            samples += a[l].rows();
            let pairs = a[l].iter_rows().zip(g[l].iter_rows());
            directed += pairs.filter(|(a, g)| norm(a) > NORM_FLOOR && norm(g) > NORM_FLOOR).count();
        }
        // Of the others the cosine counts as 0.
        let share = directed as f64 / samples as f64;
        CHANCE * share / (directed.max(1) as f64 * width as f64).sqrt()
    };
    (0..=trace.blocks()).map(band).collect()
}

fn judged(random: &[f64], bands: &[f64], own: &[f64], trains: &[usize]) -> Checked {
    if random.iter().any(|v| !v.is_finite()) {
        return Checked::not_checkable(CHECK, "Credit or gradient is not finite.");
    }
    let beyond: Vec<usize> = (0..random.len()).filter(|&l| random[l].abs() > bands[l]).collect();
    if let Some(&l) = beyond.first() {
        let layers: Vec<String> = beyond.iter().map(|l| format!("h_{l}")).collect();
        let finding = format!(
            "Random credit of the same norm has a cosine at {} that chance does not make ({} at h_{l}, where \
             six standard errors are {:.3}): the measured cosines hold as much that is no credit's.",
            list(&layers),
            signed(random[l]),
            bands[l]
        );
        return Checked::contradicted(CHECK, &[Part::Cosine, Part::Null], finding);
    }
    let (l, most) = random
        .iter()
        .copied()
        .enumerate()
        .fold((0, 0.0f64), |best, (l, v)| if v.abs() > best.1.abs() { (l, v) } else { best });
    let finding = format!(
        "Random credit of the same norm has no cosine at any layer ({} at most, at h_{l}).",
        signed(most)
    );
    let none = !trains.is_empty() && trains.iter().all(|&l| own[l].abs() <= bands[l]);
    let remark = none.then(|| {
        "At no layer that trains is the credit closer to the gradient than random vectors of its norm may \
         be: the cosines show no credit."
            .to_owned()
    });
    Checked::holds(CHECK, finding).remarking(remark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::testing::{noise, rng, same_everywhere, trace};
    use crate::evidence::Standing;

    #[test]
    fn random_credit_shows_nothing_on_recordings_of_every_kind() {
        for seed in 0..40 {
            let mut rng = rng(seed);
            let layers = (0..3).map(|_| noise(&mut rng, 20, 6, 1.0)).collect::<Vec<_>>();
            let found = random_credit(&trace(vec![same_everywhere(layers); 4]), seed);
            assert_eq!(found.standing, Standing::Holds, "{}", found.finding);
            assert!(found.remarks.is_empty(), "its own credit is the gradient");
        }
    }

    /// The mean of |cos| of random vectors in d features is about √(2/πd).
    #[test]
    fn a_cosine_that_is_folded_to_be_positive_is_named() {
        let folded = (2.0 / (std::f64::consts::PI * 6.0)).sqrt();
        let found = judged(&[0.01, folded, -0.01], &[0.3; 3], &[0.5; 3], &[0, 1]);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(
            found.finding.contains("at h_1 that chance does not make (+0.326"),
            "{}",
            found.finding
        );
    }

    #[test]
    fn a_reference_that_follows_the_credit_is_named() {
        let found = judged(&[1.0, 1.0], &[0.05; 2], &[1.0; 2], &[0]);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(found.finding.contains("h_0 and h_1"), "{}", found.finding);
    }

    #[test]
    fn a_credit_that_is_itself_random_is_remarked() {
        let found = judged(&[0.01; 3], &[0.05; 3], &[0.02, -0.03, 0.9], &[0, 1]);
        assert_eq!(found.standing, Standing::Holds);
        assert!(found.remarks[0].contains("the cosines show no credit"), "{:?}", found.remarks);
    }

    #[test]
    fn samples_without_a_direction_have_none_after_the_draw_either() {
        let mut stream = rng::stream(1, "test");
        let credit = Matrix::new(2, 3, vec![0.0, 0.0, 0.0, 3.0, 0.0, -4.0]);
        let drawn = of_the_same_norm(&credit, &mut stream);
        assert_eq!(drawn.row(0), [0.0; 3]);
        assert!((norm(drawn.row(1)) - 5.0).abs() < 1e-12);
    }
}
