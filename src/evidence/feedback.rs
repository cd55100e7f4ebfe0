//! Are the feedback matrices of an import random, as they should be?
//!
//! Feedback that is a weight matrix or its transpose, that is one matrix for every layer, that is zero,
//! or that goes with the weights at initialisation makes of a feedback rule another rule. A rule that
//! learns its feedback may end at the weights, and weights that feedback trains come to go with it.

use super::{Checked, Part};
use crate::diagnostics::norm;
use crate::trace::Matrix;
use crate::words::{list, signed};

pub const CHECK: &str = "feedback matrices";

/// Matrices this parallel are one up to scale.
const SAME: f64 = 0.999;

/// Standard errors from zero at which entries go together: independent matrices of n entries have a
/// correlation of about 1/√n.
const APART: f64 = 6.0;

/// A matrix by its name.
pub struct Named {
    pub name: String,
    pub matrix: Matrix,
}

/// What is known of a network whose feedback is looked at.
#[derive(Default)]
pub struct Weights {
    /// The transposed weights of the head: [d, classes], as a feedback matrix is.
    pub head: Option<Matrix>,
    /// Weights as they are.
    pub present: Vec<Named>,
    /// Weights at initialisation, where they are known.
    pub initial: Vec<Named>,
    /// Why they are not, where that leaves something open.
    pub unknown: Option<String>,
    /// Whether the rule learns its feedback, or was asked to share it.
    pub learned: bool,
    pub shared: bool,
}

/// Holds the feedback matrices against each other and against the weights.
pub fn feedback(matrices: &[Named], weights: &Weights) -> Checked {
    if matrices.is_empty() {
        return Checked::not_checkable(CHECK, "The rule has no feedback matrices.");
    }
    let names = |found: Vec<&Named>| -> String {
        list(&found.iter().map(|m| m.name.as_str()).collect::<Vec<_>>())
    };
    let contradicted = |finding| Checked::contradicted(CHECK, &[Part::Cosine, Part::Null], finding);
    let zero: Vec<&Named> = matrices.iter().filter(|m| norm(&flat(&m.matrix)) == 0.0).collect();
    if !zero.is_empty() {
        return contradicted(format!(
            "{} zero: no credit passes.",
            is(&names(zero.clone()), &zero)
        ));
    }
    if let (false, Some(head)) = (weights.learned, &weights.head) {
        let same: Vec<&Named> = matrices
            .iter()
            .filter(|m| together(&m.matrix, head).is_some_and(|c| c.abs() >= SAME))
            .collect();
        if !same.is_empty() {
            return contradicted(format!(
                "{} the head's transpose: behind it this is backpropagation, not random feedback.",
                is(&names(same.clone()), &same)
            ));
        }
    }
    let first = &matrices[0].matrix;
    let one = |m: &Named| together(&m.matrix, first).is_some_and(|c| c >= SAME);
    if matrices.len() > 1 && !weights.shared && matrices.iter().all(one) {
        return contradicted(
            "All feedback matrices are one up to scale: they were not drawn layer by layer.".into(),
        );
    }
    if weights.learned {
        return holds(matrices);
    }
    if let Some((m, of, _)) = closest(matrices, &weights.present).filter(|(.., c)| c.abs() >= SAME)
    {
        return contradicted(format!(
            "{} is {} up to scale, or its transpose: that is no random feedback.",
            m.name, of.name
        ));
    }
    if let Some((m, of, cosine)) = closest(matrices, &weights.initial) {
        return contradicted(format!(
            "{} goes with {} at initialisation (correlation {}): it was not drawn independently.",
            m.name,
            of.name,
            signed(cosine)
        ));
    }
    let open = weights.unknown.as_ref().map(|why| {
        let known = format!("Whether feedback goes with the weights at initialisation is open: {why}.");
        match closest(matrices, &weights.present) {
            Some((m, of, cosine)) => format!(
                "{known} {} goes with {} as trained (correlation {}), as weights that it trained do, and as \
                 feedback that was drawn from the weights does.",
                m.name,
                of.name,
                signed(cosine)
            ),
            None => known,
        }
    });
    holds(matrices).remarking(open)
}

fn holds(matrices: &[Named]) -> Checked {
    let count = matrices.len();
    Checked::holds(CHECK, format!("{count} feedback matrices, none zero and none that of another."))
}

/// The feedback matrix that goes closest with one of `weights`, as that is or transposed, and their
/// correlation; `None` where none does more than chance lets independent ones do.
fn closest<'a>(matrices: &'a [Named], weights: &'a [Named]) -> Option<(&'a Named, &'a Named, f64)> {
    const FEW: usize = 64;
    let pairs = matrices.iter().flat_map(|m| weights.iter().map(move |of| (m, of)));
    let correlated = pairs.flat_map(|(m, of)| {
        let ways = [together(&m.matrix, &of.matrix), together(&m.matrix, &transpose(&of.matrix))];
        ways.into_iter().flatten().map(move |cosine| (m, of, cosine))
    });
    let beyond_chance = |(m, _, cosine): &(&Named, &Named, f64)| {
        let entries = m.matrix.rows() * m.matrix.cols();
        entries >= FEW && cosine.abs() > APART / (entries as f64).sqrt()
    };
    correlated.filter(beyond_chance).max_by(|a, b| a.2.abs().total_cmp(&b.2.abs()))
}

/// `feedback.0 is`, `feedback.0 and feedback.1 are`
fn is(names: &str, which: &[&Named]) -> String {
    format!("{names} {}", if which.len() == 1 { "is" } else { "are" })
}

/// The cosine of all entries; `None` for matrices of different shape.
fn together(a: &Matrix, b: &Matrix) -> Option<f64> {
    let same = (a.rows(), a.cols()) == (b.rows(), b.cols());
    let (a, b) = (flat(a), flat(b));
    let lengths = norm(&a) * norm(&b);
    let product: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
    (same && lengths > 0.0).then(|| product / lengths)
}

fn flat(matrix: &Matrix) -> Vec<f64> {
    matrix.iter_rows().flatten().copied().collect()
}

fn transpose(matrix: &Matrix) -> Matrix {
    let values = (0..matrix.cols()).flat_map(|j| matrix.iter_rows().map(move |row| row[j]));
    Matrix::new(matrix.cols(), matrix.rows(), values.collect())
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;
    use crate::diagnostics::testing::{noise, rng};

    fn drawn(count: u64) -> Vec<Named> {
        let matrix = |l: u64| noise(&mut rng(40 + l), 16, 5, 1.0);
        (0..count).map(|l| Named { name: format!("feedback.{l}"), matrix: matrix(l) }).collect()
    }

    fn weights() -> Weights {
        let initial =
            Named { name: "readout.weight".into(), matrix: noise(&mut rng(90), 5, 16, 1.0) };
        Weights {
            head: Some(noise(&mut rng(91), 16, 5, 1.0)),
            initial: vec![initial],
            ..Weights::default()
        }
    }

    fn refused(matrices: &[Named], weights: &Weights, words: &str) {
        let found = feedback(matrices, weights);
        assert_eq!(found.standing, Standing::Contradicted, "{}", found.finding);
        assert!(found.finding.contains(words), "{}", found.finding);
    }

    #[test]
    fn independent_matrices_are_not_accused() {
        for seed in 0..200 {
            let matrices: Vec<Named> = (0..4)
                .map(|l| Named {
                    name: format!("feedback.{l}"),
                    matrix: noise(&mut rng(1000 + 10 * seed + l), 16, 5, 1.0),
                })
                .collect();
            let found = feedback(&matrices, &weights());
            assert_eq!(found.standing, Standing::Holds, "{}", found.finding);
        }
        assert_eq!(feedback(&[], &weights()).standing, Standing::NotCheckable);
    }

    #[test]
    fn feedback_that_is_the_heads_transpose_is_named() {
        let mut matrices = drawn(3);
        let of = weights();
        matrices[1].matrix = of.head.clone().unwrap();
        refused(&matrices, &of, "feedback.1 is the head's transpose");
        let learned = Weights { learned: true, ..weights() };
        assert_eq!(feedback(&matrices, &learned).standing, Standing::Holds);
    }

    #[test]
    fn feedback_that_is_one_for_all_layers_is_named_unless_it_was_asked_for() {
        let one = || -> Vec<Named> {
            drawn(3).into_iter().map(|m| Named { matrix: drawn(1).remove(0).matrix, ..m }).collect()
        };
        refused(&one(), &weights(), "one up to scale");
        let shared = Weights { shared: true, ..weights() };
        assert_eq!(feedback(&one(), &shared).standing, Standing::Holds);
    }

    #[test]
    fn feedback_of_zeros_is_named() {
        let mut matrices = drawn(3);
        matrices[2].matrix = Matrix::new(16, 5, vec![0.0; 80]);
        refused(&matrices, &weights(), "feedback.2 is zero");
    }

    #[test]
    fn feedback_that_is_a_weight_matrix_is_named() {
        let weight = noise(&mut rng(92), 16, 16, 1.0);
        let name = "blocks.1.linear1.weight";
        let square = |l: u64| Named {
            name: format!("feedback.{l}"),
            matrix: noise(&mut rng(60 + l), 16, 16, 1.0),
        };
        let mut matrices: Vec<Named> = (0..3).map(square).collect();
        let present = vec![Named { name: name.into(), matrix: weight.clone() }];
        let of = Weights { present, ..Weights::default() };
        assert_eq!(feedback(&matrices, &of).standing, Standing::Holds);
        for matrix in [weight.clone(), transpose(&weight)] {
            matrices[1].matrix = matrix;
            refused(&matrices, &of, "feedback.1 is blocks.1.linear1.weight up to scale");
        }
        let learned = Weights { learned: true, ..of };
        assert_eq!(feedback(&matrices, &learned).standing, Standing::Holds);
    }

    /// Alignment is what feedback does to weights: it accuses nobody, and is said.
    #[test]
    fn feedback_that_goes_with_trained_weights_is_said_where_the_initial_ones_are_unknown() {
        let matrices = drawn(3);
        let aligned =
            flat(&matrices[1].matrix).into_iter().zip(flat(&noise(&mut rng(7), 16, 5, 1.0)));
        let aligned = Matrix::new(16, 5, aligned.map(|(b, w)| w + b).collect());
        let present = vec![Named { name: "readout.head.weight".into(), matrix: aligned }];
        let of =
            Weights { unknown: Some("nobody kept them".into()), present, ..Weights::default() };
        let found = feedback(&matrices, &of);
        assert_eq!(found.standing, Standing::Holds, "{}", found.finding);
        let said = found.remarks.join(" ");
        assert!(said.contains("is open: nobody kept them."), "{said}");
        assert!(said.contains("feedback.1 goes with readout.head.weight as trained"), "{said}");
        let known = Weights { unknown: None, ..of };
        assert!(feedback(&matrices, &known).remarks.is_empty());
    }

    #[test]
    fn feedback_that_goes_with_the_weights_at_initialisation_is_named() {
        let mut matrices = drawn(3);
        let of = weights();
        let start = transpose(&of.initial[0].matrix);
        let values = start.iter_rows().flatten().zip(flat(&matrices[0].matrix));
        let mixed = values.map(|(w, b)| w + 0.3 * b).collect();
        matrices[0].matrix = Matrix::new(16, 5, mixed);
        refused(&matrices, &of, "feedback.0 goes with readout.weight at initialisation");
    }
}
