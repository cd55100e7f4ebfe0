//! A study whose workers, and whose program, are killed at random: nothing is lost, nothing is run
//! twice to its end, and the table is that of an undisturbed study.
//!
//! `cargo test --test cli five_minutes -- --ignored --nocapture` tells how many kills there were;
//! FAULT_SECONDS sets another time.

use crate::common::{Outcome, Place, SMALL};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// What was done to a study.
#[derive(Debug, Default)]
struct Harm {
    rounds: usize,
    workers: usize,
    /// The program alone: its workers go on.
    programs: usize,
    /// The program and all of its workers.
    everything: usize,
    calls: usize,
}

/// The runs of a study, by their directories.
fn runs(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The workers that train a run of the study now: who has a lock.
fn workers(root: &Path, program: u32) -> Vec<Pid> {
    let holder = |run: PathBuf| {
        let path = run.join(".lock");
        let lock = File::options().write(true).open(&path).ok()?;
        if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let text = std::fs::read_to_string(&path).ok()?;
        let record: serde_json::Value = serde_json::from_str(&text).ok()?;
        let pid = record["pid"].as_u64().filter(|&pid| pid != u64::from(program))?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    };
    runs(root).into_iter().filter_map(holder).collect()
}

fn kill(pid: Pid) -> usize {
    usize::from(test_kill_process(pid).is_ok() && kill_process(pid, Signal::KILL).is_ok())
}

/// When each run's record said that it was finished.
type Finished = BTreeMap<PathBuf, SystemTime>;

/// Notes the runs that have finished, none of which may ever be written again.
fn note(root: &Path, finished: &mut Finished) {
    for run in runs(root) {
        let file = run.join("run.json");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let Ok(written) = file.metadata().and_then(|meta| meta.modified()) else { continue };
        let is_over = text.contains("\"status\": \"finished\"");
        let before = finished.get(&run);
        assert!(before.is_none_or(|then| is_over && *then == written), "{} again", run.display());
        if is_over {
            finished.insert(run, written);
        }
    }
}

/// Runs the study `study.toml` of so many runs into `out` while it is harmed until `deadline`, and
/// on to its end. What the last call said.
fn one_round(
    place: &Place,
    count: usize,
    deadline: Instant,
    random: &mut ChaCha8Rng,
    harm: &mut Harm,
) -> Outcome {
    let root = place.path("harried");
    let start = || -> Child {
        let mut command =
            place.command(&["audit", "study.toml", "--out", "harried", "--workers", "2"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let mut finished = Finished::new();
    loop {
        harm.calls += 1;
        let mut program = start();
        let pid = program.id();
        let mut next = Instant::now() + Duration::from_millis(random.random_range(100..2500));
        while program.try_wait().expect("a state").is_none() {
            note(&root, &mut finished);
            // On after the deadline while no kill has cost a call: chance may have spared all.
            let harming = Instant::now() < deadline || harm.calls == harm.rounds + 1;
            if Instant::now() >= next && harming {
                let there = workers(&root, pid);
                match random.random_range(0..10) {
                    0..6 if !there.is_empty() => {
                        harm.workers += kill(there[random.random_range(0..there.len())]);
                    }
                    0..6 => {}
                    6 | 7 => {
                        program.kill().expect("killed");
                        harm.programs += 1;
                    }
                    _ => {
                        program.kill().expect("killed");
                        there.into_iter().for_each(|worker| {
                            kill(worker);
                        });
                        harm.everything += 1;
                    }
                }
                next = Instant::now() + Duration::from_millis(random.random_range(100..2500));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let outcome = Outcome::of(program.wait_with_output().expect("it ends"));
        note(&root, &mut finished);
        // 1 names the runs whose workers were killed; the same command goes on.
        assert!([-1, 0, 1].contains(&outcome.code), "{}: {}", outcome.code, outcome.stderr);
        if outcome.code == 0 && !outcome.stdout.is_empty() {
            assert_eq!(finished.len(), count);
            return outcome;
        }
    }
}

/// Harms studies of `count` runs for so long, each to the table of an undisturbed one.
fn harry(place: &Place, count: usize, time: Duration, seed: u64) -> Harm {
    let whole = place.done("audit study.toml --out whole --workers 2");
    let deadline = Instant::now() + time;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut harm = Harm::default();
    while Instant::now() < deadline || harm.calls == harm.rounds {
        let outcome = one_round(place, count, deadline, &mut random, &mut harm);
        harm.rounds += 1;
        assert_eq!(outcome.stdout.replace("harried/", "whole/"), whole.stdout);
        assert_eq!(place.read("harried/verdicts.csv"), place.read("whole/verdicts.csv"));
        let kept = runs(&place.path("whole"));
        assert_eq!(kept.len(), count);
        for run in kept {
            let again = place.path("harried").join(run.file_name().expect("a name"));
            let state = |run: &Path| std::fs::read(run.join("checkpoint.mpk")).expect("a state");
            assert!(state(&run) == state(&again), "{} differs", again.display());
        }
        std::fs::remove_dir_all(place.path("harried")).expect("removed");
    }
    harm
}

fn study(place: &Place, grid: &str, keys: &str) {
    place.write("study.toml", format!("name = 's'\n[base]\n{keys}\n[[grid]]\n{grid}"));
}

#[test]
fn a_study_whose_programs_are_killed_ends_as_if_nothing_had_been() {
    let place = Place::new();
    study(&place, "method = ['bp', 'dfa']\nseed = [1]\n", SMALL);
    let harm = harry(&place, 3, Duration::from_secs(2), 7);
    assert!(harm.calls > harm.rounds, "{harm:?}");
}

#[test]
#[ignore = "takes more than five minutes"]
fn twenty_runs_and_five_minutes_of_kills_end_as_if_nothing_had_been() {
    let place = Place::new();
    let keys = SMALL.replace("train_samples = 600", "train_samples = 3000");
    let keys = keys.replace("epochs = 3", "epochs = 10").replace("width = 16", "width = 64");
    study(&place, "method = ['bp', 'fa', 'dfa']\nseed = [1, 2, 3, 4, 5]\n", &keys);
    let seconds = std::env::var("FAULT_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    let begin = Instant::now();
    let harm = harry(&place, 20, Duration::from_secs(seconds), 42);
    println!("{:.0?}: {harm:?}", begin.elapsed());
}
