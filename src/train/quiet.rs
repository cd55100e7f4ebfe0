//! A whole run at once, without a word: what demonstrations and tests train.

use super::progress::Reporter;
use super::run_dir::RunDir;
use super::session::Session;
use crate::backend::{self, Differentiable, Task};
use crate::config::Config;
use crate::data::Dataset;
use anyhow::Result;

/// Trains the run of `config` to its end, into `dir`.
///
/// # Errors
/// As [`Session::train`]; also where `dir` holds a run.
pub fn train_quietly(config: &Config, data: &Dataset, dir: &RunDir) -> Result<()> {
    struct Training<'a> {
        config: &'a Config,
        data: &'a Dataset,
        dir: &'a RunDir,
    }
    impl Task for Training<'_> {
        type Output = ();

        fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
            let mut reporter = Reporter::new(true, false, self.config.epochs, 0);
            Session::<B>::start(self.config, self.data, self.dir, device)?.train(&mut reporter)?;
            Ok(())
        }
    }
    let _lock = dir.create(false)?;
    backend::run(config, Training { config, data, dir })
}
