//! Paths of any bytes: on Unix a name need not be text.

use crate::common::{CIFAR10, Outcome, Place, SMALL};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A folder that no text names, é in Latin-1; words that begin with `@` lie in it.
const FOLDER: &[u8] = b"caf\xe9";

fn run(place: &Place, line: &str) -> Outcome {
    let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
        Some(rest) => OsString::from_vec([FOLDER, b"/", rest.as_bytes()].concat()),
        None => word.into(),
    });
    let mut command = place.command(&[]);
    Outcome::of(command.args(words).output().expect("the program starts"))
}

fn done(place: &Place, line: &str) -> Outcome {
    let outcome = run(place, line);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.stderr);
    outcome
}

#[test]
fn every_command_works_where_no_name_is_text() {
    let place = Place::new();
    let folder = place.path(".").join(OsStr::from_bytes(FOLDER));
    std::fs::create_dir(&folder).expect("a folder");
    let small = SMALL.replace("epochs = 3", "epochs = 1");
    std::fs::write(folder.join("small.toml"), &small).expect("written");
    let study = format!(
        "name = 's'\nclaims = 'claims.toml'\n[base]\n{small}control_samples = 16\nnull_draws = 2\n\
         perturbation_directions = 1\n[[grid]]\nmethod = ['dfa']\n"
    );
    std::fs::write(folder.join("study.toml"), study).expect("written");
    let claims = "[[claim]]\nclaim = 'x'\nmethod = 'dfa'\nmetric = 'accuracy'\nthreshold = 'above 0'\nseeds = [42]\n";
    std::fs::write(folder.join("claims.toml"), claims).expect("written");
    done(&place, "train --config @small.toml --method dfa --out @run");
    done(&place, "train --config @small.toml --method frozen --out @frozen");
    done(&place, "train --out @run --resume");
    done(&place, "diagnose @run --frozen @frozen/checkpoint.mpk");
    done(&place, "diagnose @run/checkpoint.mpk --out @collected");
    done(&place, "report @run");
    done(&place, "report @run --format html --out @page.html");
    done(&place, "verify @run");
    done(&place, "audit @study.toml --out @study");
    done(&place, "verify @study");
    done(&place, "verify @page.html --of @run");
    done(&place, "regress @base.json @study --update");
    done(&place, "regress @base.json @study");
    std::fs::write(folder.join("trace.npz"), include_bytes!("../golden/biotorch.npz"))
        .expect("written");
    done(&place, "diagnose @trace.npz");
    std::fs::write(folder.join("bad.pt"), "").expect("written");
    let outcome = run(&place, "import @bad.pt --config @small.toml --out @c.mpk");
    assert!(
        outcome.code == 1 && outcome.stderr.contains("the file is empty"),
        "{}",
        outcome.stderr
    );
    let outcome = run(&place, "train --config @nothing.toml");
    assert!(outcome.code == 1 && outcome.stderr.contains("nothing.toml"), "{}", outcome.stderr);
}

#[test]
fn a_folder_of_data_that_no_text_names_is_found_and_found_again() {
    let place = Place::new();
    let folder = place.path(".").join(OsStr::from_bytes(FOLDER)).join("cifar");
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in CIFAR10 {
        // A sparse file: black images of class 0.
        let file = std::fs::File::create(folder.join(format!("{name}.bin"))).expect("a file");
        file.set_len(10_000 * 3073).expect("a length");
    }
    assert!(done(&place, "data info --data-dir @cifar").stdout.contains("test_batch.bin"));
    // Data of one class are refused by no reader; a label that is none is, and names the file.
    std::fs::write(folder.join("data_batch_2.bin"), vec![255; 10_000 * 3073]).expect("written");
    let train = "train --config cifar.toml --dataset cifar10 --data-dir @cifar --out r";
    let outcome = run(&place, train);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("data_batch_2.bin: found label 255"), "{}", outcome.stderr);
}
