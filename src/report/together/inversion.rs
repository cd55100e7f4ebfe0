//! Where methods stand by the cosine and where by what they do.

use crate::report::content::words::{Style, capital};
use crate::report::panel::{Cell, Panel, Shade};
use crate::stats::Summary;
use crate::study::inversion::{Agreement, By, Inversion, Order, Over, Place, Ranked};
use crate::verdict::{list, short};

/// Two panels a condition: the places, and how far the orders agree.
pub fn inversion(found: &[Inversion]) -> Vec<Panel> {
    found.iter().map(ranking).chain(found.iter().map(agreement)).collect()
}

fn ranking(found: &Inversion) -> Panel {
    let columns = [
        "Method",
        "Cosine",
        "Deep\ncosine",
        "ρ, f64",
        "Nudge\n−Δ",
        "Descent",
        "Acc %",
        "Loss\nfall",
    ];
    let left_out = found.left_out.iter();
    let rows = found.methods.iter().map(row).chain(left_out.clone().map(|left_out| {
        let absent = std::iter::repeat_n(Cell::absent(), columns.len() - 1);
        std::iter::once(left_out.method.clone().into()).chain(absent).collect()
    }));
    Panel {
        title: format!("Ranking by cosine and by function, {}", found.condition),
        note: "Mean ± sample standard deviation over seeds, and the place by the mean (#1 is the best). \
               Cosine, ρ and −Δ: mean over the layers whose credit trains a block; deep: layers 1 … L−1. \
               Descent: mean over blocks of the ratio to BP's step. Loss fall: mean training loss of the \
               first epoch minus the last's. Not ranked: BP, whose credit is the gradient and has every \
               first place by construction; baselines, which train no block; random targets and the twins \
               of a learned credit, which are controls."
            .into(),
        columns: columns.map(String::from).to_vec(),
        words: vec![0],
        rows: rows.collect(),
        said: left_out.map(|left| format!("{} is not ranked: {}.", left.method, left.why)).collect(),
    }
}

fn row(method: &Ranked) -> Vec<Cell> {
    let n = method.seeds.len();
    let name = format!("{}\nn={n}", method.method);
    std::iter::once(name.into()).chain(method.places.iter().map(place)).collect()
}

fn place(place: &Place) -> Cell {
    let Some(value) = &place.value else { return Cell::absent() };
    let style = match place.by {
        By::Cosine | By::Perturbation | By::Descent | By::LossDecrease => Style::Cosine,
        By::Nudging => Style::Short,
        By::Accuracy => Style::Percent,
    };
    let std = value.std.filter(|std| std.is_finite()).map(|std| match style {
        Style::Cosine => format!("\n±{std:.3}"),
        Style::Percent => format!("\n±{:.1}", std * 100.0),
        _ => format!("\n±{}", short(std)),
    });
    let rank = place.rank.map(|rank| format!("\n#{}", rank.0));
    format!("{}{}{}", style.one(value.mean), std.unwrap_or_default(), rank.unwrap_or_default())
        .into()
}

fn agreement(found: &Inversion) -> Panel {
    let said = [Over::Trained, Over::Deep].map(|over| {
        let own: Vec<&Agreement> = found.agreements.iter().filter(|a| a.over == over).collect();
        sentence(over, &own)
    });
    Panel {
        title: format!("Kendall's τ-b of cosine and function, {}", found.condition),
        note: "1: the same order, −1: the opposite one. τ of each seed over the methods that are ranked, mean \
               ± sample standard deviation over seeds, 95 % interval of the mean (Student's t); against or \
               along where the interval holds no zero. Few seeds make it wide, beyond ±1 too, and few methods \
               leave τ few values. ρ is the cosine pooled differently (protocol §13): \
               that the two agree is no evidence."
            .into(),
        columns: ["Cosine over", "Order by", "τ-b", "n", "95 %", "Ranks"].map(String::from).to_vec(),
        words: vec![0, 1, 5],
        rows: found.agreements.iter().map(agreement_row).collect(),
        said: said.into(),
    }
}

fn agreement_row(found: &Agreement) -> Vec<Cell> {
    let (word, shade) = match found.order {
        Order::Against => ("against", Shade::Bad),
        Order::Along => ("along", Shade::Good),
        Order::Open => ("open", Shade::Muted),
        Order::NotEvaluated => ("not evaluated", Shade::Muted),
    };
    vec![
        over(found.over).into(),
        found.by.name().into(),
        found.tau.as_ref().map_or_else(Cell::absent, |tau| tau_words(tau).into()),
        found.per_seed.len().to_string().into(),
        found.interval.map_or_else(Cell::absent, |interval| {
            format!("{:+.2} to {:+.2}", interval.low, interval.high).into()
        }),
        Cell::shaded(word, shade),
    ]
}

fn over(over: Over) -> &'static str {
    match over {
        Over::Trained => "trained layers",
        Over::Deep => "deep layers",
    }
}

fn tau_words(tau: &Summary) -> String {
    match tau.std {
        Some(std) => format!("{:+.2} ± {std:.2}", tau.mean),
        None => format!("{:+.2}", tau.mean),
    }
}

/// Whether the cosine ranks against function, in one sentence.
fn sentence(over: Over, own: &[&Agreement]) -> String {
    let cosine = match over {
        Over::Trained => "the cosine over the trained layers",
        Over::Deep => "the deep cosine",
    };
    let of = |order: Order| -> Vec<&str> {
        own.iter().filter(|a| a.order == order).map(|a| a.by.name()).collect()
    };
    let why = own.iter().find_map(|a| a.not_evaluated.as_deref()).unwrap_or_default();
    let evaluated = own.len() - of(Order::NotEvaluated).len();
    if evaluated == 0 {
        return format!("Whether {cosine} ranks against function is not evaluated: {why}.");
    }
    let against = of(Order::Against);
    let mut text = match against.len() {
        0 => format!("{cosine} ranks against none of {}", list(&names(own))),
        n if n == own.len() => format!("{cosine} ranks against every functional metric"),
        _ => format!("{cosine} ranks against {}", list(&against)),
    };
    for (order, words) in
        [(Order::Along, "along with"), (Order::Open, "open (the interval holds zero):")]
    {
        let names = of(order);
        if !names.is_empty() {
            text += &format!("; {words} {}", list(&names));
        }
    }
    let missing = of(Order::NotEvaluated);
    if !missing.is_empty() {
        text += &format!("; not evaluated: {} ({why})", list(&missing));
    }
    if own.iter().all(|a| a.per_seed.len() < 2) {
        text += "; on one seed, which has no interval";
    }
    capital(&text) + "."
}

/// Of those that were evaluated.
fn names(own: &[&Agreement]) -> Vec<&'static str> {
    own.iter().filter(|a| a.order != Order::NotEvaluated).map(|a| a.by.name()).collect()
}
