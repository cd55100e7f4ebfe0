//! Standard output and standard error that break: a reader that is gone, a disk that is full.

use crate::common::Place;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The program with these words and this standard output or standard error on a full disk.
fn on_a_full_disk(place: &Place, line: &str, errors: bool) -> (i32, String) {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("/dev/full"));
    let mut command = place.command(&words(line));
    if errors {
        command.stderr(full()).stdout(Stdio::piped());
    } else {
        command.stdout(full()).stderr(Stdio::piped());
    }
    let output = command.output().expect("it starts");
    let other = if errors { output.stdout } else { output.stderr };
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&other).into_owned())
}

/// Runs the program and stops reading what it says after two lines, as `2>&1 | head -2` does.
fn until_two_lines(mut command: Command) -> i32 {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    for _ in 0..2 {
        said.read_line(&mut line).expect("a line");
    }
    drop(said);
    child.wait().expect("it ends").code().unwrap_or(-1)
}

#[test]
fn a_reader_of_messages_that_is_gone_does_not_end_a_run() {
    let place = Place::new();
    let train = "train --config small.toml --method dfa --epochs 5 --out";
    place.done(&format!("{train} whole"));
    let code = until_two_lines(place.command(&words(&format!("{train} cut"))));
    assert_eq!(code, 0);
    assert_eq!(place.json("cut/run.json")["status"], "finished");
    let state = |run: &str| std::fs::read(place.path(run).join("checkpoint.mpk")).expect("a state");
    assert!(state("whole") == state("cut"));
}

#[test]
fn messages_that_find_no_room_do_not_change_what_is_done() {
    let place = Place::new();
    let train = "train --config small.toml --epochs 1 --method dfa --out run";
    assert_eq!(on_a_full_disk(&place, train, true).0, 0);
    assert_eq!(place.json("run/run.json")["status"], "finished");
    assert_eq!(on_a_full_disk(&place, "diagnose run/checkpoint.mpk", true).0, 0);
    assert_eq!(on_a_full_disk(&place, "diagnose no.mpk", true).0, 1);
    assert_eq!(on_a_full_disk(&place, train, true).0, 2);
    let study = "name = 's'\n[base]\nepochs = 1\nwidth = 8\ndepth = 1\ntrain_samples = 64\n\
                 test_samples = 64\nprobe_batches = 2\nprobe_batch_size = 32\ncontrol_samples = 16\n\
                 null_draws = 2\nperturbation_directions = 1\n[[grid]]\nmethod = ['dfa']\nseed = [1]\n";
    place.write("study.toml", study);
    let (code, table) = on_a_full_disk(&place, "audit study.toml --out s", true);
    assert_eq!(code, 0);
    assert!(table.contains("dfa"), "{table}");
}

#[test]
fn results_that_find_no_room_are_an_error() {
    let place = Place::new();
    for line in
        ["data info", "pitfalls half-precision", "man train", "completions bash", "--version"]
    {
        let (code, said) = on_a_full_disk(&place, line, false);
        assert_eq!(code, 1, "{line}: {said}");
        let error = "error: cannot write to standard output: No space left on device";
        assert!(said.lines().last().is_some_and(|line| line.starts_with(error)), "{line}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{line}: {said}");
    }
}

#[test]
fn a_reader_of_results_that_is_gone_does_not_change_the_exit_code() {
    let place = Place::new();
    let train = "train --config small.toml --epochs 1 --out";
    place.done(&format!("{train} runs/dfa --method dfa"));
    place.done(&format!("{train} runs/frozen --method frozen"));
    let gone = |line: &str| {
        let mut child = place
            .command(&words(line))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        child.wait().expect("it ends").code()
    };
    let diagnose = "diagnose runs/dfa/checkpoint.mpk --fail-on inconclusive";
    let code = place.run(diagnose).code;
    assert_eq!(code, 3, "one epoch of a small network is not trustworthy");
    assert_eq!(gone(diagnose), Some(code));
    assert_eq!(gone(&format!("{diagnose} --json")), Some(code));
    assert_eq!(gone("--help"), Some(0));
}
