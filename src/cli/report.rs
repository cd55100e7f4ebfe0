//! `fa-audit report`: a study's result in another format, from its directory alone.

use super::{DONE, colour, print, print_json};
use crate::files::write_atomically;
use crate::report::{csv, html, junit, markdown, study_json, terminal, together};
use crate::study::results::StudyResult;
use crate::study::{read_results, read_single};
use crate::verdict::{Audit, MethodSummary, summarise};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Write a study's result as a table, CSV, JSON, Markdown, HTML or JUnit
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit report runs/demonstration
  fa-audit report runs/main --format html --out main.html
  fa-audit report runs/main --format json | jq '.methods[].label'

Needs neither data nor training: everything is read from the study's directory.")]
pub struct Args {
    /// The directory of a study, or of a single run
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The format
    #[arg(long, value_enum, default_value = "table")]
    format: ReportFormat,
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// In the table a row for each run, with its reasons and controls
    #[arg(long)]
    seeds: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum ReportFormat {
    /// For a terminal
    Table,
    /// One line a run
    Csv,
    /// Everything, schema fa-audit/study/1
    Json,
    /// The reporting template
    Md,
    /// One self-contained page with charts
    Html,
    /// For CI pages
    Junit,
}

pub fn run(args: &Args) -> Result<u8> {
    let study = match read_single(&args.dir)? {
        Some(run) => run,
        None => read_results(&args.dir)?,
    };
    let text = match args.format {
        ReportFormat::Table => table(&study, args.seeds, args.out.is_none() && colour()),
        ReportFormat::Csv => {
            let mut bytes = Vec::new();
            csv::write(&audits(&study), &mut bytes)?;
            String::from_utf8(bytes)?
        }
        ReportFormat::Json => study_json::write(&study)?,
        ReportFormat::Md => markdown::write(&study, &together::panels(&study)),
        ReportFormat::Html => html::write(&study, &together::panels(&study)),
        ReportFormat::Junit => junit::write(&study)?,
    };
    match &args.out {
        Some(file) => write_atomically(file, text.as_bytes())?,
        None if matches!(args.format, ReportFormat::Json) => print_json(&text)?,
        None => print(&text)?,
    }
    Ok(DONE)
}

/// Writes `report.html` and `report.md` into the study's directory.
///
/// # Errors
/// Names the file that cannot be read or written.
pub fn write_pages(root: &Path) -> Result<()> {
    let study = read_results(root)?;
    let together = together::panels(&study);
    write_atomically(&root.join("report.html"), html::write(&study, &together).as_bytes())?;
    write_atomically(&root.join("report.md"), markdown::write(&study, &together).as_bytes())
}

fn audits(study: &StudyResult) -> Vec<Audit> {
    study.runs.iter().filter_map(|run| run.audit.clone()).collect()
}

fn table(study: &StudyResult, each_seed: bool, colour: bool) -> String {
    let audits = audits(study);
    let mut parts = vec![verdict_tables(&audits, each_seed, colour)];
    if each_seed {
        parts.push(terminal::controls(&audits));
    }
    parts.extend(terminal::panels(&together::panels(study), colour));
    let unfinished: Vec<String> = study
        .runs
        .iter()
        .filter(|run| run.audit.is_none())
        .map(|run| {
            let why =
                run.record.error.clone().unwrap_or_else(|| format!("{:?}", run.record.status));
            format!("  · {}: {}", run.name, why.to_lowercase())
        })
        .chain(study.missing.iter().map(|name| format!("  · {name}: not begun")))
        .collect();
    if !unfinished.is_empty() {
        parts.push(format!("Without a verdict\n{}", unfinished.join("\n")));
    }
    parts.retain(|part| !part.trim().is_empty());
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    parts.join("\n\n") + "\n"
}

/// Pooled over seeds where there are several, unless each is asked for.
pub fn verdict_tables(audits: &[Audit], each_seed: bool, colour: bool) -> String {
    let methods = summarise(audits);
    // Checkpoints of one run are no seeds of a method.
    let distinct = |method: &MethodSummary| {
        let mut seeds = method.seeds.clone();
        seeds.sort();
        seeds.dedup();
        seeds.len() == method.seeds.len()
    };
    let several =
        methods.iter().any(|method| method.seeds.len() > 1) && methods.iter().all(distinct);
    match (several, each_seed) {
        (false, _) => terminal::report(audits, colour),
        (true, false) => terminal::seeds(&methods, colour),
        (true, true) => {
            format!("{}\n\n{}", terminal::report(audits, colour), terminal::seeds(&methods, colour))
        }
    }
}
