//! The four thresholds, and the runs they were calibrated on: data, not code.
//! Protocol §4, table of defaults (ResMLP d=256 L=4, CIFAR-10, batches of 128).

use crate::number::Number;
use serde::{Deserialize, Serialize};

/// When each diagnostic fires. The defaults are the published ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// A block multiplies the hidden norm by more than this.
    pub growth: f64,
    /// The median gradient norm at h_L is under this (batch-mean loss, N = 128).
    pub reference: f64,
    /// The mean pairwise cosine of batch gradients is above this.
    pub stability: f64,
    /// Depth brings less than this many percentage points.
    pub depth_utility: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        let [growth, reference, stability, depth_utility] = CALIBRATIONS.map(|c| c.threshold);
        Self { growth, reference, stability, depth_utility }
    }
}

/// What is known about a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    pub name: &'static str,
    /// The published default.
    pub threshold: f64,
    /// Thresholds in this range give the same verdicts on the calibration runs; `None` where no
    /// range separates them.
    pub same_verdicts: Option<[f64; 2]>,
    pub sentence: &'static str,
}

/// Growth, reference, stability, depth utility.
pub const CALIBRATIONS: [Calibration; 4] = [
    Calibration {
        name: "growth",
        threshold: 50.0,
        same_verdicts: Some([12.0, 693.0]),
        sentence: "Healthy runs reach at most 11.0 (BP, EP; 3 seeds), degenerate ones at least \
                   694 (DFA, SB, CB): any threshold from 12 to 693 gives the same verdicts. \
                   Random initialisations stay under 5, BP on ViT-Mini at or under 25 early in \
                   training.",
    },
    Calibration {
        name: "reference",
        threshold: 1e-7,
        same_verdicts: Some([4.2e-9, 1.0e-4]),
        sentence: "At N = 128 under a batch-mean loss, healthy runs stay at or above 1.02e-4 and \
                   degenerate ones at or under 4.18e-9: any floor from 4.2e-9 to 1.0e-4 gives \
                   the same verdicts. The value is proportional to 1/N.",
    },
    Calibration {
        name: "stability",
        threshold: 0.30,
        same_verdicts: None,
        sentence: "No clean separation: BP .10 and .11, EP -.04, DFA .05 (3-seed mean .16), \
                   SB .99 and .04, CB .35, random initialisations .08 to .18. Never decides.",
    },
    Calibration {
        name: "depth_utility",
        threshold: 2.0,
        same_verdicts: None,
        sentence: "Swept from 0.5 to 10 points: DFA without penalty (-4 points) fires at all of \
                   them; DFA with penalty 1e-2 (+1.1 to +1.4 points) fires only at 1.5 and above.",
    },
];

/// A threshold as it was used, with its calibration: part of every artefact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibratedThreshold {
    pub value: Number,
    pub published: Number,
    /// The calibrated range, or `null` where none separates the calibration runs.
    pub same_verdicts: Option<[Number; 2]>,
    pub calibration: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrations {
    pub growth: CalibratedThreshold,
    pub reference: CalibratedThreshold,
    pub stability: CalibratedThreshold,
    pub depth_utility: CalibratedThreshold,
}

impl Calibrations {
    /// The thresholds that were used.
    pub fn used(&self) -> Thresholds {
        Thresholds {
            growth: self.growth.value.0,
            reference: self.reference.value.0,
            stability: self.stability.value.0,
            depth_utility: self.depth_utility.value.0,
        }
    }
}

impl Thresholds {
    /// Each threshold with its calibration.
    pub fn calibrated(&self) -> Calibrations {
        let [growth, reference, stability, depth_utility] = CALIBRATIONS;
        let with = |value: f64, known: Calibration| CalibratedThreshold {
            value: Number(value),
            published: Number(known.threshold),
            same_verdicts: known.same_verdicts.map(|range| range.map(Number)),
            calibration: known.sentence.into(),
        };
        Calibrations {
            growth: with(self.growth, growth),
            reference: with(self.reference, reference),
            stability: with(self.stability, stability),
            depth_utility: with(self.depth_utility, depth_utility),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_published_ones_and_lie_in_their_calibrated_ranges() {
        let published =
            Thresholds { growth: 50.0, reference: 1e-7, stability: 0.30, depth_utility: 2.0 };
        assert_eq!(Thresholds::default(), published);
        assert_eq!(published.calibrated().used(), published);
        for known in CALIBRATIONS {
            if let Some([low, high]) = known.same_verdicts {
                assert!(low < known.threshold && known.threshold < high, "{}", known.name);
            }
        }
    }

    #[test]
    fn an_unknown_threshold_is_refused_and_a_missing_one_keeps_its_default() {
        let some: Thresholds = serde_json::from_str(r#"{"growth": 20.0}"#).unwrap();
        assert_eq!((some.growth, some.reference), (20.0, 1e-7));
        assert!(serde_json::from_str::<Thresholds>(r#"{"grwoth": 20.0}"#).is_err());
    }
}
