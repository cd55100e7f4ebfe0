//! What a person sees of a training: a bar on a terminal, a line an epoch elsewhere, curves in TensorBoard.

use super::run_dir::EpochMetrics;
use super::tensorboard::EventFile;
use crate::message::tell;
use crate::words::short;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Shows the progress of one run on standard error.
pub struct Reporter {
    bar: ProgressBar,
    lines: bool,
    epochs: usize,
    board: Option<EventFile>,
}

impl Reporter {
    /// A bar on a terminal if `bar` is set; without one a line an epoch, unless `quiet`.
    pub fn new(quiet: bool, bar: bool, epochs: usize, steps: u64) -> Self {
        let draw = bar && !quiet && std::io::stderr().is_terminal();
        let target = if draw { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = "{prefix} [{bar:14}] {pos}/{len}, {msg}, {eta} left";
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, lines: !quiet, epochs, board: None }
    }

    /// Also writes each epoch to `board`.
    #[must_use]
    pub fn with_board(self, board: Option<EventFile>) -> Self {
        Self { board, ..self }
    }

    /// The run stands before step `done` of all its steps, in `epoch`.
    pub fn at(&self, epoch: usize, done: u64) {
        self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    /// A step is done; `running` tells loss, accuracy and samples a second of the epoch so far.
    pub fn step(&self, running: Option<(f64, f64, f64)>) {
        if let Some((loss, accuracy, speed)) = running {
            self.bar.set_message(format!(
                "loss {loss:.3}, acc {:.1} %, {speed:.0} samples/s",
                100.0 * accuracy
            ));
        }
        self.bar.inc(1);
    }

    /// Whether someone looks: reading the running loss costs a wait for the device.
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// An epoch is done and saved.
    ///
    /// # Errors
    /// If the event file cannot be written.
    pub fn saved(&mut self, m: &EpochMetrics) -> Result<()> {
        match &mut self.board {
            Some(board) => board.append(m),
            None => Ok(()),
        }
    }

    /// An epoch is done.
    pub fn epoch(&self, m: &EpochMetrics) {
        if !self.lines {
            return;
        }
        let growth = m.growth.map_or(String::new(), |g| format!("  growth {:.3}", g.0));
        let reference = m.gradient_norms.last().map_or(f64::NAN, |g| g.0);
        let top5 =
            m.test_top5.map_or(String::new(), |top5| format!(" (top 5 {:.1} %)", 100.0 * top5.0));
        let line = format!(
            "epoch {:>3}/{}  loss {:.3}  train {:4.1} %  test {:4.1} %{top5}{growth}  |g_L| {:.1e}  {:.0}/s",
            m.epoch,
            self.epochs,
            m.train_loss.0,
            100.0 * m.train_accuracy.0,
            100.0 * m.test_accuracy.0,
            reference,
            m.samples_per_second.0,
        );
        self.tell(line);
        if let Some(growth) =
            m.growth_of_force.map(|g| g.0).filter(|growth| growth.is_nan() || *growth > 1.0)
        {
            self.tell(format!(
                "epoch {}: nudged states do not settle: the force on them grows {}-fold as they \
                 relax; a smaller ep_step_size lets them",
                m.epoch,
                short(growth)
            ));
        }
    }

    fn tell(&self, line: String) {
        if self.is_shown() {
            self.bar.println(line);
        } else {
            tell(line);
        }
    }

    /// The run is over.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
