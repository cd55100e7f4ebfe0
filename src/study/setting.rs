//! Keys that a person sets for a whole study, without a file of their own: `audit STUDY --set key=value`.

use crate::config::Layer;
use crate::failure::usage;
use anyhow::{Context, Result};
use toml::{Table, Value};

/// The study file `text` of `source` with the keys of `set` in its `[base]`: what is kept beside the runs
/// says all that they were made from. As it stands where nothing is set.
///
/// # Errors
/// If its grid has one of the keys, or its `[base]` is no table.
pub fn with_base_keys(source: &str, text: &str, set: &Layer) -> Result<String> {
    if set.keys.is_empty() {
        return Ok(text.into());
    }
    // What is no study is refused where it is read as one.
    let Ok(mut study) = text.parse::<Table>() else { return Ok(text.into()) };
    let grids = study.get("grid").and_then(Value::as_array).into_iter().flatten();
    let varied: Vec<&Table> = grids.filter_map(Value::as_table).collect();
    if let Some(key) = set.keys.keys().find(|key| varied.iter().any(|g| g.contains_key(*key))) {
        return Err(usage(format!(
            "{}: {key}: the grid of {source} says what it is; change it there",
            set.source
        )));
    }
    let base = study.entry("base").or_insert_with(|| Value::Table(Table::new()));
    let base = base.as_table_mut().with_context(|| format!("{source}: base: expected a table"))?;
    base.extend(set.keys.clone());
    Ok(study.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Study;

    const TEXT: &str = "name = 'x'\n[base]\nepochs = 3\n[[grid]]\nmethod = 'dfa'\nseed = [1, 2]\n";

    fn setting(assignments: &[&str]) -> Result<String> {
        let mut set = Layer::new("--set");
        for assignment in assignments {
            set.set(assignment).unwrap();
        }
        with_base_keys("x.toml", TEXT, &set)
    }

    #[test]
    fn a_key_that_is_set_stands_in_the_study_that_is_kept() {
        assert_eq!(setting(&[]).unwrap(), TEXT);
        let text = setting(&["epochs=1", "width=8"]).unwrap();
        let study = Study::parse("x.toml", &text, &Layer::new("over")).unwrap();
        let found: Vec<_> = study.runs.iter().map(|c| (c.epochs, c.width, c.seed)).collect();
        assert_eq!(found, [(1, 8, 1), (1, 8, 2), (1, 8, 1), (1, 8, 2)]);
        let bare = with_base_keys("x.toml", "name = 'x'", &{
            let mut set = Layer::new("--set");
            set.set("seed=7").unwrap();
            set
        });
        assert!(bare.unwrap().contains("[base]\nseed = 7"));
    }

    #[test]
    fn a_key_of_the_grid_is_refused() {
        let error = setting(&["seed=3"]).unwrap_err().to_string();
        assert_eq!(error, "--set: seed: the grid of x.toml says what it is; change it there");
    }
}
