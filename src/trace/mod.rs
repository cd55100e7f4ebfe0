//! `LayerTrace`: hidden states, reference gradients and credits of some evaluation batches as
//! plain host arrays. The one place where networks on a device meet the arithmetic of the audit;
//! nothing behind it knows which program trained the network.
//!
//! | file | |
//! |---|---|
//! | [`file`] | trace files, which any program can write |
//! | `layout` | which name means what, and whether the arrays fit each other |
//! | `info` | the metadata |
//! | `safetensors`, `npz`, `npy` | the formats |
//! | `array` | one array: dtypes, orders, tokens |

mod array;
pub mod file;
mod info;
mod layout;
mod npy;
mod npz;
mod safetensors;

pub(crate) use array::shown;
pub use info::{ReferenceCheck, TraceInfo};

/// A matrix on the host, row-major: `rows` samples of `cols` features, in f64 whatever the precision
/// they were computed in (f32 fits exactly).
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// A matrix from row-major `data`.
    ///
    /// # Panics
    /// If `data` does not hold `rows * cols` values.
    pub fn new(rows: usize, cols: usize, data: Vec<f64>) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}x{cols} matrix");
        Self { rows, cols, data }
    }

    /// Number of samples.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of features.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The features of sample `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// The samples in order.
    pub fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        (0..self.rows).map(|i| self.row(i))
    }
}

/// How the loss, whose gradient is the reference, was reduced over the batch. Under `Mean` every
/// per-sample gradient carries a factor 1/N (protocol §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossReduction {
    Mean,
    Sum,
}

impl LossReduction {
    /// As it stands in artefacts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
        }
    }
}

/// One evaluation batch of N samples. Layers are numbered 0 … L: `hidden[l]` is h_l.
#[derive(Clone, Debug)]
pub struct BatchTrace {
    /// h_0 … h_L, each [N, d].
    pub hidden: Vec<Matrix>,
    /// The reference gradient g_l = ∂L/∂h_l, each [N, d]; `None` where it was not recorded.
    pub gradient: Option<Vec<Matrix>>,
    /// The method's raw credit a_l (before RMS normalisation), each [N, d]; `None` where it was
    /// not recorded.
    pub credit: Option<Vec<Matrix>>,
    /// [N, classes]; `None` where they were not recorded.
    pub logits: Option<Matrix>,
    /// `None` where they were not recorded.
    pub labels: Option<Vec<u32>>,
}

impl BatchTrace {
    /// Number of samples N.
    pub fn samples(&self) -> usize {
        self.hidden.first().map_or(0, Matrix::rows)
    }
}

/// Evaluation batches of one network.
#[derive(Clone, Debug)]
pub struct LayerTrace {
    /// `None` where the program that recorded it did not say.
    pub loss_reduction: Option<LossReduction>,
    /// The layers whose credit trains a block; `None` where the protocol's, 0 … L−1.
    pub credit_trains: Option<Vec<usize>>,
    /// Which tokens the arrays show: `"single"` (a network without tokens), `"cls"` or `"mean"`.
    pub tokens: String,
    /// At least one; all with the same number of layers.
    pub batches: Vec<BatchTrace>,
}

impl LayerTrace {
    /// Number of residual blocks L: there are L + 1 hidden states.
    pub fn blocks(&self) -> usize {
        self.batches[0].hidden.len() - 1
    }

    /// The layers whose credit trains: what was said, else the block positions 0 … L−1 (position 0
    /// alone without blocks).
    pub fn training_layers(&self) -> Vec<usize> {
        let blocks = self.blocks();
        match &self.credit_trains {
            Some(layers) => layers.iter().copied().filter(|&l| l <= blocks).collect(),
            None => (0..blocks.max(1)).collect(),
        }
    }

    /// How many samples the logits classify correctly, and of how many; `None` where logits or labels
    /// were not recorded, or there is no sample.
    pub fn classified(&self) -> Option<(usize, usize)> {
        let (mut right, mut samples) = (0, 0);
        for batch in &self.batches {
            let (logits, labels) = (batch.logits.as_ref()?, batch.labels.as_ref()?);
            for (row, &label) in logits.iter_rows().zip(labels) {
                let label = label as usize;
                let beaten = |(c, v): (usize, &f64)| c == label || *v < row[label];
                right += usize::from(row.iter().enumerate().all(beaten));
                samples += 1;
            }
        }
        (samples > 0).then_some((right, samples))
    }

    /// The size N of the first batch, on which the reference gradient's scale depends.
    pub fn batch_size(&self) -> usize {
        self.batches[0].samples()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of a network of `blocks` blocks, of which nothing is known but logits and labels.
    fn trace(blocks: usize, batches: &[(&[[f64; 2]], &[u32])]) -> LayerTrace {
        let batch = |(logits, labels): &(&[[f64; 2]], &[u32])| BatchTrace {
            hidden: vec![Matrix::new(labels.len(), 1, vec![1.0; labels.len()]); blocks + 1],
            gradient: None,
            credit: None,
            logits: Some(Matrix::new(labels.len(), 2, logits.concat())),
            labels: Some(labels.to_vec()),
        };
        LayerTrace {
            loss_reduction: None,
            credit_trains: None,
            tokens: "single".into(),
            batches: batches.iter().map(batch).collect(),
        }
    }

    #[test]
    fn a_label_that_another_class_draws_with_is_not_classified() {
        let one =
            trace(1, &[(&[[2.0, 1.0], [1.0, 1.0], [1.0, 2.0]], &[0, 0, 1]), (&[[0.0, 3.0]], &[0])]);
        assert_eq!(one.classified(), Some((2, 4)));
        assert_eq!(trace(1, &[(&[], &[])]).classified(), None);
        assert_eq!(one.batch_size(), 3);
    }

    #[test]
    fn the_layers_that_train_are_those_said_as_far_as_they_are_there_else_the_block_positions() {
        let mut three = trace(3, &[(&[[0.0, 1.0]], &[1])]);
        assert_eq!(three.training_layers(), [0, 1, 2]);
        three.credit_trains = Some(vec![0, 3, 4]);
        assert_eq!(three.training_layers(), [0, 3]);
        assert_eq!(trace(0, &[(&[[0.0, 1.0]], &[1])]).training_layers(), [0]);
    }

    #[test]
    fn a_reduction_is_called_what_it_is_called_in_artefacts() {
        for reduction in [LossReduction::Mean, LossReduction::Sum] {
            let written = serde_json::to_value(reduction).unwrap();
            assert_eq!(written, reduction.word());
        }
        assert_eq!(LossReduction::Sum.word(), "sum");
    }
}
