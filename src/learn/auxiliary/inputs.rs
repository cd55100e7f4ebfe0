//! What an auxiliary network is shown: rows of hidden states, the layer's time and the sample's code.

use crate::backend::float_tensor;
use crate::config::Code;
use crate::learn::{Known, Turn};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use rand::RngExt;
use std::f64::consts::PI;

/// Sample i at layer l: a row.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub layer: usize,
    pub sample: usize,
}

/// The hidden states of a batch and what goes with them.
pub struct Inputs<B: Backend> {
    /// h_0 … h_L below each other: [(L + 1) N, d].
    hidden: Tensor<B, 2>,
    /// time(0) … time(L): [L + 1, 2 octaves].
    times: Tensor<B, 2>,
    /// s [N, _]
    code: Tensor<B, 2>,
}

impl<B: Backend> Inputs<B> {
    /// Of a batch whose hidden states are known and have one token, and δ_L with them where it is the
    /// code.
    pub fn of(known: &Known<B>, code: Code, octaves: usize) -> Self {
        Self {
            hidden: Tensor::cat((0..=known.blocks).map(|l| hidden(known, l)).collect(), 0),
            times: times(known.blocks, octaves, &known.error.device()),
            code: match code {
                Code::Error => known.error.clone(),
                Code::Zero => known.error.zeros_like(),
                Code::Delta => delta(known),
            },
        }
    }

    /// Number of samples N.
    pub fn samples(&self) -> usize {
        self.code.dims()[0]
    }

    /// All samples at layer `l`.
    pub fn all_at(&self, layer: usize) -> Vec<At> {
        (0..self.samples()).map(|sample| At { layer, sample }).collect()
    }

    /// h of each row: [rows, d].
    pub fn hidden(&self, rows: &[At]) -> Tensor<B, 2> {
        let n = self.samples();
        let at = rows.iter().map(|row| row.layer * n + row.sample);
        self.hidden.clone().select(0, indices(at, &self.hidden.device()))
    }

    /// time ⊕ s of all samples at the first `layers` layers, below each other: [layers · N, _].
    pub fn context_of_layers(&self, layers: usize) -> Tensor<B, 2> {
        let rows: Vec<At> = (0..layers).flat_map(|l| self.all_at(l)).collect();
        self.context(&rows)
    }

    /// time ⊕ s of each row: [rows, _].
    pub fn context(&self, rows: &[At]) -> Tensor<B, 2> {
        let device = self.hidden.device();
        let layers = indices(rows.iter().map(|row| row.layer), &device);
        let samples = indices(rows.iter().map(|row| row.sample), &device);
        let times = self.times.clone().select(0, layers);
        Tensor::cat(vec![times, self.code.clone().select(0, samples)], 1)
    }
}

/// h_l [N, d], where it has one token.
pub fn hidden<B: Backend>(known: &Known<B>, layer: usize) -> Tensor<B, 2> {
    known.hidden[layer].clone().squeeze_dim::<2>(1)
}

/// δ_L = ∂(each sample's own loss)/∂h_L: [N, d].
pub fn delta<B: Backend>(known: &Known<B>) -> Tensor<B, 2> {
    let top = known.top.clone().expect("the readout's gradient");
    let [n, _] = top.dims();
    top.mul_scalar(n as f64)
}

/// The layers 0 … L−1 of N samples, one drawn for each.
pub fn drawn_layers(turn: Turn, samples: usize, blocks: usize) -> Vec<At> {
    let mut stream = turn.stream("layer");
    (0..samples).map(|sample| At { layer: stream.random_range(0..blocks), sample }).collect()
}

/// Rows of a tensor.
pub fn indices<B: Backend>(
    rows: impl Iterator<Item = usize>,
    device: &B::Device,
) -> Tensor<B, 1, Int> {
    let rows: Vec<i32> = rows.map(|row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// (sin, cos)(2^k π l/L) for k < `octaves`, l = 0 … L.
fn times<B: Backend>(blocks: usize, octaves: usize, device: &B::Device) -> Tensor<B, 2> {
    let angle = |l: usize, k: usize| 2f64.powi(k as i32) * PI * l as f64 / blocks as f64;
    let row = |l| (0..octaves).flat_map(move |k| [angle(l, k).sin(), angle(l, k).cos()]);
    let values: Vec<f64> = (0..=blocks).flat_map(row).collect();
    float_tensor(TensorData::new(values, [blocks + 1, 2 * octaves]), device)
}
