//! What of the processor decides a run's bits: sums are taken in other orders, and with or without
//! fused multiply-adds, by kernels for other instruction sets.

/// The architecture, the kernels that our own loops run on it, and the instruction sets from which the
/// libraries choose theirs, such as `x86_64, kernels V3: avx avx2 fma`.
pub fn instruction_sets() -> String {
    format!("{}{}: {}", std::env::consts::ARCH, kernels(), detected().join(" "))
}

#[cfg(feature = "flex")]
fn kernels() -> String {
    // `V3(…)`: the name of the level, without its proof.
    let level = format!("{:?}", pulp::Arch::new());
    let name: String = level.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!(", kernels {name}")
}

#[cfg(not(feature = "flex"))]
fn kernels() -> String {
    String::new()
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
        #[cfg(all(feature = "flex", target_arch = "x86_64"))]
        {
            let wide = text.contains("avx512f");
            let fused = text.contains("avx2") && text.contains("fma");
            let level = match (wide, fused) {
                (true, _) => "kernels V4",
                (false, true) => "kernels V3",
                (false, false) => "kernels Scalar",
            };
            assert!(text.contains(level), "{text}");
        }
    }
}
