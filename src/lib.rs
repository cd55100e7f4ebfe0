//! fa-audit: tells whether a feedback-alignment training run can be believed.
//!
//! The way of the data, which is also the direction of the imports:
//!
//! ```text
//! config ─► data ─► train (model × learner × update rule) ─► checkpoint.mpk
//!                                                                   │
//!             probe: checkpoint × evaluation batches                ▼
//!                                        LayerTrace (plain host arrays)
//!                                                                   │
//!             evidence (do the arrays agree?) ─► diagnostics (pure functions, f64) ─► verdict ─► report
//! ```
//!
//! Left of [`trace::LayerTrace`] are tensors on a device; right of it is plain arithmetic that
//! needs no backend.
//!
//! What is computed, and why so, stands in `data/guide/protocol.md`, which the code cites by section:
//! "protocol §4".
//!
//! | module | what lives there, and nothing else |
//! |---|---|
//! | [`cli`] | what was typed, one file a subcommand, each a short story that calls the rest; exit codes |
//! | [`config`] | the resolved, validated configuration: one table of its keys, each with its meaning, default, range and roles; what a run is named by |
//! | [`rng`] | random streams derived from (seed, name); no global seed |
//! | [`data`] | datasets on the host: CIFAR readers, images and vectors that are made from a seed; augmentation; batches |
//! | [`model`] | `embed → blocks → readout` networks, one file each, what a pass through them carries, their named parameters, the objective and its targets |
//! | [`learn`] | what makes gradients of a batch: three families, one file a rule with its equation and identity card on top |
//! | [`train`] | the loop, where its batches come from, update rules, schedule, checkpoint, run directory, the run's lifecycle |
//! | [`import`] | PyTorch state dicts as checkpoints: readers for untrusted files, names, shapes |
//! | [`probe`] | runs a network over evaluation batches and fills a `LayerTrace` |
//! | [`trace`] | `LayerTrace`: the one place where the two worlds meet; trace files of other programs |
//! | [`evidence`] | do the arrays agree with each other and with what is said of them? one file a check |
//! | [`diagnostics`] | one file a diagnostic or control, each citing its definition |
//! | [`verdict`] | thresholds with their calibration ranges, statuses, the rule, reasons as sentences |
//! | [`battery`] | the harness audited: controls that must show nothing, and what must be the run's own; one file a control |
//! | [`audit`] | one run's audit: a checkpoint (load, probe, controls, find its frozen twin) or a trace, judged; whether a verdict still stands |
//! | [`stats`] | mean, sample standard deviation, median, interval, correlation |
//! | [`files`] | artefacts are written whole or not at all, and read within bounds |
//! | [`foreign`] | what a file that is not the expected one seems to be |
//! | [`failure`] | which failures are the user's words, and so a usage error; panics, and so a defect |
//! | `message` | what is said on standard error, which never ends the work |
//! | `shown` | text that others wrote, made safe to show |
//! | [`number`] | numbers in artefacts: those that are not finite are strings |
//! | `words` | how numbers and lists are worded |
//! | `tables` | the lists to which a rule, a network or a control is added by one line |
//! | [`claims`] | what a study is meant to show, said before it is trained |
//! | [`study`] | a grid of runs and their frozen twins: what is missing, workers, shards, merging; what its runs tell together |
//! | [`regress`] | a run or study held against a stored baseline: tolerances, what moved, what is missing |
//! | [`report`] | one result, one small file a format |
//! | [`bundle`] | a study as a folder for a paper's supplement: copies, hashes, metadata, what names nobody |
//! | [`verify`] | every printed number recomputed from the artefacts, and the first that differs |
//! | `unique` | JSON objects in which no key stands twice |
//! | [`pitfalls`] | the field's seven silent mistakes, demonstrated live |
//! | [`backend`] | which devices exist, probing CUDA, the precision of its products, the processor's instruction sets, the step's own operations, and the only place where concrete backends are named |

// `message::tell` and the printing in `cli` outlive a pipe that is closed and a disk that is full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod audit;
pub mod backend;
pub mod battery;
pub mod bundle;
pub mod claims;
pub mod cli;
pub mod config;
pub mod data;
pub mod diagnostics;
pub mod evidence;
pub mod failure;
pub mod files;
pub mod foreign;
pub mod import;
pub mod learn;
mod message;
pub mod model;
pub mod number;
pub mod pitfalls;
pub mod probe;
pub mod regress;
pub mod report;
pub mod rng;
mod shown;
pub mod stats;
pub mod study;
mod tables;
pub mod trace;
pub mod train;
mod unique;
pub mod verdict;
pub mod verify;
mod words;

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The time in UTC, to the second (RFC 3339).
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Calls `read` with every text file below `folder`.
    fn each_text(folder: &Path, read: &mut impl FnMut(&Path, &str)) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                each_text(&path, read);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                read(&path, &text);
            }
        }
    }

    /// The number after the sign of a section: `4`, `2.1`.
    fn number(text: &str) -> &str {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].trim_end_matches('.')
    }

    #[test]
    fn every_section_of_the_protocol_that_is_cited_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let protocol = include_str!("../data/guide/protocol.md");
        let sections: Vec<&str> = protocol
            .lines()
            .filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")))
            .map(number)
            .collect();
        assert!(sections.contains(&"2.1") && sections.contains(&"14"), "{sections:?}");
        let mut cited = 0;
        let mut check = |path: &Path, text: &str| {
            for (at, sign) in text.match_indices('\u{a7}') {
                // Another author's section has the author's name before it.
                if text[..at].ends_with("Hahn & Meeker 1991, ") {
                    continue;
                }
                let section = number(&text[at + sign.len()..]);
                assert!(sections.contains(&section), "{}: section {section}", path.display());
                cited += 1;
            }
        };
        for folder in ["src", "tests", "data", "benches", "configs"] {
            each_text(&root.join(folder), &mut check);
        }
        assert!(cited > 40, "{cited}");
    }
}
