//! One display for all runs that train side by side: a line for the study, one for each worker; and
//! a line that stays for each run that ends.

use super::estimate::{Estimator, duration, wall_time};
use super::plan::PlannedRun;
use super::tail::Tail;
use crate::message::tell;
use crate::shown;
use crate::train::run_dir::EpochMetrics;
use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What a person wants to see.
#[derive(Clone, Copy, Debug)]
pub struct ShownProgress {
    /// Messages, and a line for each run that ends.
    pub messages: bool,
    /// The moving display, on a terminal.
    pub display: bool,
}

impl ShownProgress {
    fn target(self) -> ProgressDrawTarget {
        if self.messages && self.display && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        }
    }
}

/// A bar that counts the audits of `runs`.
pub fn judging(runs: usize, show: ShownProgress) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(runs as u64), show.target());
    bar.set_style(style("[{bar:24}] {pos}/{len} runs judged"));
    bar
}

/// Between two looks at what the workers have recorded.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Shows how far a study is.
pub struct Display<'a> {
    entries: Vec<Entry<'a>>,
    estimator: Estimator,
    workers: usize,
    show: ShownProgress,
    lines: MultiProgress,
    study: ProgressBar,
    looked: Option<Instant>,
}

/// A run as the display knows it.
struct Entry<'a> {
    run: &'a PlannedRun<'a>,
    /// Epochs that it still has to train.
    left: usize,
    training: Option<Training>,
}

/// A run that a worker has.
struct Training {
    tail: Tail,
    newest: Option<EpochMetrics>,
    /// When the present epoch began, as far as was seen.
    since: Instant,
    line: ProgressBar,
}

impl<'a> Display<'a> {
    /// For `runs`, of which so many are trained at a time.
    ///
    /// # Errors
    /// Names the file of a run that cannot be read.
    pub fn new(
        runs: &[&'a PlannedRun<'a>],
        estimator: Estimator,
        workers: usize,
        show: ShownProgress,
    ) -> Result<Self> {
        let lines = MultiProgress::with_draw_target(show.target());
        let total: usize = runs.iter().map(|run| run.config.epochs).sum();
        let study = lines.add(ProgressBar::new(total as u64));
        study.set_style(style("[{bar:24}] {pos}/{len} epochs, {msg}"));
        let entry = |run: &&'a PlannedRun<'a>| {
            Ok(Entry { run, left: run.state()?.left(run.config), training: None })
        };
        let entries = runs.iter().map(entry).collect::<Result<_>>()?;
        Ok(Self { entries, estimator, workers, show, lines, study, looked: None })
    }

    /// A message that stays.
    pub fn say(&self, text: &str) {
        if !self.show.messages {
            return;
        }
        // The terminal may be gone; the training is not.
        match self.study.is_hidden() {
            true => tell(text),
            false => drop(self.lines.println(shown::message(text))),
        }
    }

    /// A worker has the run at `index`.
    pub fn started(&mut self, index: usize) {
        let line = self.lines.add(ProgressBar::new_spinner());
        line.set_style(style("  {wide_msg}"));
        let entry = &mut self.entries[index];
        let tail = Tail::new(entry.run.dir.metrics_file());
        entry.training = Some(Training { tail, newest: None, since: Instant::now(), line });
    }

    /// The run at `index` is over for now; `how` it ended.
    pub fn ended(&mut self, index: usize, how: &str) {
        self.look(index);
        let entry = &mut self.entries[index];
        entry.left = 0;
        if let Some(training) = entry.training.take() {
            training.line.finish_and_clear();
            self.lines.remove(&training.line);
        }
        let who = self.entries[index].run.who();
        self.say(&format!("{who}: {how}"));
        self.looked = None;
    }

    /// Looks and draws, where it is time to.
    pub fn tick(&mut self) {
        if self.study.is_hidden() || self.looked.is_some_and(|then| then.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        for index in 0..self.entries.len() {
            self.look(index);
        }
        for entry in &self.entries {
            if let Some(training) = &entry.training {
                training.line.set_message(training.text(entry.run));
            }
        }
        let left: usize = self.entries.iter().map(|entry| entry.left).sum();
        let done = self.entries.iter().filter(|entry| entry.left == 0).count();
        let runs = self.entries.len();
        let time =
            self.time_left().map_or(String::new(), |s| format!(", about {} left", duration(s)));
        self.study.set_position(self.study.length().unwrap_or(0).saturating_sub(left as u64));
        self.study.set_message(format!("{done}/{runs} runs{time}"));
    }

    /// Reads what a worker has recorded since the last look.
    fn look(&mut self, index: usize) {
        let Entry { run, left, training } = &mut self.entries[index];
        let Some(training) = training else { return };
        let mut news = training.tail.read();
        // What was there before this worker began is known to the estimator.
        if training.newest.is_some() || news.len() == 1 {
            self.estimator.learn(run.config, &news);
        }
        if let Some(newest) = news.pop() {
            *left = run.config.epochs.saturating_sub(newest.epoch);
            training.since = Instant::now();
            training.newest = Some(newest);
        }
    }

    /// Seconds until the study is done; `None` where nothing is known of some run's time.
    fn time_left(&self) -> Option<f64> {
        let (mut busy, mut waiting) = (Vec::new(), Vec::new());
        for Entry { run, left, training } in self.entries.iter().filter(|entry| entry.left > 0) {
            let epoch = self.estimator.epoch(run.config)?.seconds;
            let all = epoch * *left as f64;
            match training {
                Some(t) => busy.push(all - epoch.min(t.since.elapsed().as_secs_f64())),
                None => waiting.push(all),
            }
        }
        Some(wall_time(&busy, &waiting, self.workers))
    }
}

impl Training {
    fn text(&self, run: &PlannedRun) -> String {
        let epochs = run.config.epochs;
        let who = run.who();
        match &self.newest {
            Some(m) => format!(
                "{who}: epoch {}/{epochs}, test {:.1} %",
                m.epoch,
                100.0 * m.test_accuracy.0
            ),
            None => format!("{who}: epoch 0/{epochs}"),
        }
    }
}

impl Drop for Display<'_> {
    fn drop(&mut self) {
        for training in self.entries.iter().filter_map(|entry| entry.training.as_ref()) {
            training.line.finish_and_clear();
        }
        self.study.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
