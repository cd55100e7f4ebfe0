//! The sentences that need controls.

use super::specimen;
use crate::diagnostics::clamp::{Clamp, ClampLayer};
use crate::diagnostics::controls::{Control, Controls, Layered};
use crate::diagnostics::null::NullCalibration;
use crate::diagnostics::perturbation::{Perturbation, PerturbationLayer};
use crate::diagnostics::shadow::{Shadow, ShadowLayer};
use crate::number::Number;
use crate::verdict::Audit;
use crate::verdict::caveats::caveats;
use crate::verdict::reasons::reasons;

/// The audit of a specimen with these controls, of which `set` found some.
fn with(label: &str, set: impl FnOnce(&mut Controls)) -> Audit {
    fn none<T>() -> Control<T> {
        Control::missing("nobody asked")
    }
    let mut controls = Controls {
        null: none(),
        perturbation: none(),
        perturbation_f32: none(),
        nudging: none(),
        descent: none(),
        shadow: none(),
        common_mode: none(),
        clamp: none(),
        aggregation: none(),
        rank: none(),
        layered: Layered::default(),
    };
    set(&mut controls);
    let mut audit = specimen(label).audit();
    audit.controls = Some(controls);
    audit
}

/// The one sentence with this word.
fn told(sentences: Vec<String>, word: &str) -> Option<String> {
    let mut with_it = sentences.into_iter().filter(|sentence| sentence.contains(word));
    let found = with_it.next();
    assert_eq!(with_it.next(), None);
    found
}

#[test]
fn a_clamp_is_told_where_samples_lie_under_it_and_the_mean_moves() {
    let said = |layers: &[(f64, f64, f64)]| {
        let layer = |&(under, clamped, unclamped): &(f64, f64, f64)| {
            let [under, clamped, unclamped] = [under, clamped, unclamped].map(Number);
            ClampLayer { under, clamped, unclamped }
        };
        let per_layer = layers.iter().map(layer).collect();
        let clamp = Clamp { clamp: Number(1e-8), per_layer };
        told(caveats(&with("FA", |c| c.clamp = Control::Found(clamp))), "cosine_similarity")
    };
    let sentence = said(&[(0.0, 0.1, 0.3), (0.5, 0.2, 0.204), (0.25, 0.1, 0.3)]).unwrap();
    assert!(sentence.contains("report +0.100 instead of +0.300 at layer 2: 25"), "{sentence}");
    let below = said(&[(0.5, 0.3, 0.1)]).unwrap();
    assert!(below.contains("report +0.300 instead of +0.100 at layer 0: 50"), "{below}");
    assert_eq!(said(&[(0.0, 0.1, 0.3), (0.5, 0.2, 0.2)]), None);
    assert_eq!(said(&[]), None);
    // Half a hundredth is told.
    assert!(said(&[(1.0, 0.0, 0.005)]).is_some());
}

#[test]
fn a_published_rho_whose_positive_control_failed_is_named_by_its_layers() {
    let said = |gradients: &[f64]| {
        let layer = |&rho: &f64| PerturbationLayer {
            credit: Number(0.1),
            gradient: Number(rho),
            random: Number(0.0),
            unresolved: Number(0.0),
        };
        let found = Perturbation {
            precision: "f32".into(),
            epsilon: Number(1e-3),
            directions: 32,
            samples: 64,
            per_layer: gradients.iter().map(layer).collect(),
            deep: None,
        };
        told(caveats(&with("FA", |c| c.perturbation_f32 = Control::Found(found))), "cannot be read")
    };
    assert_eq!(said(&[0.9, 0.99, 1.0]), None);
    let sentence = said(&[0.95, 0.2, 0.4, 0.9]).unwrap();
    assert!(sentence.contains("ρ in f32, as it was published, cannot be read at h_1 and h_2"));
    assert!(sentence.contains("has at most 0.4") && sentence.contains("0.001"), "{sentence}");
    let lost = said(&[f64::NAN, 0.95]).unwrap();
    assert!(lost.contains("at h_0:"), "{lost}");
}

#[test]
fn the_shadow_tells_noise_from_what_is_small() {
    let said = |label: &str, layers: &[(f64, f64, f64)]| {
        let layer = |&(cosine, worst, error): &(f64, f64, f64)| {
            let [norm, cosine, worst_cosine, relative_error] =
                [1e-9, cosine, worst, error].map(Number);
            ShadowLayer { norm_f32: norm, norm_f64: norm, cosine, worst_cosine, relative_error }
        };
        let shadow = Shadow { samples: 64, per_layer: layers.iter().map(layer).collect() };
        told(reasons(&with(label, |c| c.shadow = Control::Found(shadow))), "Float64 shadow")
    };
    let exact = [(0.9999, 0.995, 1e-3), (0.99999, 0.999, 2e-3)];
    // At the bounds: resolved, and right on average.
    assert_eq!(said("FA", &[(0.995, 0.99, 0.01)]), None);
    assert!(said("FA", &[(0.9, 0.5, 0.1)]).unwrap().contains("on average"));
    // DFA's reference fires, FA's does not.
    assert_eq!(said("FA", &exact), None);
    let small = said("DFA", &exact).unwrap();
    assert!(small.contains("small, not noise (over all layers the mean cosine"), "{small}");
    assert!(small.contains("at least 0.999900, the worst sample's 0.9950"), "{small}");
    assert!(small.contains("the relative error at most 2.0e-3"), "{small}");
    for label in ["FA", "DFA"] {
        let noise = said(label, &[(0.99, 0.9, 0.1), (0.5, -0.2, 1.0)]).unwrap();
        assert!(noise.contains("in f32 the reference is rounding noise"), "{noise}");
        let partly = said(label, &[(0.99, 0.5, 0.1)]).unwrap();
        assert!(partly.contains("on average, not for every sample"), "{partly}");
    }
}

#[test]
fn why_the_null_band_is_not_known_is_told_where_mode_two_is() {
    let mode_two = |audit: &Audit| told(reasons(audit), "Mode 2:").expect("mode 2");
    let missing = with("FA", |c| c.null = Control::missing("the rule draws nothing"));
    assert!(mode_two(&missing).contains("is not evaluated: the rule draws nothing."));
    let without = specimen("FA").audit();
    assert!(mode_two(&without).contains("null band is not evaluated without controls."));
    // Draws without an aggregation say no more.
    let null = NullCalibration { draws: 20, per_layer: Vec::new() };
    let half = with("FA", |c| c.null = Control::Found(null));
    assert!(mode_two(&half).contains("null band is not evaluated without controls."));
}
