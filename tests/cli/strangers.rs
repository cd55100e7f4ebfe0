//! Text that other programs wrote is shown, and steers nothing: no terminal, no line, no spreadsheet.

use crate::common::{Outcome, Place};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Clears a screen, sets a title, ends its line, forges another, turns the direction of writing.
const HOSTILE: &str = "=x\u{1b}[2J\u{1b}]0;t\u{7}\r\nerror: forged\u{9b}31m\u{202e}z\u{85}";

/// Nothing of it reaches a terminal.
fn is_tame(what: &str, text: &str) {
    let wild = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
    assert!(!text.contains(wild), "{what}: {:?}", text);
}

fn both_tame(line: &str, outcome: &Outcome) {
    is_tame(line, &outcome.stdout);
    is_tame(line, &outcome.stderr);
    let forged = outcome.stderr.lines().any(|said| said.starts_with("error: forged"));
    assert!(!forged, "{line}: {}", outcome.stderr);
}

/// A trace of two layers with this metadata.
fn trace(place: &Place, name: &str, metadata: &[(&str, &str)], extra: &str) {
    let values: Vec<u8> = (0..12).flat_map(|i| (0.1 * f64::from(i) + 1.0).to_le_bytes()).collect();
    let mut names: Vec<String> = ["h", "g", "a"]
        .iter()
        .flat_map(|f| (0..2).map(move |l| format!("batch.0.{f}.{l}")))
        .collect();
    if !extra.is_empty() {
        names.push(extra.into());
    }
    let view = || TensorView::new(Dtype::F64, vec![4, 3], &values).expect("a tensor");
    let said = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    let said: HashMap<String, String> = said.chain([("fa_trace".into(), "1".into())]).collect();
    let bytes = safetensors::serialize(names.into_iter().map(|n| (n, view())), Some(said));
    place.write(name, bytes.expect("bytes"));
}

#[test]
fn the_metadata_of_a_trace_steer_no_terminal_no_line_and_no_spreadsheet() {
    let place = Place::new();
    let words = [("method", HOSTILE), ("arch", HOSTILE), ("dataset", HOSTILE)];
    trace(&place, "t.safetensors", &words, "");
    for line in ["diagnose t.safetensors", "diagnose t.safetensors --json --controls"] {
        let outcome = place.done(line);
        both_tame(line, &outcome);
        assert!(outcome.stdout.contains("forged"), "it is shown: {}", outcome.stdout);
    }
    let csv = place.read("verdicts.csv");
    is_tame("verdicts.csv", &csv);
    let row = csv.lines().nth(1).expect("a row");
    assert!(row.starts_with("'=x") || row.starts_with("\"'=x"), "{row}");
    assert_eq!(csv.lines().count(), 2);
    trace(&place, "name.safetensors", &[], HOSTILE);
    trace(&place, "seed.safetensors", &[("seed", HOSTILE)], "");
    trace(&place, "version.safetensors", &[("tokens", HOSTILE)], "");
    for name in ["name", "seed", "version"] {
        let line = format!("diagnose {name}.safetensors");
        let outcome = place.run(&line);
        assert_eq!(outcome.code, 1, "{}", outcome.stderr);
        both_tame(&line, &outcome);
    }
}

/// Every string at and below `value` that is no word of a schema.
fn poison(value: &mut Value) {
    match value {
        Value::String(text) => *text = HOSTILE.into(),
        Value::Array(elements) => elements.iter_mut().for_each(poison),
        Value::Object(fields) => fields.values_mut().for_each(poison),
        _ => {}
    }
}

#[test]
fn records_and_verdicts_of_others_steer_nothing_in_any_report() {
    let place = Place::new();
    let text = "name = 's'\n[base]\nepochs = 1\nwidth = 8\ndepth = 1\ntrain_samples = 64\n\
                test_samples = 64\nprobe_batches = 2\nprobe_batch_size = 32\ncontrol_samples = 16\n\
                null_draws = 2\nperturbation_directions = 1\n\
                [[grid]]\nmethod = ['dfa', 'fa']\nseed = [1, 2]\n";
    place.write("study.toml", text);
    place.done("audit study.toml --out s");
    let own = place.read("s/study.json");
    let mut plan = place.json("s/study.json");
    plan["name"] = json!(HOSTILE);
    plan["runs"][0]["directory"] = json!(HOSTILE);
    let runs: Vec<String> = plan["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .filter_map(|run| run["directory"].as_str().map(str::to_owned))
        .collect();
    place.write("s/study.json", plan.to_string());
    for (i, run) in runs.iter().skip(1).enumerate() {
        let file = format!("s/{run}/run.json");
        let mut record = place.json(&file);
        for key in ["tool", "git_revision", "burn", "backend", "device", "command_line"] {
            poison(&mut record["provenance"][key]);
        }
        if i == 0 {
            record["status"] = json!("failed");
            record["error"] = json!(HOSTILE);
        }
        place.write(&file, record.to_string());
        let file = format!("s/{run}/verdict.json");
        let mut verdict = place.json(&file);
        for key in ["label", "data_source", "diverged"] {
            verdict["run"][key] = json!(HOSTILE);
        }
        poison(&mut verdict["reasons"]);
        poison(&mut verdict["notes"]);
        verdict["evaluation"]["tokens"] = json!(HOSTILE);
        verdict["diagnostics"]["depth_utility"]["frozen_method"] = json!(HOSTILE);
        place.write(&file, verdict.to_string());
    }
    for format in ["table", "csv", "json", "md", "html", "junit"] {
        let line = format!("report s --format {format}");
        let outcome = place.done(&line);
        both_tame(&line, &outcome);
        assert!(outcome.stdout.contains("forged"), "{line}");
        place.done(&format!("{line} --out page"));
        if format != "json" {
            is_tame(&format!("{line} --out page"), &place.read("page"));
        }
    }
    both_tame("report --seeds", &place.done("report s --seeds"));
    let outcome = place.run("regress baseline.json s --update");
    assert_eq!(outcome.code, 2, "a run is missing: {}", outcome.stderr);
    both_tame("regress --update", &outcome);
    place.write("s/study.json", own);
    let failed = format!("s/{}/run.json", runs[1]);
    let mut record = place.json(&failed);
    record["status"] = json!("finished");
    place.write(&failed, record.to_string());
    let outcome = place.done("regress baseline.json s --update");
    both_tame("regress --update", &outcome);
    for format in ["table", "md", "junit", "json"] {
        let line = format!("regress baseline.json s --format {format}");
        both_tame(&line, &place.done(&line));
    }
    let outcome = place.run("audit study.toml --out s");
    both_tame("audit", &outcome);
    // A verdict of another method is no verdict of this run, and its words are in the error.
    for key in ["method", "arch", "dataset"] {
        let file = format!("s/{}/verdict.json", runs[1]);
        let own = place.read(&file);
        let mut verdict = place.json(&file);
        verdict["run"][key] = json!(HOSTILE);
        place.write(&file, verdict.to_string());
        let outcome = place.run("report s");
        assert_eq!(outcome.code, 1, "{key}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("forged"), "{key}: {}", outcome.stderr);
        both_tame(key, &outcome);
        place.write(&file, own);
    }
}

#[test]
fn names_in_networks_and_settings_steer_nothing_in_an_error() {
    let place = Place::new();
    let values = [0u8; 4];
    let view = TensorView::new(Dtype::F32, vec![1], &values).expect("a tensor");
    let bytes = safetensors::serialize([(HOSTILE.to_string(), view)], None).expect("bytes");
    place.write("net.safetensors", bytes);
    let import = "import net.safetensors --config small.toml --out x.mpk";
    let outcome = place.run(import);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("forged"), "it is named: {}", outcome.stderr);
    both_tame(import, &outcome);
    let quoted = serde_json::to_string(HOSTILE).expect("a string");
    let escaped = quoted.replace('\u{9b}', "\\u009b").replace('\u{85}', "\\u0085");
    place.write("key.toml", format!("{escaped} = 3"));
    place.write("device.toml", format!("device = {escaped}"));
    place.write("study.toml", format!("name = {escaped}\n[[grid]]\nseed = [1]"));
    for line in [
        "train --config key.toml --out x",
        "train --config device.toml --out x",
        "audit study.toml --dry-run",
    ] {
        let outcome = place.run(line);
        assert_eq!(outcome.code, 2, "{line}: {}", outcome.stderr);
        both_tame(line, &outcome);
    }
    let hostile = ["diagnose", "no\u{1b}[2J\nerror: forged.mpk"];
    let outcome = Outcome::of(place.command(&hostile).output().expect("it starts"));
    assert_eq!(outcome.code, 1);
    both_tame("diagnose", &outcome);
}
