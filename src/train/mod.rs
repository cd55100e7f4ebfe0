//! Training: the step, the loop, optimiser, checkpoints and the run directory.

mod batches;
pub mod checkpoint;
mod evaluate;
mod frozen_network;
pub mod identity;
pub mod interrupt;
pub mod lifecycle;
pub mod lock;
pub mod memory;
mod metrics_file;
mod optimizer;
mod progress;
mod quiet;
mod ranks;
mod resident;
pub mod run_dir;
mod session;
mod tensorboard;
pub mod update;

pub use evaluate::{Evaluation, evaluate, evaluate_on};
pub use metrics_file::Recovery;
pub use optimizer::{Optimizer, learning_rate};
pub use progress::Reporter;
pub use quiet::train_quietly;
pub use session::{Outcome, Session};
pub use tensorboard::EventFile;
