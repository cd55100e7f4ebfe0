//! What a rule is given of the exact gradient, which its credit may then equal. The rules of this
//! program say so on their cards; those of other programs are listed here.

use crate::config::Base;
use crate::learn::{self, card};

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

/// Other names of the rules that have a card.
const ALSO_CALLED: [(&str, Base); 7] = [
    ("backprop", Base::Bp),
    ("backpropagation", Base::Bp),
    ("feedbackalignment", Base::Fa),
    ("directfeedbackalignment", Base::Dfa),
    ("layerwisefa", Base::LayerFa),
    ("lfa", Base::LayerFa),
    ("kp", Base::KolenPollack),
];

/// What `method` is given at layer `l` of a network of `blocks` blocks. At h_L everyone may be: the
/// readout's gradient is local to the readout.
pub fn given(method: &str, l: usize, blocks: usize) -> Given {
    if let Some(rule) = rule(method) {
        return match card(rule).given {
            learn::Given::Everywhere if rule == Base::Bp => Given::Exact,
            learn::Given::Everywhere | learn::Given::Approached => Given::Allowed,
            // a_{L−1} is the readout's gradient, and g_{L−1} that beside a small branch.
            learn::Given::Top if l + 1 >= blocks => Given::Allowed,
            learn::Given::Top | learn::Given::Nowhere if l < blocks => Given::No,
            learn::Given::Top | learn::Given::Nowhere => Given::Allowed,
        };
    }
    match bare(method).as_str() {
        _ if l == blocks => Given::Allowed,
        // Converged, both approach the exact gradient; learned feedback approaches the weights.
        "ep" | "equilibriumpropagation" | "wm" | "weightmirror" => Given::Allowed,
        // Baselines: which signal trains what is left, their method does not say.
        "frozen" | "shallow" => Given::Allowed,
        "signsymmetry" | "sdfa" | "sb" | "statebridge" | "cb" | "creditbridge" | "grape" => {
            Given::No
        }
        _ => Given::Unknown,
    }
}

/// Whether the credit is a fixed matrix of the output error.
pub fn is_direct(method: &str) -> bool {
    rule(method) == Some(Base::Dfa)
}

/// Whether the credit of a block is a fixed matrix of the next one's.
pub fn is_blockwise(method: &str) -> bool {
    rule(method) == Some(Base::Fa)
}

/// The rule of this program that is meant.
fn rule(method: &str) -> Option<Base> {
    let word = bare(method);
    let own = Base::ALL.iter().copied().find(|rule| bare(rule.word()) == word);
    own.or_else(|| ALSO_CALLED.iter().find(|(name, _)| *name == word).map(|(_, rule)| *rule))
}

/// Letters and digits alone, small.
fn bare(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
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

    /// Whoever adds a rule says it on its card and nowhere else.
    #[test]
    fn every_rule_with_a_card_is_known_by_its_word_and_nothing_else_is_needed() {
        for &base in Base::ALL {
            let found: Vec<Given> = (0..4).map(|l| given(base.word(), l, 3)).collect();
            assert!(!found.contains(&Given::Unknown), "{base}: {found:?}");
            let leaks = found.iter().filter(|given| **given == Given::No).count();
            let expected = match card(base).given {
                learn::Given::Nowhere => 3,
                learn::Given::Top => 2,
                learn::Given::Everywhere | learn::Given::Approached => 0,
            };
            assert_eq!(leaks, expected, "{base}");
        }
        for (name, base) in ALSO_CALLED {
            assert_eq!(rule(name), Some(base), "{name}");
        }
    }

    #[test]
    fn without_blocks_the_one_layer_is_the_readouts_own() {
        assert_eq!(given("dfa", 0, 0), Given::Allowed);
        assert_eq!(given("fa", 0, 0), Given::Allowed);
    }
}
