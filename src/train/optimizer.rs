//! From gradients to new parameters: one walk over the network's and the learner's own, each by the
//! run's update rule, and the learning rate over the epochs. The rule's state is kept by parameter
//! name, each with its own step count: no two parameters are coupled, so this is one independent
//! optimiser a block, one for the embedding and one for the readout (protocol §1), and a part that a
//! method does not train has no state and does not decay.

use super::update::{self, Parameter, Slots, UpdateRule};
use crate::backend::{Differentiable, float_tensor};
use crate::config::{Config, Schedule};
use crate::learn::{Average, Entry, Gradients, Learner, layout};
use crate::model::{Change, Network, Part, map_named};
use anyhow::{Result, bail};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// An update rule with its state, over the named parameters of a network and its learner.
pub struct Optimizer<B: AutodiffBackend> {
    rule: Box<dyn UpdateRule<B::InnerBackend>>,
    /// That of auxiliary networks, and their learning rate over the run's.
    auxiliary: Box<dyn UpdateRule<B::InnerBackend>>,
    auxiliary_rate: f64,
    slots: BTreeMap<String, Slots<B::InnerBackend>>,
    /// The parts that the learner's own parameters are updated as.
    parts: BTreeMap<String, Part>,
    /// Those of them that follow others.
    averages: BTreeMap<String, Average>,
}

/// Of what no update rule moves.
const NO_SLOTS: &[&[&str]] = &[&[]];

/// One parameter's state on the host.
#[derive(Clone, Debug)]
pub struct HostSlots {
    /// Steps taken.
    pub time: usize,
    /// By the name that the update rule gives them; each as long as the parameter.
    pub values: BTreeMap<String, TensorData>,
}

impl<B: Differentiable> Optimizer<B> {
    /// A fresh optimiser.
    pub fn new(config: &Config) -> Self {
        let own = layout(config, config.dataset.classes());
        let part = |entry: &Entry| (entry.name.clone(), entry.part);
        let average = |entry: &Entry| Some((entry.name.clone(), entry.average.clone()?));
        Self {
            rule: update::of(config),
            auxiliary: update::of_auxiliary(config),
            auxiliary_rate: config.auxiliary_learning_rate / config.learning_rate,
            slots: BTreeMap::new(),
            parts: own.iter().map(part).collect(),
            averages: own.iter().filter_map(average).collect(),
        }
    }

    /// Moves every parameter of the network that has a gradient.
    pub fn step<N: Network<B>>(&mut self, net: N, gradients: Gradients<B>, rate: f64) -> N {
        map_named(net, &mut Walk { optimizer: self, gradients, rate })
    }

    /// Moves what the learner owns and has a gradient for, and then what follows it.
    pub fn step_own(&mut self, learner: &mut Learner<B>, mut gradients: Gradients<B>, rate: f64) {
        if gradients.is_empty() {
            return;
        }
        learner.own_mut().change(|name, shape, value| {
            let Some(gradient) = gradients.remove(name) else { return value };
            self.update(Parameter { name, shape, part: self.part(name) }, value, gradient, rate)
        });
        for (name, average) in &self.averages {
            learner.own_mut().follow(name, average);
        }
    }

    /// What the learner's parameter `name` is updated as.
    fn part(&self, name: &str) -> Part {
        self.parts.get(name).copied().unwrap_or(Part::Learner)
    }

    fn update(
        &mut self,
        parameter: Parameter<'_>,
        value: Tensor<B::InnerBackend, 1>,
        gradient: Tensor<B::InnerBackend, 1>,
        rate: f64,
    ) -> Tensor<B::InnerBackend, 1> {
        let slots = self.slots.remove(parameter.name).unwrap_or_default();
        let (value, slots) = match parameter.part {
            Part::Auxiliary => {
                let rate = rate * self.auxiliary_rate;
                self.auxiliary.update(rate, &parameter, value, gradient, slots)
            }
            Part::Given => (gradient, Slots { time: slots.time + 1, ..slots }),
            _ => self.rule.update(rate, &parameter, value, gradient, slots),
        };
        self.slots.insert(parameter.name.to_string(), slots);
        value
    }

    /// The state on the host, by parameter name.
    pub fn export(&self) -> BTreeMap<String, HostSlots> {
        let host = |(name, slots): (&String, &Slots<B::InnerBackend>)| {
            let value = |(slot, value): (&&'static str, &Tensor<B::InnerBackend, 1>)| {
                (slot.to_string(), value.to_data())
            };
            let values = slots.values.iter().map(value).collect();
            (name.clone(), HostSlots { time: slots.time, values })
        };
        self.slots.iter().map(host).collect()
    }

    /// Continues from `state`.
    ///
    /// # Errors
    /// Names a parameter whose slots are not those that the update rule keeps.
    pub fn import(&mut self, state: BTreeMap<String, HostSlots>, device: &B::Device) -> Result<()> {
        for (name, HostSlots { time, values: host }) in state {
            let whole = |set: &&&[&str]| set.iter().copied().eq(host.keys().map(String::as_str));
            let sets = match self.part(&name) {
                Part::Auxiliary => self.auxiliary.slots(),
                Part::Given => NO_SLOTS,
                _ => self.rule.slots(),
            };
            let Some(set) = sets.iter().find(whole) else {
                let found: Vec<_> = host.keys().cloned().collect();
                bail!(
                    "the optimiser's state of {name} is [{}], expected {:?}",
                    found.join(", "),
                    sets
                );
            };
            let values = set.iter().zip(host.into_values());
            let values = values.map(|(slot, value)| (*slot, float_tensor(value, device)));
            self.slots.insert(name, Slots { time, values: values.collect() });
        }
        Ok(())
    }
}

struct Walk<'a, B: AutodiffBackend> {
    optimizer: &'a mut Optimizer<B>,
    gradients: Gradients<B>,
    rate: f64,
}

impl<B: Differentiable> Change<B> for Walk<'_, B> {
    fn change(&mut self, name: &str, shape: &[usize], flat: Tensor<B, 1>) -> Tensor<B, 1> {
        let Some(gradient) = self.gradients.remove(name) else { return flat };
        let parameter = Parameter { name, shape, part: Part::of(name) };
        let value = self.optimizer.update(parameter, flat.inner(), gradient, self.rate);
        Tensor::from_inner(value)
    }
}

/// The learning rate of `epoch` (1 … `epochs`): the cosine is stepped once an epoch, from η in the
/// first to η/2 · (1 + cos(π (E−1)/E)) in the last.
pub fn learning_rate(config: &Config, epoch: usize) -> f64 {
    match config.schedule {
        Schedule::Constant => config.learning_rate,
        Schedule::Cosine => {
            let progress = (epoch - 1) as f64 / config.planned(epoch) as f64;
            config.learning_rate / 2.0 * (1.0 + (std::f64::consts::PI * progress).cos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Arch, OptimizerName};
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

    /// A checkpoint of another update rule would go on with fresh moments, in silence.
    #[cfg(feature = "flex")]
    #[test]
    fn the_state_of_another_update_rule_is_refused_by_parameter() {
        type B = burn::backend::Autodiff<burn::backend::Flex>;
        let published = Config::published(Arch::ResMlp, DatasetKind::Synthetic);
        let state = |slots: &[&str]| {
            let values = slots.iter().map(|slot| (slot.to_string(), TensorData::from([0f32; 3])));
            [("embed.bias".into(), HostSlots { time: 1, values: values.collect() })].into()
        };
        let import = |optimizer, slots| {
            let config = Config { optimizer, ..published.clone() };
            Optimizer::<B>::new(&config).import(state(slots), &Default::default())
        };
        assert!(import(OptimizerName::Adamw, &["moment_1", "moment_2"]).is_ok());
        assert!(import(OptimizerName::Sgd, &["momentum"]).is_ok());
        assert!(import(OptimizerName::Muon, &["momentum"]).is_ok());
        for slots in [&["momentum"][..], &["moment_1"], &[]] {
            let error = import(OptimizerName::Adamw, slots).unwrap_err().to_string();
            assert!(error.contains("embed.bias") && error.contains("moment_1"), "{error}");
        }
    }
}
