//! The controls, pooled over seeds: one table each, with what was not evaluated and why.

mod layered;
mod whole;

use super::layers::{Row, by_layer, hidden, pooled, table};
use super::words::Style;
use super::{Content, Group};
use crate::diagnostics::controls::{Control, Controls};
use crate::diagnostics::null::NullLayer;
use crate::diagnostics::perturbation::Perturbation;
use crate::diagnostics::shadow::Resolution;
use crate::number::Number;
use crate::report::panel::{Cell, Panel};
use crate::stats::Summary;
use crate::study::results::RunResult;
use crate::verdict::list;
use crate::verdict::plain;
use whole::{aggregation, rank};

/// Every control with the number of runs that have it; none where no run has any.
pub fn controls(content: &Content) -> Vec<(Panel, usize)> {
    let mut all = vec![
        (null(content), count(content, |c| &c.null)),
        (
            perturbation(content, "Perturbation correlation ρ", |c| &c.perturbation),
            count(content, |c| &c.perturbation),
        ),
        (
            perturbation(content, "ρ in the precision of the training, as published", |c| {
                &c.perturbation_f32
            }),
            count(content, |c| &c.perturbation_f32),
        ),
        (nudging(content), count(content, |c| &c.nudging)),
        (descent(content), count(content, |c| &c.descent)),
        (shadow(content), count(content, |c| &c.shadow)),
        (common_mode(content), count(content, |c| &c.common_mode)),
        (clamp(content), count(content, |c| &c.clamp)),
        (aggregation(content), count(content, |c| &c.aggregation)),
        (rank(content), count(content, |c| &c.rank)),
    ];
    all.extend(layered::panels(content));
    let any = content.groups.iter().flat_map(Group::audits).any(|audit| audit.controls.is_some());
    if any { all } else { Vec::new() }
}

/// What is said where [`controls`] finds none.
pub const NO_CONTROLS: &str = "Not evaluated: no run was audited with controls.";

fn count<T>(content: &Content, of: Of<T>) -> usize {
    content.groups.iter().map(|group| found(group, of).len()).sum()
}

/// Which control of a run.
type Of<T> = fn(&Controls) -> &Control<T>;

/// A quantity at each layer or block.
struct Quantity<'a, T> {
    name: &'a str,
    style: Style,
    layers: fn(&T) -> Vec<f64>,
    /// The mean over layers 1 … L−1.
    deep: fn(&T) -> Option<Number>,
}

impl<'a, T> Quantity<'a, T> {
    fn new(name: &'a str, style: Style, layers: fn(&T) -> Vec<f64>) -> Self {
        Self { name, style, layers, deep: |_| None }
    }
}

fn found<'a, T: 'a>(group: &'a Group, of: Of<T>) -> Vec<&'a T> {
    group.audits().filter_map(|a| a.controls.as_ref().and_then(|c| of(c).found())).collect()
}

/// A row a quantity for each method that has the control.
fn layered<T>(
    content: &Content,
    title: &str,
    note: String,
    of: Of<T>,
    column: fn(usize) -> String,
    quantities: &[Quantity<T>],
) -> Panel {
    let mut rows = Vec::new();
    let mut deep: Vec<Cell> = Vec::new();
    for group in &content.groups {
        let results = found(group, of);
        if results.is_empty() {
            continue;
        }
        for quantity in quantities {
            let per_layer = by_layer(group.audits(), |a| {
                Some((quantity.layers)(a.controls.as_ref().and_then(|c| of(c).found())?))
            });
            let cells = per_layer.iter().map(|v| pooled(v, quantity.style, per_layer.len()));
            rows.push(Row {
                name: group.name.clone(),
                quantity: quantity.name.into(),
                cells: cells.map(Cell::from).collect(),
            });
            let values: Vec<f64> =
                results.iter().filter_map(|r| (quantity.deep)(r)).map(|v| v.0).collect();
            deep.push(match values.is_empty() {
                true => Cell::default(),
                false => quantity.style.spread(&Summary::of(&values)).into(),
            });
        }
    }
    let mut panel = table(title, with_missing(content, note, of), column, rows);
    if deep.iter().any(|cell| !cell.text.is_empty()) {
        panel.columns.push("mean of 1 … L−1".into());
        for (row, cell) in panel.rows.iter_mut().zip(deep) {
            row.push(cell);
        }
    }
    panel
}

/// The note, then which methods lack the control, and why.
fn with_missing<T>(content: &Content, note: String, of: Of<T>) -> String {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for group in &content.groups {
        let mut own: Vec<(String, Vec<&RunResult>)> = Vec::new();
        for run in &group.runs {
            let why = match run.audit.as_ref().map(|a| &a.controls) {
                None => "not audited".to_string(),
                Some(None) => "audited without controls".into(),
                Some(Some(controls)) => match of(controls) {
                    Control::Found(_) => continue,
                    Control::Missing { not_evaluated } => not_evaluated.clone(),
                },
            };
            match own.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, runs)) => runs.push(run),
                None => own.push((why, vec![run])),
            }
        }
        for (why, runs) in own {
            let whose = group.partly(&runs);
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, all)) => all.push(whose),
                None => reasons.push((why, vec![whose])),
            }
        }
    }
    let missing = reasons.iter().map(|(why, methods)| {
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        format!(" Not evaluated for {}: {}.", list(&methods), why.trim_end_matches('.'))
    });
    note + &missing.collect::<String>()
}

/// What the runs share of a control's settings, or the several values.
fn values<T>(content: &Content, of: Of<T>, value: impl Fn(&T) -> String) -> String {
    let all: Vec<String> =
        content.groups.iter().flat_map(|group| found(group, of)).map(value).collect();
    super::words::distinct(&all, String::clone)
}

fn null(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.null;
    let note = format!(
        "Cosines under {} fresh draws of all feedback matrices beside that of the feedback that \
         trained the network; p is two-sided and empirical, the largest over seeds. A layer whose \
         credit does not depend on the feedback has neither.",
        values(content, of, |n| n.draws.to_string())
    );
    type Value = fn(&NullLayer) -> Option<Number>;
    let quantities: [(&str, Style, Value); 4] = [
        ("trained", Style::Cosine, |l| Some(l.trained)),
        ("null, mean", Style::Cosine, |l| l.depends.then_some(l.mean)),
        ("null, std", Style::Short, |l| l.std.filter(|_| l.depends)),
        ("largest p", Style::Short, |l| l.p),
    ];
    let mut rows = Vec::new();
    for group in &content.groups {
        let results = found(group, of);
        let layers = results.iter().map(|n| n.per_layer.len()).max().unwrap_or(0);
        for (quantity, style, value) in quantities.iter().filter(|_| layers > 0) {
            let cell = |l: usize| {
                let seeds = results.iter().filter_map(|n| value(n.per_layer.get(l)?));
                let seeds: Vec<f64> = seeds.map(|v| v.0).collect();
                // A mean of p-values means nothing.
                match *quantity == "largest p" && !seeds.is_empty() {
                    true => Cell::from(style.one(largest(&seeds))),
                    false => Cell::from(pooled(&seeds, *style, layers)),
                }
            };
            rows.push(Row {
                name: group.name.clone(),
                quantity: (*quantity).into(),
                cells: (0..layers).map(cell).collect(),
            });
        }
    }
    table("Null calibration", with_missing(content, note, of), hidden, rows)
}

/// NaN if one of the values is.
fn largest(values: &[f64]) -> f64 {
    let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
    values.iter().copied().fold(f64::NEG_INFINITY, larger)
}

fn perturbation(content: &Content, title: &str, of: Of<Perturbation>) -> Panel {
    let note = format!(
        "ρ: correlation of the predicted and the true change of the loss under small perturbations \
         (ε = {}, {} directions, {} samples, losses in {}). The gradient is the positive control, \
         a random vector the negative one; unresolved: per cent of pairs whose loss did not change \
         at all.",
        values(content, of, |p| plain(p.epsilon.0)),
        values(content, of, |p| p.directions.to_string()),
        values(content, of, |p| p.samples.to_string()),
        values(content, of, |p| p.precision.clone()),
    );
    let q = Quantity::new;
    layered(
        content,
        title,
        note,
        of,
        hidden,
        &[
            Quantity {
                deep: |p| p.deep,
                ..q("credit", Style::Cosine, |p| p.per_layer.iter().map(|l| l.credit.0).collect())
            },
            q("gradient", Style::Cosine, |p| p.per_layer.iter().map(|l| l.gradient.0).collect()),
            q("random", Style::Cosine, |p| p.per_layer.iter().map(|l| l.random.0).collect()),
            q("unresolved, %", Style::Percent, |p| {
                p.per_layer.iter().map(|l| l.unresolved.0).collect()
            }),
        ],
    )
}

fn nudging(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.nudging;
    let note = format!(
        "Change of the mean loss when h_l takes a step of η = {} against a direction ({} samples); \
         negative is good. Falling: per cent of samples whose loss falls along the credit.",
        values(content, of, |n| plain(n.step.0)),
        values(content, of, |n| n.samples.to_string()),
    );
    let q = Quantity::new;
    layered(
        content,
        "Nudging",
        note,
        of,
        hidden,
        &[
            Quantity {
                deep: |n| n.deep,
                ..q("credit", Style::Short, |n| n.per_layer.iter().map(|l| l.credit.0).collect())
            },
            q("gradient", Style::Short, |n| n.per_layer.iter().map(|l| l.gradient.0).collect()),
            q("random", Style::Short, |n| n.per_layer.iter().map(|l| l.random.0).collect()),
            q("falling, %", Style::Percent, |n| {
                n.per_layer.iter().map(|l| l.share_falling.0).collect()
            }),
        ],
    )
}

fn descent(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.descent;
    let note = format!(
        "Change of the mean loss along a block's own update and along backpropagation's of equal \
         length ({} of the parameters' norm, {} samples, losses in {}). Ratio 1 is as good as the \
         gradient, 0 useless, below 0 harmful.",
        values(content, of, |d| plain(d.relative_step.0)),
        values(content, of, |d| d.samples.to_string()),
        values(content, of, |d| d.precision.clone()),
    );
    let q = Quantity::new;
    layered(
        content,
        "Descent",
        note,
        of,
        |l| format!("block {l}"),
        &[
            q("method", Style::Short, |d| d.per_block.iter().map(|b| b.method.0).collect()),
            q("backpropagation", Style::Short, |d| {
                d.per_block.iter().map(|b| b.backpropagation.0).collect()
            }),
            q("ratio", Style::Short, |d| d.per_block.iter().map(|b| b.ratio.0).collect()),
            q("cosine", Style::Cosine, |d| d.per_block.iter().map(|b| b.cosine.0).collect()),
        ],
    )
}

fn shadow(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.shadow;
    let words = [
        (Resolution::Resolved, "resolves the gradient of every sample"),
        (Resolution::Partly, "is right on average, not for every sample"),
        (Resolution::Noise, "shows something else"),
    ];
    let said = words.iter().filter_map(|(kind, words)| {
        let methods = content.groups.iter().filter_map(|group| {
            let all = found(group, of);
            let count = all.iter().filter(|s| s.resolution() == *kind).count();
            (count > 0).then(|| format!("{} ({count} of {} runs)", group.name, all.len()))
        });
        let methods: Vec<String> = methods.collect();
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        (!methods.is_empty()).then(|| format!(" f32 {words}: {}.", list(&methods)))
    });
    let said: String = said.collect();
    let note = format!(
        "The reference gradient computed again in f64 ({} samples): median norms, cosine of the \
         two (mean and worst sample), relative error.{said}",
        values(content, of, |s| s.samples.to_string()),
    );
    let q = Quantity::new;
    layered(
        content,
        "Double-precision shadow",
        note,
        of,
        hidden,
        &[
            q("‖g‖ in f32", Style::Short, |s| {
                s.per_layer.iter().map(|l| l.norm_f32.0).collect()
            }),
            q("‖g‖ in f64", Style::Short, |s| {
                s.per_layer.iter().map(|l| l.norm_f64.0).collect()
            }),
            q("cosine", Style::Cosine, |s| s.per_layer.iter().map(|l| l.cosine.0).collect()),
            q("worst cosine", Style::Cosine, |s| {
                s.per_layer.iter().map(|l| l.worst_cosine.0).collect()
            }),
            q("relative error", Style::Short, |s| {
                s.per_layer.iter().map(|l| l.relative_error.0).collect()
            }),
        ],
    )
}

fn common_mode(content: &Content) -> Panel {
    let note = "Per cent of the hidden states' energy in their batch mean, and the mean cosine \
                between samples: near 100 and 1 the layer says the same of every input.";
    let of: Of<_> = |c| &c.common_mode;
    let q = Quantity::new;
    layered(
        content,
        "Common mode",
        note.into(),
        of,
        hidden,
        &[
            q("energy in the mean, %", Style::Percent, |c| {
                c.per_layer.iter().map(|l| l.mean_energy.0).collect()
            }),
            q("pairwise cosine", Style::Cosine, |c| {
                c.per_layer.iter().map(|l| l.pairwise_cosine.0).collect()
            }),
        ],
    )
}

fn clamp(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.clamp;
    let note = format!(
        "The cosine as PyTorch reports it, each norm clamped at {}, beside the true one; under: \
         per cent of samples where a norm is under the clamp.",
        values(content, of, |c| plain(c.clamp.0)),
    );
    let q = Quantity::new;
    layered(
        content,
        "Clamped cosine",
        note,
        of,
        hidden,
        &[
            q("clamped", Style::Cosine, |c| c.per_layer.iter().map(|l| l.clamped.0).collect()),
            q("unclamped", Style::Cosine, |c| c.per_layer.iter().map(|l| l.unclamped.0).collect()),
            q("under, %", Style::Percent, |c| c.per_layer.iter().map(|l| l.under.0).collect()),
        ],
    )
}
