//! Audits of made-up networks whose norms and cosines are chosen.

use super::{Audit, Beside, FrozenBaseline, Subject, Thresholds, judge};
use crate::diagnostics::controls::Control;
use crate::diagnostics::learned_credit::{LearnedCredit, TwinGain};
use crate::evidence::Evidence;
use crate::trace::{BatchTrace, LayerTrace, LossReduction, Matrix};

/// A network described by what its diagnostics should find.
#[derive(Clone)]
pub struct Specimen {
    pub label: &'static str,
    pub seed: u64,
    pub accuracy: f64,
    pub frozen: Option<f64>,
    /// Accuracies of the auxiliary twins, of a run whose credit is learned.
    pub auxiliary_twins: Option<Vec<(&'static str, f64)>>,
    /// ‖h_l‖ of every sample, L + 1 values.
    pub hidden: Vec<f32>,
    /// ‖g_l‖ of every sample.
    pub gradient: Vec<f32>,
    /// cos(a_l, g_l), with a spread of at most ±0.05 over samples.
    pub cosine: Vec<f64>,
    pub batches: usize,
    pub samples: usize,
    pub baseline: bool,
    pub diverged: Option<&'static str>,
}

impl Specimen {
    pub fn new(label: &'static str, accuracy: f64, hidden: &[f32], gradient: &[f32]) -> Self {
        Self {
            label,
            seed: 42,
            accuracy,
            frozen: Some(0.344),
            auxiliary_twins: None,
            hidden: hidden.to_vec(),
            gradient: gradient.to_vec(),
            cosine: vec![1.0; hidden.len()],
            batches: 10,
            samples: 128,
            baseline: false,
            diverged: None,
        }
    }

    pub fn trace(&self) -> LayerTrace {
        LayerTrace {
            loss_reduction: Some(LossReduction::Mean),
            credit_trains: None,
            tokens: "single".into(),
            batches: (0..self.batches).map(|k| self.batch(k)).collect(),
        }
    }

    /// Gradients of batch k lie along axis k, so that different batches share no direction; credits
    /// turn away from them towards the last axis.
    fn batch(&self, k: usize) -> BatchTrace {
        let width = self.batches + 1;
        let rows = |entry: &dyn Fn(usize, usize) -> f64| {
            let cells = (0..self.samples).flat_map(|i| (0..width).map(move |j| (i, j)));
            let data = cells.map(|(i, j)| entry(i, j)).collect();
            Matrix::new(self.samples, width, data)
        };
        let along = |norm: f64| rows(&|_, j| if j == k { norm } else { 0.0 });
        let credit = |cosine: f64| {
            rows(&|i, j| {
                let spread = (1.0 - cosine.abs()).clamp(0.0, 0.05);
                let cosine = cosine + [spread, -spread][i % 2];
                match j {
                    j if j == k => cosine,
                    j if j == width - 1 => (1.0 - cosine * cosine).sqrt(),
                    _ => 0.0,
                }
            })
        };
        BatchTrace {
            hidden: self.hidden.iter().map(|&n| along(n.into())).collect(),
            gradient: Some(self.gradient.iter().map(|&n| along(n.into())).collect()),
            credit: Some(self.cosine.iter().map(|&c| credit(c)).collect()),
            logits: Some(Matrix::new(self.samples, 10, vec![0.0; 10 * self.samples])),
            labels: Some(vec![0; self.samples]),
        }
    }

    pub fn subject(&self) -> Subject {
        let method = self.label.split_whitespace().next().unwrap_or_default();
        Subject {
            method: method.to_lowercase(),
            arch: "resmlp".into(),
            dataset: "cifar10".into(),
            seed: Some(self.seed),
            epoch: Some(30),
            epochs: Some(30),
            label: self.label.into(),
            data_source: "copy".into(),
            is_baseline: self.baseline,
            diverged: self.diverged.map(Into::into),
            imported: None,
            frozen_network: None,
        }
    }

    pub fn audit(&self) -> Audit {
        let frozen = self.frozen.map(|accuracy| FrozenBaseline {
            accuracy,
            method: "frozen (embed by dfa)".into(),
            source: "frozen-s42".into(),
            differs: Vec::new(),
        });
        let twin = |(name, accuracy): &(&str, f64)| {
            let gain = TwinGain::new(self.accuracy, *accuracy, format!("{name}-s42"));
            ((*name).to_owned(), Control::Found(gain))
        };
        let learned_credit = self
            .auxiliary_twins
            .as_ref()
            .map(|twins| LearnedCredit { over: twins.iter().map(twin).collect() });
        let beside = Beside { frozen, learned_credit };
        let (trace, thresholds) = (self.trace(), Thresholds::default());
        judge(
            self.subject(),
            Evidence::default(),
            &trace,
            Some(self.accuracy),
            beside,
            &thresholds,
            None,
        )
    }
}

/// [`published`] and two in which something is not finite or missing: one that diverged, one of one
/// batch without a twin.
pub fn with_gaps() -> Vec<Specimen> {
    let mut runs = published();
    let mut exploded = runs[0].clone();
    exploded.hidden[2] = f32::INFINITY;
    exploded.diverged = Some("loss was nan in epoch 3");
    let mut alone = runs[1].clone();
    (alone.frozen, alone.batches) = (None, 1);
    runs.extend([exploded, alone]);
    runs
}

/// The runs of protocol §9 (seed 42, 30 epochs), gradients as at N = 128.
pub fn published() -> Vec<Specimen> {
    let dfa_hidden = [1.4e4, 8.5e6, 3.0e7, 6.0e7, 9.0e7];
    vec![
        Specimen::new(
            "BP",
            0.580,
            &[176.0, 174.0, 170.0, 160.0, 149.0],
            &[4.40e-4, 4.71e-4, 4.79e-4, 4.53e-4, 3.70e-4],
        ),
        Specimen {
            cosine: vec![0.278, 0.051, -0.046, 0.998, 0.998],
            ..Specimen::new(
                "FA",
                0.3765,
                &[1.2e4, 1.56e5, 1.8e5, 2.0e5, 2.1e5],
                &[1.79e-5, 1.21e-6, 8.85e-7, 8.89e-7, 8.89e-7],
            )
        },
        Specimen {
            cosine: vec![0.389, 0.046, 0.030, -0.008, -0.008],
            ..Specimen::new("DFA", 0.2954, &dfa_hidden, &[4.39e-7, 5.7e-9, 5.7e-9, 5.7e-9, 5.7e-9])
        },
        Specimen {
            cosine: vec![0.292, 0.134, 0.213, 0.190, 0.190],
            ..Specimen::new("DFA λ=1e-2", 0.3596, &[1.47e4; 5], &[1.3e-5; 5])
        },
        Specimen {
            baseline: true,
            cosine: vec![0.31, 0.02, 0.01, 0.0, 0.0],
            ..Specimen::new("frozen (DFA)", 0.344, &[1.4e4; 5], &[1.1e-5; 5])
        },
    ]
}
