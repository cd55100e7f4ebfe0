//! Tables with a column for each layer, a row or more for each method: means over seeds.

use super::words::Style;
use super::{Content, Group};
use crate::number::Number;
use crate::report::panel::{Cell, Panel, Shade};
use crate::stats::Summary;
use crate::verdict::Audit;

/// Wider tables show means without deviations.
const WITH_DEVIATION: usize = 9;

/// One row: which quantity, and its value on each seed at each layer.
pub(super) struct Row {
    pub name: String,
    pub quantity: String,
    pub cells: Vec<Cell>,
}

/// Values by layer, then by seed.
pub fn by_layer<'a>(
    audits: impl Iterator<Item = &'a Audit>,
    layers: impl Fn(&'a Audit) -> Option<Vec<f64>>,
) -> Vec<Vec<f64>> {
    let mut out: Vec<Vec<f64>> = Vec::new();
    for values in audits.filter_map(layers) {
        for (l, value) in values.into_iter().enumerate() {
            if out.len() <= l {
                out.push(Vec::new());
            }
            out[l].push(value);
        }
    }
    out
}

pub(super) fn floats(values: &[Number]) -> Vec<f64> {
    values.iter().map(|v| v.0).collect()
}

/// A mean over seeds, with the deviation where the table is narrow enough.
pub(super) fn pooled(values: &[f64], style: Style, layers: usize) -> String {
    let summary = Summary::of(values);
    match layers {
        _ if values.is_empty() => "–".into(),
        n if n > WITH_DEVIATION => style.one(summary.mean),
        _ => style.spread(&summary),
    }
}

/// The rows side by side; rows of networks with fewer layers are filled up.
pub(super) fn table(
    title: &str,
    note: String,
    column: fn(usize) -> String,
    rows: Vec<Row>,
) -> Panel {
    let layers = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let mut columns = vec!["Method".to_string(), String::new()];
    columns.extend((0..layers).map(column));
    let mut previous = String::new();
    let rows = rows
        .into_iter()
        .map(|row| {
            // A method is named once for its rows.
            let name = if row.name == previous { String::new() } else { row.name.clone() };
            previous = row.name;
            let mut cells = vec![Cell::from(name), Cell::from(row.quantity)];
            cells.extend(row.cells);
            cells.resize(layers + 2, Cell::default());
            cells
        })
        .collect();
    Panel { title: title.into(), note, columns, rows, ..Panel::default() }
}

pub(super) fn hidden(l: usize) -> String {
    format!("h_{l}")
}

/// Γ_0 … Γ_L with the null band where one was drawn.
pub fn cosines(content: &Content) -> Panel {
    let mut rows = Vec::new();
    let mut unreadable = false;
    for group in &content.groups {
        let Some(summary) = &group.summary else { continue };
        if summary.cosine_per_layer.is_empty() {
            rows.push(Row {
                name: group.name.clone(),
                quantity: "not evaluated".into(),
                cells: Vec::new(),
            });
            continue;
        }
        unreadable |= !summary.interpretable;
        let layers = summary.cosine_per_layer.len();
        let values = by_layer(group.audits(), |a| Some(floats(&a.cosine.detail.per_layer)));
        let cell = |values: &Vec<f64>| match summary.interpretable {
            true => Cell::from(pooled(values, Style::Cosine, layers)),
            false => Cell::shaded(pooled(values, Style::Cosine, layers) + " ?", Shade::Muted),
        };
        rows.push(Row {
            name: group.name.clone(),
            quantity: "cosine".into(),
            cells: values.iter().map(cell).collect(),
        });
        rows.extend(null_rows(group));
    }
    let mut note = String::from(
        "Cosine of the method's credit a_l and the reference gradient g_l, mean over samples; mean \
         ± sample standard deviation over seeds. The last layer trains no block. Null band: \
         smallest to largest cosine under fresh feedback draws, over all seeds; inside: seeds \
         whose trained cosine lies in their own band.",
    );
    if unreadable {
        note += " ? not interpretable: the reference fired.";
    }
    table("Cosine by layer", note, hidden, rows)
}

/// What the draws of all seeds say of one layer.
#[derive(Clone, Default)]
pub struct NullBand {
    /// A band a seed; none where the layer's credit does not depend on the feedback.
    pub bands: Vec<[f64; 2]>,
    /// Seeds whose trained cosine lies inside.
    pub inside: usize,
}

/// By layer; empty where no seed has a null calibration.
pub fn null_bands(group: &Group) -> Vec<NullBand> {
    let mut layers: Vec<NullBand> = Vec::new();
    for audit in group.audits() {
        let Some(null) = audit.controls.as_ref().and_then(|c| c.null.found()) else { continue };
        layers.resize(layers.len().max(null.per_layer.len()), NullBand::default());
        for (layer, found) in layers.iter_mut().zip(&null.per_layer).filter(|(_, l)| l.depends) {
            layer.bands.push([found.low.0, found.high.0]);
            layer.inside += usize::from(found.inside);
        }
    }
    layers
}

impl NullBand {
    /// The band that holds all of them; NaN if one of them is.
    pub fn hull(&self) -> Option<[f64; 2]> {
        let wider = |a: [f64; 2], b: [f64; 2]| {
            if a.iter().chain(&b).any(|v| v.is_nan()) {
                return [f64::NAN; 2];
            }
            [a[0].min(b[0]), a[1].max(b[1])]
        };
        self.bands.iter().copied().reduce(wider)
    }
}

/// The null band of each layer, and on how many seeds the trained cosine lies inside.
fn null_rows(group: &Group) -> Vec<Row> {
    let layers = null_bands(group);
    if layers.is_empty() {
        return Vec::new();
    }
    let row = |quantity: &str, cell: fn(&NullBand, [f64; 2]) -> String| Row {
        name: group.name.clone(),
        quantity: quantity.into(),
        cells: layers
            .iter()
            .map(|layer| match layer.hull() {
                None => Cell::shaded("no feedback", Shade::Muted),
                Some(hull) => Cell::shaded(cell(layer, hull), Shade::Muted),
            })
            .collect(),
    };
    vec![
        row("null band", |_, [low, high]| {
            format!("{} … {}", Style::Cosine.one(low), Style::Cosine.one(high))
        }),
        row("inside", |layer, _| format!("{}/{}", layer.inside, layer.bands.len())),
    ]
}

/// ‖h_l‖ and ‖g_l‖.
pub fn norms(content: &Content) -> Panel {
    let mut rows = Vec::new();
    for group in content.groups.iter().filter(|g| g.summary.is_some()) {
        let hidden =
            by_layer(group.audits(), |a| Some(floats(&a.diagnostics.growth.detail.hidden_norms)));
        let gradient =
            by_layer(group.audits(), |a| Some(floats(&a.diagnostics.reference.detail.per_layer)));
        for (quantity, values) in [("‖h_l‖", hidden), ("‖g_l‖", gradient)] {
            let cells = values.iter().map(|v| pooled(v, Style::Short, values.len()));
            rows.push(Row {
                name: group.name.clone(),
                quantity: match values.is_empty() {
                    true => format!("{quantity} not evaluated"),
                    false => quantity.into(),
                },
                cells: cells.map(Cell::from).collect(),
            });
        }
    }
    let note = "‖h_l‖: mean over samples of the L2 norm. ‖g_l‖: median over samples of the L2 norm \
                of the gradient of the batch-mean loss, proportional to 1/N. Mean ± sample \
                standard deviation over seeds.";
    table("Hidden and reference-gradient norms by layer", note.into(), hidden, rows)
}
