//! Is an output a function of its own image alone, and does evaluating change nothing?
//!
//! A network in train mode shows in its outputs: BatchNorm's depend on who else is in the batch,
//! dropout's differ from pass to pass, and running statistics move. So the same images run once more,
//! and some of them alone.

use super::Subject;
use crate::backend::Differentiable;
use crate::evidence::{Checked, Part};
use crate::model::NamedTensors;
use crate::trace::Matrix;
use crate::words::short;

pub const CHECK: &str = "evaluation mode";

/// Images that are run alone.
const ALONE: usize = 8;

/// Rounding depends on how a product is cut into pieces, which depends on the batch: in f32 it leaves
/// 1e-5 of the largest output, in TF32 a few thousandths. A batch's own statistics leave tenths.
const ROUNDING: f64 = 0.02;

/// The same pass twice rounds the same way, but for sums whose order a GPU does not keep.
const AGAIN: f64 = 1e-4;

/// Runs images again and alone. `outputs` are those of the control samples in one batch.
pub(super) fn evaluation_mode<B: Differentiable>(
    subject: &Subject<B>,
    outputs: &Matrix,
) -> Checked {
    let before = subject.trainee.buffers_on_host();
    let again = subject.outputs(0..outputs.rows());
    let alone = ALONE.min(outputs.rows());
    let rows = (0..alone).flat_map(|i| subject.outputs(i..i + 1).row(0).to_vec());
    let alone = Matrix::new(alone, outputs.cols(), rows.collect());
    judged(outputs, &again, &alone, [&before, &subject.trainee.buffers_on_host()])
}

fn judged(
    outputs: &Matrix,
    again: &Matrix,
    alone: &Matrix,
    buffers: [&NamedTensors; 2],
) -> Checked {
    let largest = outputs.iter_rows().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
    if !outputs.iter_rows().flatten().all(|v| v.is_finite()) {
        return Checked::not_checkable(CHECK, "The outputs are not finite.");
    }
    let voids = [Part::DepthUtility, Part::Reference, Part::Cosine];
    let contradicted = |finding: String| Checked::contradicted(CHECK, &voids, finding);
    if let Some(name) = buffers[0].iter().find(|(n, v)| buffers[1].get(*n) != Some(*v)) {
        return contradicted(format!(
            "Evaluating changes {}: the network was evaluated in train mode.",
            name.0
        ));
    }
    let apart = |other: &Matrix| {
        let pairs = other.iter_rows().zip(outputs.iter_rows());
        let entries = pairs.flat_map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a - b).abs()));
        entries.fold(0.0, |m: f64, v| if v.is_nan() { v } else { m.max(v) }) / largest
    };
    if largest == 0.0 {
        return Checked::not_checkable(CHECK, "All outputs are zero.");
    }
    let twice = apart(again);
    if twice.is_nan() || twice > AGAIN {
        return contradicted(format!(
            "The same images have other outputs in a second pass, by up to {} of the largest: something is \
             drawn anew in each, as dropout in train mode is.",
            short(twice)
        ));
    }
    let single = apart(alone);
    if single.is_nan() || single > ROUNDING {
        return contradicted(format!(
            "An image alone has other outputs than in its batch, by up to {} of the largest: the batch's own \
             statistics are in them, as under BatchNorm in train mode.",
            short(single)
        ));
    }
    let finding = format!(
        "Images have the same outputs in a second pass and alone (up to {} of the largest), and evaluating \
         changes no buffer.",
        short(single)
    );
    Checked::holds(CHECK, finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::testing::{noise, rng};
    use crate::evidence::Standing;
    use burn::tensor::TensorData;

    fn found(of: impl Fn(&Matrix) -> Matrix, again: impl Fn(&Matrix) -> Matrix) -> Checked {
        let inputs = noise(&mut rng(8), 32, 5, 1.0);
        let rows =
            (0..4).flat_map(|i| of(&Matrix::new(1, 5, inputs.row(i).to_vec())).row(0).to_vec());
        let alone = Matrix::new(4, 5, rows.collect());
        let buffers = NamedTensors::new();
        judged(&of(&inputs), &again(&inputs), &alone, [&buffers, &buffers])
    }

    fn caught(found: &Checked, words: &str) {
        assert_eq!(found.standing, Standing::Contradicted, "{}", found.finding);
        assert!(found.finding.contains(words), "{}", found.finding);
    }

    /// Each feature minus its mean over the batch, as BatchNorm in train mode does.
    fn centred(inputs: &Matrix) -> Matrix {
        let n = inputs.rows() as f64;
        let means: Vec<f64> =
            (0..5).map(|j| inputs.iter_rows().map(|row| row[j]).sum::<f64>() / n).collect();
        let rows = inputs
            .iter_rows()
            .flat_map(|row| row.iter().zip(&means).map(|(v, m)| v - m).collect::<Vec<_>>());
        Matrix::new(inputs.rows(), 5, rows.collect())
    }

    /// Every seventh value is dropped, and another in each pass.
    fn dropped(inputs: &Matrix, pass: usize) -> Matrix {
        let values = inputs.iter_rows().flatten().enumerate();
        let kept = values.map(|(i, v)| if (i + pass).is_multiple_of(7) { 0.0 } else { *v });
        Matrix::new(inputs.rows(), 5, kept.collect())
    }

    #[test]
    fn a_function_of_each_image_alone_is_not_accused() {
        let found = found(Matrix::clone, Matrix::clone);
        assert_eq!(found.standing, Standing::Holds, "{}", found.finding);
    }

    #[test]
    fn a_batchs_own_statistics_in_evaluation_are_named() {
        caught(&found(centred, centred), "as under BatchNorm in train mode");
    }

    #[test]
    fn dropout_in_evaluation_is_named() {
        caught(&found(|m| dropped(m, 0), |m| dropped(m, 1)), "as dropout in train mode is");
    }

    #[test]
    fn running_statistics_that_move_in_evaluation_are_named() {
        let outputs = noise(&mut rng(8), 4, 5, 1.0);
        let buffer = |v: f32| NamedTensors::from([("norm.mean".into(), TensorData::from([v]))]);
        let (before, after) = (buffer(0.5), buffer(0.6));
        let found = judged(&outputs, &outputs, &outputs, [&before, &after]);
        caught(&found, "Evaluating changes norm.mean");
    }
}
