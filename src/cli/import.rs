//! `fa-audit import`: a network that PyTorch trained becomes a checkpoint.

use super::options::RunOptions;
use super::{DONE, Show};
use crate::config::Layer;
use crate::failure::usage;
use crate::files::exists;
use crate::import::{Import, Names, import};
use crate::message::tell;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Turn a PyTorch state dict into a checkpoint that diagnose accepts
#[derive(clap::Args)]
#[command(mut_arg("config", |arg| arg.required(true)), after_help = "\
Examples:
  fa-audit import model.pt --config net.toml --data-dir ~/data --out imported/checkpoint.mpk
  fa-audit import model.safetensors --config net.toml --epoch 30 --out imported/checkpoint.mpk
  fa-audit diagnose imported/checkpoint.mpk --frozen runs/frozen/checkpoint.mpk

The configuration says how the network was built and trained, as for train. Where its tensors have
other names than PyTorch gives to modules named as here, a table says so:
  method = \"dfa\"
  dataset = \"cifar10\"
  [import]
  prefix = \"model\"               # torch.save({\"model\": model.state_dict(), ...})
  transposed = [\"feedback\"]      # the file holds B transposed, [classes, width]
  ignore = [\"model.ema\"]         # in the file, and not part of the network
  [import.keys]
  \"blocks.{l}.linear1\" = \"model.layers.{l}.fc1\"
  \"readout.norm\" = \"model.out_ln\"")]
pub struct Args {
    /// What torch.save or safetensors wrote
    #[arg(value_name = "MODEL.pt|MODEL.safetensors")]
    model: PathBuf,
    #[command(flatten)]
    options: RunOptions,
    /// The checkpoint to write
    #[arg(long, value_name = "CHECKPOINT.mpk")]
    out: PathBuf,
    /// Epochs that the network was trained for [default: not known]
    #[arg(long, value_name = "N")]
    epoch: Option<usize>,
    /// Replace --out
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args, show: Show) -> Result<u8> {
    let Args { model, mut options, out, epoch, force } = args;
    let place = out.display();
    if !force && exists(&out)? {
        return Err(usage(format!("{place} exists already: --force replaces it")));
    }
    let mut layer =
        options.config.take().map(|p| Layer::from_file(&p)).transpose()?.unwrap_or_default();
    let names = Names::take(&mut layer)?;
    let config = options.config_with(layer)?;
    if let Some(epoch) = epoch.filter(|&epoch| epoch > config.epochs) {
        let planned = config.epochs;
        return Err(usage(format!(
            "--epoch {epoch}: the configuration plans {planned} (`epochs`)"
        )));
    }
    let data = config.load_data()?;
    let Import { checkpoint, notes } =
        import(&model, &names, &config, &data.provenance, epoch.unwrap_or(0))?;
    if let Some(folder) = out.parent() {
        let created = std::fs::create_dir_all(folder);
        created.with_context(|| format!("cannot create {}", folder.display()))?;
    }
    checkpoint.save(&out)?;
    if !show.quiet {
        for note in notes {
            tell(format!("note: {note}"));
        }
        tell(format!(
            "imported {} parameters and {} feedback matrices of {} from {}; audit it: \
             fa-audit diagnose {place}",
            checkpoint.network.len(),
            checkpoint.learner.len(),
            config.label(),
            model.display()
        ));
    }
    Ok(DONE)
}
