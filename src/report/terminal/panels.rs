//! Panels for a terminal of 80 columns.

use super::draw::{panel, table, wrapped};
use crate::report::panel::{self, Panel, Shade};
use comfy_table::{Cell, Color};

/// Title, table, what it shows, note. A note that the next panel repeats is told once, after the last.
pub fn panels(panels: &[Panel], color: bool) -> Vec<String> {
    let drawn = |(i, panel): (usize, &Panel)| {
        let repeated = panels.get(i + 1).is_some_and(|next| next.note == panel.note);
        drawn(panel, !repeated, color)
    };
    panels.iter().enumerate().map(drawn).collect()
}

fn drawn(found: &Panel, with_note: bool, color: bool) -> String {
    let mut table = table(color);
    table.set_header(&found.columns);
    for row in &found.rows {
        table.add_row(row.iter().map(cell));
    }
    let mut out = format!("{}\n{}\n", found.title, panel(table, &found.words));
    let note = with_note.then_some(&found.note).filter(|note| !note.is_empty());
    for sentence in found.said.iter().chain(note) {
        out += &format!("{}\n", wrapped("", sentence));
    }
    out
}

fn cell(cell: &panel::Cell) -> Cell {
    let drawn = Cell::new(&cell.text);
    match cell.shade {
        Shade::Good => drawn.fg(Color::Green),
        Shade::Bad => drawn.fg(Color::Red),
        Shade::None | Shade::Muted => drawn,
    }
}

#[cfg(test)]
mod tests;
