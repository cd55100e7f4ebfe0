//! The first difference of two reports, named as a reader finds it: by section, row and column.
//!
//! Up to the first character that differs the two are the same, so that what stands before it says
//! where it is in both.

use super::difference::{NOTHING, Place};
use super::values::{self, Nearness};
use super::{markup, rows};
use crate::report::format::Format;
use serde_json::Value;

/// Nothing where every number and word is the same.
pub fn first(format: Format, printed: &str, recomputed: &str) -> Option<Place> {
    if printed == recomputed {
        return None;
    }
    match format {
        Format::Csv | Format::Long => rows::first(printed, recomputed),
        Format::Md => Some(markdown(printed, recomputed)),
        Format::Html | Format::Junit => Some(markup::first(printed, recomputed)),
        Format::Json => {
            let read = |text| serde_json::from_str::<Value>(text);
            match (read(printed), read(recomputed)) {
                (Ok(old), Ok(new)) => values::first(&old, &new, Nearness::default()),
                _ => Some(lines(printed, recomputed)),
            }
        }
        // A table for a terminal, and whatever has no cells that are known here.
        _ => Some(lines(printed, recomputed)),
    }
}

/// Bytes that both begin with, up to the end of a character.
pub(super) fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

/// The word around a place, or what follows it.
pub(super) fn word(text: &str, at: usize) -> &str {
    let ends = |c: char| c.is_whitespace() || "|<>\"()".contains(c);
    let start = text[..at]
        .rfind(ends)
        .map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    let end = text[at..].find(ends).map_or(text.len(), |i| at + i);
    match text[start..end].trim() {
        "" => NOTHING,
        word => word,
    }
}

/// The line that begins at `start`.
fn line(text: &str, start: usize) -> &str {
    text[start..].lines().next().unwrap_or_default()
}

fn lines(printed: &str, recomputed: &str) -> Place {
    let at = common(printed, recomputed);
    let start = recomputed[..at].rfind('\n').map_or(0, |end| end + 1);
    let number = recomputed[..start].matches('\n').count() + 1;
    let name = line(recomputed, start).split_whitespace().next().unwrap_or_default();
    Place {
        row: format!("line {number} ({name})"),
        column: String::new(),
        printed: word(printed, at).into(),
        recomputed: word(recomputed, at).into(),
    }
}

fn markdown(printed: &str, recomputed: &str) -> Place {
    let at = common(printed, recomputed);
    let start = recomputed[..at].rfind('\n').map_or(0, |end| end + 1);
    let (old, new) = (line(printed, start), line(recomputed, start));
    let before: Vec<&str> = recomputed[..start].lines().collect();
    let section = before.iter().rev().find(|line| line.starts_with('#'));
    let section = section.map_or("the head", |line| line.trim_start_matches('#').trim());
    if !(old.starts_with('|') && new.starts_with('|')) {
        let number = before.len() + 1;
        let mut place = lines(printed, recomputed);
        place.row = format!("\"{section}\", line {number}");
        place.column = name_of(new).unwrap_or_default().into();
        return place;
    }
    let heading = before.iter().rev().take_while(|line| line.starts_with('|')).last();
    let column = bars(new.get(..at - start).unwrap_or(new)).saturating_sub(1);
    let cell = |line: &str| cells(line).get(column).cloned().unwrap_or_else(|| NOTHING.into());
    Place {
        row: format!("\"{section}\", row {}", cells(new).first().cloned().unwrap_or_default()),
        column: heading.map(|line| cell(line)).unwrap_or_default(),
        printed: cell(old),
        recomputed: cell(new),
    }
}

/// `Seeds` of `- **Seeds**: 42`.
fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix("- **")?.split_once("**").map(|(name, _)| name)
}

/// Bars that end a cell.
fn bars(line: &str) -> usize {
    line.replace("\\|", "").matches('|').count()
}

fn cells(line: &str) -> Vec<String> {
    const BAR: &str = "\u{0}";
    let line = line.replace("\\|", BAR);
    let line = line.trim().trim_matches('|');
    line.split('|').map(|cell| cell.trim().replace(BAR, "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# s\n\n- **Seeds**: 42\n\n## Verdicts\n\n| Method | Growth |\n| --- | --- |\n\
                        | bp | 1.2 ± 0.1 |\n| a \\| b | 60.2 |\n\nSaid 3 times.\n";

    fn changed(from: &str, to: &str) -> Place {
        first(Format::Md, &PAGE.replacen(from, to, 1), PAGE).unwrap()
    }

    #[test]
    fn a_cell_is_named_by_section_row_and_column() {
        let place = changed("60.2", "61.2");
        assert_eq!(place.row, "\"Verdicts\", row a | b");
        let rest = [place.column, place.printed, place.recomputed];
        assert_eq!(rest, ["Growth", "61.2", "60.2"]);
        let place = changed("1.2 ±", "1.3 ±");
        assert_eq!((place.printed.as_str(), place.column.as_str()), ("1.3 ± 0.1", "Growth"));
    }

    #[test]
    fn a_sentence_is_named_by_section_and_line() {
        let place = changed("Said 3", "Said 4");
        assert_eq!(place.row, "\"Verdicts\", line 12");
        assert_eq!([place.printed, place.recomputed], ["4", "3"]);
        let place = changed("42", "43");
        assert_eq!([place.row, place.column], ["\"s\", line 3", "Seeds"]);
    }

    #[test]
    fn a_row_that_is_missing_or_added_is_a_difference() {
        assert_ne!(changed("| bp | 1.2 ± 0.1 |\n", ""), Place::default());
        assert_ne!(changed("\n\nSaid", "\n| dfa | 9 |\n\nSaid"), Place::default());
        assert_eq!(first(Format::Md, PAGE, PAGE), None);
    }
}
