//! What a step depends on beside rule, network and batch.

use super::{Normaliser, Nudging};
use crate::config::{Config, CreditTokens, EmbedSignal, Objective};
use crate::model::outline;

/// Read from a configuration once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub normaliser: Normaliser,
    /// λ
    pub penalty: f64,
    pub credit_tokens: CreditTokens,
    pub embed_signal: EmbedSignal,
    pub objective: Objective,
    /// Of a two-phase rule.
    pub nudging: Nudging,
    /// Of what is drawn anew for every batch.
    pub seed: u64,
}

impl Settings {
    /// The settings that `config` asks for.
    pub fn of(config: &Config) -> Self {
        Self {
            normaliser: Normaliser::of(config),
            penalty: config.penalty,
            credit_tokens: match outline(config, config.dataset.classes()).has_tokens() {
                true => config.credit_tokens,
                // The one that is there.
                false => CreditTokens::All,
            },
            embed_signal: config.embed_signal,
            objective: config.objective,
            nudging: Nudging::of(config),
            seed: config.seed,
        }
    }
}
