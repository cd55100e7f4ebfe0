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

pub(crate) use {credit_rules, networks};
