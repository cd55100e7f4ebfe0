//! Growth and reference gradient over epochs: a small multiple for each method, a line a seed.

use super::plot::{Grid, Plot, figure, hue, lost};
use super::scale::{Scale, ScaleKind};
use crate::report::content::{Content, Group, standing};
use crate::report::svg::{Anchor, drawing, group, label, line, mark};
use crate::report::xml::Element;
use crate::study::results::RunResult;
use crate::train::run_dir::EpochMetrics;
use crate::verdict::{Thresholds, fires_above, fires_below, plain, short};

const PLOT: f64 = 108.0;
/// Above each plot, for its title.
const TITLE: f64 = 33.0;

/// What is followed over epochs.
struct Quantity {
    name: &'static str,
    value: fn(&EpochMetrics) -> Option<f64>,
    threshold: fn(&Thresholds) -> f64,
    /// Whether it fires above its threshold; else below.
    above: bool,
}

const QUANTITIES: [Quantity; 2] = [
    Quantity {
        name: "Growth",
        value: |m| m.growth.map(|v| v.0),
        threshold: |t| t.growth,
        above: true,
    },
    Quantity {
        name: "‖g_L‖",
        value: |m| m.gradient_norms.last().map(|v| v.0),
        threshold: |t| t.reference,
        above: false,
    },
];

impl Quantity {
    fn fires(&self, value: f64, threshold: f64) -> bool {
        match self.above {
            true => fires_above(value, threshold),
            false => fires_below(value, threshold),
        }
    }
}

pub fn timelines(content: &Content) -> Element {
    let epochs = content.runs.iter().map(|r| r.record.config.epochs).max().unwrap_or(1);
    let x = |left, right| Scale::span(0.0, epochs as f64, left, right);
    let scales: Vec<Scale> = QUANTITIES
        .iter()
        .enumerate()
        .map(|(i, quantity)| {
            let metrics = content.runs.iter().flat_map(|run| &run.metrics);
            let mut values: Vec<f64> = metrics.filter_map(quantity.value).collect();
            values.extend(content.groups.iter().map(|g| (quantity.threshold)(&g.thresholds())));
            let top = TITLE + i as f64 * (PLOT + TITLE);
            Scale::fit(ScaleKind::Log, &values, top + PLOT, top, 16.0)
        })
        .collect();
    let grid = Grid::of(content.groups.len());
    let figures = content.groups.iter().enumerate().map(|(i, methods)| {
        let hue = hue(content, i);
        let height = 2.0 * (TITLE + PLOT) + 34.0;
        let mut svg = drawing(grid.width, height, &format!("Over epochs: {}", methods.name));
        let mut not_finite = Vec::new();
        for (q, (quantity, y)) in QUANTITIES.iter().zip(&scales).enumerate() {
            let top = TITLE + q as f64 * (PLOT + TITLE);
            let (left, right) = (46.0, grid.width - 8.0);
            let plot =
                Plot { left, right, top, bottom: top + PLOT, x: x(left, right), y: y.clone() };
            let last = q + 1 == QUANTITIES.len();
            let ticks = if last { plot.x.whole_ticks(4) } else { Vec::new() };
            let title = if last { "epoch" } else { "" };
            // The threshold takes the place of a tick beside it.
            let limit = plot.y.at((quantity.threshold)(&methods.thresholds()));
            let mut levels = plot.y.ticks(4);
            levels.retain(|tick| tick.lane || (tick.at - limit).abs() > 11.0);
            svg = svg.add(plot.frame(&ticks, &levels, title));
            svg = svg.all(series(content, methods, quantity, &plot, &hue, &mut not_finite));
        }
        figure(methods, &hue, lost(&not_finite), svg)
    });
    grid.filled(figures)
}

fn series(
    content: &Content,
    methods: &Group,
    quantity: &Quantity,
    plot: &Plot,
    hue: &str,
    not_finite: &mut Vec<(u64, String)>,
) -> Vec<Element> {
    let threshold = (quantity.threshold)(&methods.thresholds());
    let mut drawn = group(&format!("series {hue}"));
    let mut fired = Vec::new();
    let mut seen = 0;
    for run in &methods.runs {
        let points: Vec<(f64, f64)> = run
            .metrics
            .iter()
            .filter_map(|m| Some((m.epoch as f64, (quantity.value)(m)?)))
            .collect();
        let Some(&(end, last)) = points.last() else { continue };
        seen += 1;
        let dash = format!("run dash-{}", content.seed_index(run) % 4);
        drawn = drawn.all(plot.line(&points, &dash));
        for &(epoch, value) in points.iter().filter(|(_, value)| !value.is_finite()) {
            let meaning = format!("{}, epoch {epoch}: {}", run.name, short(value));
            let at = plot.at(epoch, value);
            drawn = drawn.add(mark(content.seed_index(run), at, 2.4, "", &meaning));
            let what = format!("{} {} in epoch {epoch}", quantity.name, short(value));
            not_finite.push((run.record.config.seed, what));
        }
        drawn = drawn.add(end_mark(content, run, plot.at(end, last), quantity.name, last));
        if let Some(&(epoch, value)) = points.iter().find(|(_, v)| quantity.fires(*v, threshold)) {
            fired.push(epoch as usize);
            let meaning = format!("{}: first fires in epoch {epoch}", run.name);
            let (x, y) = plot.at(epoch, value);
            drawn = drawn
                .add(line((x, plot.y.at(threshold)), (x, plot.bottom), "first"))
                .add(mark(0, (x, y), 4.6, "ring", &meaning));
        }
    }
    let (words, classes) = match (seen, fired.as_slice()) {
        (0, _) => ("not recorded".to_string(), "axis"),
        (_, []) => ("never fires".into(), "axis"),
        (_, fired) => (first_firing(fired, seen), "axis strong"),
    };
    let sign = if quantity.above { ">" } else { "<" };
    let at = (plot.left - 6.0, plot.y.at(threshold) + 3.5);
    let limit = label(at, Anchor::End, "strong", format!("{sign} {}", plain(threshold)));
    vec![
        label((0.0, plot.top - 12.0), Anchor::Start, "axis strong", quantity.name),
        label((plot.right, plot.top - 12.0), Anchor::End, classes, words),
        plot.threshold(threshold),
        drawn,
        limit,
    ]
}

/// The newest epoch: hollow where the run did not finish.
fn end_mark(content: &Content, run: &RunResult, at: (f64, f64), name: &str, value: f64) -> Element {
    let standing = standing(run);
    let classes = match standing {
        "finished" | "not audited" => "",
        _ => "hollow",
    };
    let meaning = format!("{} ({standing}), newest {name}: {}", run.name, short(value));
    mark(content.seed_index(run), at, 3.0, classes, &meaning)
}

/// `fires from epoch 8, 11, 8`, in the order of the runs.
fn first_firing(fired: &[usize], seen: usize) -> String {
    let text = match fired {
        [one] => one.to_string(),
        [first, rest @ ..] if rest.iter().all(|epoch| epoch == first) => first.to_string(),
        few if few.len() <= 4 => few.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        many => {
            let (first, last) = (many.iter().min(), many.iter().max());
            format!("{} to {}", first.unwrap_or(&0), last.unwrap_or(&0))
        }
    };
    match fired.len() == seen {
        true => format!("fires from epoch {text}"),
        false => format!("fires from epoch {text} ({} of {seen})", fired.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_firing_epochs_are_listed_or_summed_up() {
        assert_eq!(first_firing(&[8, 11, 8], 3), "fires from epoch 8, 11, 8");
        assert_eq!(first_firing(&[7, 7, 7], 3), "fires from epoch 7");
        assert_eq!(first_firing(&[4], 3), "fires from epoch 4 (1 of 3)");
        assert_eq!(first_firing(&[4, 3, 9, 5, 6], 10), "fires from epoch 3 to 9 (5 of 10)");
    }

    #[test]
    fn what_is_not_finite_fires_and_the_threshold_itself_does_not() {
        let [growth, reference] = &QUANTITIES;
        assert!(growth.fires(50.1, 50.0) && !growth.fires(50.0, 50.0));
        assert!(reference.fires(9e-8, 1e-7) && !reference.fires(1e-7, 1e-7));
        assert!(growth.fires(f64::NAN, 50.0) && reference.fires(f64::INFINITY, 1e-7));
    }
}
