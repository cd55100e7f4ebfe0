//! In which setting, with what and from what a study was made.

use super::results::standing_shade;
use super::words::{brief, distinct};
use super::{Content, standing, state, who};
use crate::config::OptimizerName;
use crate::report::panel::{Cell, Panel, Shade};
use crate::study::results::RunResult;
use crate::trace::LossReduction;
use crate::train::run_dir::Matmul;
use crate::verdict::plain;

/// The setting in which the runs were made: names with values, several values where runs differ.
pub fn setting(content: &Content) -> Vec<(&'static str, String)> {
    let runs = content.runs;
    let evaluated: Vec<&RunResult> = runs.iter().filter(|r| r.audit.is_some()).collect();
    let evaluation = distinct(&evaluated, |run| {
        let Some(e) = run.audit.as_ref().map(|a| &a.evaluation) else { return String::new() };
        let sizes: Vec<String> = e.batch_sizes.iter().map(usize::to_string).collect();
        let tokens =
            if e.tokens == "single" { String::new() } else { format!(", {} token", e.tokens) };
        format!("{} batches of N = {}{tokens}", e.batches, sizes.join("/"))
    });
    let reduction = distinct(&evaluated, |run| {
        match run.audit.as_ref().and_then(|a| a.evaluation.loss) {
            Some(LossReduction::Sum) => "recorded as a sum, reported as the batch mean",
            _ => "batch mean",
        }
        .into()
    });
    let all = [
        (
            "Network",
            distinct(runs, |run| {
                let c = &run.record.config;
                format!("{}, width {}, {} blocks", c.arch, c.width, c.blocks())
            }),
        ),
        (
            "Data",
            distinct(runs, |run| {
                let data = &run.record.provenance.data;
                format!("{} ({}: {})", data.name, data.source, data.source.meaning())
            }),
        ),
        (
            "Training",
            distinct(runs, |run| {
                let c = &run.record.config;
                let optimizer = match c.optimizer {
                    OptimizerName::Adamw => "AdamW",
                    OptimizerName::Sgd => "SGD",
                    OptimizerName::Muon => "Muon",
                };
                format!(
                    "{optimizer}, learning rate {}, weight decay {}, {} schedule, batches of {}",
                    plain(c.learning_rate),
                    plain(c.weight_decay),
                    c.schedule,
                    c.batch_size
                )
            }),
        ),
        ("Epochs", distinct(runs, |run| run.record.config.epochs.to_string())),
        ("Seeds", distinct(&content.seeds, u64::to_string)),
        ("Evaluation", evaluation),
        ("Reference loss", reduction),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Runs that failed, were interrupted, still run, diverged or were not audited.
pub fn unfinished(content: &Content) -> Panel {
    let mut rows: Vec<Vec<Cell>> = content
        .runs
        .iter()
        .filter(|run| standing(run) != "finished")
        .map(|run| {
            vec![
                run.name.clone().into(),
                who(run).into(),
                Cell::shaded(standing(run), standing_shade(run)),
                state(run).into(),
            ]
        })
        .collect();
    rows.extend(content.missing.iter().map(|name| {
        let standing = Cell::shaded("not begun", Shade::Muted);
        vec![name.clone().into(), Cell::absent(), standing, "planned, no record yet".into()]
    }));
    let note = match rows.is_empty() {
        true => "None: every run finished with finite numbers and was audited.",
        false => {
            "Means over seeds are taken over the runs that were audited, and leave the others out."
        }
    };
    Panel {
        title: "Runs that did not finish".into(),
        note: note.into(),
        columns: ["Run", "Method, seed", "Standing", "What happened"].map(Into::into).into(),
        rows,
        ..Panel::default()
    }
}

/// What all runs share, or where they differ.
pub fn shared_provenance(content: &Content) -> Panel {
    let of = |value: &dyn Fn(&RunResult) -> String| {
        let mut values: Vec<(String, usize)> = Vec::new();
        for run in content.runs {
            let value = value(run);
            match values.iter_mut().find(|(v, _)| *v == value) {
                Some((_, count)) => *count += 1,
                None => values.push((value, 1)),
            }
        }
        match values.as_slice() {
            [(value, _)] => value.clone(),
            several => {
                let each: Vec<String> = several
                    .iter()
                    .map(|(value, count)| format!("{value} ({count} runs)"))
                    .collect();
                each.join("; ")
            }
        }
    };
    let p = |run: &RunResult| run.record.provenance.clone();
    let all = [
        ("Tool", of(&|r| p(r).tool)),
        ("Git revision", of(&|r| p(r).git_revision)),
        ("Burn", of(&|r| p(r).burn)),
        ("Backend", of(&|r| p(r).backend)),
        (
            "Instruction sets",
            of(&|r| p(r).instruction_sets.unwrap_or_else(|| "not recorded".into())),
        ),
        ("Device", of(&|r| format!("{}, {} thread(s)", p(r).device, p(r).threads))),
        (
            "f32 matrix products",
            of(&|r| match p(r).matmul {
                Matmul::Full => "full precision".into(),
                Matmul::Reduced => "reduced precision (operands are rounded, as TF32 does)".into(),
            }),
        ),
        (
            "Data",
            of(&|r| {
                let data = p(r).data;
                format!(
                    "{} ({}), {} training and {} test images, {} classes",
                    data.name, data.source, data.train, data.test, data.classes
                )
            }),
        ),
        ("Data SHA-256", of(&|r| p(r).data.sha256)),
    ];
    let rows = match content.runs.is_empty() {
        true => Vec::new(),
        false => all.map(|(name, value)| vec![name.into(), value.into()]).into(),
    };
    Panel {
        title: "Provenance".into(),
        note: String::new(),
        columns: ["What", "Value"].map(Into::into).into(),
        rows,
        ..Panel::default()
    }
}

/// What identifies each run.
pub fn runs_provenance(content: &Content) -> Panel {
    let row = |run: &RunResult| {
        let p = &run.record.provenance;
        vec![
            run.name.clone().into(),
            p.seed.to_string().into(),
            brief(&p.config_hash).into(),
            p.feedback_hash.as_deref().map_or_else(Cell::absent, |hash| brief(hash).into()),
            p.parameters.to_string().into(),
            p.start.clone().into(),
            p.end.clone().map_or_else(Cell::absent, Cell::from),
        ]
    };
    Panel {
        title: "Provenance by run".into(),
        note:
            "Hashes are shortened to twelve characters; the JSON report holds all of them, and the \
               command lines."
                .into(),
        columns: ["Run", "Seed", "Config hash", "Feedback hash", "Parameters", "Start", "End"]
            .map(Into::into)
            .into(),
        rows: content.runs.iter().map(row).collect(),
        ..Panel::default()
    }
}
