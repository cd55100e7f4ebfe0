//! Studies: a grid of runs and their frozen twins, trained side by side, each in a process and a
//! directory of its own. A run's directory is named by its configuration's hash, so that a study
//! that is started again trains only what is missing.

mod grid;
mod workers;

pub use grid::Study;
pub use workers::{Failure, RunState, train_missing};

/// The demonstration study: `fa-audit audit` without a file.
pub const DEMONSTRATION: &str = include_str!("../../configs/studies/demonstration.toml");
