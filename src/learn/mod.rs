//! What makes gradients of a batch. A rule is a file that implements [`Rule`] and the trait of its
//! family, its line stands in `crate::tables`; a [`Learner`] is a rule with what it owns beside the
//! network: feedback matrices, and whatever it learns for itself.
//!
//! | family | how |
//! |---|---|
//! | [`exact`] | one backward pass over the uncut network, in which maps may be crossed through other matrices than their own transposes |
//! | [`local`] | the forward pass is cut at every block; block l is trained by ⟨f_l(h_l), ã_l⟩ |
//! | [`two_phase`] | the difference of an energy's gradients at two relaxed states |
//!
//! a_l estimates ∂L/∂h_l, so that descent moves f_l against it (protocol §2); where a network's layers are
//! of different spaces, f_l = h_{l+1} is moved against a_{l+1}. The readout has its own
//! exact gradient under every rule of the first two.

mod auxiliary;
mod bp;
mod card;
pub mod credit_bridge;
pub mod dfa;
mod drtp;
mod ep;
mod exact;
pub mod fa;
mod grape;
mod kolen_pollack;
mod layer_fa;
mod local;
mod normalise;
mod own;
pub mod random_target;
mod reference;
mod settings;
mod sign_symmetry;
pub mod state_bridge;
mod trainee;
pub mod two_phase;

pub use auxiliary::AuxiliaryNet;
pub use card::{Card, Family, Given};
pub use ep::Nudging;
pub use exact::ExactRule;
pub use local::{Credit, Known, LocalRule, Scene};
pub use normalise::Normaliser;
pub use own::{Average, Entry, FEEDBACK, Own, draw, hash as feedback_hash};
pub use reference::{Reference, forward_and_back};
pub use settings::{BridgeSettings, GrapeSettings, Settings};
pub use trainee::Trainee;

use crate::backend::{Differentiable, differentiating, float_tensor};
use crate::config::{Base, Config};
use crate::model::{Buffers, NamedTensors, Network, Outline, Pass, Target, outline};
use crate::rng;
use crate::tables::rules;
use anyhow::Result;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use exact::Exact;
use local::Local;
use rand_distr::{Distribution, StandardNormal};
use std::collections::BTreeMap;
use two_phase::TwoPhase;

/// Gradients by parameter name, each flattened to one dimension.
pub type Gradients<B> = BTreeMap<String, Tensor<<B as AutodiffBackend>::InnerBackend, 1>>;

/// What the file of a rule says, whatever its family.
pub trait Rule {
    const CARD: Card;

    /// What the rule owns on the network of `config`.
    fn layout(config: &Config, outline: &Outline) -> Vec<Entry>;
}

/// What one batch gives.
pub struct Lesson<B: Differentiable> {
    /// Mean loss, without penalty: [1].
    pub loss: Tensor<B::InnerBackend, 1>,
    /// [N, classes]
    pub outputs: Tensor<B::InnerBackend, 2>,
    /// Of the network's parameters.
    pub network: Gradients<B>,
    /// Of what the learner owns and learns; of a [`crate::model::Part::Given`] what it becomes.
    pub own: Gradients<B>,
    /// Under a rule of two phases the [`two_phase::Phase::force`] of each.
    pub force: Vec<Tensor<B::InnerBackend, 1>>,
    /// The network's, after the batch.
    pub buffers: Buffers<B::InnerBackend>,
}

/// Which batch of a run it is: what is drawn anew for every batch comes from a stream of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub seed: u64,
    /// From 1 on.
    pub epoch: usize,
    pub step: usize,
}

impl Turn {
    /// Outside of training.
    pub fn measuring(seed: u64) -> Self {
        Self { seed, epoch: 0, step: 0 }
    }

    /// Whether it is a batch of a training.
    fn is_trained(self) -> bool {
        self.epoch > 0
    }

    /// The stream of what rules draw for the batch; it has its name from the first that did.
    fn stream(self, what: &str) -> rng::Stream {
        rng::stream(self.seed, &format!("auxiliary/{}/{}/{what}", self.epoch, self.step))
    }

    /// Standard normal numbers of the batch.
    fn normals<B: Backend>(
        self,
        shape: [usize; 2],
        what: &str,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let count = shape[0] * shape[1];
        let values: Vec<f64> = StandardNormal.sample_iter(self.stream(what)).take(count).collect();
        float_tensor(TensorData::new(values, shape), device)
    }
}

/// The credit of a batch at h_0 … h_L.
pub enum Credited<B: AutodiffBackend> {
    /// The reference gradient itself.
    Reference,
    /// One for all tokens of a sample, each [N, d].
    Shared(Vec<Tensor<B::InnerBackend, 2>>),
    /// Each [N, T, d].
    Whole(Vec<Tensor<B::InnerBackend, 3>>),
}

/// A rule with what it owns.
#[derive(Clone, Debug)]
pub struct Learner<B: Differentiable> {
    rule: Base,
    settings: Settings,
    own: Own<B::InnerBackend>,
    /// The epoch that trains, or the newest that did: from 1 on, 0 before the first.
    epoch: usize,
}

impl<B: Differentiable> Learner<B> {
    /// `rule` with given matrices.
    pub fn new(rule: Base, settings: Settings, own: Own<B::InnerBackend>) -> Self {
        Self { rule, settings, own, epoch: 0 }
    }

    /// The learner of `config` with matrices that were drawn or come from a checkpoint.
    ///
    /// # Errors
    /// As [`Own::from_named`].
    pub fn from_named(
        config: &Config,
        classes: usize,
        matrices: &NamedTensors,
        device: &B::Device,
    ) -> Result<Self> {
        let own = Own::from_named(config, classes, matrices, device)?;
        Ok(Self::new(config.rule(), Settings::of(config), own))
    }

    /// The same with every random matrix drawn anew from `seed`; `None` where there is none.
    ///
    /// # Errors
    /// As [`Own::from_named`].
    pub fn redrawn(
        &self,
        config: &Config,
        classes: usize,
        seed: u64,
        device: &B::Device,
    ) -> Result<Option<Self>> {
        if !layout(config, classes).iter().any(Entry::is_random) {
            return Ok(None);
        }
        let drawn = draw(config, classes, seed);
        let redrawn = Self::from_named(config, classes, &drawn, device)?;
        Ok(Some(Self { epoch: self.epoch, ..redrawn }))
    }

    /// Says which epoch trains, or was the newest that did: a rule may train by another credit in the
    /// first ones.
    pub fn begin(&mut self, epoch: usize) {
        self.epoch = epoch;
    }

    /// The rule.
    pub fn rule(&self) -> Base {
        self.rule
    }

    /// What every step depends on beside rule, network and batch.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it owns.
    pub fn own(&self) -> &Own<B::InnerBackend> {
        &self.own
    }

    /// What it owns, for the update rule.
    pub fn own_mut(&mut self) -> &mut Own<B::InnerBackend> {
        &mut self.own
    }

    /// All that a checkpoint needs, on the host.
    pub fn state(&self) -> NamedTensors {
        self.own.state()
    }

    /// The gradients of one batch: inputs [N, _] and what their outputs are held against. Parameters
    /// that do not require a gradient have none.
    pub fn learn<N: Network<B>>(
        &self,
        net: &N,
        buffers: &Buffers<B::InnerBackend>,
        images: Tensor<B, 2>,
        target: impl Into<Target<B>>,
        turn: Turn,
    ) -> Lesson<B> {
        let _turn = differentiating();
        let target = target.into();
        match functions::<B, N>(self.rule) {
            Functions::Exact(rule) => {
                let mut pass = Pass::train(&lift(buffers));
                pass.back = rule.transport(net, &self.own, turn);
                exact::learn(net, &rule, &self.settings, pass, images, target)
            }
            Functions::Local(_) if self.settings.is_anchored_at(turn) => {
                let rule = Exact::<B>::of::<bp::Bp>();
                exact::learn(
                    net,
                    &rule,
                    &self.settings,
                    Pass::train(&lift(buffers)),
                    images,
                    target,
                )
            }
            Functions::Local(rule) => {
                local::learn(&rule, &self.scene(net, buffers, turn), images, target)
            }
            Functions::TwoPhase(rule) => {
                let pass = Pass::train(&lift(buffers));
                two_phase::learn(net, &rule, &self.settings, pass, images, target)
            }
        }
    }

    /// Where the rule works on a batch that trains.
    fn scene<'a, N>(
        &'a self,
        net: &'a N,
        buffers: &'a Buffers<B::InnerBackend>,
        turn: Turn,
    ) -> Scene<'a, B, N> {
        let Self { settings, own, epoch, .. } = self;
        Scene { net, buffers, own, settings, epoch: *epoch, turn, measures: false }
    }

    /// The credit of one batch, raw; changes nothing. `known` is what a forward pass over the batch
    /// shows a local rule, `batch` gives inputs and target to one that needs a pass of its own.
    pub fn credit<N: Network<B>, T: Into<Target<B>>>(
        &self,
        net: &N,
        buffers: &Buffers<B::InnerBackend>,
        known: &Known<B::InnerBackend>,
        batch: impl FnOnce() -> (Tensor<B, 2>, T),
    ) -> Credited<B> {
        match functions::<B, N>(self.rule) {
            Functions::Exact(rule) if rule.crosses => {
                let (images, target) = batch();
                let mut pass = Pass::eval(&lift(buffers));
                pass.back = rule.transport(net, &self.own, Turn::measuring(self.settings.seed));
                let objective = self.settings.objective;
                Credited::Whole(forward_and_back(net, pass, objective, images, target).gradient)
            }
            Functions::Exact(_) => Credited::Reference,
            Functions::Local(rule) => {
                let _turn = differentiating();
                let turn = Turn::measuring(self.settings.seed);
                let scene = Scene { measures: true, ..self.scene(net, buffers, turn) };
                Credited::Shared((rule.credit)(&scene, known).layers)
            }
            Functions::TwoPhase(rule) => {
                let _turn = differentiating();
                let (images, target) = batch();
                let (pass, batch) = (Pass::eval(&lift(buffers)), (images, target.into()));
                let settings = &self.settings;
                Credited::Whole(two_phase::measure(
                    net,
                    &rule,
                    settings,
                    pass,
                    batch,
                    |f, phases| (rule.credit)(f, &phases),
                ))
            }
        }
    }

    /// By which factor the force on the states of one batch grows while they relax, with which no
    /// credit is the rule's if it is above 1; `None` under a rule that relaxes nothing, for which no
    /// `batch` is made.
    pub fn growth_of_force<N: Network<B>, T: Into<Target<B>>>(
        &self,
        net: &N,
        buffers: &Buffers<B::InnerBackend>,
        batch: impl FnOnce() -> (Tensor<B, 2>, T),
    ) -> Option<f64> {
        let Functions::TwoPhase(rule) = functions::<B, N>(self.rule) else { return None };
        let _turn = differentiating();
        let (images, target) = batch();
        let (pass, batch) = (Pass::eval(&lift(buffers)), (images, target.into()));
        let forces = two_phase::measure(net, &rule, &self.settings, pass, batch, |_, phases| {
            phases.into_iter().filter_map(|phase| phase.force).collect::<Vec<_>>()
        });
        let squares: Vec<f64> = forces
            .into_iter()
            .flat_map(|f| f.into_data().iter::<f64>().collect::<Vec<_>>())
            .collect();
        two_phase::growth_of_force(&squares)
    }

    /// Whether [`Known::hidden`] is needed.
    pub fn needs_hidden(&self) -> bool {
        needs_hidden(self.rule)
    }
}

/// Buffers on a backend that differentiates.
pub fn lift<B: AutodiffBackend>(buffers: &Buffers<B::InnerBackend>) -> Buffers<B> {
    let lifted = |(name, value): (&String, &Tensor<B::InnerBackend, 1>)| {
        (name.clone(), Tensor::from_inner(value.clone()))
    };
    buffers.iter().map(lifted).collect()
}

/// As they came out of a pass.
fn lower<B: AutodiffBackend>(buffers: Buffers<B>) -> Buffers<B::InnerBackend> {
    buffers.into_iter().map(|(name, value)| (name, value.inner())).collect()
}

/// What the rule of `config` owns.
pub fn layout(config: &Config, classes: usize) -> Vec<Entry> {
    let outline = outline(config, classes);
    layout_of(config.rule(), config, &outline)
}

/// The functions of a rule, by its family.
enum Functions<B: Differentiable, N> {
    Exact(Exact<B>),
    Local(Local<B, N>),
    TwoPhase(TwoPhase<B, N>),
}

macro_rules! families {
    ($($(#[$doc:meta])* $rule:ident = $word:literal: $family:ident in $file:ident,)+) => {
        fn functions<B: Differentiable, N: Network<B>>(rule: Base) -> Functions<B, N> {
            match rule {
                $(Base::$rule => families!(@functions $family, $file::$rule),)+
            }
        }

        fn layout_of(rule: Base, config: &Config, outline: &Outline) -> Vec<Entry> {
            match rule {
                $(Base::$rule => <$file::$rule as Rule>::layout(config, outline),)+
            }
        }

        fn needs_hidden(rule: Base) -> bool {
            match rule {
                $(Base::$rule => families!(@needs_hidden $family, $file::$rule),)+
            }
        }

        /// The family of a rule.
        pub fn family(rule: Base) -> Family {
            match rule {
                $(Base::$rule => families!(@family $family),)+
            }
        }

        /// The identity card of a rule.
        pub fn card(rule: Base) -> Card {
            match rule {
                $(Base::$rule => $file::$rule::CARD,)+
            }
        }
    };
    (@functions exact, $rule:path) => { Functions::Exact(Exact::of::<$rule>()) };
    (@functions local, $rule:path) => { Functions::Local(Local::of::<$rule>()) };
    (@functions two_phase, $rule:path) => { Functions::TwoPhase(TwoPhase::of::<$rule>()) };
    (@needs_hidden exact, $rule:path) => { false };
    (@needs_hidden two_phase, $rule:path) => { false };
    (@needs_hidden local, $rule:path) => { <$rule as LocalRule>::NEEDS_HIDDEN };
    (@family exact) => { Family::Exact };
    (@family local) => { Family::Local };
    (@family two_phase) => { Family::TwoPhase };
}
rules!(families);

#[cfg(test)]
#[path = "../../data/guide/examples/learned_dfa.rs"]
pub mod guide_learned_dfa;
/// The examples of the guide.
#[cfg(test)]
#[path = "../../data/guide/examples/sdfa.rs"]
pub mod guide_sdfa;

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
