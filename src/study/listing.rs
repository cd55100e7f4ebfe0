//! `audit --dry-run`: the runs, how each stands and how long the rest takes.

use super::estimate::{Estimate, Estimator, duration, wall_time};
use super::plan::{PlannedRun, State};
use anyhow::Result;
use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
};

const WIDTH: u16 = 80;
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// The table of `runs` and the sums under it; `workers` train side by side.
///
/// # Errors
/// Names the file of a run that cannot be read.
pub fn listing(runs: &[&PlannedRun], estimator: &Estimator, workers: usize) -> Result<String> {
    let mut table = Table::new();
    table.load_style(STYLE).set_width(WIDTH).set_content_arrangement(ContentArrangement::Dynamic);
    table.force_no_tty().set_header(["Method", "Network", "Seed", "Epochs", "State", "Left"]);
    let mut totals = Totals::default();
    let mut reasons = String::new();
    for run in runs {
        let state = run.state()?;
        let left = state.left(run.config);
        let left_for = estimator.epochs(run.config, left);
        totals.add(&state, left, left_for);
        if let State::Failed { message, .. } = &state {
            reasons += &format!("\nfailed: {}: {message}", run.who());
        }
        let network = format!("{} {}", run.config.arch, run.config.dataset);
        table.add_row([
            run.config.label(),
            network,
            run.config.seed.to_string(),
            run.config.epochs.to_string(),
            words(&state),
            if left == 0 { "–".into() } else { left_for.map_or("?".into(), time) },
        ]);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i == 5 { 0 } else { 2 }));
        // Labels and states are broken where they must be, the rest never.
        if i != 0 && i != 4 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if matches!(i, 2 | 3 | 5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_string()).collect();
    Ok(format!("{}\n\n{}{reasons}", lines.join("\n"), totals.text(workers)))
}

fn words(state: &State) -> String {
    match state {
        State::Missing => "missing".into(),
        State::Interrupted { epoch } => format!("interrupted at epoch {epoch}"),
        State::Training { epoch } => format!("in training, epoch {epoch}"),
        State::Failed { epoch, .. } => format!("failed at epoch {epoch}"),
        State::Finished { diverged: None } => "finished".into(),
        State::Finished { diverged: Some(epoch) } => format!("diverged at epoch {epoch}"),
    }
}

fn time(estimate: Estimate) -> String {
    format!("{}{}", if estimate.is_rough { "~" } else { "" }, duration(estimate.seconds))
}

/// Sums over the runs.
#[derive(Default)]
struct Totals {
    runs: usize,
    finished: usize,
    epochs_left: usize,
    /// Runs in the study's order.
    seconds: Vec<f64>,
    is_rough: bool,
    /// Runs whose time nothing is known of.
    unknown: usize,
}

impl Totals {
    fn add(&mut self, state: &State, left: usize, estimate: Option<Estimate>) {
        self.runs += 1;
        self.finished += usize::from(matches!(state, State::Finished { .. }));
        self.epochs_left += left;
        match estimate {
            Some(_) if left == 0 => {}
            Some(estimate) => {
                self.seconds.push(estimate.seconds);
                self.is_rough |= estimate.is_rough;
            }
            None => self.unknown += usize::from(left > 0),
        }
    }

    fn text(&self, workers: usize) -> String {
        let Self { runs, finished, epochs_left, .. } = self;
        let mut text = format!("{runs} runs, {finished} finished; {epochs_left} epochs to train");
        if !self.seconds.is_empty() {
            let rough = self.is_rough;
            let work = Estimate { seconds: self.seconds.iter().sum(), is_rough: rough };
            let wall =
                Estimate { seconds: wall_time(&[], &self.seconds, workers), is_rough: rough };
            let with = if workers == 1 { "1 worker".into() } else { format!("{workers} workers") };
            text += &format!("\n{} of training, done in {} by {with}", time(work), time(wall));
        }
        if self.is_rough {
            text += "\n~ rough, from the size of the network: no such run was timed here";
        }
        if self.unknown > 0 {
            text += &format!("\n? {} runs on a GPU on which none was timed yet", self.unknown);
        }
        text
    }
}
