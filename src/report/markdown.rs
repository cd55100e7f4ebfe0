//! The study as Markdown (GitHub's tables): a reporting template that a paper can take over.

use super::content::{self, Content};
use super::panel::{Cell, Panel, Shade};
use crate::study::results::StudyResult;
use crate::verdict::PROTOCOL;

/// The whole report; `extras` stand before the controls.
pub fn write(study: &StudyResult, extras: &[Panel]) -> String {
    let content = Content::of(study);
    let mut out = format!("# {}\n\n", escaped(content.name));
    for line in [content.headline(), content.standing()].iter().filter(|line| !line.is_empty()) {
        out += &format!("{}\n\n", escaped(line));
    }
    for line in content.gists() {
        out += &format!("- {}\n", escaped(&line));
    }
    out += &format!("\nProtocol {PROTOCOL}.\n\n## Setting\n\n");
    for (name, value) in content::setting(&content) {
        out += &format!("- **{name}**: {}\n", escaped(&value));
    }
    out.push('\n');
    let panels = [
        content::thresholds(&content),
        content::verdicts(&content),
        content::unfinished(&content),
        content::evidence(&content),
        content::cosines(&content),
        content::credit(&content),
        content::norms(&content),
        content::accuracies(&content),
    ];
    out += &panels.iter().chain(extras).map(|p| panel(p, 2)).collect::<String>();
    out += "## Controls\n\n";
    let controls = content::controls(&content);
    if controls.is_empty() {
        out += &format!("{}\n\n", content::NO_CONTROLS);
    }
    out += &controls.iter().map(|(found, _)| panel(found, 3)).collect::<String>();
    out += &reasons(&content);
    for last in [
        content::runs(&content),
        content::runs_provenance(&content),
        content::shared_provenance(&content),
    ] {
        out += &panel(&last, 2);
    }
    out.trim_end().to_string() + "\n"
}

/// A panel under a heading of this level.
pub fn panel(panel: &Panel, level: usize) -> String {
    let mut out = format!("{} {}\n\n", "#".repeat(level), escaped(&panel.title));
    if !panel.note.is_empty() {
        out += &format!("{}\n\n", escaped(&panel.note));
    }
    if panel.rows.is_empty() {
        return out;
    }
    let widths = panel.rows.iter().map(Vec::len).chain([panel.columns.len()]);
    let width = widths.max().unwrap_or(0);
    let line = |cells: Vec<String>| {
        let filled = cells.into_iter().chain(std::iter::repeat_with(String::new)).take(width);
        format!("| {} |\n", filled.collect::<Vec<_>>().join(" | "))
    };
    out += &line(panel.columns.iter().map(|c| one_line(c)).collect());
    out += &line(vec!["---".into(); width]);
    for row in &panel.rows {
        out += &line(row.iter().map(cell).collect());
    }
    out.push('\n');
    for sentence in &panel.said {
        out += &format!("- {}\n", escaped(sentence));
    }
    if !panel.said.is_empty() {
        out.push('\n');
    }
    out
}

fn cell(cell: &Cell) -> String {
    let text = one_line(&cell.text);
    match cell.shade {
        Shade::Bad if !text.is_empty() => format!("**{text}**"),
        _ => text,
    }
}

/// `609 ± 41 (3/3 fire)`
fn one_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = escaped(lines.next().unwrap_or_default());
    lines.fold(first, |out, line| format!("{out} ({})", escaped(line)).trim_start().to_string())
}

/// Text that neither ends a cell nor becomes markup.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '|' | '\\' | '`' | '*' | '[' | ']' | '~' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn reasons(content: &Content) -> String {
    let mut out = String::from("## Reasons\n\n");
    for group in &content.groups {
        let (verdict, _) = group.verdict();
        out += &format!("### {}: {verdict}\n\n", escaped(&group.name));
        out += &format!("{}\n\n", escaped(&content::because(group)));
        for reasoned in content::reasons(group) {
            out += &format!("- {}\n", escaped(&reasoned.who));
            for sentence in &reasoned.sentences {
                out += &format!("  - {}\n", escaped(sentence));
            }
        }
        out.push('\n');
    }
    let notes = content::notes(content);
    if !notes.is_empty() {
        out += "### Notes\n\n";
        out += &notes.iter().map(|n| format!("- {}\n", escaped(n))).collect::<String>();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{empty, study, troubled};

    /// Cells of a row: bars that are not escaped.
    fn cells(row: &str) -> usize {
        row.replace("\\|", "").matches('|').count()
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_heading() {
        for study in [study(), troubled(), empty()] {
            let text = write(&study, &[]);
            let mut width = None;
            for line in text.lines() {
                if !line.starts_with('|') {
                    width = None;
                    continue;
                }
                assert_eq!(cells(line), *width.get_or_insert(cells(line)), "{line}");
            }
        }
    }

    #[test]
    fn what_a_paper_must_report_is_there() {
        let text = write(&study(), &[]);
        for part in [
            "Trustworthy: bp and fa. Walked back: dfa and dfa λ=0.01.",
            "- **Network**: resmlp, width 256, 4 blocks",
            "- **Data**: cifar10 (copy: labels and order match the published files",
            "- **Epochs**: 30",
            "- **Seeds**: 42, 123, 456",
            "- **Evaluation**: 10 batches of N = 128",
            "- **Reference loss**: batch mean",
            "| growth | &gt; 50 | 50 | 12 … 693 |",
            "(3/3 fire)**",
            "| **walked back (3/3 seeds)** |",
            "| null band |",
            "‖g_l‖",
            "### Null calibration",
            "Not evaluated for bp: backpropagation has no feedback to draw.",
            "### dfa: walked back",
            "Fires: growth (3 of 3 seeds), reference (3 of 3 seeds) and depth utility",
            concat!("| Tool | fa-audit ", env!("CARGO_PKG_VERSION"), " |"),
            "| Data SHA-256 |",
            "None: every run finished",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        for run in study().runs {
            assert!(text.contains(&format!("| {} |", run.name)), "{}", run.name);
        }
    }

    #[test]
    fn what_a_table_shows_stands_below_it() {
        let shown = Panel {
            title: "Firings".into(),
            columns: vec!["k".into()],
            rows: vec![vec!["1".into()]],
            said: vec!["It never fires.".into(), "a | b".into()],
            ..Panel::default()
        };
        let expected = "## Firings\n\n| k |\n| --- |\n| 1 |\n\n- It never fires.\n- a \\| b\n\n";
        assert_eq!(panel(&shown, 2), expected);
    }

    #[test]
    fn mishaps_are_told_and_names_stay_text() {
        let text = write(&troubled(), &[]);
        for part in [
            "failed after 0 of 30 epochs: CUDA error",
            "interrupted after 12 of 30 epochs",
            "running, 5 of 30 epochs done",
            "diverged: ‖h‖_2 was inf in epoch 7",
            "&lt;script&gt;\"&amp;' \\| \\`x\\`",
            "Not evaluated: no run was audited with controls.",
            "| dfa-s6 | – | not begun |",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("<script") && !text.contains('\u{1b}'));
    }
}
