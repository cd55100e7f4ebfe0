//! What a learned credit gains: accuracy over twins whose auxiliary network learns something else.
//!
//! ```text
//! gain = (accuracy − accuracy of the twin) · 100   percentage points
//! ```
//!
//! Protocol §14: blended into DFA (.312) an auxiliary network gave .324, on shuffled targets .325: any
//! network that learns beside the trained one and knows the depth gains about 1.3 points. So a gain is
//! the learned credit's only as far as the twin with shuffled targets does not have it. The twins share
//! all else with the run: seed, initialisation, data order, rule and penalty.

use super::controls::Control;
use super::depth_utility::points_over;
use crate::number::Number;
use crate::stats::{interval_95, mean};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the auxiliary network of the twin learns that decides: the targets of other samples.
pub const DECIDES: &str = "shuffled";

/// What a run gains over each of its twins, by what the twin's auxiliary network learns (`shuffled`,
/// `random`, `zero-target`, `untrained`), or why that is not known. Without twins it is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LearnedCredit {
    pub over: BTreeMap<String, Control<TwinGain>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinGain {
    /// Of the twin, a fraction.
    pub accuracy: Number,
    /// Percentage points.
    pub gain: Number,
    /// Where its accuracy was read.
    pub source: String,
}

impl TwinGain {
    /// Of a run of this accuracy over a twin of that, both fractions.
    pub fn new(accuracy: f64, twin: f64, source: String) -> Self {
        Self { accuracy: Number(twin), gain: Number(points_over(accuracy, twin)), source }
    }
}

impl LearnedCredit {
    /// What it gains over the twin that decides.
    pub fn decisive(&self) -> Option<&TwinGain> {
        self.over.get(DECIDES).and_then(Control::found)
    }

    /// The same twins, their gains reckoned anew from a run of this accuracy.
    pub fn of_accuracy(&self, accuracy: f64) -> Self {
        let again = |found: &Control<TwinGain>| match found.found() {
            Some(twin) => {
                Control::Found(TwinGain::new(accuracy, twin.accuracy.0, twin.source.clone()))
            }
            None => found.clone(),
        };
        Self { over: self.over.iter().map(|(name, found)| (name.clone(), again(found))).collect() }
    }
}

/// Whether the twin does as well as the run, by what the run has over it on each seed: nothing on
/// average, or no more than other seeds might turn round (the 95 % interval of the mean reaches down to
/// zero). A value that is not a number is no gain.
pub fn does_as_well(over: &[f64]) -> bool {
    let is_above = |value: f64| value > 0.0;
    !is_above(mean(over)) || interval_95(over).is_some_and(|interval| !is_above(interval.low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_in_points_and_exact() {
        let found = TwinGain::new(0.363, 0.343, "twin".into());
        assert_eq!((found.accuracy.0, found.gain.0), (0.343, 2.0));
        assert_eq!(TwinGain::new(0.24, 0.25, "twin".into()).gain.0, -1.0);
        assert!(TwinGain::new(f64::NAN, 0.25, "twin".into()).gain.0.is_nan());
    }

    #[test]
    fn a_twin_does_as_well_where_the_gain_is_none_or_other_seeds_may_turn_it() {
        // Of one seed its sign alone.
        assert!(!does_as_well(&[0.1]) && does_as_well(&[0.0]) && does_as_well(&[-0.1]));
        // 2 ± 2.48 reaches below zero; 3 ± 2.48 does not.
        assert!(does_as_well(&[1.0, 2.0, 3.0]) && !does_as_well(&[2.0, 3.0, 4.0]));
        assert!(does_as_well(&[-4.0, -3.0, -2.0]));
        assert!(!does_as_well(&[1.0, 1.0, 1.0]) && does_as_well(&[0.0, 0.0, 0.0]));
        assert!(does_as_well(&[f64::NAN]) && does_as_well(&[5.0, f64::NAN, 5.0]));
        assert!(does_as_well(&[]), "nothing was gained on no seed");
    }

    #[test]
    fn what_decides_is_a_word_of_the_configuration() {
        assert_eq!(DECIDES, crate::config::Auxiliary::Shuffled.word());
    }

    #[test]
    fn gains_are_reckoned_anew_and_what_is_not_known_stays() {
        let twin = Control::Found(TwinGain::new(0.5, 0.4, "twin".into()));
        let over = [(DECIDES.to_owned(), twin), ("random".into(), Control::missing("broken"))];
        let found = LearnedCredit { over: over.into() };
        let again = found.of_accuracy(0.7);
        assert_eq!(again.decisive().unwrap().gain.0, 30.0);
        assert_eq!(again.over["random"], Control::missing("broken"));
        assert_eq!(found.of_accuracy(0.5), found);
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(
            json,
            r#"{"random":{"not_evaluated":"broken"},"shuffled":{"accuracy":0.4,"gain":10.0,"source":"twin"}}"#
        );
        assert_eq!(serde_json::from_str::<LearnedCredit>(&json).unwrap(), found);
    }
}
