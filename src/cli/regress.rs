//! `fa-audit regress`: is a run or a study still what the baseline says?

use super::{DONE, REGRESSION, Show, colour, print, print_json};
use crate::failure::usage;
use crate::files::{exists, write_atomically};
use crate::message::tell;
use crate::regress::{Baseline, Comparison, Scope, ToleranceRule, compare};
use crate::report::regression::{headline, json, junit, markdown};
use crate::report::terminal;
use crate::study::results::StudyResult;
use crate::study::{read_results, read_single};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Compare a run or a study with a stored baseline
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit regress baseline.json runs/main --update     write the baseline
  fa-audit regress baseline.json runs/main              exit code 4 where a metric left it
  fa-audit regress baseline.json runs/main/dfa-resmlp-cifar10-s42-1c9b0d7e
  fa-audit regress baseline.json runs/main --format junit --out regress.xml
  fa-audit regress baseline.json runs/main --format md --out summary.md

The tolerances stand in the baseline and are yours to edit: the first whose patterns name a metric
holds, and --update keeps them.
  { \"metrics\": [\"growth*\", \"reference*\"], \"kind\": \"relative\", \"by\": 0.01 }
  { \"metrics\": [\"cosine.*\"], \"runs\": [\"dfa*\"], \"kind\": \"absolute\", \"by\": 0.01 }
  { \"metrics\": [\"accuracy\"], \"kind\": \"statistical\", \"confidence\": 0.99 }
  { \"metrics\": [\"*\"], \"kind\": \"exact\" }

Exit codes: 0 no regression, 2 not comparable or no baseline, 4 regression.")]
pub struct Args {
    /// The stored baseline
    #[arg(value_name = "BASELINE.json")]
    baseline: PathBuf,
    /// The directory of a study or of a run
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Rewrite the baseline with what is found, keeping its tolerances; a new one gets those that
    /// rounding needs
    #[arg(long)]
    update: bool,
    /// Compare, or update, although protocol, architecture or data differ
    #[arg(long)]
    force: bool,
    /// The format
    #[arg(long, value_enum, default_value = "table")]
    format: ComparisonFormat,
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON object on one line, and nothing else
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum ComparisonFormat {
    /// For a terminal
    Table,
    /// Every value, schema fa-audit/regression/1
    Json,
    /// For a CI job's summary
    Md,
    /// For CI pages: a suite a run, a case a metric
    Junit,
}

pub fn run(args: &Args, show: Show) -> Result<u8> {
    let (results, scope) = read(&args.dir)?;
    if !exists(&args.baseline)? {
        if !args.update {
            let file = args.baseline.display();
            return Err(usage(format!("there is no {file}: --update writes one")));
        }
        let baseline = Baseline::of(&results, ToleranceRule::of_rounding())?;
        return args.write(&baseline, show);
    }
    let baseline = Baseline::read(&args.baseline)?;
    let found = compare(&baseline, &results, scope, args.force)
        .with_context(|| format!("{} and {}", args.baseline.display(), args.dir.display()))?;
    args.show(&found)?;
    if args.update {
        let others = baseline.runs.len() - found.runs.len().min(baseline.runs.len());
        if scope == Scope::Run && others > 0 && !args.force {
            return Err(usage(format!(
                "{} is one run, the baseline has {others} more, which --update would drop: name \
                 the study, or --force",
                args.dir.display()
            )));
        }
        return args.write(&Baseline::of(&results, baseline.tolerances)?, show);
    }
    if args.out.is_some() && !show.quiet {
        tell(headline(&found));
    }
    Ok(if found.is_regression() { REGRESSION } else { DONE })
}

impl Args {
    fn show(&self, found: &Comparison) -> Result<()> {
        let text = match self.format {
            _ if self.json => json::line(found)? + "\n",
            ComparisonFormat::Table => terminal::regression(found, self.out.is_none() && colour()),
            ComparisonFormat::Json => json::write(found)?,
            ComparisonFormat::Md => markdown::write(found),
            ComparisonFormat::Junit => junit::write(found)?,
        };
        match &self.out {
            Some(file) => write_atomically(file, text.as_bytes()),
            None if self.json || matches!(self.format, ComparisonFormat::Json) => print_json(&text),
            None => print(&text),
        }
    }

    fn write(&self, baseline: &Baseline, show: Show) -> Result<u8> {
        baseline.write(&self.baseline)?;
        if !show.quiet {
            let metrics: usize = baseline.runs.iter().map(|run| run.metrics.len()).sum();
            let (file, runs) = (self.baseline.display(), baseline.runs.len());
            tell(format!("{file}: {runs} runs, {metrics} values"));
        }
        Ok(DONE)
    }
}

/// What the directory holds.
fn read(dir: &Path) -> Result<(StudyResult, Scope)> {
    if let Some(run) = read_single(dir)? {
        return Ok((run, Scope::Run));
    }
    if !exists(&dir.join("study.json"))? {
        return Err(usage(format!(
            "{} holds neither a study (study.json) nor a run (run.json)",
            dir.display()
        )));
    }
    Ok((read_results(dir)?, Scope::Study))
}
