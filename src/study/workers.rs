//! Training side by side: a few worker processes, one run each, one thread each. Processes, because
//! one run that dies must not take others with it, and because tensor libraries share state inside
//! one.

use super::plan::PlannedRun;
use super::progress::Display;
use crate::files::write_atomically;
use crate::train::interrupt;
use crate::train::lock::Lock;
use crate::train::run_dir::{RunRecord, RunStatus};
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A run that did not finish, or could not be judged.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run as messages name it.
    pub who: String,
    pub dir: PathBuf,
    /// What it said last.
    pub message: String,
}

impl Failure {
    pub fn of(run: &PlannedRun, message: String) -> Self {
        Self { who: run.who(), dir: run.dir.path().to_path_buf(), message }
    }
}

struct Worker<'a> {
    /// Its run's place in the list.
    index: usize,
    run: &'a PlannedRun<'a>,
    child: Child,
    /// What it says that may explain its end.
    said: JoinHandle<Option<String>>,
    _lock: Lock,
}

/// Trains those of `runs` that are not finished, `workers` at a time, and returns those that failed;
/// a run that another program is training is left to it. Stops early where an interrupt was asked
/// for: the workers save and end.
///
/// # Errors
/// If the system does not tell whether a worker lives or a run is finished.
pub fn train_missing<'a>(
    runs: &[&'a PlannedRun<'a>],
    workers: usize,
    display: &mut Display,
) -> Result<Vec<Failure>> {
    let mut queue = VecDeque::new();
    for (index, run) in runs.iter().enumerate() {
        if !run.is_finished()? {
            queue.push_back(index);
        }
    }
    let mut active: Vec<Worker> = Vec::new();
    let mut failures = Vec::new();
    let mut told = false;
    while !(active.is_empty() && (queue.is_empty() || interrupt::asked())) {
        if interrupt::asked() && !told {
            display.say("stopping: the workers finish their step and save");
            active.iter().for_each(tell_to_stop);
            told = true;
        }
        while active.len() < workers && !interrupt::asked() {
            let Some(index) = queue.pop_front() else { break };
            match Worker::start(index, runs[index]) {
                Ok(Some(worker)) => {
                    display.started(index);
                    active.push(worker);
                }
                Ok(None) => display.ended(index, "left to another program"),
                Err(error) => {
                    let message = format!("{error:#}");
                    display.ended(index, &format!("failed: {message}"));
                    failures.push(Failure::of(runs[index], message));
                }
            }
        }
        display.tick();
        std::thread::sleep(Duration::from_millis(100));
        let mut still = Vec::new();
        for mut worker in active {
            let Some(status) = worker.child.try_wait().context("waiting for a worker")? else {
                still.push(worker);
                continue;
            };
            let (index, run) = (worker.index, worker.run);
            match worker.end(status) {
                WorkerEnd::Finished(record) => display.ended(index, &summary(&record)),
                WorkerEnd::Stopped if told => display.ended(index, "interrupted, saved"),
                WorkerEnd::Stopped => failures.push(failed(display, index, run, STOPPED.into())),
                WorkerEnd::Failed(message) => failures.push(failed(display, index, run, message)),
            }
        }
        active = still;
    }
    Ok(failures)
}

const STOPPED: &str = "the worker was told to stop from outside, and saved";

fn failed(display: &mut Display, index: usize, run: &PlannedRun, message: String) -> Failure {
    display.ended(index, &format!("failed: {message}"));
    Failure::of(run, message)
}

/// How a worker's run came out.
enum WorkerEnd {
    Finished(Box<RunRecord>),
    /// Interrupted and saved.
    Stopped,
    Failed(String),
}

impl<'a> Worker<'a> {
    /// Starts or resumes `run`; `None` where another program has it or had finished it.
    fn start(index: usize, run: &'a PlannedRun<'a>) -> Result<Option<Self>> {
        let place = run.dir.path();
        crate::files::create_folder(place)?;
        let Some(lock) = Lock::take(place)? else { return Ok(None) };
        if run.is_finished()? {
            return Ok(None);
        }
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg("train").arg("--quiet").arg("--no-progress").arg("--out").arg(place);
        if run.dir.holds_a_run()? {
            command.arg("--resume");
        } else {
            let text = toml::to_string(run.config).context("encoding the configuration")?;
            write_atomically(&run.dir.config_file(), text.as_bytes())?;
            command.arg("--config").arg(run.dir.config_file());
        }
        if let Some(dir) = &run.config.data_dir {
            command.arg("--data-dir").arg(dir);
        }
        // A group of its own: Ctrl-C reaches this program alone, which tells each worker once. A
        // second signal would end it without saving.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(lock.share()?).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start a worker for {}", place.display()))?;
        let stderr = child.stderr.take();
        let listener =
            Builder::new().name("listener".into()).spawn(move || stderr.and_then(listen));
        match listener {
            Ok(said) => Ok(Some(Self { index, run, child, said, _lock: lock })),
            Err(error) => {
                // Nobody would hear it, or wait for it.
                child.kill().and_then(|()| child.wait()).context("ending a worker")?;
                Err(error).context("cannot start a thread")
            }
        }
    }

    /// What became of its run.
    fn end(self, status: ExitStatus) -> WorkerEnd {
        if status.code() == Some(interrupt::EXIT_CODE) {
            return WorkerEnd::Stopped;
        }
        if status.success() {
            match self.run.finished() {
                Ok(Some(record)) => return WorkerEnd::Finished(Box::new(record)),
                Ok(None) => {}
                Err(error) => return WorkerEnd::Failed(format!("{error:#}")),
            }
        }
        let said = self.said.join().unwrap_or_default();
        let message = match &said {
            Some(line) if line.starts_with("error: ") => line["error: ".len()..].into(),
            Some(line) => format!("{status}: {line}"),
            None => status.to_string(),
        };
        // One that a signal killed can go on from its checkpoint: nothing is wrong with the run.
        if status.code().is_some() {
            record_failure(self.run, &message);
        }
        WorkerEnd::Failed(message)
    }
}

/// The newest line that begins with `error: `, else the newest. Reads to the end: a full pipe would
/// stop the worker.
fn listen(stderr: ChildStderr) -> Option<String> {
    let (mut newest, mut error) = (None, None);
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_string();
        if line.starts_with("error: ") {
            error = Some(line);
        } else if !line.is_empty() {
            newest = Some(line);
        }
    }
    error.or(newest)
}

/// Writes into `run.json` why the run failed, where the worker could not: a run that cannot even be
/// resumed fails before it comes to its record.
fn record_failure(run: &PlannedRun, message: &str) {
    // A record that cannot be read is not replaced by this: the next look at it tells.
    let Ok(mut record) = run.dir.read_record() else { return };
    if matches!(record.status, RunStatus::Running | RunStatus::Interrupted) {
        record.status = RunStatus::Failed;
        record.error = Some(message.into());
        // The message is told in any case.
        let _ = run.dir.write_record(&record);
    }
}

fn summary(record: &RunRecord) -> String {
    let accuracy = record.last.as_ref().map_or(f64::NAN, |m| 100.0 * m.test_accuracy.0);
    let how = match &record.diverged {
        Some(d) => format!("diverged in epoch {}: {} is {}", d.epoch, d.quantity, d.value.0),
        None => format!("finished {} epochs", record.epoch),
    };
    format!("{how}, {accuracy:.1} %")
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
