//! Direct feedback alignment (Nøkland 2016; protocol §2.1):
//!
//! a_l = B_l e,  B_l ∈ R^{d×C} fixed and random,  e = softmax(logits) − onehot(y),
//!
//! the error not divided by the batch size. A measurement at h_L uses B_{L−1} again, unless a_L trains.
//!
//! Where h_l is a feature map, d counts all its positions. `feedback_form = tiled` makes B_l of a kernel
//! K_l ∈ R^{k·k·C_l×C}, as BioTorch does: the error stands at every position of what a convolution makes of
//! h_l, and crosses that convolution backward through K_l.

use super::{Card, Credit, Entry, Given, Known, LocalRule, Own, Rule, Scene};
use crate::backend::{Differentiable, Kernels, Window};
use crate::config::{Config, FeedbackForm};
use crate::model::{CreditAt, Network, Outline};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::borrow::Cow;

/// Direct feedback alignment.
pub struct Dfa;

impl Rule for Dfa {
    const CARD: Card = Card {
        paper: "Nøkland 2016",
        equation: "a_l = B_l e",
        differs: "blocks and not single layers are given credit, scaled to an RMS of 1",
        limits: "the credit of a block does not depend on the blocks above it",
        proof: "dfa_with_the_product_of_the_weights_above_is_backpropagation",
        given: Given::Nowhere,
    };

    fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
        layout(config, outline)
    }
}

impl LocalRule for Dfa {
    const DIRECT: bool = true;

    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend> {
        credit(known.error.clone(), &whole(scene), known.blocks)
    }
}

/// B_0 … B_{L−1}, and B_L where a_L trains; a network without blocks has one, for its only hidden state.
pub fn layout(config: &Config, outline: &Outline) -> Vec<Entry> {
    let layers = match outline.credit_at {
        CreditAt::Input => outline.blocks.len().max(1),
        CreditAt::Output => outline.hidden.len(),
    };
    let rows = |(d, window): (usize, &Option<Window>)| match (config.feedback_form, window) {
        (FeedbackForm::Tiled, Some(window)) => d / window.inputs() * window.covered(),
        _ => d,
    };
    let rows = outline.widths().zip(&outline.windows).map(rows);
    let shapes = rows.take(layers).map(|rows| [rows, outline.outputs]);
    let entries = Entry::feedbacks(config, shapes).zip(outline.windows.iter());
    let entry = |(entry, window): (Entry, &Option<Window>)| match (config.feedback_form, window) {
        // A feature sums k · k of the kernel's numbers.
        (FeedbackForm::Tiled, Some(window)) => {
            Entry { draw: entry.draw.over(window.kernel as f64), ..entry }
        }
        _ => entry,
    };
    entries.map(entry).collect()
}

/// B_0, B_1, … with a row for every feature, whatever they are made of.
pub fn whole<'a, B: Differentiable, N: Network<B>>(
    scene: &Scene<'a, B, N>,
) -> Cow<'a, Own<B::InnerBackend>> {
    if scene.settings.feedback_form == FeedbackForm::Full {
        return Cow::Borrowed(scene.own);
    }
    let matrix = |(l, b): (usize, &Tensor<B::InnerBackend, 2>)| match scene.net.window(l) {
        Some(window) => tiled(b.clone(), window),
        None => b.clone(),
    };
    let layers = scene.own.layers().enumerate().map(matrix).collect();
    Cow::Owned(Own::of_feedback(layers, None))
}

/// B [H · W · C_l, C] of a kernel [k · k · C_l, C].
pub fn tiled<B: Kernels>(kernel: Tensor<B, 2>, window: Window) -> Tensor<B, 2> {
    let [covered, classes] = kernel.dims();
    let (device, dtype) = (kernel.device(), kernel.dtype());
    // Of each class the map on which its error is one at every position.
    let each = Tensor::<B, 2>::eye(classes, &device).cast(dtype).reshape([classes, 1, classes]);
    let everywhere = each.repeat_dim(1, window.outputs());
    let everywhere = everywhere.reshape([classes * window.outputs(), classes]);
    let reached = B::convolution_backward_x(kernel, everywhere, window);
    let channels = covered / window.covered();
    reached.reshape([classes, window.inputs() * channels]).transpose()
}

/// a_0 … a_L [N, d] of the error e [N, C].
pub fn credit<B: Backend>(error: Tensor<B, 2>, own: &Own<B>, blocks: usize) -> Credit<B> {
    let mut layers: Vec<_> =
        own.layers().map(|b| error.clone().matmul(b.clone().transpose())).collect();
    // A network without blocks has one matrix, for its only hidden state.
    if layers.len() == blocks {
        layers.extend(layers.last().cloned());
    }
    Credit { layers, embed: None }
}
