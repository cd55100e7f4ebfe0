//! The layered controls: a table each, without a line of its own here.

use super::{count, found, with_missing};
use crate::diagnostics::controls::{LAYERED, Listed};
use crate::report::content::Content;
use crate::report::content::layers::{Row, by_layer, floats, hidden, pooled, table};
use crate::report::content::words::Style;
use crate::report::panel::{Cell, Panel};
use std::collections::BTreeSet;

/// Every layered control with the number of runs that have it.
pub fn panels(content: &Content) -> impl Iterator<Item = (Panel, usize)> {
    LAYERED.iter().map(|listed| (panel(content, listed), count(content, listed.of)))
}

/// A row a quantity for each method that has the control.
fn panel(content: &Content, listed: &Listed) -> Panel {
    let mut rows = Vec::new();
    for group in &content.groups {
        let results = found(group, listed.of);
        let names: BTreeSet<&String> = results.iter().flat_map(|result| result.keys()).collect();
        for name in names {
            let per_layer = by_layer(group.audits(), |audit| {
                let result = (listed.of)(audit.controls.as_ref()?).found()?;
                result.get(name).map(|values| floats(values))
            });
            let cells = per_layer.iter().map(|v| pooled(v, Style::Short, per_layer.len()));
            rows.push(Row {
                name: group.name.clone(),
                quantity: name.replace('_', " "),
                cells: cells.map(Cell::from).collect(),
            });
        }
    }
    let control = listed.control;
    table(control.title, with_missing(content, control.note.into(), listed.of), hidden, rows)
}

#[cfg(test)]
mod tests {
    use crate::diagnostics::controls::{Control, Controls};
    use crate::regress::metrics;
    use crate::report::testing::study;
    use crate::report::{html, markdown, terminal};

    #[test]
    fn a_layered_control_is_shown_everywhere() {
        let study = study();
        let metrics = metrics(&study.runs[0]);
        assert!(metrics.contains_key("control.guide_example.agreement.h_0"), "{metrics:?}");
        let audits: Vec<_> = study.runs.iter().filter_map(|run| run.audit.clone()).collect();
        let formats =
            [terminal::controls(&audits), markdown::write(&study, &[]), html::write(&study, &[])];
        for text in formats {
            for part in ["Sign agreement", "agreement", "Share of the coordinates in which"] {
                assert!(text.contains(part), "{part}\n{text}");
            }
        }
    }

    #[test]
    fn controls_that_were_written_before_a_layered_one_stay_readable() {
        let controls = study().runs[0].audit.as_ref().unwrap().controls.clone().unwrap();
        let mut written = serde_json::to_value(&controls).unwrap();
        assert_eq!(serde_json::from_value::<Controls>(written.clone()).unwrap(), controls);
        written.as_object_mut().unwrap().remove("guide_example").unwrap();
        let before: Controls = serde_json::from_value(written).unwrap();
        let why = Control::missing("audited by an earlier version");
        assert_eq!(before.layered.guide_example, why);
        assert_eq!(before.rank, controls.rank);
    }
}
