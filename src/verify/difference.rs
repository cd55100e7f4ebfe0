//! Where an artefact is not what it is recomputed to be.

use crate::shown;
use std::fmt;
use std::path::Path;

/// What stands where there is nothing.
pub const NOTHING: &str = "nothing";

/// The first place of a file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub file: String,
    pub place: Place,
}

/// Where, and what stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which row of a table, line of a text or object of a JSON file; may be empty.
    pub row: String,
    /// Which column or key; may be empty.
    pub column: String,
    pub printed: String,
    pub recomputed: String,
}

impl Difference {
    pub fn new(file: &Path, place: Place) -> Self {
        Self { file: file.display().to_string(), place }
    }
}

impl Place {
    /// Of one value; nothing where both are the same.
    pub fn of(
        row: &str,
        column: &str,
        printed: impl ToString,
        recomputed: impl ToString,
    ) -> Option<Self> {
        let (printed, recomputed) = (printed.to_string(), recomputed.to_string());
        (printed != recomputed).then(|| Self {
            row: row.into(),
            column: column.into(),
            printed,
            recomputed,
        })
    }

    /// In `row` of the file.
    pub fn in_row(self, row: &str) -> Self {
        let row = match self.row.as_str() {
            "" => row.into(),
            own => format!("{row}, {own}"),
        };
        Self { row, ..self }
    }
}

/// On one line: `verdicts.csv: row 2 (dfa, seed 1), column growth: printed 9, recomputed 8`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Place { row, column, printed, recomputed } = &self.place;
        write!(f, "{}: ", shown::line(&self.file))?;
        if !row.is_empty() {
            write!(f, "{}, ", shown::line(row))?;
        }
        if !column.is_empty() {
            write!(f, "column {}: ", shown::line(column))?;
        }
        write!(f, "printed {}, recomputed {}", brief(printed), brief(recomputed))
    }
}

/// Long text around the place is cut.
fn brief(text: &str) -> String {
    const LONGEST: usize = 200;
    let text = match text.trim() {
        "" => NOTHING.into(),
        text => shown::line(text),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_file_row_column_and_both_values_on_one_line() {
        let place = Place::of("row 2", "growth", 9, 8).unwrap().in_row("verdicts\n");
        let text = Difference::new(Path::new("a.csv"), place).to_string();
        assert_eq!(text, "a.csv: verdicts\\n, row 2, column growth: printed 9, recomputed 8");
        assert_eq!(Place::of("", "", 1.5, 1.5), None);
    }
}
