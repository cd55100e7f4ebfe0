//! Runs while they train: `watch`, and TensorBoard's event files.

use crate::common::Place;

const TRAIN: &str = "train --config small.toml --method dfa --set train_samples=640 --no-progress";

#[test]
fn runs_are_told_by_how_they_stand() {
    let place = Place::new();
    place.done(&format!("{TRAIN} --set epochs=2 --set threshold_growth=0 --out runs/whole"));
    place.stop_after_an_epoch(
        "runs/cut",
        "-INT",
        &format!("{TRAIN} --set epochs=6 --out runs/cut"),
    );
    place.stop_after_an_epoch(
        "runs/dead",
        "-KILL",
        &format!("{TRAIN} --set epochs=6 --out runs/dead"),
    );
    let told = place.done("watch runs --once").stdout;
    assert!(told.starts_with("1 finished, 1 interrupted, 1 stopped\n"), "{told}");
    let row = |name: &str| {
        told.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{told}"))
    };
    assert!(row("whole").contains("2/2") && row("whole").contains("growth 1"), "{told}");
    assert!(row("dead").contains("stopped"), "{told}");

    // One run, and a study of which nothing has begun.
    assert!(place.done("watch runs/cut").stdout.starts_with("1 interrupted\n"));
    let outcome = place.run("watch elsewhere");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no folder elsewhere"), "{}", outcome.stderr);
    std::fs::create_dir(place.path("empty")).expect("a folder");
    let outcome = place.run("watch empty");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("holds no study and no run"), "{}", outcome.stderr);
}

#[test]
fn event_files_hold_each_epoch_once_also_of_a_run_that_goes_on() {
    let place = Place::new();
    let train = format!("{TRAIN} --set epochs=4 --tensorboard board --out cut");
    place.stop_after_an_epoch("cut", "-INT", &train);
    place.done("train --out cut --resume --tensorboard board");
    let files = std::fs::read_dir(place.path("board/cut")).expect("the run's folder");
    let bytes: Vec<Vec<u8>> =
        files.map(|file| std::fs::read(file.expect("it").path()).expect("it")).collect();
    assert_eq!(bytes.len(), 2);
    let count = |tag: &[u8]| -> usize {
        bytes.iter().map(|file| file.windows(tag.len()).filter(|w| *w == tag).count()).sum()
    };
    assert_eq!([count(b"accuracy/test"), count(b"cosine/h_2"), count(b"cosine/h_3")], [4, 4, 0]);

    std::fs::write(place.path("file"), "").expect("written");
    let outcome = place.run(&format!("{TRAIN} --set epochs=1 --tensorboard file --out other"));
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("file"), "{}", outcome.stderr);
}
