//! `fa-audit data`: which data are there, and are they what they should be?

use super::{DONE, FAILED, print};
use crate::data::{DatasetKind, Source, Verification, verify};
use crate::message::tell;
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// Show or verify the data files
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit data info --data-dir ~/data       what is there
  fa-audit data verify --data-dir ~/data     fails where it is not what was published")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the data files found, their sizes and what they are recognised as
    Info(FilesPlace),
    /// As `info`, and fail where nothing is found, or a file is missing, damaged or not official
    Verify(FilesPlace),
}

#[derive(clap::Args)]
struct FilesPlace {
    /// Where the files lie
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<u8> {
    let (place, strict) = match args.action {
        Action::Info(place) => (place, false),
        Action::Verify(place) => (place, true),
    };
    let mut lines = String::new();
    let (mut found, mut official) = (false, true);
    let mut problems = Vec::new();
    for kind in [DatasetKind::Cifar10, DatasetKind::Cifar100] {
        match verify(kind, place.data_dir.as_deref()) {
            Ok(report) if report.files.iter().all(|file| file.is_absent) => {
                let instead = report.instead.map(|what| format!(" ({what})")).unwrap_or_default();
                lines += &format!("{kind} in {}: no files{instead}\n", report.dir.display());
            }
            Ok(report) => {
                found = true;
                official &= report.source() == Some(Source::Official);
                problems.extend(report.unseen().map(String::from));
                describe(&mut lines, &report);
            }
            // Without a folder there was nothing to look at.
            Err(error) if place.data_dir.is_none() => tell(format!("{error:#}")),
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    lines += "synthetic: made in memory from a seed, no files\n";
    print(&lines)?;
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(if strict && !(found && official) { FAILED } else { DONE })
}

fn describe(lines: &mut String, report: &Verification) {
    let all = match report.source() {
        Some(source) => format!("{source} ({})", source.meaning()),
        None => "not usable".into(),
    };
    *lines += &format!("{} in {}: {all}\n", report.dataset, report.dir.display());
    for file in &report.files {
        let verdict = match (&file.problem, file.source) {
            (Some(problem), _) => problem.clone(),
            (None, Some(source)) => source.to_string(),
            (None, None) => "not recognised".into(),
        };
        let bytes = match file.bytes {
            Some(bytes) => format!("{bytes} bytes"),
            None if file.is_absent => "absent".into(),
            None => "-".into(),
        };
        let hash = file.sha256.as_deref().unwrap_or("-");
        *lines += &format!("  {:<18} {bytes:>15}  {verdict}\n    sha256 {hash}\n", file.name);
    }
}
