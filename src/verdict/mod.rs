//! From measurements to a verdict that can be believed.
//!
//! [`judge`] runs every diagnostic on one run's trace, holds each against its threshold and decides:
//! *walked back* if growth, reference or depth utility fired, *trustworthy* if all three were
//! evaluated and passed, *inconclusive* otherwise. Stability names a sub-mode and never decides. Its
//! [`Audit`] is what `verdict.json` holds; [`seeds`] pools the audits of one method.

mod again;
mod caveats;
mod gist;
mod read;
mod reasons;
pub mod seeds;
mod thresholds;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use crate::diagnostics::depth_utility::FrozenBaseline;
pub use crate::words::{list, percent_fine, plain, short};
pub use gist::gists;
pub(crate) use reasons::concentrated;
pub use seeds::{MethodSummary, summarise};
pub use thresholds::{CALIBRATIONS, CalibratedThreshold, Calibration, Calibrations, Thresholds};

use crate::diagnostics::controls::Controls;
use crate::diagnostics::cosine::Cosine;
use crate::diagnostics::depth_utility::DepthUtility;
use crate::diagnostics::growth::Growth;
use crate::diagnostics::learned_credit::LearnedCredit;
use crate::diagnostics::reference::Reference;
use crate::diagnostics::stability::{MIN_BATCHES, Stability};
use crate::diagnostics::{self, Measured, Unmeasured};
use crate::evidence::{Evidence, Part};
use crate::number::Number;
use crate::trace::{LayerTrace, LossReduction};
use serde::{Deserialize, Serialize};
use std::fmt;

pub const SCHEMA: &str = "fa-audit/verdict/1";
pub const PROTOCOL: &str = "arXiv:2606.21126";

/// Where one diagnostic stands. What was not evaluated has not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Passed,
    Fired,
    Inconclusive,
    #[serde(rename = "not evaluated")]
    NotEvaluated,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Fired => "fired",
            Self::Inconclusive => "inconclusive",
            Self::NotEvaluated => "not evaluated",
        })
    }
}

/// The verdict on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Trustworthy,
    #[serde(rename = "walked back")]
    WalkedBack,
    Inconclusive,
    /// Of a run that others are held against: none is due.
    Baseline,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Trustworthy => "trustworthy",
            Self::WalkedBack => "walked back",
            Self::Inconclusive => "inconclusive",
            Self::Baseline => "baseline",
        })
    }
}

impl Decision {
    /// The rule, over the three diagnostics that decide.
    pub fn of(growth: Status, reference: Status, depth_utility: Status) -> Self {
        let deciding = [growth, reference, depth_utility];
        if deciding.contains(&Status::Fired) {
            Self::WalkedBack
        } else if deciding.iter().all(|s| *s == Status::Passed) {
            Self::Trustworthy
        } else {
            Self::Inconclusive
        }
    }
}

/// What was judged: the `run` of `verdict.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The credit rule, such as `dfa`.
    pub method: String,
    pub arch: String,
    pub dataset: String,
    /// `None` where another program trained the run and did not say.
    pub seed: Option<u64>,
    pub epoch: Option<u64>,
    /// Epochs that the run was planned for: runs of different length are no seeds of one method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// The name in tables, with what sets the run apart: `DFA λ=1e-2`. Runs that share it are seeds
    /// of one method.
    #[serde(default)]
    pub label: String,
    /// `official`, `copy` or `generated`.
    #[serde(default)]
    pub data_source: String,
    /// Frozen or shallow: what others are held against; no verdict is due.
    #[serde(default, rename = "baseline")]
    pub is_baseline: bool,
    /// Where and how training left the finite numbers, if it did.
    #[serde(default)]
    pub diverged: Option<String>,
    /// The file of another program that the network was imported from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// SHA-256 of the checkpoint whose network the run left as it is, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_network: Option<String>,
}

impl Subject {
    /// Why no depth utility is due, if none is.
    fn exempt(&self) -> Option<Unmeasured> {
        match (self.is_baseline, &self.frozen_network) {
            (true, _) => Some(Unmeasured::IsBaseline),
            (false, Some(_)) => Some(Unmeasured::NotItsNetwork),
            (false, None) => None,
        }
    }
}

/// A diagnostic against its threshold. `value` is `null` where nothing was measured, and then
/// `reason` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding<D> {
    pub status: Status,
    pub value: Option<Number>,
    pub threshold: Number,
    #[serde(flatten)]
    pub detail: D,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    pub growth: Finding<Growth>,
    pub reference: Finding<Reference>,
    pub stability: Finding<Stability>,
    pub depth_utility: Finding<DepthUtility>,
}

/// The per-layer cosine with its aggregate beside it, never instead of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CosineFinding {
    #[serde(flatten)]
    pub detail: Cosine,
    /// `null` where nothing was measured.
    pub aggregate: Option<Number>,
    /// Whether the reference lets it be read at all.
    pub interpretable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// On what the measurements stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub batches: usize,
    pub samples: usize,
    /// Samples in each batch, equal neighbours once: `[128]`, or `[128, 16]` with a shorter last one.
    pub batch_sizes: Vec<usize>,
    /// `null` where a trace does not say.
    pub loss: Option<LossReduction>,
    /// Which tokens the arrays show.
    pub tokens: String,
}

/// Everything the audit of one run found: `verdict.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    pub schema: String,
    pub protocol: String,
    pub run: Subject,
    /// A fraction; `null` where a trace does not say.
    pub accuracy: Option<Number>,
    pub diagnostics: Diagnostics,
    pub cosine: CosineFinding,
    pub verdict: Decision,
    pub reasons: Vec<String>,
    /// What was not evaluated and how to have it evaluated; what a reader must know besides.
    pub notes: Vec<String>,
    /// Whether the arrays agree with each other and with what is said of them.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    pub evaluation: Evaluation,
    pub thresholds: Calibrations,
    /// Of a run whose credit is learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned_credit: Option<LearnedCredit>,
    /// `diagnose --controls` and studies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controls: Option<Controls>,
}

/// The runs that the judged one is held against.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    pub frozen: Option<FrozenBaseline>,
    /// Of a run whose credit is learned: what it gains over its auxiliary twins.
    pub learned_credit: Option<LearnedCredit>,
}

impl From<FrozenBaseline> for Beside {
    fn from(frozen: FrozenBaseline) -> Self {
        Self { frozen: Some(frozen), learned_credit: None }
    }
}

/// Audits one run. Never fails: what the trace lacks is not evaluated, and says so.
pub fn judge(
    subject: Subject,
    evidence: Evidence,
    trace: &LayerTrace,
    accuracy: Option<f64>,
    beside: Beside,
    thresholds: &Thresholds,
    controls: Option<Controls>,
) -> Audit {
    let Beside { frozen, learned_credit } = beside;
    let mut notes = Notes::default();
    let growth = notes.on("Growth", diagnostics::growth::growth(trace));
    let reference =
        notes.on("Reference", diagnostics::reference::reference(trace, thresholds.reference));
    let stability = notes.on("Stability", diagnostics::stability::stability(trace));
    let depth_utility = notes.on(
        "Depth utility",
        diagnostics::depth_utility::depth_utility(accuracy, frozen.as_ref(), subject.exempt()),
    );
    let cosine = match (evidence.voided(Part::Cosine), diagnostics::cosine::cosine(trace)) {
        (Some(checked), Ok(_)) => Err(Unmeasured::Contradicted(checked.check.clone())),
        (_, measured) => measured,
    };
    let cosine = notes.on("Cosine", cosine);

    let diagnostics = Diagnostics {
        growth: Finding::new(growth, thresholds.growth, fires_above)
            .standing_on(&evidence, Part::Growth),
        reference: Finding::new(reference, thresholds.reference, fires_below)
            .standing_on(&evidence, Part::Reference),
        stability: Finding::new(stability, thresholds.stability, fires_above)
            .stability()
            .standing_on(&evidence, Part::Stability),
        depth_utility: Finding::new(depth_utility, thresholds.depth_utility, fires_below)
            .standing_on(&evidence, Part::DepthUtility),
    };
    let cosine = CosineFinding {
        interpretable: cosine.is_ok() && diagnostics.reference.status == Status::Passed,
        aggregate: cosine.as_ref().ok().map(|found| Number(found.value)),
        reason: cosine.as_ref().err().map(Unmeasured::to_string),
        detail: cosine.map(|found| found.detail).unwrap_or_default(),
    };
    let verdict = decided(&subject, &evidence, &diagnostics);
    let mut audit = Audit {
        schema: SCHEMA.into(),
        protocol: PROTOCOL.into(),
        run: subject,
        accuracy: accuracy.map(Number),
        diagnostics,
        cosine,
        verdict,
        reasons: Vec::new(),
        notes: notes.0,
        evidence,
        evaluation: Evaluation::of(trace),
        thresholds: thresholds.calibrated(),
        learned_credit,
        controls,
    };
    audit.reasons = reasons::reasons(&audit);
    audit.notes.extend(caveats::caveats(&audit));
    audit
}

/// What the statuses come to, of this run and on this evidence.
fn decided(subject: &Subject, evidence: &Evidence, diagnostics: &Diagnostics) -> Decision {
    if subject.is_baseline {
        return Decision::Baseline;
    }
    let Diagnostics { growth, reference, depth_utility, .. } = diagnostics;
    let verdict = Decision::of(growth.status, reference.status, depth_utility.status);
    let contradicted = evidence.contradictions().next().is_some();
    match verdict {
        Decision::Trustworthy if subject.diverged.is_some() || contradicted => {
            Decision::Inconclusive
        }
        verdict => verdict,
    }
}

/// Strictly above, or not a finite number: NaN never passes, nor does anything under a NaN threshold.
pub(crate) fn fires_above(value: f64, threshold: f64) -> bool {
    !(value.is_finite() && value <= threshold)
}

/// Strictly below, or not a finite number.
pub(crate) fn fires_below(value: f64, threshold: f64) -> bool {
    !(value.is_finite() && value >= threshold)
}

impl<D: Default> Finding<D> {
    fn new(measured: Measured<D>, threshold: f64, fires: fn(f64, f64) -> bool) -> Self {
        let threshold_number = Number(threshold);
        match measured {
            Ok(found) => Self {
                status: if fires(found.value, threshold) { Status::Fired } else { Status::Passed },
                value: Some(Number(found.value)),
                threshold: threshold_number,
                detail: found.detail,
                reason: None,
            },
            Err(unmeasured) => Self {
                status: Status::NotEvaluated,
                value: None,
                threshold: threshold_number,
                detail: D::default(),
                reason: Some(unmeasured.to_string()),
            },
        }
    }
}

impl<D> Finding<D> {
    /// Not evaluated where the evidence that it stands on contradicts itself. What was measured
    /// stays to be looked at.
    fn standing_on(mut self, evidence: &Evidence, part: Part) -> Self {
        if let (Some(checked), Some(_)) = (evidence.voided(part), self.value) {
            self.status = Status::NotEvaluated;
            self.value = None;
            self.reason = Some(Unmeasured::Contradicted(checked.check.clone()).to_string());
        }
        self
    }
}

impl Finding<Stability> {
    /// Measured on fewer batches than the protocol asks for, it says nothing either way.
    fn stability(mut self) -> Self {
        let batches = self.detail.batches;
        if self.status != Status::NotEvaluated && batches < MIN_BATCHES {
            self.status = Status::Inconclusive;
            self.reason = Some(format!("{batches} of at least {MIN_BATCHES} batches"));
        }
        self
    }
}

impl Evaluation {
    fn of(trace: &LayerTrace) -> Self {
        let mut batch_sizes: Vec<usize> = trace.batches.iter().map(|b| b.samples()).collect();
        let (batches, samples) = (batch_sizes.len(), batch_sizes.iter().sum());
        batch_sizes.dedup();
        Self {
            batches,
            samples,
            batch_sizes,
            loss: trace.loss_reduction,
            tokens: trace.tokens.clone(),
        }
    }
}

/// Collects a note for each diagnostic that was not evaluated.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn on<D>(&mut self, name: &str, measured: Measured<D>) -> Measured<D> {
        // Of a baseline no depth utility is expected.
        if let Err(unmeasured) = &measured
            && *unmeasured != Unmeasured::IsBaseline
        {
            let advice = unmeasured.advice().map(|a| format!(" ({a})"));
            self.0
                .push(format!("{name} not evaluated: {unmeasured}{}.", advice.unwrap_or_default()));
        }
        measured
    }
}
