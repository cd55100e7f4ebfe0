//! What the runs of a study tell together, as panels: first firings, threshold sweep, decision
//! utility, depth ladder.

use super::panel::{Cell, Panel, Shade};
use crate::stats::Summary;
use crate::study::ladder::{Ladder, ladders};
use crate::study::results::StudyResult;
use crate::study::sweep::{DiagnosticSweep, sweep};
use crate::study::timeline::{Firing, timeline};
use crate::study::utility::{ALIGNED, CHANCE_MARGIN, Flag, utility};
use crate::verdict::{Status, plain, short};

/// The panels that the study has something to say in.
pub fn panels(study: &StudyResult) -> Vec<Panel> {
    let sweep = sweep(study);
    let mut panels = vec![firings(study), decisions(study)];
    panels.extend([
        swept("Threshold sweep: growth", &sweep.growth, short),
        swept("Threshold sweep: reference", &sweep.reference, short),
        swept("Threshold sweep: depth utility, points", &sweep.depth_utility, plain),
    ]);
    panels.extend(ladders(study).ladders.iter().map(climbed));
    panels.retain(|panel| !panel.rows.is_empty());
    panels
}

fn firings(study: &StudyResult) -> Panel {
    let mut rows = Vec::new();
    for method in timeline(study).methods.iter().filter(|method| !method.is_baseline) {
        for run in &method.runs {
            let [saved, cost] = match run.early_stop {
                Some(stop) => {
                    [format!("{:.0} %", 100.0 * stop.saved.0), format!("{:+.1}", stop.cost.0)]
                }
                None => ["–".into(), "–".into()],
            };
            rows.push(vec![
                method.name.clone().into(),
                run.seed.to_string().into(),
                run.epochs.to_string().into(),
                run.probe_batch_size.to_string().into(),
                first(&run.growth),
                first(&run.reference),
                saved.into(),
                cost.into(),
            ]);
        }
    }
    Panel {
        title: "First firings".into(),
        note:
            "The first epoch at which growth and reference fire on evaluation batches of N samples \
               (the gradient is proportional to 1/N). Saved: share of the epochs after the first \
               firing. Cost: points of accuracy that stopping there loses."
                .into(),
        columns: ["Method", "Seed", "Epochs", "N", "Growth", "Reference", "Saved", "Cost, points"]
            .map(String::from)
            .to_vec(),
        rows,
    }
}

fn first(firing: &Firing) -> Cell {
    match (firing.status, firing.epoch) {
        (_, Some(epoch)) => Cell::shaded(epoch.to_string(), Shade::Bad),
        (Status::NotEvaluated, None) => Cell::absent(),
        (Status::Inconclusive, None) => Cell::shaded("not yet", Shade::Muted),
        (Status::Passed | Status::Fired, None) => Cell::shaded("never", Shade::Good),
    }
}

fn decisions(study: &StudyResult) -> Panel {
    let found = utility(study);
    let methods = found.strategies.first().map_or(&[][..], |s| &s.cells);
    let mut columns = vec!["Strategy".to_string()];
    columns.extend(methods.iter().map(|cell| cell.method.clone()));
    let row = |strategy: &crate::study::utility::Strategy| {
        let mut row = vec![Cell::from(strategy.name.clone())];
        row.extend(strategy.cells.iter().map(decision));
        row
    };
    let any = !methods.is_empty();
    Panel {
        title: "Decision utility".into(),
        note: format!(
            "Which reporting strategy flags which method. S0 looks at accuracy alone (flags up to {} point over chance); S1 adds the aggregate \
             cosine (flags unless it is above {}); S2 to S5 add to S1 growth, reference, stability and \
             depth utility; S_full looks at all; S_final at the three that decide and the cosine of \
             each layer. Flagged on seeds / seeds.",
            plain(CHANCE_MARGIN * 100.0),
            plain(ALIGNED)
        ),
        columns,
        rows: if any { found.strategies.iter().map(row).collect() } else { Vec::new() },
    }
}

fn decision(flag: &Flag) -> Cell {
    let counts = format!("{}/{}", flag.seeds_flagged, flag.seeds);
    match (flag.flagged, flag.not_evaluated.is_empty()) {
        (true, _) => Cell::shaded(format!("flagged\n{counts}"), Shade::Bad),
        (false, true) => Cell::shaded(format!("passes\n{counts}"), Shade::Good),
        (false, false) => Cell::shaded(format!("not evaluated\n{counts}"), Shade::Muted),
    }
}

fn swept(title: &str, found: &DiagnosticSweep, value: fn(f64) -> String) -> Panel {
    let row = |point: &crate::study::sweep::Point| {
        let used = if point.threshold == found.used { "used" } else { "" };
        vec![
            Cell::from(value(point.threshold.0)),
            Cell::from(used),
            Cell::from(point.fires.len().to_string()),
            Cell::from(point.fires.join(", ")),
            Cell::from(point.verdict_changes.join(", ")),
        ]
    };
    let separation = &found.separation;
    let known = |value: Option<crate::number::Number>| value.map_or("none".into(), |v| short(v.0));
    let ratio = separation.ratio.map_or(String::new(), |r| format!(", a factor of {}", short(r.0)));
    Panel {
        title: title.into(),
        note: format!(
            "The healthy run closest to firing: {}; the degenerate run closest to passing: {}{ratio}.",
            known(separation.healthy),
            known(separation.degenerate),
        ),
        columns: ["Threshold", "", "Methods", "Fires on", "Other verdicts than now"]
            .map(String::from)
            .to_vec(),
        rows: found.points.iter().map(row).collect(),
    }
}

fn climbed(ladder: &Ladder) -> Panel {
    let mut below: Option<f64> = None;
    let rows = ladder
        .rungs
        .iter()
        .map(|rung| {
            let mean = rung.accuracy.mean;
            let step = below.map_or(String::new(), |b| format!("{:+.1}", 100.0 * (mean - b)));
            below = Some(mean);
            vec![
                Cell::from(rung.trained_blocks.to_string()),
                Cell::from(format!(
                    "{:.2}",
                    Summary {
                        mean: 100.0 * mean,
                        std: rung.accuracy.std.map(|s| 100.0 * s),
                        ..rung.accuracy
                    }
                )),
                Cell::from(step),
                Cell::from(rung.from.clone()),
            ]
        })
        .collect();
    let gain = ladder
        .gain
        .map_or(String::new(), |gain| format!("From k = 0 to {}: {gain:.1} points.", ladder.depth));
    Panel {
        title: format!("Depth ladder: {}", ladder.setting.label),
        note: format!("k: trained blocks, the last of the network. {gain}"),
        columns: ["k", "Accuracy %", "Step, points", "From"].map(String::from).to_vec(),
        rows,
    }
}
