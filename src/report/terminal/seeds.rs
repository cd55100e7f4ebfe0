//! The verdict table over seeds.

use super::cells::{accuracy, cosine, exponential, fixed, mark, points, spread, verdict};
use super::draw::{finish, table, wrapped};
use super::{
    INCONCLUSIVE, LayerRow, NOT_EVALUATED, UNREADABLE, by_layer, explained, grouped, header,
};
use crate::number::Number;
use crate::stats::{Interval, Summary};
use crate::verdict::seeds::Pooled;
use crate::verdict::{MethodSummary, Status, short};
use comfy_table::Cell;

/// One row a method: means over its seeds, the sample deviation under them, and on how many seeds
/// each diagnostic fired; then the legend. It needs no table of the single runs beside it.
pub fn seeds(methods: &[MethodSummary], color: bool) -> String {
    let mut out = String::new();
    let key = |m: &MethodSummary| {
        let parts = [m.arch.clone(), m.dataset.clone()];
        let mut text = parts.join(" · ");
        if !m.data_source.is_empty() {
            text += &format!(" ({})", m.data_source);
        }
        (text + " · mean ± sample std over seeds", m.thresholds)
    };
    for ((setting, thresholds), group) in grouped(methods, key) {
        let layers: Vec<_> = group.iter().map(|m| by_layer_row(m)).collect();
        let mut table = table(color);
        table.set_header(header(&thresholds, "n"));
        for m in group {
            let cosine_mean = m.cosine.map(|c| Number(c.mean));
            table.add_row(vec![
                Cell::new(&m.label),
                Cell::new(m.seeds.len()),
                Cell::new(stacked(
                    accuracy(m.accuracy.mean),
                    deviation(Some(m.accuracy), accuracy),
                )),
                Cell::new(pooled(&m.growth, None, short, spread)),
                Cell::new(pooled(&m.reference, None, exponential, exponential)),
                Cell::new(pooled(&m.stability, None, |v| fixed(v, 2), |v| fixed(v, 2))),
                Cell::new(pooled(&m.depth_utility, m.depth_interval, points, |v| fixed(v, 1))),
                Cell::new(stacked(
                    cosine(cosine_mean, m.interpretable),
                    deviation(m.cosine, |v| fixed(v, 3) + " "),
                )),
                verdict(m.verdict, m.is_baseline),
            ]);
        }
        out += &format!("{}\n{}\n\n", wrapped("", &setting), finish(table, 3));
        let title = "Cosine of credit and gradient by layer, mean ± sample std over seeds";
        out += &by_layer(title, "n", &[], &layers);
        out += "\n";
    }
    out + &legend(methods)
}

fn legend(methods: &[MethodSummary]) -> String {
    let found = |m: &MethodSummary| [m.growth, m.reference, m.stability, m.depth_utility];
    let pooled: Vec<Pooled> = methods.iter().flat_map(found).collect();
    let is = |status| pooled.iter().any(|p| p.status == status);
    explained(&[
        (
            is(Status::Fired),
            "! fires on more than half of the seeds (depth: on the mean of the differences)",
        ),
        (
            pooled.iter().any(|p| p.fragile),
            "* fragile: the seeds disagree (depth: the interval reaches across the threshold)",
        ),
        (methods.iter().any(|m| m.cosine.is_some() && !m.interpretable), UNREADABLE),
        (is(Status::Inconclusive), INCONCLUSIVE),
        (is(Status::NotEvaluated), NOT_EVALUATED),
        (
            methods.iter().any(|m| m.depth_interval.is_some()),
            "[ , ] Student-t 95 % interval of the mean difference from the frozen twins, points",
        ),
        (
            !methods.is_empty(),
            "Last line of a diagnostic: seeds on which it fires / seeds evaluated",
        ),
    ])
}

fn by_layer_row(method: &MethodSummary) -> LayerRow {
    let cell = |summary: &Summary| {
        let mean = cosine(Some(Number(summary.mean)), method.interpretable);
        stacked(mean, deviation(Some(*summary), |v| fixed(v, 3) + " "))
    };
    LayerRow {
        name: method.label.clone(),
        second: method.seeds.len().to_string(),
        cells: method.cosine_per_layer.iter().map(cell).collect(),
    }
}

/// Mean, deviation, interval and on how many seeds it fired, one under the other.
fn pooled(
    found: &Pooled,
    interval: Option<Interval>,
    mean: fn(f64) -> String,
    std: fn(f64) -> String,
) -> String {
    let Some(summary) = found.summary else {
        return "– ".into();
    };
    let value = format!("{}{}", mean(summary.mean), mark(found.status));
    let fragile = if found.fragile { '*' } else { ' ' };
    let count = format!("{}/{}{fragile}", found.fired, found.evaluated);
    let deviation = deviation(Some(summary), |v| std(v) + " ");
    let interval = interval.map(|i| format!("[{}, \n{}] ", mean(i.low), mean(i.high)));
    stacked(stacked(stacked(value, deviation), interval), Some(count))
}

/// `±0.6`; nothing for a single value, and an empty line where there is no finite deviation.
fn deviation(summary: Option<Summary>, format: impl Fn(f64) -> String) -> Option<String> {
    Some(match summary?.std? {
        std if std.is_finite() => format!("±{}", format(std)),
        _ => String::new(),
    })
}

fn stacked(above: String, below: Option<String>) -> String {
    match below {
        Some(below) => format!("{above}\n{below}"),
        None => above,
    }
}
