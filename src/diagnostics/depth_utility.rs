//! (d) Depth utility, D3: does training the blocks pay?
//!
//! ```text
//! value = (accuracy − accuracy of the matched network with frozen blocks) · 100   percentage points
//! ```
//!
//! Protocol §4 (d); arXiv:2606.21126. Matched: same architecture, seed, initialisation and data
//! order, only that the blocks stay at their initialisation (protocol §2.6). Accuracies are fractions.

use super::{Measured, Measurement, Unmeasured};
use crate::number::Number;
use serde::{Deserialize, Serialize};

/// The run with frozen blocks that a trained one is held against.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenBaseline {
    /// A fraction.
    pub accuracy: f64,
    /// Which baseline it is and what trained its embedding, such as "frozen (embed by dfa)".
    pub method: String,
    /// Where its accuracy was read.
    pub source: String,
    /// Why it is not the matched one, such as `seed 7 instead of 42`; empty where it is.
    pub differs: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DepthUtility {
    pub frozen_accuracy: Option<Number>,
    pub frozen_method: Option<String>,
    pub frozen_source: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen_differs: Vec<String>,
}

/// The margin over the frozen baseline in percentage points, unless the run is `exempt`: its accuracy is
/// nothing that its rule reached.
pub fn depth_utility(
    accuracy: Option<f64>,
    frozen: Option<&FrozenBaseline>,
    exempt: Option<Unmeasured>,
) -> Measured<DepthUtility> {
    if let Some(why) = exempt {
        return Err(why);
    }
    let accuracy = accuracy.ok_or(Unmeasured::NoAccuracy)?;
    let frozen = frozen.ok_or(Unmeasured::NoFrozenTwin)?;
    Ok(Measurement {
        value: points_over(accuracy, frozen.accuracy),
        detail: DepthUtility {
            frozen_accuracy: Some(Number(frozen.accuracy)),
            frozen_method: Some(frozen.method.clone()),
            frozen_source: Some(frozen.source.clone()),
            frozen_differs: frozen.differs.clone(),
        },
    })
}

/// Percentage points of one accuracy over another, both fractions.
pub(super) fn points_over(accuracy: f64, baseline: f64) -> f64 {
    let points = (accuracy - baseline) * 100.0;
    // 0.363 − 0.343 is not 0.02 in binary; a margin of exactly two points must not fire for it.
    (points * 1e12).round() / 1e12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(accuracy: f64) -> FrozenBaseline {
        FrozenBaseline {
            accuracy,
            method: "frozen".into(),
            source: "frozen/run.json".into(),
            differs: Vec::new(),
        }
    }

    #[test]
    fn it_is_in_percentage_points_and_positive_when_depth_pays() {
        // Counted in test images instead of fractions: 5,800 and 3,490 of 10,000.
        let found = depth_utility(Some(0.58), Some(&frozen(0.349)), None).unwrap();
        assert!((found.value - (5800 - 3490) as f64 / 100.0).abs() < 1e-9);
        assert_eq!(found.detail.frozen_accuracy, Some(Number(0.349)));
        let worse = depth_utility(Some(0.296), Some(&frozen(0.349)), None).unwrap();
        assert!((worse.value + 5.3).abs() < 1e-9);
    }

    #[test]
    fn a_margin_of_exactly_two_points_is_exactly_two() {
        for correct in 0..9_800 {
            let (low, high) = (f64::from(correct) / 1e4, f64::from(correct + 200) / 1e4);
            let found = depth_utility(Some(high), Some(&frozen(low)), None).unwrap();
            assert_eq!(found.value, 2.0, "{correct}");
        }
    }

    #[test]
    fn without_a_twin_or_for_a_baseline_it_is_not_evaluated() {
        let twin = frozen(0.3);
        let found = |accuracy, frozen, exempt| depth_utility(accuracy, frozen, exempt);
        assert_eq!(found(Some(0.5), None, None), Err(Unmeasured::NoFrozenTwin));
        assert_eq!(found(None, Some(&twin), None), Err(Unmeasured::NoAccuracy));
        for exempt in [Unmeasured::IsBaseline, Unmeasured::NotItsNetwork] {
            assert_eq!(found(Some(0.5), Some(&twin), Some(exempt.clone())), Err(exempt));
        }
    }

    #[test]
    fn an_accuracy_that_is_nan_stays_nan() {
        let found = depth_utility(Some(f64::NAN), Some(&frozen(0.3)), None).unwrap();
        assert!(found.value.is_nan());
    }
}
