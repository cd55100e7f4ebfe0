//! What takes one new file and one line beside its `mod`: the line is written here
//! (`data/guide/extending.md`).
//!
//! A table is a macro that hands its lines to another, which makes of them what the program needs a
//! list for: the words of configurations and the dispatch. It stands below every module that reads
//! it.

/// The rules that train a network: `Variant = "word": family in file`, the file in `src/learn`, where
/// the type of the variant's name implements `Rule` and the trait of its family, `LocalRule`,
/// `ExactRule` or `TwoPhaseRule`.
macro_rules! rules {
    ($make:ident) => {
        $make! {
            /// Backpropagation: the exact gradient everywhere.
            Bp = "bp": exact in bp,
            /// Block-wise feedback alignment (protocol §2.2).
            Fa = "fa": local in fa,
            /// Direct feedback alignment (protocol §2.1).
            Dfa = "dfa": local in dfa,
            /// Direct random target projection (Frenkel, Lefebvre & Bol 2021).
            Drtp = "drtp": local in drtp,
            /// State Bridge (protocol §2.3, §14).
            StateBridge = "state-bridge": local in state_bridge,
            /// Credit Bridge (protocol §2.4, §14).
            CreditBridge = "credit-bridge": local in credit_bridge,
            /// GrAPE: feedback that turns to an estimate of the Jacobian (protocol §11).
            Grape = "grape": local in grape,
            /// Layer-wise feedback alignment (Lillicrap et al. 2016; protocol §11).
            LayerFa = "layer-fa": exact in layer_fa,
            /// Uniform sign-symmetry (Liao, Leibo & Poggio 2016; protocol §11).
            Usf = "usf": exact in sign_symmetry,
            /// Batch-wise random magnitude sign-symmetry (Moskovitz et al. 2018; protocol §11).
            Brsf = "brsf": exact in sign_symmetry,
            /// Fixed random magnitude sign-symmetry (Moskovitz et al. 2018; protocol §11).
            Frsf = "frsf": exact in sign_symmetry,
            /// Kolen–Pollack learning (Akrout et al. 2019; protocol §11).
            KolenPollack = "kolen-pollack": exact in kolen_pollack,
            /// Equilibrium propagation (Scellier & Bengio 2017; protocol §2.5).
            Ep = "ep": two_phase in ep,
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
            /// Plain multilayer perceptron.
            Mlp = "mlp" in mlp,
            /// Residual network of one map a block, for the teacher–student task (protocol §3.4).
            Student = "student" in student,
            /// Fixed linear system, for the toy task (protocol §3.5, §14).
            Lq = "lq" in lq,
            /// Small convolutional network (protocol §3.2).
            SmallCnn = "small-cnn" in stack,
            /// AlexNet for CIFAR (Krizhevsky et al. 2012).
            AlexNet = "alexnet" in stack,
            /// VGG-16 for CIFAR (Simonyan & Zisserman 2015).
            Vgg16 = "vgg-16" in stack,
            /// Residual network of three blocks (protocol §3.3).
            SmallResNet = "small-resnet" in resnet,
            /// Residual network of 20 layers for CIFAR (He et al. 2016).
            ResNet20 = "resnet-20" in resnet,
            /// Of 56 layers.
            ResNet56 = "resnet-56" in resnet,
            /// Of 18 layers: the one for ImageNet, with a stem for CIFAR (He et al. 2016).
            ResNet18 = "resnet-18" in resnet,
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

pub(crate) use {layered_controls, networks, rules};

#[cfg(test)]
mod tests {
    /// Each is compiled and tested beside the files that it is like.
    #[test]
    fn the_guide_shows_its_examples_as_they_are_compiled() {
        let guide = include_str!("../data/guide/extending.md");
        for example in [
            include_str!("../data/guide/examples/sdfa.rs"),
            include_str!("../data/guide/examples/learned_dfa.rs"),
            include_str!("../data/guide/examples/res_linear.rs"),
            include_str!("../data/guide/examples/sign_agreement.rs"),
        ] {
            let block = format!("```rust\n{example}```\n");
            assert!(guide.contains(&block), "extending.md does not show\n{example}");
        }
    }
}
