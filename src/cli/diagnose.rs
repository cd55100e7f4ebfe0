//! `fa-audit diagnose`: the verdict on trained networks.

use super::results::{self, FailOn, Judged};
use super::{Show, options};
use crate::audit::{Auditor, Options};
use crate::failure::usage;
use crate::files::{exists, is_directory};
use crate::foreign;
use crate::message::tell;
use crate::verdict::Audit;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Audit checkpoints, and traces that other programs recorded: can these runs be believed?
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit diagnose runs/dfa/checkpoint.mpk --frozen runs/frozen/checkpoint.mpk
  fa-audit diagnose runs/*/checkpoint.mpk --json | jq .verdict
  fa-audit diagnose runs/dfa
  fa-audit diagnose runs/dfa/epochs/*.mpk --fail-on walked-back
  fa-audit diagnose runs/dfa/checkpoint.mpk --controls
  fa-audit diagnose trace.safetensors trace.npz --frozen frozen.npz

Beside each file verdict.json and verdicts.csv are written; --out collects them elsewhere.")]
pub struct Args {
    /// Checkpoints, or the directories of their runs; traces, which end in .safetensors or .npz
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The frozen run to compare with [default: a matching one beside the run; of a trace its metadata
    /// `frozen_accuracy`]
    #[arg(long, value_name = "FILE")]
    frozen: Option<PathBuf>,
    /// Compute the controls, too: null calibration, perturbation correlation, nudging, descent test,
    /// float64 shadow, common mode, clamp, aggregations, ranks; and those of the harness itself
    #[arg(long)]
    controls: bool,
    /// Where the CIFAR files lie [default: where they lay in training]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where verdict.json and verdicts.csv go [default: beside each file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object a line on standard output, and nothing else
    #[arg(long)]
    json: bool,
    /// Exit with 3 on these verdicts
    #[arg(long, value_enum, default_value = "never")]
    fail_on: FailOn,
    #[command(flatten)]
    place: options::AuditPlace,
}

pub fn run(args: Args, show: Show) -> Result<u8> {
    if args.fail_on == FailOn::Claims {
        return Err(usage("--fail-on claims: only a study makes claims (fa-audit audit)"));
    }
    let mut auditor = Auditor::new(Options {
        frozen: args.frozen,
        data_dir: args.data_dir,
        controls: args.controls,
        device: args.place.settle()?,
    });
    let mut judged = Vec::new();
    let inputs = args.inputs.iter().map(|input| checkpoint_of(input));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    for (i, input) in inputs.iter().enumerate() {
        if !show.quiet && args.inputs.len() > 1 {
            tell(format!("{}/{}: {}", i + 1, args.inputs.len(), input.display()));
        }
        let audit = auditor.audit(input)?;
        judged.push(Judged { audit, verdict_file: verdict_file(input, args.out.as_deref()) });
    }
    check_places(&judged)?;
    // What was found is not lost to a folder that cannot be written, nor the files to a closed pipe.
    let printed = match args.json {
        true => {
            let audits: Vec<_> = judged.iter().map(|j| j.audit.clone()).collect();
            results::show(&audits, true, true)
        }
        false => Ok(()),
    };
    results::write_verdicts(&judged)?;
    let mut folders = BTreeMap::<PathBuf, Vec<Audit>>::new();
    for Judged { audit, verdict_file } in &judged {
        let beside = verdict_file.parent().unwrap_or(Path::new(".")).to_path_buf();
        folders.entry(args.out.clone().unwrap_or(beside)).or_default().push(audit.clone());
    }
    for (folder, audits) in &folders {
        results::write_csv(audits, folder)?;
    }
    let audits: Vec<_> = judged.into_iter().map(|j| j.audit).collect();
    printed?;
    if !args.json {
        results::show(&audits, false, true)?;
        results::show_gists(&audits)?;
    }
    Ok(results::exit_code(&audits, args.fail_on))
}

/// What is audited of a path: of a run's directory its newest checkpoint.
fn checkpoint_of(input: &Path) -> Result<PathBuf> {
    if !is_directory(input)? {
        return Ok(input.to_path_buf());
    }
    let checkpoint = input.join("checkpoint.mpk");
    if exists(&checkpoint)? {
        return Ok(checkpoint);
    }
    let seems = match foreign::seems(input).filter(|what| *what != foreign::A_FOLDER) {
        Some(what) => format!(" (it seems to be {what})"),
        None => String::new(),
    };
    Err(usage(format!(
        "{} is a directory without checkpoint.mpk{seems}: expected a run's directory, a checkpoint or a \
         trace",
        input.display()
    )))
}

/// `verdict.json` for a run's newest checkpoint, `epoch-0003.verdict.json` for another; under
/// `out` in a folder of the run's name.
fn verdict_file(input: &Path, out: Option<&Path>) -> PathBuf {
    let beside = input.parent().unwrap_or(Path::new("."));
    let folder = match out {
        None => beside.to_path_buf(),
        Some(out) => {
            let run = beside.ancestors().find(|p| p.file_name().is_some_and(|n| n != "epochs"));
            out.join(run.and_then(Path::file_name).unwrap_or_default())
        }
    };
    // Another file of that stem, such as a trace, is not the run.
    if input.file_name().is_some_and(|name| name == "checkpoint.mpk") {
        return folder.join("verdict.json");
    }
    let mut name = input.file_stem().unwrap_or_default().to_owned();
    name.push(".verdict.json");
    folder.join(name)
}

/// Two inputs must not write the same file.
fn check_places(judged: &[Judged]) -> Result<()> {
    let mut places: Vec<_> = judged.iter().map(|j| &j.verdict_file).collect();
    places.sort();
    match places.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(usage(format!(
            "two inputs would both write {}: give them in two calls, or another --out",
            pair[0].display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_lies_beside_its_checkpoint_or_under_out_by_the_runs_name() {
        let file = |input: &str, out: Option<&str>| {
            verdict_file(Path::new(input), out.map(Path::new)).display().to_string()
        };
        assert_eq!(file("runs/a/checkpoint.mpk", None), "runs/a/verdict.json");
        assert_eq!(file("runs/a/checkpoint.mpk", Some("o")), "o/a/verdict.json");
        let epoch = "runs/a/epochs/epoch-0003.mpk";
        assert_eq!(file(epoch, None), "runs/a/epochs/epoch-0003.verdict.json");
        assert_eq!(file(epoch, Some("o")), "o/a/epoch-0003.verdict.json");
        assert_eq!(file("runs/a/checkpoint.npz", None), "runs/a/checkpoint.verdict.json");
    }
}
