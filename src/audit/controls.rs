//! All controls of one checkpoint: what runs the network again is measured here, what is arithmetic
//! on a trace is left to `diagnostics`.

use super::double::{Doubles, InDouble};
use super::rerun::Rerun;
use crate::backend;
use crate::backend::Differentiable;
use crate::config::Config;
use crate::data::Dataset;
use crate::diagnostics::controls::{Control, Controls, Layered};
use crate::diagnostics::cosine::per_layer;
use crate::diagnostics::descent::{Descent, descent};
use crate::diagnostics::nudging::nudging;
use crate::diagnostics::null::{NullCalibration, null_calibration};
use crate::diagnostics::perturbation::{PerturbationPairs, perturbation};
use crate::diagnostics::rank::{RankOf, Ranks, rank, ranks_of_trace};
use crate::diagnostics::shadow::{Pair, Shadow, shadow};
use crate::diagnostics::{Unmeasured, aggregation, clamp, common_mode};
use crate::learn::Trainee;
use crate::model::{Net, batch_tensors, export};
use crate::probe::{Probe, credit, evaluation_batch};
use crate::rng;
use crate::train::checkpoint::{Checkpoint, unpack};
use anyhow::Result;
use burn::module::Module;
use rand::Rng as _;

/// The checkpoint whose controls are wanted.
pub struct Subject<'a, B: Differentiable> {
    pub trainee: &'a Trainee<B>,
    /// That the trainee comes from.
    pub checkpoint: &'a Checkpoint,
    pub config: &'a Config,
    pub data: &'a Dataset,
    pub device: &'a B::Device,
    /// Whether the configuration's seed drew the parameters that training began from.
    pub start_is_known: bool,
}

/// Computes every control that the network allows.
///
/// # Errors
/// If the checkpoint's feedback does not fit its network.
pub fn controls<B: Differentiable>(subject: &Subject<B>, probe: &Probe<B>) -> Result<Controls> {
    let Subject { trainee, config, data, device, .. } = subject;
    let null = null(subject, probe)?;
    let rerun = Rerun::new(trainee, config, data, device);
    let correlation = |pairs: &[PerturbationPairs], precision| {
        let (epsilon, directions) = (config.perturbation_epsilon, config.perturbation_directions);
        Control::Found(perturbation(pairs, epsilon, directions, rerun.samples(), precision))
    };
    let single = rerun.perturbed(config.perturbation_directions, config.perturbation_epsilon);
    let single = correlation(&single, "f32");
    let step = config.nudge_step;
    let (perturbation, nudging, shadow, descent) = match in_double(subject, probe) {
        Some(doubles) => {
            let doubles = doubles?;
            (
                correlation(&doubles.perturbed, "f64"),
                nudging(&doubles.nudged, step),
                shadowed(probe, &doubles),
                descended(config, &doubles),
            )
        }
        None => {
            let why = "this build has no f64 backend: build it with `--features flex`";
            let nudging = nudging(&rerun.nudged(step), step);
            (single.clone(), nudging, Control::missing(why), Control::missing(why))
        }
    };
    Ok(Controls {
        perturbation,
        perturbation_f32: single,
        nudging: Control::Found(nudging),
        descent,
        shadow,
        common_mode: common_mode::common_mode(&probe.trace).into(),
        clamp: clamp::clamp(&probe.trace).into(),
        aggregation: aggregation::aggregation(&probe.trace, null.as_ref().ok()).into(),
        rank: ranks(subject, probe)?.into(),
        layered: Layered::of(&probe.trace),
        null: null.into(),
    })
}

/// The cosines under fresh feedback: the rule's own credit on the same batches, drawn `null_draws`
/// times from the streams `control/null/<draw>`.
///
/// # Errors
/// If the fresh feedback does not fit the network: never for a validated configuration.
pub fn null<B: Differentiable>(
    subject: &Subject<B>,
    probe: &Probe<B>,
) -> Result<Result<NullCalibration, Unmeasured>> {
    let Subject { trainee, config, data, device, .. } = subject;
    let net = trainee.net().clone().no_grad();
    let classes = data.provenance.classes;
    let mut trace = probe.trace.clone();
    let mut draws = Vec::with_capacity(config.null_draws);
    for draw in 0..config.null_draws {
        let seed = rng::stream(config.seed, &format!("control/null/{draw}")).next_u64();
        let Some(fresh) = trainee.learner.redrawn(config, classes, seed, device)? else {
            return Ok(Err(Unmeasured::NoFeedback));
        };
        for (k, (batch, known)) in trace.batches.iter_mut().zip(&probe.known).enumerate() {
            let again = || batch_tensors::<B>(evaluation_batch(config, data, k), device);
            batch.credit = credit(trainee, &fresh, &net, config.measure, known, again);
        }
        match per_layer(&trace) {
            Ok(values) => draws.push(values),
            Err(unmeasured) => return Ok(Err(unmeasured)),
        }
    }
    Ok(per_layer(&probe.trace).and_then(|trained| null_calibration(&trained, &draws)))
}

fn in_double<B: Differentiable>(subject: &Subject<B>, probe: &Probe<B>) -> Option<Result<Doubles>> {
    let Subject { checkpoint, config, data, .. } = subject;
    let batches = config.control_samples.div_ceil(config.probe_batch_size);
    let batches = batches.min(probe.trace.batches.len());
    backend::run_in_f64(InDouble { config, data, checkpoint, batches })
}

fn shadowed<B: Differentiable>(probe: &Probe<B>, doubles: &Doubles) -> Control<Shadow> {
    let mut pairs: Vec<Vec<Pair>> = vec![Vec::new(); probe.trace.blocks() + 1];
    for (batch, double) in probe.trace.batches.iter().zip(&doubles.gradient) {
        let single = batch.gradient.iter().flatten();
        for ((pairs, single), double) in pairs.iter_mut().zip(single).zip(double) {
            pairs.push(Pair { single, double });
        }
    }
    Control::Found(shadow(&pairs))
}

fn descended(config: &Config, doubles: &Doubles) -> Control<Descent> {
    match doubles.steps.as_slice() {
        [] => Control::missing(Unmeasured::NoBlocks.to_string()),
        steps => Control::Found(descent(steps, config.descent_step, doubles.samples, "f64")),
    }
}

/// Ranks of credit and reference gradient at each layer, and, where the initial network is known, of
/// each weight matrix's change since then.
///
/// # Errors
/// If a tensor of the checkpoint does not fill its shape. The inner one says what of the trace is
/// missing.
pub fn ranks<B: Differentiable>(
    subject: &Subject<B>,
    probe: &Probe<B>,
) -> Result<Result<Ranks, Unmeasured>> {
    let Subject { checkpoint, config, data, device, .. } = subject;
    let mut matrices = match ranks_of_trace(&probe.trace) {
        Ok(matrices) => matrices,
        Err(unmeasured) => return Ok(Err(unmeasured)),
    };
    if !subject.start_is_known {
        return Ok(Ok(Ranks { matrices }));
    }
    let initial = export(&Net::<B>::new(config, data.provenance.classes, device));
    for (name, after) in unpack(&checkpoint.network)?.iter() {
        let Some(before) = initial.get(name) else { continue };
        let [rows, cols] = after.shape[..] else { continue };
        let change: Vec<f64> =
            after.iter::<f64>().zip(before.iter::<f64>()).map(|(a, b)| a - b).collect();
        matrices.push(rank(&RankOf::Change.name(name), rows, cols, &change));
    }
    Ok(Ok(Ranks { matrices }))
}

#[cfg(test)]
mod tests {
    use crate::audit::{Auditor, Options};
    use crate::config::{Arch, Config, Method};
    use crate::data::{self, DatasetKind};
    use crate::diagnostics::controls::Controls;
    use crate::diagnostics::shadow::Resolution;
    use crate::train::run_dir::RunDir;
    use crate::train::train_quietly;

    /// The controls of a small network after two epochs.
    fn controls_of(method: Method) -> Controls {
        let config = Config {
            method,
            width: 32,
            depth: 3,
            epochs: 2,
            train_samples: 1024,
            test_samples: 512,
            probe_batches: 2,
            control_samples: 256,
            perturbation_directions: 8,
            device: "cpu".into(),
            ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
        };
        let data = data::load(config.dataset, None, &config.synthetic()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path().join("run"));
        train_quietly(&config, &data, &run).unwrap();
        let options = Options { controls: true, ..Options::default() };
        Auditor::new(options).audit(&run.checkpoint()).unwrap().controls.unwrap()
    }

    /// The gradient predicts what a small perturbation does, a random vector does not; a step along
    /// it lowers the loss; and backpropagation's own update is backpropagation's.
    #[test]
    fn the_controls_of_backpropagation_are_what_they_must_be() {
        let controls = controls_of(Method::Bp);
        for layer in &controls.perturbation.found().unwrap().per_layer {
            assert!(layer.gradient.0 > 0.999, "{layer:?}");
            assert!(layer.random.0.abs() < 0.1, "{layer:?}");
            assert_eq!(layer.credit, layer.gradient);
        }
        for layer in &controls.nudging.found().unwrap().per_layer {
            assert!(layer.gradient.0 < 0.0 && layer.random.0 > layer.gradient.0, "{layer:?}");
        }
        for block in &controls.descent.found().unwrap().per_block {
            assert!(block.backpropagation.0 < 0.0, "{block:?}");
            assert_eq!((block.ratio.0, block.method), (1.0, block.backpropagation));
            assert!((block.cosine.0 - 1.0).abs() < 1e-12);
        }
        let shadow = controls.shadow.found().unwrap();
        assert_eq!(shadow.resolution(), Resolution::Resolved);
        assert!(shadow.per_layer.iter().all(|l| l.relative_error.0 > 0.0), "f64 is not f32");
        assert!(controls.null.found().is_none(), "there is no feedback to draw anew");
    }

    #[test]
    fn fresh_feedback_changes_all_of_dfas_credits_and_not_the_last_of_fas() {
        let controls = controls_of(Method::Dfa);
        let null = controls.null.found().unwrap();
        assert_eq!(null.draws, 20);
        assert!(null.per_layer.iter().all(|layer| layer.depends));
        // The draws surround zero, at every layer.
        assert!(null.per_layer.iter().all(|l| l.low.0 < 0.0 && l.high.0 > 0.0), "{null:?}");

        let controls = controls_of(Method::Fa);
        let depends: Vec<bool> =
            controls.null.found().unwrap().per_layer.iter().map(|layer| layer.depends).collect();
        assert_eq!(depends, [true, true, false, false]);
        let last = controls.descent.found().unwrap().per_block.last().unwrap().clone();
        assert!(last.cosine.0 > 0.9, "the last block is given the exact gradient: {last:?}");
    }
}
