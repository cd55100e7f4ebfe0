//! The seven ways in which this field's numbers went wrong without a word (protocol §7), each as a
//! small live demonstration: the wrong number, the right one, and what fa-audit does about it. The
//! right numbers come out of the program's own diagnostics.

mod arithmetic;
mod network;

use anyhow::Result;

/// One pitfall, demonstrated.
#[derive(Clone, Debug, PartialEq)]
pub struct Demonstration {
    pub name: &'static str,
    /// The mistake, as a sentence.
    pub title: &'static str,
    /// On what it is shown.
    pub setting: String,
    /// What the mistake reports.
    pub wrong: String,
    /// What is true.
    pub right: String,
    /// How fa-audit avoids it.
    pub avoided: &'static str,
}

/// Names of the demonstrations, in the protocol's order.
pub const NAMES: [&str; 7] = [
    "norm-axis",
    "cosine-clamp",
    "half-precision",
    "fresh-feedback",
    "aggregation",
    "layer-zero",
    "missing-state",
];

/// Runs the demonstrations of these names. Those that need a trained network share one, trained in
/// a few seconds on the embedded data, in a temporary directory.
///
/// # Errors
/// If the temporary directory cannot be written.
pub fn demonstrate(names: &[&str]) -> Result<Vec<Demonstration>> {
    let mut trained = None;
    let mut shown = Vec::new();
    for name in names {
        let demonstration = match *name {
            "norm-axis" => arithmetic::norm_axis(),
            "cosine-clamp" => arithmetic::cosine_clamp(),
            "half-precision" => arithmetic::half_precision(),
            other => {
                let run = match trained.take() {
                    Some(run) => run,
                    None => network::Trained::new()?,
                };
                let run = trained.insert(run);
                match other {
                    "fresh-feedback" => run.fresh_feedback(),
                    "aggregation" => run.aggregation(),
                    "layer-zero" => run.layer_zero(),
                    _ => run.missing_state()?,
                }
            }
        };
        shown.push(demonstration);
    }
    Ok(shown)
}
