//! What of the processor decides a run's bits: sums are taken in other orders, and with or without
//! fused multiply-adds, by kernels for other instruction sets.

use crate::failure::usage;
use anyhow::Result;
use std::ffi::OsStr;
use std::sync::OnceLock;

/// The variable of the environment by which a run's products keep to an instruction set that other
/// machines have, too.
pub const PIN: &str = "FA_AUDIT_INSTRUCTION_SET";

/// The instruction sets for which there are kernels of matrix products, which are what sums in an order
/// of its own on each: our other loops do not (`kernels/flex/rows.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has.
    Baseline,
    Avx2,
    Avx512,
}

impl Level {
    /// Those that can be named.
    const NAMED: [(&'static str, Self); 2] = [("avx2", Self::Avx2), ("avx512", Self::Avx512)];

    fn word(self) -> &'static str {
        Self::NAMED.iter().find(|(_, level)| *level == self).map_or("baseline", |(word, _)| word)
    }

    /// The highest of this processor.
    fn native() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            return Self::Avx512;
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Self::Avx2;
        }
        Self::Baseline
    }
}

static PINNED: OnceLock<Level> = OnceLock::new();

/// That of this program's products.
pub fn level() -> Level {
    PINNED.get().copied().unwrap_or_else(Level::native)
}

/// Keeps the products of this program to the level that `word`, the value of [`PIN`], names. Before the
/// first product.
///
/// # Errors
/// Usage: no such level, or not on this processor.
pub fn pin(word: &OsStr) -> Result<()> {
    let words: Vec<&str> = Level::NAMED.iter().map(|(word, _)| *word).collect();
    let named = Level::NAMED.iter().find(|(known, _)| word == *known);
    let Some((word, wanted)) = named else {
        let word = word.to_string_lossy();
        return Err(usage(format!("{PIN}: `{word}` is none of {}", words.join(", "))));
    };
    let native = Level::native();
    if *wanted > native {
        let own = native.word();
        return Err(usage(format!("{PIN}: this processor has no {word}, its own is {own}")));
    }
    PINNED.get_or_init(|| *wanted);
    Ok(())
}

/// The architecture, the level of the products, and the instruction sets from which the libraries choose
/// theirs, such as `x86_64, products avx2: avx avx2 fma`.
pub fn instruction_sets() -> String {
    let pinned = if PINNED.get().is_some() { " (pinned)" } else { "" };
    let level = level().word();
    format!("{}, products {level}{pinned}: {}", std::env::consts::ARCH, detected().join(" "))
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Vec<&'static str> {
    let all = [
        ("sse4.1", is_x86_feature_detected!("sse4.1")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512cd", is_x86_feature_detected!("avx512cd")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn detected() -> Vec<&'static str> {
    let all = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fcma", std::arch::is_aarch64_feature_detected!("fcma")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detected() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_with_what_the_kernels_are_chosen_by() {
        let text = instruction_sets();
        assert!(text.starts_with(std::env::consts::ARCH), "{text}");
        assert_eq!(text, instruction_sets());
        let wide = text.contains("avx512f");
        let fused = text.contains("avx2") && text.contains("fma");
        let level = match (wide, fused) {
            (true, _) => "products avx512:",
            (false, true) => "products avx2:",
            (false, false) => "products baseline:",
        };
        assert!(text.contains(level), "{text}");
    }

    #[test]
    fn a_level_that_nobody_knows_is_refused() {
        let error = pin(OsStr::new("mmx")).unwrap_err().to_string();
        assert_eq!(error, "FA_AUDIT_INSTRUCTION_SET: `mmx` is none of avx2, avx512");
    }
}
