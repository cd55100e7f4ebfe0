//! Traces: what other programs recorded. The golden ones come from PyTorch and BioTorch, the numbers that
//! they must give from NumPy (tests/golden/make_traces.py).

use crate::common::{Outcome, Place};
use fa_audit::trace::file::{Format, Trace};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write;
use zip::write::{SimpleFileOptions, ZipWriter};

const GOLDEN: [(&str, &[u8], Format); 2] = [
    ("pytorch.safetensors", include_bytes!("../golden/pytorch.safetensors"), Format::Safetensors),
    ("biotorch.npz", include_bytes!("../golden/biotorch.npz"), Format::Npz),
];

/// A trace to be written: [N, d] arrays by name, and metadata.
#[derive(Clone)]
struct Recording {
    arrays: Vec<(String, Vec<usize>, Vec<f64>)>,
    labels: Vec<(String, Vec<i64>)>,
    metadata: HashMap<String, String>,
}

impl Recording {
    /// `batches` batches of four samples, layers 0 … `depth` of three features, everything recorded.
    fn new(batches: usize, depth: usize) -> Self {
        let mut recording = Self {
            arrays: Vec::new(),
            labels: Vec::new(),
            metadata: HashMap::from([("fa_trace".into(), "1".into())]),
        };
        let mut phase = 0.0;
        let mut wave = |count: usize| -> Vec<f64> {
            let values = (0..count).map(|_| {
                phase += 1.0;
                (0.7f64 * phase * phase).sin()
            });
            values.collect()
        };
        // The credit is direct feedback alignment's: a fixed matrix of the output error, of which
        // two classes leave one number.
        let feedback: Vec<Vec<f64>> = (0..=depth).map(|_| wave(3)).collect();
        let labels = [0, 1, 1, 0];
        for k in 0..batches {
            let logits = wave(8);
            for (l, feedback) in feedback.iter().enumerate() {
                for field in ["h", "g"] {
                    let name = format!("batch.{k}.{field}.{l}");
                    recording.arrays.push((name, vec![4, 3], wave(12)));
                }
                let credit = logits.chunks(2).zip(labels).flat_map(|(z, label)| {
                    let first = 1.0 / (1.0 + (z[1] - z[0]).exp()) - [1.0, 0.0][label];
                    feedback.iter().map(move |b| b * first)
                });
                let name = format!("batch.{k}.a.{l}");
                recording.arrays.push((name, vec![4, 3], credit.collect()));
            }
            recording.arrays.push((format!("batch.{k}.logits"), vec![4, 2], logits));
            let labels = labels.iter().map(|&label| label as i64).collect();
            recording.labels.push((format!("batch.{k}.labels"), labels));
        }
        for (key, value) in [
            ("method", "dfa"),
            ("arch", "mlp"),
            ("loss_reduction", "mean"),
            ("accuracy", "0.5"),
            ("frozen_accuracy", "0.3"),
        ] {
            recording = recording.say(key, value);
        }
        recording
    }

    fn say(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    fn unsay(mut self, key: &str) -> Self {
        self.metadata.remove(key);
        self
    }

    /// Without the arrays whose names contain `word`.
    fn without(mut self, word: &str) -> Self {
        self.arrays.retain(|(name, ..)| !name.contains(word));
        self.labels.retain(|(name, _)| !name.contains(word));
        self
    }

    /// With this array's first value in another's place.
    fn first_value(mut self, name: &str, value: f64) -> Self {
        let array = self.arrays.iter_mut().find(|a| a.0 == name).expect("an array of that name");
        array.2[0] = value;
        self
    }

    fn shaped(mut self, shape: impl Fn(&str) -> Option<(Vec<usize>, Vec<f64>)>) -> Self {
        for array in &mut self.arrays {
            if let Some((dims, values)) = shape(&array.0) {
                (array.1, array.2) = (dims, values);
            }
        }
        self
    }

    fn safetensors(&self) -> Vec<u8> {
        let bytes =
            |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let arrays: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = self
            .arrays
            .iter()
            .map(|(name, shape, values)| (name.clone(), Dtype::F64, shape.clone(), bytes(values)))
            .chain(self.labels.iter().map(|(name, labels)| {
                let bytes = labels.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name.clone(), Dtype::I64, vec![labels.len()], bytes)
            }))
            .collect();
        let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
        });
        safetensors::serialize(views, Some(self.metadata.clone())).expect("a file")
    }

    /// Deflated, as `np.savez_compressed` writes it.
    fn npz(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut put = |name: &str, descr: &str, shape: &[usize], values: Vec<u8>| {
            let shape: String = shape.iter().map(|d| format!("{d},")).collect();
            let header =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
            let mut npy = b"\x93NUMPY\x01\x00".to_vec();
            npy.extend((header.len() as u16).to_le_bytes());
            npy.extend(header.as_bytes());
            npy.extend(values);
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).expect("an entry");
            zip.write_all(&npy).expect("its bytes");
        };
        for (key, value) in &self.metadata {
            let text = value.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
            put(key, &format!("<U{}", value.chars().count()), &[], text);
        }
        for (name, shape, values) in &self.arrays {
            put(name, "<f8", shape, values.iter().flat_map(|v| v.to_le_bytes()).collect());
        }
        for (name, labels) in &self.labels {
            let bytes = labels.iter().flat_map(|v| v.to_le_bytes()).collect();
            put(name, "<i8", &[labels.len()], bytes);
        }
        zip.finish().expect("an archive").into_inner()
    }

    /// The one line of JSON that an audit prints.
    fn audit(&self, options: &str) -> Value {
        let place = Place::new();
        place.write("trace.safetensors", self.safetensors());
        let outcome = place.done(&format!("diagnose trace.safetensors --json {options}"));
        lines(&outcome).remove(0)
    }
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    let line = |text| serde_json::from_str(text).expect("a line of JSON");
    outcome.stdout.lines().map(line).collect()
}

/// Every value that is expected, to 1e-9 relative; what is not expected may be there.
fn agree(path: &str, found: &Value, expected: &Value) -> usize {
    match expected {
        Value::Object(keys) => {
            keys.iter().map(|(k, v)| agree(&format!("{path}.{k}"), &found[k.as_str()], v)).sum()
        }
        Value::Array(items) => {
            let there = found.as_array().map(Vec::len);
            assert_eq!(there, Some(items.len()), "{path}");
            items
                .iter()
                .enumerate()
                .map(|(i, v)| agree(&format!("{path}[{i}]"), &found[i], v))
                .sum()
        }
        Value::Number(number) => {
            let (found, expected) = (found.as_f64(), number.as_f64().expect("a number"));
            let found = found.unwrap_or_else(|| panic!("{path} is no number"));
            let close = (found - expected).abs() <= 1e-9 * expected.abs();
            assert!(close, "{path}: {found} where NumPy has {expected}");
            1
        }
        other => {
            assert_eq!(found, other, "{path}");
            0
        }
    }
}

#[test]
fn the_numbers_of_the_golden_traces_are_those_of_numpy() {
    let expected: Value =
        serde_json::from_str(include_str!("../golden/traces.json")).expect("traces.json");
    for (name, bytes, _) in GOLDEN {
        let place = Place::new();
        place.write(name, bytes);
        let outcome = place.done(&format!("diagnose {name} --controls --json"));
        let compared = agree(name, &lines(&outcome)[0], &expected[name]);
        assert!(compared > 90, "{name}: {compared} numbers");
    }
}

#[test]
fn both_formats_hold_the_same_trace() {
    let recording = Recording::new(2, 2);
    let of = |bytes: &[u8], format| Trace::from_bytes(bytes, format).expect("a trace");
    let (one, other) =
        (of(&recording.safetensors(), Format::Safetensors), of(&recording.npz(), Format::Npz));
    assert_eq!(one.info, other.info);
    for (a, b) in one.layers.batches.iter().zip(&other.layers.batches) {
        assert_eq!((&a.hidden, &a.gradient, &a.credit), (&b.hidden, &b.gradient, &b.credit));
        assert_eq!((&a.logits, &a.labels), (&b.logits, &b.labels));
    }
    assert_eq!(one.layers.batches.len(), 2);
}

#[test]
fn traces_and_checkpoints_are_audited_in_any_mix() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --set epochs=1 --out run");
    place.write("t/a.safetensors", Recording::new(8, 2).safetensors());
    place.write("t/b.npz", Recording::new(8, 2).say("method", "fa").npz());
    let files = "t/a.safetensors t/b.npz run/checkpoint.mpk";
    let outcome = place.done(&format!("diagnose {files} --json --quiet"));
    let found: Vec<Value> = lines(&outcome).iter().map(|a| a["run"]["method"].clone()).collect();
    assert_eq!(found, ["dfa", "fa", "dfa"]);
    for file in ["t/a.verdict.json", "t/b.verdict.json", "t/verdicts.csv", "run/verdict.json"] {
        assert!(place.path(file).exists(), "{file}");
    }
    assert_eq!(place.json("t/a.verdict.json")["verdict"], "trustworthy");
    let table = place.done(&format!("diagnose {files} --controls --out elsewhere"));
    assert!(table.stdout.contains("trustworthy") && table.stdout.contains("Ranks"));
    assert!(place.path("elsewhere/t/b.verdict.json").exists());
    // The checkpoint has no frozen twin.
    let strict = |files: &str| place.run(&format!("diagnose {files} --fail-on inconclusive")).code;
    assert_eq!((strict("t/a.safetensors"), strict(files)), (0, 3));
    place.write("t/a.npz", Recording::new(8, 2).npz());
    let twice = place.run("diagnose t/a.safetensors t/a.npz");
    assert_eq!(twice.code, 2, "{}", twice.stderr);
    assert!(twice.stderr.contains("a.verdict.json"), "{}", twice.stderr);
}

#[test]
fn what_a_trace_lacks_is_not_evaluated_and_the_key_is_named() {
    let whole = || Recording::new(8, 2);
    for (recording, diagnostic, key) in [
        (whole().without(".g."), "reference", "`batch.{k}.g.{l}`"),
        (whole().without(".g."), "stability", "`batch.{k}.g.{l}`"),
        (whole().unsay("loss_reduction"), "reference", "`loss_reduction`"),
        (whole().unsay("accuracy"), "depth_utility", "`accuracy`"),
        (whole().unsay("frozen_accuracy"), "depth_utility", "`frozen_accuracy`"),
        (Recording::new(8, 0), "growth", "has no blocks"),
    ] {
        let audit = recording.audit("");
        assert_eq!(audit["diagnostics"][diagnostic]["status"], "not evaluated", "{key}");
        assert_eq!(audit["diagnostics"][diagnostic]["value"], Value::Null, "{key}");
        let notes = audit["notes"].to_string();
        assert!(notes.contains(key), "{key}: {notes}");
        assert_ne!(audit["verdict"], "trustworthy", "{key}");
    }
    let audit = whole().without(".a.").audit("--controls");
    assert_eq!(audit["cosine"]["aggregate"], Value::Null);
    assert!(audit["notes"].to_string().contains("`batch.{k}.a.{l}`"));
    let controls = &audit["controls"];
    for needs_more in ["null", "perturbation", "nudging", "descent", "shadow", "clamp"] {
        assert!(controls[needs_more]["not_evaluated"].is_string(), "{needs_more}");
    }
    assert!(controls["common_mode"]["per_layer"][0]["mean_energy"].is_f64());
    assert_eq!(controls["rank"]["matrices"][0]["matrix"], "g_0");
    // Without a network there is a fresh credit under dfa alone, and only of an output error.
    let null = |recording: Recording| recording.audit("--controls")["controls"]["null"].clone();
    assert_eq!(null(whole())["draws"], 20);
    let unsaid = null(whole().unsay("method"))["not_evaluated"].to_string();
    assert!(unsaid.contains("`method`"), "{unsaid}");
    assert!(null(whole().say("method", "fa"))["not_evaluated"].is_string());
    let lacks = null(whole().without(".labels"))["not_evaluated"].to_string();
    assert!(lacks.contains("logits and labels"), "{lacks}");
    // An accuracy that is not said is no number, and what the logits say is no test accuracy.
    let audit = whole().unsay("accuracy").audit("");
    assert_eq!(audit["accuracy"], Value::Null);
    assert!(audit["notes"].to_string().contains("Of the 32 recorded samples"));
}

#[test]
fn values_that_are_not_finite_are_words_and_never_pass() {
    for (value, word) in [(f64::NAN, "nan"), (f64::INFINITY, "inf")] {
        let audit = Recording::new(8, 2).first_value("batch.3.h.2", value).audit("--controls");
        assert_eq!(audit["diagnostics"]["growth"]["hidden_norms"][2], word);
        assert_eq!(audit["diagnostics"]["growth"]["status"], "fired");
        assert_eq!(audit["verdict"], "walked back");
        let audit = Recording::new(8, 2).first_value("batch.3.g.2", value).audit("--controls");
        assert_eq!(audit["cosine"]["per_layer"][2], "nan");
        assert_eq!(audit["controls"]["clamp"]["per_layer"][2]["unclamped"], "nan");
    }
    // One NaN among 32 medians is a NaN; the reference fires.
    let audit = Recording::new(8, 2).first_value("batch.3.g.2", f64::NAN).audit("");
    assert_eq!(audit["diagnostics"]["reference"]["value"], "nan");
    assert_eq!(audit["verdict"], "walked back");
    let huge = Recording::new(8, 2).first_value("batch.0.h.1", 1e300).audit("--controls");
    assert!(huge["diagnostics"]["growth"]["hidden_norms"][1].as_f64().is_some_and(|v| v > 1e298));
    assert_eq!(huge["diagnostics"]["growth"]["status"], "fired");
}

#[test]
fn one_layer_no_samples_and_tokens_are_audited_as_what_they_are() {
    let one = Recording::new(8, 0).audit("--controls");
    assert_eq!(one["verdict"], "inconclusive");
    assert!(one["cosine"]["aggregate"].is_f64());

    let empty = Recording::new(1, 1).without(".labels");
    let empty =
        empty.shaped(|name| Some((vec![0, if name.contains("logits") { 2 } else { 3 }], vec![])));
    let audit = empty.audit("--controls");
    assert_eq!(audit["verdict"], "inconclusive");
    for name in ["growth", "reference", "stability"] {
        assert_eq!(audit["diagnostics"][name]["reason"], "the trace holds no samples", "{name}");
    }

    // Two tokens, the second of which would triple every norm.
    let tokens = |name: &str| {
        let values = [1.0, 1.0, 1.0, 3.0, 3.0, 3.0].repeat(4);
        (name.contains(".h.") || name.contains(".g.")).then_some((vec![4, 2, 3], values))
    };
    let norm = |audit: &Value| audit["diagnostics"]["growth"]["hidden_norms"][0].as_f64();
    let said = |word: &str| Recording::new(8, 1).shaped(tokens).say("tokens", word).audit("");
    let (cls, mean) = (said("cls"), said("mean"));
    for (audit, want) in [(&cls, 3f64.sqrt()), (&mean, 12f64.sqrt())] {
        let off = norm(audit).map(|found| (found / want - 1.0).abs());
        assert!(off.is_some_and(|off| off < 1e-15), "{off:?}");
    }
    assert_eq!(cls["evaluation"]["tokens"], "cls");
    let unsaid = Recording::new(8, 1).shaped(tokens).audit("");
    assert_eq!(norm(&unsaid), norm(&cls));
    assert!(unsaid["notes"].to_string().contains("`tokens`"), "an assumption is said");
    assert!(!cls["notes"].to_string().contains("`tokens`"));
}

#[test]
fn a_frozen_run_may_be_a_trace_of_the_same_network() {
    let place = Place::new();
    place.write("dfa.npz", Recording::new(8, 2).unsay("frozen_accuracy").npz());
    let frozen = || Recording::new(1, 2).say("method", "frozen").say("accuracy", "0.4");
    place.write("frozen.npz", frozen().npz());
    let outcome = place.done("diagnose dfa.npz --frozen frozen.npz --json");
    let depth = &lines(&outcome)[0]["diagnostics"]["depth_utility"];
    assert_eq!((&depth["value"], &depth["frozen_accuracy"]), (&10.0.into(), &0.4.into()));
    assert_eq!(depth["frozen_source"], "frozen.npz");
    // What is typed outweighs what the trace says.
    place.write("said.npz", Recording::new(8, 2).npz());
    let outcome = place.done("diagnose said.npz --frozen frozen.npz --json");
    assert_eq!(lines(&outcome)[0]["diagnostics"]["depth_utility"]["frozen_accuracy"], 0.4);

    place.write("other.npz", frozen().say("arch", "cnn").npz());
    place.write("deep.npz", Recording::new(1, 3).say("method", "frozen").npz());
    place.write("silent.npz", frozen().unsay("accuracy").npz());
    for (twin, words) in [
        ("dfa.npz", "it was trained by dfa"),
        ("other.npz", "another arch: cnn"),
        ("deep.npz", "widths [3, 3, 3, 3]"),
        ("silent.npz", "no `accuracy`"),
    ] {
        let outcome = place.run(&format!("diagnose said.npz --frozen {twin}"));
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    place.done("train --config small.toml --method dfa --set epochs=1 --out run");
    let outcome = place.run("diagnose run/checkpoint.mpk --frozen frozen.npz");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}

#[test]
fn files_that_are_no_traces_are_refused_in_one_line_that_names_them() {
    let place = Place::new();
    let announce = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes
    };
    let tensor = |name: &str, shape: &str, end: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}"#)
    };
    let vast = tensor("batch.0.h.0", "[1099511627776,1099511627776]", 8);
    let terabytes = tensor("batch.0.h.0", "[1099511627776]", 4398046511104);
    let twice = tensor("batch.0.h.0", "[0,1]", 0);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.safetensors", vec![], "0 bytes"),
        ("text.safetensors", b"hello, this is no trace at all".to_vec(), "announces a header"),
        ("huge.safetensors", vec![0xff; 64], "announces a header of 18446744073709551615"),
        ("vast.safetensors", announce(&format!("{{{vast}}}")), "header is damaged"),
        ("terabytes.safetensors", announce(&format!("{{{terabytes}}}")), "header is damaged"),
        ("twice.safetensors", announce(&format!("{{{twice},{twice}}}")), "stands twice"),
        ("bare.safetensors", announce("{}"), "no `fa_trace"),
        ("empty.npz", vec![], "not an .npz"),
        ("text.npz", b"hello".to_vec(), "not an .npz"),
        ("new.npz", Recording::new(1, 1).say("fa_trace", "2").npz(), "`fa_trace = 2`, expected 1"),
        ("odd.npz", Recording::new(1, 1).say("accuracy", "93.1").npz(), "a fraction from 0 to 1"),
        ("gap.npz", Recording::new(1, 2).without("h.1").npz(), "`batch.0.h.1` is missing"),
    ];
    for (name, bytes, words) in cases {
        place.write(name, bytes);
        let outcome = place.run(&format!("diagnose {name}"));
        assert_eq!(outcome.code, 1, "{name}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{name}: {}", outcome.stderr);
        assert!(outcome.stdout.is_empty());
    }
    let outcome = place.run("diagnose nowhere.npz");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("cannot read the trace nowhere.npz"), "{}", outcome.stderr);
}

/// However it is cut, an error; however it is bent, no panic, and where a checksum covers it an error.
#[test]
fn cut_and_bent_files_never_panic() {
    for (name, bytes, format) in GOLDEN {
        assert!(Trace::from_bytes(bytes, format).is_ok(), "{name}");
        for length in (0..bytes.len()).step_by(97).chain(bytes.len() - 40..bytes.len()) {
            assert!(Trace::from_bytes(&bytes[..length], format).is_err(), "{name} cut at {length}");
        }
        let mut bent = bytes.to_vec();
        let mut refused = 0;
        let places = (0..bytes.len()).step_by(211).chain(0..300);
        let count = places.clone().count();
        for (turn, place) in places.enumerate() {
            bent[place] ^= 1 << (turn % 8);
            refused += usize::from(Trace::from_bytes(&bent, format).is_err());
            bent[place] = bytes[place];
        }
        // Only an archive has checksums: of the other, the header alone can be refused.
        let least = if format == Format::Npz { count / 2 } else { 100 };
        assert!(refused > least, "{name}: {refused} of {count}");
    }
}

#[test]
fn a_number_that_is_not_finite_is_the_first_reason_even_where_nothing_fires() {
    for array in ["batch.2.a.1", "batch.2.logits"] {
        let audit = Recording::new(8, 2).first_value(array, f64::NAN).audit("");
        assert_eq!(audit["verdict"], "inconclusive", "{array}");
        let first = audit["reasons"][0].as_str().expect("a sentence");
        assert!(first.contains(&format!("`{array}` holds nan, first in sample 0")), "{first}");
    }
}

#[test]
fn the_layers_whose_credit_trains_are_those_that_the_trace_names() {
    let aggregate = |recording: &Recording| {
        let audit = recording.audit("--controls");
        let values = &audit["controls"]["aggregation"]["values"][0]["value"];
        assert_eq!(values, &audit["cosine"]["aggregate"]);
        audit["cosine"].clone()
    };
    let all = aggregate(&Recording::new(8, 2).say("credit_trains", "[0, 1, 2]"));
    let per_layer: Vec<f64> =
        all["per_layer"].as_array().expect("layers").iter().filter_map(Value::as_f64).collect();
    let mean = per_layer.iter().sum::<f64>() / 3.0;
    assert!(all["aggregate"].as_f64().is_some_and(|found| (found - mean).abs() < 1e-12));
    let usual = aggregate(&Recording::new(8, 2));
    assert_ne!(usual["aggregate"], all["aggregate"]);
    let place = Place::new();
    place.write("far.npz", Recording::new(1, 2).say("credit_trains", "[0, 3]").npz());
    let outcome = place.run("diagnose far.npz");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("names layer 3: the last is 2"), "{}", outcome.stderr);
}

#[test]
fn what_the_recorder_found_of_its_reference_is_held_against_the_verdict() {
    let check = |ratio: &str| {
        format!(r#"[{{"layer": 0, "ratio": 1.0}}, {{"layer": 1, "ratio": {ratio}}}]"#)
    };
    let with = |ratio: &str, proved: &str| {
        let recording = Recording::new(8, 2).say("reference_check", &check(ratio));
        recording.say("reference_proved", proved).audit("")
    };
    let proved = with("0.999", "true");
    assert_eq!(proved["verdict"], "trustworthy");
    assert!(!proved["reasons"].to_string().contains("unproved"));
    let hooked = with("-0.004", "true");
    assert_eq!(hooked["verdict"], "inconclusive");
    assert_eq!(hooked["diagnostics"]["reference"]["status"], "not evaluated");
    assert_eq!(hooked["cosine"]["aggregate"], Value::Null);
    let first = hooked["reasons"][0].as_str().expect("a sentence");
    assert!(first.starts_with("The recorded reference at h_1 is not the gradient"), "{first}");
}
