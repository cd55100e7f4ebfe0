//! The layout of a trace file: which name means what, and whether the arrays fit each other.
//!
//! ```text
//! batch.{k}.h.{l}   batch.{k}.g.{l}   batch.{k}.a.{l}     [N, d] or [N, tokens, d]     l = 0 … L
//! batch.{k}.logits  [N, classes]      batch.{k}.labels    [N], integers                k = 0, 1, …
//! ```
//!
//! `h` must be there; `g`, `a`, `logits` and `labels` are there in every batch or in none.

use super::array::{Array, State, Tokens, shown};
use super::info::TraceInfo;
use super::{BatchTrace, LayerTrace, Matrix};
use anyhow::{Result, bail, ensure};
use std::collections::BTreeMap;

/// What a name of the layout means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Hidden(usize),
    Gradient(usize),
    Credit(usize),
    Logits,
    Labels,
}

/// The arrays of one batch while they are collected.
#[derive(Default)]
struct Parts {
    hidden: BTreeMap<usize, State>,
    gradient: BTreeMap<usize, State>,
    credit: BTreeMap<usize, State>,
    logits: Option<Matrix>,
    labels: Option<Vec<u32>>,
}

/// Whether `name` is one of the layout's.
pub(super) fn is_array(name: &str) -> bool {
    parse(name).is_some()
}

/// Batch and field of a name.
fn parse(name: &str) -> Option<(usize, Field)> {
    // One spelling each: `01` and `+1` name nothing.
    let index = |word: &str| word.parse::<usize>().ok().filter(|i| i.to_string() == word);
    let words: Vec<&str> = name.split('.').collect();
    match words[..] {
        ["batch", k, "logits"] => Some((index(k)?, Field::Logits)),
        ["batch", k, "labels"] => Some((index(k)?, Field::Labels)),
        ["batch", k, "h", l] => Some((index(k)?, Field::Hidden(index(l)?))),
        ["batch", k, "g", l] => Some((index(k)?, Field::Gradient(index(l)?))),
        ["batch", k, "a", l] => Some((index(k)?, Field::Credit(index(l)?))),
        _ => None,
    }
}

/// The error for a name that means nothing.
pub(super) fn unknown(name: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`{}` means nothing here: arrays are named batch.0.h.0, batch.0.g.0, batch.0.a.0, \
         batch.0.logits, batch.0.labels",
        shown(name)
    )
}

/// Puts the arrays of a file together.
///
/// # Errors
/// Names the array that is unknown, missing, of another dtype, or whose shape does not fit the others.
pub(super) fn assemble<'a>(
    info: &TraceInfo,
    arrays: impl IntoIterator<Item = Result<Array<'a>>>,
) -> Result<LayerTrace> {
    let tokens = info.tokens.unwrap_or(Tokens::Cls);
    let mut batches = BTreeMap::<usize, Parts>::new();
    for array in arrays {
        let array = array?;
        let (k, field) = parse(&array.name).ok_or_else(|| unknown(&array.name))?;
        let parts = batches.entry(k).or_default();
        match field {
            Field::Hidden(l) => drop(parts.hidden.insert(l, array.state(tokens)?)),
            Field::Gradient(l) => drop(parts.gradient.insert(l, array.state(tokens)?)),
            Field::Credit(l) => drop(parts.credit.insert(l, array.state(tokens)?)),
            Field::Logits => {
                ensure!(
                    array.shape.len() == 2,
                    "`{}` is {:?}: expected [N, classes]",
                    array.name,
                    array.shape
                );
                parts.logits = Some(array.state(tokens)?.matrix);
            }
            Field::Labels => parts.labels = Some(array.labels()?),
        }
    }
    let Some(first) = batches.get(&0).filter(|parts| parts.hidden.contains_key(&0)) else {
        bail!("`batch.0.h.0` is missing: a trace holds the hidden states of at least one batch");
    };
    let pattern = Pattern {
        widths: first.hidden.values().map(|h| h.matrix.cols()).collect(),
        gradient: !first.gradient.is_empty(),
        credit: !first.credit.is_empty(),
        logits: first.logits.as_ref().map(Matrix::cols),
        labels: first.labels.is_some(),
    };
    let any_tokens = batches.values().flat_map(|parts| parts.hidden.values()).any(|h| h.tokens > 1);
    let mut all = Vec::with_capacity(batches.len());
    for (expected, (k, parts)) in batches.into_iter().enumerate() {
        ensure!(k == expected, "`batch.{expected}.h.0` is missing, though there is a batch {k}");
        all.push(pattern.batch(k, parts)?);
    }
    let tokens = match (any_tokens, tokens) {
        (false, _) => "single",
        (true, Tokens::Cls) => "cls",
        (true, Tokens::Mean) => "mean",
    };
    if let Some(l) = info.credit_trains.iter().flatten().find(|&&l| l >= pattern.widths.len()) {
        bail!("metadata `credit_trains` names layer {l}: the last is {}", pattern.widths.len() - 1);
    }
    ensure!(
        info.credit_trains.as_ref().is_none_or(|layers| !layers.is_empty()),
        "metadata `credit_trains` is empty: expected the layers whose credit trains"
    );
    Ok(LayerTrace {
        loss_reduction: info.loss_reduction,
        credit_trains: info.credit_trains.clone(),
        tokens: tokens.into(),
        batches: all,
    })
}

/// What every batch must hold: what the first one does.
struct Pattern {
    /// d of each layer.
    widths: Vec<usize>,
    gradient: bool,
    credit: bool,
    /// Classes.
    logits: Option<usize>,
    labels: bool,
}

impl Pattern {
    fn batch(&self, k: usize, parts: Parts) -> Result<BatchTrace> {
        let tokens: Vec<usize> = parts.hidden.values().map(|h| h.tokens).collect();
        let n = parts.hidden.get(&0).map_or(0, |h| h.matrix.rows());
        let hidden = self.layers(k, "h", parts.hidden, n, |_, _| true)?;
        let fits = |l: usize, t: usize| tokens.get(l) == Some(&t);
        let gradient = match self.expected(k, "g.0", self.gradient, !parts.gradient.is_empty())? {
            true => Some(self.layers(k, "g", parts.gradient, n, fits)?),
            false => None,
        };
        // A credit may be one for all tokens.
        let fits = |l: usize, t: usize| t == 1 || tokens.get(l) == Some(&t);
        let credit = match self.expected(k, "a.0", self.credit, !parts.credit.is_empty())? {
            true => Some(self.layers(k, "a", parts.credit, n, fits)?),
            false => None,
        };
        self.expected(k, "logits", self.logits.is_some(), parts.logits.is_some())?;
        self.expected(k, "labels", self.labels, parts.labels.is_some())?;
        if let (Some(logits), Some(classes)) = (&parts.logits, self.logits) {
            ensure!(
                (logits.rows(), logits.cols()) == (n, classes),
                "`batch.{k}.logits` is [{}, {}] where [{n}, {classes}] belongs",
                logits.rows(),
                logits.cols()
            );
        }
        if let Some(labels) = &parts.labels {
            ensure!(
                labels.len() == n,
                "`batch.{k}.labels` is [{}] where [{n}] belongs",
                labels.len()
            );
            let classes = self.logits.unwrap_or(usize::MAX);
            if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
                bail!("`batch.{k}.labels` holds class {label}, the logits have {classes} columns");
            }
        }
        Ok(BatchTrace { hidden, gradient, credit, logits: parts.logits, labels: parts.labels })
    }

    /// Whether an optional field is there, as it must be where the first batch has it.
    fn expected(&self, k: usize, field: &str, first: bool, here: bool) -> Result<bool> {
        ensure!(here || !first, "`batch.{k}.{field}` is missing: batch 0 has it");
        ensure!(first || !here, "`batch.0.{field}` is missing: batch {k} has it");
        Ok(here)
    }

    /// Layers 0 … L in order, each [n, d] with a number of tokens that `fits`.
    fn layers(
        &self,
        k: usize,
        field: &str,
        states: BTreeMap<usize, State>,
        n: usize,
        fits: impl Fn(usize, usize) -> bool,
    ) -> Result<Vec<Matrix>> {
        let mut layers = Vec::with_capacity(states.len());
        for (expected, (l, state)) in states.into_iter().enumerate() {
            ensure!(
                l == expected,
                "`batch.{k}.{field}.{expected}` is missing, though there is a layer {l}"
            );
            let Some(width) = self.widths.get(l) else {
                bail!("`batch.{k}.{field}.{l}` has no `batch.0.h.{l}` beside it");
            };
            let (rows, cols) = (state.matrix.rows(), state.matrix.cols());
            ensure!(
                (rows, cols) == (n, *width) && fits(l, state.tokens),
                "`batch.{k}.{field}.{l}` has {rows} samples of {} × {cols} values, which do not fit \
                 `batch.{k}.h.0` and `batch.0.h.{l}`",
                state.tokens
            );
            layers.push(state.matrix);
        }
        let (found, all) = (layers.len(), self.widths.len());
        ensure!(
            found == all,
            "`batch.{k}.{field}.{found}` is missing: `batch.0.h.{found}` is there"
        );
        Ok(layers)
    }
}

#[cfg(test)]
mod tests;
