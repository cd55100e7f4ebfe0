//! Tables and paragraphs of at most 80 columns, or of a terminal's where that is wider.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
};
use std::sync::OnceLock;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Columns of what is written to a file or into a pipe, and at least those of a terminal.
const LEAST: u16 = 80;
/// Columns of a paragraph, which longer lines make hard to read.
const PARAGRAPH: u16 = 100;
/// Columns of the terminal that is written to.
static COLUMNS: OnceLock<u16> = OnceLock::new();

/// From here on tables take all of a terminal's `columns`. The first call counts.
pub fn fit(columns: u16) {
    let _ = COLUMNS.set(columns.max(LEAST));
}

fn width() -> u16 {
    COLUMNS.get().copied().unwrap_or(LEAST)
}

/// One rule under the header; [`ruled`] draws the outer two.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
/// The place of the verdict, the last column of a verdict table.
const VERDICT: usize = 8;

pub(super) fn table(color: bool) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_width(width()).set_content_arrangement(ContentArrangement::Dynamic);
    if color {
        table.enforce_styling().style_text_only();
    } else {
        table.force_no_tty();
    }
    table
}

/// Numbers to the right and never broken, text to the left. The first `unmarked` columns have no
/// place for a mark, which separates the others.
pub(super) fn finish(mut table: Table, unmarked: usize) -> String {
    for (i, column) in table.column_iter_mut().enumerate() {
        let gap = match i {
            VERDICT => 0,
            _ if i < unmarked => 2,
            _ => 1,
        };
        column.set_padding((0, gap));
        if i > 1 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if i > 0 && i != VERDICT {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    ruled(&table)
}

/// The columns in `text` to the left and broken between words, numbers to the right and never broken.
pub(super) fn panel(mut table: Table, text: &[usize]) -> String {
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !text.contains(&i) {
            column.set_constraint(ColumnConstraint::ContentWidth);
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    ruled(&table)
}

fn ruled(table: &Table) -> String {
    let body = trimmed(table);
    let rule = body.lines().find(|l| l.starts_with('─')).unwrap_or_default();
    format!("{rule}\n{body}\n{rule}")
}

/// Broken between words, the lines after the first set in under `bullet`.
pub(super) fn wrapped(bullet: &str, text: &str) -> String {
    let below = " ".repeat(textwrap::core::display_width(bullet));
    let options = Options::new(width().min(PARAGRAPH).into())
        .initial_indent(bullet)
        .subsequent_indent(&below)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::fill(text, options)
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_string()).collect();
    lines.join("\n")
}
