//! A study as a folder for a paper's supplement, and that folder trained anew.

use crate::common::{Place, SMALL};

fn study(place: &Place) {
    let text = format!(
        "name = 's'\n[base]\n{SMALL}control_samples = 64\nperturbation_directions = 2\nnull_draws = 3\n\
         data_dir = '/home/somebody/data'\n[[grid]]\nmethod = ['dfa']\nseed = [1]\n"
    );
    place.write("study.toml", text);
    place.done("audit study.toml --out s");
}

#[test]
fn a_bundle_is_checked_read_and_trained_anew_somewhere_else() {
    let place = Place::new();
    study(&place);
    let outcome = place.done("bundle s --out b --author Ada --license https://example.org/licence");
    assert!(outcome.stderr.contains("files"), "{}", outcome.stderr);
    for file in [
        "study.toml",
        "study.json",
        "baseline.json",
        "report.md",
        "report.html",
        "tables.tex",
        "long.csv",
        "checklist.md",
        "checkpoints.sha256",
        "ro-crate-metadata.json",
        "README.md",
        "SHA256SUMS",
        "figures/captions.md",
    ] {
        assert!(place.path("b").join(file).exists(), "{file}");
    }
    assert!(!place.read("b/SHA256SUMS").contains(".mpk"), "the networks stay where they are");
    assert_eq!(place.read("b/checkpoints.sha256").lines().count(), 2, "a run and its frozen twin");
    assert_eq!(place.done("report b --format md").stdout, place.read("s/report.md"));

    let crate_ = place.json("b/ro-crate-metadata.json");
    let graph = crate_["@graph"].as_array().expect("a graph");
    let entity = |id: &str| {
        graph.iter().find(|entity| entity["@id"] == id).unwrap_or_else(|| panic!("{id}"))
    };
    assert_eq!(entity("./")["author"]["@id"], "#author-1");
    assert_eq!(entity("#author-1")["name"], "Ada");
    for line in place.read("b/SHA256SUMS").lines() {
        let (_, file) = line.split_once("  ").expect("a hash and a name");
        if file != "ro-crate-metadata.json" {
            entity(file);
        }
    }

    // The study file names a folder that is nowhere; the data are generated.
    let again = place.done("replay b --out again");
    assert!(again.stdout.contains("dfa"), "{}", again.stdout);
    assert!(
        again.stderr.contains("no regression") || again.stdout.contains("no regression"),
        "{} {}",
        again.stdout,
        again.stderr
    );

    place.write("b/checklist.md", "another");
    let outcome = place.run("replay b --out third");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("checklist.md is not what was bundled"), "{}", outcome.stderr);
    let outcome = place.run("bundle s --out b");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("is not empty"), "{}", outcome.stderr);
    let outcome = place.run("replay s");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("holds no bundle"), "{}", outcome.stderr);
}

#[test]
fn an_anonymous_bundle_names_no_folder_and_no_person() {
    let place = Place::new();
    study(&place);
    place.done("bundle s --out b --anonymous");
    let home = place.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let mut folders = vec![place.path("b")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).expect("a text");
            seen += 1;
            for secret in [home, "somebody", "data_dir"] {
                assert!(!text.contains(secret), "{}: {secret}", entry.path().display());
            }
        }
    }
    assert!(seen > 20, "{seen}");
    place.done("report b");
    let outcome = place.run("bundle s --out c --anonymous --author Ada");
    assert_eq!(outcome.code, 2);
}

#[test]
fn a_study_that_did_not_finish_is_no_bundle() {
    let place = Place::new();
    study(&place);
    let run =
        std::fs::read_dir(place.path("s")).expect("runs").flatten().find(|e| e.path().is_dir());
    std::fs::remove_file(run.expect("a run").path().join("verdict.json")).expect("it is there");
    let outcome = place.run("bundle s");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("has no verdict"), "{}", outcome.stderr);
    assert!(!place.path("s-bundle").exists());
}
