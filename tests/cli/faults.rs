//! What a run does when the world fails it: files that are damaged, disks that are full, two
//! programs at one place. Kills have a test program of their own, `tests/faults`.

use crate::common::{Outcome, Place, metrics};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs `line`, which must fail with exit code 1 and one line of error with these words.
fn fails(place: &Place, line: &str, words: &[&str]) {
    fails_as(&place.run(line), line, words);
}

fn fails_as(outcome: &Outcome, line: &str, words: &[&str]) {
    let errors: Vec<_> = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!((outcome.code, errors.len()), (1, 1), "{line}: {}", outcome.stderr);
    for word in words {
        assert!(errors[0].contains(word), "{line}: no `{word}` in: {}", errors[0]);
    }
}

/// Both runs end in the same bits, times apart.
fn same_run(place: &Place, a: &str, b: &str) {
    let lines = |run: &str| metrics(&place.path(run).join("metrics.jsonl"));
    assert_eq!(lines(a), lines(b), "{a} and {b}");
    let state = |run: &str| std::fs::read(place.path(run).join("checkpoint.mpk")).expect("a state");
    assert!(state(a) == state(b), "the checkpoints of {a} and {b} differ");
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_programs_never_train_one_run_and_the_second_names_the_first() {
    let place = Place::new();
    let long = "train --config small.toml --set train_samples=6000 --set epochs=200 --out run";
    let mut first = place
        .command(&long.split(' ').collect::<Vec<_>>())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    wait_until("a checkpoint", || place.path("run/checkpoint.mpk").exists());
    let pid = format!("process {} on ", first.id());
    fails(&place, "train --out run --resume", &["run is being trained by", &pid, " since 20"]);
    fails(&place, "train --config small.toml --out run --force", &["is being trained by", &pid]);
    assert!(first.try_wait().expect("a state").is_none(), "the first goes on");
    // The lock dies with its holder.
    first.kill().expect("killed");
    first.wait().expect("dead");
    let again = place.stop_after_an_epoch("run", "-TERM", "train --out run --resume");
    assert_eq!(again.code, 130, "{}", again.stderr);
    assert_eq!(place.json("run/run.json")["status"], "interrupted");
}

#[test]
fn metrics_are_whole_after_a_resume_whatever_became_of_their_last_line() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --out whole");
    place.done("train --config small.toml --method dfa --out cut");
    let text = place.read("cut/metrics.jsonl");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 3);
    let torn = &lines[2][..lines[2].len() / 2];
    for (name, left, said) in [
        ("lost", lines[..2].concat(), "epoch 3 is lost: measured again"),
        ("torn", lines[..2].concat() + torn, "the last line is cut short: dropped"),
        ("twice", text.clone() + lines[2], "line 4: epoch 3 is there already: dropped"),
        ("ahead", text.clone() + &lines[2].replace("\"epoch\":3", "\"epoch\":4"), "no checkpoint"),
        ("torn behind", text.clone() + torn, "the last line is cut short: dropped"),
    ] {
        place.write("cut/metrics.jsonl", left);
        let outcome = place.done("train --out cut --resume");
        assert!(outcome.stderr.contains(said), "{name}: {}", outcome.stderr);
        same_run(&place, "whole", "cut");
        assert_eq!(place.json("cut/run.json")["last"]["epoch"], 3, "{name}");
        assert_eq!(place.json("cut/run.json")["status"], "finished", "{name}");
    }
    let middle = [lines[0], torn, "\n", lines[2]].concat();
    place.write("cut/metrics.jsonl", middle);
    for line in ["train --out cut --resume", "train --out cut --resume --quiet"] {
        fails(&place, line, &["metrics.jsonl, line 2: not a line of metrics"]);
    }
    place.write("cut/metrics.jsonl", lines[0]);
    fails(&place, "train --out cut --resume", &["ends with epoch 1", "has 3 behind it", "--force"]);
}

#[test]
fn a_checkpoint_of_another_run_is_not_continued() {
    let place = Place::new();
    place.done("train --config small.toml --method dfa --out run");
    place.done("train --config small.toml --method dfa --seed 5 --out other");
    std::fs::copy(place.path("other/checkpoint.mpk"), place.path("run/checkpoint.mpk"))
        .expect("a copy");
    let words = ["run/checkpoint.mpk is of another run than run/config.toml"];
    fails(&place, "train --out run --resume", &words);
}

#[test]
fn a_kept_epoch_is_there_before_the_checkpoint_that_follows_it() {
    let place = Place::new();
    let train = "train --config small.toml --method bp --set checkpoint_epochs=[1,2,3]";
    place.done(&format!("{train} --out run"));
    // As if the program had died after the line of epoch 2 and before its checkpoints.
    std::fs::copy(place.path("run/epochs/epoch-0001.mpk"), place.path("run/checkpoint.mpk"))
        .expect("a copy");
    let kept = std::fs::read(place.path("run/epochs/epoch-0002.mpk")).expect("a state");
    std::fs::remove_file(place.path("run/epochs/epoch-0002.mpk")).expect("removed");
    place.done("train --out run --resume");
    let again = std::fs::read(place.path("run/epochs/epoch-0002.mpk")).expect("a state");
    assert!(kept == again);
}

#[test]
fn a_run_that_ended_before_it_began_can_be_resumed_all_the_same() {
    let place = Place::new();
    place.done("train --config small.toml --method fa --out whole");
    let config = place.read("whole/config.toml");
    place.write("cut/config.toml", config);
    place.write("cut/.unfinished-run.json.a1B2c3", "{\"sche");
    place.done("train --out cut --resume");
    same_run(&place, "whole", "cut");
    assert!(!place.path("cut/.unfinished-run.json.a1B2c3").exists(), "swept");
}

/// The program under a limit on the size of its files, in units of 1024 bytes: what a write does on
/// a full disk, as any user.
#[cfg(unix)]
fn run_with_file_limit(place: &Place, kilobytes: u32, line: &str) -> Outcome {
    let program = env!("CARGO_BIN_EXE_fa-audit");
    let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec {program} {line}");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(place.path("")).stdin(Stdio::null());
    Outcome::of(command.output().expect("bash"))
}

#[test]
#[cfg(unix)]
fn a_write_that_fails_leaves_the_older_checkpoint_and_the_run_goes_on_later() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --set train_samples=6000 --set epochs=8";
    place.done(&format!("{train} --out whole"));
    let cut = format!("{train} --out cut");
    let words: Vec<&str> = cut.split_whitespace().collect();
    let mut child = place.command(&words).stderr(Stdio::null()).spawn().expect("it starts");
    wait_until("a checkpoint", || place.path("cut/checkpoint.mpk").exists());
    child.kill().expect("killed");
    child.wait().expect("dead");
    let before = std::fs::read(place.path("cut/checkpoint.mpk")).expect("a state");

    let resume = "train --out cut --resume";
    let outcome = run_with_file_limit(&place, 64, resume);
    fails_as(&outcome, resume, &["cannot write cut/checkpoint.mpk", "File too large"]);
    let record = place.json("cut/run.json");
    assert_eq!(record["status"], "failed");
    assert!(record["error"].as_str().is_some_and(|e| e.contains("File too large")), "{record}");
    let after = std::fs::read(place.path("cut/checkpoint.mpk")).expect("a state");
    assert!(before == after, "the older checkpoint is intact");
    let left = std::fs::read_dir(place.path("cut")).expect("a run").flatten();
    assert!(left.into_iter().all(|file| !file.file_name().to_string_lossy().starts_with(".unf")));

    place.done(resume);
    same_run(&place, "whole", "cut");
}

/// `cargo test --test cli a_full_and -- --ignored`, as root.
#[test]
#[cfg(unix)]
#[ignore = "mounts a small file system: needs root"]
fn a_full_and_a_read_only_file_system_are_named_and_the_run_goes_on_later() {
    let place = Place::new();
    let sh = |script: &str| {
        let status = Command::new("sh").args(["-c", script]).current_dir(place.path("")).status();
        assert!(status.is_ok_and(|status| status.success()), "{script}");
    };
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }
    let train = "train --config small.toml --method dfa --out";
    place.done(&format!("{train} whole"));
    let size = std::fs::metadata(place.path("whole/checkpoint.mpk")).expect("a state").len();
    std::fs::create_dir(place.path("disk")).expect("a folder");
    // Room for one checkpoint, and half of the next.
    sh(&format!("mount -t tmpfs -o size={} none disk", size + size / 2));
    let _mounted = Mounted(place.path("disk"));
    fails(&place, &format!("{train} disk/run"), &["disk/run/checkpoint.mpk", "No space left"]);
    let first = std::fs::read(place.path("disk/run/checkpoint.mpk")).expect("the first epoch's");
    assert_eq!(place.json("disk/run/run.json")["status"], "failed");
    sh("mount -o remount,ro disk");
    let resume = "train --out disk/run --resume";
    fails(&place, resume, &["cannot write disk/run/.lock", "Read-only file system"]);
    sh(&format!("mount -o remount,rw,size={} disk", 4 * size));
    assert!(std::fs::read(place.path("disk/run/checkpoint.mpk")).expect("a state") == first);
    place.done(resume);
    same_run(&place, "whole", "disk/run");
    sh("cat /dev/zero > disk/filler || true");
    fails(&place, &format!("{train} disk/other"), &["disk/other", "No space left"]);
}

#[test]
fn data_that_vanish_or_change_are_named_and_the_run_goes_on_when_they_are_back() {
    let place = Place::new();
    let names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"];
    for name in names.iter().chain(&["test_batch"]) {
        // A sparse file: black images of class 0.
        place.write(&format!("cifar/{name}.bin"), "");
        let file =
            std::fs::File::options().write(true).open(place.path(&format!("cifar/{name}.bin")));
        file.and_then(|file| file.set_len(10_000 * 3073)).expect("a file");
    }
    let train = "train --config cifar.toml --dataset cifar10 --data-dir cifar --epochs 1 \
                 --set augment=false --set width=4 --set depth=1 --set batch_size=512 --out run";
    let words: Vec<&str> = train.split_whitespace().collect();
    let child = place.command(&words).stderr(Stdio::null()).spawn().expect("it starts");
    wait_until("the training", || place.path("run/run.json").exists());
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    assert!(stopped.is_ok_and(|status| status.success()));
    assert_eq!(Outcome::of(child.wait_with_output().expect("it ends")).code, 130);
    let saved = std::fs::read(place.path("run/checkpoint.mpk")).expect("a state");

    let (file, away) = (place.path("cifar/data_batch_2.bin"), place.path("away.bin"));
    let resume = "train --out run --resume";
    std::fs::rename(&file, &away).expect("moved");
    fails(&place, resume, &["data_batch_2.bin", "no such file"]);
    place.write("cifar/data_batch_2.bin", "garbage");
    fails(&place, resume, &["data_batch_2.bin", "7 bytes", "expected 30730000"]);
    let mut other = std::fs::read(&away).expect("the file");
    other[1000] = 1;
    place.write("cifar/data_batch_2.bin", other);
    fails(&place, resume, &["other data", "changed since: data_batch_2.bin"]);
    fails(&place, "diagnose run/checkpoint.mpk", &["run/checkpoint.mpk", "data_batch_2.bin"]);
    assert!(std::fs::read(place.path("run/checkpoint.mpk")).expect("a state") == saved);
    std::fs::rename(&away, &file).expect("moved back");
    place.done(resume);
    assert_eq!(place.json("run/run.json")["status"], "finished");
}
