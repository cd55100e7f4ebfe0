//! The frozen run that a person names is the run's twin, or the verdict says what keeps it from being.

use crate::common::Place;
use serde_json::Value;

const TINY: &str = "train --config small.toml --set train_samples=64 --epochs";

fn depth_utility(place: &Place) -> (Value, String) {
    let verdict = place.json("dfa/verdict.json");
    (verdict["diagnostics"]["depth_utility"].clone(), verdict["notes"].to_string())
}

#[test]
fn a_frozen_run_of_another_seed_or_other_epochs_is_noted_and_not_called_matched() {
    let place = Place::new();
    place.done(&format!("{TINY} 1 --method dfa --out dfa"));
    place.done(&format!("{TINY} 1 --method frozen --base bp --out twin"));
    place.done(&format!("{TINY} 2 --method frozen --seed 7 --out other"));
    let diagnose = "diagnose dfa/checkpoint.mpk --frozen";
    place.done(&format!("{diagnose} twin/checkpoint.mpk"));
    let (found, notes) = depth_utility(&place);
    assert!(found.get("frozen_differs").is_none(), "{found}");
    assert!(!notes.contains("matched"), "{notes}");

    let outcome = place.done(&format!("{diagnose} other/checkpoint.mpk"));
    let (found, notes) = depth_utility(&place);
    let differs = serde_json::json!([
        "seed 7 instead of 42",
        "epochs 2 instead of 1",
        "epoch 2 instead of 1"
    ]);
    assert_eq!(found["frozen_differs"], differs);
    assert!(found["value"].is_f64(), "it is measured all the same: {found}");
    assert!(notes.contains("not the matched one (seed 7 instead of 42, epochs 2"), "{notes}");
    assert!(outcome.stdout.contains("not the matched one"), "{}", outcome.stdout);

    // A twin of the end says less of a run's beginning.
    place.done(&format!("{TINY} 2 --method dfa --set checkpoint_epochs=[1] --out dfa --force"));
    place.done(&format!("{TINY} 2 --method frozen --out twin --force"));
    place.done("diagnose dfa/epochs/epoch-0001.mpk");
    let verdict = place.json("dfa/epochs/epoch-0001.verdict.json");
    let differs = &verdict["diagnostics"]["depth_utility"]["frozen_differs"];
    assert_eq!(*differs, serde_json::json!(["epoch 2 instead of 1"]));
}
