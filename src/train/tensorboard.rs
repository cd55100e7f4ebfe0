//! A run's epochs as a TensorBoard event file.
//!
//! Such a file is a sequence of records (TFRecord): the length as a little-endian u64, the masked CRC-32C
//! of that, the record, and the masked CRC-32C of the record; the mask is a rotation by 15 bits and an
//! addition. A record is an `Event` of TensorFlow's `event.proto`, of which three fields are written.

use super::run_dir::EpochMetrics;
use crate::files;
use crate::number::Number;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that a run appends to.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// A new file in `folder`, which is made where it is not there. TensorBoard takes all event files of a
    /// folder for one run, so that a run that goes on adds another.
    ///
    /// # Errors
    /// Names the folder or the file that cannot be made or written.
    pub fn create(folder: &Path) -> Result<Self> {
        files::create_folder(folder)?;
        let now = seconds();
        let name = format!("events.out.tfevents.{:.0}.{}.fa-audit", now * 1e6, std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut events = Self { file, path };
        events.write(&event(now, 0, &Field::FileVersion("brain.Event:2")))?;
        Ok(events)
    }

    /// Adds the scalars of an epoch, which is their step.
    ///
    /// # Errors
    /// Names the file where it cannot be written.
    pub fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        let now = seconds();
        for (tag, value) in scalars(metrics) {
            self.write(&event(now, metrics.epoch as u64, &Field::Scalar(&tag, value.0)))?;
        }
        self.file.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(event);
        record.extend(masked_crc(event).to_le_bytes());
        self.file
            .write_all(&record)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// What of an epoch is drawn, by TensorBoard's tags: those before the slash share a section.
fn scalars(m: &EpochMetrics) -> Vec<(String, Number)> {
    let layers = |name: &str, values: &[Number]| -> Vec<(String, Number)> {
        values.iter().enumerate().map(|(l, value)| (format!("{name}/h_{l}"), *value)).collect()
    };
    let single = [
        ("loss/train", Some(m.train_loss)),
        ("loss/test", Some(m.test_loss)),
        ("accuracy/train", Some(m.train_accuracy)),
        ("accuracy/test", Some(m.test_accuracy)),
        ("accuracy/test_top5", m.test_top5),
        ("learning_rate", Some(m.learning_rate)),
        ("growth", m.growth),
        ("growth_of_force", m.growth_of_force),
    ];
    let single = single.into_iter().filter_map(|(tag, value)| Some((tag.to_string(), value?)));
    single
        .chain(layers("hidden_norm", &m.hidden_norms))
        .chain(layers("gradient_norm", &m.gradient_norms))
        .chain(layers("cosine", &m.cosine))
        .collect()
}

enum Field<'a> {
    /// Field 3 of `Event`.
    FileVersion(&'a str),
    /// A `Summary.Value` in field 5: tag in its field 1, `simple_value` in 2.
    Scalar(&'a str, f64),
}

/// `Event`: `wall_time` in field 1, `step` in 2.
fn event(wall_time: f64, step: u64, field: &Field) -> Vec<u8> {
    let mut out = vec![key(1, FIXED_64)];
    out.extend(wall_time.to_le_bytes());
    out.push(key(2, VARINT));
    out.extend(varint(step));
    match field {
        Field::FileVersion(version) => out.extend(bytes(3, version.as_bytes())),
        Field::Scalar(tag, value) => {
            let mut found = bytes(1, tag.as_bytes());
            found.push(key(2, FIXED_32));
            found.extend((*value as f32).to_le_bytes());
            out.extend(bytes(5, &bytes(1, &found)));
        }
    }
    out
}

/// Wire types of Protocol Buffers.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

fn key(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![key(field, BYTES)];
    out.extend(varint(content.len() as u64));
    out.extend(content);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 1 << 7 {
        out.push(value as u8 | 1 << 7);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn masked_crc(content: &[u8]) -> u32 {
    crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::testing::{Sketch, study};

    /// The records of a file, each checksum held against its bytes.
    fn records(mut rest: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            assert_eq!(after[..4], masked_crc(length).to_le_bytes());
            let n = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (record, after) = after[4..].split_at(n);
            assert_eq!(after[..4], masked_crc(record).to_le_bytes());
            found.push(record.to_vec());
            rest = &after[4..];
        }
        found
    }

    /// CRC-32C's published check value, and the mask of it by hand.
    #[test]
    fn the_checksum_is_the_masked_castagnoli_one() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn an_event_has_the_bytes_that_protocol_buffers_give_it() {
        let found = event(1.0, 300, &Field::Scalar("a/b", 0.5));
        let want = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..], // wall_time = 1.0
            &[0x10, 0xac, 0x02],                       // step = 300
            &[0x2a, 12, 0x0a, 10],                     // summary { value {
            &[0x0a, 3, b'a', b'/', b'b'],              // tag
            &[0x15, 0, 0, 0, 0x3f],                    // simple_value = 0.5
        ];
        assert_eq!(found, want.concat());
    }

    #[test]
    fn every_epoch_has_its_scalars_and_a_run_that_goes_on_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("board/dfa");
        let epochs = [(0.3, 2.0, 1e-4), (0.4, f64::INFINITY, 1e-5)];
        let metrics =
            study(&[Sketch::new(crate::config::Method::Dfa, 42, &epochs)]).runs[0].metrics.clone();
        let mut events = EventFile::create(&folder).unwrap();
        events.append(&metrics[0]).unwrap();
        let mut more = EventFile::create(&folder).unwrap();
        more.append(&metrics[1]).unwrap();
        let found = records(&std::fs::read(&events.path).unwrap());
        assert!(found[0].ends_with(b"brain.Event:2"));
        assert_eq!(found.len(), 1 + scalars(&metrics[0]).len());
        let tags = ["loss/train", "accuracy/test", "growth", "gradient_norm/h_1", "cosine/h_0"];
        for tag in tags {
            let has = |record: &&Vec<u8>| record.windows(tag.len()).any(|w| w == tag.as_bytes());
            assert!(found.iter().any(|record| has(&record)), "{tag}");
        }
        let found = records(&std::fs::read(&more.path).unwrap());
        let infinite = f32::INFINITY.to_le_bytes();
        assert!(found.iter().any(|record| record.ends_with(&infinite)), "what exploded is kept");
    }
}
