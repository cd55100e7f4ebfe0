//! `fa-audit verify`: is what is printed what was measured?

use super::{DONE, FAILED, Show, print};
use crate::audit::{Auditor, Options};
use crate::message::tell;
use crate::verify::{Again, Ledger, Nearness, verify};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Recompute every printed number from the artefacts, and name the first that differs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit verify runs/main                     a study: runs, verdicts, tables, pages
  fa-audit verify runs/main --stored            without measuring again
  fa-audit verify runs/dfa                      a single run
  fa-audit verify runs/main/report.md
  fa-audit verify paper/main.html --of runs/main

Exits with 0 where everything agrees and with 1 where something differs, which is then named: file,
row, column, what is printed and what is recomputed.")]
pub struct Args {
    /// The directory of a study or of a run, a verdict.json, or a report
    #[arg(value_name = "REPORT_OR_DIR")]
    path: PathBuf,
    /// The directory that a report was made of [default: the one it lies in]
    #[arg(long, value_name = "DIR")]
    of: Option<PathBuf>,
    /// Hold what is stored against itself alone, and measure no checkpoint again
    #[arg(long)]
    stored: bool,
    /// What numbers that are measured again may differ by, as a share: 1e-3 on another processor
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    within: f64,
    /// Where the CIFAR files lie [default: where they lay in training]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn run(args: Args, show: Show) -> Result<u8> {
    let Args { path, of, stored, within, data_dir } = args;
    let mut auditor = Auditor::new(Options { data_dir, ..Options::default() });
    let telling = |file: &Path| {
        if !show.quiet {
            tell(format!("measuring {} again", file.display()));
        }
    };
    let mut again = Again {
        auditor: (!stored).then_some(&mut auditor),
        near: Nearness { within },
        telling: &telling,
    };
    let ledger = verify(&path, of.as_deref(), &mut again)?;
    print(&told(&ledger))?;
    Ok(if ledger.differences.is_empty() { DONE } else { FAILED })
}

fn told(ledger: &Ledger) -> String {
    let Ledger { files, differences, measured } = ledger;
    let again = match measured {
        0 => "no verdict measured again".into(),
        1 => "1 verdict measured again".into(),
        n => format!("{n} verdicts measured again"),
    };
    let of = match files.len() {
        1 => "1 file".into(),
        n => format!("{n} files"),
    };
    match differences.split_first() {
        None => format!("Everything agrees: {of}, {again}.\n"),
        Some((first, rest)) => {
            let mut text = format!("Differs: {first}\n");
            for other in rest {
                text += &format!("  besides: {other}\n");
            }
            text + &format!("{} of {of} differ, {again}.\n", differences.len())
        }
    }
}
