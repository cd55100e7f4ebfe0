//! Direct feedback alignment (Nøkland 2016; protocol §2.1):
//!
//! a_l = B_l e,  B_l ∈ R^{d×C} fixed and random,  e = softmax(logits) − onehot(y),
//!
//! the error not divided by the batch size. A measurement at h_L uses B_{L−1} again.

use super::{Credit, Feedback};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// a_0 … a_L [N, d] of the error e [N, C].
pub fn credit<B: Backend>(error: Tensor<B, 2>, feedback: &Feedback<B>) -> Credit<B> {
    let mut layers: Vec<_> =
        feedback.layers().map(|b| error.clone().matmul(b.clone().transpose())).collect();
    // A network without blocks has one matrix, for its only hidden state.
    if feedback.blocks() > 0 {
        layers.extend(layers.last().cloned());
    }
    Credit { layers, embed: None }
}
