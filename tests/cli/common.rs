//! Starting the program on small synthetic runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Keys of a run that takes a second.
pub const SMALL: &str = "width = 16\ndepth = 2\nepochs = 3\ntrain_samples = 600\n\
                         test_samples = 300\nprobe_batches = 8\nprobe_batch_size = 32\nbatch_size = 64\n";

/// The binary files of CIFAR-10, without their ending.
pub const CIFAR10: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// A folder of its own for each test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(TempDir::new().expect("a temporary folder"));
        place.write("small.toml", SMALL);
        let of_synthetic_data = |line: &&str| line.contains("_samples");
        let rest: Vec<&str> = SMALL.lines().filter(|line| !of_synthetic_data(line)).collect();
        place.write("cifar.toml", rest.join("\n"));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// The program with these words, run in this folder.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fa-audit"));
        command.args(words).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, line: &str) -> Outcome {
        let words: Vec<_> = line.split_whitespace().collect();
        Outcome::of(self.command(&words).output().expect("the program starts"))
    }

    /// Runs the program, which must succeed.
    pub fn done(&self, line: &str) -> Outcome {
        let outcome = self.run(line);
        assert_eq!(outcome.code, 0, "{line}: {}", outcome.stderr);
        outcome
    }

    /// Starts the program, waits until a run under `folder` has recorded an epoch and sends `signal`.
    pub fn stop_after_an_epoch(&self, folder: &str, signal: &str, line: &str) -> Outcome {
        // Somewhere in the second epoch.
        self.stop_behind_an_epoch(folder, signal, line, Duration::from_millis(30))
    }

    /// As [`Place::stop_after_an_epoch`], so long after it.
    pub fn stop_behind_an_epoch(
        &self,
        folder: &str,
        signal: &str,
        line: &str,
        behind: Duration,
    ) -> Outcome {
        let words: Vec<_> = line.split_whitespace().collect();
        let mut command = self.command(&words);
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let start = Instant::now();
        while !self.has_an_epoch(folder) {
            assert!(start.elapsed() < Duration::from_secs(60), "no epoch was recorded");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(behind);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "it ended before the signal");
        Outcome::of(child.wait_with_output().expect("it ends"))
    }

    fn has_an_epoch(&self, folder: &str) -> bool {
        let folder = self.path(folder);
        let inside = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path());
        std::iter::once(folder.clone())
            .chain(inside)
            .any(|run| std::fs::read(run.join("metrics.jsonl")).is_ok_and(|t| t.contains(&b'\n')))
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into(),
            stderr: String::from_utf8_lossy(&output.stderr).into(),
        }
    }
}

/// The lines of a `metrics.jsonl` without the times, which are the only thing that may differ.
pub fn metrics(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let timeless = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let object = value.as_object_mut().expect("an object");
        object.remove("seconds").expect("seconds");
        object.remove("samples_per_second").expect("samples a second");
        value
    };
    text.lines().map(timeless).collect()
}
