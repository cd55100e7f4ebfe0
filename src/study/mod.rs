//! Studies: a grid of runs and their frozen twins, trained side by side, each in a process and a
//! directory of its own. A run's directory is named by its configuration's hash, so that a study
//! that is started again trains only what is missing.

pub mod claims;
mod consistency;
mod directory;
mod estimate;
mod grid;
pub mod inversion;
pub mod ladder;
mod listing;
pub mod methods;
mod plan;
mod progress;
pub mod ranks;
pub mod results;
mod setting;
pub mod sweep;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
pub mod timeline;
pub mod utility;
pub mod watch;
mod workers;

pub use consistency::{Mixture, Program, other_keys, other_processors};
pub use directory::{StudyFile, read, read_results, read_single};
pub use estimate::Estimator;
pub use grid::Study;
pub use listing::listing;
pub use plan::{PlannedRun, Shard, State, plan};
pub use progress::{Display, ShownProgress, judging};
pub use setting::with_base_keys;
pub use workers::{Failure, train_missing};

/// The demonstration study: `fa-audit audit` without a file.
pub const DEMONSTRATION: &str = include_str!("../../configs/studies/demonstration.toml");
