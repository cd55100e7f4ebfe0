//! What a step depends on beside rule, network and batch.

use super::{Normaliser, Nudging, Turn};
use crate::config::{
    Auxiliary, Base, Code, Config, CreditTokens, EmbedSignal, FeedbackForm, GradientMatching,
    GrapeForm, Objective, PredictorOutput, Probe,
};
use crate::model::{CreditAt, outline};

/// Read from a configuration once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub normaliser: Normaliser,
    /// λ
    pub penalty: f64,
    pub credit_tokens: CreditTokens,
    pub embed_signal: EmbedSignal,
    pub credit_at: CreditAt,
    pub feedback_form: FeedbackForm,
    pub objective: Objective,
    /// Whether a training changes the network, and not its credit alone.
    pub trains_network: bool,
    /// Of a two-phase rule.
    pub nudging: Nudging,
    /// Of what is drawn anew for every batch.
    pub seed: u64,
    /// Of State and Credit Bridge; `None` under the other rules.
    pub bridge: Option<BridgeSettings>,
    /// Of grape, likewise.
    pub grape: Option<GrapeSettings>,
    /// Epochs from one batch that the exact gradient trains to the next; 0 for none.
    pub anchor_every: usize,
}

/// What grape's feedback learns by: the keys of these names.
#[derive(Clone, Copy, Debug)]
pub struct GrapeSettings {
    pub form: GrapeForm,
    /// η
    pub rate: f64,
    pub decay: f64,
    pub noise: f64,
    pub rescale: bool,
    pub probe: Probe,
    pub probes: usize,
}

/// What the credits of auxiliary networks depend on: the keys of these names.
#[derive(Clone, Copy, Debug)]
pub struct BridgeSettings {
    pub auxiliary: Auxiliary,
    pub code: Code,
    pub predictor_output: PredictorOutput,
    pub predictor_octaves: usize,
    pub value_octaves: usize,
    /// K
    pub bridge_copies: usize,
    /// σ
    pub bridge_noise: f64,
    /// λ of the soft minimum.
    pub softmin_temperature: f64,
    pub gradient_weight: f64,
    pub gradient_matching: GradientMatching,
    /// The first so many epochs train by DFA.
    pub warm_up_epochs: usize,
}

impl Settings {
    /// The settings that `config` asks for.
    pub fn of(config: &Config) -> Self {
        let outline = outline(config, config.dataset.classes());
        let trains_network = outline.is_trained && !config.has_frozen_network();
        Self {
            normaliser: Normaliser::of(config),
            penalty: config.penalty,
            credit_tokens: match outline.has_tokens() {
                true => config.credit_tokens,
                // The one that is there.
                false => CreditTokens::All,
            },
            embed_signal: config.embed_signal,
            credit_at: outline.credit_at,
            feedback_form: config.feedback_form,
            objective: config.objective,
            trains_network,
            nudging: Nudging::of(config),
            seed: config.seed,
            bridge: config.rule().has_auxiliary().then(|| BridgeSettings::of(config)),
            grape: (config.rule() == Base::Grape).then(|| GrapeSettings::of(config)),
            anchor_every: if trains_network && !config.is_baseline() {
                config.anchor_every
            } else {
                0
            },
        }
    }

    /// Whether the exact gradient trains this batch: the first of every so many epochs.
    pub fn is_anchored_at(&self, turn: Turn) -> bool {
        self.anchor_every > 0
            && turn.is_trained()
            && turn.step == 0
            && turn.epoch.is_multiple_of(self.anchor_every)
    }
}

impl GrapeSettings {
    fn of(config: &Config) -> Self {
        Self {
            form: config.grape_form,
            rate: config.grape_rate,
            decay: config.grape_decay,
            noise: config.grape_noise,
            rescale: config.grape_rescale,
            probe: config.grape_probe,
            probes: config.grape_probes,
        }
    }
}

impl BridgeSettings {
    fn of(config: &Config) -> Self {
        Self {
            auxiliary: config.auxiliary,
            code: config.code,
            predictor_output: config.predictor_output,
            predictor_octaves: config.predictor_octaves,
            value_octaves: config.value_octaves,
            bridge_copies: config.bridge_copies,
            bridge_noise: config.bridge_noise,
            softmin_temperature: config.softmin_temperature,
            gradient_weight: config.gradient_weight,
            gradient_matching: config.gradient_matching,
            warm_up_epochs: config.warm_up_epochs(),
        }
    }
}
