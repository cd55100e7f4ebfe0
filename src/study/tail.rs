//! What is new in a `metrics.jsonl` since the last look, for the display alone: what cannot be read now
//! is shown later, and whoever counts on the file reads it by [`RunDir::read_metrics`].
//!
//! [`RunDir::read_metrics`]: crate::train::run_dir::RunDir::read_metrics

use crate::train::run_dir::EpochMetrics;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// A file that grows by a line an epoch.
pub struct Tail {
    file: PathBuf,
    /// Bytes read.
    at: u64,
}

impl Tail {
    /// From the start of `file`.
    pub fn new(file: PathBuf) -> Self {
        Self { file, at: 0 }
    }

    /// The epochs that were recorded since the last call; all of them where the file was rewritten.
    pub fn read(&mut self) -> Vec<EpochMetrics> {
        let length = std::fs::metadata(&self.file).map_or(0, |m| m.len());
        if length < self.at {
            self.at = 0;
        }
        if length == self.at {
            return Vec::new();
        }
        self.lines().unwrap_or_else(|| {
            // The lines are others than those that were read.
            self.at = 0;
            self.lines().unwrap_or_default()
        })
    }

    fn lines(&mut self) -> Option<Vec<EpochMetrics>> {
        let mut file = File::open(&self.file).ok()?;
        file.seek(SeekFrom::Start(self.at)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let complete = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..complete].split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let epochs = lines.map(|line| serde_json::from_slice(line).ok()).collect();
        self.at += complete as u64;
        epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;

    fn line(epoch: usize, seconds: f64) -> String {
        let metrics = EpochMetrics {
            epoch,
            train_loss: Number(f64::NAN),
            train_accuracy: Number(0.1),
            test_loss: Number(1.0),
            test_accuracy: Number(0.1),
            learning_rate: Number(0.1),
            hidden_norms: Vec::new(),
            gradient_norms: Vec::new(),
            growth: None,
            cosine: Vec::new(),
            seconds: Number(seconds),
            growth_of_force: None,
            test_top5: None,
            ranks: Vec::new(),
            samples_per_second: Number(1.0),
        };
        serde_json::to_string(&metrics).unwrap() + "\n"
    }

    #[test]
    fn each_epoch_is_read_once_and_half_a_line_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut tail = Tail::new(path.clone());
        let mut read = || tail.read().iter().map(|m| m.epoch).collect::<Vec<_>>();
        assert!(read().is_empty());
        let (first, second) = (line(1, 1.0), line(2, 1.0));
        std::fs::write(&path, &first).unwrap();
        assert_eq!(read(), [1]);
        assert!(read().is_empty());
        std::fs::write(&path, format!("{first}{}", &second[..9])).unwrap();
        assert!(read().is_empty());
        std::fs::write(&path, format!("{first}{second}")).unwrap();
        assert_eq!(read(), [2]);
        // A resumed run drops an epoch and records it again, with another time.
        std::fs::write(&path, &first).unwrap();
        assert_eq!(read(), [1]);
        std::fs::write(&path, format!("{}{}", line(1, 1.125), line(2, 1.0))).unwrap();
        assert_eq!(read(), [1, 2]);
    }
}
