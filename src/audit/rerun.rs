//! Controls that run the network again from a hidden state: the perturbation correlation and the
//! nudging test.

use crate::backend::{Differentiable, float_tensor};
use crate::config::{Config, Measure, Objective};
use crate::data::{Batch, Dataset};
use crate::diagnostics::nudging::NudgedLosses;
use crate::diagnostics::perturbation::PerturbationPairs;
use crate::learn::Trainee;
use crate::model::{Buffers, Net, Network, Pass};
use crate::probe::{Probed, probe_batch};
use crate::rng;
use crate::trace::Matrix;
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand_distr::{Distribution, StandardNormal};

/// One batch of control samples, and the network that can be run again from any of its layers.
pub struct Rerun<B: Differentiable> {
    net: Net<B::InnerBackend>,
    buffers: Buffers<B::InnerBackend>,
    objective: Objective,
    /// h_0 … h_L, each [N, T, d].
    hidden: Vec<Tensor<B::InnerBackend, 3>>,
    /// Credit and reference gradient at h_0 … h_L, each [N, d].
    credit: Vec<Matrix>,
    gradient: Vec<Matrix>,
    batch: Batch,
    /// The loss of each sample.
    losses: Vec<f64>,
    measure: Measure,
    seed: u64,
    device: B::Device,
}

impl<B: Differentiable> Rerun<B> {
    /// Runs the first `control_samples` test images once.
    pub fn new(trainee: &Trainee<B>, config: &Config, data: &Dataset, device: &B::Device) -> Self {
        let samples = config.control_samples.min(data.test.len());
        let batch = data.test_batch(0..samples);
        let net = trainee.net();
        let Probed { states, trace, .. } =
            probe_batch(trainee, &net.clone().no_grad(), config, batch.clone(), device);
        let measure = config.measure;
        let (net, buffers) = (net.valid(), trainee.buffers.clone());
        let objective = trainee.learner.settings().objective;
        let outputs = net.outputs_from(0, states[0].clone(), &mut Pass::eval(&buffers));
        Self {
            losses: objective.losses(outputs, batch.wanted()),
            net,
            buffers,
            objective,
            hidden: states,
            credit: trace.credit.unwrap_or_default(),
            gradient: trace.gradient.unwrap_or_default(),
            batch,
            measure,
            seed: config.seed,
            device: device.clone(),
        }
    }

    /// N
    pub fn samples(&self) -> usize {
        self.batch.len()
    }

    /// CE(h_l + εv) − CE(h_l) at every layer, for `directions` directions v of length one for each
    /// sample, beside what credit, gradient and a random vector predict.
    pub fn perturbed(&self, directions: usize, epsilon: f64) -> Vec<PerturbationPairs> {
        let at = |l: usize| {
            let random = self.directions(l, &format!("control/random/{l}"));
            let mut pairs = PerturbationPairs {
                actual: Vec::new(),
                credit: Vec::new(),
                gradient: Vec::new(),
                random: Vec::new(),
            };
            for k in 0..directions {
                let v = self.directions(l, &format!("control/perturbation/{l}/{k}"));
                let after = self.losses_shifted(l, &v, epsilon);
                pairs.actual.extend(after.iter().zip(&self.losses).map(|(a, b)| a - b));
                let predicted = |of: &Matrix| inner_products(of, &v, epsilon);
                pairs.credit.extend(predicted(&self.credit[l]));
                pairs.gradient.extend(predicted(&self.gradient[l]));
                pairs.random.extend(predicted(&random));
            }
            pairs
        };
        (0..self.hidden.len()).map(at).collect()
    }

    /// The losses after one step of RMS length `step` against credit, gradient and a random vector.
    pub fn nudged(&self, step: f64) -> Vec<NudgedLosses> {
        let at = |l: usize| {
            let nudge = |along: &Matrix| self.losses_shifted(l, &unit_rms(along), -step);
            NudgedLosses {
                before: self.losses.clone(),
                credit: nudge(&self.credit[l]),
                gradient: nudge(&self.gradient[l]),
                random: nudge(&self.directions(l, &format!("control/nudge/{l}"))),
            }
        };
        (0..self.hidden.len()).map(at).collect()
    }

    /// The loss of each sample once h_l is moved by `scale` · `by` where the probe measures.
    fn losses_shifted(&self, l: usize, by: &Matrix, scale: f64) -> Vec<f64> {
        let moved = by.iter_rows().flatten().map(|v| v * scale).collect();
        let shape = [by.rows(), by.cols()];
        let moved = float_tensor(TensorData::new::<f64, _>(moved, shape), &self.device);
        let hidden = shifted(self.hidden[l].clone(), moved, self.measure);
        let outputs = self.net.outputs_from(l, hidden, &mut Pass::eval(&self.buffers));
        self.objective.losses(outputs, self.batch.wanted())
    }

    /// One Gaussian direction of length one for each sample at layer `l`: [N, d].
    fn directions(&self, l: usize, stream: &str) -> Matrix {
        let [rows, _, cols] = self.hidden[l].dims();
        let mut stream = rng::stream(self.seed, stream);
        let mut values = Vec::with_capacity(rows * cols);
        for _ in 0..rows {
            let row: Vec<f64> = (0..cols).map(|_| StandardNormal.sample(&mut stream)).collect();
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            values.extend(row.iter().map(|v| v / norm));
        }
        Matrix::new(rows, cols, values)
    }
}

/// h + δ at the tokens where the probe measures: at the cls token, or at all alike where it takes
/// their mean. h [N, T, d], δ [N, d].
fn shifted<B: Backend>(h: Tensor<B, 3>, delta: Tensor<B, 2>, measure: Measure) -> Tensor<B, 3> {
    let delta = delta.unsqueeze_dim::<3>(1);
    let [_, tokens, _] = h.dims();
    if tokens == 1 || measure == Measure::Mean {
        return h + delta;
    }
    let cls = h.clone().narrow(1, 0, 1) + delta;
    Tensor::cat(vec![cls, h.narrow(1, 1, tokens - 1)], 1)
}

/// Each row over its root mean square; a row of zeros stays.
fn unit_rms(matrix: &Matrix) -> Matrix {
    let mut values = Vec::with_capacity(matrix.rows() * matrix.cols());
    for row in matrix.iter_rows() {
        let square = row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64;
        let scale = if square == 0.0 { 0.0 } else { 1.0 / square.sqrt() };
        values.extend(row.iter().map(|v| v * scale));
    }
    Matrix::new(matrix.rows(), matrix.cols(), values)
}

/// ⟨a_i, ε v_i⟩ of each sample.
fn inner_products(a: &Matrix, v: &Matrix, epsilon: f64) -> Vec<f64> {
    let product =
        |(a, v): (&[f64], &[f64])| epsilon * a.iter().zip(v).map(|(x, y)| x * y).sum::<f64>();
    a.iter_rows().zip(v.iter_rows()).map(product).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_zeros_has_no_direction_to_nudge_along() {
        let scaled = unit_rms(&Matrix::new(2, 2, vec![3.0, -4.0, 0.0, 0.0]));
        let rms = 12.5f64.sqrt();
        assert_eq!(scaled.row(0), [3.0 / rms, -4.0 / rms]);
        assert_eq!(scaled.row(1), [0.0, 0.0]);
    }
}
