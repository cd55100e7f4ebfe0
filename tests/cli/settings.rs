//! Files in the working folder, or above it, that Burn takes for its settings.

use crate::common::{Place, metrics};

/// Where Burn and CubeCL look.
const NAMES: [&str; 4] = ["burn.toml", "Burn.toml", "cubecl.toml", "CubeCL.toml"];

const TRAIN: &str = "train --config small.toml --method dfa --set epochs=1 --out run";

#[test]
fn settings_of_burn_that_lie_about_overwrite_no_file_and_print_nothing() {
    let loud =
        "level = \"full\"\nstdout = true\nstderr = true\nfile = \"victim\"\nappend = false\n";
    let settings = format!(
        "[autodiff.logger]\n{loud}[fusion.logger]\n{loud}[compilation.logger]\n{loud}\
         [cubecl.compilation.logger]\n{loud}"
    );
    let plain = Place::new();
    let expected = plain.done(TRAIN);
    let diagnosed = plain.done("diagnose run/checkpoint.mpk --controls --json");
    for name in NAMES {
        let place = Place::new();
        place.write(name, &settings);
        place.write("victim", "untouched");
        let outcome = place.done(TRAIN);
        assert_eq!(outcome.stdout, expected.stdout, "{name}");
        assert_eq!(
            metrics(&place.path("run/metrics.jsonl")),
            metrics(&plain.path("run/metrics.jsonl")),
            "{name}"
        );
        let outcome = place.done("diagnose run/checkpoint.mpk --controls --json");
        assert_eq!(outcome.stdout.lines().count(), diagnosed.stdout.lines().count(), "{name}");
        assert_eq!(place.read("victim"), "untouched", "{name}");
    }
}

#[test]
fn settings_that_burn_cannot_read_stop_no_run_also_above_its_folder() {
    for name in NAMES {
        let place = Place::new();
        place.write(name, "this is = = no TOML");
        place.done(TRAIN);
        std::fs::create_dir_all(place.path("far/below")).expect("a folder");
        let line = TRAIN.replace("small.toml", "../../small.toml");
        let words: Vec<_> = line.split_whitespace().collect();
        let mut command = place.command(&words);
        let output = command.current_dir(place.path("far/below")).output().expect("it starts");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Nobody ever writes into the pipe: whoever opens it to read waits for ever.
#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_settings_does_not_hang_a_run() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    for name in NAMES {
        let place = Place::new();
        let made = Command::new("mkfifo").arg(place.path(name)).status();
        assert!(made.is_ok_and(|status| status.success()), "no pipe");
        let words: Vec<_> = TRAIN.split_whitespace().collect();
        let mut command = place.command(&words);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if start.elapsed() > Duration::from_secs(120) {
                child.kill().expect("a child");
                panic!("{name}: the run hangs");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{name}");
    }
}
