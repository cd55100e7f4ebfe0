//! Accuracy over the number of trained blocks.

use crate::report::content::words::{Style, points};
use crate::report::panel::{Cell, Panel};
use crate::study::ladder::{Ladder, Ladders, Rung};

/// A row a rung, a method's below each other.
pub fn ladder(found: &Ladders) -> Panel {
    Panel {
        title: "Depth ladder".into(),
        note: "k: trained blocks, the last of the network; n: seeds; ±: sample standard deviation \
               over seeds; Step: points over the rung before."
            .into(),
        columns: ["Method", "k", "n", "Acc %", "±", "Step", "From"].map(String::from).to_vec(),
        words: vec![0, 6],
        rows: found.ladders.iter().flat_map(rungs).collect(),
        said: found.ladders.iter().map(climb).collect(),
    }
}

fn rungs(ladder: &Ladder) -> Vec<Vec<Cell>> {
    let setting = &ladder.setting;
    let mut name = format!("{} ({}, {})", setting.label, setting.arch, setting.dataset);
    let mut below: Option<f64> = None;
    let row = |rung: &Rung| {
        let mean = rung.accuracy.mean;
        let step = below.replace(mean).map(|below| points((mean - below) * 100.0));
        vec![
            std::mem::take(&mut name).into(),
            rung.trained_blocks.to_string().into(),
            rung.accuracy.n.to_string().into(),
            Style::Percent.one(mean).into(),
            rung.accuracy.std.map(|std| Style::Percent.one(std)).unwrap_or_default().into(),
            step.unwrap_or_default().into(),
            rung.from.clone().into(),
        ]
    };
    ladder.rungs.iter().map(row).collect()
}

fn climb(ladder: &Ladder) -> String {
    let mut parts = vec![match ladder.rises {
        Some(true) => "rises from rung to rung".to_string(),
        Some(false) => "does not rise from rung to rung".to_string(),
        None => "too few rungs to rise".to_string(),
    }];
    if let Some(best) = ladder.best {
        parts.push(format!("best at k = {best}"));
    }
    parts.push(match &ladder.gain {
        Some(gain) => format!(
            "from k = 0 to {} {} points (n={})",
            ladder.depth,
            Style::Points.spread(gain),
            gain.n
        ),
        None => format!("no seed has both k = 0 and {}", ladder.depth),
    });
    if !ladder.unfinished.is_empty() {
        parts.push(format!("without a final accuracy: {}", ladder.unfinished.join(", ")));
    }
    format!("{}: {}.", ladder.setting.label, parts.join("; "))
}
