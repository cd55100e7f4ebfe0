//! `metrics.jsonl`: one line an epoch, from the first on, none missing and none twice.
//!
//! A line is on the disk before the checkpoint that has its epoch behind it. A program that dies
//! between the two, or inside a line, leaves more than the checkpoint knows of: that is dropped, and
//! trained again. A file system that died may also have lost the newest line and kept the
//! checkpoint: then the line is measured again.

use super::checkpoint::Progress;
use super::run_dir::{EpochMetrics, RunDir};
use crate::files::{LONGEST_TEXT, is_absence, read, write_atomically};
use anyhow::{Context, Result, bail};
use std::fs::OpenOptions;
use std::io::Write;

/// What became of a `metrics.jsonl` when its run went on.
#[derive(Debug, Default, PartialEq)]
pub struct Recovery {
    /// What was dropped, one sentence each.
    pub dropped: Vec<String>,
    /// Whether the newest epoch's line is lost, and has to be measured again.
    pub lacks_newest: bool,
}

/// The lines of the file, and whether half a line follows them.
struct Lines {
    whole: Vec<EpochMetrics>,
    is_torn: bool,
}

impl RunDir {
    /// Appends an epoch to `metrics.jsonl`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append_metrics(&self, metrics: &EpochMetrics) -> Result<()> {
        let path = self.metrics_file();
        let append = || -> Result<()> {
            let mut line = serde_json::to_string(metrics)?;
            line.push('\n');
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(line.as_bytes())?;
            Ok(file.sync_data()?)
        };
        append().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads `metrics.jsonl`; no file is no epoch.
    ///
    /// # Errors
    /// Names file and line that do not fit the schema, or that are out of their order; a last line
    /// cut short is left out.
    pub fn read_metrics(&self) -> Result<Vec<EpochMetrics>> {
        let lines = self.lines()?.whole;
        match (1..).zip(&lines).find(|(epoch, line)| line.epoch != *epoch) {
            None => Ok(lines),
            Some((at, line)) => Err(self.disorder(at, line.epoch, at)),
        }
    }

    /// Makes `metrics.jsonl` end where `progress` does, so that the run can go on.
    ///
    /// # Errors
    /// Names the line that does not fit the schema or its place, or the epochs that are lost.
    pub fn recover_metrics(&self, progress: &Progress) -> Result<Recovery> {
        let Lines { whole, is_torn } = self.lines()?;
        let mut recovery = Recovery::default();
        let mut drop = |what: String| recovery.dropped.push(what);
        let mut kept: Vec<EpochMetrics> = Vec::new();
        for (at, line) in (1..).zip(whole) {
            let next = kept.len() + 1;
            if line.epoch > progress.epoch {
                drop(format!("line {at}: epoch {} has no checkpoint", line.epoch));
            } else if line.epoch == next {
                kept.push(line);
            } else if line.epoch == kept.len() {
                drop(format!("line {at}: epoch {} is there already", line.epoch));
            } else {
                return Err(self.disorder(at, line.epoch, next));
            }
        }
        if is_torn {
            drop("the last line is cut short".into());
        }
        recovery.lacks_newest = kept.len() + 1 == progress.epoch && progress.is_between_epochs();
        if kept.len() < progress.epoch && !recovery.lacks_newest {
            bail!(
                "{} ends with epoch {}, the checkpoint has {} behind it: bring the file back, or \
                 begin again with --force",
                self.metrics_file().display(),
                kept.len(),
                progress.epoch
            );
        }
        if !recovery.dropped.is_empty() {
            let mut text = String::new();
            for line in kept {
                text += &serde_json::to_string(&line).context("encoding metrics")?;
                text.push('\n');
            }
            write_atomically(&self.metrics_file(), text.as_bytes())?;
        }
        Ok(recovery)
    }

    fn lines(&self) -> Result<Lines> {
        let path = self.metrics_file();
        let bytes = match read(&path, LONGEST_TEXT) {
            Err(e) if is_absence(&e) => Vec::new(),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let end = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        let parse = |(at, line): (usize, &[u8])| {
            serde_json::from_slice(line)
                .with_context(|| format!("{}, line {at}: not a line of metrics", path.display()))
        };
        let lines = bytes[..end].split_inclusive(|&b| b == b'\n');
        let whole = (1..).zip(lines).map(parse).collect::<Result<_>>()?;
        Ok(Lines { whole, is_torn: end < bytes.len() })
    }

    fn disorder(&self, at: usize, found: usize, expected: usize) -> anyhow::Error {
        let path = self.metrics_file();
        anyhow::anyhow!("{}, line {at}: epoch {found}, expected {expected}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;

    fn line(epoch: usize) -> String {
        let metrics = EpochMetrics {
            epoch,
            train_loss: Number(f64::NAN),
            train_accuracy: Number(0.1),
            test_loss: Number(1.0),
            test_accuracy: Number(0.1),
            learning_rate: Number(0.1),
            hidden_norms: vec![Number(1.0)],
            gradient_norms: vec![Number(1e-9)],
            growth: None,
            cosine: Vec::new(),
            seconds: Number(1.0),
            growth_of_force: None,
            test_top5: None,
            ranks: Vec::new(),
            samples_per_second: Number(1.0),
        };
        serde_json::to_string(&metrics).unwrap() + "\n"
    }

    /// What is left of the lines of `epochs`, with `tail` behind them, after a checkpoint.
    fn recovered(epochs: &[usize], tail: &str, progress: &Progress) -> Result<(String, Recovery)> {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path());
        let text: String = epochs.iter().map(|&epoch| line(epoch)).collect();
        std::fs::write(run.metrics_file(), text + tail).unwrap();
        let recovery = run.recover_metrics(progress)?;
        Ok((std::fs::read_to_string(run.metrics_file()).unwrap(), recovery))
    }

    fn after(epoch: usize) -> Progress {
        Progress { epoch, seen: 100, ..Progress::default() }
    }

    #[test]
    fn what_no_checkpoint_has_behind_it_is_dropped_and_said() {
        let torn = &line(3)[..20];
        let want = line(1) + &line(2);
        for (epochs, tail, dropped) in [
            (&[1, 2][..], "", vec![]),
            (&[1, 2], torn, vec!["the last line is cut short"]),
            (&[1, 2, 3], "", vec!["line 3: epoch 3 has no checkpoint"]),
            (&[1, 2, 2], "", vec!["line 3: epoch 2 is there already"]),
            (
                &[1, 1, 2],
                torn,
                vec!["line 2: epoch 1 is there already", "the last line is cut short"],
            ),
        ] {
            let (text, recovery) = recovered(epochs, tail, &after(2)).unwrap();
            assert_eq!(text, want, "{epochs:?}");
            assert_eq!(recovery.dropped, dropped);
            assert!(!recovery.lacks_newest);
        }
    }

    #[test]
    fn the_newest_line_alone_can_be_measured_again() {
        let (text, recovery) = recovered(&[1], &line(2)[..9], &after(2)).unwrap();
        assert_eq!((text, recovery.lacks_newest), (line(1), true));
        let inside = Progress { step: 3, ..after(2) };
        for (epochs, progress) in [(&[1][..], &after(3)), (&[1], &inside), (&[], &after(2))] {
            let error = recovered(epochs, "", progress).unwrap_err().to_string();
            assert!(error.contains(&format!("ends with epoch {}", epochs.len())), "{error}");
            assert!(error.contains("--force"), "{error}");
        }
    }

    #[test]
    fn a_line_out_of_its_place_or_without_meaning_is_named() {
        for (epochs, word) in [(&[1, 3, 2][..], "line 2: epoch 3, expected 2"), (&[2], "line 1")] {
            let error = recovered(epochs, "", &after(9)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path());
        for middle in ["", "{}", "{\"epoch\":2,\"trai", "\u{0}\u{0}", "null", "[2]"] {
            std::fs::write(run.metrics_file(), line(1) + middle + "\n" + &line(2)).unwrap();
            for error in
                [run.read_metrics().unwrap_err(), run.recover_metrics(&after(2)).unwrap_err()]
            {
                assert!(error.to_string().contains("metrics.jsonl, line 2: not a line"), "{error}");
            }
        }
        std::fs::write(run.metrics_file(), line(1).into_bytes().repeat(2)).unwrap();
        let error = run.read_metrics().unwrap_err().to_string();
        assert!(error.contains("line 2: epoch 1, expected 2"), "{error}");
    }
}
