//! The audit of a trace: what another program recorded of its network. There is no network to run, and
//! so no control that runs one.

use super::{Auditor, twin};
use crate::battery;
use crate::config::Method;
use crate::diagnostics::controls::{Control, Controls, Layered};
use crate::diagnostics::direct_null::direct_null;
use crate::diagnostics::null::NullCalibration;
use crate::diagnostics::rank::{Ranks, ranks_of_trace};
use crate::diagnostics::{aggregation, clamp, common_mode};
use crate::evidence::proof::Proof;
use crate::evidence::{Checked, Evidence, Standing, Statement, examine, premise, samples};
use crate::failure::usage;
use crate::model::outline;
use crate::shown;
use crate::trace::file::{Format, Trace};
use crate::trace::{LayerTrace, Matrix, TraceInfo};
use crate::train::checkpoint::Checkpoint;
use crate::verdict::{Audit, Beside, FrozenBaseline, Subject, Thresholds, judge, percent_fine};
use anyhow::Result;
use std::path::Path;

/// Fresh feedbacks of the null: the fewest whose p can go below .05, and the published number.
const NULL_DRAWS: usize = 20;

impl Auditor {
    /// Audits the trace at `path`.
    ///
    /// # Errors
    /// Names the file: unreadable or damaged traces, a frozen run of another network.
    pub(super) fn audit_trace(&mut self, path: &Path, format: Format) -> Result<Audit> {
        let trace = Trace::read(path, format)?;
        let subject = subject(&trace.info);
        let mut evidence = examine(&trace.layers, &statement(&trace.info, subject.is_baseline));
        let frozen = match subject.is_baseline {
            true => None,
            false => {
                let (frozen, doubt) = self.twin_of_trace(path, &trace)?;
                evidence.checks.splice(0..0, doubt);
                frozen
            }
        };
        let controls = self.options.controls && !subject.is_baseline;
        if controls {
            evidence.checks.extend(battery::of_trace(&trace.layers, trace.info.seed.unwrap_or(0)));
            evidence.checks.sort_by_key(|checked| checked.standing);
        }
        let controls = controls.then(|| controls_of(&trace, &evidence));
        let thresholds = Thresholds::default();
        let accuracy = trace.info.accuracy;
        // What another program's rule learns is not known.
        let beside = Beside { frozen, learned_credit: None };
        let mut audit =
            judge(subject, evidence, &trace.layers, accuracy, beside, &thresholds, controls);
        audit.notes.extend(notes(&trace));
        Ok(audit)
    }

    /// The frozen run that was named, be it a trace or a checkpoint, and what speaks against comparing
    /// with it; else what the trace itself says.
    fn twin_of_trace(
        &mut self,
        path: &Path,
        trace: &Trace,
    ) -> Result<(Option<FrozenBaseline>, Option<Checked>)> {
        let Some(given) = self.options.frozen.clone() else {
            let said = trace.info.frozen_accuracy.map(|accuracy| FrozenBaseline {
                accuracy,
                method: Method::Frozen.to_string(),
                source: shown::line(&path.display().to_string()),
                differs: Vec::new(),
            });
            return Ok((said, None));
        };
        let mut doubt = None;
        let refused = |problem| usage(format!("--frozen {}: {problem}", given.display()));
        let (twin, accuracy) = match Format::of(&given) {
            Some(format) => {
                let twin = Trace::read(&given, format)?;
                doubt = samples::twin(&trace.layers, &twin.layers);
                (Twin::of_trace(&twin), twin.info.accuracy)
            }
            None => {
                let twin = self.load(&given)?;
                (Twin::of_checkpoint(&twin), Some(self.twin_accuracy(&given, &twin)?))
            }
        };
        let run = Twin::of_trace(trace);
        twin.check(&run).map_err(refused)?;
        let accuracy = accuracy.ok_or_else(|| {
            refused("its metadata say no `accuracy`, with which the run is to be compared".into())
        })?;
        let frozen = FrozenBaseline {
            accuracy,
            differs: twin.differences(&run),
            method: twin.words,
            source: shown::line(&given.display().to_string()),
        };
        Ok((Some(frozen), doubt))
    }
}

/// What must agree between a trace and its frozen twin, as far as both say it.
struct Twin {
    method: Option<String>,
    arch: Option<String>,
    dataset: Option<String>,
    seed: Option<u64>,
    epoch: Option<u64>,
    /// Epochs that were planned.
    epochs: Option<u64>,
    /// d of h_0 … h_L.
    widths: Vec<usize>,
    /// Which run it is, for the reader.
    words: String,
}

impl Twin {
    fn of_trace(trace: &Trace) -> Self {
        let info = &trace.info;
        let hidden = &trace.layers.batches[0].hidden;
        let mut words = info.method.clone().unwrap_or_default();
        for (name, number) in [("seed", info.seed), ("epoch", info.epoch)] {
            if let Some(number) = number {
                words += &format!(", {name} {number}");
            }
        }
        Self {
            method: info.method.clone(),
            arch: info.arch.clone(),
            dataset: info.dataset.clone(),
            seed: info.seed,
            epoch: info.epoch,
            epochs: info.epochs,
            widths: hidden.iter().map(Matrix::cols).collect(),
            words,
        }
    }

    fn of_checkpoint(checkpoint: &Checkpoint) -> Self {
        let config = &checkpoint.config;
        Self {
            method: Some(config.method.to_string()),
            arch: Some(config.arch.to_string()),
            dataset: Some(config.dataset.name().into()),
            seed: Some(config.seed),
            epoch: Some(checkpoint.progress.epoch as u64),
            epochs: Some(config.epochs as u64),
            widths: outline(config, checkpoint.data.classes).widths().collect(),
            words: super::words(checkpoint),
        }
    }

    /// What of this run, as far as both say it, is not as a twin of `run` has it.
    fn differences(&self, run: &Self) -> Vec<String> {
        [
            ("seed", self.seed, run.seed),
            ("epoch", self.epoch, run.epoch),
            ("epochs", self.epochs, run.epochs),
        ]
        .into_iter()
        .filter_map(|(key, theirs, ours)| Some((key, theirs?, ours?)))
        .filter(|(_, theirs, ours)| theirs != ours)
        .map(|(key, theirs, ours)| twin::differs(key, &theirs, &ours))
        .collect()
    }

    /// What keeps this run from being the frozen twin of `run`.
    fn check(&self, run: &Self) -> Result<(), String> {
        match &self.method {
            Some(method) if is(method, Method::Frozen) => {}
            Some(method) => {
                return Err(format!("it was trained by {method}, not with frozen blocks"));
            }
            None => return Err("its metadata do not say `method = frozen`".into()),
        }
        if self.widths != run.widths {
            return Err(format!(
                "another network: its hidden states have widths {:?}, those of the run {:?}",
                self.widths, run.widths
            ));
        }
        let pairs = [("arch", &self.arch, &run.arch), ("dataset", &self.dataset, &run.dataset)];
        for (key, ours, theirs) in pairs {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && !ours.eq_ignore_ascii_case(theirs)
            {
                return Err(format!("another {key}: {ours}, the run has {theirs}"));
            }
        }
        Ok(())
    }
}

fn is(method: &str, known: Method) -> bool {
    method.eq_ignore_ascii_case(&known.to_string())
}

fn subject(info: &TraceInfo) -> Subject {
    let method = info.method.clone().unwrap_or_else(|| "unknown".into());
    Subject {
        arch: info.arch.clone().unwrap_or_default(),
        dataset: info.dataset.clone().unwrap_or_default(),
        seed: info.seed,
        epoch: info.epoch,
        epochs: info.epochs,
        label: method.clone(),
        data_source: String::new(),
        is_baseline: is(&method, Method::Frozen) || is(&method, Method::Shallow),
        diverged: None,
        imported: None,
        frozen_network: None,
        method,
    }
}

/// What the metadata say, to be held against the arrays.
fn statement(info: &TraceInfo, is_baseline: bool) -> Statement {
    let (layers, proved) = (info.reference_check.clone(), info.reference_proved);
    Statement {
        method: info.method.clone().unwrap_or_default(),
        is_baseline,
        epoch: info.epoch,
        accuracy: info.accuracy,
        proof: Proof::Recorded { proved, layers },
        normalises: None,
    }
}

/// The controls that are arithmetic on arrays.
fn controls_of(Trace { info, layers: trace }: &Trace, evidence: &Evidence) -> Controls {
    const NETWORK: &str =
        "it runs the network, which a trace does not hold: diagnose the checkpoint";
    fn missing<T>(why: &str) -> Control<T> {
        Control::missing(why)
    }
    Controls {
        null: null_of(trace, info, evidence),
        perturbation: missing(NETWORK),
        perturbation_f32: missing(NETWORK),
        nudging: missing(NETWORK),
        descent: missing(NETWORK),
        shadow: missing(NETWORK),
        common_mode: common_mode::common_mode(trace).into(),
        clamp: clamp::clamp(trace).into(),
        aggregation: aggregation::aggregation(trace, None).into(),
        rank: ranks_of_trace(trace).map(|matrices| Ranks { matrices }).into(),
        layered: Layered::of(trace),
    }
}

/// Under DFA fresh feedback gives a credit without the network.
fn null_of(trace: &LayerTrace, info: &TraceInfo, evidence: &Evidence) -> Control<NullCalibration> {
    if !info.method.as_deref().is_some_and(|method| is(method, Method::Dfa)) {
        return Control::missing(
            "only under dfa (the metadata key `method`) is a credit drawn anew without the network: \
             diagnose the checkpoint",
        );
    }
    let premise = evidence.of(premise::CHECK);
    if let Some(premise) = premise.filter(|checked| checked.standing != Standing::Holds) {
        // Where an array is missing, what is missing says more.
        let missing = direct_null(trace, 0, 1).err();
        let why = premise.finding.trim_end_matches('.').to_owned();
        return Control::missing(missing.map_or(why, |missing| missing.to_string()));
    }
    direct_null(trace, info.seed.unwrap_or(0), NULL_DRAWS).into()
}

/// What a reader must know of the recording.
fn notes(trace: &Trace) -> Vec<String> {
    let Trace { info, layers } = trace;
    let mut notes = Vec::new();
    if info.assumed_tokens(layers) {
        notes.push(
            "The arrays have several tokens, of which the first was measured, as the protocol does: \
             the metadata key `tokens` chooses, `cls` or `mean`."
                .into(),
        );
    }
    if let (None, Some((right, samples))) = (info.accuracy, layers.classified()) {
        notes.push(format!(
            "Of the {samples} recorded samples {} are classified correctly; the run's test accuracy \
             is not said.",
            percent_fine(right as f64 / samples as f64)
        ));
    }
    let bare = |norm: &String| {
        ["none", "no", "false", "identity"].iter().any(|word| norm.eq_ignore_ascii_case(word))
    };
    if info.terminal_norm.as_ref().is_some_and(bare) {
        notes.push(
            "Without a norm before the head the reference gradient does not shrink as the hidden \
             states grow: on the published runs of such networks its floor never fired."
                .into(),
        );
    }
    notes
}
