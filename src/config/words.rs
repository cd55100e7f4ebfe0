//! The words that configurations, the command line and artefacts share.

use super::keys::{Typed, Value};
use crate::tables::{networks, rules};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares an enum whose variants are words in configurations, on the command line and in
/// artefacts.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every variant, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Every word, in order of declaration.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word for this variant.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Typed for $name {
            fn value(&self) -> Value {
                Value::Word(self.word())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

macro_rules! methods {
    ($($(#[$doc:meta])* $rule:ident = $word:literal: $family:ident in $file:ident,)+) => {
        words! {
            /// What trains the network.
            Method {
                $($(#[$doc])* $rule = $word,)+
                /// `base` with the blocks left at initialisation: the depth-utility baseline.
                Frozen = "frozen",
                /// `base` on a network without blocks.
                Shallow = "shallow",
                /// `base` on labels drawn anew for every batch: the negative control.
                RandomTarget = "random-target",
            }
        }

        words! {
            /// The rule that `frozen`, `shallow` and `random-target` build on.
            Base {
                $($(#[$doc])* $rule = $word,)+
            }
        }

        impl Base {
            /// Whether its credits train blocks that are cut off from each other, and are scaled
            /// for that.
            pub fn is_local(self) -> bool {
                match self {
                    $(Self::$rule => matches!(stringify!($family).as_bytes(), b"local"),)+
                }
            }
        }

        impl Base {
            /// Whether its credits come from an auxiliary network that learns beside the network.
            pub fn has_auxiliary(self) -> bool {
                matches!(self, Self::StateBridge | Self::CreditBridge)
            }
        }

        impl Method {
            /// The rule that this method is; `None` for one that builds on a `base`.
            pub fn rule(self) -> Option<Base> {
                match self {
                    $(Self::$rule => Some(Base::$rule),)+
                    Self::Frozen | Self::Shallow | Self::RandomTarget => None,
                }
            }
        }
    };
}
rules!(methods);

macro_rules! architectures {
    ($($(#[$doc:meta])* $net:ident = $word:literal in $file:ident,)+) => {
        words! {
            /// The network.
            Arch { $($(#[$doc])* $net = $word,)+ }
        }
    };
}
networks!(architectures);

impl Arch {
    /// Whether hidden states are feature maps, which convolutions read.
    pub fn is_convolutional(self) -> bool {
        self.is_stack() || self.is_residual_convolutional()
    }

    /// Whether the network is a stack of convolutions and affine maps that nothing passes.
    pub fn is_stack(self) -> bool {
        matches!(self, Self::SmallCnn | Self::AlexNet | Self::Vgg16)
    }

    /// Whether its blocks are pairs of convolutions with a shortcut.
    pub fn is_residual_convolutional(self) -> bool {
        matches!(self, Self::SmallResNet | Self::ResNet18 | Self::ResNet20 | Self::ResNet56)
    }
}

words! {
    /// How a residual network of feature maps gets past a block that halves the sides and doubles the features.
    #[derive(Default)]
    Shortcut {
        /// Every second position, with zeros for the features that are new (He et al. 2016, option A).
        Pad = "pad",
        /// A convolution of 1 × 1 with its norm (option B).
        #[default]
        Projection = "projection",
    }
}

words! {
    /// What follows a map of a plain network.
    #[derive(Default)]
    Activation {
        #[default]
        Relu = "relu",
        Tanh = "tanh",
        /// Exact.
        Gelu = "gelu",
    }
}

words! {
    /// What normalises the hidden activity of a plain network.
    #[derive(Default)]
    ActivityNorm {
        #[default]
        None = "none",
        /// LayerNorm over the features of each sample.
        Layer = "layer",
        /// RMSNorm, likewise.
        Rms = "rms",
        /// BatchNorm over the samples of a batch; running statistics where nothing trains.
        Batch = "batch",
    }
}

words! {
    /// What grape makes of feedback and an estimate of the Jacobian (protocol §11).
    GrapeForm {
        /// Each row shrinks by how little it agrees; none turns.
        V1 = "v1",
        /// That, and a share of the estimate.
        Alternative1 = "alternative-1",
        /// An average with the estimate.
        Alternative2 = "alternative-2",
        /// A step up the rows' cosines, then rows of length 1.
        V2 = "v2",
    }
}

words! {
    /// How grape sees what a probe does to the outputs.
    Probe {
        /// The forward derivative along it.
        Tangent = "tangent",
        /// Two forward passes a little to both sides of it.
        Perturbation = "perturbation",
    }
}

words! {
    /// How a credit is scaled before it trains a block.
    Normalise {
        /// ã = a / (RMS(a) + ε) for each sample, over its d features (protocol §2).
        Rms = "rms",
        /// ã = a.
        None = "none",
    }
}

words! {
    /// The distribution of the feedback matrices' entries; both have unit variance before scaling.
    FeedbackDistribution { Normal = "normal", Uniform = "uniform" }
}

words! {
    /// What an auxiliary network learns. All but the first are twins, which show what a network that
    /// learns gives without what it should learn; the published ones' exact forms are not known.
    #[derive(Default)]
    Auxiliary {
        /// Its targets.
        #[default]
        Learned = "learned",
        /// Each sample the targets of another one of its batch, by a permutation that is drawn anew for
        /// every batch and keeps none in its place.
        Shuffled = "shuffled",
        /// Normal numbers of the targets' root mean square, drawn anew for every batch.
        Random = "random",
        /// Zero.
        ZeroTarget = "zero-target",
        /// Nothing: it stays as drawn.
        Untrained = "untrained",
    }
}

words! {
    /// What an auxiliary network is told of a sample beside h_l and l.
    #[derive(Default)]
    Code {
        /// e, the error at the outputs.
        #[default]
        Error = "error",
        /// Zeros in its place.
        Zero = "zero",
        /// δ_L = ∂(the sample's loss)/∂h_L.
        Delta = "delta",
    }
}

words! {
    /// What the predictor of State Bridge puts out.
    #[derive(Default)]
    PredictorOutput {
        /// ĥ_L itself.
        #[default]
        Direct = "direct",
        /// ĥ_L − h_l.
        Residual = "residual",
    }
}

words! {
    /// What holds Credit Bridge's ∇V at h_L against δ_L, on the batch's samples i.
    #[derive(Default)]
    GradientMatching {
        /// mean_i ‖∇V − δ‖².
        Absolute = "absolute",
        /// Σ_i ‖∇V − δ‖² / Σ_i ‖δ‖².
        #[default]
        Relative = "relative",
        /// mean_i (1 − cos(∇V, δ)).
        Cosine = "cosine",
    }
}

words! {
    /// Whether each layer has a feedback matrix of its own.
    FeedbackSharing { Layer = "layer", Shared = "shared" }
}

words! {
    /// What direct feedback to a feature map is made of.
    #[derive(Default)]
    FeedbackForm {
        /// A row for every feature at every position.
        #[default]
        Full = "full",
        /// A kernel of the convolution that reads the map, with the error at every position (BioTorch).
        Tiled = "tiled",
    }
}

words! {
    /// What trains the embedding under a local rule.
    EmbedSignal {
        /// The credit ã_0 of the first block (protocol §2).
        Credit = "credit",
        /// FA alone: one more fixed random map of it, B_e a_0.
        Mapped = "mapped",
        /// Nothing: the embedding stays at initialisation.
        None = "none",
    }
}

words! {
    /// The tokens that receive a sample's credit (networks with tokens).
    CreditTokens { All = "all", Cls = "cls" }
}

words! {
    /// Where norms and cosines are taken (networks with tokens).
    Measure { Cls = "cls", Mean = "mean" }
}

words! {
    /// The nudged states of equilibrium propagation.
    #[derive(Default)]
    EpPhases {
        /// One, nudged by β, against the free state.
        #[default]
        OneSided = "one-sided",
        /// Two, nudged by β and by −β, against each other (Laborieux et al. 2021).
        Symmetric = "symmetric",
    }
}

words! {
    /// What is measured as the credit of equilibrium propagation.
    #[derive(Default)]
    EpCredit {
        /// −(nudged h_l − free h_l)/β (published).
        #[default]
        Displacement = "displacement",
        /// −r_{l−1}/β, what trains block l − 1: the gradient in the limit.
        Residual = "residual",
    }
}

words! {
    /// What a network's outputs are held against.
    #[derive(Default)]
    Objective {
        /// Cross-entropy of the outputs as logits (published).
        #[default]
        CrossEntropy = "cross-entropy",
        /// ½‖outputs − onehot(y)‖².
        SquaredError = "squared-error",
    }
}

words! {
    /// What makes of gradients the changes of parameters.
    #[derive(Default)]
    OptimizerName {
        /// AdamW (Loshchilov & Hutter 2019), as published.
        #[default]
        Adamw = "adamw",
        /// Gradient descent with momentum.
        Sgd = "sgd",
        /// Muon (Jordan et al. 2024) for the blocks' matrices, AdamW for the rest.
        Muon = "muon",
    }
}

words! {
    /// The learning rate over the epochs.
    Schedule {
        /// η_e = η/2 · (1 + cos(π e/E)), stepped per epoch, down to 0 at the end.
        Cosine = "cosine",
        Constant = "constant",
    }
}

words! {
    /// The implementation of the tensor operations.
    BackendName { Flex = "flex", Ndarray = "ndarray", Cuda = "cuda" }
}

words! {
    /// How a GPU multiplies f32 matrices.
    #[derive(Default)]
    MatmulPrecision {
        /// All 24 bits of the operands.
        #[default]
        F32 = "f32",
        /// Operands rounded to 11 bits, on the tensor cores.
        Tf32 = "tf32",
    }
}

impl BackendName {
    /// The first of this build, the CPU's before the GPU's.
    pub fn of_this_build() -> Self {
        if cfg!(feature = "flex") {
            Self::Flex
        } else if cfg!(feature = "ndarray") {
            Self::Ndarray
        } else {
            Self::Cuda
        }
    }
}
