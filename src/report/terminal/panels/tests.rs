use crate::config::Method;
use crate::report::panel::Panel;
use crate::report::together::{decisions, firings, ladder, sweep};
use crate::study::ladder::ladders;
use crate::study::sweep as thresholds;
use crate::study::testing::{Sketch, study};
use crate::study::timeline::timeline;
use crate::study::utility::utility;
use crate::train::run_dir::RunStatus;

const CALM: (f64, f64, f64) = (0.50, 2.0, 1e-4);

/// BP, DFA with two seeds, a run that goes on, a ladder, a frozen run.
fn runs() -> Vec<Sketch> {
    let dfa = |seed, growth| {
        let fired = (0.31, growth, 1e-9);
        Sketch::new(Method::Dfa, seed, &[(0.32, 2.0, 1e-4), fired, fired, fired])
    };
    let going = Sketch { status: RunStatus::Running, ..Sketch::new(Method::Fa, 42, &[CALM; 2]) };
    let bp = Sketch::new(Method::Bp, 42, &[CALM; 4]);
    let mut runs = vec![bp, dfa(42, 694.0), dfa(123, 20.0), going];
    for (k, accuracy) in [(1, 0.40), (2, 0.45)] {
        let mut rung = Sketch::new(Method::Bp, 42, &[(accuracy, 2.0, 1e-4); 4]);
        rung.config.frozen_blocks = 4 - k;
        runs.push(rung);
    }
    runs.push(Sketch { frozen: None, ..Sketch::new(Method::Frozen, 42, &[(0.30, 1.0, 1e-4); 4]) });
    runs
}

fn panels(runs: &[Sketch]) -> [String; 4] {
    let study = study(runs);
    let drawn = |found: &[Panel]| super::panels(found, false).join("\n");
    [
        drawn(&[firings(&timeline(&study))]),
        drawn(&sweep(&thresholds::sweep(&study))),
        drawn(&[decisions(&utility(&study))]),
        drawn(&[ladder(&ladders(&study))]),
    ]
}

fn starts_with(text: &str, expected: &str) {
    assert!(text.starts_with(expected), "\n{text}");
}

#[test]
fn the_timeline_tells_never_from_not_yet() {
    starts_with(
        &panels(&runs())[0],
        "\
First firings
────────────────────────────────────────────────────────────────
Method       Seed  Epochs    N   Growth  Gradient  Saved  Cost
                                    >50     <1e-7           pp
────────────────────────────────────────────────────────────────
bp             42       4  128    never     never      –     –
dfa            42       4  128        2         2    50%  +0.0
dfa           123       4  128    never         2    50%  +0.0
fa             42       2  128  not yet   not yet      –     –
bp last 1      42       4  128    never     never      –     –
bp last 2      42       4  128    never     never      –     –
frozen(dfa)    42       4  128    never     never      –     –
────────────────────────────────────────────────────────────────
dfa: stopping at the first firing saves 50 ± 0 % of the epochs and costs +0.0 ±
0.0 points (n=2).
",
    );
}

#[test]
fn the_sweep_marks_the_threshold_used_and_says_the_gap() {
    let text = &panels(&runs())[1];
    starts_with(
        text,
        "\
Threshold sweep: Growth
─────────────────────────────────────────
Threshold  n  Fires on  Another verdict
─────────────────────────────────────────
5.00       1  dfa
8.89       1  dfa
15.8       1  dfa
28.1       0
50.0 *     0
88.9       0
158        0
281        0
500        0
─────────────────────────────────────────
The same methods fire from 20.0 on.
Every verdict stays as it is from 2.00 on.
Healthy runs have at most 2.00; it fires on no method.

Threshold sweep: Reference
",
    );
    let gap =
        "Healthy runs have at least 1.0e-4; degenerate ones at most 1.0e-9; a factor of\n1.0e5.";
    assert!(text.contains(gap), "{text}");
    assert!(text.contains("2 *        1  dfa\n3          1  dfa"), "{text}");
}

#[test]
fn the_strategies_say_whom_they_flag_and_by_what() {
    let text = &panels(&runs())[2];
    let row = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    assert_eq!(row("S3"), "S3        accuracy, cosine, gradient     1/4  dfa 2/2: gradient");
    assert_eq!(row("S4"), "S4        accuracy, cosine, stability    0/4");
    assert_eq!(
        row("S_full"),
        "S_full    accuracy, cosine, growth,      1/4  dfa 2/2: gradient, depth"
    );
    assert!(text.contains("Not evaluated on every seed: layers of dfa."), "{text}");
}

#[test]
fn the_ladder_lists_its_rungs_from_the_bottom() {
    starts_with(
        &panels(&runs())[3],
        "\
Depth ladder
──────────────────────────────────────────────────────────
Method                k  n  Acc %  ±   Step  From
──────────────────────────────────────────────────────────
bp (resmlp, cifar10)  0  1   30.0            frozen(dfa)
                      1  1   40.0     +10.0  bp last 1
                      2  1   45.0      +5.0  bp last 2
                      4  1   50.0      +5.0  bp
──────────────────────────────────────────────────────────
bp: rises from rung to rung; best at k = 4; from k = 0 to 4 +20.0 points (n=1).
",
    );
}

#[test]
fn what_exploded_and_what_has_a_long_name_stays_readable_in_80_columns() {
    let mut lost = Sketch::new(Method::Dfa, 7, &[(0.1, f64::NAN, f64::NAN); 2]);
    lost.config.feedback_scale = 0.125;
    lost.config.penalty = 0.001;
    lost.config.depth = 12;
    lost.config.frozen_blocks = 3;
    let texts = panels(&[runs(), vec![lost]].concat());
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(texts[1].contains("all 1 degenerate ones are not finite"), "{}", texts[1]);
    let name = "dfa λ=0.001";
    assert!(texts.iter().all(|text| text.contains(name)), "{texts:?}");
}

#[test]
fn an_empty_study_still_has_its_headings() {
    for text in panels(&[]) {
        assert!(text.lines().count() > 3, "{text}");
    }
}

#[test]
fn a_note_that_panels_share_is_told_once_after_the_last() {
    let text = &panels(&runs())[1];
    assert_eq!(text.matches("* the threshold used.").count(), 1, "{text}");
    let last = text.find("Threshold sweep: Depth utility, points").expect("the last panel");
    assert!(text.find("* the threshold used.") > Some(last), "{text}");
}

#[test]
fn colours_are_what_the_shades_say_and_only_where_they_are_asked_for() {
    let found = [firings(&timeline(&study(&runs())))];
    assert!(!super::panels(&found, false)[0].contains('\u{1b}'));
    let coloured = &super::panels(&found, true)[0];
    let fired = coloured.lines().find(|line| line.starts_with("dfa")).unwrap_or_default();
    assert!(fired.contains("\u{1b}[38;5;9m"), "{fired:?}");
}
