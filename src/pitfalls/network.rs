//! Pitfalls 4 to 7: wrong on a trained network. One small DFA run on the embedded data, with its
//! controls, shows them all.

use super::Demonstration;
use crate::audit::{Auditor, Options};
use crate::config::{Arch, Config, Method};
use crate::data::{self, DatasetKind};
use crate::diagnostics::cosine::Cosine;
use crate::stats::mean;
use crate::train::checkpoint::Checkpoint;
use crate::train::run_dir::RunDir;
use crate::train::train_quietly;
use crate::verdict::Audit;
use anyhow::{Context, Result};
use tempfile::TempDir;

/// The run, and its audit with controls.
pub(super) struct Trained {
    audit: Audit,
    dir: TempDir,
}

/// DFA on a narrow network, a few seconds.
fn config() -> Config {
    Config {
        method: Method::Dfa,
        width: 64,
        epochs: 4,
        train_samples: 4096,
        test_samples: 1280,
        control_samples: 256,
        perturbation_directions: 4,
        device: "cpu".into(),
        ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
    }
}

impl Trained {
    /// Trains and audits it.
    pub(super) fn new() -> Result<Self> {
        let config = config();
        let data = data::load(config.dataset, None, &config.synthetic())?;
        let dir = tempfile::tempdir().context("cannot create a temporary directory")?;
        let run = RunDir::at(dir.path().join("run"));
        train_quietly(&config, &data, &run)?;
        let options = Options { controls: true, ..Options::default() };
        let audit = Auditor::new(options).audit(&run.checkpoint())?;
        Ok(Self { audit, dir })
    }

    fn setting(&self) -> String {
        let c = config();
        let accuracy = self.audit.accuracy.map_or(f64::NAN, |v| v.0);
        format!(
            "DFA, residual MLP d={} L={}, {} epochs on {} synthetic images (accuracy {accuracy:.3})",
            c.width, c.depth, c.epochs, c.train_samples
        )
    }

    fn cosine(&self) -> &Cosine {
        &self.audit.cosine.detail
    }

    /// 4: the cosine belongs to the feedback that trained the network.
    pub(super) fn fresh_feedback(&self) -> Demonstration {
        let null = self.audit.controls.as_ref().and_then(|c| c.null.found());
        let wrong = null.map_or("not evaluated".into(), |null| {
            let layer = &null.per_layer[0];
            let spread = layer.std.map_or(f64::NAN, |s| s.0);
            format!("{:+.3} ± {spread:.3} over {} fresh draws", layer.mean.0, null.draws)
        });
        Demonstration {
            name: "fresh-feedback",
            title: "a cosine taken with newly drawn feedback matrices says nothing about the run",
            setting: self.setting() + ", cosine at h_0",
            wrong,
            right: format!(
                "{:+.3} with the matrices that trained it",
                self.cosine().per_layer[0].0
            ),
            avoided: "The feedback matrices are part of the checkpoint. Fresh ones are drawn on \
                      purpose only: they are the null of --controls, with an empirical p-value.",
        }
    }

    /// 5: an aggregate without its recipe.
    pub(super) fn aggregation(&self) -> Demonstration {
        let found = self.audit.controls.as_ref().and_then(|c| c.aggregation.found());
        let wrong = found.map_or("not evaluated".into(), |found| {
            let value = |v: &crate::diagnostics::aggregation::Aggregate| {
                format!("{:+.3} ({} of {}s)", v.value.0, v.over_layers, v.over_samples)
            };
            let values: Vec<_> = found.values.iter().map(value).collect();
            let flip = if found.sign_flip { ", the sign flips" } else { "" };
            format!("{}{flip}", values.join(", "))
        });
        Demonstration {
            name: "aggregation",
            title: "\"the cosine\" of a network depends on how layers and samples are averaged",
            setting: self.setting(),
            wrong,
            right: format!("by layer: {}", by_layer(self.cosine())),
            avoided: "The per-layer cosines are always shown; the aggregate is named (mean over \
                      blocks of the mean over samples), and --controls shows the other three.",
        }
    }

    /// 6: one layer carries the average.
    pub(super) fn layer_zero(&self) -> Demonstration {
        let blocks: Vec<f64> = self.cosine().block_positions().iter().map(|v| v.0).collect();
        Demonstration {
            name: "layer-zero",
            title: "the average over layers hides that all the credit sits at one end",
            setting: self.setting(),
            wrong: format!("{:+.3}, mean over {} layers", mean(&blocks), blocks.len()),
            right: format!(
                "h_0 {:+.3}, mean of the deeper layers {:+.3}",
                blocks[0],
                mean(&blocks[1..])
            ),
            avoided: "Mode 2 is named in the verdict's reasons, with the layers that carry the \
                      credit and how many lie inside the null band.",
        }
    }

    /// 7: an evaluator that lacks the rule's state compares the gradient with itself.
    pub(super) fn missing_state(&self) -> Result<Demonstration> {
        let run = RunDir::at(self.dir.path().join("run"));
        let mut checkpoint = Checkpoint::load(&run.checkpoint())?;
        checkpoint.learner.clear();
        let stripped = self.dir.path().join("stripped.mpk");
        checkpoint.save(&stripped)?;
        let right = match Auditor::new(Options::default()).audit(&stripped) {
            Ok(audit) => format!("a cosine of {:?}: a defect of fa-audit", audit.cosine.aggregate),
            Err(error) => error.root_cause().to_string(),
        };
        Ok(Demonstration {
            name: "missing-state",
            title: "without the saved feedback an evaluator falls back to cos(g, g)",
            setting: "the same checkpoint, its feedback matrices removed".into(),
            wrong: "1.000 at every layer, the best cosine ever reported".into(),
            right,
            avoided: "A checkpoint without its rule's state is refused; a trace without credits has \
                      its cosine `not evaluated`.",
        })
    }
}

fn by_layer(cosine: &Cosine) -> String {
    let values = cosine.block_positions().into_iter().enumerate();
    values.map(|(l, v)| format!("h_{l} {:+.3}", v.0)).collect::<Vec<_>>().join(", ")
}
