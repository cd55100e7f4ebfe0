//! Runs while they train, as a panel.

use super::panel::{Cell, Panel, Shade};
use crate::study::watch::{Standing, Watched};
use crate::verdict::short;
use crate::words::percent_fine;
use std::time::Duration;

/// A row a run.
pub fn watch(runs: &[Watched]) -> Panel {
    let columns =
        ["Run", "Standing", "Epoch", "Loss", "Test\n%", "Growth", "‖g_L‖", "Fired", "Age"];
    Panel {
        title: standings(runs),
        columns: columns.map(String::from).to_vec(),
        words: vec![0, 1, 7],
        rows: runs.iter().map(row).collect(),
        note: "Of the newest epoch, on the evaluation batches. Fired: the first epoch in which the diagnostic \
               did; stability and depth utility are judged when the run is audited. Age: since that epoch's \
               line was written."
            .into(),
        said: Vec::new(),
    }
}

/// `3 running, 9 waiting`
fn standings(runs: &[Watched]) -> String {
    let all = [
        Standing::Running,
        Standing::Waiting,
        Standing::Finished,
        Standing::Diverged,
        Standing::Interrupted,
        Standing::Stopped,
        Standing::Failed,
    ];
    let count = |of: Standing| runs.iter().filter(|run| run.standing == of).count();
    let parts = all.map(|of| (count(of), of.word())).into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn row(run: &Watched) -> Vec<Cell> {
    let shade = match run.standing {
        Standing::Failed | Standing::Diverged | Standing::Stopped => Shade::Bad,
        Standing::Finished => Shade::Good,
        Standing::Waiting | Standing::Interrupted => Shade::Muted,
        Standing::Running => Shade::None,
    };
    let epoch = match run.epochs {
        Some(epochs) => format!("{}/{epochs}", run.epoch).into(),
        None => Cell::absent(),
    };
    let value = |value: Option<f64>, spell: fn(f64) -> String| {
        value.map_or_else(Cell::absent, |value| spell(value).into())
    };
    let newest = run.newest.as_ref();
    let fired: Vec<String> =
        run.fired.iter().map(|(name, epoch)| format!("{name} {epoch}")).collect();
    vec![
        run.name.clone().into(),
        Cell::shaded(run.standing.word(), shade),
        epoch,
        value(newest.map(|m| m.train_loss.0), |loss| format!("{loss:.3}")),
        value(newest.map(|m| m.test_accuracy.0), percent_fine),
        value(newest.and_then(|m| m.growth).map(|growth| growth.0), short),
        value(newest.and_then(|m| m.gradient_norms.last()).map(|norm| norm.0), short),
        match fired.is_empty() {
            true => Cell::default(),
            false => Cell::shaded(fired.join(", "), Shade::Bad),
        },
        run.age.map_or_else(Cell::absent, |age| in_words(age).into()),
    ]
}

/// `40 s`, `12 min`, `3 h`, `2 d`
fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_the_unit_that_a_person_would_take() {
        let words = [0, 119, 120, 7_199, 7_200, 172_799, 172_800];
        let words = words.map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(words, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }

    #[test]
    fn a_run_that_has_not_begun_has_no_numbers() {
        let run = Watched {
            name: "dfa".into(),
            standing: Standing::Waiting,
            epoch: 0,
            epochs: None,
            newest: None,
            fired: Vec::new(),
            age: None,
        };
        let panel = watch(&[run.clone(), run]);
        assert_eq!(panel.title, "2 waiting");
        assert!(panel.rows[0][2..7].iter().all(|cell| cell.text == "–"), "{panel:?}");
    }
}
