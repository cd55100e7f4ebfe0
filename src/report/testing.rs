//! Made-up studies: the runs of protocol §6 and §9 over three seeds with controls and epochs,
//! and one in which everything goes wrong.

use crate::claims::Registered;
use crate::claims::registered::ClaimsFile;
use crate::config::{Arch, Auxiliary, Base, Config, Method};
use crate::data::{DataProvenance, DatasetKind, Source};
use crate::diagnostics::aggregation::{Aggregate, Aggregation};
use crate::diagnostics::clamp::{Clamp, ClampLayer};
use crate::diagnostics::common_mode::{CommonMode, CommonModeLayer};
use crate::diagnostics::controls::{Control, Controls, Layered};
use crate::diagnostics::descent::{Descent, DescentBlock};
use crate::diagnostics::learned_credit::TwinGain;
use crate::diagnostics::nudging::{Nudging, NudgingLayer};
use crate::diagnostics::null::{NullCalibration, NullLayer};
use crate::diagnostics::perturbation::{Perturbation, PerturbationLayer};
use crate::diagnostics::rank::{MatrixRank, Ranks};
use crate::diagnostics::shadow::{Shadow, ShadowLayer};
use crate::number::{Number, numbers};
use crate::stats::{mean, median};
use crate::study::claims::StudyClaims;
use crate::study::results::{RunResult, StudyResult};
use crate::train::lifecycle::TOOL;
use crate::train::run_dir::{
    Divergence, EpochMetrics, Matmul, Provenance, RUN_SCHEMA, RunRecord, RunStatus,
};
use crate::verdict::testing::{Specimen, published};

pub const SEEDS: [u64; 3] = [42, 123, 456];
const EPOCHS: usize = 30;

/// A number in −1 … 1 that `name` always has.
fn wobble(name: &str) -> f64 {
    let hash = name.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    f64::from(hash.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 23) - 1.0
}

fn config(method: Method, penalty: f64, seed: u64) -> Config {
    let published = Config::published(Arch::ResMlp, DatasetKind::Cifar10);
    Config { method, penalty, seed, base: Base::Dfa, epochs: EPOCHS, ..published }
}

/// A finished run that found what `specimen` says, give or take what seeds make of it.
fn run(specimen: &Specimen, config: Config, controls: bool) -> RunResult {
    let (label, seed) = (config.label(), config.seed);
    let name = format!("{}-s{seed}", label.replace([' ', '=', '(', ')'], "-"));
    let vary = |what: &str, share: f64| 1.0 + share * wobble(&format!("{name}{what}"));
    let cosine = specimen.cosine.iter().enumerate();
    let layers = |norms: &[f32], what: &str| -> Vec<f32> {
        let vary = |l: usize| vary(what, 0.2) * vary(&format!("{what}{l}"), 0.03);
        norms.iter().enumerate().map(|(l, norm)| norm * vary(l) as f32).collect()
    };
    let specimen = Specimen {
        seed,
        accuracy: specimen.accuracy * vary("accuracy", 0.015),
        frozen: specimen.frozen.map(|f| f * (1.0 + 0.006 * wobble(&format!("frozen{seed}")))),
        hidden: layers(&specimen.hidden, "hidden"),
        gradient: layers(&specimen.gradient, "gradient"),
        cosine: cosine
            .map(|(l, c)| match c.abs() > 0.9 {
                true => *c,
                false => c + 0.03 * wobble(&format!("{name}cosine{}", l.min(3))),
            })
            .collect(),
        ..specimen.clone()
    };
    let mut audit = specimen.audit();
    audit.run.label = label;
    audit.run.epochs = Some(EPOCHS as u64);
    audit.run.method = config.method.to_string();
    audit.controls = controls.then(|| self::controls(&specimen, &name));
    let metrics = metrics(&specimen, &name);
    let record = record(config, RunStatus::Finished, metrics.last().cloned());
    RunResult { name, record, metrics, audit: Some(audit) }
}

fn record(config: Config, status: RunStatus, last: Option<EpochMetrics>) -> RunRecord {
    let feedback = config.method != Method::Bp;
    let provenance = Provenance {
        tool: TOOL.into(),
        git_revision: "7bd79264c1f5a0d3c8a1b7a58d1d9a3b52f04e11".into(),
        burn: "0.21.0".into(),
        backend: "flex".into(),
        device: "cpu".into(),
        threads: 1,
        instruction_sets: Some("x86_64, products avx2: avx avx2 fma".into()),
        matmul: Matmul::Full,
        data: DataProvenance {
            name: "cifar10".into(),
            source: Source::Copy,
            sha256: "9d1f0c5e4d5a45f6f3f7a6b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5".into(),
            train: 50_000,
            test: 10_000,
            classes: 10,
            files: Vec::new(),
        },
        config_hash: config.hash(),
        seed: config.seed,
        feedback_hash: feedback.then(|| crate::hex(&config.seed.to_le_bytes()).repeat(4)),
        parameters: 1_318_154,
        command_line: ["fa-audit", "audit", "resmlp-30.toml"].map(Into::into).into(),
        start: "2026-11-20T08:00:00Z".into(),
        end: (status == RunStatus::Finished).then(|| "2026-11-20T08:14:31Z".into()),
    };
    RunRecord {
        schema: RUN_SCHEMA.into(),
        status,
        config,
        provenance,
        epoch: last.as_ref().map_or(0, |m| m.epoch),
        last,
        diverged: None,
        error: None,
        metrics_sha256: None,
    }
}

/// Norms that move from those of an untrained network to the specimen's, at first fast.
fn metrics(specimen: &Specimen, name: &str) -> Vec<EpochMetrics> {
    let between = |first: f64, last: f64, epoch: usize, what: &str| {
        let speed = 5.0 + 1.5 * wobble(&format!("{name}speed"));
        let progress = 1.0 - (-speed * epoch as f64 / EPOCHS as f64).exp();
        let path = first.ln() + (last.ln() - first.ln()) * progress / (1.0 - (-speed).exp());
        (path + 0.03 * wobble(&format!("{name}{what}{epoch}"))).exp()
    };
    let epoch = |epoch: usize| {
        let hidden: Vec<f64> =
            specimen.hidden.iter().map(|h| between(8.7, f64::from(*h), epoch, "h")).collect();
        let gradient: Vec<f64> =
            specimen.gradient.iter().map(|g| between(8e-3, f64::from(*g), epoch, "g")).collect();
        let growth = hidden.windows(2).map(|p| p[1] / p[0]).fold(0.0, f64::max);
        let accuracy = between(0.1, specimen.accuracy, epoch, "acc");
        EpochMetrics {
            epoch,
            train_loss: Number(2.3 - accuracy),
            train_accuracy: Number(accuracy),
            test_loss: Number(2.3 - accuracy),
            test_accuracy: Number(accuracy),
            learning_rate: Number(1e-3),
            hidden_norms: numbers(&hidden),
            gradient_norms: numbers(&gradient),
            growth: Some(Number(growth)),
            cosine: numbers(&specimen.cosine),
            seconds: Number(28.0),
            growth_of_force: None,
            test_top5: None,
            ranks: Vec::new(),
            samples_per_second: Number(1785.0),
        }
    };
    (1..=EPOCHS).map(epoch).collect()
}

fn controls(specimen: &Specimen, name: &str) -> Controls {
    let cosine = &specimen.cosine;
    let noise = |what: &str, l: usize, size: f64| size * wobble(&format!("{name}{what}{l}"));
    let number = |what: &str, l: usize, size: f64| Number(noise(what, l, size));
    let layers = || cosine.iter().copied().enumerate();
    let exact = specimen.label == "BP";
    let blocks = &cosine[..cosine.len() - 1];
    let null = |(l, c): (usize, f64)| NullLayer {
        trained: Number(c),
        mean: number("mean", l, 0.005),
        std: Some(Number(0.022)),
        low: Number(-0.045 + noise("low", l, 0.008)),
        high: Number(0.048 + noise("high", l, 0.008)),
        p: (c < 0.9).then_some(Number(if c.abs() > 0.05 { 0.048 } else { 0.43 })),
        inside: c.abs() < 0.04,
        depends: c < 0.9,
    };
    let rho = |precision: &str, lost: bool| {
        let share = if lost { 0.06 } else { 1.0 };
        Control::Found(Perturbation {
            precision: precision.into(),
            epsilon: Number(1e-3),
            directions: 32,
            samples: 1024,
            per_layer: layers()
                .map(|(l, c)| PerturbationLayer {
                    credit: Number(share * 0.6 * c + noise("ρ", l, 0.01)),
                    gradient: Number(share * 0.9965),
                    random: number("random", l, 0.006),
                    unresolved: Number(if lost { 0.81 } else { 0.002 }),
                })
                .collect(),
            deep: Some(Number(share * 0.6 * mean(&blocks[1..]))),
        })
    };
    let aggregate = |layers: &str, samples: &str, value: f64| Aggregate {
        over_layers: layers.into(),
        over_samples: samples.into(),
        value: Number(value),
    };
    Controls {
        null: match exact {
            true => Control::missing("backpropagation has no feedback to draw"),
            false => Control::Found(NullCalibration {
                draws: 20,
                per_layer: layers().map(null).collect(),
            }),
        },
        perturbation: rho("f64", false),
        // Where hidden states are large, f32 does not even resolve the gradient's own ρ.
        perturbation_f32: rho("f32", specimen.hidden.iter().any(|h| *h > 1e6)),
        nudging: Control::Found(Nudging {
            step: Number(0.01),
            samples: 1024,
            per_layer: layers()
                .map(|(l, c)| NudgingLayer {
                    credit: Number(-5e-4 * c + noise("nudge", l, 1e-6)),
                    gradient: Number(-2.7e-2),
                    random: number("nudged", l, 2e-6),
                    share_falling: Number(0.5 + c / 2.2),
                })
                .collect(),
            deep: Some(Number(-5e-4 * mean(&blocks[1..]))),
        }),
        descent: Control::Found(Descent {
            relative_step: Number(1e-3),
            samples: 1024,
            precision: "f64".into(),
            per_block: blocks
                .iter()
                .enumerate()
                .map(|(l, c)| DescentBlock {
                    length: Number(0.016),
                    method: Number(-3e-4 * c),
                    backpropagation: Number(-3e-4),
                    ratio: Number(*c),
                    cosine: Number(c + noise("descent", l, 0.01)),
                })
                .collect(),
        }),
        shadow: match specimen.hidden.iter().any(|h| *h > 1e6) {
            true => Control::missing("the f64 forward pass left the finite numbers at h_3"),
            false => Control::Found(Shadow {
                samples: 256,
                per_layer: specimen
                    .gradient
                    .iter()
                    .map(|g| ShadowLayer {
                        norm_f32: Number(f64::from(*g)),
                        norm_f64: Number(f64::from(*g) * 1.000_001),
                        cosine: Number(1.0),
                        worst_cosine: Number(0.99997),
                        relative_error: Number(3.1e-6),
                    })
                    .collect(),
            }),
        },
        common_mode: Control::Found(CommonMode {
            per_layer: layers()
                .map(|(l, _)| CommonModeLayer {
                    mean_energy: Number(0.31 + 0.12 * l as f64),
                    pairwise_cosine: Number(0.29 + 0.13 * l as f64),
                })
                .collect(),
        }),
        clamp: Control::Found(Clamp {
            clamp: Number(1e-8),
            per_layer: layers()
                .map(|(l, c)| {
                    let tiny = specimen.gradient[l] < 1e-8;
                    ClampLayer {
                        under: Number(if tiny { 0.94 } else { 0.0 }),
                        clamped: Number(if tiny { 0.4 * c } else { c }),
                        unclamped: Number(c),
                    }
                })
                .collect(),
        }),
        aggregation: Control::Found(Aggregation {
            values: vec![
                aggregate("mean", "mean", mean(blocks)),
                aggregate("mean", "median", mean(blocks) * 0.96),
                aggregate("median", "mean", median(blocks)),
                aggregate("median", "median", median(blocks) * 0.9),
            ],
            lowest: Number(median(blocks)),
            highest: Number(mean(blocks)),
            sign_flip: median(blocks) < 0.0,
            deep: Some(Number(mean(&blocks[1..]))),
            misrepresentation: Number(mean(blocks) - median(blocks)),
            carriers: vec![0],
            carried: Some(Number(0.86)),
            inside_null: (!exact).then(|| vec![2, 3]),
        }),
        rank: Control::Found(Ranks {
            matrices: [("a_0", 9.0), ("g_2", 24.0), ("W_T − W_0 of blocks.1.linear1.weight", 52.0)]
                .map(|(matrix, rank)| MatrixRank {
                    matrix: matrix.into(),
                    rows: 1024,
                    cols: 256,
                    effective: Number(rank + noise(matrix, 0, 2.0)),
                    stable: Number(rank / 4.0),
                    energy: Number(rank * 0.75),
                    participation: Number(rank / 2.0),
                })
                .into(),
        }),
        layered: Layered::of(&specimen.trace()),
    }
}

/// BP, FA, DFA, DFA with penalty and the frozen twins over three seeds.
pub fn study() -> StudyResult {
    let kinds = [
        (Method::Bp, 0.0),
        (Method::Fa, 0.0),
        (Method::Dfa, 0.0),
        (Method::Dfa, 0.01),
        (Method::Frozen, 0.0),
    ];
    let mut runs = Vec::new();
    for (specimen, (method, penalty)) in published().iter().zip(kinds) {
        for seed in SEEDS {
            runs.push(run(specimen, config(method, penalty, seed), method != Method::Frozen));
        }
    }
    StudyResult { name: "resmlp-30".into(), runs, missing: Vec::new(), claims: None }
}

/// [`study`] with learned credits: State Bridge, far over its twins with shuffled targets, with one twin on
/// random targets; Credit Bridge, no better than its twins, with the penalty without twins.
pub fn bridges() -> StudyResult {
    let specimen = |accuracy: f64, cosine: [f64; 5], twins: &[(&'static str, f64)]| Specimen {
        cosine: cosine.to_vec(),
        accuracy,
        auxiliary_twins: (!twins.is_empty()).then(|| twins.to_vec()),
        ..published().remove(3)
    };
    let (even, none) = ([0.52, 0.44, 0.37, 0.33, 0.26], [0.01; 5]);
    let aligned = [0.70, 0.66, 0.68, 0.70, 0.71];
    let kinds = [
        (Method::StateBridge, Auxiliary::Learned, 0.0, specimen(0.45, even, &[("shuffled", 0.24)])),
        (Method::StateBridge, Auxiliary::Shuffled, 0.0, specimen(0.24, none, &[])),
        (
            Method::CreditBridge,
            Auxiliary::Learned,
            0.0,
            specimen(0.36, aligned, &[("shuffled", 0.37)]),
        ),
        (Method::CreditBridge, Auxiliary::Learned, 0.01, specimen(0.36, aligned, &[])),
        (Method::CreditBridge, Auxiliary::Shuffled, 0.0, specimen(0.37, none, &[])),
    ];
    let mut study = study();
    for (method, auxiliary, penalty, specimen) in kinds {
        for seed in SEEDS {
            let config = Config { auxiliary, ..config(method, penalty, seed) };
            let mut run = run(&specimen, config.clone(), true);
            let audit = run.audit.as_mut().expect("an audit");
            if config.has_learned_credit() {
                let found = audit.learned_credit.get_or_insert_default();
                if method == Method::StateBridge && seed == SEEDS[0] {
                    let twin = TwinGain::new(0.45, 0.30, "random-s42".into());
                    found.over.insert("random".into(), Control::Found(twin));
                }
            }
            run.audit = Some(audit.judged_again());
            study.runs.push(run);
        }
    }
    study
}

/// Without controls: a healthy run, one that failed, one interrupted, one running, one that
/// diverged to NaN and infinity and was audited, one with hostile words, one not begun.
pub fn troubled() -> StudyResult {
    let bp = &published()[0];
    let fresh = |seed| run(bp, config(Method::Bp, 0.0, seed), false);
    let stopped = |seed, status, epochs: usize| {
        let mut run = fresh(seed);
        run.metrics.truncate(epochs);
        run.record = record(run.record.config, status, run.metrics.last().cloned());
        RunResult { audit: None, ..run }
    };
    let mut failed = stopped(2, RunStatus::Failed, 0);
    failed.record.error = Some("CUDA error: \u{1b}[31mout of memory\u{1b}[0m <\"&'> | gone".into());
    let exploded = Specimen {
        hidden: vec![8.0, 1e20, f32::INFINITY, f32::NAN, f32::NAN],
        gradient: vec![0.0, 1e-9, f32::NAN, f32::NAN, f32::NAN],
        cosine: vec![0.4, 0.1, f64::NAN, f64::NAN, f64::NAN],
        diverged: Some("‖h‖_2 was inf after epoch 7"),
        ..bp.clone()
    };
    let mut diverged = run(&exploded, config(Method::Dfa, 0.0, 5), false);
    diverged.record.diverged =
        Some(Divergence { epoch: 7, quantity: "‖h‖_2".into(), value: Number(f64::INFINITY) });
    let mut hostile = run(bp, config(Method::Fa, 0.0, 1), false);
    hostile.name = "<script>alert(\"1\")</script>|&".into();
    if let Some(audit) = &mut hostile.audit {
        audit.reasons.push("<script>\"&' | `x`".into());
    }
    StudyResult {
        name: "troubled & <b>bold</b>".into(),
        runs: vec![
            fresh(1),
            failed,
            stopped(3, RunStatus::Interrupted, 12),
            stopped(4, RunStatus::Running, 5),
            diverged,
            hostile,
        ],
        missing: vec!["dfa-s6".into()],
        claims: None,
    }
}

/// No runs at all.
pub fn empty() -> StudyResult {
    StudyResult { name: "empty".into(), runs: Vec::new(), missing: Vec::new(), claims: None }
}

/// The study with three claims, registered before its runs: one stands, one is walked back, and one has
/// no run.
pub fn claiming(study: StudyResult) -> StudyResult {
    let claim = |sentence: &str, method: &str, threshold: &str, seeds: &str| {
        format!(
            "[[claim]]\nclaim = '{sentence}'\nmethod = '{method}'\nmetric = 'growth'\n\
             threshold = '{threshold}'\nseeds = {seeds}\n"
        )
    };
    let text = [
        claim("Backpropagation stays calm.", "bp", "below 50", "[42, 123, 456]"),
        claim("DFA stays calm, too.", "dfa", "below 50", "[42, 123, 456]"),
        claim("So does another seed.", "bp", "below 50", "[7]"),
    ]
    .concat();
    let source = ClaimsFile { name: "claims.toml".into(), text };
    let registered = Registered::next(None, Some(&source), &[], "2026-11-20T07:00:00Z");
    let registered = registered.expect("claims");
    let claims = registered.claims().expect("claims");
    StudyResult { claims: Some(StudyClaims { registered, claims }), ..study }
}
