//! Checks of evidence: do the arrays agree with each other, and with what is said of them? They run
//! before anything is judged. What a trace or a probe shows is held against itself; what contradicts
//! itself is not evaluated, and no verdict that stands on it is better than inconclusive.
//!
//! | file | question |
//! |---|---|
//! | [`finite`] | is every number finite, and does gradient and credit reach every layer? |
//! | [`samples`] | are the batches different samples, and does the stated accuracy fit their logits? |
//! | [`states`] | are the recorded states the ones that the head reads? |
//! | [`scale`] | is g_L the gradient that h_L, logits and labels make it, and of which scale? |
//! | [`proof`] | did the recorder test the reference by finite differences? |
//! | [`leak`] | is the credit the reference itself where the rule is not given it? |
//! | [`premise`] | is the credit a fixed matrix of the output error, as the null assumes? |
//! | [`credit`] | which way does the credit point, and how large is it beside the gradient? |
//! | `alike` | is one layer's of another size than feedback drawn alike makes it? |
//! | [`settled`] | have the states from which a two-phase rule reads its credit settled? |
//! | [`feedback`] | are the feedback matrices of an import random, as they should be? |
//!
//! `head` and `least_squares` are what they compute with, [`given`] what a rule is given, `resolution`
//! what half-precision arrays can show.

mod alike;
pub mod credit;
pub mod feedback;
pub mod finite;
pub mod given;
mod head;
pub mod leak;
mod least_squares;
pub mod premise;
pub mod proof;
mod resolution;
pub mod samples;
pub mod scale;
pub mod settled;
pub mod states;

#[cfg(test)]
mod healthy;
#[cfg(test)]
mod tests;

use crate::diagnostics::{self, direct_null};
use crate::trace::{BatchTrace, LayerTrace, Matrix};
use credit::CreditScale;
use head::Head;
use proof::Proof;
use serde::{Deserialize, Serialize};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Contradicted,
    #[serde(rename = "not checkable")]
    NotCheckable,
    Holds,
}

impl Standing {
    /// As it stands in artefacts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contradicted => "contradicted",
            Self::NotCheckable => "not checkable",
            Self::Holds => "holds",
        }
    }
}

/// What is measured on the evidence, and falls with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Growth,
    Reference,
    Stability,
    #[serde(rename = "depth utility")]
    DepthUtility,
    Cosine,
    #[serde(rename = "null calibration")]
    Null,
}

/// One check and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// What was checked: `scale of the reference`.
    pub check: String,
    pub standing: Standing,
    /// A sentence: the numbers and, where they contradict each other, the likely cause; why nothing
    /// could be checked; or what was seen to hold.
    pub finding: String,
    /// What stands on it and is not evaluated, where it is contradicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voids: Vec<Part>,
    /// Sentences that a reader must know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Checked {
    fn new(check: &str, standing: Standing, finding: impl Into<String>) -> Self {
        let finding = finding.into();
        Self { check: check.into(), standing, finding, voids: Vec::new(), remarks: Vec::new() }
    }

    pub(crate) fn holds(check: &str, finding: impl Into<String>) -> Self {
        Self::new(check, Standing::Holds, finding)
    }

    pub(crate) fn not_checkable(check: &str, why: impl Into<String>) -> Self {
        Self::new(check, Standing::NotCheckable, why)
    }

    pub(crate) fn contradicted(check: &str, voids: &[Part], finding: impl Into<String>) -> Self {
        Self { voids: voids.into(), ..Self::new(check, Standing::Contradicted, finding) }
    }

    pub(crate) fn remarking(mut self, remarks: impl IntoIterator<Item = String>) -> Self {
        self.remarks.extend(remarks);
        self
    }
}

/// What all checks found: `evidence` of `verdict.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    pub checks: Vec<Checked>,
    /// Absent without credit or gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<CreditScale>,
}

impl Evidence {
    /// Whether nothing was checked, as in a verdict of an earlier version.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// The checks whose arrays contradict each other.
    pub fn contradictions(&self) -> impl Iterator<Item = &Checked> {
        self.checks.iter().filter(|checked| checked.standing == Standing::Contradicted)
    }

    /// The contradiction because of which `part` is not evaluated.
    pub fn voided(&self, part: Part) -> Option<&Checked> {
        self.contradictions().find(|checked| checked.voids.contains(&part))
    }

    /// The check of this name.
    pub fn of(&self, check: &str) -> Option<&Checked> {
        self.checks.iter().find(|checked| checked.check == check)
    }
}

/// What is said of a recording, and is held against it.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// The credit rule: of a checkpoint the one that its method builds on.
    pub method: String,
    /// Frozen or shallow: blocks that change nothing are no news.
    pub is_baseline: bool,
    pub epoch: Option<u64>,
    /// Test accuracy, a fraction.
    pub accuracy: Option<f64>,
    /// What vouches for the reference gradient.
    pub proof: Proof,
    /// Whether the rule scales its credit before it trains, where that is known.
    pub normalises: Option<bool>,
}

/// What the checks share.
struct Recording<'a> {
    said: &'a Statement,
    trace: &'a LayerTrace,
    /// Those with samples.
    batches: Vec<&'a BatchTrace>,
    /// e = softmax(logits) − onehot(y) of each batch.
    errors: Option<Vec<Matrix>>,
    /// What leads from h_L to the logits, or why that is not known.
    head: Result<Head, String>,
}

impl<'a> Recording<'a> {
    fn blocks(&self) -> usize {
        self.trace.blocks()
    }

    /// The number of samples.
    fn samples(&self) -> usize {
        self.batches.iter().map(|b| b.samples()).sum()
    }

    /// g_0 … g_L of each batch.
    fn gradient(&self) -> Option<Vec<&'a [Matrix]>> {
        self.batches.iter().map(|b| b.gradient.as_deref()).collect()
    }

    /// a_0 … a_L of each batch.
    fn credit(&self) -> Option<Vec<&'a [Matrix]>> {
        self.batches.iter().map(|b| b.credit.as_deref()).collect()
    }

    /// The logits and the labels of each batch.
    fn outputs(&self) -> Option<Vec<(&'a Matrix, &'a [u32])>> {
        let outputs = |b: &&'a BatchTrace| Some((b.logits.as_ref()?, b.labels.as_deref()?));
        self.batches.iter().map(outputs).collect()
    }

    /// h_l of each batch.
    fn states(&self, l: usize) -> Vec<&'a Matrix> {
        self.batches.iter().map(|b| &b.hidden[l]).collect()
    }
}

/// Runs every check on a trace of which `said` is said.
pub fn examine(trace: &LayerTrace, said: &Statement) -> Evidence {
    let batches = match diagnostics::batches(trace) {
        Ok(batches) => batches,
        Err(why) => {
            let nothing = Checked::not_checkable("finite and non-zero", format!("{why}."));
            return Evidence { checks: vec![nothing], credit: None };
        }
    };
    let mut recording = Recording {
        said,
        trace,
        batches,
        errors: None,
        head: Err("logits or labels were not recorded".into()),
    };
    let first = finite::finite(&recording);
    let numbers = first.standing != Standing::Contradicted || !finite::is_lost(trace);
    let mut checks = vec![first, proof::proof(&recording)];
    if !numbers {
        return Evidence { checks, credit: None };
    }
    if let Some(outputs) = recording.outputs() {
        let error = |(logits, labels)| direct_null::error(logits, labels);
        recording.errors = Some(outputs.iter().copied().map(error).collect());
        let logits: Vec<&Matrix> = outputs.iter().map(|(logits, _)| *logits).collect();
        recording.head = head::fit(&recording.states(trace.blocks()), &logits);
    }
    let premise = premise::premise(&recording);
    let uneven = alike::uneven(&recording, premise.standing == Standing::Holds);
    checks.extend([
        samples::samples(&recording),
        states::states(&recording),
        scale::scale(&recording),
        leak::leak(&recording),
        premise,
    ]);
    let (checked, credit) = credit::credit(&recording);
    checks.push(checked.remarking(uneven));
    checks.sort_by_key(|checked| checked.standing);
    Evidence { checks, credit }
}
