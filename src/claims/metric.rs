//! What a claim can be about, and what an audit says of it.

use crate::evidence::{Evidence, Part};
use crate::number::Number;
use crate::verdict::{Audit, Finding};
use std::fmt;

/// A quantity of a run's audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Of the test set, a fraction.
    Accuracy,
    /// How much a block multiplies the mean hidden norm: the largest, or block by block.
    Growth,
    /// The median gradient norm, at h_L or layer by layer.
    Reference,
    Stability,
    /// Percentage points over the frozen twin.
    DepthUtility,
    /// Γ_l: the aggregate, or layer by layer.
    Cosine,
    /// The cosine of all layers that train, joined.
    GlobalCosine,
    Verdict,
}

impl Metric {
    pub const ALL: [(&str, Self); 8] = [
        ("accuracy", Self::Accuracy),
        ("growth", Self::Growth),
        ("reference", Self::Reference),
        ("stability", Self::Stability),
        ("depth_utility", Self::DepthUtility),
        ("cosine", Self::Cosine),
        ("global_cosine", Self::GlobalCosine),
        ("verdict", Self::Verdict),
    ];

    /// Whether it has a value at each layer (of growth: each block).
    pub fn is_per_layer(self) -> bool {
        matches!(self, Self::Growth | Self::Reference | Self::Cosine)
    }

    /// Whether its values are fractions, of which a percentage point is a hundredth.
    pub fn is_a_fraction(self) -> bool {
        self == Self::Accuracy
    }

    /// What falls with it where the evidence is contradicted.
    fn part(self) -> Option<Part> {
        match self {
            Self::Growth => Some(Part::Growth),
            Self::Reference => Some(Part::Reference),
            Self::Stability => Some(Part::Stability),
            Self::DepthUtility => Some(Part::DepthUtility),
            Self::Cosine | Self::GlobalCosine => Some(Part::Cosine),
            Self::Accuracy | Self::Verdict => None,
        }
    }

    /// Why nothing can be claimed on this evidence; `None` where something can. Of a metric without an
    /// array of its own any contradiction is one too many.
    pub fn doubt(self, evidence: &Evidence) -> Option<String> {
        let contradicted = match self.part() {
            Some(part) => evidence.voided(part),
            None => None,
        };
        let found = contradicted.or_else(|| evidence.contradictions().next())?;
        Some(format!(
            "its evidence is contradicted ({}: {})",
            found.check,
            found.finding.trim_end_matches('.')
        ))
    }

    /// Its values in `audit`: one, or one for each of `layers`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn values(self, audit: &Audit, layers: &Layers) -> Result<Vec<f64>, String> {
        let found = &audit.diagnostics;
        match self {
            Self::Accuracy => one(audit.accuracy, || "its accuracy is not known".into()),
            Self::Stability => of(&found.stability),
            Self::DepthUtility => of(&found.depth_utility),
            Self::Growth => match layers {
                Layers::Usual => of(&found.growth),
                layers => {
                    of(&found.growth)?;
                    layers.pick(&found.growth.detail.per_block)
                }
            },
            Self::Reference => match layers {
                Layers::Usual => of(&found.reference),
                layers => {
                    of(&found.reference)?;
                    layers.pick(&found.reference.detail.per_layer)
                }
            },
            Self::Cosine => {
                readable(audit)?;
                match layers {
                    Layers::Usual => one(audit.cosine.aggregate, || why(&audit.cosine.reason)),
                    layers => layers.pick(&audit.cosine.detail.per_layer),
                }
            }
            Self::GlobalCosine => {
                readable(audit)?;
                let credit = audit.evidence.credit.as_ref().map(|credit| credit.global_cosine);
                one(credit, || "the cosine of all layers joined was not evaluated".into())
            }
            Self::Verdict => Err("a verdict is no number".into()),
        }
    }
}

/// The upper end of the null band at each of `layers`.
///
/// # Errors
/// Why there is none.
pub fn null_band(audit: &Audit, layers: &Layers) -> Result<Vec<f64>, String> {
    let controls = audit.controls.as_ref().ok_or("its controls were not computed")?;
    let null = controls.null.found().ok_or("its null calibration was not evaluated")?;
    let highs: Vec<Number> = null.per_layer.iter().map(|layer| layer.high).collect();
    let chosen = match layers {
        Layers::Usual => Layers::Listed(audit.cosine.detail.positions()),
        layers => layers.clone(),
    };
    let fixed = |l: &usize| !null.per_layer[*l].depends;
    if let Some(l) = chosen.positions(highs.len())?.into_iter().find(fixed) {
        return Err(format!(
            "at layer {l} its credit does not depend on the feedback: there is no null"
        ));
    }
    chosen.pick(&highs)
}

fn of<D>(finding: &Finding<D>) -> Result<Vec<f64>, String> {
    one(finding.value, || why(&finding.reason))
}

fn one(value: Option<Number>, why: impl FnOnce() -> String) -> Result<Vec<f64>, String> {
    value.map(|v| vec![v.0]).ok_or_else(why)
}

fn why(reason: &Option<String>) -> String {
    format!("not evaluated: {}", reason.as_deref().unwrap_or("no reason was recorded"))
}

/// A cosine is read only where the reference carries it.
fn readable(audit: &Audit) -> Result<(), String> {
    if audit.cosine.aggregate.is_none() {
        return Err(why(&audit.cosine.reason));
    }
    match audit.cosine.interpretable {
        true => Ok(()),
        false => Err(format!(
            "its reference ({}) does not let the cosines be read",
            audit.diagnostics.reference.status
        )),
    }
}

/// Which layers of a metric that has several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layers {
    /// The diagnostic's own value.
    Usual,
    All,
    /// 1 … L−1 of the layers 0 … L; of growth the blocks between the first and the last.
    Deep,
    Listed(Vec<usize>),
}

impl Layers {
    fn positions(&self, all: usize) -> Result<Vec<usize>, String> {
        match self {
            Self::Usual | Self::All => Ok((0..all).collect()),
            Self::Deep if all < 3 => Err("it has too few layers to have deep ones".into()),
            Self::Deep => Ok((1..all - 1).collect()),
            Self::Listed(layers) => match layers.iter().find(|&&l| l >= all) {
                Some(l) => Err(format!("it has no layer {l}: they are 0 … {}", all as i64 - 1)),
                None => Ok(layers.clone()),
            },
        }
    }

    fn pick(&self, values: &[Number]) -> Result<Vec<f64>, String> {
        Ok(self.positions(values.len())?.into_iter().map(|l| values[l].0).collect())
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Usual => f.write_str("the usual layers"),
            Self::All => f.write_str("all layers"),
            Self::Deep => f.write_str("the deep layers"),
            Self::Listed(layers) => {
                let words: Vec<String> = layers.iter().map(usize::to_string).collect();
                write!(f, "layers {}", crate::verdict::list(&words))
            }
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, metric)| metric == self).map_or("", |(name, _)| name);
        f.write_str(&name.replace('_', " "))
    }
}
