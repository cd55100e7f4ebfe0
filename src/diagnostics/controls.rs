//! The controls of one checkpoint: what makes its diagnostics believable. Each is there, or says
//! why it is not.

use super::aggregation::Aggregation;
use super::clamp::Clamp;
use super::common_mode::CommonMode;
use super::descent::Descent;
use super::layered::{LayeredControl, PerLayer};
use super::nudging::Nudging;
use super::null::NullCalibration;
use super::perturbation::Perturbation;
use super::rank::Ranks;
use super::shadow::Shadow;
use crate::tables::layered_controls;
use crate::trace::LayerTrace;
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
    #[serde(flatten)]
    pub layered: Layered,
}

/// A layered control and where its result is.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Its name in `verdict.json`.
    pub key: &'static str,
    pub control: LayeredControl,
    pub of: fn(&Controls) -> &Control<PerLayer>,
}

macro_rules! layered {
    ($($(#[$meta:meta])* $file:ident,)*) => {
        /// The results of the layered controls.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Layered { $($(#[$meta])* pub $file: Control<PerLayer>,)* }

        /// Every layered control.
        pub const LAYERED: &[Listed] = &[$(
            $(#[$meta])*
            Listed {
                key: stringify!($file),
                control: super::$file::CONTROL,
                of: |controls| &controls.layered.$file,
            },
        )*];

        impl Layered {
            /// What `result` says of each.
            fn new(result: impl Fn(LayeredControl) -> Control<PerLayer>) -> Self {
                // The list may be empty.
                let _ = &result;
                Self { $($(#[$meta])* $file: result(super::$file::CONTROL),)* }
            }
        }
    };
}

/// The table's, and in tests the example of the guide.
macro_rules! listed {
    ($($file:ident,)*) => { layered! { $($file,)* #[cfg(test)] guide_example, } };
}
layered_controls!(listed);

impl Layered {
    /// Every layered control of a trace.
    pub fn of(trace: &LayerTrace) -> Self {
        Self::new(|control| (control.measure)(trace).into())
    }
}

impl Default for Layered {
    /// What a `verdict.json` that does not name a control says of it.
    fn default() -> Self {
        Self::new(|_| Control::missing("audited by an earlier version"))
    }
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

    /// Why there is none; empty where there is.
    pub fn why(&self) -> &str {
        match self {
            Self::Found(_) => "",
            Self::Missing { not_evaluated } => not_evaluated,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::testing::{matrix, same_everywhere, trace};
    use serde_json::json;

    /// Credit and gradient agree at h_0, and at h_1 in one coordinate of two.
    fn example() -> Layered {
        let layer = matrix(&[&[1.0, -2.0]]);
        let mut batch = same_everywhere(vec![layer.clone(), layer]);
        batch.credit = Some(vec![matrix(&[&[0.1, -9.0]]), matrix(&[&[3.0, 0.0]])]);
        Layered::of(&trace(vec![batch]))
    }

    #[test]
    fn a_layered_control_is_measured_and_written_under_its_name() {
        let written = serde_json::to_value(example()).unwrap();
        assert_eq!(written, json!({ "guide_example": { "agreement": [1.0, 0.5] } }));
        let no_samples = serde_json::to_value(Layered::of(&trace(Vec::new()))).unwrap();
        assert!(no_samples["guide_example"]["not_evaluated"].is_string(), "{no_samples}");
    }
}
