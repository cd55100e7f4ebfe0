//! What takes one new file and one line: the line is written here (`data/guide/extending.md`).
//!
//! A table is a macro that hands its lines to another, which makes of them what the program needs a
//! list for: the words of configurations, the modules, the dispatch. It stands below every module
//! that reads it.

/// The credit rules beside backpropagation, which has no credits: `Variant = "word" in file`, the
/// file in `src/credit`, where the type of the variant's name implements `CreditRule`.
macro_rules! credit_rules {
    ($make:ident) => {
        $make! {
            /// Block-wise feedback alignment (protocol §2.2).
            Fa = "fa" in fa,
            /// Direct feedback alignment (protocol §2.1).
            Dfa = "dfa" in dfa,
        }
    };
}

/// The networks: `Variant = "word" in file`, the file in `src/model`, where the type of the
/// variant's name implements `Network` and `outline` says what is known of it beforehand.
macro_rules! networks {
    ($make:ident) => {
        $make! {
            /// Residual MLP (protocol §1).
            ResMlp = "resmlp" in resmlp,
            /// Small vision transformer (protocol §3.1).
            VitMini = "vit-mini" in vit_mini,
        }
    };
}

/// The layered controls: `file`, in `src/diagnostics`, whose `CONTROL` says what it is. The file's
/// name is its key in `verdict.json`.
macro_rules! layered_controls {
    ($make:ident) => {
        $make! {}
    };
}

pub(crate) use {credit_rules, layered_controls, networks};

#[cfg(test)]
mod tests {
    /// Each is compiled and tested beside the files that it is like.
    #[test]
    fn the_guide_shows_its_examples_as_they_are_compiled() {
        let guide = include_str!("../data/guide/extending.md");
        for example in [
            include_str!("../data/guide/examples/sdfa.rs"),
            include_str!("../data/guide/examples/res_linear.rs"),
            include_str!("../data/guide/examples/sign_agreement.rs"),
        ] {
            let block = format!("```rust\n{example}```\n");
            assert!(guide.contains(&block), "extending.md does not show\n{example}");
        }
    }
}
