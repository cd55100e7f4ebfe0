//! Verdicts over seeds, thresholds, accuracies, and the runs one by one.

use super::words::{Style, distinct};
use super::{Content, Group, standing, state, thresholds_of, who};
use crate::number::Number;
use crate::report::panel::{Cell, Panel, Shade};
use crate::stats::{Interval, Summary};
use crate::study::results::RunResult;
use crate::verdict::seeds::Pooled;
use crate::verdict::{CalibratedThreshold, Finding, Status, Thresholds, plain};

/// The verdict table: a row a method.
pub fn verdicts(content: &Content) -> Panel {
    let thresholds = content.thresholds();
    let rule = |name: &str, sign: &str, of: fn(&Thresholds) -> f64| match &thresholds {
        Some(used) => format!("{name}\nfires {sign} {}", plain(of(used))),
        None => name.into(),
    };
    let columns = vec![
        "Method".into(),
        "Seeds".into(),
        "Accuracy, %".into(),
        rule("Growth", ">", |t| t.growth),
        rule("‖g_L‖", "<", |t| t.reference),
        rule("Stability", ">", |t| t.stability),
        rule("Depth, points", "<", |t| t.depth_utility),
        "Mean cosine".into(),
        "Verdict".into(),
    ];
    let mut note = String::from(
        "Mean ± sample standard deviation over seeds; with it, on how many of the evaluated seeds \
         the diagnostic fires. It fires for the method where more than half of the seeds do, depth \
         utility where the mean difference does. Growth: largest ratio of mean hidden norms over \
         one block. ‖g_L‖: median norm of the reference gradient at h_L under the batch-mean loss. \
         Stability: cosine between batch gradients at the middle layer; never decides. Depth: \
         accuracy over frozen blocks.",
    );
    if thresholds.is_none() {
        note += " The runs were held against different thresholds, which are listed below.";
    }
    let deciding = |g: &Group| {
        g.summary.as_ref().map(|s| [s.growth, s.reference, s.stability, s.depth_utility])
    };
    if content.groups.iter().filter_map(deciding).flatten().any(|found| found.fragile) {
        note += " Fragile: the seeds disagree, or the 95 % interval of the mean depth difference \
                 reaches across its threshold.";
    }
    if content.groups.iter().any(|g| g.summary.as_ref().is_some_and(|s| !s.interpretable)) {
        note += " ? not interpretable: the reference fired or was not evaluated.";
    }
    let rows = content.groups.iter().map(verdict_row).collect();
    Panel { title: "Verdicts".into(), note, columns, rows, ..Panel::default() }
}

fn verdict_row(group: &Group) -> Vec<Cell> {
    let audited = group.audits().count();
    let seeds = match group.runs.len() {
        all if all == audited => all.to_string(),
        all => format!("{audited} of {all}"),
    };
    let (verdict, shade) = group.verdict();
    let Some(summary) = &group.summary else {
        let mut row = vec![Cell::from(group.name.clone()), Cell::shaded(seeds, Shade::Bad)];
        row.resize(8, Cell::absent());
        row.push(Cell::shaded(verdict, shade));
        return row;
    };
    let agree = group.audits().filter(|a| a.verdict == summary.verdict).count();
    vec![
        Cell::from(group.name.clone()),
        Cell::shaded(seeds, if audited < group.runs.len() { Shade::Bad } else { Shade::None }),
        Cell::from(Style::Percent.spread(&summary.accuracy)),
        pooled(&summary.growth, Style::Short),
        pooled(&summary.reference, Style::Short),
        pooled(&summary.stability, Style::Short),
        match group.is_baseline {
            true => Cell::absent(),
            false => pooled(&summary.depth_utility, Style::Points),
        },
        match &summary.cosine {
            None => Cell::absent(),
            Some(mean) if summary.interpretable => Cell::from(Style::Cosine.spread(mean)),
            Some(mean) => Cell::shaded(Style::Cosine.spread(mean) + " ?", Shade::Muted),
        },
        match group.is_baseline {
            true => Cell::shaded(verdict, shade),
            false if audited < group.runs.len() => {
                Cell::shaded(format!("{verdict}\n{audited} of {} runs", group.runs.len()), shade)
            }
            false => Cell::shaded(format!("{verdict}\n{agree}/{audited} seeds"), shade),
        },
    ]
}

fn pooled(found: &Pooled, style: Style) -> Cell {
    let Some(summary) = &found.summary else {
        return Cell::shaded("–\nnot evaluated", Shade::Muted);
    };
    let how = match found.status {
        Status::Fired => " fire",
        Status::Passed => "",
        Status::Inconclusive => ", inconclusive",
        Status::NotEvaluated => ", not all evaluated",
    };
    let fragile = if found.fragile { ", fragile" } else { "" };
    let mean = style.spread(summary);
    let text = format!("{mean}\n{}/{}{how}{fragile}", found.fired, found.evaluated);
    Cell::shaded(text, shade(found.status))
}

fn shade(status: Status) -> Shade {
    match status {
        Status::Fired => Shade::Bad,
        Status::Passed => Shade::None,
        Status::Inconclusive | Status::NotEvaluated => Shade::Muted,
    }
}

/// The thresholds that were used, each with what is known about it.
pub fn thresholds(content: &Content) -> Panel {
    let mut sets: Vec<(Thresholds, Vec<&RunResult>)> = Vec::new();
    for run in content.runs {
        let used = thresholds_of(run);
        match sets.iter_mut().find(|(set, _)| *set == used) {
            Some((_, runs)) => runs.push(run),
            None => sets.push((used, vec![run])),
        }
    }
    let several = sets.len() > 1;
    let mut columns: Vec<String> =
        ["Diagnostic", "Fires", "Published", "Same verdicts", "Calibration"].map(Into::into).into();
    if several {
        columns.push("Runs".into());
    }
    let mut rows = Vec::new();
    for (set, runs) in &sets {
        let known = set.calibrated();
        let each = [
            ("growth", ">", &known.growth),
            ("reference ‖g_L‖", "<", &known.reference),
            ("stability (never decides)", ">", &known.stability),
            ("depth utility, points", "<", &known.depth_utility),
        ];
        for (name, sign, threshold) in each {
            let mut row = threshold_row(name, sign, threshold);
            if several {
                row.push(distinct(runs, |run| run.name.clone()).into());
            }
            rows.push(row);
        }
    }
    let note = "Same verdicts: any threshold in this range gives the same verdicts on the \
                calibration runs. Source: arXiv:2606.21126; ResMLP of width 256 with 4 blocks on \
                CIFAR-10, batches of 128.";
    Panel { title: "Thresholds".into(), note: note.into(), columns, rows, ..Panel::default() }
}

fn threshold_row(name: &str, sign: &str, known: &CalibratedThreshold) -> Vec<Cell> {
    let (value, published) = (plain(known.value.0), plain(known.published.0));
    vec![
        name.into(),
        Cell::shaded(
            format!("{sign} {value}"),
            if value == published { Shade::None } else { Shade::Bad },
        ),
        published.into(),
        match known.same_verdicts {
            Some([low, high]) => Cell::from(format!("{} … {}", plain(low.0), plain(high.0))),
            None => Cell::shaded("none", Shade::Muted),
        },
        known.calibration.clone().into(),
    ]
}

/// Accuracy beside the frozen twin's.
pub fn accuracies(content: &Content) -> Panel {
    let row = |group: &Group| {
        let summary = group.summary.as_ref()?;
        let frozen: Vec<f64> = group
            .audits()
            .filter_map(|a| a.diagnostics.depth_utility.detail.frozen_accuracy.map(|v| v.0))
            .collect();
        Some(vec![
            group.name.clone().into(),
            Style::Percent.spread(&summary.accuracy).into(),
            match frozen.is_empty() {
                true => Cell::absent(),
                false => Style::Percent.spread(&Summary::of(&frozen)).into(),
            },
            match &summary.depth_utility.summary {
                Some(margin) => {
                    Cell::shaded(Style::Points.spread(margin), shade(summary.depth_utility.status))
                }
                None => Cell::absent(),
            },
            match &summary.depth_interval {
                Some(Interval { low, high }) => {
                    format!("{} … {}", Style::Points.one(*low), Style::Points.one(*high)).into()
                }
                None => Cell::absent(),
            },
        ])
    };
    Panel {
        title: "Accuracy over frozen blocks".into(),
        note: "Test accuracy in per cent, mean ± sample standard deviation over seeds; the \
               difference is paired, each run with the frozen twin of its seed, and the interval \
               that of its mean."
            .into(),
        columns: ["Method", "Accuracy, %", "Frozen twin, %", "Difference, points", "95 % interval"]
            .map(Into::into)
            .into(),
        rows: content.groups.iter().filter_map(row).collect(),
        ..Panel::default()
    }
}

/// Every run with its state and its numbers.
pub fn runs(content: &Content) -> Panel {
    let columns = [
        "Run",
        "Method, seed",
        "State",
        "Accuracy, %",
        "Growth",
        "‖g_L‖",
        "Stability",
        "Depth, points",
        "Mean cosine",
        "Verdict",
    ];
    Panel {
        title: "Runs".into(),
        note: "Every run of the study, whatever became of it. Where there is no audit, the \
               accuracy is that of the newest epoch."
            .into(),
        columns: columns.map(Into::into).into(),
        rows: content
            .runs
            .iter()
            .map(run_row)
            .chain(content.missing.iter().map(|name| unbegun(name)))
            .collect(),
        ..Panel::default()
    }
}

/// A run that was planned and not begun.
fn unbegun(name: &str) -> Vec<Cell> {
    let mut row = vec![Cell::from(name), Cell::absent(), Cell::shaded("not begun", Shade::Muted)];
    row.resize(9, Cell::absent());
    row.push(Cell::shaded("no verdict", Shade::Muted));
    row
}

fn run_row(run: &RunResult) -> Vec<Cell> {
    let mut row = vec![
        Cell::from(run.name.clone()),
        Cell::from(who(run)),
        Cell::shaded(state(run), standing_shade(run)),
    ];
    let Some(audit) = &run.audit else {
        let newest = run.metrics.last().or(run.record.last.as_ref());
        row.push(match newest {
            Some(epoch) => Cell::shaded(Style::Percent.one(epoch.test_accuracy.0), Shade::Muted),
            None => Cell::absent(),
        });
        row.resize(9, Cell::absent());
        row.push(Cell::shaded("no verdict", Shade::Muted));
        return row;
    };
    let d = &audit.diagnostics;
    row.extend([
        audit.accuracy.map_or(Cell::absent(), |v| Style::Percent.one(v.0).into()),
        finding(&d.growth, Style::Short),
        finding(&d.reference, Style::Short),
        finding(&d.stability, Style::Short),
        finding(&d.depth_utility, Style::Points),
        match audit.cosine.aggregate {
            None => Cell::absent(),
            Some(Number(mean)) if audit.cosine.interpretable => Style::Cosine.one(mean).into(),
            Some(Number(mean)) => Cell::shaded(Style::Cosine.one(mean) + " ?", Shade::Muted),
        },
        match audit.run.is_baseline {
            true => Cell::shaded("baseline", Shade::Muted),
            false => Cell::shaded(audit.verdict.to_string(), super::shade(audit.verdict)),
        },
    ]);
    row
}

/// A run that goes on is no mishap.
pub(super) fn standing_shade(run: &RunResult) -> Shade {
    match standing(run) {
        "finished" => Shade::None,
        "running" => Shade::Muted,
        _ => Shade::Bad,
    }
}

fn finding<D>(found: &Finding<D>, style: Style) -> Cell {
    match found.value {
        None => Cell::absent(),
        Some(value) => Cell::shaded(style.one(value.0), shade(found.status)),
    }
}
