//! A convolution of feature maps, which are rows: [N · H · W, C].

use super::Pass;
use super::init::{Draw, Init};
use crate::backend::{Affine, Kernels, Window, float_tensor};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// weight [k · k · C, C'], a row for each value that the window sees, row by row and channels last;
/// bias [C'], where there is one.
#[derive(Module, Debug)]
pub struct Convolution<B: Backend> {
    weight: Param<Tensor<B, 2>>,
    bias: Option<Param<Tensor<B, 1>>>,
    /// Its parameters' names begin with it: `blocks.0.conv`.
    name: String,
}

impl<B: Kernels> Convolution<B> {
    /// The one called `name`, with PyTorch's default initialisation: U(±1/√(k · k · C)).
    pub(super) fn new(
        init: &mut Init<B>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        with_bias: bool,
    ) -> Self {
        let bound = Draw::of_linear(inputs);
        Self {
            weight: init.param(&format!("{name}.weight"), [inputs, outputs], bound),
            bias: with_bias.then(|| init.param(&format!("{name}.bias"), [outputs], bound)),
            name: name.into(),
        }
    }

    /// [N · H' · W', C'] of maps [N · H · W, C].
    pub fn forward(&self, x: Tensor<B, 2>, window: Window, pass: &Pass<B>) -> Tensor<B, 2> {
        let weight = self.weight.val();
        let [_, outputs] = weight.dims();
        let bias = match &self.bias {
            Some(bias) => bias.val(),
            None => float_tensor(TensorData::new(vec![0f64; outputs], [outputs]), &x.device()),
        };
        B::convolution(x, window, Affine { weight, bias, back: pass.back.back(&self.name) })
    }
}

/// Images [N, C · H · W], channel planes in row-major order, as maps [N · H · W, C].
pub(super) fn of_images<B: Backend>(images: Tensor<B, 2>, channels: usize) -> Tensor<B, 2> {
    let [n, values] = images.dims();
    let positions = values / channels;
    images.reshape([n, channels, positions]).swap_dims(1, 2).reshape([n * positions, channels])
}
