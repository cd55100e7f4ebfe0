//! Are the recorded states the ones that the head reads?
//!
//! What arrays can show: states that are equal; a last state that the head does not read while another
//! one, or the sum of all, is read to rounding. That sum is what was meant where the branches
//! f_l(h_l) were recorded as states, since h_L = h_0 + f_0 + … + f_{L−1}. The order of the states below
//! the last leaves no such trace.

use super::head::{self, LINEAR};
use super::{Checked, Part, Recording};
use crate::trace::Matrix;

pub const CHECK: &str = "identity of the states";

const VOIDS: [Part; 4] = [Part::Growth, Part::Reference, Part::Stability, Part::Cosine];

/// A head that leaves more does not read this state; with what rounding leaves to the one it reads,
/// nothing lies between.
const UNREAD: f64 = 0.1;

/// A head that leaves less reads this state.
const READ: f64 = 1e-3;

/// Compares the states with each other and with the logits.
pub(super) fn states(recording: &Recording) -> Checked {
    let top = recording.blocks();
    if let Some((l, m)) = equal(recording) {
        let finding = format!(
            "h_{l} and h_{m} are equal in every bit: one state was recorded twice, a buffer was reused, \
             or the blocks between them change nothing."
        );
        return Checked::contradicted(CHECK, &VOIDS, finding);
    }
    let open = "the order of the states below the last leaves no trace in the arrays";
    let not_checkable = |why: &str| Checked::not_checkable(CHECK, format!("{why}."));
    let residual = match &recording.head {
        Ok(head) => head.residual,
        Err(why) => return not_checkable(why),
    };
    if residual <= LINEAR {
        let finding = format!("No two states are equal, and the head reads h_{top}; {open}.");
        return Checked::holds(CHECK, finding);
    }
    let logits: Vec<&Matrix> = recording.batches.iter().filter_map(|b| b.logits.as_ref()).collect();
    let reads = |states: &[&Matrix]| {
        residual > UNREAD && head::fit(states, &logits).is_ok_and(|head| head.residual <= READ)
    };
    let sums = sums(recording);
    if sums.as_ref().is_some_and(|sums| reads(&sums.iter().collect::<Vec<_>>())) {
        let finding = format!(
            "The head does not read h_{top} but the sum of all recorded states: the blocks' branches were \
             recorded, not the states h_(l+1) = h_l + f_l(h_l)."
        );
        return Checked::contradicted(CHECK, &VOIDS, finding);
    }
    if let Some(l) = (0..top).rev().find(|&l| reads(&recording.states(l))) {
        let finding = format!(
            "The head does not read h_{top} but h_{l}: the states are out of order, or the last block is \
             not on the way to the logits."
        );
        return Checked::contradicted(CHECK, &VOIDS, finding);
    }
    not_checkable(&format!(
        "No two states are equal; the logits are no linear map of any of them, with or without a norm \
         before it, and {open}"
    ))
}

/// The first two layers whose states are the same. A baseline's blocks, and those of a network before
/// training, may change nothing.
fn equal(recording: &Recording) -> Option<(usize, usize)> {
    if recording.said.is_baseline || recording.said.epoch == Some(0) {
        return None;
    }
    let same = |l: usize, m: usize| recording.batches.iter().all(|b| b.hidden[l] == b.hidden[m]);
    let layers = recording.blocks() + 1;
    (0..layers).flat_map(|l| (l + 1..layers).map(move |m| (l, m))).find(|&(l, m)| same(l, m))
}

/// h_0 + … + h_L of each batch, where the widths allow it.
fn sums(recording: &Recording) -> Option<Vec<Matrix>> {
    let sum = |hidden: &[Matrix]| {
        let first = hidden.first()?;
        let mut values = vec![0.0; first.rows() * first.cols()];
        for state in hidden {
            if state.cols() != first.cols() {
                return None;
            }
            values.iter_mut().zip(state.iter_rows().flatten()).for_each(|(sum, v)| *sum += v);
        }
        Some(Matrix::new(first.rows(), first.cols(), values))
    };
    if recording.blocks() == 0 {
        return None;
    }
    recording.batches.iter().map(|b| sum(&b.hidden)).collect()
}
