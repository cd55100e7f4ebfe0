//! Is g_L the gradient that h_L, logits and labels make it, and of which scale?
//!
//! ```text
//! g_L = c · J_n(h_L)ᵀ Wᵀ e,   e = softmax(logits) − onehot(y),   c = 1/N (mean) or 1 (sum)
//! ```
//!
//! W and the norm n come from a fit of the logits on h_L (`head`), so that nothing but the arrays is
//! believed. Where the direction is right and c is not, the factor is named; where it is right in most
//! batches, those are named that are not; where no batch agrees, another loss, other labels, other rows
//! or another signal than a gradient are told apart as far as the arrays can.

use super::head::{Head, LINEAR};
use super::resolution::Precision;
use super::{Checked, Part, Recording};
use crate::diagnostics::norm;
use crate::trace::{LossReduction, Matrix};
use crate::words::{list, short};
use std::ops::Range;

pub const CHECK: &str = "scale of the reference";

/// What falls with g_L.
const ALL: [Part; 3] = [Part::Reference, Part::Stability, Part::Cosine];

/// A head known worse than this would accuse by its own error.
const WELL_KNOWN: f64 = 0.05;

/// A gradient is the expected one if the sine between both is at most this: ten times what bf16
/// leaves, a third of what a label smoothing of .1 makes.
const SINE: f64 = 0.05;

/// A scale is the stated one up to this share. The nearest mistake in use, a last batch divided by
/// the size of the others, is seldom closer.
const FACTOR: f64 = 0.1;

/// Factors up to this share from a whole one are called by its name.
const NAMED: f64 = 0.02;

/// The share of samples that must agree where they are looked at one by one.
const MOST: f64 = 0.9;

/// Samples that are looked at one by one.
const LOOKED_AT: usize = 64;

/// A sample whose gradient is fainter beside the largest is fitted: its direction is rounding.
const FAINT: f64 = 1e-4;

/// Compares g_L with what the head pushes back.
pub(super) fn scale(recording: &Recording) -> Checked {
    match compared(recording) {
        Ok(checked) => checked,
        Err(why) => Checked::not_checkable(CHECK, format!("{why}.")),
    }
}

fn compared(recording: &Recording) -> Result<Checked, String> {
    let top = recording.blocks();
    let gradient = recording.gradient().ok_or("no reference gradient was recorded")?;
    let head = recording.head.as_ref().map_err(Clone::clone)?;
    let errors = recording.errors.as_ref().ok_or("logits or labels were not recorded")?;
    if recording.trace.tokens == "mean" {
        return Err("the mean over tokens is recorded, and the head may read another".into());
    }
    if head.residual > LINEAR {
        return Err(format!(
            "the logits are no linear map of h_{top}, with or without a norm before it: {} of their \
             deviation is left",
            share(head.residual)
        ));
    }
    let gradient: Vec<&Matrix> = gradient.iter().map(|layers| &layers[top]).collect();
    if gradient.iter().any(|g| length(g) == 0.0) {
        return Err(format!("the gradient at h_{top} is zero"));
    }
    let mut view =
        View { head, states: recording.states(top), gradient, errors, sines: Vec::new() };
    let sine = |doubt: f64| SINE.max(5.0 * doubt).max(5.0 * head.residual);
    let of_all = sine(view.doubt(recording)?);
    // A batch whose samples are nearly all fitted may have no more than rounding, beside others that do.
    let doubts = (0..errors.len()).map(|k| view.doubts(recording, k..k + 1).iter().sum::<f64>());
    view.sines = doubts.map(|doubt| (doubt <= WELL_KNOWN).then(|| sine(doubt))).collect();
    let matches = view.matches(&view.pushed(errors));
    let known: Vec<&Match> = matches.iter().filter(|m| m.sine.is_some()).collect();
    if known.is_empty() {
        return Err("no batch has a gradient that the arrays determine beyond rounding".into());
    }
    if known.iter().all(|m| m.agrees()) {
        return Ok(sized(recording, &matches, head));
    }
    if known.iter().all(|m| m.opposes()) {
        let finding = format!(
            "The reference gradient at h_{top} points against the one that h_{top}, logits and labels \
             make (cosine {}): its sign is turned round.",
            cosine(known[0].cosine)
        );
        return Ok(Checked::contradicted(CHECK, &ALL, finding));
    }
    if known.iter().any(|m| m.agrees()) {
        let is_wrong = |k: &usize| matches[*k].sine.is_some() && !matches[*k].agrees();
        let wrong: Vec<usize> = (0..matches.len()).filter(is_wrong).collect();
        return Ok(apart(recording, &matches, &wrong));
    }
    view.otherwise(recording, of_all, &matches)
}

/// The direction is right in every batch: what of the scale?
fn sized(recording: &Recording, matches: &[Match], head: &Head) -> Checked {
    let top = recording.blocks();
    let known: Vec<usize> = (0..matches.len()).filter(|&k| matches[k].sine.is_some()).collect();
    let sizes: Vec<f64> = known.iter().map(|&k| recording.batches[k].samples() as f64).collect();
    let matches: Vec<&Match> = known.iter().map(|&k| &matches[k]).collect();
    let declared = recording.trace.loss_reduction;
    let reduction = declared.unwrap_or(LossReduction::Mean);
    let factors: Vec<f64> = matches
        .iter()
        .zip(&sizes)
        .map(|(m, n)| match reduction {
            LossReduction::Mean => m.factor * n,
            LossReduction::Sum => m.factor,
        })
        .collect();
    let close = |factor: f64, to: f64| (factor / to - 1.0).abs() <= FACTOR;
    let worst = matches.iter().map(|m| m.cosine).fold(1.0, f64::min);
    if factors.iter().all(|factor| close(*factor, 1.0)) {
        let finding = format!(
            "g_{top} is the gradient of the batch-{} cross-entropy behind a {} (cosine {}, scale {}).",
            reduction.word(),
            head.words(),
            cosine(worst),
            short(factors[0])
        );
        return Checked::holds(CHECK, finding);
    }
    let summed = |factor: f64, n: f64| reduction == LossReduction::Mean && close(factor, n);
    if declared.is_none() && factors.iter().zip(&sizes).all(|(factor, n)| summed(*factor, *n)) {
        let finding = format!(
            "g_{top} is the gradient of a summed cross-entropy behind a {} (cosine {}).",
            head.words(),
            cosine(worst)
        );
        return Checked::holds(CHECK, finding);
    }
    let middle = crate::stats::median(&factors);
    let uneven: Vec<usize> = (0..factors.len()).filter(|&k| !close(factors[k], middle)).collect();
    let stated = match declared {
        Some(reduction) => format!("under the {} loss that is stated", reduction.word()),
        None => "under a mean loss".into(),
    };
    let named = format!("behind a {} (cosine {})", head.words(), cosine(worst));
    let of_sizes = factors.iter().zip(&sizes).all(|(f, n)| close(f / n, factors[0] / sizes[0]));
    let finding = if uneven.is_empty() || (of_sizes && close(factors[0], sizes[0])) {
        format!(
            "The reference gradient at h_{top} is {} times what h_{top}, logits and labels make it \
             {stated}, {named}: {}.",
            number(middle),
            cause(middle, &sizes, reduction)
        )
    } else if of_sizes {
        format!(
            "The reference gradient at h_{top} was divided by {} in every batch and not by the batch's \
             own size ({} to {}), {named}: a mean is over each batch's own samples.",
            number(sizes[0] / factors[0]),
            sizes.iter().fold(f64::INFINITY, |a: f64, b| a.min(*b)),
            sizes.iter().fold(0.0, |a: f64, b| a.max(*b))
        )
    } else {
        let first = uneven[0];
        format!(
            "The reference gradient at h_{top} has another scale in {} than in the others: {} times in \
             batch {}, {} times at the median of the batches, of what h_{top}, logits and labels make \
             it {stated}, {named}.",
            batches(&uneven.iter().map(|&i| known[i]).collect::<Vec<_>>()),
            number(factors[first]),
            known[first],
            number(middle)
        )
    };
    Checked::contradicted(CHECK, &[Part::Reference, Part::Stability], finding)
}

/// What multiplies a loss by `factor`.
fn cause(factor: f64, sizes: &[f64], reduction: LossReduction) -> String {
    let near = |to: f64| (factor / to - 1.0).abs() <= NAMED;
    let n = sizes[0];
    let power = factor.log2().round();
    let whole = factor.round();
    let part = (1.0 / factor).round();
    match reduction {
        LossReduction::Mean if near(n) => "the loss was summed, not averaged".into(),
        LossReduction::Sum if near(1.0 / n) => "the loss was averaged, not summed".into(),
        LossReduction::Mean if near(1.0 / n) => "the batch size was divided by twice".into(),
        _ if power >= 8.0 && near(power.exp2()) => {
            "a loss scale is left in, as a GradScaler's: unscale before recording".into()
        }
        LossReduction::Mean if power >= 16.0 && near(power.exp2() * n) => {
            "the loss was summed and a loss scale is left in, as a GradScaler's".into()
        }
        _ if (2.0..=64.0).contains(&whole) && near(whole) => {
            format!("{whole} backward passes were added up, or the loss was multiplied by {whole}")
        }
        _ if (2.0..=64.0).contains(&part) && near(1.0 / part) => format!(
            "the loss was divided by {part} once more, as for the accumulation of gradients"
        ),
        _ => "the loss was multiplied by it".into(),
    }
}

/// Some batches agree and others do not.
fn apart(recording: &Recording, matches: &[Match], wrong: &[usize]) -> Checked {
    let top = recording.blocks();
    let finding = format!(
        "In {} the reference gradient at h_{top} is not the one that h_{top}, logits and labels make \
         (cosine {} in batch {}), in the other {} it is: the rows of {} belong to other samples, or the \
         labels do.",
        batches(wrong),
        cosine(matches[wrong[0]].cosine),
        wrong[0],
        matches.iter().filter(|m| m.agrees()).count(),
        if wrong.len() == 1 { "this batch" } else { "these batches" }
    );
    Checked::contradicted(CHECK, &ALL, finding)
}

/// Cosine and factor of a batch's gradient against the expected one of a summed loss.
struct Match {
    cosine: f64,
    factor: f64,
    /// The largest sine between equal gradients; `None` where the expected one is rounding.
    sine: Option<f64>,
}

impl Match {
    fn agrees(&self) -> bool {
        self.cosine > 0.0 && self.is_parallel()
    }

    fn opposes(&self) -> bool {
        self.cosine < 0.0 && self.is_parallel()
    }

    fn is_parallel(&self) -> bool {
        self.sine.is_some_and(|sine| (1.0 - self.cosine * self.cosine).max(0.0).sqrt() <= sine)
    }
}

struct View<'a> {
    head: &'a Head,
    /// h_L of each batch.
    states: Vec<&'a Matrix>,
    /// g_L of each batch.
    gradient: Vec<&'a Matrix>,
    errors: &'a [Matrix],
    /// Of each batch: see [`Match`].
    sines: Vec<Option<f64>>,
}

impl View<'_> {
    /// The relative errors that the rounding and the fit leave to the expected gradient of these batches.
    fn doubts(&self, recording: &Recording, batches: Range<usize>) -> [f64; 2] {
        let logits: Vec<&Matrix> =
            recording.batches.iter().filter_map(|b| b.logits.as_ref()).collect();
        let unit = Precision::of(logits.iter().copied()).unit();
        let largest = logits.iter().flat_map(|z| z.iter_rows()).flatten();
        let largest = largest.fold(0.0, |m: f64, v| m.max(v.abs()));
        let (states, errors) = (&self.states[batches.clone()], &self.errors[batches]);
        let entries: usize = errors.iter().map(|e| e.rows() * e.cols()).sum();
        let size = errors.iter().map(length).fold(0.0, f64::hypot);
        // An entry of e is known to the rounding of a probability, and to the logits' own.
        let of_error = Precision::Full.unit() * (entries as f64).sqrt() / size + unit * largest;
        [of_error, self.head.uncertainty(states, errors)]
    }

    /// The same of all batches, together.
    fn doubt(&self, recording: &Recording) -> Result<f64, String> {
        let [of_error, of_head] = self.doubts(recording, 0..self.errors.len());
        let doubt = of_error + of_head;
        if doubt <= WELL_KNOWN {
            return Ok(doubt);
        }
        Err(if of_error > of_head || of_error.is_nan() {
            "the output errors are rounding: the network fits every recorded sample, or its logits \
             are too coarse"
                .into()
        } else {
            format!(
                "the samples determine the head to {} only: its input hardly varies in some directions",
                share(of_head)
            )
        })
    }

    /// What each batch's `errors` push back.
    fn pushed(&self, errors: &[Matrix]) -> Vec<Matrix> {
        let back = |(h, e): (&&Matrix, &Matrix)| {
            let rows = h.iter_rows().zip(e.iter_rows());
            let values = rows.flat_map(|(h, e)| self.head.back(h, e)).collect();
            Matrix::new(h.rows(), h.cols(), values)
        };
        self.states.iter().zip(errors).map(back).collect()
    }

    fn matches(&self, expected: &[Matrix]) -> Vec<Match> {
        let pair = |((g, to), sine): ((&&Matrix, &Matrix), &Option<f64>)| {
            let rows = g.iter_rows().zip(to.iter_rows());
            let sums = rows.fold([0.0; 3], |sums, (g, to)| {
                let [gg, gt, tt] = self.products(g, to);
                [sums[0] + gg, sums[1] + gt, sums[2] + tt]
            });
            let [gg, gt, tt] = sums;
            Match { cosine: gt / (gg * tt).sqrt(), factor: gt / tt, sine: *sine }
        };
        self.gradient.iter().zip(expected).zip(&self.sines).map(pair).collect()
    }

    /// ⟨g, g⟩, ⟨g, t⟩ and ⟨t, t⟩ over the features whose weights are known.
    fn products(&self, g: &[f64], to: &[f64]) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for ((g, to), known) in g.iter().zip(to).zip(&self.head.known) {
            if *known {
                sums[0] += g * g;
                sums[1] += g * to;
                sums[2] += to * to;
            }
        }
        sums
    }

    fn cosine(&self, g: &[f64], to: &[f64]) -> f64 {
        let [gg, gt, tt] = self.products(g, to);
        gt / (gg * tt).sqrt()
    }

    /// No batch has the gradient of the recorded cross-entropy.
    fn otherwise(
        &self,
        recording: &Recording,
        sine: f64,
        matches: &[Match],
    ) -> Result<Checked, String> {
        let top = recording.blocks();
        let outputs = recording.outputs().ok_or("logits or labels were not recorded")?;
        if let Some(loss) = self.another_loss(&outputs, sine) {
            return Err(format!("g_{top} is the gradient of {loss}, not of the cross-entropy"));
        }
        let samples = self.samples(&outputs);
        let near = |cosine: f64| cosine > (1.0 - sine * sine).max(0.0).sqrt();
        let share_of = |found: &dyn Fn(&Sample) -> bool| {
            let count = samples.iter().filter(|s| found(s)).count();
            count as f64 / samples.len() as f64
        };
        if share_of(&|s| near(self.cosine(s.gradient, &s.expected()))) >= MOST {
            return Err(format!(
                "g_{top} has the direction of the cross-entropy's gradient and a scale of its own for \
                 each sample: the loss weighs classes or samples"
            ));
        }
        let against = format!(
            "The reference gradient at h_{top} is not the one that h_{top}, logits and labels make \
             (cosine {} in batch 0)",
            cosine(matches[0].cosine)
        );
        let labelled = |s: &Sample| s.label_of_gradient(self, sine);
        if share_of(&|s| labelled(s).is_some()) >= MOST {
            let other = share_of(&|s| labelled(s).is_some_and(|label| label != s.label));
            let finding = format!(
                "{against}: it is that of other labels, for {} of the samples looked at. The recorded \
                 labels are not those of the loss.",
                share(other)
            );
            return Ok(Checked::contradicted(CHECK, &ALL, finding));
        }
        if self.rows_are_shuffled(sine) {
            let finding = format!(
                "{against}, but that of another row of its batch: its rows are \
                                   shuffled against the states."
            );
            return Ok(Checked::contradicted(CHECK, &ALL, finding));
        }
        match self.outside(&samples) {
            Some(outside) if outside > 0.3 => {
                let finding = format!(
                    "{against}, nor that of any loss of these logits: {} of it lies where no loss \
                     behind a {} sends a gradient. Another signal was recorded in its place, a penalty \
                     of the states is in the loss, or the graph has another path.",
                    share(outside),
                    self.head.words()
                );
                Ok(Checked::contradicted(CHECK, &ALL, finding))
            }
            _ => Err(format!(
                "g_{top} is not the gradient of the cross-entropy of the recorded logits and labels \
                 (cosine {}): of which loss it is, the arrays do not say",
                cosine(matches[0].cosine)
            )),
        }
    }

    /// The loss that explains g_L, among those in use beside the cross-entropy.
    fn another_loss(&self, outputs: &[(&Matrix, &[u32])], sine: f64) -> Option<&'static str> {
        let of = |error: &dyn Fn(f64, f64) -> f64| -> Vec<Matrix> {
            outputs.iter().map(|(z, labels)| by_entry(z, labels, error)).collect()
        };
        let fits = |errors: Vec<Matrix>| {
            let matches = self.matches(&self.pushed(&errors));
            let mut known = matches.iter().filter(|m| m.sine.is_some());
            known.all(|m| m.cosine > (1.0 - sine * sine).max(0.0).sqrt())
        };
        if fits(of(&|z, y| z - y)) {
            return Some("the squared error");
        }
        if fits(of(&|z, y| 1.0 / (1.0 + (-z).exp()) - y)) {
            return Some("the binary cross-entropy of each class");
        }
        let smoothed = |smoothing: f64| -> Vec<Matrix> {
            let smooth = |((z, labels), e): (&(&Matrix, &[u32]), &Matrix)| {
                let even = smoothing / z.cols() as f64;
                let shift = by_entry(z, labels, &|_, y| smoothing * y - even);
                let values = e.iter_rows().flatten().zip(shift.iter_rows().flatten());
                Matrix::new(z.rows(), z.cols(), values.map(|(e, s)| e + s).collect())
            };
            outputs.iter().zip(self.errors).map(smooth).collect()
        };
        let smoothings = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3];
        smoothings
            .into_iter()
            .any(|s| fits(smoothed(s)))
            .then_some("a cross-entropy of smoothed labels")
    }

    /// The norm from which on a sample's gradient has a direction.
    fn faintest(&self) -> f64 {
        let rows = self.gradient.iter().flat_map(|g| g.iter_rows());
        FAINT * rows.map(norm).fold(0.0, f64::max)
    }

    /// The first samples of each batch whose gradient has a direction.
    fn samples(&self, outputs: &[(&Matrix, &[u32])]) -> Vec<Sample<'_>> {
        let each = LOOKED_AT.div_ceil(self.states.len());
        let faintest = self.faintest();
        let mut samples = Vec::new();
        for (k, (_, labels)) in outputs.iter().enumerate() {
            for i in 0..self.states[k].rows().min(each) {
                let (h, gradient) = (self.states[k].row(i), self.gradient[k].row(i));
                if norm(gradient) > faintest {
                    let (label, error) = (labels[i], self.errors[k].row(i));
                    samples.push(Sample { head: self.head, h, gradient, error, label });
                }
            }
        }
        samples
    }

    /// Whether most rows of the first batch are the gradient of another of its samples.
    fn rows_are_shuffled(&self, sine: f64) -> bool {
        let expected = self.pushed(self.errors);
        let near = |g: &[f64], to: &[f64]| self.cosine(g, to) > (1.0 - sine * sine).max(0.0).sqrt();
        let (g, expected) = (self.gradient[0], &expected[0]);
        let faintest = self.faintest();
        let rows: Vec<&[f64]> =
            g.iter_rows().filter(|g| norm(g) > faintest).take(LOOKED_AT).collect();
        let found = rows.iter().filter(|g| expected.iter_rows().any(|to| near(g, to)));
        rows.len() > 1 && found.count() as f64 >= MOST * rows.len() as f64
    }

    /// The share of the gradient outside of what any loss of the logits could send, at the median of
    /// `samples`; `None` where every direction is open to one.
    fn outside(&self, samples: &[Sample]) -> Option<f64> {
        let known: Vec<usize> =
            (0..self.head.known.len()).filter(|&j| self.head.known[j]).collect();
        let chosen = |v: &[f64]| -> Vec<f64> { known.iter().map(|&j| v[j]).collect() };
        let classes = self.errors[0].cols();
        if classes + 2 >= known.len() || samples.is_empty() {
            return None;
        }
        let left = samples.iter().map(|s| {
            let ways = (0..classes)
                .map(|c| chosen(&self.head.through(s.h, self.head.weight(c).to_vec())))
                .collect();
            let g = chosen(s.gradient);
            let size: f64 = g.iter().map(|v| v * v).sum();
            let found = super::least_squares::solve(ways, vec![g]);
            (found.residuals[0] / size).sqrt()
        });
        Some(crate::stats::median(&left.collect::<Vec<_>>()))
    }
}

struct Sample<'a> {
    head: &'a Head,
    h: &'a [f64],
    gradient: &'a [f64],
    error: &'a [f64],
    label: u32,
}

impl Sample<'_> {
    fn expected(&self) -> Vec<f64> {
        self.head.back(self.h, self.error)
    }

    /// The class whose cross-entropy has this gradient.
    fn label_of_gradient(&self, view: &View, sine: f64) -> Option<u32> {
        let expected = self.expected();
        let own = self.head.through(self.h, self.head.weight(self.label as usize).to_vec());
        (0..self.error.len() as u32).find(|&label| {
            let other = self.head.through(self.h, self.head.weight(label as usize).to_vec());
            let moved =
                expected.iter().zip(&own).zip(&other).map(|((e, own), other)| e + own - other);
            let cosine = view.cosine(self.gradient, &moved.collect::<Vec<_>>());
            cosine > (1.0 - sine * sine).max(0.0).sqrt()
        })
    }
}

/// An error made entry by entry of logits z and one-hot y: [N, C].
pub(super) fn by_entry(z: &Matrix, labels: &[u32], error: &dyn Fn(f64, f64) -> f64) -> Matrix {
    let rows = z.iter_rows().zip(labels);
    let values = rows.flat_map(|(row, &label)| {
        row.iter()
            .enumerate()
            .map(move |(c, z)| error(*z, f64::from(u8::from(c == label as usize))))
    });
    Matrix::new(z.rows(), z.cols(), values.collect())
}

fn length(matrix: &Matrix) -> f64 {
    matrix.iter_rows().flatten().map(|v| v * v).sum::<f64>().sqrt()
}

/// `1.0000`, `+0.123`
fn cosine(value: f64) -> String {
    format!("{value:.4}")
}

fn share(value: f64) -> String {
    format!("{}%", short(100.0 * value))
}

/// `128.0`, `65536.0`, `0.0078`
fn number(value: f64) -> String {
    match value.abs() {
        v if (1e-3..1e6).contains(&v) && v >= 9.995 => format!("{value:.1}"),
        v if (1e-3..1e6).contains(&v) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// `batch 3`, `batches 3 and 7`
pub(super) fn batches(numbers: &[usize]) -> String {
    const SHOWN: usize = 8;
    let words: Vec<String> = numbers.iter().take(SHOWN).map(usize::to_string).collect();
    match numbers.len() {
        1 => format!("batch {}", words[0]),
        n if n > SHOWN => format!("{n} batches ({}, …)", words.join(", ")),
        _ => format!("batches {}", list(&words)),
    }
}
