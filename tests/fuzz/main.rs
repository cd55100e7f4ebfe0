//! Every reader of a file, on files that were mutated: it accepts or refuses, and never panics, never
//! takes memory beyond a stated bound, never takes long.
//!
//! A third of a second for each reader is part of the ordinary suite. For longer, with the counts:
//! `FUZZ_SECONDS=600 cargo test --test fuzz checkpoint -- --ignored --nocapture`

mod count;
mod foreign;
mod mutate;
mod readers;

use mutate::mutant;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Something that reads a file.
pub struct Reader {
    name: &'static str,
    /// Files that it accepts.
    corpus: Vec<Vec<u8>>,
    /// Puts a mutant into the folder.
    put: Put,
    /// Reads what [`Reader::put`] has put there; whether it was accepted.
    read: Read,
    /// Bytes that it may have at a time, for a file of such a length.
    bound: fn(usize) -> usize,
}

type Put = Box<dyn Fn(&Path, &[u8])>;
type Read = Box<dyn Fn(&Path) -> anyhow::Result<()>>;

/// The longest that a reader may take for a file of these lengths.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happened.
#[derive(Debug, Default)]
struct Counts {
    inputs: u64,
    accepted: u64,
    refused: u64,
    /// Each with the number of its input.
    panics: Vec<String>,
    greatest_allocation: usize,
    slowest: Duration,
}

/// Reads mutants, each from a stream of its own, for so long, and at least five. The
/// number of the first is `FUZZ_FROM`.
fn fuzz(reader: &Reader, time: Duration) -> Counts {
    let folder = tempfile::tempdir().expect("a folder");
    for whole in &reader.corpus {
        (reader.put)(folder.path(), whole);
        (reader.read)(folder.path()).expect("the corpus is accepted");
    }
    let begin = Instant::now();
    let mut counts = Counts::default();
    let first: u64 = std::env::var("FUZZ_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    while counts.inputs < 5 || begin.elapsed() < time {
        let number = first + counts.inputs;
        counts.inputs += 1;
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let bytes = mutant(&reader.corpus, &mut random);
        (reader.put)(folder.path(), &bytes);
        let who = format!("{}, input {number}", reader.name);
        let read = || catch_unwind(AssertUnwindSafe(|| (reader.read)(folder.path())));
        let start = Instant::now();
        let (result, peak) = count::peak(number, read);
        let mut took = start.elapsed();
        if took > PATIENCE {
            // The machine itself may have stood still: once more.
            (reader.put)(folder.path(), &bytes);
            let start = Instant::now();
            let _ = read();
            took = took.min(start.elapsed());
            assert!(took < PATIENCE, "{who}: took {took:?}");
        }
        counts.slowest = counts.slowest.max(took);
        match result {
            Ok(Ok(())) => counts.accepted += 1,
            Ok(Err(error)) => {
                counts.refused += 1;
                assert!(!format!("{error:#}").is_empty(), "{who}: refused without a word");
            }
            Err(payload) => {
                counts.panics.push(format!("input {number}: {}", said(&*payload)));
                // What the message took is not the reader's.
                continue;
            }
        }
        counts.greatest_allocation = counts.greatest_allocation.max(peak);
        let bound = (reader.bound)(bytes.len());
        assert!(peak <= bound, "{who}: {peak} bytes at a time, at most {bound} are allowed");
    }
    counts
}

fn said(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn run(reader: &Reader, time: Duration) {
    let counts = fuzz(reader, time);
    let Counts { inputs, accepted, refused, panics, greatest_allocation, slowest } = &counts;
    println!(
        "{}: {inputs} inputs, {accepted} accepted, {refused} refused, {} panics, at most \
         {greatest_allocation} bytes at a time, at most {slowest:.1?}",
        reader.name,
        panics.len()
    );
    assert!(panics.is_empty(), "{}: {}", reader.name, panics.join("\n"));
}

/// A short and a long test for each reader.
macro_rules! fuzz {
    ($($reader:ident),+ $(,)?) => {$(
        mod $reader {
            use super::{Duration, readers, run};

            #[test]
            fn no_mutant_is_more_than_refused() {
                run(&readers::$reader(), Duration::from_millis(300));
            }

            #[test]
            #[ignore = "takes as long as FUZZ_SECONDS says"]
            fn as_long_as_asked() {
                let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
                run(&readers::$reader(), Duration::from_secs(seconds.unwrap_or(60)));
            }
        }
    )+};
}

// One line a reader; its function is in readers.rs or foreign.rs.
fuzz!(
    checkpoint,
    cifar,
    claims,
    config,
    metrics,
    printed,
    run_record,
    study,
    study_plan,
    verdict,
    safetensors,
    npz,
    baseline,
    import_pt,
    import_safetensors,
);

#[test]
fn the_harness_sees_a_panic_and_every_byte_that_is_taken() {
    let corpus = vec![b"0123456789".to_vec()];
    let read = Box::new(|folder: &Path| {
        let bytes = std::fs::read(folder.join("file"))?;
        assert!(bytes.len() != 5, "five");
        drop(std::hint::black_box(vec![1u8; 3 << 20]));
        Ok(())
    });
    let put = Box::new(|folder: &Path, bytes: &[u8]| {
        std::fs::write(folder.join("file"), bytes).expect("written");
    });
    let reader = Reader { name: "itself", corpus, put, read, bound: |_| 4 << 20 };
    let counts = fuzz(&reader, Duration::from_secs(1));
    assert!(!counts.panics.is_empty() && counts.panics.iter().all(|p| p.ends_with(": five")));
    assert!((3 << 20..4 << 20).contains(&counts.greatest_allocation), "{counts:?}");
    assert_eq!(counts.accepted + counts.panics.len() as u64, counts.inputs);
    let greedy = Reader { bound: |_| 1 << 20, ..reader };
    let error = catch_unwind(AssertUnwindSafe(|| fuzz(&greedy, Duration::ZERO))).unwrap_err();
    assert!(said(&*error).contains("1048576 are allowed"), "{}", said(&*error));
}
