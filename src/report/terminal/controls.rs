//! The controls of each run, for a terminal of 80 columns.

use super::cells::{exponential, fixed};
use super::draw::{panel, table, wrapped};
use super::{name, seed};
use crate::diagnostics::controls::{Control, Controls, LAYERED, Listed};
use crate::diagnostics::perturbation::PerturbationLayer;
use crate::number::Number;
use crate::verdict::{Audit, plain, short};

/// Every run's controls; nothing where no run has any.
pub fn controls(audits: &[Audit]) -> String {
    let of = |audit: &Audit| {
        let found = audit.controls.as_ref()?;
        Some(format!("Controls of {}, seed {}\n{}", name(audit), seed(audit), run(found)))
    };
    audits.iter().filter_map(of).collect::<Vec<_>>().join("\n")
}

fn run(controls: &Controls) -> String {
    let parts = [
        by_layer(controls),
        as_published(controls),
        arithmetic(controls),
        descent(controls),
        aggregation(controls),
        ranks(controls),
        layered(controls),
        missing(controls),
    ];
    parts.into_iter().flatten().map(|part| part + "\n").collect()
}

fn signed(value: Number) -> String {
    match value.0.is_finite() {
        true => format!("{:+.3}", value.0),
        false => short(value.0),
    }
}

fn change(value: Number) -> String {
    match value.0.is_finite() && value.0 != 0.0 {
        true => format!("{:+.1e}", value.0),
        false => short(value.0),
    }
}

/// A table with one row for each of `rows`, whose cells are absent where a control is.
fn rows(
    header: &[&str],
    text: &[usize],
    count: usize,
    cells: impl Fn(usize) -> Vec<Option<String>>,
) -> String {
    let mut table = table(false);
    table.set_header(header.iter().copied());
    for row in 0..count {
        table.add_row(cells(row).into_iter().map(|cell| cell.unwrap_or_else(|| "–".into())));
    }
    panel(table, text)
}

/// What fresh feedback, perturbations and nudges say, layer by layer.
fn by_layer(controls: &Controls) -> Option<String> {
    let (null, rho) = (controls.null.found(), controls.perturbation.found());
    let nudge = controls.nudging.found();
    let layers = [
        null.map(|c| c.per_layer.len()),
        rho.map(|c| c.per_layer.len()),
        nudge.map(|c| c.per_layer.len()),
    ];
    let layers = layers.into_iter().flatten().max()?;
    let cells = |l: usize| {
        let null = null.and_then(|c| c.per_layer.get(l));
        let rho = rho.and_then(|c| c.per_layer.get(l));
        let nudge = nudge.and_then(|c| c.per_layer.get(l));
        vec![
            Some(format!("h_{l}")),
            null.map(|n| signed(n.trained)),
            null.map(|n| match n.depends {
                true => format!("{} … {}", signed(n.low), signed(n.high)),
                false => "the same".into(),
            }),
            null.and_then(|n| n.p).map(|p| fixed(p.0, 3)),
            rho.map(|r| signed(r.credit)),
            rho.map(|r| signed(r.gradient)),
            rho.map(|r| signed(r.random)),
            nudge.map(|n| change(n.credit)),
            nudge.map(|n| change(n.gradient)),
        ]
    };
    let header = ["", "Γ", "fresh feedback", "p", "ρ", "of g", "random", "nudge Δ", "along g"];
    let mut text = rows(&header, &[], layers, cells);
    let facts = [
        null.map(|c| format!("{} fresh draws", c.draws)),
        rho.map(|c| {
            format!(
                "ρ: {} samples × {} directions, ε = {}, {}",
                c.samples,
                c.directions,
                plain(c.epsilon.0),
                c.precision
            )
        }),
        nudge.map(|c| format!("nudge: η = {}, {} samples", plain(c.step.0), c.samples)),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    text += &format!("\n{}", wrapped("", &facts.join(" · ")));
    Some(text)
}

/// ρ in the precision in which it was published, where that is another.
fn as_published(controls: &Controls) -> Option<String> {
    let (best, single) = (controls.perturbation.found()?, controls.perturbation_f32.found()?);
    if best.precision == single.precision {
        return None;
    }
    let list = |value: fn(&PerturbationLayer) -> Number| {
        single.per_layer.iter().map(|l| signed(value(l))).collect::<Vec<_>>().join(" ")
    };
    Some(wrapped(
        "",
        &format!(
            "In {}, as published: ρ {}; of g {}.",
            single.precision,
            list(|l| l.credit),
            list(|l| l.gradient)
        ),
    ))
}

/// What the arithmetic and the hidden states do to the reference, layer by layer.
fn arithmetic(controls: &Controls) -> Option<String> {
    let (shadow, common) = (controls.shadow.found(), controls.common_mode.found());
    let clamp = controls.clamp.found();
    let layers = [
        shadow.map(|c| c.per_layer.len()),
        common.map(|c| c.per_layer.len()),
        clamp.map(|c| c.per_layer.len()),
    ];
    let layers = layers.into_iter().flatten().max()?;
    let cells = |l: usize| {
        let shadow = shadow.and_then(|c| c.per_layer.get(l));
        let common = common.and_then(|c| c.per_layer.get(l));
        let clamp = clamp.and_then(|c| c.per_layer.get(l));
        vec![
            Some(format!("h_{l}")),
            shadow.map(|s| fixed(s.cosine.0, 6)),
            shadow.map(|s| fixed(s.worst_cosine.0, 6)),
            shadow.map(|s| exponential(s.relative_error.0)),
            common.map(|c| fixed(c.mean_energy.0, 3)),
            common.map(|c| signed(c.pairwise_cosine)),
            clamp.map(|c| format!("{:.0}%", 100.0 * c.under.0)),
            clamp.map(|c| signed(c.clamped)),
        ]
    };
    let header = [
        "",
        "f64 shadow\ncosine",
        "worst\nsample",
        "relative\nerror",
        "energy in\nthe mean",
        "pairwise\ncosine",
        "under\n1e-8",
        "clamped\ncosine",
    ];
    Some(rows(&header, &[], layers, cells))
}

fn descent(controls: &Controls) -> Option<String> {
    let found = controls.descent.found()?;
    let cells = |l: usize| {
        let block = &found.per_block[l];
        vec![
            Some(format!("block {l}")),
            Some(exponential(block.length.0)),
            Some(change(block.method)),
            Some(change(block.backpropagation)),
            Some(signed(block.ratio)),
            Some(signed(block.cosine)),
        ]
    };
    let header =
        ["Descent", "step", "loss change", "along bp's", "ratio", "cosine of\nthe updates"];
    let mut text = rows(&header, &[], found.per_block.len(), cells);
    text += &format!(
        "\n{}",
        wrapped(
            "",
            &format!(
                "One step of each block along its own update and along backpropagation's, both of \
                 length {} · ‖θ_l‖; {} samples, {}.",
                plain(found.relative_step.0),
                found.samples,
                found.precision
            )
        )
    );
    Some(text)
}

fn aggregation(controls: &Controls) -> Option<String> {
    let found = controls.aggregation.found()?;
    let values: Vec<String> = found
        .values
        .iter()
        .map(|v| {
            format!(
                "{} {} over layers of {} over samples",
                signed(v.value),
                v.over_layers,
                v.over_samples
            )
        })
        .collect();
    let flip = if found.sign_flip { "; the sign flips" } else { "" };
    let null = found.inside_null.as_ref().map_or(String::new(), |layers| {
        let count = layers.len();
        format!("; {count} layer{} inside the null band", if count == 1 { "" } else { "s" })
    });
    Some(wrapped("", &format!("Aggregates: {}{flip}{null}.", values.join(", "))))
}

fn ranks(controls: &Controls) -> Option<String> {
    let found = controls.rank.found()?;
    let cells = |i: usize| {
        let rank = &found.matrices[i];
        vec![
            Some(rank.matrix.clone()),
            Some(format!("{} × {}", rank.rows, rank.cols)),
            Some(fixed(rank.effective.0, 1)),
            Some(fixed(rank.energy.0, 1)),
            Some(fixed(rank.stable.0, 1)),
            Some(fixed(rank.participation.0, 1)),
        ]
    };
    let header = ["Ranks", "size", "effective", "energy", "stable", "participation"];
    Some(rows(&header, &[0], found.matrices.len(), cells))
}

/// A table for each layered control: a row a layer, a column a quantity.
fn layered(controls: &Controls) -> Option<String> {
    let table = |listed: &Listed| {
        let found = (listed.of)(controls).found()?;
        let names = found.keys().map(|name| name.replace('_', " "));
        let header: Vec<String> = [listed.control.title.into()].into_iter().chain(names).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let cells = |l: usize| {
            let values = found.values().map(|values| values.get(l).map(|value| short(value.0)));
            [Some(format!("h_{l}"))].into_iter().chain(values).collect()
        };
        let layers = found.values().map(Vec::len).max().unwrap_or(0);
        Some(format!("{}\n{}", rows(&header, &[], layers, cells), wrapped("", listed.control.note)))
    };
    let tables: Vec<String> = LAYERED.iter().filter_map(table).collect();
    (!tables.is_empty()).then(|| tables.join("\n"))
}

fn missing(controls: &Controls) -> Option<String> {
    fn why<T>(control: &Control<T>, name: &str) -> Option<String> {
        match control {
            Control::Missing { not_evaluated } => {
                Some(wrapped("", &format!("{name} not evaluated: {not_evaluated}.")))
            }
            Control::Found(_) => None,
        }
    }
    let lines = [
        why(&controls.null, "Null calibration"),
        why(&controls.perturbation, "Perturbation correlation"),
        why(&controls.perturbation_f32, "Perturbation correlation in f32"),
        why(&controls.nudging, "Nudging"),
        why(&controls.descent, "Descent test"),
        why(&controls.shadow, "Float64 shadow"),
        why(&controls.common_mode, "Common mode"),
        why(&controls.clamp, "Clamp"),
        why(&controls.aggregation, "Aggregation"),
        why(&controls.rank, "Ranks"),
    ];
    let layered = LAYERED.iter().map(|l| why((l.of)(controls), l.control.title));
    let lines: Vec<String> = lines.into_iter().chain(layered).flatten().collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
