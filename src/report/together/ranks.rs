//! Ranks over epochs, after the last of them, and where the training losses meet.

use crate::diagnostics::rank::RankOf;
use crate::number::Number;
use crate::report::content::words::{Style, capital};
use crate::report::panel::{Cell, Panel};
use crate::stats::Summary;
use crate::study::ranks::{EpochRanks, KindRanks, MatchedRanks, MethodRanks, RankStudy};
use crate::verdict::short;

/// Epochs of which a panel has room; the JSON has all.
const COLUMNS: usize = 6;

const FORMULAS: &str = "Effective: exp(−Σ p ln p), p = σ/Σσ; energy: the same with p = σ²/Σσ²; stable: Σσ²/max σ²; \
                        participation: (Σσ²)²/Σσ⁴.";

const MATRICES: &str = "Mean over the network's layers or block matrices, then over seeds ± sample standard \
                        deviation. Credit a, reference gradient g and weight gradient ∇ are of the first \
                        evaluation batch; ∇ over epochs: those gradients so far, a row an epoch.";

/// The panels of one network on one dataset.
pub fn ranks(found: &RankStudy) -> Vec<Panel> {
    vec![over_epochs(found), at_the_end(found), at_matched_loss(found)]
}

fn place(found: &RankStudy) -> String {
    format!("{} on {}", found.arch, found.dataset)
}

fn over_epochs(found: &RankStudy) -> Panel {
    let shown = shown(found);
    let cell = |epochs: &[EpochRanks], epoch: usize, of: RankOf| {
        let ranks = epochs.iter().find(|at| at.epoch == epoch).map(|at| &at.ranks);
        let kind = ranks.and_then(|ranks| ranks.iter().find(|kind| kind.of == of));
        kind.map_or_else(Cell::absent, |kind| spread(&kind.effective))
    };
    let of_method = |method: &MethodRanks| -> Vec<Vec<Cell>> {
        let mut name = method.name.clone();
        let kinds = RankOf::ALL
            .into_iter()
            .filter(|of| method.epochs.iter().any(|at| at.ranks.iter().any(|kind| kind.of == *of)));
        let row = |of| {
            let values = shown.iter().map(|&epoch| cell(&method.epochs, epoch, of));
            [std::mem::take(&mut name).into(), word(of).into()].into_iter().chain(values).collect()
        };
        kinds.map(row).collect()
    };
    let epochs = shown.iter().map(|epoch| format!("epoch {epoch}"));
    Panel {
        title: format!("Effective rank over epochs, {}", place(found)),
        note: format!("exp(−Σ p ln p), p = σ/Σσ. {MATRICES}"),
        columns: ["Method".into(), "Of".into()].into_iter().chain(epochs).collect(),
        words: vec![0, 1],
        rows: found.methods.iter().flat_map(of_method).collect(),
        said: Vec::new(),
    }
}

/// The recorded epochs, thinned out evenly; first and last stay.
fn shown(found: &RankStudy) -> Vec<usize> {
    let mut all: Vec<usize> =
        found.methods.iter().flat_map(|method| method.epochs.iter().map(|at| at.epoch)).collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        n if n > COLUMNS => (0..COLUMNS).map(|i| all[i * (n - 1) / (COLUMNS - 1)]).collect(),
        _ => all,
    }
}

fn at_the_end(found: &RankStudy) -> Panel {
    let rows = found.methods.iter().filter_map(|method| {
        let last = method.epochs.last()?;
        Some(by_formula(&format!("{}\nepoch {}", method.name, last.epoch), &last.ranks))
    });
    Panel {
        title: format!("Ranks by four formulas, {}", place(found)),
        note: format!("After the last recorded epoch. {FORMULAS} {MATRICES}"),
        columns: ["Method", "Of", "Effective", "Energy", "Stable", "Participation"]
            .map(String::from)
            .to_vec(),
        words: vec![0, 1],
        rows: rows.flatten().collect(),
        said: Vec::new(),
    }
}

fn by_formula(name: &str, kinds: &[KindRanks]) -> Vec<Vec<Cell>> {
    let mut name = name.to_string();
    let row = |kind: &KindRanks| {
        let values = [&kind.effective, &kind.energy, &kind.stable, &kind.participation];
        let words = [std::mem::take(&mut name).into(), word(kind.of).into()];
        words.into_iter().chain(values.map(spread)).collect()
    };
    kinds.iter().map(row).collect()
}

fn at_matched_loss(found: &RankStudy) -> Panel {
    let row = |method: &MethodRanks| -> Option<Vec<Cell>> {
        let matched = method.matched.as_ref()?;
        let kinds = RankOf::ALL.map(|of| {
            let kind = matched.ranks.iter().find(|kind| kind.of == of);
            kind.map_or_else(Cell::absent, |kind| spread(&kind.effective))
        });
        let seed = |(loss, epoch): (&Number, &usize)| format!("{:.3} at {epoch}", loss.0);
        let met: Vec<String> = matched.loss.iter().zip(&matched.epochs).map(seed).collect();
        let words = [method.name.clone().into(), met.join("\n").into()];
        Some(words.into_iter().chain(kinds).collect())
    };
    let columns = ["Method", "Loss\nat epoch"].into_iter().map(String::from);
    Panel {
        title: format!("Effective rank at matched loss, {}", place(found)),
        note: format!(
            "Loss: the lowest mean training loss of a recorded epoch that every method reaches, by seed; \
             each method is read at its first recorded epoch that is no worse. {MATRICES}"
        ),
        columns: columns.chain(RankOf::ALL.map(|of| in_lines(&capital(word(of))))).collect(),
        words: vec![0, 1],
        rows: found.methods.iter().filter_map(row).collect(),
        said: order(found).into_iter().collect(),
    }
}

/// The methods by the rank of what they have learned.
fn order(found: &RankStudy) -> Option<String> {
    let change = |matched: &MatchedRanks| -> Option<f64> {
        let kind = matched.ranks.iter().find(|kind| kind.of == RankOf::Change)?;
        kind.effective.mean.is_finite().then_some(kind.effective.mean)
    };
    let mut ranked: Vec<(&str, f64)> = found
        .methods
        .iter()
        .filter_map(|method| Some((&*method.name, change(method.matched.as_ref()?)?)))
        .collect();
    if ranked.len() < 2 {
        return None;
    }
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let words: Vec<String> =
        ranked.iter().map(|(name, rank)| format!("{name} {}", short(*rank))).collect();
    Some(format!("Effective rank of W_T − W_0 at the same loss, rising: {}.", words.join(", ")))
}

fn word(of: RankOf) -> &'static str {
    match of {
        RankOf::Credit => "credit a",
        RankOf::Reference => "reference g",
        RankOf::WeightGradient => "∇",
        RankOf::Trajectory => "∇ over epochs",
        RankOf::Change => "W_T − W_0",
    }
}

/// A word a line, where that is shorter.
fn in_lines(words: &str) -> String {
    match words.contains('−') {
        true => words.into(),
        false => words.replacen(' ', "\n", 1),
    }
}

/// The deviation below the mean.
fn spread(summary: &Summary) -> Cell {
    Style::Short.spread(summary).replace(" ± ", "\n±").into()
}
