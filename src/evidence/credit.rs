//! Which way does the credit point, and how large is it beside the gradient?
//!
//! ```text
//! scale_l  = median ‖a_l‖ / median ‖g_l‖,  relative to the median layer
//! global   = mean over samples of Σ_l ⟨a_l, g_l⟩ / (√Σ_l ‖a_l‖² √Σ_l ‖g_l‖²)      layers that train
//! ```
//!
//! A cosine of one layer is blind to how large its credit is beside the others': a thousandth of what
//! it should be leaves every Γ_l as it was and takes the layer out of the joint update. The global
//! cosine sees it. A rule that divides each credit by its RMS trains every layer at one scale.

use super::given::{Given, given};
use super::leak::cosines;
use super::{Checked, Part, Recording};
use crate::diagnostics::{NORM_FLOOR, norm};
use crate::number::Number;
use crate::stats::{mean, median};
use crate::trace::Matrix;
use crate::words::{plain, short, signed};
use serde::{Deserialize, Serialize};

pub const CHECK: &str = "direction and scale of the credit";

/// A credit this parallel to the gradient and opposed to it is the gradient with the wrong sign.
const UPHILL: f64 = -0.99;

/// A layer whose credit is this many times larger or smaller than the median layer's is named.
const APART: f64 = 30.0;

/// Backpropagation's credits have one factor at every layer, up to this share.
const ONE_FACTOR: f64 = 0.01;

/// The size of the credit beside the gradient's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreditScale {
    /// median ‖a_l‖ / median ‖g_l‖, l = 0 … L.
    pub per_layer: Vec<Number>,
    /// The same over the median of the layers that train.
    pub relative: Vec<Number>,
    /// The cosine over all layers that train, joined: mean over samples.
    pub global_cosine: Number,
    /// Whether the rule scales its credit before it trains; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalised: Option<bool>,
}

/// Measures directions and sizes.
pub(super) fn credit(recording: &Recording) -> (Checked, Option<CreditScale>) {
    let (Some(gradient), Some(credit)) = (recording.gradient(), recording.credit()) else {
        let why = "Credit or reference gradient was not recorded.";
        return (Checked::not_checkable(CHECK, why), None);
    };
    let layers = recording.blocks() + 1;
    let at = |l: usize| credit.iter().zip(&gradient).map(move |(a, g)| (&a[l], &g[l]));
    let sizes: Vec<f64> = (0..layers)
        .map(|l| {
            let of = |chosen: fn((&Matrix, &Matrix)) -> Vec<f64>| median_of(at(l).flat_map(chosen));
            of(|(a, _)| norms(a)) / of(|(_, g)| norms(g))
        })
        .collect();
    let trains = recording.trace.training_layers();
    let trained: Vec<f64> = trains.iter().map(|&l| sizes[l]).filter(|s| s.is_finite()).collect();
    let middle = median(&trained);
    let relative: Vec<f64> = sizes.iter().map(|size| size / middle).collect();
    let global = global_cosine(&credit, &gradient, &trains);
    let means: Vec<f64> = (0..layers)
        .map(|l| mean(&at(l).flat_map(|(a, g)| cosines(a, g)).collect::<Vec<_>>()))
        .collect();
    let scale = CreditScale {
        per_layer: sizes.iter().copied().map(Number).collect(),
        relative: relative.iter().copied().map(Number).collect(),
        global_cosine: Number(global),
        normalised: recording.said.normalises,
    };
    (judged(recording, &means, &relative, &trains, global), Some(scale))
}

fn judged(
    recording: &Recording,
    means: &[f64],
    relative: &[f64],
    trains: &[usize],
    global: f64,
) -> Checked {
    if let Some(l) = (0..means.len()).find(|&l| means[l] <= UPHILL) {
        let finding = format!(
            "The credit at h_{l} points uphill: it is the reference gradient with the opposite sign (mean \
             cosine {}). A credit estimates ∂L/∂h, and descent moves against it.",
            signed(means[l])
        );
        return Checked::contradicted(CHECK, &[Part::Cosine], finding);
    }
    let exact = given(&recording.said.method, 0, recording.blocks()) == Given::Exact;
    let off = |l: &usize| (relative[*l] - 1.0).abs() > ONE_FACTOR;
    if let (true, Some(&l)) = (exact, trains.iter().find(|l| off(l))) {
        let finding = format!(
            "Backpropagation's credit at h_{l} is {} times as large beside the gradient as at the median \
             layer. The cosines of single layers do not see it; the global cosine is {}.",
            plain_or_short(relative[l]),
            signed(global)
        );
        return Checked::contradicted(CHECK, &[Part::Cosine], finding);
    }
    let apart: Vec<&usize> =
        trains.iter().filter(|&&l| relative[l] > APART || relative[l] < 1.0 / APART).collect();
    let farthest = apart
        .into_iter()
        .max_by(|&&l, &&m| relative[l].ln().abs().total_cmp(&relative[m].ln().abs()));
    let mut remarks = Vec::new();
    if let Some(&l) = farthest {
        let blocks: Vec<f64> = trains.iter().map(|&l| means[l]).collect();
        let trains_at = match recording.said.normalises {
            Some(true) => {
                " The rule divides every credit by its RMS, so that all layers train at one scale, \
                 whatever stands here."
            }
            Some(false) => " The rule trains with the credit as it is.",
            None => {
                " A rule that divides every credit by its RMS trains all layers at one scale; one that \
                 does not, at these."
            }
        };
        remarks.push(format!(
            "Beside its gradient the credit at h_{l} is {} times as large as the median layer's. The \
             cosines of single layers do not see that (their mean is {}); over all layers joined the \
             cosine is {}.{trains_at}",
            plain_or_short(relative[l]),
            signed(mean(&blocks)),
            signed(global)
        ));
    }
    let finding =
        format!("No credit is the gradient turned round; the global cosine is {}.", signed(global));
    Checked::holds(CHECK, finding).remarking(remarks)
}

fn global_cosine(credit: &[&[Matrix]], gradient: &[&[Matrix]], trains: &[usize]) -> f64 {
    let mut cosines = Vec::new();
    for (a, g) in credit.iter().zip(gradient) {
        for i in 0..a[0].rows() {
            let joined = |of: &[Matrix]| -> Vec<f64> {
                trains.iter().flat_map(|&l| of[l].row(i)).copied().collect()
            };
            cosines.push(crate::diagnostics::floored_cosine(&joined(a), &joined(g), NORM_FLOOR));
        }
    }
    mean(&cosines)
}

fn norms(matrix: &Matrix) -> Vec<f64> {
    matrix.iter_rows().map(norm).collect()
}

fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    median(&values.collect::<Vec<_>>())
}

fn plain_or_short(value: f64) -> String {
    let text = plain(value);
    if text.len() <= 6 { text } else { short(value) }
}
