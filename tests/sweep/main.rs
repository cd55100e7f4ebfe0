//! Every call to the system fails once: for each command, each kind of call and each n, the n-th such
//! call fails, or the program is killed there. Whatever comes, a command that says it is done has done
//! what it does undisturbed, one that fails says why in one line, and what it left can be gone on from
//! to the same bits.
//!
//!     cargo test --test sweep                                     every 41st point
//!     cargo test --test sweep -- --ignored --nocapture            every point, and the counts; or, with
//!                                                                 SWEEP_EVERY=3, a third of them
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod scene;

use scene::{SCENES, Scene, Stage};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kinds of call and the errors that they meet, by the kernel's numbers.
const ERRORS: [(&str, &[(&str, i32)]); 17] = [
    ("open", &[("EIO", 5), ("EACCES", 13), ("EMFILE", 24)]),
    ("read", &[("EIO", 5)]),
    ("write", &[("EIO", 5), ("ENOSPC", 28)]),
    ("close", &[("EIO", 5)]),
    ("stat", &[("EIO", 5), ("EACCES", 13)]),
    ("list", &[("EIO", 5), ("EACCES", 13)]),
    ("closedir", &[("EIO", 5)]),
    ("sync", &[("EIO", 5), ("ENOSPC", 28)]),
    ("rename", &[("EIO", 5), ("ENOSPC", 28)]),
    ("unlink", &[("EIO", 5), ("EACCES", 13)]),
    ("mkdir", &[("EIO", 5), ("EACCES", 13)]),
    ("seek", &[("EIO", 5)]),
    ("truncate", &[("EIO", 5)]),
    ("lock", &[("EIO", 5)]),
    ("cwd", &[("ENOENT", 2)]),
    ("thread", &[("EAGAIN", 11)]),
    ("spawn", &[("EAGAIN", 11), ("ENOMEM", 12)]),
];

/// Kinds at which a kill can leave something half done.
const KILLED_AT: [&str; 8] =
    ["open", "write", "sync", "rename", "unlink", "mkdir", "truncate", "spawn"];

/// One disturbance of a command.
#[derive(Clone, Copy, Debug)]
struct Fault {
    kind: &'static str,
    at: usize,
    /// Its name and number; a kill has none.
    error: Option<(&'static str, i32)>,
}

impl Fault {
    /// All that can befall a program that makes `counts` calls of each kind.
    fn all(counts: &BTreeMap<String, usize>) -> Vec<Self> {
        let mut faults = Vec::new();
        for (kind, errors) in ERRORS {
            let errors = errors.iter().copied().map(Some);
            let kill = KILLED_AT.contains(&kind).then_some(None);
            for error in errors.chain(kill) {
                let calls = counts.get(kind).copied().unwrap_or(0);
                faults.extend((1..=calls).map(|at| Self { kind, at, error }));
            }
        }
        faults
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut set = vec![("FAULT_KIND", self.kind.to_owned()), ("FAULT_AT", self.at.to_string())];
        set.extend(self.error.map(|(_, number)| ("FAULT_ERRNO", number.to_string())));
        set
    }
}

/// What came of the faults of a scene.
#[derive(Debug, Default)]
struct Tally {
    errors: usize,
    kills: usize,
    /// Errors that the command named, as against those that did not matter to it.
    named: usize,
    wrong: Vec<String>,
}

/// Disturbs `scene` at every `step`-th of its points.
fn sweep(scene: &'static Scene, step: usize) -> Tally {
    let stage = Stage::new(scene);
    let faults: Vec<Fault> = Fault::all(&stage.counts).into_iter().step_by(step).collect();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (stage, faults, next, tally) = (&stage, &faults, &next, &tally);
            scope.spawn(move || {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = stage.disturbed(worker, &fault.environment());
                    let mut tally = tally.lock().expect("no worker panics");
                    match fault.error {
                        Some(_) => tally.errors += 1,
                        None => tally.kills += 1,
                    }
                    match outcome {
                        Ok(named) => tally.named += usize::from(named),
                        Err(what) => {
                            let what = format!("{}, {fault:?}: {what}", scene.name);
                            println!("wrong: {what}");
                            tally.wrong.push(what);
                        }
                    }
                }
            });
        }
    });
    tally.into_inner().expect("no worker panics")
}

fn sweep_all(step: usize) {
    let mut wrong = Vec::new();
    println!("{:<10} {:>6} {:>6} {:>6} {:>6}", "command", "errors", "named", "kills", "wrong");
    for scene in &SCENES {
        let tally = sweep(scene, step);
        let Tally { errors, named, kills, .. } = tally;
        println!("{:<10} {errors:>6} {named:>6} {kills:>6} {:>6}", scene.name, tally.wrong.len());
        wrong.extend(tally.wrong);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_call_that_fails_or_kills_now_and_then_gives_no_wrong_result() {
    sweep_all(41);
}

#[test]
#[ignore = "takes some minutes"]
fn no_call_that_fails_or_kills_gives_a_wrong_result() {
    let every = std::env::var("SWEEP_EVERY").ok().and_then(|step| step.parse().ok());
    sweep_all(every.unwrap_or(1));
}
