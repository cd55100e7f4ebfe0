//! What the runs of a study tell together, a panel each, of at most 80 columns.

use super::cells::{accuracy, fixed, points};
use super::draw::{panel, table, wrapped};
use crate::number::Number;
use crate::stats::Summary;
use crate::study::ladder::{Ladder, Ladders};
use crate::study::results::StudyResult;
use crate::study::sweep::{DiagnosticSweep, Range, Separation, Sweep};
use crate::study::timeline::{Firing, MethodTimeline, RunTimeline, Timeline};
use crate::study::utility::{ALIGNED, CHANCE_MARGIN, DecisionUtility, Flag, Signal};
use crate::verdict::{Status, plain, short};
use comfy_table::Table;

/// The panels that the study has something to say in.
pub fn panels(study: &StudyResult) -> Vec<String> {
    let mut panels = vec![timeline(&crate::study::timeline::timeline(study))];
    let several = study.runs.iter().filter(|run| run.audit.is_some()).count() > 1;
    if several {
        panels.push(utility(&crate::study::utility::utility(study)));
        panels.push(sweep(&crate::study::sweep::sweep(study)));
    }
    let found = crate::study::ladder::ladders(study);
    if !found.ladders.is_empty() {
        panels.push(ladders(&found));
    }
    panels
}

/// Where growth and reference first fire, and what stopping there would have saved and cost.
pub fn timeline(found: &Timeline) -> String {
    let runs = || found.methods.iter().flat_map(|method| &method.runs);
    let growth = format!("Growth\n{}", rules(">", runs().map(|run| run.growth.threshold)));
    let gradient = format!("Gradient\n{}", rules("<", runs().map(|run| run.reference.threshold)));
    let mut table =
        headed(["Method", "Seed", "Epochs", "N", &growth, &gradient, "Saved", "Cost\npp"]);
    for method in &found.methods {
        for run in &method.runs {
            table.add_row(timeline_row(&method.name, run));
        }
    }
    let means: Vec<String> = found.methods.iter().filter_map(saved).collect();
    let legend = "Growth, Gradient: the first epoch at which they fire on the evaluation batches of N \
                  samples (the gradient is proportional to 1/N); `not yet` in a run that did not \
                  finish; – not evaluated. Saved: share of the epochs after the first firing. Cost: \
                  points of accuracy that stopping there loses.";
    sections("First firings", panel(table, &[0]), means, legend)
}

/// Each threshold once.
fn rules(side: &str, thresholds: impl Iterator<Item = Number>) -> String {
    let mut rules: Vec<String> = Vec::new();
    for threshold in thresholds {
        let rule = format!("{side}{}", plain(threshold.0));
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules.join("\n")
}

fn timeline_row(method: &str, run: &RunTimeline) -> [String; 8] {
    let first = |firing: &Firing| match (firing.status, firing.epoch) {
        (_, Some(epoch)) => epoch.to_string(),
        (Status::NotEvaluated, None) => "–".into(),
        (Status::Inconclusive, None) => "not yet".into(),
        (Status::Passed | Status::Fired, None) => "never".into(),
    };
    let [saved, cost] = match run.early_stop {
        Some(stop) => [format!("{}%", fixed(stop.saved.0 * 100.0, 0)), points(stop.cost.0)],
        None => ["–".into(), "–".into()],
    };
    [
        method.into(),
        run.seed.to_string(),
        run.epochs.to_string(),
        run.probe_batch_size.to_string(),
        first(&run.growth),
        first(&run.reference),
        saved,
        cost,
    ]
}

fn saved(method: &MethodTimeline) -> Option<String> {
    let (saved, cost) = (method.saved?, method.cost?);
    let percent = Summary { mean: saved.mean * 100.0, std: saved.std.map(|v| v * 100.0), ..saved };
    Some(format!(
        "{}: stopping at the first firing saves {} % of the epochs and costs {} points (n={}).",
        method.name,
        with_deviation(percent, |v| fixed(v, 0)),
        with_deviation(cost, points),
        cost.n
    ))
}

fn with_deviation(summary: Summary, format: fn(f64) -> String) -> String {
    let deviation = summary.std.map(|std| format!(" ± {}", format(std).trim_start_matches('+')));
    format(summary.mean) + &deviation.unwrap_or_default()
}

/// Which methods fire at which thresholds, and how wide the gap between the groups is.
pub fn sweep(found: &Sweep) -> String {
    let panels = [
        one_sweep("Growth", "above", &found.growth, short),
        one_sweep("Reference", "below", &found.reference, short),
        one_sweep("Depth utility, points", "below", &found.depth_utility, plain),
    ];
    let legend = "* the threshold used. n: methods on which it fires. Healthy: runs of methods whose \
                  verdict is trustworthy; degenerate: runs of methods on which this diagnostic fires.";
    panels.join("\n") + &wrapped("", legend) + "\n"
}

fn one_sweep(name: &str, side: &str, found: &DiagnosticSweep, value: fn(f64) -> String) -> String {
    let mut table = headed(["Threshold", "n", "Fires on", "Another verdict"]);
    for point in &found.points {
        let mark = if point.threshold == found.used { " *" } else { "" };
        table.add_row([
            format!("{}{mark}", value(point.threshold.0)),
            point.fires.len().to_string(),
            point.fires.join(", "),
            point.verdict_changes.join(", "),
        ]);
    }
    let mut said = vec![
        format!("The same methods fire {}.", range(&found.same_firings)),
        format!("Every verdict stays as it is {}.", range(&found.same_verdicts)),
        separation(&found.separation, side),
    ];
    if !found.not_evaluated.is_empty() {
        said.push(format!("Not evaluated: {}.", found.not_evaluated.join(", ")));
    }
    sections(&format!("Threshold sweep: {name}"), panel(table, &[0, 2, 3]), said, "")
}

fn range(range: &Range) -> String {
    match (range.low, range.high) {
        (None, None) => "at any threshold".into(),
        (Some(low), None) => format!("from {} on", short(low.0)),
        (None, Some(high)) => format!("up to {}", short(high.0)),
        (Some(low), Some(high)) => format!("from {} to {}", short(low.0), short(high.0)),
    }
}

fn separation(found: &Separation, side: &str) -> String {
    let (most, least) = if side == "above" { ("most", "least") } else { ("least", "most") };
    let mut parts = Vec::new();
    match found.healthy {
        Some(healthy) => parts.push(format!("healthy runs have at {most} {}", short(healthy.0))),
        None => parts.push("no method is healthy".into()),
    }
    match (found.degenerate, found.degenerate_not_finite) {
        (Some(value), 0) => parts.push(format!("degenerate ones at {least} {}", short(value.0))),
        (Some(value), lost) => parts.push(format!(
            "degenerate ones at {least} {}, and {lost} are not finite",
            short(value.0)
        )),
        (None, 0) => parts.push("it fires on no method".into()),
        (None, lost) => parts.push(format!("all {lost} degenerate ones are not finite")),
    }
    if let Some(ratio) = found.ratio {
        parts.push(format!("a factor of {}", short(ratio.0)));
    }
    let text = parts.join("; ");
    text[..1].to_uppercase() + &text[1..] + "."
}

/// Which reporting strategy flags which method.
pub fn utility(found: &DecisionUtility) -> String {
    let mut table = headed(["Strategy", "Looks at", "Flags", "Methods and what flags them"]);
    for strategy in &found.strategies {
        let looks_at: Vec<&str> = strategy.looks_at.iter().map(|s| word(*s)).collect();
        let flagged: Vec<String> =
            strategy.cells.iter().filter(|cell| cell.flagged).map(flagged).collect();
        table.add_row([
            strategy.name.clone(),
            looks_at.join(", "),
            format!("{}/{}", strategy.flagged, strategy.cells.len()),
            flagged.join("\n"),
        ]);
    }
    let legend = format!(
        "Accuracy flags up to {} point over chance, cosine unless its aggregate is above {}, layers \
         where few hold the credit; the diagnostics as in the verdict. Behind each method: seeds on \
         which anything flags / seeds.",
        plain(CHANCE_MARGIN * 100.0),
        plain(ALIGNED)
    );
    let said = unevaluated(found).into_iter().collect();
    sections("Decision utility of reporting strategies", panel(table, &[0, 1, 3]), said, &legend)
}

fn flagged(cell: &Flag) -> String {
    let by: Vec<&str> = cell.by.iter().map(|signal| word(*signal)).collect();
    format!("{} {}/{}: {}", cell.method, cell.seeds_flagged, cell.seeds, by.join(", "))
}

/// Each signal that some method lacks, once.
fn unevaluated(found: &DecisionUtility) -> Option<String> {
    let mut lacking: Vec<String> = Vec::new();
    for cell in found.strategies.iter().flat_map(|strategy| &strategy.cells) {
        for signal in &cell.not_evaluated {
            let text = format!("{} of {}", word(*signal), cell.method);
            if !lacking.contains(&text) {
                lacking.push(text);
            }
        }
    }
    (!lacking.is_empty()).then(|| format!("Not evaluated on every seed: {}.", lacking.join(", ")))
}

fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Accuracy => "accuracy",
        Signal::Cosine => "cosine",
        Signal::Growth => "growth",
        Signal::Reference => "gradient",
        Signal::Stability => "stability",
        Signal::DepthUtility => "depth",
        Signal::CosinePerLayer => "layers",
    }
}

/// Accuracy over the number of trained blocks.
pub fn ladders(found: &Ladders) -> String {
    let mut table = headed(["Method", "k", "n", "Acc %", "±", "Step", "From"]);
    for ladder in &found.ladders {
        let name = format!(
            "{} ({}, {})",
            ladder.setting.label, ladder.setting.arch, ladder.setting.dataset
        );
        let mut below: Option<f64> = None;
        for rung in &ladder.rungs {
            let mean = rung.accuracy.mean;
            table.add_row([
                if below.is_none() { name.clone() } else { String::new() },
                rung.trained_blocks.to_string(),
                rung.accuracy.n.to_string(),
                accuracy(mean),
                rung.accuracy.std.map(accuracy).unwrap_or_default(),
                below.map(|below| points((mean - below) * 100.0)).unwrap_or_default(),
                rung.from.clone(),
            ]);
            below = Some(mean);
        }
    }
    let said = found.ladders.iter().map(climb).collect();
    let legend = "k: trained blocks, the last of the network; n: seeds; ±: sample standard deviation \
                  over seeds; Step: points over the rung before.";
    sections("Depth ladder", panel(table, &[0, 6]), said, legend)
}

fn climb(ladder: &Ladder) -> String {
    let mut parts = vec![match ladder.rises {
        Some(true) => "rises from rung to rung".to_string(),
        Some(false) => "does not rise from rung to rung".to_string(),
        None => "too few rungs to rise".to_string(),
    }];
    if let Some(best) = ladder.best {
        parts.push(format!("best at k = {best}"));
    }
    parts.push(match ladder.gain {
        Some(gain) => format!(
            "from k = 0 to {} {} points (n={})",
            ladder.depth,
            with_deviation(gain, points),
            gain.n
        ),
        None => format!("no seed has both k = 0 and {}", ladder.depth),
    });
    if !ladder.unfinished.is_empty() {
        parts.push(format!("without a final accuracy: {}", ladder.unfinished.join(", ")));
    }
    format!("{}: {}.", ladder.setting.label, parts.join("; "))
}

fn headed<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = table(false);
    table.set_header(columns);
    table
}

/// Title, table, sentences, legend.
fn sections(title: &str, table: String, sentences: Vec<String>, legend: &str) -> String {
    let mut out = format!("{title}\n{table}\n");
    for sentence in sentences.iter().map(String::as_str).chain([legend]) {
        if !sentence.is_empty() {
            out += &format!("{}\n", wrapped("", sentence));
        }
    }
    out
}

#[cfg(test)]
mod tests;
