//! Networks that PyTorch trained. `tests/import/resmlp.py` made the golden files and the numbers.

use crate::bad_input::fails;
use crate::common::{Outcome, Place};
use fa_audit::data::{self, DatasetKind, SyntheticSpec};
use fa_audit::model::NamedTensors;
use fa_audit::train::checkpoint::{Checkpoint, unpack};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The network of the golden files and the data that it was trained and measured on.
const NET: &str = "method = 'dfa'\nwidth = 6\ndepth = 3\nepochs = 3\nbatch_size = 64\n\
                   train_samples = 2000\ntest_samples = 256\nprobe_batches = 8\nprobe_batch_size = 32\n";

/// For the names in the golden model.pt.
const KEYS: &str = "prefix = 'model'\ntransposed = ['feedback']\nignore = ['dfa', 'fa']\n[import.keys]\n\
                    'embed' = 'model.stem'\n'blocks.{l}' = 'model.layers.{l}'\n\
                    'blocks.{l}.linear1' = 'model.layers.{l}.fc1'\n\
                    'blocks.{l}.linear2' = 'model.layers.{l}.fc2'\n\
                    'readout.norm' = 'model.out_ln'\n'readout.head' = 'model.out_head'\n";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/golden").join(name)
}

/// Writes a configuration with this `[import]` table.
fn configure(place: &Place, net: &str, table: &str) {
    place.write("net.toml", format!("{net}[import]\n{table}"));
}

fn import_line(model: &Path, out: &str) -> String {
    format!("import {} --config net.toml --out {out}", model.display())
}

fn imported(place: &Place, model: &Path, out: &str) -> Outcome {
    place.done(&import_line(model, out))
}

fn checkpoint(place: &Place, name: &str) -> Checkpoint {
    Checkpoint::load(&place.path(name)).expect("a checkpoint")
}

/// Parameters and feedback matrices, which must be equal to the bit.
fn tensors(checkpoint: &Checkpoint) -> NamedTensors {
    let mut all = unpack(&checkpoint.network).expect("parameters");
    all.extend(unpack(&checkpoint.learner).expect("feedback"));
    all
}

fn same_tensors(a: &Checkpoint, b: &Checkpoint) {
    let (a, b) = (tensors(a), tensors(b));
    assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    for (name, data) in &a {
        assert_eq!(data.shape, b[name].shape, "{name}");
        assert!(data.as_bytes() == b[name].as_bytes(), "{name}");
    }
}

/// What PyTorch measured, in the form of `verdict.json`; 1e-4 is relative.
fn agrees_with_pytorch(verdict: &Value, rule: &str) {
    let expected = std::fs::read_to_string(golden("expected.json")).expect("expected.json");
    let expected: Value = serde_json::from_str(&expected).expect("JSON");
    for (name, ours) in [
        ("hidden_norms", &verdict["diagnostics"]["growth"]["hidden_norms"]),
        ("gradient_norms", &verdict["diagnostics"]["reference"]["per_layer"]),
        ("cosine", &verdict["cosine"]["per_layer"]),
    ] {
        let theirs = expected[rule]["float32"][name].as_array().expect("an array");
        let ours = ours.as_array().expect("an array");
        assert_eq!((ours.len(), theirs.len()), (4, 4), "{name}");
        for (l, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let (ours, theirs) =
                (ours.as_f64().expect("a number"), theirs.as_f64().expect("a number"));
            let off = (ours - theirs).abs() / theirs.abs();
            assert!(off < 1e-4, "{rule} {name}[{l}]: {ours} here, {theirs} in PyTorch");
        }
    }
    assert_eq!(verdict["accuracy"], expected[rule]["float32"]["accuracy"]);
}

/// Proof that an imported network is the network: norms, reference gradients and cosines are PyTorch's.
#[test]
fn an_imported_network_measures_as_in_pytorch() {
    let place = Place::new();
    configure(&place, NET, "ignore = ['fa']");
    let outcome = imported(&place, &golden("model.safetensors"), "safe/checkpoint.mpk");
    assert!(
        outcome.stderr.contains("note: 1 tensors of float16 are now f32"),
        "{}",
        outcome.stderr
    );
    let said = "imported 24 parameters and 3 feedback matrices of dfa";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    let diagnosed = place.done("diagnose safe/checkpoint.mpk --json");
    let verdict: Value = serde_json::from_str(&diagnosed.stdout).expect("one object");
    agrees_with_pytorch(&verdict, "dfa");
    assert_eq!(verdict["run"]["imported"], "model.safetensors");
    assert_eq!(verdict["run"]["epoch"], Value::Null, "nobody said");
    assert_eq!(verdict["diagnostics"]["depth_utility"]["status"], "not evaluated");

    // The other file has the same network under other names, its feedback as transposed views.
    configure(&place, NET, &format!("{KEYS}'feedback' = 'dfa'\n"));
    imported(&place, &golden("model.pt"), "pt/checkpoint.mpk --epoch 3");
    let (safe, pt) =
        (checkpoint(&place, "safe/checkpoint.mpk"), checkpoint(&place, "pt/checkpoint.mpk"));
    same_tensors(&safe, &pt);
    assert_eq!((safe.progress.epoch, pt.progress.epoch), (0, 3));

    // Square matrices do not tell by their shape how they lie.
    let fa = NET.replace("dfa", "fa");
    configure(&place, &fa, &format!("{KEYS}'feedback' = 'fa'\n"));
    imported(&place, &golden("model.pt"), "fa/checkpoint.mpk");
    place.done("diagnose fa/checkpoint.mpk");
    agrees_with_pytorch(&place.json("fa/verdict.json"), "fa");
    configure(&place, &fa, "ignore = ['feedback']\n[import.keys]\n'feedback' = 'fa'\n");
    imported(&place, &golden("model.safetensors"), "fa-safe/checkpoint.mpk");
    same_tensors(
        &checkpoint(&place, "fa/checkpoint.mpk"),
        &checkpoint(&place, "fa-safe/checkpoint.mpk"),
    );
}

#[test]
fn the_source_is_recorded_and_nothing_goes_on_from_it() {
    use sha2::{Digest, Sha256};
    let place = Place::new();
    configure(&place, NET, "ignore = ['fa']");
    imported(&place, &golden("model.safetensors"), "run/checkpoint.mpk");
    let source = checkpoint(&place, "run/checkpoint.mpk").imported.expect("imported");
    let bytes = std::fs::read(golden("model.safetensors")).expect("the golden file");
    assert_eq!(source.file, "model.safetensors");
    assert_eq!(source.sha256, fa_audit::hex(&Sha256::digest(bytes)));

    let resume = "train --out run --resume";
    fails(&place, resume, 2, &["imported from model.safetensors", "no optimiser state"]);
    let again = import_line(&golden("model.safetensors"), "run/checkpoint.mpk");
    fails(&place, &again, 2, &["run/checkpoint.mpk exists already", "--force"]);
    place.done(&format!("{again} --force"));
    fails(&place, &format!("{again} --force --epoch 9"), 2, &["--epoch 9", "plans 3"]);

    // The same file trains the frozen run; that it lies beside the import does not make it a twin.
    place.done("train --config net.toml --method frozen --out frozen");
    place.done("diagnose run/checkpoint.mpk --controls");
    let verdict = place.json("run/verdict.json");
    assert_eq!(verdict["diagnostics"]["depth_utility"]["status"], "not evaluated");
    let ranked = verdict["controls"]["rank"]["matrices"].to_string();
    assert!(
        ranked.contains("\"g_0\"") && !ranked.contains("W_0"),
        "its W_0 is not known: {ranked}"
    );
    assert!(verdict["notes"].to_string().contains("Imported from model.safetensors"));
    place.done("diagnose run/checkpoint.mpk --frozen frozen/checkpoint.mpk");
    let utility = &place.json("run/verdict.json")["diagnostics"]["depth_utility"];
    assert!(utility["value"].is_f64(), "{utility}");
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let place = Place::new();
    // One block too few here, another width of one layer, feedback as the file does not have it.
    configure(
        &place,
        &NET.replace("depth = 3", "depth = 2\nexpansion = 2"),
        "transposed = ['feedback.1']",
    );
    let line = import_line(&golden("model.safetensors"), "x.mpk");
    fails(&place, &line, 1, &["model.safetensors does not fit the configuration", "dfa on resmlp"]);
    let stderr = place.run(&line).stderr;
    for problem in [
        "\n  blocks.0.linear1.weight is [6, 6], expected [12, 6]\n",
        "\n  blocks.0.linear1.bias is [6], expected [12]\n",
        "\n  blocks.1.linear2.weight is [6, 6], expected [6, 12]\n",
        "\n  feedback.1 is [6, 10], expected [10, 6]: it is not stored transposed, as [import] says\n",
        "\n  blocks.2.norm.weight is not part of the network\n",
        "\n  feedback.2 is not part of the network\n",
        "\n  fa.0 is not part of the network\n",
    ] {
        assert!(stderr.contains(problem), "no `{problem}` in: {stderr}");
    }

    configure(&place, NET, "[import.keys]\n'blocks.7' = 'b'\n'blocks.{l}' = 'layers.{l}'\n");
    let stderr = place.run(&import_line(&golden("model.pt"), "x.mpk")).stderr;
    for problem in [
        "\n  [import] \"blocks.7\" fits no tensor of the network\n",
        "\n  embed.weight is missing, expected [6, 3072]\n",
        "\n  layers.0.norm.bias is missing, expected [6]: the file has model.layers.0.norm.bias, which \
         `prefix = \"model\"` in [import] finds\n",
        "\n  feedback.0 is missing, expected [6, 10]\n",
        "\n  steps is not part of the network\n",
    ] {
        assert!(stderr.contains(problem), "no `{problem}` in: {stderr}");
    }
    configure(
        &place,
        NET,
        &format!("{}'feedback' = 'dfa'\n", KEYS.replace("transposed = ['feedback']\n", "")),
    );
    fails(&place, &import_line(&golden("model.pt"), "x.mpk"), 1, &["does not fit"]);
    let stderr = place.run(&import_line(&golden("model.pt"), "x.mpk")).stderr;
    let advice = "dfa.0 is [10, 6], expected [6, 10]: it is stored transposed, which \
                  `transposed = [\"feedback.0\"]` in [import] says";
    assert!(stderr.contains(advice), "{stderr}");
    assert!(!place.path("x.mpk").exists(), "nothing was written");
}

#[test]
fn files_that_are_none_are_named_with_what_was_expected() {
    let place = Place::new();
    configure(&place, NET, "");
    let line = |name: &str| format!("import {name} --config net.toml --out x.mpk");
    fails(&place, &line("no.pt"), 1, &["cannot read no.pt"]);
    place.write("empty.pt", b"");
    fails(&place, &line("empty.pt"), 1, &["empty.pt", "empty"]);
    place.write("old.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.");
    fails(&place, &line("old.pt"), 1, &["old.pt", "PyTorch 1.6", "state_dict()"]);
    // Eight exabytes of header, from 16 bytes.
    place.write("huge.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{\"a\":0}x");
    fails(&place, &line("huge.safetensors"), 1, &["huge.safetensors", "not a whole safetensors"]);
    let terabyte = br#"{"embed.weight":{"dtype":"F32","shape":[250000000000],"data_offsets":[0,1000000000000]}}"#;
    let mut bytes = (terabyte.len() as u64).to_le_bytes().to_vec();
    bytes.extend(terabyte);
    place.write("terabyte.safetensors", bytes);
    fails(&place, &line("terabyte.safetensors"), 1, &["terabyte.safetensors", "not a whole"]);
    let whole = std::fs::read(golden("model.pt")).expect("the golden file");
    place.write("cut.pt", &whole[..whole.len() / 2]);
    fails(&place, &line("cut.pt"), 1, &["cut.pt", "cut short"]);
    place.write("typo.toml", "[import]\nprefx = 'model'");
    fails(&place, "import no.pt --config typo.toml --out x.mpk", 2, &["typo.toml", "import.prefx"]);
    assert_eq!(place.run("import no.pt --out x.mpk").code, 2, "the configuration is not guessed");
}

/// A parameter of a checkpoint as PyTorch holds it: (name, shape, values).
fn as_pytorch((name, data): (String, burn::tensor::TensorData)) -> (String, Vec<usize>, Vec<f32>) {
    let (mut shape, mut values) = (data.shape.to_vec(), data.iter::<f32>().collect::<Vec<_>>());
    if let ([inputs, outputs], false) =
        (shape[..].try_into().unwrap_or([0, 0]), name.starts_with("feedback"))
        && shape.len() == 2
    {
        let transposed = |i: usize| values[i % inputs * outputs + i / inputs];
        values = (0..inputs * outputs).map(transposed).collect();
        shape.reverse();
    }
    let name = name.replace(".gamma", ".weight").replace(".beta", ".bias");
    (name, shape, values)
}

fn save(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., v)| v.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, path).expect("a file");
}

#[test]
fn every_architecture_comes_back_as_it_was_exported() {
    let place = Place::new();
    let small = "epochs = 1\nwidth = 8\ndepth = 2\ntrain_samples = 128\ntest_samples = 64\n\
                 probe_batch_size = 32\n";
    for (run, net) in [
        ("fa", "method = 'fa'\nembed_signal = 'mapped'\n"),
        ("bare", "method = 'dfa'\nterminal_norm = false\nexpansion = 3\n"),
        ("vit", "method = 'dfa'\narch = 'vit-mini'\nheads = 2\npatch = 8\n"),
    ] {
        place.write("net.toml", format!("{net}{small}"));
        place.done(&format!("train --config net.toml --out {run}"));
        let trained = checkpoint(&place, &format!("{run}/checkpoint.mpk"));
        let exported: Vec<_> = tensors(&trained).into_iter().map(as_pytorch).collect();
        save(&place.path("model.safetensors"), &exported);
        imported(&place, Path::new("model.safetensors"), &format!("{run}-back/checkpoint.mpk"));
        same_tensors(&trained, &checkpoint(&place, &format!("{run}-back/checkpoint.mpk")));
        if run == "vit" {
            fused_and_convolved(&place, exported, &trained);
        }
    }
}

/// Feedback that is the head's, one for all, zero, or that was drawn from the weights.
#[test]
fn imported_feedback_that_is_not_random_is_named() {
    let place = Place::new();
    place.write(
        "net.toml",
        "method = 'dfa'\nepochs = 1\nwidth = 8\ndepth = 3\ntrain_samples = 128\ntest_samples = 64\n\
         probe_batch_size = 32\ncheckpoint_epochs = [0]\n",
    );
    place.done("train --config net.toml --out run");
    let of = |name: &str| tensors(&checkpoint(&place, name));
    let (trained, start) = (of("run/checkpoint.mpk"), of("run/epochs/epoch-0000.mpk"));
    // As matrices [d, C], which feedback is, too.
    let head = |of: &NamedTensors| -> Vec<f32> { of["readout.head.weight"].iter().collect() };
    let export = |of: &NamedTensors, feedback: &dyn Fn(usize, Vec<f32>) -> Vec<f32>| {
        let mut all: Vec<_> = of.clone().into_iter().map(as_pytorch).collect();
        for (name, _, values) in &mut all {
            if let Some(l) = name.strip_prefix("feedback.") {
                *values = feedback(l.parse().expect("a layer"), std::mem::take(values));
            }
        }
        save(&place.path("model.safetensors"), &all);
    };
    let check = |run: &str| -> Value {
        place.done(&format!("diagnose {run}/checkpoint.mpk"));
        let verdict = place.json(&format!("{run}/verdict.json"));
        let checks = verdict["evidence"]["checks"].as_array().expect("checks").clone();
        let mut found = checks.into_iter().filter(|c| c["check"] == "feedback matrices");
        let found = found.next().expect("the check was made");
        let is_first = verdict["reasons"][0] == found["finding"];
        assert_eq!(is_first, found["standing"] == "contradicted", "{run}: {verdict}");
        found
    };
    let of_head = head(&trained);
    let one: Vec<f32> = trained["feedback.0"].iter().collect();
    let from_start = |l: usize, own: Vec<f32>| -> Vec<f32> {
        let size = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let (first, share) = (head(&start), 0.3 * size(&head(&start)) / size(&own));
        let mixed = first.iter().zip(&own).map(|(w, b)| w + share * b).collect();
        if l == 0 { mixed } else { own }
    };
    type Feedback<'a> = &'a dyn Fn(usize, Vec<f32>) -> Vec<f32>;
    let cases: [(&str, Feedback, &str); 4] = [
        ("head", &|l, own| if l == 1 { of_head.clone() } else { own }, "1 is the head's transpose"),
        ("one", &|_, _| one.clone(), "All feedback matrices are one up to scale"),
        ("zero", &|l, own| if l == 2 { vec![0.0; own.len()] } else { own }, "feedback.2 is zero"),
        ("start", &from_start, "feedback.0 goes with readout.head.weight at initialisation"),
    ];
    for (run, feedback, words) in cases {
        export(&trained, feedback);
        imported(&place, Path::new("model.safetensors"), &format!("{run}/checkpoint.mpk"));
        if run == "start" {
            let open = check(run);
            assert_eq!(open["standing"], "holds", "{open}");
            let said = open["remarks"].to_string();
            for words in ["was not imported as start/epochs/epoch-0000.mpk", "as trained"] {
                assert!(said.contains(words), "{said}");
            }
            export(&start, feedback);
            imported(&place, Path::new("model.safetensors"), "start/epochs/epoch-0000.mpk");
        }
        let found = check(run);
        assert_eq!(found["standing"], "contradicted", "{found}");
        assert!(found["finding"].as_str().is_some_and(|said| said.contains(words)), "{found}");
    }
    // What is right is not accused, with and without the untrained network.
    export(&trained, &|_, own| own);
    imported(&place, Path::new("model.safetensors"), "right/checkpoint.mpk");
    assert_eq!(check("right")["standing"], "holds");
    export(&start, &|_, own| own);
    imported(&place, Path::new("model.safetensors"), "right/epochs/epoch-0000.mpk");
    let found = check("right");
    assert_eq!((&found["standing"], &found["remarks"]), (&"holds".into(), &Value::Null), "{found}");
}

/// A vision transformer of `nn.Conv2d` and `nn.MultiheadAttention`.
fn fused_and_convolved(
    place: &Place,
    exported: Vec<(String, Vec<usize>, Vec<f32>)>,
    trained: &Checkpoint,
) {
    let mut tensors = Vec::new();
    let mut fused = std::collections::BTreeMap::<String, [Vec<f32>; 3]>::new();
    for (name, shape, values) in exported {
        let part =
            ["query", "key", "value"].iter().position(|p| name.contains(&format!("attention.{p}")));
        match part {
            Some(part) => {
                let (above, kind) = name.rsplit_once('.').expect("a name");
                let above = above.rsplit_once('.').expect("a name").0;
                fused.entry(format!("{above}.in_proj_{kind}")).or_default()[part] = values;
            }
            None if name == "embed.patch.weight" => tensors.push((name, vec![8, 3, 8, 8], values)),
            None => tensors.push((
                name.replace("attention.output", "attention.out_proj"),
                shape,
                values,
            )),
        }
    }
    for (name, parts) in fused {
        let shape = if name.ends_with("weight") { vec![24, 8] } else { vec![24] };
        tensors.push((name, shape, parts.concat()));
    }
    assert_eq!(tensors.iter().filter(|(name, ..)| name.contains("in_proj")).count(), 4);
    save(&place.path("conv.safetensors"), &tensors);
    let net = place.read("net.toml");
    let keys = "[import.keys]\n'blocks.{l}.attention.output' = 'blocks.{l}.attention.out_proj'\n";
    configure(place, &net, keys);
    imported(place, Path::new("conv.safetensors"), "conv.mpk");
    same_tensors(trained, &checkpoint(place, "conv.mpk"));
}

#[test]
#[ignore = "writes the data that tests/import/resmlp.py trains and measures the golden network on"]
fn synthetic_records() {
    let folder = PathBuf::from(std::env::var_os("SYNTHETIC_RECORDS").expect("SYNTHETIC_RECORDS"));
    let spec = SyntheticSpec { train: 2000, test: 256, ..SyntheticSpec::default() };
    let data = data::load(DatasetKind::Synthetic, None, &spec).expect("the data");
    for (name, split) in [("train.bin", &data.train), ("test.bin", &data.test)] {
        let record = |i: usize| [&[split.labels[i]], split.image(i)].concat();
        let records: Vec<u8> = (0..split.len()).flat_map(record).collect();
        std::fs::write(folder.join(name), records).expect("written");
    }
}

/// Positions first and channels last, [p · C, columns], as PyTorch's [columns, C, p].
fn channels_first(values: &[f32], positions: usize, channels: usize) -> Vec<f32> {
    let columns = values.len() / (positions * channels);
    let at = |k: usize| {
        let (column, channel, position) =
            (k / (channels * positions), k / positions % channels, k % positions);
        values[(position * channels + channel) * columns + column]
    };
    (0..values.len()).map(at).collect()
}

/// A program's own: channels first, its usual names, and how many batches each BatchNorm has seen.
#[test]
fn a_network_of_feature_maps_comes_back_with_its_running_statistics() {
    let place = Place::new();
    place.write(
        "net.toml",
        "method = 'dfa'\narch = 'small-cnn'\nepochs = 1\nwidth = 2\nbatch_size = 32\ntrain_samples = 64\n\
         test_samples = 32\nprobe_batch_size = 16\nprobe_batches = 1\n",
    );
    place.done("train --config net.toml --out run");
    let trained = checkpoint(&place, "run/checkpoint.mpk");
    let names = [
        ("embed.conv", "conv1", 9, 3),
        ("embed.norm", "bn1", 1, 1),
        ("blocks.0.conv", "conv2", 9, 2),
        ("blocks.0.norm", "bn2", 1, 1),
        ("blocks.1.conv", "conv3", 9, 4),
        ("blocks.1.norm", "bn3", 1, 1),
        ("blocks.2.linear", "fc1", 64, 8),
        ("readout.head", "fc2", 1, 16),
    ];
    let maps = [(1024, 2), (256, 4), (64, 8), (1, 16)];
    let mut all = tensors(&trained);
    all.extend(unpack(&trained.buffers).expect("running statistics"));
    let mut exported = Vec::new();
    for (name, data) in all {
        let values: Vec<f32> = data.iter::<f32>().collect();
        let (above, last) = name.rsplit_once('.').expect("a name of two words");
        if above == "feedback" {
            let (positions, channels) = maps[last.parse::<usize>().expect("a layer")];
            // [classes, C · p], and then [C · p, classes].
            let turned = channels_first(&values, positions, channels);
            let rows = positions * channels;
            let back = (0..values.len()).map(|k| turned[k % 10 * rows + k / 10]).collect();
            exported.push((name.clone(), vec![rows, 10], back));
            continue;
        }
        let (_, usual, positions, channels) =
            *names.iter().find(|(own, ..)| *own == above).expect("a known name");
        let last = match last {
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        };
        let (shape, values) = match (data.shape[..].len(), usual.starts_with("conv")) {
            (2, true) => {
                let shape = vec![data.shape[1], channels, 3, 3];
                (shape, channels_first(&values, positions, channels))
            }
            (2, false) => {
                let shape = vec![data.shape[1], data.shape[0]];
                (shape, channels_first(&values, positions, channels))
            }
            _ => (vec![values.len()], values),
        };
        exported.push((format!("{usual}.{last}"), shape, values));
    }
    exported.push(("bn1.num_batches_tracked".into(), vec![1], vec![2.0]));
    save(&place.path("model.safetensors"), &exported);
    imported(&place, Path::new("model.safetensors"), "back/checkpoint.mpk");
    let back = checkpoint(&place, "back/checkpoint.mpk");
    same_tensors(&trained, &back);
    let buffers = |of: &Checkpoint| unpack(&of.buffers).expect("running statistics");
    let (before, after) = (buffers(&trained), buffers(&back));
    assert_eq!(before.len(), 6);
    for (name, data) in before {
        assert!(data.as_bytes() == after[&name].as_bytes(), "{name}");
    }
    // Without a BatchNorm's statistics it is another network.
    exported.retain(|(name, ..)| name != "bn2.running_var");
    save(&place.path("model.safetensors"), &exported);
    let line = import_line(Path::new("model.safetensors"), "other.mpk");
    let refused = place.run(&line);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("blocks.0.norm.running_var is missing"), "{}", refused.stderr);
}

/// torchvision's names of a ResNet, a projection's among them: what the file holds is what stands in the checkpoint.
#[test]
fn a_residual_network_of_feature_maps_comes_by_torchvisions_names() {
    let place = Place::new();
    place.write(
        "net.toml",
        "method = 'bp'\narch = 'small-resnet'\nepochs = 1\nwidth = 2\nbatch_size = 32\ntrain_samples = 64\n\
         test_samples = 32\nprobe_batch_size = 16\nprobe_batches = 1\n",
    );
    place.done("train --config net.toml --out run");
    let trained = checkpoint(&place, "run/checkpoint.mpk");
    let mut all = tensors(&trained);
    all.extend(unpack(&trained.buffers).expect("running statistics"));
    let exported = all.iter().map(|(name, data)| {
        let values: Vec<f32> = data.iter::<f32>().collect();
        let name = name
            .replace("embed.conv", "conv1")
            .replace("embed.norm", "bn1")
            .replace("shortcut.conv", "downsample.0")
            .replace("shortcut.norm", "downsample.1")
            .replace("norm", "bn")
            .replace("readout.head", "fc")
            .replace("gamma", "weight")
            .replace("beta", "bias");
        let stage = |l: usize| (format!("blocks.{l}."), format!("layer{}.0.", l + 1));
        let name = (0..3).map(stage).fold(name, |name, (own, usual)| name.replace(&own, &usual));
        match data.shape[..] {
            [rows, columns] if !name.starts_with("fc") => {
                let side = if name.contains("downsample") { 1 } else { 3 };
                let channels = rows / (side * side);
                let shape = vec![columns, channels, side, side];
                (name, shape, channels_first(&values, side * side, channels))
            }
            [rows, columns] => (name, vec![columns, rows], channels_first(&values, 1, rows)),
            _ => (name, vec![values.len()], values),
        }
    });
    let exported: Vec<(String, Vec<usize>, Vec<f32>)> = exported.collect();
    assert!(exported.iter().any(|(name, ..)| name == "layer2.0.downsample.1.running_var"));
    save(&place.path("model.safetensors"), &exported);
    imported(&place, Path::new("model.safetensors"), "back/checkpoint.mpk");
    let back = checkpoint(&place, "back/checkpoint.mpk");
    same_tensors(&trained, &back);
    let buffers = |of: &Checkpoint| unpack(&of.buffers).expect("running statistics");
    for (name, data) in buffers(&trained) {
        assert!(data.as_bytes() == buffers(&back)[&name].as_bytes(), "{name}");
    }
}
