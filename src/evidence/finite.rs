//! Is every number finite, and does gradient and credit reach every layer?
//!
//! A NaN stays in what is computed of it; here it is named with its array, batch and sample. A gradient
//! of exactly zero is no small gradient: the graph is cut there, or the head reads another token. Of
//! half-precision arrays it is said what they can resolve.

use super::leak::layers;
use super::resolution::{F16_NORMAL, Precision};
use super::{Checked, Part, Recording};
use crate::diagnostics::direct_null;
use crate::number;
use crate::trace::{BatchTrace, LayerTrace, Matrix};
use crate::words::{list, percent};

pub const CHECK: &str = "finite and non-zero";

/// A network whose output errors are all smaller fits its samples: nothing need reach its layers.
const FITTED: f64 = 1e-6;

/// The same of f16 arrays, which lose a gradient much earlier.
const FITTED_IN_F16: f64 = 1e-2;

/// Looks at every number.
pub(super) fn finite(recording: &Recording) -> Checked {
    let trace = recording.trace;
    if let Some(lost) = first_lost(trace) {
        // The diagnostics carry what is not finite to their values, and fire.
        return Checked::contradicted(CHECK, &[], lost);
    }
    let remarks = resolutions(recording);
    let hidden = recording.batches.iter().flat_map(|b| &b.hidden);
    let fitted = match Precision::of(hidden) {
        Precision::Half => FITTED_IN_F16,
        Precision::Full | Precision::Brain => FITTED,
    };
    let fitted = recording.outputs().is_some_and(|outputs| {
        let error = |(z, labels): &(&Matrix, &[u32])| direct_null::error(z, labels);
        outputs.iter().map(error).all(|e| e.iter_rows().flatten().all(|v| v.abs() < fitted))
    });
    let dead = zero(recording.batches.iter().map(|b| Some(b.hidden.as_slice())));
    let without_gradient = zero(recording.batches.iter().map(|b| b.gradient.as_deref()));
    let without_credit = zero(recording.batches.iter().map(|b| b.credit.as_deref()));
    let blocks = recording.blocks();
    if !dead.is_empty() {
        let finding = format!(
            "The state is zero for every sample at {}: a dead layer, through which neither signal nor \
             gradient passes.",
            layers(&dead)
        );
        let voids = [Part::Growth, Part::Stability, Part::Cosine];
        return Checked::contradicted(CHECK, &voids, finding).remarking(remarks);
    }
    if fitted && !(without_gradient.is_empty() && without_credit.is_empty()) {
        let why = "Gradient or credit is zero, and so is the output error: the network fits every \
                   recorded sample.";
        return Checked::not_checkable(CHECK, why).remarking(remarks);
    }
    if !without_gradient.is_empty() && is_constant(recording) {
        let why = "The gradient is zero, as it must be where the logits tell no sample from another: they \
                   differ by the same from class to class.";
        return Checked::not_checkable(CHECK, why).remarking(remarks);
    }
    if !without_gradient.is_empty() {
        let mut voids = vec![Part::Stability, Part::Cosine];
        if without_gradient.contains(&blocks) {
            voids.push(Part::Reference);
        }
        let finding = format!(
            "No gradient reaches {}: it is exactly zero for every sample. The graph is cut there, or the \
             head reads another token than the recorded one.",
            layers(&without_gradient)
        );
        return Checked::contradicted(CHECK, &voids, finding).remarking(remarks);
    }
    if without_credit.len() == blocks + 1 {
        let finding =
            "The credit is zero everywhere: none was recorded, or the rule trains nothing.";
        return Checked::contradicted(CHECK, &[Part::Cosine, Part::Null], finding)
            .remarking(remarks);
    }
    let remark = (!without_credit.is_empty())
        .then(|| format!("The credit is zero for every sample at {}.", layers(&without_credit)));
    Checked::holds(CHECK, "Every number is finite, and a gradient reaches every layer.")
        .remarking(remarks.into_iter().chain(remark))
}

/// Whether the logits of all samples are the same, but for a shift of each sample's that no loss of
/// probabilities sees.
fn is_constant(recording: &Recording) -> bool {
    const SAME: f64 = 1e-5;
    let Some(outputs) = recording.outputs() else { return false };
    let rows = || outputs.iter().flat_map(|(logits, _)| logits.iter_rows());
    let Some(first) = rows().next() else { return false };
    let largest = rows().flatten().fold(1.0, |m: f64, v| m.max(v.abs()));
    rows().all(|row| {
        let steps = row.iter().zip(first).map(|(z, of_first)| (z - row[0]) - (of_first - first[0]));
        steps.fold(0.0, |m: f64, v| m.max(v.abs())) <= SAME * largest
    })
}

/// Whether a number is not finite.
pub(super) fn is_lost(trace: &LayerTrace) -> bool {
    first_lost(trace).is_some()
}

/// The first number that is not finite, and how many there are, as a sentence.
fn first_lost(trace: &LayerTrace) -> Option<String> {
    let (mut first, mut count) = (None, 0);
    for (k, batch) in trace.batches.iter().enumerate() {
        for (name, matrix) in arrays(batch) {
            for (i, row) in matrix.iter_rows().enumerate() {
                for value in row.iter().filter(|v| !v.is_finite()) {
                    count += 1;
                    first.get_or_insert_with(|| {
                        let value = number::text(*value);
                        format!("`batch.{k}.{name}` holds {value}, first in sample {i}")
                    });
                }
            }
        }
    }
    let rest = if count == 1 { String::new() } else { format!("; {count} values in all") };
    first.map(|first| format!("Not every number is finite: {first}{rest}."))
}

/// Every array of floating-point numbers, by its name in a trace file.
fn arrays(batch: &BatchTrace) -> impl Iterator<Item = (String, &Matrix)> {
    layered("h", Some(&batch.hidden))
        .chain(layered("g", batch.gradient.as_deref()))
        .chain(layered("a", batch.credit.as_deref()))
        .chain(batch.logits.iter().map(|logits| ("logits".into(), logits)))
}

fn layered<'a>(
    name: &'static str,
    layers: Option<&'a [Matrix]>,
) -> impl Iterator<Item = (String, &'a Matrix)> {
    layers.into_iter().flatten().enumerate().map(move |(l, m)| (format!("{name}.{l}"), m))
}

/// The layers at which every entry of every batch is zero.
fn zero<'a>(batches: impl Iterator<Item = Option<&'a [Matrix]>> + Clone) -> Vec<usize> {
    let Some(all) = batches.collect::<Option<Vec<_>>>() else { return Vec::new() };
    let layers = all.first().map_or(0, |layers| layers.len());
    let is_zero = |m: &Matrix| m.iter_rows().flatten().all(|v| *v == 0.0);
    (0..layers).filter(|&l| all.iter().all(|layers| is_zero(&layers[l]))).collect()
}

/// What arrays of half precision can show.
fn resolutions(recording: &Recording) -> Vec<String> {
    let all = |l: Option<Vec<&[Matrix]>>| -> Vec<Matrix> {
        l.into_iter().flatten().flatten().cloned().collect()
    };
    let hidden = Some(recording.batches.iter().map(|b| b.hidden.as_slice()).collect());
    let mut remarks = Vec::new();
    let (mut brain, mut half) = (Vec::new(), Vec::new());
    for (name, layers) in [
        ("hidden states", all(hidden)),
        ("gradients", all(recording.gradient())),
        ("credits", all(recording.credit())),
    ] {
        match Precision::of(&layers) {
            Precision::Full => {}
            Precision::Brain => brain.push(name),
            Precision::Half => {
                half.push(name);
                let values = || layers.iter().flat_map(|m| m.iter_rows()).flatten();
                let lost = values().filter(|v| v.abs() < F16_NORMAL).count();
                let lost = lost as f64 / values().count() as f64;
                if name != "hidden states" && lost > 0.0 {
                    remarks.push(format!(
                        "Of the {name} {} are under 6.1e-5, where f16 loses digits, or zero: record in \
                         f32.",
                        percent(lost)
                    ));
                }
            }
        }
    }
    if !half.is_empty() {
        let names = list(&half);
        remarks.insert(
            0,
            format!(
                "Recorded in f16: {names}. Values are known to 5e-4, and none between 0 and 6e-8."
            ),
        );
    }
    if !brain.is_empty() {
        let names = list(&brain);
        remarks.insert(0, format!("Recorded in bf16: {names}. Values are known to 4e-3."));
    }
    remarks
}
