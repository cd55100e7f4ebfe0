//! The verdict table for a terminal of 80 columns: one row an audit, then the cosine of each layer,
//! then the reasons as sentences. Seeds of one method are pooled in [`seeds`].
//!
//! Each value keeps one column for a mark, so that digits stay aligned: `!` fired, `?` a cosine whose
//! reference fired, `~` inconclusive. What was not evaluated is `–`, never a blank.

mod cells;
mod controls;
mod draw;
mod evidence;
mod gist;
mod panels;
mod regression;
mod seeds;

pub use controls::controls;
pub use draw::fit;
pub use gist::gists;
pub use panels::panels;
pub use regression::regression;
pub use seeds::seeds;

use crate::verdict::{Audit, Status, Thresholds, plain, short};
use cells::{accuracy, cosine, exponential, finding, fixed, points, verdict};
use comfy_table::Cell;
use draw::{finish, table, wrapped};

/// Layers side by side in the table of cosines; more are wrapped.
const LAYERS_ABREAST: usize = 7;

/// Everything: tables, legend, reasons, notes.
pub fn report(audits: &[Audit], color: bool) -> String {
    [tables(audits, color), reasons(audits), evidence::evidence(audits), notes(audits)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// For each setting (network, data, evaluation) the verdicts and the cosines; then the legend.
pub fn tables(audits: &[Audit], color: bool) -> String {
    let mut out = String::new();
    let key = |audit: &Audit| (setting(audit), audit.thresholds.used());
    for ((setting, thresholds), group) in grouped(audits, key) {
        out += &format!("{setting}\n{}\n", verdicts(&group, &thresholds, color));
        let cosines = cosines(&group);
        let credit = evidence::credit(&group);
        for part in [cosines, credit].iter().filter(|part| !part.is_empty()) {
            out += &format!("\n{part}");
        }
        out += "\n";
    }
    out + &legend(audits)
}

/// What must agree for rows to share a table.
fn setting(audit: &Audit) -> String {
    let (run, evaluation) = (&audit.run, &audit.evaluation);
    let sizes: Vec<String> = evaluation.batch_sizes.iter().map(usize::to_string).collect();
    let mut parts = vec![
        run.arch.clone(),
        match run.data_source.as_str() {
            "" => run.dataset.clone(),
            source => format!("{} ({source})", run.dataset),
        },
        format!(
            "{} batch{} of {}",
            evaluation.batches,
            if evaluation.batches == 1 { "" } else { "es" },
            sizes.join("/")
        ) + &evaluation.loss.map_or_else(String::new, |l| format!(", batch-{} loss", l.word())),
    ];
    if evaluation.tokens != "single" {
        parts.push(format!("{} token", evaluation.tokens));
    }
    parts.retain(|part| !part.is_empty());
    wrapped("", &parts.join(" · "))
}

fn grouped<T, K: PartialEq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<(K, Vec<&T>)> {
    let mut groups: Vec<(K, Vec<&T>)> = Vec::new();
    for item in items {
        let key = key(item);
        match groups.iter_mut().find(|(k, _)| *k == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

/// The columns of both verdict tables, with the rule under which each fires.
fn header(thresholds: &Thresholds, second: &str) -> Vec<String> {
    let above = |v: f64| format!(">{} ", plain(v));
    let below = |v: f64| format!("<{} ", plain(v));
    vec![
        "Method".into(),
        second.into(),
        "Acc\n%".into(),
        format!("Growth \n{}", above(thresholds.growth)),
        format!("Gradient \n{}", below(thresholds.reference)),
        format!("Stab. \n{}", above(thresholds.stability)),
        format!("Depth \n{}", below(thresholds.depth_utility).replace(' ', "pp ")),
        "Cosine \nmean ".into(),
        "Verdict".into(),
    ]
}

fn verdicts(audits: &[&Audit], thresholds: &Thresholds, color: bool) -> String {
    let mut table = table(color);
    table.set_header(header(thresholds, "Seed"));
    for audit in audits {
        let d = &audit.diagnostics;
        table.add_row(vec![
            Cell::new(name(audit)),
            Cell::new(seed(audit)),
            Cell::new(audit.accuracy.map_or("–".into(), |v| accuracy(v.0))),
            Cell::new(finding(&d.growth, short)),
            Cell::new(finding(&d.reference, exponential)),
            Cell::new(finding(&d.stability, |v| fixed(v, 2))),
            Cell::new(finding(&d.depth_utility, points)),
            Cell::new(cosine(audit.cosine.aggregate, audit.cosine.interpretable)),
            verdict(audit.verdict, audit.run.is_baseline),
        ]);
    }
    finish(table, 3)
}

/// Γ_0 … Γ_L of each run, a few layers at a time.
fn cosines(audits: &[&Audit]) -> String {
    let row = |audit: &&Audit| {
        let found = &audit.cosine;
        let values = found.detail.per_layer.iter();
        let cells = values.map(|v| cosine(Some(*v), found.interpretable)).collect();
        LayerRow { name: name(audit), second: seed(audit), cells }
    };
    let rows: Vec<_> = audits.iter().map(row).collect();
    by_layer("Cosine of credit and gradient by layer, mean over samples", "Seed", &[], &rows)
}

/// A row of a table with a column for each of h_0 … h_L.
struct LayerRow {
    name: String,
    second: String,
    cells: Vec<String>,
}

/// A few layers abreast, the others below; nothing where no row has a layer. Cells under `first`
/// stand before those of the layers.
fn by_layer(title: &str, second: &str, first: &[&str], rows: &[LayerRow]) -> String {
    let before = first;
    let rows: Vec<_> = rows.iter().filter(|row| !row.cells.is_empty()).collect();
    let Some(layers) = rows.iter().map(|row| row.cells.len()).max() else {
        return String::new();
    };
    let abreast = layers.div_ceil(layers.div_ceil(LAYERS_ABREAST));
    let mut out = format!("{title}\n");
    for first in (0..layers).step_by(abreast) {
        let shown = first..layers.min(first + abreast);
        let mut table = table(false);
        let mut header = vec!["Method".to_string(), second.to_string()];
        header.extend(shown.clone().map(|i| match before.get(i) {
            Some(column) => (*column).to_owned(),
            None => format!("h_{} ", i - before.len()),
        }));
        table.set_header(header);
        for row in &rows {
            let cells = shown.clone().map(|l| row.cells.get(l).cloned().unwrap_or_default());
            table.add_row([row.name.clone(), row.second.clone()].into_iter().chain(cells));
        }
        out += &format!("{}\n", finish(table, 2));
    }
    out
}

/// Why each verdict is what it is.
pub fn reasons(audits: &[Audit]) -> String {
    let mut out = String::new();
    for audit in audits.iter().filter(|a| !a.reasons.is_empty()) {
        let verdict = match audit.run.is_baseline {
            true => "baseline".into(),
            false => audit.verdict.to_string(),
        };
        out += &format!("{}\n", wrapped("", &format!("{}: {verdict}", who(audit))));
        for reason in &audit.reasons {
            out += &format!("{}\n", wrapped("  · ", reason));
        }
    }
    out
}

/// Each note once, with the runs it concerns.
pub fn notes(audits: &[Audit]) -> String {
    let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
    for audit in audits {
        for note in &audit.notes {
            match notes.iter_mut().find(|(text, _)| text == note) {
                Some((_, runs)) => runs.push(who(audit)),
                None => notes.push((note, vec![who(audit)])),
            }
        }
    }
    let mut out = String::new();
    for (note, runs) in &notes {
        let concerned = match runs.len() {
            n if n == audits.len() => String::new(),
            n if n > 3 => format!("{n} runs: "),
            _ => format!("{}: ", runs.join("; ")),
        };
        out += &format!("{}\n", wrapped("  · ", &format!("{concerned}{note}")));
    }
    match out.is_empty() {
        true => out,
        false => format!("Notes\n{out}"),
    }
}

/// The marks that occur, then what the columns mean.
fn legend(audits: &[Audit]) -> String {
    let statuses: Vec<Status> = audits
        .iter()
        .flat_map(|a| {
            let d = &a.diagnostics;
            [d.growth.status, d.reference.status, d.stability.status, d.depth_utility.status]
        })
        .collect();
    let unreadable = |a: &Audit| a.cosine.aggregate.is_some() && !a.cosine.interpretable;
    explained(&[
        (statuses.contains(&Status::Fired), "! fires by the rule under its heading"),
        (audits.iter().any(unreadable), UNREADABLE),
        (statuses.contains(&Status::Inconclusive), INCONCLUSIVE),
        (statuses.contains(&Status::NotEvaluated), NOT_EVALUATED),
    ])
}

const UNREADABLE: &str = "? not interpretable: the gradient fired";
const INCONCLUSIVE: &str = "~ inconclusive: too few batches";
const NOT_EVALUATED: &str = "– not evaluated";

/// Those marks that occur, a line each, then the columns.
fn explained(marks: &[(bool, &str)]) -> String {
    let mut out = String::new();
    for (_, meaning) in marks.iter().filter(|mark| mark.0) {
        out += &format!("{}\n", wrapped("", meaning));
    }
    out + &wrapped(
        "",
        "Growth: largest ratio of mean hidden norms over one block. Gradient: median over samples of \
         the norm at h_L, batch-mean loss, proportional to 1/N. Stab.: cosine between batch gradients \
         at the middle layer; never decides. Depth: accuracy over frozen blocks. Cosine: mean over the \
         layers whose credit trains a block.",
    ) + "\n"
}

fn name(audit: &Audit) -> String {
    match audit.run.label.as_str() {
        "" => audit.run.method.clone(),
        label => label.into(),
    }
}

fn seed(audit: &Audit) -> String {
    audit.run.seed.map_or("–".into(), |s| s.to_string())
}

fn who(audit: &Audit) -> String {
    match audit.run.seed {
        Some(seed) => format!("{}, seed {seed}", name(audit)),
        None => name(audit),
    }
}

#[cfg(test)]
mod tests;
