//! What learned credits gain over twins whose auxiliary network learns something else.

use crate::diagnostics::learned_credit::DECIDES;
use crate::report::content::words::{Style, points};
use crate::report::panel::{Cell, Panel, Shade};
use crate::study::methods::methods;
use crate::study::results::StudyResult;
use crate::verdict::MethodSummary;
use crate::verdict::seeds::PooledGain;

/// A row a method and kind of twin; none where no run learns its credit.
pub fn learned_credit(study: &StudyResult) -> Panel {
    let methods: Vec<(String, MethodSummary)> = methods(study)
        .iter()
        .filter_map(|method| Some((method.name.clone(), method.summary()?)))
        .filter(|(_, summary)| summary.learned_credit.is_some())
        .collect();
    Panel {
        title: "Learned credit over its twins".into(),
        note: "The twins share seed, initialisation, data order, rule and penalty; their auxiliary \
               network learns other samples' targets (shuffled), random numbers, zeros, or nothing \
               (untrained). Gain: paired difference of the accuracies, mean ± sample standard deviation \
               over seeds, and the 95 % interval of its mean. Any network that learns beside the trained \
               one and knows the depth gains something (published: 1.3 points): a gain is the learned \
               credit's only where the shuffled twin does not do as well, that is, where the gain over \
               it and its interval lie above zero."
            .into(),
        columns: ["Method", "Twin", "n", "Acc %", "Twin %", "Gain\npp", "95 %"]
            .map(String::from)
            .to_vec(),
        words: vec![0, 1],
        rows: methods.iter().flat_map(|(name, summary)| rows(name, summary)).collect(),
        said: methods.iter().map(|(name, summary)| said(name, summary)).collect(),
    }
}

fn rows(name: &str, summary: &MethodSummary) -> Vec<Vec<Cell>> {
    let gains = summary.learned_credit.iter().flatten();
    let mut rows: Vec<Vec<Cell>> = gains.map(|gain| row(name, summary, gain)).collect();
    if !summary.learned_credit.iter().flatten().any(|gain| gain.over == DECIDES) {
        let absent = [(); 4].map(|()| Cell::absent());
        let start = [name.into(), Cell::shaded(DECIDES, Shade::Muted), "0".into()];
        rows.push(start.into_iter().chain(absent).collect());
    }
    rows
}

fn row(name: &str, summary: &MethodSummary, gain: &PooledGain) -> Vec<Cell> {
    let shade = match (gain.gain.n, gain.does_as_well) {
        (0, _) => Shade::Muted,
        (_, true) => Shade::Bad,
        (_, false) => Shade::Good,
    };
    let [accuracy, spread] = match gain.gain.n {
        0 => [Cell::absent(), Cell::absent()],
        _ => [
            Style::Percent.spread(&gain.accuracy).into(),
            Cell::shaded(Style::Points.spread(&gain.gain), shade),
        ],
    };
    vec![
        name.into(),
        gain.over.clone().into(),
        gain.gain.n.to_string().into(),
        Style::Percent.spread(&summary.accuracy).into(),
        accuracy,
        spread,
        gain.interval.map_or_else(Cell::absent, |interval| {
            format!("{} to {}", points(interval.low), points(interval.high)).into()
        }),
    ]
}

/// What the twin that decides says.
fn said(name: &str, summary: &MethodSummary) -> String {
    let gains = summary.learned_credit.as_deref().unwrap_or_default();
    let Some(gain) = gains.iter().find(|gain| gain.over == DECIDES && gain.gain.n > 0) else {
        let why = gains.iter().filter(|gain| gain.over == DECIDES);
        let why = why.filter_map(|gain| gain.missing.as_deref()).next();
        let why = why.map(|why| format!(" ({})", why.trim_end_matches('.'))).unwrap_or_default();
        return format!(
            "{name}: not evaluated, because no seed has a twin with shuffled targets{why}."
        );
    };
    let seeds = summary.seeds.len();
    let spread = Style::Points.spread(&gain.gain);
    let end = match gain.does_as_well {
        true => "the twin does as well, and no claim that rests on the learned credit stands",
        false => "what it gains, the twin does not",
    };
    let missing = match gain.gain.n < seeds {
        true => format!("; {} of {seeds} seeds have no such twin", seeds - gain.gain.n),
        false => String::new(),
    };
    format!(
        "{name}: {spread} points over its twin with shuffled targets (n={}): {end}{missing}.",
        gain.gain.n
    )
}
