//! Layers built from named random streams. Burn initialises lazily from one process-wide seed;
//! here each parameter is drawn at once, on the host, from the stream `init/<name>`, so that the
//! initial network is the same on every backend and does not depend on the order of drawing.

use super::{LayerNorm, Linear};
use crate::backend::float_tensor;
use crate::rng;
use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::distr::{Distribution, Uniform};
use rand_distr::Normal;

/// How the values of a parameter are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// U(−k, k).
    Uniform(f64),
    /// N(0, σ²).
    Normal(f64),
    Constant(f64),
}

impl Draw {
    /// PyTorch's default for an affine map, weight and bias: U(±1/√in).
    pub fn of_linear(inputs: usize) -> Self {
        Self::Uniform(1.0 / (inputs as f64).sqrt())
    }

    /// The same, of a `divisor`-th of the size.
    pub fn over(self, divisor: f64) -> Self {
        match self {
            Self::Uniform(k) => Self::Uniform(k / divisor),
            Self::Normal(std) => Self::Normal(std / divisor),
            Self::Constant(value) => Self::Constant(value / divisor),
        }
    }

    /// The standard deviation of what is drawn.
    pub fn std(self) -> f64 {
        match self {
            Self::Uniform(k) => k / 3f64.sqrt(),
            Self::Normal(std) => std,
            Self::Constant(_) => 0.0,
        }
    }
}

/// Builds the parameters of one network.
pub struct Init<'a, B: Backend> {
    seed: u64,
    device: &'a B::Device,
    next_id: u64,
}

impl<'a, B: Backend> Init<'a, B> {
    pub fn new(seed: u64, device: &'a B::Device) -> Self {
        Self { seed, device, next_id: 0 }
    }

    /// A parameter drawn from the stream `init/<name>`.
    pub fn param<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        draw: Draw,
    ) -> Param<Tensor<B, D>> {
        let values = draw_values(self.seed, &format!("init/{name}"), shape.iter().product(), draw);
        let tensor = float_tensor(TensorData::new(values, shape), self.device);
        self.own(tensor)
    }

    /// PyTorch's default Linear: weight [in, out] and bias from U(±1/√in).
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Linear<B> {
        let bound = Draw::of_linear(inputs);
        self.linear_with(name, inputs, outputs, bound, bound)
    }

    /// A Linear with chosen draws for weight and bias.
    pub fn linear_with(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        weight: Draw,
        bias: Draw,
    ) -> Linear<B> {
        Linear {
            weight: self.param(&format!("{name}.weight"), [inputs, outputs], weight),
            bias: self.param(&format!("{name}.bias"), [outputs], bias),
            name: name.into(),
        }
    }

    /// LayerNorm over d features, γ = 1 and β = 0.
    pub fn layer_norm(&mut self, width: usize) -> LayerNorm<B> {
        LayerNorm {
            gamma: self.param("gamma", [width], Draw::Constant(1.0)),
            beta: self.param("beta", [width], Draw::Constant(0.0)),
        }
    }

    /// Ids in order of construction: Burn's random ones would differ from run to run.
    fn own<const D: usize>(&mut self, tensor: Tensor<B, D>) -> Param<Tensor<B, D>> {
        self.next_id += 1;
        Param::initialized(ParamId::from(self.next_id), tensor.require_grad())
    }
}

/// `count` values from the stream `name`. Drawn in f64, so that an f64 network starts from the
/// same numbers as an f32 one.
pub fn draw_values(seed: u64, name: &str, count: usize, draw: Draw) -> Vec<f64> {
    let stream = rng::stream(seed, name);
    match draw {
        Draw::Uniform(k) => {
            let uniform = Uniform::new_inclusive(-k, k).expect("a finite bound");
            uniform.sample_iter(stream).take(count).collect()
        }
        Draw::Normal(std) => {
            let normal = Normal::new(0.0, std).expect("a finite standard deviation");
            normal.sample_iter(stream).take(count).collect()
        }
        Draw::Constant(value) => vec![value; count],
    }
}
