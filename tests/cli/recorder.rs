//! `fa-audit recorder`: the files that the Python package has, to the byte.

use crate::common::Place;
use std::path::Path;

#[test]
fn a_recorder_that_is_copied_is_the_packages_file() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/fa_audit");
    let place = Place::new();
    for name in ["torch", "jax"] {
        let file = std::fs::read_to_string(package.join(name).with_extension("py"));
        let file = file.expect("a file of the package");
        let printed = place.done(&format!("recorder {name}")).stdout;
        assert!(printed == file, "{name}: what is printed is another text");
        // It says how it is used under the name that the help gives it, and needs nothing beside it.
        assert!(file.contains("from fa_recorder import Recorder"), "{name}");
        let imports = file.lines().filter(|line| line.trim_start().starts_with("from fa_audit"));
        // The one that its documentation shows.
        assert_eq!(imports.count(), 1, "{name}");
    }
}

#[test]
fn the_version_says_of_which_revision_and_with_which_backends() {
    let place = Place::new();
    let long = place.done("--version").stdout;
    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(lines[0], concat!("fa-audit ", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("revision ") && lines[1].len() > "revision ".len(), "{long}");
    assert!(lines[2].starts_with("features ") && lines[2].contains("flex"), "{long}");
    assert!(long.contains("Burn 0.21.0") && long.contains("backends flex"), "{long}");
    assert_eq!(place.done("-V").stdout.trim_end(), lines[0]);
}

#[test]
fn a_recorder_that_there_is_not_is_a_usage_error_that_names_those_there_are() {
    let outcome = Place::new().run("recorder tensorflow");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("torch, jax"), "{}", outcome.stderr);
}
