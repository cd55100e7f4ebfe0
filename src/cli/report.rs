//! `fa-audit report`: a study's result in another format, from its directory alone.

use super::{DONE, colour, print, print_json};
use crate::files::write_atomically;
use crate::message::tell;
use crate::report::format::{self, Format, Look};
use crate::report::html::figures;
use crate::study::read;
use crate::study::results::StudyResult;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Write a study's result as a table, CSV, JSON, Markdown, HTML, JUnit or LaTeX, or its charts
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit report runs/demonstration
  fa-audit report runs/main --format html --out main.html
  fa-audit report runs/main --format json | jq '.methods[].label'
  fa-audit report runs/main --format latex --out tables.tex --figures figures

Needs neither data nor training: everything is read from the study's directory.")]
pub struct Args {
    /// The directory of a study, or of a single run
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The format
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write each chart of the HTML page as an SVG of its own into this folder, with captions.md
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// In the table a row for each run, with its reasons and controls
    #[arg(long)]
    seeds: bool,
}

impl Args {
    /// Whether the report goes to standard output.
    pub fn is_shown(&self) -> bool {
        self.out.is_none()
    }
}

pub fn run(args: &Args) -> Result<u8> {
    let study = read(&args.dir)?;
    let colour = args.out.is_none() && colour();
    let text = format::write(&study, args.format, Look { each_seed: args.seeds, colour })?;
    if let Some(folder) = &args.figures {
        let count = write_figures(&study, folder)?;
        tell(format!("{count} charts and captions.md in {}", folder.display()));
    }
    match &args.out {
        Some(file) => write_atomically(file, text.as_bytes())?,
        None if args.format == Format::Json => print_json(&text)?,
        None => print(&text)?,
    }
    Ok(DONE)
}

/// The charts of the study, each in a file, and captions.md; how many there are.
fn write_figures(study: &StudyResult, folder: &Path) -> Result<usize> {
    crate::files::create_folder(folder)?;
    let figures = figures::figures(study);
    for figure in &figures {
        write_atomically(&folder.join(&figure.file), figure.svg.as_bytes())?;
    }
    write_atomically(&folder.join("captions.md"), figures::captions(&figures).as_bytes())?;
    Ok(figures.len())
}

/// Writes the tables and pages of the study into its directory; the study.
///
/// # Errors
/// Names the file that cannot be read or written.
pub fn write_pages(root: &Path) -> Result<StudyResult> {
    let study = read(root)?;
    if let Some(claims) = format::write_claims(&study)? {
        write_atomically(&root.join("claims.csv"), claims.as_bytes())?;
    }
    let files =
        [("verdicts.csv", Format::Csv), ("report.html", Format::Html), ("report.md", Format::Md)];
    for (name, kind) in files {
        let text = format::write(&study, kind, Look::default())?;
        write_atomically(&root.join(name), text.as_bytes())?;
    }
    Ok(study)
}
