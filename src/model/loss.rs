//! The loss: mean cross-entropy, and the output error that is its gradient at each sample's logits.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// Mean cross-entropy of logits [N, classes].
pub fn mean_cross_entropy<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, labels)
}

/// e = softmax(logits) − onehot(y), per sample: [N, classes].
pub fn error<B: Backend>(logits: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 2> {
    let [_, classes] = logits.dims();
    let target = labels.one_hot::<2>(classes).float().cast(logits.dtype());
    softmax(logits, 1) - target
}
