//! Evidence is checked before anything is judged, on checkpoints and on traces.

use crate::common::Place;
use fa_audit::train::checkpoint::{Checkpoint, pack, unpack};
use serde_json::Value;

const GOLDEN: [(&str, &[u8]); 2] = [
    ("pytorch.safetensors", include_bytes!("../golden/pytorch.safetensors")),
    ("biotorch.npz", include_bytes!("../golden/biotorch.npz")),
];

fn audit(place: &Place, file: &str) -> Value {
    audit_with(place, file, "")
}

fn audit_with(place: &Place, file: &str, flags: &str) -> Value {
    let outcome = place.done(&format!("diagnose {file} {flags} --json --quiet"));
    serde_json::from_str(outcome.stdout.lines().next().expect("a line")).expect("JSON")
}

/// Standing and finding of each check.
fn checks(audit: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    let checks = audit["evidence"]["checks"].as_array().expect("checks");
    let of = |c: &Value| (text(&c["check"]), text(&c["standing"]), text(&c["finding"]));
    checks.iter().map(of).collect()
}

fn innocent(audit: &Value, who: &str) {
    for (check, standing, finding) in checks(audit) {
        assert_ne!(standing, "contradicted", "{who}, {check}: {finding}");
    }
}

fn standing(audit: &Value, check: &str) -> String {
    let found = checks(audit).into_iter().find(|(name, ..)| name == check);
    found.expect("the check was made").1
}

#[test]
fn no_method_of_the_program_is_accused_and_every_reference_is_proved() {
    let place = Place::new();
    for method in ["bp", "fa", "dfa", "frozen", "random-target", "shallow"] {
        for norm in [true, false] {
            let run = format!("{method}-{norm}");
            let set = format!("--set terminal_norm={norm} --set epochs=2");
            place.done(&format!("train --config small.toml --method {method} {set} --out {run}"));
            let audit = audit(&place, &format!("{run}/checkpoint.mpk"));
            innocent(&audit, &run);
            for check in ["scale of the reference", "proof of the reference", "samples and batches"]
            {
                assert_eq!(standing(&audit, check), "holds", "{run}: {:?}", checks(&audit));
            }
            let premise = standing(&audit, "premise of the null");
            if method == "dfa" {
                assert_eq!(premise, "holds", "{run}: {:?}", checks(&audit));
            }
            // Which of the two scales trains: the credit's own, or that of its RMS.
            let normalised = match method {
                "bp" => Value::Null,
                _ => true.into(),
            };
            if ["bp", "fa", "dfa"].contains(&method) {
                assert_eq!(
                    audit["evidence"]["credit"].get("normalised").cloned().unwrap_or_default(),
                    normalised
                );
            }
            let global = audit["evidence"]["credit"]["global_cosine"].as_f64().expect("a number");
            assert!(global <= 1.0 + 1e-9 && (method != "bp" || global > 1.0 - 1e-9), "{global}");
        }
    }
}

#[test]
fn the_golden_traces_are_not_accused() {
    for (name, bytes) in GOLDEN {
        let place = Place::new();
        place.write(name, bytes);
        let audit = audit(&place, name);
        innocent(&audit, name);
        assert_eq!(standing(&audit, "scale of the reference"), "holds", "{:?}", checks(&audit));
        assert_eq!(standing(&audit, "reference or credit"), "holds");
        assert_eq!(standing(&audit, "proof of the reference"), "holds", "{:?}", checks(&audit));
        assert!(!audit["reasons"].to_string().contains("unproved"), "{audit}");
        let audit = audit_with(&place, name, "--controls");
        innocent(&audit, name);
        for check in ["random credit", "shuffled labels", "constant predictor"] {
            assert_eq!(standing(&audit, check), "holds", "{:?}", checks(&audit));
        }
        assert_eq!(standing(&audit, "controls on the network"), "not checkable");
    }
}

/// The golden recording of PyTorch without what its recorder proved.
fn unproved() -> Vec<u8> {
    let bytes = GOLDEN[0].1;
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let mut header: Value = serde_json::from_slice(&rest[..length]).expect("a header");
    let said = header["__metadata__"].as_object_mut().expect("metadata");
    for key in ["reference_proved", "reference_check"] {
        said.remove(key).expect("the recorder proves its reference");
    }
    let header = serde_json::to_vec(&header).expect("JSON");
    [&(header.len() as u64).to_le_bytes()[..], &header, &rest[length..]].concat()
}

#[test]
fn a_reference_without_its_recorders_proof_is_said_to_be_unproved() {
    let place = Place::new();
    place.write("unproved.safetensors", unproved());
    let audit = audit(&place, "unproved.safetensors");
    innocent(&audit, "unproved");
    assert_eq!(standing(&audit, "proof of the reference"), "not checkable");
    let reasons = audit["reasons"].to_string();
    assert!(reasons.contains("The reference is unproved"), "{reasons}");
}

#[test]
fn every_format_shows_the_controls_of_the_harness_and_a_trained_twin_comes_first() {
    let place = Place::new();
    for method in ["dfa", "frozen"] {
        let set = "--set control_samples=64 --set perturbation_directions=2 --set null_draws=2";
        place.done(&format!(
            "train --config small.toml --method {method} {set} --out runs/{method}"
        ));
    }
    let shown = place.done("diagnose runs/dfa --controls").stdout;
    assert!(shown.contains("checks hold"), "{shown}");
    let verdict = place.json("runs/dfa/verdict.json");
    innocent(&verdict, "dfa");
    let harness = [
        "zero credit",
        "constant predictor",
        "shuffled labels",
        "evaluation mode",
        "depth utility against itself",
        "the twin is another network",
        "frozen blocks",
        "random credit",
        "the run's own record",
        "the run's own feedback",
        "ceiling",
    ];
    for check in harness {
        assert_eq!(standing(&verdict, check), "holds", "{:?}", checks(&verdict));
    }
    for format in ["md", "html"] {
        let page = place.done(&format!("report runs/dfa --format {format}")).stdout;
        assert!(page.contains("zero credit") && page.contains("evaluation mode"), "{format}");
        assert!(page.contains("scaled by its RMS before it trains"), "{format}");
    }

    let path = place.path("runs/frozen/checkpoint.mpk");
    let mut twin = Checkpoint::load(&path).expect("a checkpoint");
    let mut network = unpack(&twin.network).expect("tensors");
    let run = Checkpoint::load(&place.path("runs/dfa/checkpoint.mpk")).expect("a checkpoint");
    let trained = unpack(&run.network).expect("tensors");
    network.extend(trained.into_iter().filter(|(name, _)| name.starts_with("blocks.")));
    twin.network = pack(&network);
    twin.save(&path).expect("written");
    // Also without controls: this needs no more than the files.
    let shown = place.done("diagnose runs/dfa").stdout;
    let words = "The blocks of the frozen twin are not frozen";
    let verdict = place.json("runs/dfa/verdict.json");
    assert!(
        verdict["reasons"][0].as_str().is_some_and(|said| said.starts_with(words)),
        "{verdict}"
    );
    assert_eq!(verdict["diagnostics"]["depth_utility"]["status"], "not evaluated");
    assert!(shown.contains("The blocks of the frozen twin"), "{shown}");
    for format in ["md", "html", "json"] {
        let page = place.done(&format!("report runs/dfa --format {format}")).stdout;
        assert!(page.contains(words), "{format}");
    }
}

#[test]
fn the_terminal_names_what_was_checked() {
    let place = Place::new();
    place.write("unproved.safetensors", unproved());
    let shown = place.done("diagnose unproved.safetensors").stdout;
    for words in ["Evidence\n", "checks hold", "proof of the reference, not checkable", "global"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn a_trace_in_a_runs_folder_leaves_the_runs_verdict_alone_and_a_stranger_is_refused() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --set epochs=1 --out run");
    place.done("diagnose run --quiet");
    let own = place.read("run/verdict.json");
    place.write("run/checkpoint.npz", GOLDEN[1].1);
    place.done("diagnose run/checkpoint.npz --quiet");
    assert_eq!(place.read("run/verdict.json"), own);
    assert!(place.path("run/checkpoint.verdict.json").exists());
    let page = place.done("report run --format md").stdout;
    assert!(page.contains("scale of the reference"), "{page}");
    // Another run's verdict in its place.
    place.write("run/verdict.json", place.read("run/checkpoint.verdict.json"));
    for line in ["report run", "regress base.json run --update"] {
        let outcome = place.run(line);
        assert_ne!(outcome.code, 0, "{line}: {}", outcome.stdout);
        assert!(outcome.stderr.contains("is of another run"), "{line}: {}", outcome.stderr);
    }
}

#[test]
fn json_is_printed_even_where_no_file_can_be_written() {
    let place = Place::new();
    place.write("t/a.npz", GOLDEN[1].1);
    place.write("taken", "a file, not a folder");
    let outcome = place.run("diagnose t/a.npz --json --out taken/here");
    assert_ne!(outcome.code, 0);
    assert!(outcome.stdout.starts_with("{\"schema\""), "{}", outcome.stdout);
}

#[test]
fn a_baseline_is_called_one_in_every_format() {
    let place = Place::new();
    place.done("train --config small.toml --method frozen --set epochs=1 --out frozen");
    let audit = audit(&place, "frozen");
    assert_eq!(audit["verdict"], "baseline");
    for format in ["table", "csv", "json", "md", "html", "junit"] {
        let text = place.done(&format!("report frozen --format {format}")).stdout;
        assert!(text.contains("baseline"), "{format}");
        assert!(
            !text.contains("inconclusive\"") && !text.contains(",inconclusive,fa-audit"),
            "{format}"
        );
    }
}

#[test]
fn a_file_that_is_neither_checkpoint_nor_trace_is_named_for_what_it_is() {
    let place = Place::new();
    for (name, bytes, words) in [
        ("a.h5", b"\x89HDF\r\n\x1a\n".as_slice(), "an HDF5 file"),
        ("b.gguf", b"GGUF\x03\0\0\0", "a GGUF model"),
        ("c.npy", b"\x93NUMPY\x01\0", "a single NumPy array"),
        ("d.npz", b"<!DOCTYPE html><title>404", "a web page"),
        ("e.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("f.mpk", b"\x1f\x8b\x08\0", "a gzip archive"),
    ] {
        place.write(name, bytes);
        let outcome = place.run(&format!("diagnose {name}"));
        assert_ne!(outcome.code, 0, "{name}");
        assert!(outcome.stderr.contains(words), "{name}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{name}: {}", outcome.stderr);
    }
    let outcome = place.run("diagnose .");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("a directory without checkpoint.mpk"), "{}", outcome.stderr);
}
