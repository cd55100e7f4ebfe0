//! Layered controls: named numbers at each layer, from a trace alone, that decide nothing. Every format
//! shows them in one way, so that one is its file and its line in `crate::tables`.

use super::Unmeasured;
use crate::number::Number;
use crate::trace::LayerTrace;
use std::collections::BTreeMap;

/// What the file of a layered control says of it.
#[derive(Clone, Copy, Debug)]
pub struct LayeredControl {
    pub title: &'static str,
    /// What a reader must know to read its table: a sentence or more.
    pub note: &'static str,
    pub measure: fn(&LayerTrace) -> Result<PerLayer, Unmeasured>,
}

/// Values at layers 0 … L by the name of their quantity, a word of `verdict.json`.
pub type PerLayer = BTreeMap<String, Vec<Number>>;
