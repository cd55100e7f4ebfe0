//! A study as its directory tells it: every run with its record, its epochs and its audit.

use super::claims::StudyClaims;
use crate::train::run_dir::{EpochMetrics, RunRecord};
use crate::verdict::Audit;

/// A study's runs, in the order of its file.
#[derive(Clone, Debug)]
pub struct StudyResult {
    pub name: String,
    pub runs: Vec<RunResult>,
    /// The directories of the runs that have no record yet.
    pub missing: Vec<String>,
    /// What it is meant to show, where that was said.
    pub claims: Option<StudyClaims>,
}

/// One run of a study.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// The name of its directory.
    pub name: String,
    /// `run.json`; what it says of status, error and divergence is the run's state.
    pub record: RunRecord,
    /// `metrics.jsonl`, one an epoch.
    pub metrics: Vec<EpochMetrics>,
    /// `verdict.json`; a run that did not finish has none.
    pub audit: Option<Audit>,
}
