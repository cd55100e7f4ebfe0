//! One guess of what a file or a folder is serves every command.

use crate::bad_input::fails;
use crate::common::Place;

/// Files that people have in the place of the right one, each with a word of what it is.
fn files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let zip = |first: &str| {
        let mut head = b"PK\x03\x04".to_vec();
        head.resize(26, 0);
        head.extend((first.len() as u16).to_le_bytes());
        head.extend([0, 0]);
        head.extend(first.as_bytes());
        head
    };
    vec![
        ("pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.".to_vec(), "Python pickle"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "gzip archive"),
        ("zip", zip("images/1.png"), "zip archive"),
        ("parquet", b"PAR1\x15\x04\x15\x10".to_vec(), "Parquet table"),
        ("png", b"\x89PNG\r\n\x1a\n\0\0".to_vec(), "PNG image"),
        ("index", b"{\"metadata\": {}, \"weight_map\": {\"a\": \"b\"}}".to_vec(), "several files"),
        (
            "lfs",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            "LFS pointer",
        ),
        ("html", b"<!DOCTYPE html><title>404</title>".to_vec(), "web page"),
        ("h5", b"\x89HDF\r\n\x1a\n\0\0".to_vec(), "HDF5"),
        ("gguf", b"GGUF\x03\0\0\0\0\0".to_vec(), "GGUF"),
        ("onnx", b"\x08\x07\x12\x07pytorch\x1a\x03".to_vec(), "ONNX"),
        ("npy", b"\x93NUMPY\x01\0\x16\0{'descr'".to_vec(), ".npy"),
        ("verdict", b"{\"schema\": \"fa-audit/verdict/1\"}".to_vec(), "a verdict of fa-audit"),
    ]
}

#[test]
fn every_command_says_what_a_file_is_that_is_not_the_wanted_one() {
    let place = Place::new();
    for (name, bytes, word) in files() {
        place.write(name, &bytes);
        fails(&place, &format!("import {name} --config small.toml --out x.mpk"), 1, &[name, word]);
        fails(&place, &format!("diagnose {name}"), 1, &[name, word]);
        let trace = format!("{name}.npz");
        place.write(&trace, &bytes);
        // A zip archive is what an .npz is.
        let words = if name == "zip" { vec![trace.as_str()] } else { vec![trace.as_str(), word] };
        fails(&place, &format!("diagnose {trace}"), 1, &words);
        let outcome = place.run(&format!("data info --data-dir {name}"));
        assert!(outcome.stderr.contains(word), "{name}: {}", outcome.stderr);
        let train =
            format!("train --config cifar.toml --dataset cifar10 --data-dir {name} --out r");
        fails(&place, &train, 1, &[name, word]);
    }
}

#[test]
fn every_command_says_what_a_folder_is_that_is_not_the_wanted_one() {
    let place = Place::new();
    for (folder, file, word) in [
        ("images", "train/cat/1.png", "a folder of images"),
        ("tables", "data/train-0000.parquet", "Parquet tables"),
        ("shards", "model-00001-of-00002.safetensors", "shards"),
        ("indexed", "model.safetensors.index.json", "shards"),
        ("arrays", "x.npy", "NumPy arrays"),
        ("study", "study.json", "a study of fa-audit"),
    ] {
        place.write(&format!("{folder}/{file}"), "");
        fails(
            &place,
            &format!("import {folder} --config small.toml --out x.mpk"),
            1,
            &[folder, word],
        );
        fails(&place, &format!("diagnose {folder}"), 2, &[folder, word]);
        for action in ["info", "verify"] {
            let stdout = place.run(&format!("data {action} --data-dir {folder}")).stdout;
            assert!(stdout.contains(&format!("{folder}: no files (")), "{stdout}");
            assert!(stdout.contains(word), "{stdout}");
        }
        let train =
            format!("train --config cifar.toml --dataset cifar10 --data-dir {folder} --out r");
        fails(&place, &train, 1, &["data_batch_1.bin", word]);
        if folder != "study" {
            fails(&place, &format!("report {folder}"), 2, &[folder, word]);
        }
    }
}

#[test]
fn a_model_where_a_trace_is_wanted_and_the_other_way_round_names_the_right_command() {
    let place = Place::new();
    let model = include_bytes!("../import/golden/model.safetensors");
    place.write("model.safetensors", model);
    fails(&place, "diagnose model.safetensors", 1, &["not a trace", "fa-audit import"]);
    place.write("model.pt", include_bytes!("../import/golden/model.pt"));
    fails(&place, "diagnose model.pt", 1, &["a PyTorch file", "fa-audit import"]);
    place.write("trace.safetensors", include_bytes!("../golden/pytorch.safetensors"));
    let import = |file: &str| format!("import {file} --config small.toml --out x.mpk");
    fails(&place, &import("trace.safetensors"), 1, &["trace.safetensors"]);
    place.write("trace.npz", include_bytes!("../golden/biotorch.npz"));
    fails(&place, &import("trace.npz"), 1, &["an .npz, arrays of NumPy by name"]);
    place.done("train --config small.toml --set epochs=1 --out run");
    fails(&place, &import("run/checkpoint.mpk"), 1, &["a checkpoint of fa-audit"]);
    fails(&place, &import("run"), 1, &["the directory of a run of fa-audit"]);
}

#[test]
fn what_a_state_dict_holds_and_cannot_be_read_is_never_called_missing() {
    let place = Place::new();
    place.write("kinds.pt", include_bytes!("../import/golden/kinds.pt"));
    let table = "[import.keys]\n\"embed\" = \"module\"\n\"readout.head.weight\" = \"by_channel\"\n\
                 \"readout.head.bias\" = \"whole\"\n";
    let network = crate::common::SMALL;
    place.write("net.toml", format!("method = 'bp'\n{network}{table}"));
    let outcome = place.run("import kinds.pt --config net.toml --out x.mpk");
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for words in [
        "module.weight is not to be read: the file has an object of torch.nn.modules.linear.Linear as module",
        "by_channel is quantised by per_channel_affine (save tensor.dequantize())",
        "whole is a NumPy array of <i8, expected floating-point numbers",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    for name in ["module.weight is missing", "by_channel is missing", "whole is missing"] {
        assert!(!outcome.stderr.contains(name), "{}", outcome.stderr);
    }
}

#[test]
fn a_run_is_reported_and_diagnosed_by_its_directory_and_a_foreign_verdict_is_refused() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --out runs/dfa");
    place.done("train --config small.toml --method bp --out runs/bp");
    assert!(
        place.done("report runs/dfa").stdout.contains("not audited")
            || place.done("report runs/dfa").stdout.contains("finished")
    );
    place.done("diagnose runs/dfa runs/bp");
    assert!(place.done("report runs/dfa").stdout.contains("dfa"));
    let own = place.read("runs/dfa/verdict.json");
    // A trace beside a run's files is not the run.
    place.write("runs/dfa/checkpoint.safetensors", include_bytes!("../golden/pytorch.safetensors"));
    place.done("diagnose runs/dfa/checkpoint.safetensors");
    assert_eq!(place.read("runs/dfa/verdict.json"), own);
    std::fs::copy(place.path("runs/bp/verdict.json"), place.path("runs/dfa/verdict.json"))
        .expect("copied");
    for line in ["report runs/dfa", "regress base.json runs/dfa --update", "verify runs/dfa"] {
        fails(&place, line, 1, &["runs/dfa/verdict.json", "is of another run"]);
    }
}

#[test]
fn json_is_printed_before_anything_is_written() {
    let place = Place::new();
    place.done("train --config small.toml --set epochs=1 --out run");
    // A folder stands where the verdict belongs.
    place.write("run/verdict.json/x", "");
    let outcome = place.run("diagnose run --json");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    let verdict: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(verdict["schema"], "fa-audit/verdict/1");
    let study =
        format!("name = 's'\n[base]\n{}", crate::common::SMALL.replace("epochs = 3", "epochs = 1"));
    place.write("study.toml", study);
    place.done("audit study.toml --out s");
    std::fs::remove_file(place.path("s/report.md")).expect("it is there");
    place.write("s/report.md/x", "");
    let outcome = place.run("audit study.toml --out s --json");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
}
