//! What a rule is given of the exact gradient, which its credit may then equal.

/// Whether a layer's credit may be the reference gradient itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It must be.
    Exact,
    /// It may be.
    Allowed,
    /// It is a leak.
    No,
    /// The rule is not known here.
    Unknown,
}

/// What `method` is given at layer `l` of a network of `blocks` blocks. At h_L everyone may be: the
/// readout's gradient is local to the readout.
pub fn given(method: &str, l: usize, blocks: usize) -> Given {
    let word: String =
        method.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    match word.as_str() {
        "bp" | "backprop" | "backpropagation" => Given::Exact,
        _ if l == blocks => Given::Allowed,
        // Converged, both approach the exact gradient; learned feedback approaches the weights.
        "ep" | "equilibriumpropagation" | "kp" | "kolenpollack" | "wm" | "weightmirror" => {
            Given::Allowed
        }
        // Baselines: which signal trains what is left, their method does not say.
        "frozen" | "shallow" => Given::Allowed,
        // Block by block, a_{L−1} is the readout's gradient, and g_{L−1} that beside a small branch.
        "fa" | "feedbackalignment" if l + 1 == blocks => Given::Allowed,
        "fa" | "feedbackalignment" | "layerwisefa" | "layerfa" | "lfa" | "usf" | "brsf"
        | "frsf" => Given::No,
        "signsymmetry" | "dfa" | "directfeedbackalignment" | "sdfa" | "drtp" => Given::No,
        "sb" | "statebridge" | "cb" | "creditbridge" | "grape" => Given::No,
        _ => Given::Unknown,
    }
}

/// Whether the credit is a fixed matrix of the output error.
pub fn is_direct(method: &str) -> bool {
    let word: String = method.chars().filter(char::is_ascii_alphanumeric).collect();
    ["dfa", "directfeedbackalignment"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_rule_is_given_is_its_own() {
        let of = |method: &str| -> Vec<Given> { (0..4).map(|l| given(method, l, 3)).collect() };
        use Given::{Allowed, Exact, No, Unknown};
        assert_eq!(of("bp"), [Exact; 4]);
        assert_eq!(of("BP"), [Exact; 4]);
        assert_eq!(of("dfa"), [No, No, No, Allowed]);
        assert_eq!(of("fa"), [No, No, Allowed, Allowed]);
        assert_eq!(of("layer-wise FA"), [No, No, No, Allowed]);
        assert_eq!(of("ep"), [Allowed; 4]);
        assert_eq!(of("my own rule"), [Unknown, Unknown, Unknown, Allowed]);
        assert!(is_direct("DFA") && is_direct("direct feedback alignment") && !is_direct("sdfa"));
    }
}
