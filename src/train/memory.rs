//! Whether a run can fit the memory, before any of it is taken: a program that has none left is ended
//! by the system, without a word and without a record.

use crate::config::{BackendName, Config};
use crate::data::PIXELS;
use crate::files;
use crate::model::parameter_count;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Refuses data made in memory that cannot fit.
///
/// # Errors
/// Says how much they need, how much there is, and what bounds it.
pub fn ensure_data_fit(config: &Config) -> Result<()> {
    if !config.dataset.is_generated() {
        return Ok(());
    }
    let samples = (config.train_samples as u64).saturating_add(config.test_samples as u64);
    let bytes = match config.dataset.has_images() {
        true => PIXELS,
        false => (config.dataset.inputs() + config.dataset.classes()) * size_of::<f32>(),
    };
    ensure_fit(samples.saturating_mul(bytes as u64), || {
        format!("the {} data ({samples} samples)", config.dataset)
    })
}

/// Refuses a network that cannot fit: of each parameter the value, the gradient and AdamW's two moments
/// are held, in f32. Activations, feedback and what a checkpoint takes while it is written come on top.
///
/// # Errors
/// Says how much it needs at the least, how much there is, and what bounds it.
pub fn ensure_network_fits(config: &Config) -> Result<()> {
    // Its memory is the device's.
    if config.backend == BackendName::Cuda {
        return Ok(());
    }
    let parameters = parameter_count(config, config.dataset.classes());
    ensure_fit(parameters.saturating_mul(16), || {
        let (width, depth) = (config.width, config.depth);
        format!("the network (width {width}, depth {depth}: {parameters} parameters)")
    })
}

fn ensure_fit(needed: u64, what: impl Fn() -> String) -> Result<()> {
    let refused = || format!("{} does not fit the memory: it needs {}", what(), size(needed));
    for (bound, left) in bounds()? {
        ensure!(needed <= left, "{} at least, {} are left ({bound})", refused(), size(left));
    }
    // What the system would refuse it refuses here, where that is an error.
    let probe = usize::try_from(needed).map(|n| Vec::<u8>::new().try_reserve_exact(n));
    ensure!(probe.is_ok_and(|taken| taken.is_ok()), "{}, which the system refuses", refused());
    Ok(())
}

/// What bounds the memory of this program, and how many bytes each leaves. Where the system does not
/// say, nothing.
fn bounds() -> Result<Vec<(&'static str, u64)>> {
    let mut found = Vec::new();
    if let Some(text) = told("/proc/meminfo")? {
        let field = |name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
        };
        if let (Some(free), Some(swap)) = (field("MemAvailable:"), field("SwapFree:")) {
            found.push(("memory that is free", free.saturating_add(swap)));
        }
    }
    if let Some(limit) =
        told("/sys/fs/cgroup/memory.max")?.and_then(|text| text.trim().parse().ok())
    {
        found.push(("the limit of the control group", limit));
    }
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        if let Some(limit) = getrlimit(Resource::As).current {
            let pages = told("/proc/self/statm")?
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
            let used = pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64);
            found.push(("the limit that ulimit -v set", limit.saturating_sub(used)));
        }
    }
    Ok(found)
}

/// The text of a file in which the system tells of itself; `None` where it has no such file.
fn told(file: &str) -> Result<Option<String>> {
    match files::read_text(Path::new(file)) {
        Err(e) if files::is_absence(&e) => Ok(None),
        other => other.map(Some).with_context(|| format!("cannot read {file}")),
    }
}

/// `12.3 GiB`
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arch;
    use crate::data::DatasetKind;

    #[test]
    fn a_network_that_cannot_fit_is_refused_before_it_is_built_and_another_is_not() {
        let usual =
            Config { width: 256, ..Config::published(Arch::ResMlp, DatasetKind::Synthetic) };
        assert!(ensure_network_fits(&usual).is_ok() && ensure_data_fit(&usual).is_ok());
        // 2 · 10⁶ square matrices of 2³² values.
        let vast = Config { width: 1 << 16, depth: 1 << 20, ..usual.clone() };
        let error = ensure_network_fits(&vast).unwrap_err().to_string();
        assert!(error.contains("width 65536") && error.contains("TiB"), "{error}");
        let images = Config { train_samples: 1 << 50, ..usual };
        assert!(ensure_data_fit(&images).is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }
}
