//! Charts over layers: the cosine of each method, and the norms of all.

use super::plot::{Grid, Plot, aside, figure, hue, lost, seeds};
use super::scale::{Scale, ScaleKind, Tick};
use crate::report::content::words::Style;
use crate::report::content::{Content, Group, NullBand, null_bands};
use crate::report::svg::{Anchor, drawing, group, label, line, mark, spread};
use crate::report::xml::Element;
use crate::study::results::RunResult;
use crate::verdict::{Audit, plain, short};

const HEIGHT: f64 = 200.0;

/// A small multiple for each method, all on one scale.
pub fn cosines(content: &Content) -> Element {
    let mut values = vec![0.0];
    for audit in content.groups.iter().flat_map(Group::audits) {
        values.extend(audit.cosine.detail.per_layer.iter().map(|v| v.0));
    }
    values.extend(
        content.groups.iter().flat_map(null_bands).filter_map(|band| band.hull()).flatten(),
    );
    let (top, bottom) = (8.0, HEIGHT - 36.0);
    let y = Scale::fit(ScaleKind::Linear, &values, bottom, top, 18.0);
    let grid = Grid::of(content.groups.len());
    let (left, right) = (38.0, grid.width - 4.0);
    let figures = content.groups.iter().enumerate().map(|(i, group)| {
        let layers = group.audits().map(|a| a.cosine.detail.per_layer.len()).max().unwrap_or(0);
        let last = layers.saturating_sub(1) as f64;
        let x = Scale::span(-0.45, last + 0.45, left, right);
        let plot = Plot { left, right, top, bottom, x, y: y.clone() };
        cosine(content, group, &hue(content, i), &plot)
    });
    Element::new("div").add(seeds(content)).add(grid.filled(figures))
}

fn cosine(content: &Content, methods: &Group, hue: &str, plot: &Plot) -> Element {
    let described = format!("Cosine by layer: {}", methods.name);
    let mut svg = drawing(plot.right + 4.0, HEIGHT, &described).add(plot.frame(
        &layer_ticks(&plot.x),
        &plot.y.ticks(5),
        "layer l",
    ));
    let Some(summary) = methods.summary.as_ref().filter(|s| !s.cosine_per_layer.is_empty()) else {
        let why = match methods.audits().next() {
            None => "no run was audited".into(),
            Some(audit) => {
                format!("not evaluated: {}", audit.cosine.reason.as_deref().unwrap_or("no cosine"))
            }
        };
        return figure(methods, hue, why, svg);
    };
    let bands = null_bands(methods);
    let unread = if summary.interpretable { "" } else { " unread" };
    let mut drawn = group(&format!("series {hue}{unread}"));
    for (l, band) in bands.iter().map(NullBand::hull).enumerate() {
        if let Some(band) = band.filter(|band| band.iter().all(|v| v.is_finite())) {
            drawn = drawn.add(plot.band(l as f64, 0.36, band));
        }
    }
    drawn = drawn.add(line((plot.left, plot.y.at(0.0)), (plot.right, plot.y.at(0.0)), "zero"));
    let means: Vec<_> =
        summary.cosine_per_layer.iter().enumerate().map(|(l, s)| (l as f64, s.mean)).collect();
    drawn = drawn.all(plot.line(&means, "mean"));
    let runs = audited(methods);
    let apart = (0.14 * (runs.len() as f64 - 1.0)).min(0.7);
    let room = (plot.x.at(1.0) - plot.x.at(0.0)).min(60.0) * apart;
    let radius = if runs.len() > 5 { 2.6 } else { 3.4 };
    let mut not_finite = Vec::new();
    let mut unreadable = 0;
    for (i, (run, audit)) in runs.iter().enumerate() {
        unreadable += usize::from(!audit.cosine.interpretable);
        let classes = if audit.cosine.interpretable { "" } else { "hollow" };
        for (l, value) in audit.cosine.detail.per_layer.iter().enumerate() {
            let (x, y) = plot.at(l as f64, value.0);
            let text = Style::Cosine.one(value.0);
            let meaning = format!("{}, h_{l}: {text}", run.name);
            let at = (x + aside(i, runs.len(), room), y);
            drawn = drawn.add(mark(content.seed_index(run), at, radius, classes, &meaning));
            if !value.0.is_finite() {
                not_finite.push((run.record.config.seed, format!("h_{l} {text}")));
            }
        }
    }
    svg = svg.add(drawn);
    let mut remarks = Vec::new();
    if unreadable > 0 {
        let of = runs.len();
        remarks.push(format!("Not interpretable on {unreadable} of {of}: the reference fired."));
    }
    if bands.iter().any(|band| band.hull().is_some()) {
        remarks.push("Shaded: null band.".to_string());
    }
    remarks.push(lost(&not_finite));
    remarks.retain(|remark| !remark.is_empty());
    figure(methods, hue, remarks.join(" "), svg)
}

fn audited<'a>(methods: &Group<'a>) -> Vec<(&'a RunResult, &'a Audit)> {
    methods.runs.iter().filter_map(|run| Some((*run, run.audit.as_ref()?))).collect()
}

fn layer_ticks(x: &Scale) -> Vec<Tick> {
    x.whole_ticks(7)
}

/// ‖h_l‖ and ‖g_l‖ side by side.
pub fn norms(content: &Content) -> Element {
    let mut floors: Vec<f64> = content.groups.iter().map(|g| g.thresholds().reference).collect();
    floors.dedup();
    let hidden: Of = |a| a.diagnostics.growth.detail.hidden_norms.iter().map(|v| v.0).collect();
    let gradient: Of = |a| a.diagnostics.reference.detail.per_layer.iter().map(|v| v.0).collect();
    Element::new("div")
        .class("pair")
        .add(overlay(content, "Hidden norm ‖h_l‖, mean over samples", "‖h‖", hidden, &[]))
        .add(overlay(
            content,
            "Reference gradient ‖g_l‖, median over samples",
            "‖g‖",
            gradient,
            &floors,
        ))
}

type Of = fn(&Audit) -> Vec<f64>;

/// All methods on one plot: means as lines with their names at the end, seeds as marks.
fn overlay(content: &Content, title: &str, symbol: &str, of: Of, floors: &[f64]) -> Element {
    let shown: Vec<usize> = (0..content.groups.len())
        .filter(|i| content.groups[*i].audits().any(|a| !of(a).is_empty()))
        .collect();
    let (width, height) = (540.0, f64::max(300.0, 46.0 + 13.0 * shown.len() as f64));
    let audits = || content.groups.iter().flat_map(Group::audits);
    let mut values: Vec<f64> = audits().flat_map(of).collect();
    values.extend(floors);
    let layers = audits().map(|a| of(a).len()).max().unwrap_or(0);
    let (left, right, top, bottom) = (44.0, width - 150.0, 8.0, height - 36.0);
    let plot = Plot {
        left,
        right,
        top,
        bottom,
        x: Scale::span(-0.25, layers.saturating_sub(1) as f64 + 0.25, left, right),
        y: Scale::fit(ScaleKind::Log, &values, bottom, top, 16.0),
    };
    let mut svg = drawing(width, height, title).add(plot.frame(
        &layer_ticks(&plot.x),
        &plot.y.ticks(6),
        "layer l",
    ));
    svg = svg.all(floors.iter().map(|floor| plot.threshold(*floor)));
    let mut ends = Vec::new();
    let mut not_finite = Vec::new();
    for &i in &shown {
        let methods = &content.groups[i];
        let mut drawn = group(&format!("series {} dash-{}", hue(content, i), i % 4));
        let per_layer = crate::report::content::by_layer(methods.audits(), |a| Some(of(a)));
        let means: Vec<(f64, f64)> = per_layer
            .iter()
            .enumerate()
            .map(|(l, seeds)| (l as f64, crate::stats::mean(seeds)))
            .collect();
        drawn = drawn.all(plot.line(&means, "mean"));
        let runs = audited(methods);
        for (k, (run, audit)) in runs.iter().enumerate() {
            for (l, value) in of(audit).into_iter().enumerate() {
                let (x, y) = plot.at(l as f64, value);
                let at = (x + aside(k, runs.len(), 10.0), y);
                let meaning = format!("{}, {symbol}_{l}: {}", run.name, short(value));
                drawn = drawn.add(mark(content.seed_index(run), at, 2.6, "", &meaning));
                if !value.is_finite() {
                    let what = format!("{symbol}_{l} {}", short(value));
                    not_finite.push(format!("{} {what}", run.name));
                }
            }
        }
        svg = svg.add(drawn);
        ends.push(means.last().map_or((left, bottom), |(l, mean)| plot.at(*l, *mean)));
    }
    // Methods and thresholds are named in the margin, where nothing is drawn.
    let mut names: Vec<((f64, f64), String, String)> = Vec::new();
    for (&i, end) in shown.iter().zip(ends) {
        let name = shortened(&content.groups[i].name, 22);
        names.push((end, format!("series {}", hue(content, i)), name));
    }
    for floor in floors {
        let name = format!("fires < {} at h_L", plain(*floor));
        names.push(((right - 7.0, plot.y.at(*floor)), "strong".into(), name));
    }
    let wanted: Vec<f64> = names.iter().map(|((_, y), ..)| *y).collect();
    let places = spread(&wanted, 13.0, top + 4.0, bottom);
    for (((x, y), classes, name), place) in names.into_iter().zip(places) {
        svg =
            svg.add(
                group(&classes)
                    .add(line((x + 7.0, y), (right + 12.0, place), "leader"))
                    .add(label((right + 16.0, place + 3.5), Anchor::Start, "name", name)),
            );
    }
    let mut caption = Element::new("figcaption").add(Element::new("strong").prose(title));
    if !not_finite.is_empty() {
        let text = format!("Not finite: {}.", not_finite.join("; "));
        caption = caption.add(Element::new("span").class("remark").prose(&text));
    }
    Element::new("figure").class("wide").add(caption).add(svg)
}

/// At most `most` characters: labels differ at their ends as often as at their beginnings.
pub fn shortened(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most {
        return text.into();
    }
    let tail = most / 2 - 1;
    let (head, tail) = (&chars[..most - 1 - tail], &chars[chars.len() - tail..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_label_keeps_its_beginning_and_its_end() {
        assert_eq!(shortened("dfa λ=0.01", 10), "dfa λ=0.01");
        assert_eq!(shortened("dfa d=512 feedback_sharing=shared", 14), "dfa d=5…shared");
    }
}
