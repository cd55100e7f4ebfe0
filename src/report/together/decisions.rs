//! Which reporting strategy flags which method.

use crate::report::panel::{Cell, Panel, Shade};
use crate::study::utility::{ALIGNED, CHANCE_MARGIN, DecisionUtility, Flag, Signal, Strategy};
use crate::verdict::plain;

/// A row a strategy; none where no method was judged.
pub fn decisions(found: &DecisionUtility) -> Panel {
    let judged = found.strategies.iter().filter(|strategy| !strategy.cells.is_empty());
    Panel {
        title: "Decision utility of reporting strategies".into(),
        note: format!(
            "Accuracy flags up to {} point over chance, cosine unless its aggregate is above {}, \
             layers where few hold the credit; the diagnostics as in the verdict. Behind each \
             method: seeds on which anything flags / seeds.",
            plain(CHANCE_MARGIN * 100.0),
            plain(ALIGNED)
        ),
        columns: ["Strategy", "Looks at", "Flags", "Methods and what flags them"]
            .map(String::from)
            .to_vec(),
        words: vec![0, 1, 3],
        rows: judged.map(row).collect(),
        said: unevaluated(found).into_iter().collect(),
    }
}

fn row(strategy: &Strategy) -> Vec<Cell> {
    let looks_at: Vec<&str> = strategy.looks_at.iter().map(|s| word(*s)).collect();
    let flagged: Vec<String> =
        strategy.cells.iter().filter(|cell| cell.flagged).map(flagged).collect();
    let shade = if flagged.is_empty() { Shade::None } else { Shade::Bad };
    vec![
        strategy.name.clone().into(),
        looks_at.join(", ").into(),
        Cell::shaded(format!("{}/{}", strategy.flagged, strategy.cells.len()), shade),
        flagged.join("; ").into(),
    ]
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
