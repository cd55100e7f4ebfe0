//! The bits of a run are those of its machine: what decides them is recorded, and mixtures are said.

use crate::common::{Outcome, Place};

#[test]
fn a_run_records_its_instruction_sets_and_a_study_says_where_they_are_mixed() {
    let place = Place::new();
    let text = "name = 's'\n[base]\nepochs = 1\nwidth = 8\ndepth = 1\ntrain_samples = 64\n\
                test_samples = 64\nprobe_batches = 2\nprobe_batch_size = 32\ncontrol_samples = 16\n\
                null_draws = 2\nperturbation_directions = 1\n[[grid]]\nmethod = ['dfa']\nseed = [1]\n";
    place.write("study.toml", text);
    let audit = "audit study.toml --out s";
    // One part of it on this machine, and then as if that had been another.
    place.done(&format!("{audit} --shard 1/2"));
    let run = std::fs::read_dir(place.path("s"))
        .expect("a study")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| place.path(&format!("s/{name}/checkpoint.mpk")).exists())
        .expect("a run");
    let file = format!("s/{run}/run.json");
    let mut record = place.json(&file);
    let ours = record["provenance"]["instruction_sets"].as_str().expect("recorded").to_owned();
    assert!(ours.starts_with(std::env::consts::ARCH), "{ours}");
    let theirs = "riscv64: v";
    record["provenance"]["instruction_sets"] = theirs.into();
    place.write(&file, record.to_string());

    let said = place.done(&format!("{audit} --shard 2/2")).stderr;
    let note = "note: processors of different instruction sets, which give other last bits:";
    for part in [note, &format!("  {theirs}: 1 run"), &format!("  {ours}: this machine")] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    let said = place.done(audit).stderr;
    for part in [note, &format!("  {theirs}: 1 run"), &format!("  {ours}: 1 run")] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    for format in ["md", "html"] {
        let page = place.done(&format!("report s --format {format}")).stdout;
        assert!(page.contains(theirs) && page.contains(&ours), "{format}");
    }
    record["provenance"]["instruction_sets"] = ours.into();
    place.write(&file, record.to_string());
    let said = place.done(audit).stderr;
    assert!(!said.contains("instruction sets"), "{said}");
}

#[test]
fn a_pinned_instruction_set_is_recorded_and_one_that_is_not_there_is_refused() {
    let place = Place::new();
    let pinned = |word: &str, line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = place.command(&words);
        Outcome::of(command.env("FA_AUDIT_INSTRUCTION_SET", word).output().expect("it starts"))
    };
    let refused = pinned("mmx", "keys width");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("FA_AUDIT_INSTRUCTION_SET")
            && refused.stderr.contains("avx2, avx512")
    );

    let train = "train --config small.toml --method dfa --epochs 1";
    place.done(&format!("{train} --out native"));
    let native = place.json("native/run.json")["provenance"]["instruction_sets"].to_string();
    let done = pinned("avx2", &format!("{train} --out pinned"));
    if native.contains("products baseline") {
        assert_eq!(done.code, 2, "{}", done.stderr);
        return;
    }
    assert_eq!(done.code, 0, "{}", done.stderr);
    let recorded = place.json("pinned/run.json")["provenance"]["instruction_sets"].to_string();
    assert!(recorded.contains("products avx2 (pinned)"), "{recorded}");
    if native.contains("products avx2") {
        let bits = |run: &str| {
            std::fs::read(place.path(&format!("{run}/checkpoint.mpk"))).expect("a checkpoint")
        };
        assert!(bits("native") == bits("pinned"), "the same kernels, and other bits");
        assert_eq!(pinned("avx512", "keys width").code, 2);
    }
}
