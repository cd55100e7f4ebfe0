//! Is a run still what it was? A study, or one run, held against numbers that were stored when all
//! was well: the baseline, a JSON file that says what each metric of each run was, and how far it
//! may move.
//!
//! What is missing is a breach, what is new is named, and what improved is not hidden. Runs of
//! another protocol, network or data are not compared at all, unless that is forced.

mod baseline;
mod compare;
mod metrics;
mod setting;
mod tolerance;

pub use baseline::{Baseline, BaselineRun, MAX_BYTES, SCHEMA};
pub use compare::{Comparison, MetricRow, RowOutcome, RunComparison, Scope, compare};
pub use metrics::{Metrics, Value, metrics};
pub use setting::Setting;
pub use tolerance::{ToleranceKind, ToleranceRule};
