//! SIGKILL at any moment of a training: what is left is resumed to the same bits.
//!
//! `cargo test --test cli fifty_kills -- --ignored --nocapture` tells where the kills landed.

use crate::common::{Place, metrics};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const TRAIN: &str = "train --config small.toml --set width=64 --set epochs=6 \
                     --set checkpoint_epochs=[0,3] --quiet";

/// When a run is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// So much of an undisturbed run's time after its start.
    Time(f64),
    /// While its n-th checkpoint is being written.
    Checkpoint(usize),
    /// When its n-th line of metrics has just been written.
    Line(usize),
}

impl Moment {
    /// Half anywhere, half where a write is under way.
    fn draw(random: &mut ChaCha8Rng) -> Self {
        match random.random_range(0..4) {
            0 | 1 => Self::Time(random.random_range(0.0..1.0)),
            2 => Self::Checkpoint(random.random_range(1..=4)),
            _ => Self::Line(random.random_range(1..=6)),
        }
    }

    /// Waits for the moment; `false` where the run ended before it.
    fn wait(self, child: &mut Child, run: &Path, whole: Duration) -> bool {
        let start = Instant::now();
        let lines = || std::fs::read(run.join("metrics.jsonl")).unwrap_or_default();
        let count = || lines().iter().filter(|&&b| b == b'\n').count();
        let before = count();
        let (mut writes, mut writing) = (0, None);
        loop {
            match self {
                Self::Time(part) if start.elapsed() >= whole.mul_f64(part) => return true,
                Self::Line(n) if count() >= before + n => return true,
                Self::Checkpoint(n) => {
                    let now = unfinished(run);
                    if now.is_some() && now != writing {
                        writes += 1;
                    }
                    if writes >= n && now.is_some() {
                        return true;
                    }
                    writing = now;
                }
                _ => {}
            }
            if child.try_wait().expect("a state").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// A checkpoint that is being written, or was when its program was killed.
fn unfinished(run: &Path) -> Option<PathBuf> {
    let is_checkpoint = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".unfinished-checkpoint.mpk") || name.starts_with(".unfinished-epoch-")
    };
    let inside = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().flatten();
    inside(run.to_path_buf())
        .chain(inside(run.join("epochs")))
        .map(|e| e.path())
        .find(is_checkpoint)
}

/// Where a kill landed, by what it left.
fn landed(run: &Path) -> &'static str {
    use fa_audit::train::checkpoint::Checkpoint;
    if !run.join("run.json").exists() {
        return "before the run began";
    }
    let text = std::fs::read(run.join("metrics.jsonl")).unwrap_or_default();
    let lines = text.iter().filter(|&&b| b == b'\n').count();
    // Whatever the moment, what has the name of a checkpoint is one.
    let path = run.join("checkpoint.mpk");
    let epoch =
        path.exists().then(|| Checkpoint::load(&path).expect("a checkpoint").progress.epoch);
    if unfinished(run).is_some() {
        "inside the write of a checkpoint"
    } else if text.last().is_some_and(|&b| b != b'\n') {
        "inside a line of metrics"
    } else if lines > epoch.unwrap_or(0) {
        "between a line of metrics and its checkpoint"
    } else {
        "elsewhere"
    }
}

/// Kills so many runs of `method`, each at a moment drawn from `seed`, and one in three again while it
/// resumes; then lets each go on to its end, which must be that of an undisturbed run. Where the kills
/// landed.
fn kill(method: &str, runs: usize, seed: u64) -> BTreeMap<&'static str, usize> {
    let place = Place::new();
    let begin = Instant::now();
    let train = format!("{TRAIN} --method {method} --out");
    place.done(&format!("{train} whole"));
    let whole = begin.elapsed();
    let files = ["checkpoint.mpk", "epochs/epoch-0000.mpk", "epochs/epoch-0003.mpk"];
    let read = |run: &str, file| std::fs::read(place.path(run).join(file)).expect("a file");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut places = BTreeMap::new();
    let mut killed = 0;
    while killed < runs {
        let run = format!("run-{killed}");
        let directory = place.path(&run);
        let (first, resume) =
            (format!("{train} {run}"), format!("train --quiet --resume --out {run}"));
        let can_resume = || ["run.json", "config.toml"].iter().any(|f| directory.join(f).exists());
        for _ in 0..=usize::from(random.random_range(0..3) == 0) {
            let line = if can_resume() { &resume } else { &first };
            let words: Vec<&str> = line.split_whitespace().collect();
            let mut child = place.command(&words).stderr(Stdio::null()).spawn().expect("it starts");
            if !Moment::draw(&mut random).wait(&mut child, &directory, whole) {
                continue;
            }
            child.kill().expect("killed");
            child.wait().expect("dead");
            *places.entry(landed(&directory)).or_default() += 1;
            killed += 1;
        }
        place.done(if can_resume() { &resume } else { &first });
        for file in files {
            assert!(read("whole", file) == read(&run, file), "seed {seed}, {run}: {file} differs");
        }
        let lines = |run: &str| metrics(&place.path(run).join("metrics.jsonl"));
        assert_eq!(lines("whole"), lines(&run), "seed {seed}, {run}");
        assert_eq!(place.json(&format!("{run}/run.json"))["status"], "finished");
        assert_eq!(unfinished(&directory), None, "swept");
        std::fs::remove_dir_all(&directory).expect("removed");
    }
    places
}

#[test]
fn a_few_kills_at_random_moments_lose_nothing() {
    kill("dfa", 5, 1);
}

/// What the learner owns, its averages and its slots of the update rule are in every checkpoint.
#[test]
fn a_few_kills_of_learned_and_of_two_phase_credit_lose_nothing() {
    kill("state-bridge --set auxiliary_width=16", 3, 2);
    kill("credit-bridge --set auxiliary_width=16 --set warm_up=0.5", 3, 3);
    kill("ep", 3, 4);
}

#[test]
#[ignore = "takes some minutes"]
fn fifty_kills_at_random_moments_lose_nothing() {
    let begin = Instant::now();
    let places = kill("dfa", 50, 42);
    println!("{} kills in {:.0?}:", places.values().sum::<usize>(), begin.elapsed());
    for (landed, count) in places {
        println!("{count:>4}  {landed}");
    }
}
