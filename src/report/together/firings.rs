//! Where growth and reference first fire, and what stopping there would have saved and cost.

use crate::number::Number;
use crate::report::content::words::{Style, points};
use crate::report::panel::{Cell, Panel, Shade};
use crate::stats::Summary;
use crate::study::timeline::{Firing, MethodTimeline, RunTimeline, Timeline};
use crate::verdict::{Status, plain, short};

/// A row a run.
pub fn firings(found: &Timeline) -> Panel {
    let runs = || found.methods.iter().flat_map(|method| &method.runs);
    let growth = format!("Growth\n{}", rules(">", runs().map(|run| run.growth.threshold)));
    let gradient = format!("Gradient\n{}", rules("<", runs().map(|run| run.reference.threshold)));
    let rows = found
        .methods
        .iter()
        .flat_map(|method| method.runs.iter().map(|run| row(&method.name, run)));
    Panel {
        title: "First firings".into(),
        note:
            "Growth, Gradient: the first epoch at which they fire on the evaluation batches of N \
               samples (the gradient is proportional to 1/N); `not yet` in a run that did not \
               finish; – not evaluated. Saved: share of the epochs after the first firing. Cost: \
               points of accuracy that stopping there loses."
                .into(),
        columns: ["Method", "Seed", "Epochs", "N", &growth, &gradient, "Saved", "Cost\npp"]
            .map(String::from)
            .to_vec(),
        words: vec![0],
        rows: rows.collect(),
        said: found.methods.iter().filter_map(saved).collect(),
    }
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

fn row(method: &str, run: &RunTimeline) -> Vec<Cell> {
    let [saved, cost] = match run.early_stop {
        Some(stop) => {
            [format!("{}%", whole(stop.saved.0 * 100.0)).into(), points(stop.cost.0).into()]
        }
        None => [Cell::absent(), Cell::absent()],
    };
    vec![
        method.into(),
        run.seed.to_string().into(),
        run.epochs.to_string().into(),
        run.probe_batch_size.to_string().into(),
        first(&run.growth),
        first(&run.reference),
        saved,
        cost,
    ]
}

fn first(firing: &Firing) -> Cell {
    match (firing.status, firing.epoch) {
        (_, Some(epoch)) => Cell::shaded(epoch.to_string(), Shade::Bad),
        (Status::NotEvaluated, None) => Cell::absent(),
        (Status::Inconclusive, None) => Cell::shaded("not yet", Shade::Muted),
        (Status::Passed | Status::Fired, None) => Cell::shaded("never", Shade::Good),
    }
}

fn saved(method: &MethodTimeline) -> Option<String> {
    let (saved, cost) = (method.saved?, method.cost?);
    let percent = Summary { mean: saved.mean * 100.0, std: saved.std.map(|v| v * 100.0), ..saved };
    let saved = match percent.std {
        Some(std) => format!("{} ± {}", whole(percent.mean), whole(std)),
        None => whole(percent.mean),
    };
    Some(format!(
        "{}: stopping at the first firing saves {saved} % of the epochs and costs {} points (n={}).",
        method.name,
        Style::Points.spread(&cost),
        cost.n
    ))
}

fn whole(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.0}"),
        false => short(value),
    }
}
