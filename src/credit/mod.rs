//! Credit rules. A rule is a function from what one forward pass knows to the credits
//! a_0 … a_{L−1}, plus the feedback matrices it owns, which are part of the checkpoint: its file
//! implements [`CreditRule`], its line stands in `crate::tables`.
//!
//! Block l is trained by ⟨f_l(h_l), ã_l⟩, and the embedding by ⟨h_0, ã_0⟩; a_l estimates ∂L/∂h, so
//! that descent moves f_l against it (protocol §2). The readout has its own exact gradient under
//! every rule. Backpropagation has no credits: its gradient reaches every block.

pub mod bp;
mod feedback;
mod normalise;
pub mod random_target;

pub use feedback::{Feedback, Shape, hash as feedback_hash};
pub use normalise::Normaliser;

use crate::config::{Base, Config};
use crate::model::NamedTensors;
use crate::tables::credit_rules;
use anyhow::Result;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What one forward pass knows, as far as a local rule may look at it.
pub struct Known<B: Backend> {
    /// e = softmax(logits) − onehot(y), per sample, not divided by the batch size: [N, classes].
    pub error: Tensor<B, 2>,
    /// The readout's exact gradient ∂(mean CE)/∂h_L, for the rules that ask for it: [N, d].
    pub top: Option<Tensor<B, 2>>,
}

/// The credits of one batch, before normalisation.
pub struct Credit<B: Backend> {
    /// a_0 … a_L, each [N, d]. Block l is trained by a_l; a_L trains nothing and stands where a
    /// measurement at h_L needs a credit (the last feedback matrix again, protocol §2).
    pub layers: Vec<Tensor<B, 2>>,
    /// What trains the embedding where that is not a_0: [N, d].
    pub embed: Option<Tensor<B, 2>>,
}

/// What the file of a rule implements.
pub trait CreditRule {
    /// Whether the rule looks at [`Known::top`].
    const NEEDS_TOP: bool = false;
    /// Whether its credits are a_l = e B_lᵀ: a step may then use the two factors, which have the
    /// rank of e, in place of their product.
    const DIRECT: bool = false;

    /// The feedback matrices that the rule owns on the network of `config`.
    fn layout(config: &Config, classes: usize) -> Vec<Shape>;

    /// The credits of one batch.
    ///
    /// # Panics
    /// If the rule needs [`Known::top`] and it is missing.
    fn credit<B: Backend>(known: &Known<B>, feedback: &Feedback<B>) -> Credit<B>;
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $word:literal in $file:ident,)+) => {
        $(pub mod $file;)+

        /// A rule with the matrices it owns.
        #[derive(Clone, Debug)]
        pub enum Rule<B: Backend> {
            /// Backpropagation.
            Bp,
            $($(#[$doc])* $rule(Feedback<B>),)+
        }

        /// Name and shape of every feedback matrix that the rule of `config` owns.
        pub fn feedback_layout(config: &Config, classes: usize) -> Vec<Shape> {
            match config.rule() {
                Base::Bp => Vec::new(),
                $(Base::$rule => $file::$rule::layout(config, classes),)+
            }
        }

        impl<B: Backend> Rule<B> {
            /// The rule of `config` with matrices that were drawn or come from a checkpoint.
            ///
            /// # Errors
            /// As [`Feedback::from_named`].
            pub fn from_named(
                config: &Config,
                classes: usize,
                matrices: &NamedTensors,
                device: &B::Device,
            ) -> Result<Self> {
                let feedback = Feedback::from_named(config, classes, matrices, device)?;
                Ok(match config.rule() {
                    Base::Bp => Self::Bp,
                    $(Base::$rule => Self::$rule(feedback),)+
                })
            }

            /// The word for this rule in configurations.
            pub fn base(&self) -> Base {
                match self {
                    Self::Bp => Base::Bp,
                    $(Self::$rule(_) => Base::$rule,)+
                }
            }

            /// The matrices that this rule owns.
            pub fn feedback(&self) -> Option<&Feedback<B>> {
                match self {
                    Self::Bp => None,
                    $(Self::$rule(feedback) => Some(feedback),)+
                }
            }

            /// The matrices of a rule whose credits are a_l = e B_lᵀ.
            pub fn direct(&self) -> Option<&Feedback<B>> {
                match self {
                    Self::Bp => None,
                    $(Self::$rule(feedback) => $file::$rule::DIRECT.then_some(feedback),)+
                }
            }

            /// Whether [`Known::top`] is needed.
            pub fn needs_top(&self) -> bool {
                match self {
                    Self::Bp => false,
                    $(Self::$rule(_) => $file::$rule::NEEDS_TOP,)+
                }
            }

            /// The credits; `None` for backpropagation, which has none.
            ///
            /// # Panics
            /// If the rule needs [`Known::top`] and it is missing.
            pub fn credit(&self, known: &Known<B>) -> Option<Credit<B>> {
                match self {
                    Self::Bp => None,
                    $(Self::$rule(feedback) => Some($file::$rule::credit(known, feedback)),)+
                }
            }
        }
    };
}
credit_rules!(rules);

/// The example of the guide.
#[cfg(test)]
#[path = "../../data/guide/examples/sdfa.rs"]
pub mod guide_example;

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::guide_example::Sdfa;
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn the_guides_error_sign_dfa_is_dfa_of_the_errors_sign() {
        let matrix = |rows| Tensor::<Flex, 2>::from_floats(rows, &Default::default());
        let feedback = Feedback::new(1, vec![matrix([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])], None);
        let error = matrix([[0.2, -0.7, 0.5], [-0.9, 0.4, 0.5]]);
        let known = Known { error: error.clone(), top: None };
        let signs = Known { error: error.sign(), top: None };
        let values = |credit: Credit<Flex>| credit.layers[0].to_data();
        let own = values(Sdfa::credit(&known, &feedback));
        assert_eq!(own, values(dfa::Dfa::credit(&signs, &feedback)));
        assert_ne!(own, values(dfa::Dfa::credit(&known, &feedback)));
    }
}
