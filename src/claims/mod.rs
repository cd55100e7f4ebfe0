//! Claims: what a study is meant to show, said before it is trained.
//!
//! ```toml
//! [[claim]]
//! claim = "DFA learns more than its frozen blocks."   # a sentence, for the reader
//! method = "dfa"                                      # as the reports name it
//! metric = "accuracy"
//! control = "frozen(dfa)"                             # another method, or "null"; optional
//! threshold = "at least 1 point"
//! seeds = [42, 123, 456]
//! ```
//!
//! A study names its file with the key `claims`. The text is kept in `study.json` with its digest and
//! the time, so that one that was written or changed after training shows ([`registered`]). Each claim
//! ends as *stands*, *walked back* or *untested* (`study::claims` decides, from the audits).

pub mod metric;
mod parse;
pub mod registered;
pub mod threshold;

pub use parse::parse;
pub use registered::Registered;

use metric::{Layers, Metric};
use serde::{Deserialize, Serialize};
use std::fmt;
use threshold::Threshold;
use toml::Table;

/// One claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The sentence.
    pub claim: String,
    /// The label of the method that it is about.
    pub method: String,
    pub metric: Metric,
    pub control: Control,
    pub threshold: Threshold,
    /// At least one, none twice.
    pub seeds: Vec<u64>,
    pub layers: Layers,
    pub across_layers: Across,
    pub across_seeds: Across,
    /// Keys of the configuration that choose among runs of one label and seed.
    pub only: Table,
}

/// What the metric is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Nothing: the threshold alone.
    None,
    /// The largest cosine under fresh feedback, layer by layer.
    Null,
    /// The same metric of another method, seed by seed.
    Method(String),
}

/// How several values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across {
    Mean,
    /// The one farthest from what is claimed: it must hold for each.
    Each,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Stands,
    #[serde(rename = "walked back")]
    WalkedBack,
    Untested,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Stands => "stands",
            Self::WalkedBack => "walked back",
            Self::Untested => "untested",
        })
    }
}

impl Claim {
    /// What is measured: `accuracy of dfa minus that of frozen(dfa)`, `mean cosine of dfa over the deep
    /// layers minus the null band's upper end`.
    pub fn quantity(&self) -> String {
        let mut text = match (self.metric.is_per_layer(), &self.layers, self.across_layers) {
            (true, Layers::Usual, _) | (false, ..) => format!("{} of {}", self.metric, self.method),
            (true, layers, Across::Mean) => {
                format!("mean {} of {} over {layers}", self.metric, self.method)
            }
            (true, layers, Across::Each) => {
                format!("{} of {} at each of {layers}", self.metric, self.method)
            }
        };
        match &self.control {
            Control::None => {}
            Control::Null => text += " minus the null band's upper end",
            Control::Method(control) => text += &format!(" minus that of {control}"),
        }
        text
    }
}
