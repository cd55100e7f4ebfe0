//! `ro-crate-metadata.json` (RO-Crate 1.1): what the bundle's files are, for archives and their search.

use super::About;
use crate::study::StudyFile;
use crate::study::results::StudyResult;
use crate::train::lifecycle::TOOL;
use crate::verdict::PROTOCOL;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The metadata of a bundle in `out` that has these files.
pub fn write(
    study: &StudyResult,
    plan: &StudyFile,
    about: &About,
    out: &Path,
    files: &[String],
) -> Result<String> {
    let ends = study.runs.iter().filter_map(|run| run.record.provenance.end.as_deref());
    let starts = study.runs.iter().map(|run| run.record.provenance.start.as_str());
    let (start, end) = (starts.min().unwrap_or_default(), ends.max().unwrap_or_default());
    let is_of_a_run =
        |file: &str| plan.runs.iter().any(|run| file.starts_with(&format!("{}/", run.directory)));
    let top = files.iter().filter(|file| !is_of_a_run(file));
    let folders = plan.runs.iter().map(|run| format!("{}/", id(&run.directory)));
    let parts: Vec<Value> =
        top.map(|file| id(file)).chain(folders).map(|id| json!({ "@id": id })).collect();
    let mut root = json!({
        "@id": "./",
        "@type": "Dataset",
        "name": study.name,
        "description": format!(
            "Configurations, metrics, verdicts and report of the study {}: {} training runs, audited by {TOOL} after protocol \
             {PROTOCOL}.", study.name, study.runs.len()
        ),
        "datePublished": end,
        "hasPart": parts,
        "mentions": { "@id": "#audit" },
    });
    root["license"] = match &about.license {
        Some(address) => json!({ "@id": address }),
        None => json!("not stated: ask the authors"),
    };
    // RO-Crate would have one value stand by itself.
    let author = |i: usize| json!({ "@id": format!("#author-{}", i + 1) });
    match about.authors.len() {
        0 => {}
        1 => root["author"] = author(0),
        n => root["author"] = (0..n).map(author).collect(),
    }
    let mut graph = vec![
        json!({
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": { "@id": "./" },
            "conformsTo": { "@id": "https://w3id.org/ro/crate/1.1" },
        }),
        root,
        json!({
            "@id": "#fa-audit",
            "@type": "SoftwareApplication",
            "name": "fa-audit",
            "softwareVersion": TOOL,
            "description": "Tells whether a training run without backpropagation can be believed",
        }),
        json!({
            "@id": "#audit",
            "@type": "CreateAction",
            "name": format!("Training and audit of {}", study.name),
            "startTime": start,
            "endTime": end,
            "instrument": { "@id": "#fa-audit" },
            "result": [{ "@id": "verdicts.csv" }, { "@id": "report.html" }],
        }),
    ];
    graph.extend(about.authors.iter().enumerate().map(
        |(i, name)| json!({ "@id": format!("#author-{}", i + 1), "@type": "Person", "name": name }),
    ));
    if let Some(address) = &about.license {
        graph.push(json!({ "@id": address, "@type": "CreativeWork", "name": address }));
    }
    for run in &plan.runs {
        let inside = files.iter().filter(|file| file.starts_with(&format!("{}/", run.directory)));
        let parts: Vec<Value> = inside.map(|file| json!({ "@id": id(file) })).collect();
        graph.push(json!({
            "@id": format!("{}/", id(&run.directory)),
            "@type": "Dataset",
            "name": run.directory,
            "description": format!("One training run; SHA-256 of its configuration {}", run.config_hash),
            "hasPart": parts,
        }));
    }
    for file in files {
        let size = std::fs::metadata(out.join(file)).with_context(|| file.clone())?.len();
        let (format, what) = kind(file);
        graph.push(json!({
            "@id": id(file),
            "@type": "File",
            "name": file,
            "description": what,
            "encodingFormat": format,
            "contentSize": size.to_string(),
        }));
    }
    let ids: BTreeSet<&str> = graph.iter().filter_map(|entity| entity["@id"].as_str()).collect();
    debug_assert_eq!(ids.len(), graph.len(), "an identifier stands twice");
    let whole = json!({ "@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

/// The media type and the meaning of a file.
fn kind(file: &str) -> (&'static str, &'static str) {
    let name = file.rsplit('/').next().unwrap_or(file);
    let what = match name {
        "run.json" => "Record of a run: configuration, provenance, state",
        "config.toml" => "Every key of a run's configuration",
        "metrics.jsonl" => "One line an epoch",
        "verdict.json" => "The audit of a run",
        "study.toml" => "The study file: the grid of runs",
        "study.json" => "The plan of the study",
        "baseline.json" => "What a replay is held against, with tolerances",
        "long.csv" => "Every number in long form",
        "verdicts.csv" => "One row a run",
        "tables.tex" => "Verdicts and layers as LaTeX tables",
        "checklist.md" => "Answers to a reproducibility checklist",
        "checkpoints.sha256" => "SHA-256 of the trained networks",
        "report.html" | "report.md" => "The report",
        _ if name.ends_with(".svg") => "A chart of the report",
        _ => "Part of the bundle",
    };
    let format = match name.rsplit('.').next().unwrap_or_default() {
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "toml" => "application/toml",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "html" => "text/html",
        "tex" => "application/x-tex",
        "svg" => "image/svg+xml",
        _ => "text/plain",
    };
    (format, what)
}

/// A path as a relative URI.
fn id(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte.into())
            }
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_uris() {
        assert_eq!(id("figures/dfa-λ-0.01 a.svg"), "figures/dfa-%CE%BB-0.01%20a.svg");
    }
}
