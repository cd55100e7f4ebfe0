//! `fa-audit recorder`: the recorders, for those who copy a file rather than install a package.

use super::{DONE, print};
use anyhow::Result;

/// Print a recorder, one file to be put beside a training script
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit recorder torch > fa_recorder.py
  fa-audit recorder jax > fa_recorder.py

Beside the training script: from fa_recorder import Recorder. Whoever has installed the Python package
fa-audit has the same files as fa_audit.torch and fa_audit.jax.")]
pub struct Args {
    /// What the network is written in
    #[arg(value_enum, value_name = "NAME")]
    name: Recorder,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Recorder {
    /// PyTorch 2.4 or later
    Torch,
    /// JAX: flax, equinox or plain functions
    Jax,
}

impl Recorder {
    /// The module of the Python package, to the byte.
    fn text(self) -> &'static str {
        match self {
            Self::Torch => include_str!("../../python/fa_audit/torch.py"),
            Self::Jax => include_str!("../../python/fa_audit/jax.py"),
        }
    }
}

pub fn run(args: &Args) -> Result<u8> {
    print(args.name.text())?;
    Ok(DONE)
}
