//! `verdicts.csv`: one row an audit. The columns are a contract: new ones go to the end.
//!
//! | column | unit |
//! |---|---|
//! | `method label arch dataset data_source seed epoch baseline diverged` | the run; `diverged` is empty or says how |
//! | `accuracy frozen_accuracy` | fraction |
//! | `growth` | ratio of mean hidden norms |
//! | `reference reference_at_128 batch_size loss` | median gradient norm at h_L (batch-mean loss), as is and at N = 128; N; the recorded reduction |
//! | `stability` | mean pairwise cosine |
//! | `depth_utility` | percentage points |
//! | `*_status` | `passed`, `fired`, `inconclusive`, `not evaluated` |
//! | `cosine cosine_interpretable cosine_per_layer` | aggregate; whether the reference carries it; layers 0 … L joined by `;` |
//! | `verdict` | `trustworthy`, `walked back`, `inconclusive`, `baseline` |
//! | `claims` | of the study about the run's method and seed: `stands: …; walked back: …` |
//! | `gain_over_shuffled gain_over_random gain_over_zero_target gain_over_untrained` | of a learned credit over its auxiliary twins, percentage points |
//!
//! A value that was not measured is an empty cell; one that is not finite is `nan`, `inf`, `-inf`.

use crate::number::{Number, text};
use crate::shown::cell;
use crate::study::claims::{Tested, is_about, tested};
use crate::study::results::StudyResult;
use crate::trace::LossReduction;
use crate::verdict::Audit;
use anyhow::Result;
use std::io::Write;

const COLUMNS: [&str; 32] = [
    "method",
    "label",
    "arch",
    "dataset",
    "data_source",
    "seed",
    "epoch",
    "baseline",
    "diverged",
    "accuracy",
    "frozen_accuracy",
    "growth",
    "growth_status",
    "reference",
    "reference_at_128",
    "batch_size",
    "loss",
    "reference_status",
    "stability",
    "stability_status",
    "depth_utility",
    "depth_utility_status",
    "cosine",
    "cosine_interpretable",
    "cosine_per_layer",
    "verdict",
    "schema",
    "claims",
    "gain_over_shuffled",
    "gain_over_random",
    "gain_over_zero_target",
    "gain_over_untrained",
];

/// The header and a row for each audit.
pub fn write(audits: &[Audit], out: impl Write) -> Result<()> {
    write_rows(audits.iter().map(|audit| (audit, String::new())), out)
}

/// As [`write`], for the audits of a study, each with its claims.
pub fn write_study(study: &StudyResult, out: impl Write) -> Result<()> {
    let tested = tested(study);
    let rows = study.runs.iter().filter_map(|run| {
        let seed = run.record.config.seed;
        let own = tested.iter().filter(|tested| {
            is_about(&tested.claim, &run.record.config) && tested.claim.seeds.contains(&seed)
        });
        let words: Vec<String> =
            own.map(|tested| format!("{}: {}", tested.outcome, tested.claim.claim)).collect();
        Some((run.audit.as_ref()?, words.join("; ")))
    });
    write_rows(rows, out)
}

/// `claims.csv`: a row a claim.
pub fn write_claims(tested: &[Tested], out: impl Write) -> Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(CLAIM_COLUMNS)?;
    for tested in tested {
        let (claim, summary) = (&tested.claim, tested.summary());
        let seeds: Vec<String> = claim.seeds.iter().map(u64::to_string).collect();
        csv.write_record([
            cell(&claim.claim),
            cell(&claim.method),
            claim.metric.to_string(),
            cell(&claim.quantity()),
            claim.threshold.to_string(),
            seeds.join(";"),
            tested.outcome.to_string(),
            number(summary.map(|s| Number(s.mean))),
            number(summary.and_then(|s| s.std).map(Number)),
            or_empty(summary.map(|s| s.n)),
            cell(&tested.reason),
        ])?;
    }
    csv.flush()?;
    Ok(())
}

const CLAIM_COLUMNS: [&str; 11] = [
    "claim",
    "method",
    "metric",
    "quantity",
    "threshold",
    "seeds",
    "outcome",
    "mean",
    "std",
    "n",
    "reason",
];

fn write_rows<'a>(rows: impl Iterator<Item = (&'a Audit, String)>, out: impl Write) -> Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for (audit, claims) in rows {
        csv.write_record(row(audit, &claims))?;
    }
    csv.flush()?;
    Ok(())
}

fn row(audit: &Audit, claims: &str) -> [String; COLUMNS.len()] {
    let (run, d) = (&audit.run, &audit.diagnostics);
    let reference = &d.reference.detail;
    let gain = |over: &str| {
        let gains = audit.learned_credit.as_ref().and_then(|found| found.over.get(over)?.found());
        number(gains.map(|twin| twin.gain))
    };
    let per_layer: Vec<String> = audit.cosine.detail.per_layer.iter().map(|v| spell(*v)).collect();
    [
        cell(&run.method),
        cell(&run.label),
        cell(&run.arch),
        cell(&run.dataset),
        cell(&run.data_source),
        or_empty(run.seed),
        or_empty(run.epoch),
        run.is_baseline.to_string(),
        run.diverged.as_deref().map(cell).unwrap_or_default(),
        number(audit.accuracy),
        number(d.depth_utility.detail.frozen_accuracy),
        number(d.growth.value),
        d.growth.status.to_string(),
        number(d.reference.value),
        number(reference.at_batch_128),
        or_empty(reference.batch_size),
        audit.evaluation.loss.map(LossReduction::word).unwrap_or_default().into(),
        d.reference.status.to_string(),
        number(d.stability.value),
        d.stability.status.to_string(),
        number(d.depth_utility.value),
        d.depth_utility.status.to_string(),
        number(audit.cosine.aggregate),
        audit.cosine.interpretable.to_string(),
        per_layer.join(";"),
        audit.verdict.to_string(),
        cell(&audit.schema),
        cell(claims),
        gain("shuffled"),
        gain("random"),
        gain("zero-target"),
        gain("untrained"),
    ]
}

fn or_empty<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn number(value: Option<Number>) -> String {
    value.map(spell).unwrap_or_default()
}

/// The shortest digits that read back to the same value.
pub(super) fn spell(value: Number) -> String {
    match value.0 {
        v if v.is_finite() && v != 0.0 && !(1e-4..1e9).contains(&v.abs()) => format!("{v:e}"),
        v => text(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{claiming, study};
    use crate::verdict::testing::{Specimen, published};
    use std::collections::HashMap;

    fn rows(audits: &[Audit]) -> Vec<HashMap<String, String>> {
        let mut bytes = Vec::new();
        write(audits, &mut bytes).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    #[test]
    fn every_audit_is_a_row_whose_values_read_back() {
        let audits: Vec<Audit> = published().iter().map(|s| s.audit()).collect();
        let rows = rows(&audits);
        assert_eq!(rows.len(), audits.len());
        for (row, audit) in rows.iter().zip(&audits) {
            assert_eq!(row.len(), COLUMNS.len());
            assert_eq!(row["label"], audit.run.label);
            assert_eq!(row["verdict"], audit.verdict.to_string());
            let value = audit.diagnostics.reference.value.unwrap().0;
            assert_eq!(row["reference"].parse::<f64>().unwrap(), value);
            let per_layer: Vec<f64> =
                row["cosine_per_layer"].split(';').map(|v| v.parse().unwrap()).collect();
            assert_eq!(per_layer.len(), 5);
        }
    }

    #[test]
    fn missing_is_empty_and_exploded_is_a_word() {
        let mut run = published().remove(0);
        run.frozen = None;
        run.hidden[4] = f32::INFINITY;
        run.gradient[4] = f32::NAN;
        run.diverged = Some("loss was nan, epoch 3");
        let row = &rows(&[run.audit()])[0];
        assert_eq!(row["depth_utility"], "");
        assert_eq!(row["depth_utility_status"], "not evaluated");
        assert_eq!((row["growth"].as_str(), row["reference"].as_str()), ("inf", "nan"));
        assert_eq!(row["diverged"], "loss was nan, epoch 3");
        assert!(row["cosine_per_layer"].ends_with(";nan"));
    }

    #[test]
    fn a_claim_stands_in_the_rows_of_its_runs_and_has_a_row_of_its_own() {
        let study = claiming(study());
        let mut bytes = Vec::new();
        write_study(&study, &mut bytes).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let rows: Vec<HashMap<String, String>> =
            reader.deserialize().map(|row| row.unwrap()).collect();
        let of = |method: &str| {
            rows.iter().find(|row| row["method"] == method).map(|row| row["claims"].clone())
        };
        assert_eq!(of("bp").unwrap(), "stands: Backpropagation stays calm.");
        assert_eq!(of("dfa").unwrap(), "walked back: DFA stays calm, too.");
        assert_eq!(of("frozen").unwrap(), "");
        let mut bytes = Vec::new();
        write_claims(&tested(&study), &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(text.contains(",7,untested,,,,"), "{text}");
    }

    #[test]
    fn a_learned_credit_has_its_gains_and_a_twin_that_is_missing_is_an_empty_cell() {
        let run = Specimen {
            accuracy: 0.4,
            auxiliary_twins: Some(vec![("shuffled", 0.25), ("zero-target", 0.41)]),
            ..published().remove(3)
        };
        let rows = rows(&[run.audit(), published()[2].audit()]);
        let gains = |row: &HashMap<String, String>| {
            ["shuffled", "random", "zero_target"]
                .map(|twin| row[&format!("gain_over_{twin}")].clone())
        };
        assert_eq!(gains(&rows[0]), ["15", "", "-1"]);
        assert_eq!(gains(&rows[1]), [""; 3]);
    }

    #[test]
    fn an_empty_study_still_has_its_header() {
        let mut bytes = Vec::new();
        write(&[], &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.trim_end().split(',').count(), COLUMNS.len());
    }
}
