//! A credit that learns from the hidden states of a trained network, which stays as it is.

use crate::bad_input::fails;
use crate::common::{Place, SMALL};
use fa_audit::train::checkpoint::Checkpoint;
use serde_json::Value;

/// A network that backpropagation trained.
fn trained(keys: &str) -> Place {
    let place = Place::new();
    place.done(&format!("train --config small.toml --method bp {keys} --out bp"));
    place
}

const ON_IT: &str =
    "train --config small.toml --set auxiliary_width=32 --set frozen_network=bp/checkpoint.mpk";

fn load(place: &Place, run: &str) -> Checkpoint {
    Checkpoint::load(&place.path(&format!("{run}/checkpoint.mpk"))).expect("a checkpoint")
}

#[test]
fn the_network_stays_to_the_bit_with_its_buffers_while_the_credit_learns() {
    // BatchNorm keeps running statistics, which a pass that trains would move.
    let shape = "--arch mlp --set activity_norm=batch";
    let place = trained(shape);
    // Nor does an anchor train what stays.
    let method = "--method state-bridge --epochs 8 --set anchor_every=1";
    place.done(&format!("{ON_IT} {shape} {method} --out sb"));
    place.done(&format!("{ON_IT} {shape} {method} --set auxiliary=untrained --out untrained"));

    let (bp, sb, untrained) = (load(&place, "bp"), load(&place, "sb"), load(&place, "untrained"));
    assert_eq!(sb.network, bp.network);
    assert_eq!(sb.buffers, bp.buffers);
    assert!(!sb.buffers.is_empty());
    assert_ne!(sb.learner, untrained.learner);
    let accuracy = |run: &str| {
        place.done(&format!("diagnose {run}/checkpoint.mpk"));
        place.json(&format!("{run}/verdict.json"))["accuracy"].clone()
    };
    assert_eq!(accuracy("sb"), accuracy("bp"));
    let deep = |run: &str| {
        accuracy(run);
        let verdict = place.json(&format!("{run}/verdict.json"));
        verdict["cosine"]["aggregate"].as_f64().expect("a cosine")
    };
    let (learned, before) = (deep("sb"), deep("untrained"));
    assert!(learned > before + 0.1, "{learned}, untrained {before}");
}

#[test]
fn its_accuracy_is_nobodys_gain_and_the_run_is_named_by_the_networks_bytes() {
    let place = trained("");
    std::fs::create_dir(place.path("moved")).expect("a folder");
    std::fs::copy(place.path("bp/checkpoint.mpk"), place.path("moved/x.mpk")).expect("copied");
    place.write(
        "study.toml",
        format!(
            "name = 's'\nauxiliary_twins = []\n[base]\n{SMALL}auxiliary_width = 8\n[[grid]]\n\
             method = ['dfa', 'state-bridge']\nfrozen_network = ['bp/checkpoint.mpk', 'moved/x.mpk']\n"
        ),
    );
    // The same bytes at another place are the same run.
    fails(&place, "audit study.toml --out s", 2, &["study.toml", "differ in frozen_network alone"]);

    let study = place.read("study.toml").replace(", 'moved/x.mpk'", "");
    place.write("study.toml", &study);
    // Two runs, no frozen twin.
    let plan = place.done("audit study.toml --out s --dry-run").stdout;
    assert!(plan.contains("2 runs, 0 finished"), "{plan}");
    place.done("audit study.toml --out s");
    let json: Value =
        serde_json::from_str(&place.done("report s --format json").stdout).expect("JSON");
    let digest = fa_audit::files::sha256(&place.path("bp/checkpoint.mpk")).expect("read");
    for run in json["runs"].as_array().expect("runs") {
        let audit = &run["audit"];
        assert_eq!(audit["run"]["frozen_network"], digest.as_str());
        let label = audit["run"]["label"].as_str().expect("a label");
        assert!(label.contains(&format!(" on {} ", &digest[..8])), "{label}");
        let depth = &audit["diagnostics"]["depth_utility"];
        assert_eq!(depth["status"], "not evaluated");
        assert!(depth["reason"].as_str().expect("why").contains("taken as it is"), "{depth}");
        assert_ne!(audit["verdict"], "trustworthy");
        assert!(audit["learned_credit"].is_null());
    }
    // What would be a twin was not trained on that network.
    place.done("train --config small.toml --method frozen --out frozen");
    place.done(&format!("{ON_IT} --method dfa --out on"));
    fails(
        &place,
        "diagnose on/checkpoint.mpk --frozen frozen/checkpoint.mpk",
        2,
        &["--frozen frozen/checkpoint.mpk", "taken as it is"],
    );
}

#[test]
fn the_file_is_needed_once_and_only_the_same_bytes_will_do() {
    let place = trained("");
    fails(
        &place,
        "train --config small.toml --method state-bridge --set frozen_network=nowhere.mpk",
        2,
        &["--set", "frozen_network", "nowhere.mpk"],
    );
    fails(&place, &format!("{ON_IT} --method bp"), 2, &["frozen_network", "expected it left out"]);
    fails(&place, &format!("{ON_IT} --method frozen"), 2, &["frozen_network"]);
    fails(
        &place,
        &format!("{ON_IT} --method dfa --set depth=3 --out deep"),
        1,
        &["frozen_network", "bp/checkpoint.mpk", "its depth is 2, the run's 3"],
    );
    let digest = "0".repeat(64);
    fails(
        &place,
        &format!("{ON_IT} --method dfa --set frozen_network_sha256={digest} --out other"),
        1,
        &["bp/checkpoint.mpk has the SHA-256", &format!("expected {digest}")],
    );
    fails(
        &place,
        "train --config small.toml --method dfa --set frozen_network_sha256=12ab",
        2,
        &["frozen_network_sha256", "64 digits"],
    );

    // Once begun, a run has all that it needs: cut back, it goes on to the same bits.
    place.done(&format!("{ON_IT} --method state-bridge --set checkpoint_epochs=[1] --out run"));
    let whole = load(&place, "run");
    std::fs::copy(place.path("run/epochs/epoch-0001.mpk"), place.path("run/checkpoint.mpk"))
        .expect("copied");
    std::fs::rename(place.path("bp"), place.path("gone")).expect("moved");
    place.done("train --out run --resume");
    let resumed = load(&place, "run");
    assert_eq!(resumed.progress.epoch, whole.progress.epoch);
    assert_eq!(resumed.learner, whole.learner);
    assert_eq!(resumed.network, whole.network);
}
