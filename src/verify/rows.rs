//! The first difference of two CSV files, by the names of their columns.

use super::difference::{NOTHING, Place};
use csv::StringRecord;

/// Nothing where every cell is the same. A column that `printed` does not have came later.
pub fn first(printed: &str, recomputed: &str) -> Option<Place> {
    let (old, new) = match (records(printed), records(recomputed)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(problem), _) | (_, Err(problem)) => {
            return Place::of("", "", format!("no CSV: {problem}"), "a table");
        }
    };
    let none = StringRecord::new();
    let (header, names) = (old.first().unwrap_or(&none), new.first().unwrap_or(&none));
    for at in 1..old.len().max(new.len()) {
        let (Some(row), Some(wanted)) = (old.get(at), new.get(at)) else {
            let words = |row: Option<&StringRecord>| {
                row.map_or(NOTHING.into(), |row| row.iter().collect::<Vec<_>>().join(","))
            };
            return Place::of(&format!("row {at}"), "", words(old.get(at)), words(new.get(at)));
        };
        if let Some(place) = cell(header, row, names, wanted) {
            return Some(place.in_row(&format!("row {at}{}", who(names, wanted))));
        }
    }
    None
}

/// The first cell of a row that differs.
pub fn cell(
    header: &StringRecord,
    row: &StringRecord,
    names: &StringRecord,
    wanted: &StringRecord,
) -> Option<Place> {
    if row.len() != header.len() {
        return Place::of(
            "",
            "",
            format!("{} cells", row.len()),
            format!("{} cells", header.len()),
        );
    }
    header.iter().zip(row).find_map(|(name, value)| {
        let at = names.iter().position(|other| other == name);
        let recomputed = at.and_then(|at| wanted.get(at)).unwrap_or(NOTHING);
        Place::of("", name, value, recomputed)
    })
}

/// Header and rows.
///
/// # Errors
/// Where it is no CSV.
pub fn records(text: &str) -> Result<Vec<StringRecord>, csv::Error> {
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).from_reader(text.as_bytes()).records().collect()
}

/// ` (dfa, seed 42)`
fn who(names: &StringRecord, row: &StringRecord) -> String {
    let value = |column| names.iter().position(|name| name == column).and_then(|at| row.get(at));
    match (value("label"), value("seed")) {
        (Some(label), Some(seed)) => format!(" ({label}, seed {seed})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "label,seed,growth\nbp,1,2.5\n\"dfa, long\",1,60.2\n";

    #[test]
    fn a_cell_is_named_by_its_row_and_column() {
        let place = first(&TABLE.replace("60.2", "61.2"), TABLE).unwrap();
        let found = [place.row, place.column, place.printed, place.recomputed];
        assert_eq!(found, ["row 2 (dfa, long, seed 1)", "growth", "61.2", "60.2"]);
        assert_eq!(first(TABLE, TABLE), None);
    }

    #[test]
    fn rows_too_many_or_too_few_and_columns_of_nobody_differ_and_later_columns_do_not() {
        assert!(first("label,seed,growth\nbp,1,2.5\n", TABLE).is_some());
        assert!(first(&format!("{TABLE}fa,1,3\n"), TABLE).is_some());
        assert_eq!(first("label,seed\nbp,1\n\"dfa, long\",1\n", TABLE), None);
        let place = first("label,x\nbp,1\n", "label,seed\nbp,1\n").unwrap();
        assert_eq!([place.column, place.recomputed], ["x", NOTHING]);
    }
}
