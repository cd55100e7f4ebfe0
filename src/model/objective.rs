//! The objective: what a network's outputs are held against. Step, probe, evaluation, controls and
//! shadow read their loss, their error and their score here.

use super::{Target, Wanted};
use crate::config::Objective;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

impl Objective {
    /// The mean loss of outputs [N, C]: cross-entropy with classes, or ½‖z − y‖², y one-hot for a
    /// class.
    ///
    /// # Panics
    /// If cross-entropy is asked of values, which no validated configuration does.
    pub fn mean_loss<B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        target: impl Into<Target<B>>,
    ) -> Tensor<B, 1> {
        let target = target.into();
        match (self, target) {
            (Self::CrossEntropy, Target::Classes(labels)) => {
                CrossEntropyLossConfig::new().init(&outputs.device()).forward(outputs, labels)
            }
            (Self::CrossEntropy, Target::Values(_)) => panic!("{NO_CLASSES}"),
            (Self::SquaredError, target) => {
                let [n, _] = outputs.dims();
                self.error(outputs, target).square().sum().mul_scalar(0.5 / n as f64)
            }
        }
    }

    /// e, the gradient of each sample's own loss at its outputs [N, C]: softmax(z) − y, or z − y.
    pub fn error<B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        target: impl Into<Target<B>>,
    ) -> Tensor<B, 2> {
        let target = target.into().as_outputs(&outputs);
        match self {
            Self::CrossEntropy => softmax(outputs, 1) - target,
            Self::SquaredError => outputs - target,
        }
    }

    /// The loss of each row of `outputs` [N, C], on the device: [N].
    ///
    /// # Panics
    /// As [`Objective::mean_loss`].
    pub fn sample_losses<B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        target: impl Into<Target<B>>,
    ) -> Tensor<B, 1> {
        let each = match (self, target.into()) {
            (Self::CrossEntropy, Target::Classes(labels)) => {
                log_softmax(outputs, 1).gather(1, labels.unsqueeze_dim(1)).neg()
            }
            (Self::CrossEntropy, Target::Values(_)) => panic!("{NO_CLASSES}"),
            (Self::SquaredError, target) => {
                self.error(outputs, target).square().sum_dim(1).mul_scalar(0.5)
            }
        };
        each.squeeze_dim(1)
    }

    /// The loss of each row of `outputs` [N, C], in f64: differences of losses are as fine as the
    /// outputs allow.
    ///
    /// # Panics
    /// As [`Objective::mean_loss`].
    pub fn losses<'a, B: Backend>(
        self,
        outputs: Tensor<B, 2>,
        wanted: impl Into<Wanted<'a>>,
    ) -> Vec<f64> {
        let [_, classes] = outputs.dims();
        let rows = outputs.into_data().convert::<f64>().into_vec::<f64>().expect("converted");
        let rows = rows.chunks(classes);
        match wanted.into() {
            Wanted::Classes(labels) => {
                rows.zip(labels).map(|(row, y)| self.loss(row, *y as usize)).collect()
            }
            Wanted::Values(values) => {
                assert!(self == Self::SquaredError, "{NO_CLASSES}");
                let square = |(z, y): (&f64, &f32)| (z - f64::from(*y)).powi(2);
                let loss = |(row, y): (&[f64], &[f32])| -> f64 {
                    row.iter().zip(y).map(square).sum::<f64>() / 2.0
                };
                rows.zip(values.chunks(classes)).map(loss).collect()
            }
        }
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

const NO_CLASSES: &str = "cross-entropy needs classes";

/// The score: number of samples whose largest output is the label's, or the largest wanted one, [1].
pub fn hits<B: Backend>(outputs: Tensor<B, 2>, target: impl Into<Target<B>>) -> Tensor<B, 1, Int> {
    outputs.argmax(1).squeeze_dim::<1>(1).equal(target.into().classes()).int().sum()
}

/// Number of samples for which fewer than `most` outputs are larger than the label's, [1].
pub fn hits_among<B: Backend>(
    most: usize,
    outputs: Tensor<B, 2>,
    target: impl Into<Target<B>>,
) -> Tensor<B, 1, Int> {
    let own = outputs.clone().gather(1, target.into().classes().unsqueeze_dim(1));
    let larger = outputs.greater(own).int().sum_dim(1).squeeze_dim::<1>(1);
    larger.lower_elem(most as i64).int().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "flex")]
    use burn::backend::Flex;

    #[test]
    #[cfg(feature = "flex")]
    fn a_label_is_among_the_largest_outputs_where_fewer_are_larger() {
        let device = Default::default();
        let outputs = Tensor::<Flex, 2>::from_floats(
            [[5.0, 4.0, 3.0, 2.0], [1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]],
            &device,
        );
        let labels = Tensor::<Flex, 1, Int>::from_ints([1, 2, 0], &device);
        let count = |most| {
            let found = hits_among(most, outputs.clone(), labels.clone());
            found.into_data().iter::<i64>().sum::<i64>()
        };
        assert_eq!([1, 2, 3, 4].map(count), [1, 2, 2, 3]);
        let first = hits(outputs.clone(), labels.clone());
        // Of equal outputs the first is the largest.
        assert_eq!(first.into_data().iter::<i64>().sum::<i64>(), 0);
    }

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
