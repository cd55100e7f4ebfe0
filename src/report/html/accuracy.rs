//! Accuracy by method against its frozen twin: a row a method, seeds as marks, the margin that is
//! asked for shaded.

use super::layers::shortened;
use super::plot::{Plot, aside, hue};
use super::scale::{Scale, ScaleKind};
use crate::report::content::words::Style;
use crate::report::content::{Content, Group};
use crate::report::svg::{Anchor, area, drawing, group, label, line, mark};
use crate::report::xml::Element;
use crate::stats::{extremes, mean};
use crate::study::results::RunResult;
use crate::verdict::Status;

const WIDTH: f64 = 760.0;
const ROW: f64 = 38.0;
const TOP: f64 = 34.0;

/// In per cent: audited, or that of the newest epoch.
fn accuracy(run: &RunResult) -> Option<f64> {
    match &run.audit {
        Some(audit) => audit.accuracy.map(|v| v.0 * 100.0),
        None => {
            let newest = run.metrics.last().or(run.record.last.as_ref())?;
            Some(newest.test_accuracy.0 * 100.0)
        }
    }
}

/// Mean accuracy of the frozen twins, and what is asked for over it, in per cent.
fn margin(methods: &Group) -> Option<(f64, f64)> {
    let twins: Vec<f64> = methods
        .audits()
        .filter_map(|a| a.diagnostics.depth_utility.detail.frozen_accuracy)
        .map(|v| v.0 * 100.0)
        .collect();
    (!twins.is_empty()).then(|| (mean(&twins), methods.thresholds().depth_utility))
}

pub fn chart(content: &Content) -> Element {
    let rows = content.groups.len();
    let margins: Vec<Option<(f64, f64)>> = content.groups.iter().map(margin).collect();
    let mut values: Vec<f64> = content.runs.iter().filter_map(accuracy).collect();
    values.extend(margins.iter().flatten().flat_map(|(frozen, asked)| [*frozen, frozen + asked]));
    // Room for the name of the margin, should it reach to the end.
    let (low, high) = extremes(&values);
    if low < high {
        let name = 0.15 * (high - low);
        values.extend(margins.iter().flatten().map(|(frozen, asked)| frozen + asked + name));
    }
    let (left, right, bottom) = (180.0, WIDTH - 176.0, TOP + ROW * rows as f64);
    let plot = Plot {
        left,
        right,
        top: TOP,
        bottom,
        x: Scale::fit(ScaleKind::Linear, &values, left, right, 26.0),
        y: Scale::span(0.0, rows as f64, TOP, bottom),
    };
    let mut svg = drawing(WIDTH, bottom + 38.0, "Accuracy by method against the frozen twin");
    let grid = plot.x.ticks(7).into_iter().filter(|tick| !tick.lane);
    svg = svg.all(grid.map(|tick| line((tick.at, TOP), (tick.at, bottom), "grid")));
    // One margin for all joins into a single band over all rows, the baselines' too.
    let mut distinct: Vec<(f64, f64)> = margins.iter().flatten().copied().collect();
    distinct.dedup();
    let common = match distinct.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    for (i, own) in margins.iter().enumerate() {
        let Some((frozen, asked)) = own.or(common) else { continue };
        let (top, bottom) = (TOP + ROW * i as f64, TOP + ROW * (i + 1) as f64);
        let inset = if common.is_some() { 0.0 } else { 3.0 };
        let (from, to) = (plot.x.at(frozen), plot.x.at(frozen + asked));
        svg = svg.add(area((from, top + inset), (to, bottom - inset), "margin")).add(line(
            (from, top + inset),
            (from, bottom - inset),
            "rule",
        ));
    }
    if let Some((frozen, asked)) = common {
        let at = |x: f64| (plot.x.at(x), TOP - 6.0);
        svg = svg
            .add(label(at(frozen), Anchor::End, "halo", format!("frozen {frozen:.1} ")))
            .add(label(at(frozen + asked), Anchor::Start, "halo", format!(" +{asked} points")));
    }
    svg = svg
        .add(plot.frame(&plot.x.ticks(7), &[], "test accuracy, %"))
        .add(label((right + 86.0, TOP - 6.0), Anchor::End, "axis", "accuracy, %"))
        .add(label((WIDTH, TOP - 6.0), Anchor::End, "axis", "over frozen"));
    for (i, methods) in content.groups.iter().enumerate() {
        svg = svg.add(row(content, methods, &hue(content, i), &plot, i));
    }
    Element::new("figure").class("wide").add(svg)
}

fn row(content: &Content, methods: &Group, hue: &str, plot: &Plot, index: usize) -> Element {
    let middle = plot.y.at(index as f64 + 0.5);
    let mut drawn = group(&format!("series {hue}")).add(label(
        (plot.left - 12.0, middle + 4.0),
        Anchor::End,
        "name",
        shortened(&methods.name, 27),
    ));
    if let Some(summary) = &methods.summary {
        let (centre, std) = (summary.accuracy.mean * 100.0, summary.accuracy.std.unwrap_or(0.0));
        let x = plot.x.at(centre);
        if plot.x.holds(centre) && std.is_finite() {
            let reach = [centre - std * 100.0, centre + std * 100.0].map(|v| plot.x.at(v));
            drawn = drawn.add(line((reach[0], middle), (reach[1], middle), "deviation"));
        }
        drawn = drawn.add(line((x, middle - 15.0), (x, middle + 15.0), "centre"));
    }
    for (i, run) in methods.runs.iter().enumerate() {
        let Some(value) = accuracy(run) else { continue };
        let classes = if run.audit.is_some() { "" } else { "hollow" };
        let meaning = format!("{}: {:.2} %", run.name, value);
        let at = (plot.x.at(value), middle + aside(i, methods.runs.len(), 18.0));
        drawn = drawn.add(mark(content.seed_index(run), at, 3.6, classes, &meaning));
    }
    let end = plot.right;
    let Some(summary) = &methods.summary else {
        return drawn.add(label((end + 86.0, middle + 4.0), Anchor::End, "axis", "not audited"));
    };
    let text = Style::Percent.spread(&summary.accuracy);
    drawn = drawn.add(label((end + 86.0, middle + 4.0), Anchor::End, "value", text));
    let fired = summary.depth_utility.status == Status::Fired;
    let (text, classes) = match &summary.depth_utility.summary {
        None => ("–".to_string(), "axis"),
        Some(over) => (Style::Points.spread(over), if fired { "value fired" } else { "value" }),
    };
    drawn.add(label((WIDTH, middle + 4.0), Anchor::End, classes, text))
}
