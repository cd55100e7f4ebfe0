//! The controls of one checkpoint: what makes its diagnostics believable. Each is there, or says
//! why it is not.

use super::aggregation::Aggregation;
use super::clamp::Clamp;
use super::common_mode::CommonMode;
use super::descent::Descent;
use super::nudging::Nudging;
use super::null::NullCalibration;
use super::perturbation::Perturbation;
use super::rank::Ranks;
use super::shadow::Shadow;
use serde::{Deserialize, Serialize};

/// All controls of one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    pub null: Control<NullCalibration>,
    /// In f64 where this build can.
    pub perturbation: Control<Perturbation>,
    /// As published, in the precision of the training.
    pub perturbation_f32: Control<Perturbation>,
    pub nudging: Control<Nudging>,
    pub descent: Control<Descent>,
    pub shadow: Control<Shadow>,
    pub common_mode: Control<CommonMode>,
    pub clamp: Control<Clamp>,
    pub aggregation: Control<Aggregation>,
    pub rank: Control<Ranks>,
}

/// A control's result, or `{"not_evaluated": "why"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Control<T> {
    Missing { not_evaluated: String },
    Found(T),
}

impl<T> Control<T> {
    /// The result, where there is one.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Missing { .. } => None,
        }
    }

    /// Why there is none.
    pub fn missing(why: impl Into<String>) -> Self {
        Self::Missing { not_evaluated: why.into() }
    }
}

impl<T> From<Result<T, super::Unmeasured>> for Control<T> {
    fn from(result: Result<T, super::Unmeasured>) -> Self {
        match result {
            Ok(found) => Self::Found(found),
            Err(unmeasured) => Self::missing(unmeasured.to_string()),
        }
    }
}
