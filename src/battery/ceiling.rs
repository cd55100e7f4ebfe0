//! Is the true gradient, and the run that was trained by it, not beaten?
//!
//! Nothing predicts what a small change of h_l does better than ∂L/∂h_l, and the run that
//! backpropagation trained is the arm that others are measured against. A ceiling that loses is none:
//! the gradient is of another network or loss, or the arm was trained otherwise.

use super::CHANCE;
use crate::diagnostics::controls::Controls;
use crate::diagnostics::perturbation::Perturbation;
use crate::evidence::{Checked, Part};
use crate::words::{percent_fine, short};

pub const CHECK: &str = "ceiling";

/// A credit whose ρ is above the gradient's by more is the better gradient.
const ABOVE: f64 = 0.05;

/// Nor is a ceiling lost by less, a fraction: rules that are near it come to lie a little above it.
const CLEARLY: f64 = 0.05;

/// The run of backpropagation beside the one that is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Test accuracy, a fraction.
    pub accuracy: f64,
    pub source: String,
}

/// Holds the credit against the gradient, and the run against backpropagation's. `accuracy` is that of
/// the run on `samples` test images; `arm` says why, where there is a run that cannot be looked at.
pub fn ceiling(
    controls: Option<&Controls>,
    accuracy: f64,
    arm: Result<Option<Arm>, String>,
    samples: usize,
) -> Checked {
    let correlations = controls.and_then(|c| c.perturbation.found());
    if let Some(found) = correlations.and_then(beaten_gradient) {
        return found;
    }
    let arm = match arm {
        Ok(arm) => arm,
        Err(why) => return Checked::not_checkable(CHECK, format!("{why}.")),
    };
    if let Some(found) = arm.as_ref().and_then(|arm| beaten_arm(arm, accuracy, samples)) {
        return found;
    }
    let by_gradient = correlations
        .filter(|found| found.per_layer.iter().any(is_read))
        .map(|_| "no credit predicts the loss better than the reference gradient does".to_owned());
    let by_arm = arm.as_ref().map(|arm| {
        format!("backpropagation's run beside it is not beaten ({})", percent_fine(arm.accuracy))
    });
    let seen: Vec<String> = by_gradient.into_iter().chain(by_arm).collect();
    if seen.is_empty() {
        let why = "There is neither a perturbation to predict nor a run of backpropagation beside this one.";
        return Checked::not_checkable(CHECK, why);
    }
    let mut finding = seen.join(", and ") + ".";
    finding[..1].make_ascii_uppercase();
    Checked::holds(CHECK, finding)
}

fn is_read(layer: &crate::diagnostics::perturbation::PerturbationLayer) -> bool {
    layer.gradient.0.is_finite() && layer.credit.0.is_finite()
}

fn beaten_gradient(found: &Perturbation) -> Option<Checked> {
    let above = |(_, layer): &(usize, &_)| -> bool {
        let layer: &crate::diagnostics::perturbation::PerturbationLayer = layer;
        is_read(layer) && layer.credit.0 > layer.gradient.0 + ABOVE
    };
    let (l, layer) = found.per_layer.iter().enumerate().find(above)?;
    let finding = format!(
        "At h_{l} the credit predicts what a perturbation does better than the reference gradient (ρ {} and \
         {}), which is the best that can be: the gradient is that of another network, loss or mode.",
        short(layer.credit.0),
        short(layer.gradient.0)
    );
    Some(Checked::contradicted(CHECK, &[Part::Reference, Part::Cosine], finding))
}

fn beaten_arm(arm: &Arm, accuracy: f64, samples: usize) -> Option<Checked> {
    let spread = |p: f64| p * (1.0 - p) / samples as f64;
    let deviation = (spread(accuracy) + spread(arm.accuracy)).sqrt();
    let ahead = accuracy - arm.accuracy;
    (ahead > CLEARLY.max(CHANCE * deviation)).then(|| {
        let finding = format!(
            "Backpropagation, the ceiling, loses: its run {} of the same seed, data and length has {} where this \
             one has {}. One of both was not trained as it says, or backpropagation not with settings of its \
             own, and no share of its accuracy can be claimed.",
            arm.source,
            percent_fine(arm.accuracy),
            percent_fine(accuracy)
        );
        Checked::contradicted(CHECK, &[], finding)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::perturbation::PerturbationLayer;
    use crate::evidence::Standing;
    use crate::number::Number;

    fn arm(accuracy: f64) -> Arm {
        Arm { accuracy, source: "runs/bp".into() }
    }

    #[test]
    fn a_ceiling_arm_that_loses_is_named() {
        let found = ceiling(None, 0.55, Ok(Some(arm(0.40))), 1000);
        assert_eq!(found.standing, Standing::Contradicted);
        assert!(found.finding.contains("the ceiling, loses: its run runs/bp"), "{}", found.finding);
        for better in [0.54, 0.56, 0.9] {
            let found = ceiling(None, 0.55, Ok(Some(arm(better))), 1000);
            assert_eq!(found.standing, Standing::Holds, "{}", found.finding);
        }
        // Four points are more than chance among so many images, and no lost ceiling.
        let near = ceiling(None, 0.55, Ok(Some(arm(0.51))), 100_000);
        assert_eq!(near.standing, Standing::Holds, "{}", near.finding);
        assert_eq!(ceiling(None, 0.55, Ok(None), 1000).standing, Standing::NotCheckable);
        let unread = ceiling(None, 0.55, Err("runs/bp: damaged".into()), 1000);
        assert_eq!(unread.finding, "runs/bp: damaged.");
    }

    #[test]
    fn a_gradient_that_the_credit_beats_is_named() {
        let layer = |credit, gradient| PerturbationLayer {
            credit: Number(credit),
            gradient: Number(gradient),
            random: Number(0.0),
            unresolved: Number(0.0),
        };
        let found = |layers| {
            let pairs = Perturbation {
                precision: "f64".into(),
                epsilon: Number(1e-3),
                directions: 32,
                samples: 1024,
                deep: None,
                per_layer: layers,
            };
            beaten_gradient(&pairs)
        };
        let beaten = found(vec![layer(0.2, 0.99), layer(0.9, 0.4)]).unwrap();
        assert!(beaten.finding.starts_with("At h_1 the credit predicts"), "{}", beaten.finding);
        assert_eq!(found(vec![layer(0.999, 0.998), layer(f64::NAN, 0.4)]), None);
    }
}
