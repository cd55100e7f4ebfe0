use super::*;
use crate::verdict::summarise;
use crate::verdict::testing::{Specimen, published};

fn audits(runs: &[Specimen]) -> Vec<Audit> {
    runs.iter().map(Specimen::audit).collect()
}

/// The published runs, one that exploded, one without a twin, one of twelve blocks.
fn everything() -> Vec<Audit> {
    let mut runs = published();
    runs.push(Specimen {
        seed: 1024,
        diverged: Some("the loss became nan in epoch 7"),
        hidden: vec![1e4, 1e20, f32::INFINITY, f32::NAN, f32::NAN],
        gradient: vec![0.0, 0.0, f32::NAN, f32::NAN, f32::NAN],
        ..runs[2].clone()
    });
    runs.push(Specimen {
        seed: 18_446_744_073_709_551_615,
        label: "DFA feedback=sign-symmetric scale=0.125 λ=1e-2 without terminal norm",
        frozen: None,
        batches: 4,
        ..runs[3].clone()
    });
    runs.push(Specimen {
        hidden: vec![1.4e4; 13],
        gradient: vec![1.3e-5; 13],
        cosine: (0..13).map(|l| 0.388 * f64::from(-l).exp()).collect(),
        ..runs[3].clone()
    });
    let small = |run: &Specimen| Specimen { samples: 16, ..run.clone() };
    audits(&runs.iter().map(small).collect::<Vec<_>>())
}

#[test]
fn the_table_of_the_published_runs_looks_like_this() {
    let audits = audits(&published());
    let text = tables(&audits, false);
    let tables = text.split("! fires").next().unwrap().trim_end();
    let expected = "\
resmlp · cifar10 (copy) · 10 batches of 128, batch-mean loss
─────────────────────────────────────────────────────────────────────────────
Method        Seed   Acc  Growth  Gradient  Stab.  Depth  Cosine  Verdict
                       %     >50     <1e-7   >0.3   <2pp    mean
─────────────────────────────────────────────────────────────────────────────
BP              42  58.0    0.99    3.7e-4   0.00  +23.6  +1.000  trustworthy
FA              42  37.6    13.0    8.9e-7   0.00   +3.2  +0.320  trustworthy
DFA             42  29.5     607!   5.7e-9!  0.00   -4.9! +0.114? walked back
DFA λ=1e-2      42  36.0    1.00    1.3e-5   0.00   +1.6! +0.207  walked back
frozen (DFA)    42  34.4    1.00    1.1e-5   0.00      –  +0.085  baseline
─────────────────────────────────────────────────────────────────────────────

Cosine of credit and gradient by layer, mean over samples
────────────────────────────────────────────────────────────
Method        Seed     h_0     h_1     h_2     h_3     h_4
────────────────────────────────────────────────────────────
BP              42  +1.000  +1.000  +1.000  +1.000  +1.000
FA              42  +0.278  +0.051  -0.046  +0.998  +0.998
DFA             42  +0.389? +0.046? +0.030? -0.008? -0.008?
DFA λ=1e-2      42  +0.292  +0.134  +0.213  +0.190  +0.190
frozen (DFA)    42  +0.310  +0.020  +0.010   0.000   0.000
────────────────────────────────────────────────────────────";
    assert_eq!(tables, expected, "\n{tables}");
}

#[test]
fn no_line_is_wider_than_80_columns_whatever_the_label_or_the_depth() {
    let audits = everything();
    let text = report(&audits, false) + &seeds(&summarise(&audits), false);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_layer_of_a_deep_network_has_its_column_once() {
    let deep = vec![everything().pop().unwrap()];
    let text = tables(&deep, false);
    for l in 0..=12 {
        let name = format!("h_{l}");
        let found = text.split_whitespace().filter(|w| **w == name).count();
        assert_eq!(found, 1, "{name}\n{text}");
    }
}

#[test]
fn the_legend_explains_the_marks_that_occur_and_no_others() {
    let marks = ["! ", "? ", "~ ", "– "];
    let shown = |audits: &[Audit]| {
        let text = legend(audits);
        marks.map(|m| text.lines().any(|l| l.starts_with(m)))
    };
    let healthy = audits(&published()[..2]);
    assert_eq!(shown(&healthy), [false; 4]);
    assert_eq!(shown(&everything()), [true; 4]);
    assert_eq!(shown(&audits(&published()[3..4])), [true, false, false, false]);
}

#[test]
fn what_exploded_stays_in_the_table_and_what_is_missing_is_a_dash() {
    let audits = everything();
    let text = tables(&audits, false);
    let exploded = text.lines().find(|l| l.contains("1024")).unwrap();
    assert_eq!(exploded.matches("nan!").count(), 3, "{exploded}");
    assert!(exploded.contains("nan? walked back"), "{exploded}");
    let alone = tables(&audits[6..7], false);
    assert!(alone.contains("–") && alone.contains("inconclusive"), "{alone}");
}

#[test]
fn a_baseline_row_shows_no_verdict_and_its_reasons_neither() {
    let frozen = audits(&published()[4..]);
    let text = report(&frozen, false);
    assert!(text.contains("frozen (DFA), seed 42: baseline"), "{text}");
    for verdict in ["trustworthy", "walked back", "inconclusive"] {
        assert!(!text.contains(verdict), "{verdict}\n{text}");
    }
}

#[test]
fn only_the_verdicts_are_coloured_and_only_when_asked() {
    let audits = audits(&published()[..3]);
    assert!(!report(&audits, false).contains('\u{1b}'));
    let coloured = report(&audits, true);
    assert_eq!(coloured.matches("\u{1b}[38").count(), 3, "{coloured:?}");
    for line in coloured.lines().filter(|l| l.contains('\u{1b}')) {
        let start = line.find('\u{1b}').unwrap();
        let painted = ["trustworthy", "walked back"].iter().any(|v| line[start..].contains(v));
        assert!(painted, "{line:?}");
    }
}

#[test]
fn a_note_that_many_runs_share_is_printed_once() {
    let alone = |seed| Specimen { seed, frozen: None, ..published().remove(0) };
    let shared = notes(&audits(&[alone(1), alone(2), alone(3), alone(4)]));
    assert_eq!(shared.matches("--frozen").count(), 1);
    assert!(!shared.contains("seed"), "{shared}");
    let mixed = notes(&audits(&[alone(1), published().remove(0)]));
    assert!(mixed.contains("BP, seed 1: Depth utility not evaluated"), "{mixed}");
}

#[test]
fn seeds_show_mean_deviation_and_how_often_each_diagnostic_fired() {
    let runs: Vec<Specimen> = [(42, 0.3070), (123, 0.2985), (456, 0.2966)]
        .into_iter()
        .map(|(seed, accuracy)| {
            let mut run = published().remove(2);
            run.gradient[4] *= seed as f32 / 200.0;
            run.hidden[0] *= if seed == 456 { 100.0 } else { 1.0 };
            Specimen { seed, accuracy, ..run }
        })
        .collect();
    let text = seeds(&summarise(&audits(&runs)), false);
    let row: Vec<&str> = text.lines().skip_while(|l| !l.starts_with("DFA")).take(5).collect();
    assert_eq!(row[0], "DFA     3  30.1     407!   5.9e-9!  0.00    -4.3! +0.114? walked back");
    assert_eq!(row[1], "           ±0.6    ±347   ±6.3e-9  ±0.00    ±0.6  ±0.000");
    // The deviation .5538 gives 4.302653 · .5538/√3 = 1.38 points to each side of −4.33.
    assert_eq!(row[2], "                    2/3*      3/3    0/3  [-5.7,");
    assert_eq!(row[3], "                                           -3.0]");
    assert_eq!(row[4], "                                             3/3");
    assert!(text.contains("* fragile: the seeds disagree"), "{text}");
}

#[test]
fn the_table_of_seeds_stands_alone_and_explains_the_marks_that_occur() {
    let marks = ["! ", "* ", "? ", "~ ", "– ", "[ , ] "];
    let shown = |runs: &[Specimen]| {
        let text = seeds(&summarise(&audits(runs)), false);
        assert!(text.contains("Growth: largest ratio"), "{text}");
        marks.map(|m| text.lines().any(|l| l.starts_with(m)))
    };
    let (bp, dfa) = (published().remove(0), published().remove(2));
    let again = |run: &Specimen, accuracy| Specimen { seed: 1, accuracy, ..run.clone() };
    assert_eq!(shown(std::slice::from_ref(&bp)), [false; 6]);
    assert_eq!(shown(&[bp.clone(), again(&bp, 0.581)]), [false, false, false, false, false, true]);
    // +23.6 and −14.4 points.
    let torn = shown(&[bp.clone(), again(&bp, 0.2)]);
    assert_eq!(torn, [false, true, false, false, false, true]);
    let alone = Specimen { frozen: None, batches: 4, ..dfa };
    assert_eq!(shown(&[alone]), [true, false, true, true, true, false]);
}
