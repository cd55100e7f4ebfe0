//! The controls that look at a network as a whole.

use super::{Of, found, with_missing};
use crate::number::Number;
use crate::report::content::words::Style;
use crate::report::content::{Content, who};
use crate::report::panel::{Cell, Panel, Shade};
use crate::stats::Summary;

pub fn aggregation(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.aggregation;
    let layers = |list: &[usize]| -> Cell {
        match list {
            [] => Cell::shaded("none", Shade::Muted),
            some => some.iter().map(usize::to_string).collect::<Vec<_>>().join(", ").into(),
        }
    };
    let optional = |value: Option<Number>| match value {
        Some(v) => Style::Cosine.one(v.0).into(),
        None => Cell::absent(),
    };
    let mut names: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for run in content.runs {
        let controls = run.audit.as_ref().and_then(|a| a.controls.as_ref());
        let Some(found) = controls.and_then(|c| of(c).found()) else { continue };
        let named =
            found.values.iter().map(|v| format!("{} of {}s", v.over_layers, v.over_samples));
        names.extend(named.skip(names.len()));
        let mut row: Vec<Cell> = vec![who(run).into()];
        row.extend(found.values.iter().map(|v| Cell::from(Style::Cosine.one(v.value.0))));
        row.extend([
            Cell::from(if found.sign_flip { "yes" } else { "no" }),
            optional(found.deep),
            Style::Cosine.one(found.misrepresentation.0).into(),
            layers(&found.carriers),
            found.carried.map_or_else(Cell::absent, |v| Style::Percent.one(v.0).into()),
            found.inside_null.as_deref().map_or_else(Cell::absent, layers),
        ]);
        rows.push(row);
    }
    let mut columns = vec!["Run".to_string()];
    columns.extend(names);
    columns.extend(
        [
            "Sign flips",
            "Mean of 1 … L−1",
            "Mean less median layer",
            "Carrying layers",
            "They carry, %",
            "Inside the null",
        ]
        .map(String::from),
    );
    let note = "The same cosines summed up in four ways (over layers of over samples), and the \
                fewest layers that hold together 80 % of Σ|cos|.";
    let note = with_missing(content, note.into(), of);
    Panel { title: "Aggregation".into(), note, columns, rows, ..Panel::default() }
}

pub fn rank(content: &Content) -> Panel {
    let of: Of<_> = |c| &c.rank;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for group in &content.groups {
        let results = found(group, of);
        let Some(first) = results.first() else { continue };
        for (i, matrix) in first.matrices.iter().enumerate() {
            let alike = || {
                let matrices = results.iter().flat_map(|r| &r.matrices);
                matrices.filter(|m| m.matrix == matrix.matrix)
            };
            let pooled = |values: Vec<f64>| Style::Short.spread(&Summary::of(&values)).into();
            rows.push(vec![
                if i == 0 { group.name.clone().into() } else { Cell::default() },
                matrix.matrix.clone().into(),
                format!("{} × {}", matrix.rows, matrix.cols).into(),
                pooled(alike().map(|m| m.effective.0).collect()),
                pooled(alike().map(|m| m.energy.0).collect()),
                pooled(alike().map(|m| m.stable.0).collect()),
                pooled(alike().map(|m| m.participation.0).collect()),
            ]);
        }
    }
    let note = "Effective rank exp(−Σ p ln p) with p = σ/Σσ, and of the energy with p = σ²/Σσ²; stable rank ‖A‖²_F/‖A‖²_2; \
                participation ratio (Σσ²)²/Σσ⁴. Mean ± sample standard deviation over seeds.";
    Panel {
        title: "Ranks".into(),
        note: with_missing(content, note.into(), of),
        columns: ["Method", "Matrix", "Shape", "Effective", "Energy", "Stable", "Participation"]
            .map(Into::into)
            .into(),
        rows,
        ..Panel::default()
    }
}
