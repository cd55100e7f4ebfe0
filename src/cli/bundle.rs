//! `fa-audit bundle` and `fa-audit replay`: a study as a folder for a paper's supplement, and that
//! folder trained anew.

use super::{DONE, REGRESSION, Show, audit, colour, print};
use crate::bundle::{self, About};
use crate::failure::usage;
use crate::files::exists;
use crate::message::tell;
use crate::regress::{Baseline, Scope, compare};
use crate::report::regression::headline;
use crate::report::terminal;
use crate::study::read_results;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Write a finished study as a folder for a paper's supplement
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit bundle runs/main --out supplement --license https://creativecommons.org/licenses/by/4.0/
  fa-audit bundle runs/main --out supplement --anonymous

It holds configurations, metrics, verdicts, report, tables and figures, the networks' hashes, RO-Crate metadata, a checklist's
answers and what a replay is held against; no networks.")]
pub struct BundleArgs {
    /// The directory of a study
    #[arg(value_name = "STUDY")]
    study: PathBuf,
    /// Where it goes: a folder that is empty or not there [default: STUDY-bundle]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out who trained it, where and in which folders
    #[arg(long, conflicts_with = "author")]
    anonymous: bool,
    /// Who made it; may be given several times
    #[arg(long, value_name = "NAME")]
    author: Vec<String>,
    /// The address of a licence
    #[arg(long, value_name = "URL")]
    license: Option<String>,
}

/// Train a bundled study anew, and say what differs from what it found
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit replay supplement --out runs/replay
  fa-audit replay supplement --data-dir ~/data --workers 2

Exit codes: 0 the same within the bundle's tolerances, 2 no bundle or not comparable, 4 something differs.")]
pub struct ReplayArgs {
    /// The folder that `bundle` wrote
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Where the runs go [default: runs/replay-<name of the study>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the CIFAR files lie
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Runs side by side, one thread each [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
}

pub fn bundle(args: &BundleArgs, show: Show) -> Result<u8> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => {
            let mut name = args.study.file_name().unwrap_or_default().to_owned();
            if name.is_empty() {
                return Err(usage(format!(
                    "{} has no name: --out names a place",
                    args.study.display()
                )));
            }
            name.push("-bundle");
            args.study.with_file_name(name)
        }
    };
    let about = About {
        anonymous: args.anonymous,
        authors: args.author.clone(),
        license: args.license.clone(),
    };
    let files = bundle::write(&args.study, &out, &about)?;
    if !show.quiet {
        tell(format!("{}: {} files; it is held to by SHA256SUMS", out.display(), files.len()));
    }
    Ok(DONE)
}

pub fn replay(args: &ReplayArgs, show: Show) -> Result<u8> {
    bundle::check(&args.bundle)?;
    let baseline_file = args.bundle.join("baseline.json");
    let baseline = Baseline::read(&baseline_file)?;
    let study = args.bundle.join("study.toml");
    if !exists(&study)? {
        return Err(usage(format!("{} is missing", study.display())));
    }
    let out = args.out.clone().unwrap_or_else(|| {
        Path::new("runs").join(format!("replay-{}", crate::shown::line(&baseline.name)))
    });
    let again = audit::Args::again(study, out.clone(), args.data_dir.clone(), args.workers);
    let code = audit::run(again, show)?;
    if code != DONE {
        return Ok(code);
    }
    let found = compare(&baseline, &read_results(&out)?, Scope::Study, false)
        .with_context(|| format!("{} and {}", baseline_file.display(), out.display()))?;
    print("\n")?;
    print(&terminal::regression(&found, colour()))?;
    if !show.quiet {
        tell(headline(&found));
    }
    Ok(if found.is_regression() { REGRESSION } else { DONE })
}
