//! Whether the arrays agree, and how large the credit is beside the gradient.

use super::layers::{Row, floats, hidden, pooled, table};
use super::words::Style;
use super::{Content, by_layer, who};
use crate::evidence::{Checked, Standing};
use crate::report::panel::{Cell, Panel, Shade};
use crate::study::results::RunResult;

/// Every check, those first that are contradicted. What holds is named once for all runs.
pub fn evidence(content: &Content) -> Panel {
    let mut rows: Vec<(&Checked, Vec<&RunResult>)> = Vec::new();
    for run in content.runs {
        for checked in run.audit.iter().flat_map(|audit| &audit.evidence.checks) {
            let same = |(other, _): &&mut (&Checked, _)| {
                let words = other.finding == checked.finding || checked.standing == Standing::Holds;
                other.check == checked.check && other.standing == checked.standing && words
            };
            match rows.iter_mut().find(same) {
                Some((_, runs)) => runs.push(run),
                None => rows.push((checked, vec![run])),
            }
        }
    }
    rows.sort_by_key(|(checked, _)| checked.standing);
    let all = content.runs.iter().filter(|run| run.audit.is_some()).count();
    let row = |(checked, runs): (&Checked, Vec<&RunResult>)| {
        let shade = match checked.standing {
            Standing::Contradicted => Shade::Bad,
            Standing::NotCheckable => Shade::Muted,
            Standing::Holds => Shade::None,
        };
        let which = match runs.len() {
            n if n == all => "all".into(),
            1 => who(runs[0]),
            n => format!("{n} of {all}"),
        };
        let finding = match (checked.standing, runs.len()) {
            (Standing::Holds, n) if n > 1 => String::new(),
            _ => checked.finding.clone(),
        };
        vec![
            Cell::from(checked.check.clone()),
            Cell::shaded(checked.standing.word(), shade),
            Cell::from(which),
            Cell::from(finding),
        ]
    };
    let note = "Whether the recorded or probed arrays agree with each other and with what is said of \
                them. What contradicts itself is not evaluated.";
    Panel {
        title: "Evidence".into(),
        note: note.into(),
        columns: ["Check", "Standing", "Runs", "Finding"].map(Into::into).into(),
        rows: rows.into_iter().map(row).collect(),
        words: vec![0, 1, 2, 3],
        said: Vec::new(),
    }
}

/// The credit's size beside the gradient's at each layer, and the cosine of all layers joined.
pub fn credit(content: &Content) -> Panel {
    let mut rows = Vec::new();
    for group in &content.groups {
        let found = || group.audits().filter_map(|audit| audit.evidence.credit.as_ref());
        let sizes = by_layer(group.audits(), |audit| {
            audit.evidence.credit.as_ref().map(|credit| floats(&credit.relative))
        });
        if sizes.is_empty() {
            continue;
        }
        let global: Vec<f64> = found().map(|credit| credit.global_cosine.0).collect();
        let layers = sizes.len() + 1;
        let mut cells = vec![Cell::from(pooled(&global, Style::Cosine, layers))];
        cells.extend(sizes.iter().map(|v| Cell::from(pooled(v, Style::Short, layers))));
        let scale = match found().next().and_then(|credit| credit.normalised) {
            Some(true) => "scaled by its RMS before it trains",
            Some(false) => "trains as it is",
            None => "",
        };
        rows.push(Row { name: group.name.clone(), quantity: scale.into(), cells });
    }
    let note = "Global: cosine of credit and reference gradient over all layers that train, joined. By \
                layer: median ‖a_l‖ over median ‖g_l‖, relative to the median layer, to which the \
                cosines of single layers are blind.";
    let column = |l: usize| if l == 0 { "global".into() } else { hidden(l - 1) };
    table("Scale of the credit", note.into(), column, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Evidence;
    use crate::evidence::credit::CreditScale;
    use crate::number::{Number, numbers};
    use crate::report::testing::study;
    use crate::report::{html, markdown};
    use crate::study::results::StudyResult;

    /// Every reference holds but the second run's.
    fn accused() -> StudyResult {
        let mut study = study();
        for (i, run) in study.runs.iter_mut().enumerate() {
            let Some(audit) = &mut run.audit else { continue };
            let checked = match i {
                1 => Checked::contradicted("scale", &[], "The reference is 128.0 times too large."),
                _ => Checked::holds("scale", "It is the gradient."),
            };
            let credit = CreditScale {
                per_layer: numbers(&[1.0, 1e-3, 1.0]),
                relative: numbers(&[1.0, 1e-3, 1.0]),
                global_cosine: Number(0.582),
                normalised: Some(true),
            };
            audit.evidence = Evidence { checks: vec![checked], credit: Some(credit) };
        }
        study
    }

    #[test]
    fn what_is_contradicted_stands_first_and_what_holds_is_said_once() {
        let study = accused();
        let panel = evidence(&Content::of(&study));
        let text = |i: usize| panel.rows[i].iter().map(|c| c.text.clone()).collect::<Vec<_>>();
        assert_eq!(panel.rows.len(), 2);
        assert_eq!(text(0)[1..2], ["contradicted"]);
        assert_eq!(text(0)[3], "The reference is 128.0 times too large.");
        assert_eq!(text(1)[1..4], ["holds", "14 of 15", ""]);
    }

    #[test]
    fn every_page_shows_the_evidence_and_the_scale_of_the_credit() {
        let study = accused();
        for page in [markdown::write(&study, &[]), html::write(&study, &[])] {
            for words in ["128.0 times too large", "contradicted", "Scale of the credit", "0.582"] {
                assert!(page.contains(words), "{words}");
            }
        }
    }
}
