//! `LayerTrace`: hidden states, reference gradients and credits of some evaluation batches as
//! plain host arrays. The one place where networks on a device meet the arithmetic of the audit;
//! nothing behind it knows which program trained the network.

/// A matrix on the host, row-major: `rows` samples of `cols` features.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// A matrix from row-major `data`.
    ///
    /// # Panics
    /// If `data` does not hold `rows * cols` values.
    pub fn new(rows: usize, cols: usize, data: Vec<f32>) -> Self {
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
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// The samples in order.
    pub fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
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
    /// [N, classes].
    pub logits: Matrix,
    pub labels: Vec<u32>,
}

impl BatchTrace {
    /// Number of samples N.
    pub fn samples(&self) -> usize {
        self.labels.len()
    }
}

/// Evaluation batches of one network.
#[derive(Clone, Debug)]
pub struct LayerTrace {
    pub loss_reduction: LossReduction,
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

    /// The size N of the first batch, on which the reference gradient's scale depends.
    pub fn batch_size(&self) -> usize {
        self.batches[0].samples()
    }
}
