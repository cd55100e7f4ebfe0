//! Bad input: each case has its own one-line error and exit code, and nothing is lost.

use crate::common::{CIFAR10, Place};
use fa_audit::train::checkpoint::Checkpoint;

const IMAGE: usize = 3072;

/// A CIFAR-10 folder of files of the right size, all labels 0.
fn cifar(place: &Place, change: impl Fn(&str, &mut Vec<u8>)) {
    for name in CIFAR10 {
        let mut bytes = vec![0; 10_000 * (1 + IMAGE)];
        change(name, &mut bytes);
        place.write(&format!("cifar/{name}.bin"), bytes);
    }
}

/// Runs `line`, which must fail with `code` and one line of error with these words.
pub fn fails(place: &Place, line: &str, code: i32, words: &[&str]) -> String {
    let outcome = place.run(line);
    let errors: Vec<_> = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(outcome.code, code, "{line}: {}", outcome.stderr);
    assert_eq!(errors.len(), 1, "{line}: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("a defect of fa-audit"), "{line}: {}", outcome.stderr);
    for word in words {
        assert!(errors[0].contains(word), "{line}: no `{word}` in: {}", errors[0]);
    }
    errors[0].to_string()
}

#[test]
fn every_mistake_in_words_has_its_own_line_and_exit_code_2() {
    let place = Place::new();
    place.write("typo.toml", "widht = 3");
    place.write("broken.toml", "width = ");
    place.write("study.toml", "name = 's'\n[[grid]]\nsed = [1]");
    let set = |assignment: &str| format!("train --set {assignment}");
    let cases: Vec<(String, Vec<&str>)> = vec![
        (
            "train --config typo.toml".into(),
            vec!["typo.toml", "unknown key `widht`", "did you mean `width`"],
        ),
        ("train --config broken.toml".into(), vec!["broken.toml", "not valid TOML", "line 1"]),
        (set("width"), vec!["--set width", "key=value"]),
        (
            set("width=wide"),
            vec![
                "--set",
                "width",
                "\"wide\" is not valid, expected a whole number from 1 to 65536",
            ],
        ),
        (set("method=magic"), vec!["--set", "method", "\"magic\" is not valid", "dfa"]),
        (set("penalty=-1"), vec!["penalty", "-1", "0 or more"]),
        ("train --penalty -0.5".into(), vec!["the command line", "penalty", "-0.5"]),
        ("train --epochs 0".into(), vec!["epochs", "0", "from 1"]),
        ("train --epochs -3".into(), vec!["epochs", "-3"]),
        (set("depth=0"), vec!["depth", "0", "from 1"]),
        (set("learning_rate=nan"), vec!["learning_rate", "NaN", "above 0"]),
        (set("batch_size=0"), vec!["batch_size", "from 1"]),
        (set("beta_1=1.0"), vec!["beta_1", "below 1"]),
        (set("checkpoint_epochs=[99]"), vec!["checkpoint_epochs", "99"]),
        ("train --seed 9223372036854775808".into(), vec!["--seed", "too large"]),
        (set("threads=0"), vec!["threads", "0", "from 1 to 256"]),
        ("train --backend ndarray --set threads=2".into(), vec!["threads", "2", "flex"]),
        ("train --arch vit-mini --set patch=5".into(), vec!["patch", "5", "divisor"]),
        (
            "train --arch vit-mini --set heads=3".into(),
            vec!["heads", "3", "divisor of the width 128"],
        ),
        (set("embed_signal=mapped"), vec!["embed_signal", "fa"]),
        ("train --method shallow --base fa".into(), vec!["base", "fa needs blocks"]),
        ("train --device gpu".into(), vec!["device", "gpu", "cuda:N"]),
        ("train --device cpu --backend cuda".into(), vec!["backend", "cuda", "flex or ndarray"]),
        (
            "train --device cpu --matmul-precision tf32".into(),
            vec!["the command line", "matmul_precision", "tf32", "expected f32 on the CPU"],
        ),
        ("audit study.toml".into(), vec!["study.toml", "unknown key `sed`", "did you mean `seed`"]),
        ("train --out nothing --resume".into(), vec!["--resume", "nothing", "no run"]),
    ];
    let mut lines = std::collections::BTreeSet::new();
    for (line, words) in &cases {
        lines.insert(fails(&place, line, 2, words));
    }
    assert_eq!(lines.len(), cases.len(), "each mistake has its own words");
    assert!(!place.path("runs").exists(), "nothing was started");
}

#[test]
fn words_that_clap_refuses_are_exit_code_2_too() {
    let place = Place::new();
    let lines = [
        "train --method magic",
        "trian",
        "train --seed x",
        "train --matmul-precision f16",
        "audit --workers 0",
    ];
    for line in lines {
        let outcome = place.run(line);
        assert_eq!(outcome.code, 2, "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with("error: "), "{line}: {}", outcome.stderr);
    }
}

#[test]
fn bad_data_files_are_named_with_what_was_expected() {
    let place = Place::new();
    let train = "train --dataset cifar10 --epochs 1";
    fails(&place, train, 1, &["--data-dir"]);
    let train = &format!("{train} --data-dir cifar");
    fails(&place, train, 1, &["cifar"]);
    cifar(&place, |name, bytes| {
        if name == "data_batch_3" {
            bytes.truncate(1_000_000);
        }
    });
    fails(&place, train, 1, &["data_batch_3.bin", "1000000", "30730000"]);
    cifar(&place, |name, bytes| {
        if name == "data_batch_2" {
            bytes[7 * (1 + IMAGE)] = 10;
        }
    });
    fails(&place, train, 1, &["data_batch_2.bin", "label", "10"]);
    std::fs::remove_file(place.path("cifar/test_batch.bin")).expect("removed");
    cifar(&place, |_, _| {});
    std::fs::remove_file(place.path("cifar/test_batch.bin")).expect("removed");
    fails(&place, train, 1, &["test_batch.bin"]);
    assert!(!place.path("runs").exists(), "nothing was started");
}

#[test]
fn bad_checkpoints_are_named_with_what_is_wrong() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --set epochs=1 --out dfa");
    let whole = std::fs::read(place.path("dfa/checkpoint.mpk")).expect("a checkpoint");
    let write = |name: &str, bytes: &[u8]| place.write(name, bytes);

    fails(&place, "diagnose nothing.mpk", 1, &["nothing.mpk", "cannot read"]);
    write("magic.mpk", b"\x81\xa5magic\x01");
    fails(&place, "diagnose magic.mpk", 1, &["magic.mpk", "not a checkpoint of fa-audit"]);
    write("empty.mpk", b"");
    fails(&place, "diagnose empty.mpk", 1, &["empty.mpk", "0 bytes"]);
    write("cut.mpk", &whole[..whole.len() / 2]);
    fails(&place, "diagnose cut.mpk", 1, &["cut.mpk", "cut short"]);
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 1;
    write("flipped.mpk", &flipped);
    fails(&place, "diagnose flipped.mpk", 1, &["flipped.mpk", "damaged"]);
    let format = b"fa-audit/checkpoint/";
    let other = whole.windows(format.len()).position(|w| w == format).expect("a format");
    let mut version = whole.clone();
    version[other + format.len()] = b'9';
    write("version.mpk", &version);
    fails(&place, "diagnose version.mpk", 1, &["version.mpk", "checkpoint/9", "checkpoint/2"]);

    let mut bare = Checkpoint::load(&place.path("dfa/checkpoint.mpk")).expect("a checkpoint");
    bare.learner.clear();
    bare.save(&place.path("bare.mpk")).expect("saved");
    fails(
        &place,
        "diagnose bare.mpk",
        1,
        &["bare.mpk", "feedback.0 is missing", "feedback.1 is missing"],
    );
    let mut odd = Checkpoint::load(&place.path("dfa/checkpoint.mpk")).expect("a checkpoint");
    odd.network.remove("embed.bias");
    odd.save(&place.path("odd.mpk")).expect("saved");
    fails(&place, "diagnose odd.mpk", 1, &["odd.mpk", "embed.bias is missing"]);
    let mut foreign = Checkpoint::load(&place.path("dfa/checkpoint.mpk")).expect("a checkpoint");
    foreign.config.data_seed += 1;
    foreign.save(&place.path("foreign.mpk")).expect("saved");
    fails(&place, "diagnose foreign.mpk", 1, &["foreign.mpk", "trained on other data"]);
    let frozen = "diagnose dfa/checkpoint.mpk --frozen dfa/checkpoint.mpk";
    fails(&place, frozen, 2, &["--frozen", "trained by dfa"]);
}

#[test]
fn a_run_is_never_overwritten_unasked() {
    let place = Place::new();
    place.done("train --config small.toml --method bp --set epochs=1 --out run");
    let before = std::fs::read(place.path("run/checkpoint.mpk")).expect("a checkpoint");
    fails(
        &place,
        "train --config small.toml --method dfa --out run",
        2,
        &["run", "--resume", "--force"],
    );
    fails(&place, "train --method dfa --out run --resume", 2, &["--resume", "another run"]);
    assert_eq!(before, std::fs::read(place.path("run/checkpoint.mpk")).expect("a checkpoint"));
    place.write("run/notes.txt", "mine");
    place.done("train --config small.toml --method dfa --set epochs=1 --out run --force");
    assert_eq!(place.json("run/run.json")["config"]["method"], "dfa");
    assert_eq!(place.read("run/notes.txt"), "mine", "what no run wrote stays");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    place.write("file", "not a folder");
    fails(&place, "train --config small.toml --out file/run", 1, &["file/run", "cannot create"]);
}

#[test]
fn cuda_that_is_not_there_is_one_sentence() {
    let place = Place::new();
    fails(&place, "train --config small.toml --device cuda", 1, &["device cuda", "CUDA"]);
    assert!(!place.path("runs").exists(), "nothing was started");
}
