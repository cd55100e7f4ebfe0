//! What a configuration's values must satisfy.

use super::{Arch, BackendName, Base, Config, EmbedSignal, MatmulPrecision, Method};

/// A value that means nothing, and what was expected.
#[derive(Debug)]
pub struct Invalid {
    pub key: &'static str,
    pub problem: String,
}

/// Checks ranges and combinations.
///
/// # Errors
/// The first key whose value is out of range, with the expectation.
pub fn validate(c: &Config) -> Result<(), Invalid> {
    let counts = [
        ("width", c.width, 1 << 16),
        ("depth", c.depth, 1 << 10),
        ("expansion", c.expansion, 64),
        ("patch", c.patch, 32),
        ("heads", c.heads, 1 << 10),
        ("mlp_ratio", c.mlp_ratio, 64),
        ("train_samples", c.train_samples, 1 << 24),
        ("test_samples", c.test_samples, 1 << 24),
        ("epochs", c.epochs, 1 << 20),
        ("batch_size", c.batch_size, 1 << 20),
        ("probe_batches", c.probe_batches, 1 << 20),
        ("probe_batch_size", c.probe_batch_size, 1 << 20),
        ("threads", c.threads, 256),
        ("control_samples", c.control_samples, 1 << 20),
        ("null_draws", c.null_draws, 1 << 16),
        ("perturbation_directions", c.perturbation_directions, 1 << 16),
    ];
    for (key, value, most) in counts {
        expect(
            key,
            (1..=most).contains(&value),
            value,
            &format!("a whole number from 1 to {most}"),
        )?;
    }

    for (key, seed) in [("seed", c.seed), ("data_seed", c.data_seed)] {
        let most = i64::MAX as u64;
        expect(key, seed <= most, seed, &format!("at most {most}: TOML holds no larger integer"))?;
    }
    let shared = c.threads == 1 || c.backend == BackendName::Flex;
    expect("threads", shared, c.threads, "1, or more on the backend flex")?;

    let not_negative = [
        ("penalty", c.penalty),
        ("w2_std", c.w2_std),
        ("rms_epsilon", c.rms_epsilon),
        ("weight_decay", c.weight_decay),
        ("epsilon", c.epsilon),
        ("threshold_growth", c.threshold_growth),
        ("threshold_reference", c.threshold_reference),
    ];
    for (key, value) in not_negative {
        expect(key, value.is_finite() && value >= 0.0, value, "a finite number, 0 or more")?;
    }
    let positive = [
        ("learning_rate", c.learning_rate),
        ("feedback_scale", c.feedback_scale),
        ("perturbation_epsilon", c.perturbation_epsilon),
        ("nudge_step", c.nudge_step),
        ("descent_step", c.descent_step),
    ];
    for (key, value) in positive {
        expect(key, value.is_finite() && value > 0.0, value, "a finite number above 0")?;
    }
    for (key, value) in [("beta_1", c.beta_1), ("beta_2", c.beta_2)] {
        expect(key, (0.0..1.0).contains(&value), value, "a number from 0 to below 1")?;
    }
    for (key, value) in [
        ("threshold_stability", c.threshold_stability),
        ("threshold_depth_utility", c.threshold_depth_utility),
    ] {
        expect(key, value.is_finite(), value, "a finite number")?;
    }
    for &epoch in &c.checkpoint_epochs {
        let wanted = format!("epochs from 0 to {}", c.epochs);
        expect("checkpoint_epochs", epoch <= c.epochs, epoch, &wanted)?;
    }

    let wanted = format!("at most the depth {}", c.depth);
    expect("frozen_blocks", c.frozen_blocks <= c.depth, c.frozen_blocks, &wanted)?;

    if c.arch == Arch::VitMini {
        expect(
            "patch",
            32usize.is_multiple_of(c.patch),
            c.patch,
            "a divisor of the image size 32",
        )?;
        let wanted = format!("a divisor of the width {}", c.width);
        expect("heads", c.width.is_multiple_of(c.heads), c.heads, &wanted)?;
    }
    if c.embed_signal == EmbedSignal::Mapped {
        expect(
            "embed_signal",
            c.rule() == Base::Fa,
            "mapped",
            "`credit` or `none` unless the rule is fa",
        )?;
    }
    if c.method == Method::Shallow {
        expect("base", c.base != Base::Fa, c.base, "another rule for shallow: fa needs blocks")?;
    }
    let cuda_device = c.device == "cuda"
        || c.device.strip_prefix("cuda:").is_some_and(|n| n.parse::<usize>().is_ok());
    expect(
        "device",
        cuda_device || ["auto", "cpu"].contains(&c.device.as_str()),
        &c.device,
        "auto, cpu, cuda or cuda:N",
    )?;
    if c.device != "auto" {
        let wanted = if cuda_device { "cuda on this device" } else { "flex or ndarray on the CPU" };
        expect("backend", cuda_device == (c.backend == BackendName::Cuda), c.backend, wanted)?;
        let exact = c.matmul_precision == MatmulPrecision::F32;
        expect("matmul_precision", exact || cuda_device, c.matmul_precision, "f32 on the CPU")?;
    }
    Ok(())
}

fn expect(
    key: &'static str,
    holds: bool,
    value: impl std::fmt::Display,
    wanted: &str,
) -> Result<(), Invalid> {
    if holds {
        return Ok(());
    }
    Err(Invalid { key, problem: format!("{value} is not valid, expected {wanted}") })
}
