//! The objective: what a network's outputs are held against. Step, probe, evaluation, controls and
//! shadow read their loss, their error and their score here.

use crate::config::Objective;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

impl Objective {
    /// The mean loss of outputs [N, C] on labels [N]: cross-entropy, or ½‖z − onehot(y)‖².
    pub fn mean_loss<B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Tensor<B, 1> {
        match self {
            Self::CrossEntropy => {
                CrossEntropyLossConfig::new().init(&outputs.device()).forward(outputs, labels)
            }
            Self::SquaredError => {
                let [n, _] = outputs.dims();
                self.error(outputs, labels).square().sum().mul_scalar(0.5 / n as f64)
            }
        }
    }

    /// e, the gradient of each sample's own loss at its outputs [N, C]: softmax(z) − onehot(y), or
    /// z − onehot(y).
    pub fn error<B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Tensor<B, 2> {
        let [_, classes] = outputs.dims();
        let target = labels.one_hot::<2>(classes).float().cast(outputs.dtype());
        match self {
            Self::CrossEntropy => softmax(outputs, 1) - target,
            Self::SquaredError => outputs - target,
        }
    }

    /// The loss of each row of `outputs` [N, C], on the device: [N].
    pub fn sample_losses<B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Tensor<B, 1> {
        let each = match self {
            Self::CrossEntropy => log_softmax(outputs, 1).gather(1, labels.unsqueeze_dim(1)).neg(),
            Self::SquaredError => self.error(outputs, labels).square().sum_dim(1).mul_scalar(0.5),
        };
        each.squeeze_dim(1)
    }

    /// The loss of each row of `outputs` [N, C], in f64: differences of losses are as fine as the
    /// outputs allow.
    pub fn losses<B: Backend>(self, outputs: Tensor<B, 2>, labels: &[u32]) -> Vec<f64> {
        let [_, classes] = outputs.dims();
        let rows = outputs.into_data().convert::<f64>().into_vec::<f64>().expect("converted");
        rows.chunks(classes).zip(labels).map(|(row, y)| self.loss(row, *y as usize)).collect()
    }

    /// The loss of one sample's outputs.
    pub fn loss(self, outputs: &[f64], label: usize) -> f64 {
        match self {
            Self::CrossEntropy => {
                let top = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = outputs.iter().map(|v| (v - top).exp()).sum();
                sum.ln() + top - outputs[label]
            }
            Self::SquaredError => {
                let square = |(c, z): (usize, &f64)| (z - f64::from(c == label)).powi(2);
                outputs.iter().enumerate().map(square).sum::<f64>() / 2.0
            }
        }
    }
}

/// The score: number of samples whose largest output is the label's, [1].
pub fn hits<B: Backend>(outputs: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1, Int> {
    outputs.argmax(1).squeeze_dim::<1>(1).equal(labels).int().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropies_are_the_negative_log_probabilities() {
        let loss = |outputs: &[f64], label| Objective::CrossEntropy.loss(outputs, label);
        assert!((loss(&[0.0, 0.0], 1) - 2f64.ln()).abs() < 1e-12);
        assert!((loss(&[1000.0, 999.0], 1) - (1.0 + (-1f64).exp().ln_1p())).abs() < 1e-12);
    }

    #[test]
    fn squared_errors_are_half_the_distance_to_the_label() {
        let loss = |outputs: &[f64], label| Objective::SquaredError.loss(outputs, label);
        assert_eq!(loss(&[0.0, 1.0], 1), 0.0);
        assert_eq!(loss(&[3.0, 1.0, 2.0], 1), (9.0 + 4.0) / 2.0);
    }
}
