//! A study's result in the format that is asked for: what `report` writes, and what `verify` holds a
//! written report against.

use super::{csv, html, junit, latex, long, markdown, study_json, terminal, together};
use crate::study::claims::tested;
use crate::study::results::StudyResult;
use crate::verdict::{Audit, MethodSummary, summarise};
use anyhow::Result;

/// A format of a report.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
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
    /// Tables for a paper (booktabs)
    Latex,
    /// One number a line: study, run, seed, epoch, layer, quantity, value, method
    Long,
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// A row for each run, with its reasons and controls.
    pub each_seed: bool,
    pub colour: bool,
}

/// The whole report.
///
/// # Errors
/// If a value cannot be written as text, as none is known to be.
pub fn write(study: &StudyResult, format: Format, look: Look) -> Result<String> {
    Ok(match format {
        Format::Table => table(study, look),
        Format::Csv => {
            let mut bytes = Vec::new();
            csv::write_study(study, &mut bytes)?;
            String::from_utf8(bytes)?
        }
        Format::Json => study_json::write(study)?,
        Format::Md => markdown::write(study, &together::panels(study)),
        Format::Html => html::write(study, &together::panels(study)),
        Format::Junit => junit::write(study)?,
        Format::Latex => latex::write(study),
        Format::Long => long::write(study)?,
    })
}

/// `claims.csv`; `None` where the study makes no claims.
///
/// # Errors
/// As [`write`].
pub fn write_claims(study: &StudyResult) -> Result<Option<String>> {
    if study.claims.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    csv::write_claims(&tested(study), &mut bytes)?;
    Ok(Some(String::from_utf8(bytes)?))
}

fn audits(study: &StudyResult) -> Vec<Audit> {
    study.runs.iter().filter_map(|run| run.audit.clone()).collect()
}

fn table(study: &StudyResult, look: Look) -> String {
    let audits = audits(study);
    let mut parts = vec![verdict_tables(&audits, look)];
    if look.each_seed {
        parts.push(terminal::controls(&audits));
    }
    parts.extend(terminal::panels(&together::panels(study), look.colour));
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
    parts.push(terminal::gists(&audits));
    parts.retain(|part| !part.trim().is_empty());
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    parts.join("\n\n") + "\n"
}

/// Pooled over seeds where there are several, unless each is asked for.
pub fn verdict_tables(audits: &[Audit], look: Look) -> String {
    let Look { each_seed, colour } = look;
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
