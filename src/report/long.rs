//! A study in long form: one number a row, for plots and statistics that others make. The columns
//! are a contract: new ones go to the end.
//!
//! | quantity | what, by layer where `layer` is not empty |
//! |---|---|
//! | `train_loss train_accuracy test_loss test_accuracy learning_rate` | of each epoch, `metrics.jsonl` |
//! | `growth hidden_norm gradient_norm cosine growth_of_force` | likewise |
//! | `effective_rank energy_rank stable_rank participation_ratio` | likewise, of the matrix in `matrix` |
//! | `audit.accuracy`, `frozen_accuracy growth reference stability depth_utility cosine global_cosine` | what the audit found, of the epoch that it judged |
//! | `audit.hidden_norm`, `gradient_norm cosine relative_scale` | likewise, by layer |
//!
//! Accuracies are fractions, depth utility is in percentage points; what was not measured has no
//! row, what is not finite is `nan`, `inf`, `-inf`.

use super::csv::spell;
use crate::diagnostics::rank::MatrixRank;
use crate::number::Number;
use crate::shown::cell;
use crate::study::results::{RunResult, StudyResult};
use crate::verdict::Audit;
use anyhow::Result;

pub const COLUMNS: [&str; 9] =
    ["study", "run", "seed", "epoch", "layer", "quantity", "value", "method", "matrix"];

/// A quantity at a layer, where it has layers.
type Value = (&'static str, Option<usize>, Number);

/// The header and a row a number.
///
/// # Errors
/// If a value cannot be written as text, as none is known to be.
pub fn write(study: &StudyResult) -> Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    for run in &study.runs {
        let epochs = run.metrics.iter().map(|line| (Some(line.epoch as u64), of_epoch(line)));
        let audit = run.audit.iter().map(|audit| (audit.run.epoch, of_audit(audit)));
        for (epoch, values) in epochs.chain(audit) {
            for value in values {
                csv.write_record(row(study, run, epoch, value, ""))?;
            }
        }
        for line in &run.metrics {
            for rank in &line.ranks {
                for (quantity, value) in of_matrix(rank) {
                    let value = (quantity, None, value);
                    csv.write_record(row(
                        study,
                        run,
                        Some(line.epoch as u64),
                        value,
                        &rank.matrix,
                    ))?;
                }
            }
        }
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

fn row(
    study: &StudyResult,
    run: &RunResult,
    epoch: Option<u64>,
    (quantity, layer, value): Value,
    matrix: &str,
) -> [String; COLUMNS.len()] {
    [
        cell(&study.name),
        cell(&run.name),
        run.record.config.seed.to_string(),
        epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
        layer.map(|layer| layer.to_string()).unwrap_or_default(),
        quantity.into(),
        spell(value),
        cell(&run.record.config.label()),
        cell(matrix),
    ]
}

fn of_matrix(rank: &MatrixRank) -> [(&'static str, Number); 4] {
    [
        ("effective_rank", rank.effective),
        ("energy_rank", rank.energy),
        ("stable_rank", rank.stable),
        ("participation_ratio", rank.participation),
    ]
}

fn by_layer<'a>(
    quantity: &'static str,
    values: &'a [Number],
) -> impl Iterator<Item = Value> + use<'a> {
    values.iter().enumerate().map(move |(l, value)| (quantity, Some(l), *value))
}

fn of_epoch(line: &crate::train::run_dir::EpochMetrics) -> Vec<Value> {
    let mut values = vec![
        ("train_loss", None, line.train_loss),
        ("train_accuracy", None, line.train_accuracy),
        ("test_loss", None, line.test_loss),
        ("test_accuracy", None, line.test_accuracy),
        ("learning_rate", None, line.learning_rate),
    ];
    values.extend(line.growth.map(|growth| ("growth", None, growth)));
    values.extend(line.growth_of_force.map(|growth| ("growth_of_force", None, growth)));
    values.extend(by_layer("hidden_norm", &line.hidden_norms));
    values.extend(by_layer("gradient_norm", &line.gradient_norms));
    values.extend(by_layer("cosine", &line.cosine));
    values
}

fn of_audit(audit: &Audit) -> Vec<Value> {
    let d = &audit.diagnostics;
    let credit = audit.evidence.credit.as_ref();
    let single = [
        ("audit.accuracy", audit.accuracy),
        ("audit.frozen_accuracy", d.depth_utility.detail.frozen_accuracy),
        ("audit.growth", d.growth.value),
        ("audit.reference", d.reference.value),
        ("audit.stability", d.stability.value),
        ("audit.depth_utility", d.depth_utility.value),
        ("audit.cosine", audit.cosine.aggregate),
        ("audit.global_cosine", credit.map(|credit| credit.global_cosine)),
    ];
    let found = single.into_iter().filter_map(|(name, value)| Some((name, None, value?)));
    found
        .chain(by_layer("audit.hidden_norm", &d.growth.detail.hidden_norms))
        .chain(by_layer("audit.gradient_norm", &d.reference.detail.per_layer))
        .chain(by_layer("audit.cosine", &audit.cosine.detail.per_layer))
        .chain(credit.into_iter().flat_map(|c| by_layer("audit.relative_scale", &c.relative)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::rank::rank;
    use crate::report::testing::{empty, study, troubled};
    use std::collections::HashMap;

    fn rows(study: &StudyResult) -> Vec<HashMap<String, String>> {
        let text = write(study).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    #[test]
    fn every_number_of_every_epoch_reads_back_from_one_row() {
        let study = study();
        let rows = rows(&study);
        for run in &study.runs {
            let find = |epoch: usize, quantity: &str, layer: &str| {
                let mut found = rows.iter().filter(|row| {
                    row["run"] == run.name
                        && row["epoch"] == epoch.to_string()
                        && row["quantity"] == quantity
                        && row["layer"] == layer
                });
                let row = found.next().unwrap_or_else(|| panic!("{quantity} {layer}"));
                assert!(found.next().is_none(), "{quantity} stands twice");
                assert_eq!(row["seed"], run.record.config.seed.to_string());
                assert_eq!(row["method"], run.record.config.label());
                row["value"].parse::<f64>().unwrap()
            };
            for line in &run.metrics {
                assert_eq!(find(line.epoch, "test_accuracy", ""), line.test_accuracy.0);
                for (l, norm) in line.hidden_norms.iter().enumerate() {
                    assert_eq!(find(line.epoch, "hidden_norm", &l.to_string()), norm.0);
                }
            }
            let audit = run.audit.as_ref().unwrap();
            let judged = audit.run.epoch.unwrap() as usize;
            assert_eq!(find(judged, "audit.growth", ""), audit.diagnostics.growth.value.unwrap().0);
            let last = audit.cosine.detail.per_layer.last().unwrap().0;
            assert_eq!(find(judged, "audit.cosine", "4"), last);
        }
    }

    #[test]
    fn a_rank_stands_beside_its_matrix() {
        let mut study = study();
        let values: Vec<f64> = (0..6).map(f64::from).collect();
        study.runs[0].metrics[2].ranks = vec![rank("W_T − W_0 of w", 2, 3, &values)];
        let rows = rows(&study);
        let found: Vec<_> = rows.iter().filter(|row| !row["matrix"].is_empty()).collect();
        assert_eq!(found.len(), 4);
        let stable = found.iter().find(|row| row["quantity"] == "stable_rank").unwrap();
        assert_eq!((&*stable["matrix"], &*stable["epoch"]), ("W_T − W_0 of w", "3"));
        let want = study.runs[0].metrics[2].ranks[0].stable.0;
        assert_eq!(stable["value"].parse::<f64>().unwrap(), want);
    }

    #[test]
    fn what_was_not_measured_has_no_row_and_what_exploded_is_a_word() {
        let rows = rows(&troubled());
        assert!(rows.iter().all(|row| !row["value"].is_empty()));
        assert!(rows.iter().any(|row| row["value"] == "inf" || row["value"] == "nan"));
        assert_eq!(write(&empty()).unwrap().trim_end(), COLUMNS.join(","));
    }
}
