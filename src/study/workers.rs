//! Training side by side: a few worker processes, one run each, one thread each. Processes, because
//! one run that dies must not take others with it, and because tensor libraries share state inside
//! one.

use crate::config::Config;
use crate::train::files::write_atomically;
use crate::train::interrupt;
use crate::train::run_dir::{RunDir, Status};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A run of a study and its place.
pub struct RunState<'a> {
    pub config: &'a Config,
    pub dir: RunDir,
}

/// A run that did not finish.
#[derive(Debug)]
pub struct Failure {
    pub dir: PathBuf,
    /// What it said last.
    pub message: String,
}

impl<'a> RunState<'a> {
    /// The run of `config` under `root`.
    pub fn new(root: &Path, config: &'a Config) -> Self {
        let Config { method, arch, seed, .. } = config;
        let dataset = config.dataset.name();
        let name = format!("{method}-{arch}-{dataset}-s{seed}-{}", &config.hash()[..8]);
        Self { config, dir: RunDir::at(root.join(name)) }
    }

    /// Whether the run is there and finished.
    pub fn is_finished(&self) -> bool {
        self.dir.read_record().is_ok_and(|r| r.status == Status::Finished)
    }

    /// Epochs that the run has recorded.
    fn epochs(&self) -> u64 {
        let metrics = std::fs::read(self.dir.metrics_file()).unwrap_or_default();
        metrics.iter().filter(|&&b| b == b'\n').count() as u64
    }
}

struct Worker<'a> {
    run: &'a RunState<'a>,
    child: Child,
}

/// Trains the runs that are not finished, `workers` at a time; returns those that failed. Stops
/// early where an interrupt was asked for: the workers save and end.
///
/// # Errors
/// If a worker cannot be started.
pub fn train_missing(runs: &[RunState], workers: usize, show: bool) -> Result<Vec<Failure>> {
    let mut queue: Vec<&RunState> = runs.iter().filter(|r| !r.is_finished()).rev().collect();
    let bar = progress_bar(&queue, show);
    let mut active: Vec<Worker> = Vec::new();
    let mut failures = Vec::new();
    let mut told = false;
    while !(active.is_empty() && (queue.is_empty() || interrupt::asked())) {
        if interrupt::asked() && !told {
            active.iter().for_each(tell_to_stop);
            told = true;
        }
        while active.len() < workers && !interrupt::asked() {
            let Some(run) = queue.pop() else { break };
            active.push(Worker { run, child: start(run)? });
        }
        std::thread::sleep(Duration::from_millis(100));
        let mut still = Vec::new();
        for mut worker in active {
            match worker.child.try_wait().context("waiting for a worker")? {
                None => still.push(worker),
                Some(status) if status.success() => {}
                Some(status) if status.code() == Some(interrupt::EXIT_CODE) => {}
                Some(status) => failures.push(failure(worker, status.to_string())),
            }
        }
        active = still;
        show_progress(&bar, runs, &queue, &active);
    }
    bar.finish_and_clear();
    Ok(failures)
}

/// Asks a worker to finish its step and save.
fn tell_to_stop(worker: &Worker) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process};
        // One that has just ended needs no telling.
        let _ = kill_process(Pid::from_child(&worker.child), Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = worker;
}

fn start(run: &RunState) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let place = run.dir.path();
    let mut command = Command::new(program);
    command.arg("train").arg("--quiet").arg("--no-progress").arg("--out").arg(place);
    if run.dir.holds_a_run() {
        command.arg("--resume");
    } else {
        std::fs::create_dir_all(place)
            .with_context(|| format!("cannot create {}", place.display()))?;
        let text = toml::to_string(run.config).context("encoding the configuration")?;
        write_atomically(&run.dir.config_file(), text.as_bytes())?;
        command.arg("--config").arg(run.dir.config_file());
    }
    if let Some(dir) = &run.config.data_dir {
        command.arg("--data-dir").arg(dir);
    }
    // A group of its own: Ctrl-C reaches this program alone, which tells each worker once. A second
    // signal would end it without saving.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().with_context(|| format!("cannot start a worker for {}", place.display()))
}

fn failure(mut worker: Worker, status: String) -> Failure {
    let mut said = String::new();
    if let Some(mut stderr) = worker.child.stderr.take() {
        // What a dead worker said is a help, not a need: its status stands in for it.
        let _ = stderr.read_to_string(&mut said);
    }
    let message =
        said.lines().last().map_or(status, |line| line.trim_start_matches("error: ").into());
    Failure { dir: worker.run.dir.path().to_path_buf(), message }
}

fn progress_bar(queue: &[&RunState], show: bool) -> ProgressBar {
    let total = queue.iter().map(|r| r.config.epochs as u64).sum();
    let draw = show && std::io::stderr().is_terminal();
    let target = if draw { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) =
        ProgressStyle::with_template("[{bar:24}] {pos}/{len} epochs, {eta} left, {msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn show_progress(bar: &ProgressBar, runs: &[RunState], queue: &[&RunState], active: &[Worker]) {
    let total = bar.length().unwrap_or(0);
    let waiting: u64 = queue.iter().map(|r| r.config.epochs as u64 - r.epochs()).sum();
    let running: u64 = active.iter().map(|w| w.run.config.epochs as u64 - w.run.epochs()).sum();
    bar.set_position(total.saturating_sub(waiting + running));
    let names: Vec<_> = active
        .iter()
        .map(|w| {
            format!(
                "{} s{} {}/{}",
                w.run.config.label(),
                w.run.config.seed,
                w.run.epochs(),
                w.run.config.epochs
            )
        })
        .collect();
    let waiting = match queue.len() {
        0 => String::new(),
        n => format!(", {n} of {} waiting", runs.len()),
    };
    bar.set_message(format!("{}{waiting}", names.join(", ")));
}
