//! Does a step whose every credit is zero change nothing, to the bit?
//!
//! With the weights of the head and all that the rule owns set to zero no signal comes down to a block,
//! under any rule: a_l = 0 at h_0 … h_L. One step of the run's own update rule, fresh and without decay
//! and penalty, must then leave embedding and blocks as they were. What moves them is no credit. The
//! head's bias has its gradient and must move, or the step shows nothing.

use super::{Subject, zeros};
use crate::backend::Differentiable;
use crate::config::{Config, Normalise, OptimizerName};
use crate::evidence::{Checked, Part as Voided};
use crate::learn::Turn;
use crate::model::{NamedTensors, Part, batch_tensors, export};
use crate::probe::{evaluation_batch, probe_batch};
use crate::train::Optimizer;
use crate::train::checkpoint::{Checkpoint, unpack};
use crate::words::short;
use anyhow::Result;
use burn::module::Module;
use std::collections::BTreeMap;

pub const CHECK: &str = "zero credit";

/// A step under a credit of zeros.
struct Step {
    before: NamedTensors,
    after: NamedTensors,
    /// The largest entry of each gradient, by parameter.
    gradients: BTreeMap<String, f64>,
}

/// Takes the step.
///
/// # Errors
/// If a tensor of the checkpoint does not fill its shape.
pub(super) fn zero_credit<B: Differentiable>(subject: &Subject<B>) -> Result<Checked> {
    Ok(match step(subject)? {
        Ok(step) => judged(&step),
        Err(why) => Checked::not_checkable(CHECK, why),
    })
}

fn step<B: Differentiable>(subject: &Subject<B>) -> Result<Result<Step, &'static str>> {
    let Subject { checkpoint, data, device, .. } = subject;
    let own = &checkpoint.config;
    if own.optimizer != OptimizerName::Sgd && own.epsilon == 0.0 {
        return Ok(Err("Without an ε the update rule divides zero by zero."));
    }
    if own.rule().is_local() && own.normalise == Normalise::Rms && own.rms_epsilon == 0.0 {
        return Ok(Err("Without an ε the RMS normalisation divides zero by zero."));
    }
    let config = Config { penalty: 0.0, weight_decay: 0.0, ..own.clone() };
    let silent = Checkpoint {
        data: checkpoint.data.clone(),
        progress: checkpoint.progress.clone(),
        network: checkpoint.network.clone(),
        buffers: checkpoint.buffers.clone(),
        learner: BTreeMap::new(),
        slots: BTreeMap::new(),
        trajectory: Default::default(),
        imported: None,
        config,
    };
    let owned = unpack(&checkpoint.learner)?;
    let owned = owned.iter().map(|(name, data)| (name.clone(), zeros(data))).collect();
    let Some(mut trainee) = subject.with_head(&silent, None, &owned)? else {
        return Ok(Err("The network has no head of which the weights could be set to zero."));
    };
    let config = &silent.config;
    let batch = || evaluation_batch(config, data, 0);
    let net = trainee.net().clone().no_grad();
    let probed = probe_batch(&trainee, &net, config, batch(), device).trace;
    let credit = probed.credit.into_iter().flatten();
    if credit.flat_map(|a| a.iter_rows().flatten().copied().collect::<Vec<_>>()).any(|v| v != 0.0) {
        return Ok(Err(
            "The credit is not zero where the head's weights and all that the rule owns are \
                       zero, or the hidden states are not finite.",
        ));
    }
    let (images, labels) = batch_tensors::<B>(batch(), device);
    let lesson = trainee.learn(images, labels, Turn::measuring(config.seed));
    let largest = |values: Vec<f64>| {
        values.into_iter().map(f64::abs).fold(0.0, |m, v| if v.is_nan() || v > m { v } else { m })
    };
    let gradients = lesson.network.iter().map(|(name, gradient)| {
        (name.clone(), largest(gradient.to_data().iter::<f64>().collect()))
    });
    let gradients = gradients.collect();
    let before = export(trainee.net());
    let mut optimizer = Optimizer::<B>::new(config);
    trainee.update(|net| optimizer.step(net, lesson.network, config.learning_rate));
    Ok(Ok(Step { before, after: export(trainee.net()), gradients }))
}

fn judged(step: &Step) -> Checked {
    let change = |name: &String| -> f64 {
        let (Some(before), Some(after)) = (step.before.get(name), step.after.get(name)) else {
            return f64::NAN;
        };
        let pairs = before.iter::<f64>().zip(after.iter::<f64>());
        let moved = pairs.filter(|(b, a)| b != a).map(|(b, a)| (a - b).abs());
        moved.fold(0.0, |m, v| if v.is_nan() || v > m { v } else { m })
    };
    let gradient = |name: &String| step.gradients.get(name).copied().unwrap_or(0.0);
    let by_credit = |name: &&String| !matches!(Part::of(name), Part::Readout);
    let moved =
        step.before.keys().filter(by_credit).find(|n| gradient(n) != 0.0 || change(n) != 0.0);
    if let Some(name) = moved {
        let finding = format!(
            "Under a credit of zeros a step still reaches {name}: its gradient has entries up to {}, and it \
             moves by up to {}. Something else than the credit trains it.",
            short(gradient(name)),
            short(change(name))
        );
        return Checked::contradicted(CHECK, &[Voided::DepthUtility], finding);
    }
    if step.before.keys().all(|name| change(name) == 0.0) {
        return Checked::not_checkable(
            CHECK,
            "The step moved nothing at all, not even the readout.",
        );
    }
    Checked::holds(
        CHECK,
        "A step under a credit of zeros moves the readout and leaves embedding and blocks as they were, \
         to the bit.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Standing;
    use burn::tensor::TensorData;

    fn step() -> Step {
        let named = |name: &str, values: [f32; 2]| (name.to_string(), TensorData::from(values));
        let before: NamedTensors = [
            named("embed.weight", [0.5, -1.0]),
            named("blocks.0.linear1.weight", [0.25, 2.0]),
            named("readout.head.bias", [0.0, 0.0]),
        ]
        .into();
        let mut after = before.clone();
        after.extend([named("readout.head.bias", [1e-3, -1e-3])]);
        let gradients = [("readout.head.bias".to_string(), 0.5)].into();
        Step { before, after, gradients }
    }

    fn caught(step: &Step, words: &str) {
        let found = judged(step);
        assert_eq!(found.standing, Standing::Contradicted, "{}", found.finding);
        assert!(found.finding.contains(words), "{}", found.finding);
    }

    #[test]
    fn a_step_that_moves_the_readout_alone_is_not_accused() {
        assert_eq!(judged(&step()).standing, Standing::Holds);
    }

    #[test]
    fn a_block_that_moves_by_one_bit_under_zero_credit_is_named() {
        let mut step = step();
        let next = f32::from_bits(0.25f32.to_bits() + 1);
        let moved = ("blocks.0.linear1.weight".into(), TensorData::from([next, 2.0f32]));
        step.after.extend([moved]);
        caught(&step, "still reaches blocks.0.linear1.weight");
    }

    #[test]
    fn an_embedding_with_a_gradient_of_its_own_under_zero_credit_is_named() {
        let mut step = step();
        step.gradients.insert("embed.weight".into(), 1e-7);
        caught(&step, "still reaches embed.weight: its gradient has entries up to 1.0e-7");
    }

    #[test]
    fn zero_over_zero_under_zero_credit_is_named() {
        let mut step = step();
        step.gradients.insert("blocks.0.linear1.weight".into(), f64::NAN);
        caught(&step, "entries up to nan");
    }

    #[test]
    fn a_step_that_moves_nothing_shows_nothing() {
        let mut step = step();
        step.after = step.before.clone();
        assert_eq!(judged(&step).standing, Standing::NotCheckable);
    }
}
