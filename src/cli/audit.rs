//! `fa-audit audit`: trains what a study lacks, and ends with the table.

use super::options::data_dir_key;
use super::results::{self, FailOn, Judged};
use super::{FAILED, INTERRUPTED, Show};
use crate::audit::{Auditor, Options};
use crate::config::Layer;
use crate::study::{DEMONSTRATION, RunState, Study, train_missing};
use crate::train::interrupt;
use anyhow::Result;
use std::path::PathBuf;

/// Run a study and print its verdict table; without a file the demonstration
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit audit                          the embedded demonstration, about a minute
  fa-audit audit my-study.toml --data-dir ~/data --out runs/my-study

What is finished is not trained again: the same call goes on after an interrupt.")]
pub struct Args {
    /// A study file [default: the embedded demonstration]
    #[arg(value_name = "STUDY.toml")]
    study: Option<PathBuf>,
    /// Where the runs lie [default: runs/<name of the study>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs side by side, one thread each [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Where the CIFAR files lie
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// One JSON object a line on standard output, and nothing else
    #[arg(long)]
    json: bool,
    /// Exit with 3 on these verdicts
    #[arg(long, value_enum, default_value = "never")]
    fail_on: FailOn,
}

pub fn run(args: Args, show: Show) -> Result<u8> {
    interrupt::catch()?;
    let mut over = Layer::new("the command line");
    if let Some(dir) = &args.data_dir {
        over.keys.insert("data_dir".into(), data_dir_key(dir));
    }
    let study = match &args.study {
        Some(path) => Study::read(path, &over)?,
        None => Study::parse("the demonstration study", DEMONSTRATION, &over)?,
    };
    let root = args.out.unwrap_or_else(|| PathBuf::from("runs").join(&study.name));
    let runs: Vec<_> = study.runs.iter().map(|config| RunState::new(&root, config)).collect();
    let missing = runs.iter().filter(|run| !run.is_finished()).count();
    let workers = args.workers.map_or_else(cores, usize::from);
    if !show.quiet {
        let count = runs.len();
        let place = root.display();
        eprintln!("study {}: {count} runs in {place}, {missing} to train", study.name);
    }
    let failures = train_missing(&runs, workers, !show.quiet && !show.no_progress)?;
    if interrupt::asked() {
        eprintln!("interrupted; the same command goes on");
        return Ok(INTERRUPTED);
    }
    for failure in &failures {
        eprintln!("failed: {}: {}", failure.dir.display(), failure.message);
    }

    let mut auditor = Auditor::new(Options { data_dir: args.data_dir, ..Options::default() });
    let mut judged = Vec::new();
    for run in runs.iter().filter(|run| run.is_finished()) {
        judged.push(Judged {
            audit: auditor.audit(&run.dir.checkpoint())?,
            verdict_file: run.dir.path().join("verdict.json"),
        });
    }
    results::write_verdicts(&judged)?;
    let audits: Vec<_> = judged.into_iter().map(|j| j.audit).collect();
    results::write_csv(&audits, &root)?;
    results::show(&audits, args.json)?;
    if !failures.is_empty() {
        return Ok(FAILED);
    }
    Ok(results::exit_code(&audits, args.fail_on))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
