//! AdamW (Loshchilov & Hutter 2019) with PyTorch's ε and decay. The state is kept by parameter
//! name, each with its own step count: AdamW couples no two parameters, so this is one independent
//! optimiser a block, one for the embedding and one for the readout (protocol §1), and a part that
//! a method does not train has no state and does not decay.

use super::step::Gradients;
use crate::backend::{AdamW, Differentiable, Kernels, Moments, float_tensor};
use crate::config::{Config, Schedule};
use crate::model::{Change, Network, map_named};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// AdamW over the named parameters of a network.
pub struct Optimizer<B: AutodiffBackend> {
    /// With the rate of the newest step.
    adamw: AdamW,
    state: BTreeMap<String, Moments<B::InnerBackend>>,
}

/// One parameter's state on the host.
#[derive(Clone, Debug)]
pub struct HostState {
    /// Steps taken.
    pub time: usize,
    pub moment_1: TensorData,
    pub moment_2: TensorData,
}

impl<B: Differentiable> Optimizer<B> {
    /// A fresh optimiser.
    pub fn new(config: &Config) -> Self {
        let adamw = AdamW {
            beta_1: config.beta_1 as f32,
            beta_2: config.beta_2 as f32,
            epsilon: config.epsilon as f32,
            weight_decay: f64::from(config.weight_decay as f32),
            rate: 0.0,
        };
        Self { adamw, state: BTreeMap::new() }
    }

    /// Moves every parameter that has a gradient.
    pub fn step<N: Network<B>>(&mut self, net: N, gradients: Gradients<B>, rate: f64) -> N {
        self.adamw.rate = rate;
        map_named(net, &mut Update { optimizer: self, gradients })
    }

    /// The state on the host, by parameter name.
    pub fn export(&self) -> BTreeMap<String, HostState> {
        let host = |(name, state): (&String, &Moments<B::InnerBackend>)| {
            let state = HostState {
                time: state.time,
                moment_1: state.first.to_data(),
                moment_2: state.second.to_data(),
            };
            (name.clone(), state)
        };
        self.state.iter().map(host).collect()
    }

    /// Continues from `state`.
    pub fn import(&mut self, state: BTreeMap<String, HostState>, device: &B::Device) {
        let on_device = |(name, host): (String, HostState)| {
            let moments = Moments {
                time: host.time,
                first: float_tensor(host.moment_1, device),
                second: float_tensor(host.moment_2, device),
            };
            (name, moments)
        };
        self.state = state.into_iter().map(on_device).collect();
    }
}

struct Update<'a, B: AutodiffBackend> {
    optimizer: &'a mut Optimizer<B>,
    gradients: Gradients<B>,
}

impl<B: Differentiable> Change<B> for Update<'_, B> {
    fn change(&mut self, name: &str, flat: Tensor<B, 1>) -> Tensor<B, 1> {
        let Some(gradient) = self.gradients.remove(name) else { return flat };
        let Optimizer { adamw, state } = &mut *self.optimizer;
        let old = state.remove(name);
        let (value, moments) = B::InnerBackend::adamw(*adamw, flat.inner(), gradient, old);
        state.insert(name.to_string(), moments);
        Tensor::from_inner(value)
    }
}

/// The learning rate of `epoch` (1 … `epochs`): the cosine is stepped once an epoch, from η in the
/// first to η/2 · (1 + cos(π (E−1)/E)) in the last.
pub fn learning_rate(config: &Config, epoch: usize) -> f64 {
    match config.schedule {
        Schedule::Constant => config.learning_rate,
        Schedule::Cosine => {
            let progress = (epoch - 1) as f64 / config.epochs as f64;
            config.learning_rate / 2.0 * (1.0 + (std::f64::consts::PI * progress).cos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arch;
    use crate::data::DatasetKind;

    /// ```python
    /// o = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1e-3)
    /// s = torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=4)
    /// for _ in range(4): print(s.get_last_lr()[0]); o.step(); s.step()
    /// ```
    #[test]
    fn the_cosine_schedule_is_pytorchs() {
        let config =
            Config { epochs: 4, ..Config::published(Arch::ResMlp, DatasetKind::Synthetic) };
        let golden = [0.001, 0.0008535533905932737, 0.0005, 0.00014644660940672628];
        for (epoch, want) in (1..).zip(golden) {
            assert!((learning_rate(&config, epoch) - want).abs() < 1e-12, "epoch {epoch}");
        }
    }
}
