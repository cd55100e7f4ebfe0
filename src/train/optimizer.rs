//! AdamW (Loshchilov & Hutter 2019) with PyTorch's ε and decay. The state is kept by parameter
//! name, each with its own step count: AdamW couples no two parameters, so this is one independent
//! optimiser a block, one for the embedding and one for the readout (protocol §1), and a part that
//! a method does not train has no state and does not decay.

use super::step::Gradients;
use crate::backend::float_tensor;
use crate::config::{Config, Schedule};
use crate::model::{Change, Network, map_named};
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, SimpleOptimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// AdamW over the named parameters of a network.
pub struct Optimizer<B: AutodiffBackend> {
    adamw: AdamW,
    state: BTreeMap<String, AdamWState<B::InnerBackend, 1>>,
}

/// One parameter's state on the host.
#[derive(Clone, Debug)]
pub struct HostState {
    /// Steps taken.
    pub time: usize,
    pub moment_1: TensorData,
    pub moment_2: TensorData,
}

impl<B: AutodiffBackend> Optimizer<B> {
    /// A fresh optimiser.
    pub fn new(config: &Config) -> Self {
        let adamw = AdamWConfig::new()
            .with_beta_1(config.beta_1 as f32)
            .with_beta_2(config.beta_2 as f32)
            .with_epsilon(config.epsilon as f32)
            .with_weight_decay(config.weight_decay as f32)
            .build();
        Self { adamw, state: BTreeMap::new() }
    }

    /// Moves every parameter that has a gradient.
    pub fn step<N: Network<B>>(&mut self, net: N, gradients: Gradients<B>, rate: f64) -> N {
        map_named(net, &mut Update { optimizer: self, gradients, rate })
    }

    /// The state on the host, by parameter name.
    pub fn export(&self) -> BTreeMap<String, HostState> {
        let host = |(name, state): (&String, &AdamWState<B::InnerBackend, 1>)| {
            let momentum = &state.momentum;
            let state = HostState {
                time: momentum.time,
                moment_1: momentum.moment_1.to_data(),
                moment_2: momentum.moment_2.to_data(),
            };
            (name.clone(), state)
        };
        self.state.iter().map(host).collect()
    }

    /// Continues from `state`.
    pub fn import(&mut self, state: BTreeMap<String, HostState>, device: &B::Device) {
        let on_device = |(name, host): (String, HostState)| {
            let momentum = AdaptiveMomentumState::new(
                host.time,
                float_tensor(host.moment_1, device),
                float_tensor(host.moment_2, device),
            );
            (name, AdamWState::new(momentum))
        };
        self.state = state.into_iter().map(on_device).collect();
    }
}

struct Update<'a, B: AutodiffBackend> {
    optimizer: &'a mut Optimizer<B>,
    gradients: Gradients<B>,
    rate: f64,
}

impl<B: AutodiffBackend> Change<B> for Update<'_, B> {
    fn change(&mut self, name: &str, flat: Tensor<B, 1>) -> Option<Tensor<B, 1>> {
        let gradient = self.gradients.remove(name)?;
        let state = self.optimizer.state.remove(name);
        let (tensor, state) = self.optimizer.adamw.step(self.rate, flat.inner(), gradient, state);
        if let Some(state) = state {
            self.optimizer.state.insert(name.to_string(), state);
        }
        Some(Tensor::from_inner(tensor))
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
