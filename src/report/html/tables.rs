//! A [`Panel`] as a table.

use crate::report::panel::{Cell, Panel, Shade};
use crate::report::xml::Element;

/// The note, the table and what it shows, without the title.
pub fn body(panel: &Panel) -> Vec<Element> {
    let mut out = Vec::new();
    if !panel.note.is_empty() {
        out.push(Element::new("p").class("note").prose(&panel.note));
    }
    if panel.rows.is_empty() {
        return out;
    }
    let widths = panel.rows.iter().map(Vec::len).chain([panel.columns.len()]);
    let columns = widths.max().unwrap_or(0);
    let kinds: Vec<&str> = (0..columns).map(|i| kind(panel, i)).collect();
    let mut head = Element::new("tr");
    for (i, kind) in kinds.iter().enumerate() {
        let text = panel.columns.get(i).map_or("", String::as_str);
        head = head.add(lines(Element::new("th").with("scope", "col").class(kind), text));
    }
    let rows = panel.rows.iter().map(|row| {
        // The first of several rows with one name.
        let opens = row.first().is_some_and(|cell| !cell.text.is_empty());
        let mut tr = Element::new("tr");
        if opens {
            tr = tr.class("opens");
        }
        for (i, kind) in kinds.iter().enumerate() {
            tr = tr.add(cell(row.get(i).unwrap_or(&Cell::default()), kind));
        }
        tr
    });
    let table = Element::new("table")
        .add(Element::new("thead").add(head))
        .add(Element::new("tbody").all(rows));
    out.push(Element::new("div").class("scroll").add(table));
    out.extend(panel.said.iter().map(|text| Element::new("p").class("note").prose(text)));
    out
}

fn cell(cell: &Cell, kind: &str) -> Element {
    let shade = match cell.shade {
        Shade::None => "",
        Shade::Good => " good",
        Shade::Bad => " bad",
        Shade::Muted => " muted",
    };
    lines(Element::new("td").class(format!("{kind}{shade}")), &cell.text)
}

/// The first line, and the others smaller below it.
fn lines(element: Element, text: &str) -> Element {
    let mut lines = text.lines();
    let element = element.prose(lines.next().unwrap_or_default());
    lines.fold(element, |element, line| {
        element.add(Element::new("br")).add(Element::new("small").prose(line))
    })
}

/// How a column is set: `n`umbers to the right, `m`arks in the middle, `w`ords to the left, `p`rose
/// wrapped.
fn kind(panel: &Panel, column: usize) -> &'static str {
    let cells = || panel.rows.iter().filter_map(|row| row.get(column)).map(|c| c.text.as_str());
    let filled = || cells().filter(|text| !matches!(*text, "" | "–"));
    let number = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit() || "+-(<>≤–".contains(c))
            || ["nan", "inf"].iter().any(|word| text.starts_with(word))
    };
    let mostly = |test: &dyn Fn(&str) -> bool| {
        2 * filled().filter(|text| test(text)).count() > filled().count()
    };
    let mark = |text: &str| text.chars().count() <= 2 && !text.contains(char::is_alphanumeric);
    if filled().any(|text| text.chars().count() > 40) {
        "p"
    } else if !panel.words.is_empty() {
        if panel.words.contains(&column) { "w" } else { "n" }
    } else if mostly(&number) {
        "n"
    } else if column > 0 && cells().all(mark) {
        "m"
    } else {
        "w"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(rows: &[&[&str]]) -> Panel {
        let row = |row: &&[&str]| row.iter().map(|text| Cell::from(*text)).collect();
        Panel { rows: rows.iter().map(row).collect(), ..Panel::default() }
    }

    #[test]
    fn columns_are_set_by_what_they_hold() {
        let panel = panel(&[
            &["dfa", "609 ± 41\n3/3 fire", "●", "walked back", "-0.1", ""],
            &["bp", "nan", "", "trustworthy", "–", &"long ".repeat(20)],
        ]);
        let kinds: Vec<&str> = (0..6).map(|i| kind(&panel, i)).collect();
        assert_eq!(kinds, ["w", "n", "m", "w", "n", "p"]);
    }

    #[test]
    fn columns_whose_kind_is_known_are_set_by_it() {
        let panel = Panel { words: vec![0], ..panel(&[&["4", "never"], &["8", "not yet"]]) };
        assert_eq!([kind(&panel, 0), kind(&panel, 1)], ["w", "n"]);
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let ragged =
            Panel { columns: vec!["a".into(), "b".into()], ..panel(&[&["1"], &["1", "2", "3"]]) };
        let table = body(&ragged)[0].to_string();
        let parsed = roxmltree::Document::parse(&table).unwrap();
        for row in parsed.descendants().filter(|n| n.has_tag_name("tr")) {
            assert_eq!(row.children().filter(|c| c.is_element()).count(), 3, "{table}");
        }
    }
}
