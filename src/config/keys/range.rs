//! Which values a key may have, whatever the others are.

use super::Value;

/// The values of a key that mean something.
#[derive(Clone, Copy, Debug)]
pub enum Range {
    /// A whole number from 1 to this.
    Count(usize),
    /// A whole number, 0 or more.
    Index,
    Seed,
    /// A finite number, 0 or more.
    NotNegative,
    /// A finite number above 0.
    Positive,
    /// A number from 0 to below 1.
    BelowOne,
    /// A number from 0 to 1.
    Share,
    /// A finite number.
    Finite,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
    /// Finished epochs, in any order.
    Epochs,
    Device,
    Folder,
    /// A file of ours.
    Checkpoint,
    /// Of a file, in hexadecimal.
    Sha256,
}

/// TOML holds no larger integer.
const LARGEST_SEED: u64 = i64::MAX as u64;

impl Range {
    /// Whether `value` is of the range, and of its type.
    pub fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Count(most), Value::Whole(n)) => (1..=most as u64).contains(n),
            (Self::Seed, Value::Whole(n)) => *n <= LARGEST_SEED,
            (Self::NotNegative, Value::Real(x)) => x.is_finite() && *x >= 0.0,
            (Self::Positive, Value::Real(x)) => x.is_finite() && *x > 0.0,
            (Self::BelowOne, Value::Real(x)) => (0.0..1.0).contains(x),
            (Self::Share, Value::Real(x)) => (0.0..=1.0).contains(x),
            (Self::Finite, Value::Real(x)) => x.is_finite(),
            (Self::Words(words), Value::Word(word)) => words().contains(word),
            (Self::Device, Value::Text(device)) => {
                ["auto", "cpu"].contains(&device.as_str()) || is_cuda(device)
            }
            (Self::Sha256, Value::Text(digest)) => {
                digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
            (Self::Index, Value::Whole(_))
            | (Self::Flag, Value::Flag(_))
            | (Self::Epochs, Value::Wholes(_))
            | (Self::Folder | Self::Checkpoint, Value::Text(_) | Value::Nothing)
            | (Self::Sha256, Value::Nothing) => true,
            _ => false,
        }
    }

    /// What was expected, for messages and lists.
    pub fn wanted(self) -> String {
        match self {
            Self::Count(most) => format!("a whole number from 1 to {most}"),
            Self::Index => "a whole number, 0 or more".into(),
            Self::Seed => format!("at most {LARGEST_SEED}: TOML holds no larger integer"),
            Self::NotNegative => "a finite number, 0 or more".into(),
            Self::Positive => "a finite number above 0".into(),
            Self::BelowOne => "a number from 0 to below 1".into(),
            Self::Share => "a number from 0 to 1".into(),
            Self::Finite => "a finite number".into(),
            Self::Flag => "true or false".into(),
            Self::Words(words) => words().join(", "),
            Self::Epochs => "a list of epochs".into(),
            Self::Device => "auto, cpu, cuda or cuda:N".into(),
            Self::Folder => "a folder".into(),
            Self::Checkpoint => "a checkpoint".into(),
            Self::Sha256 => "64 digits of 0 to 9 and a to f".into(),
        }
    }
}

/// Whether `device` names a GPU: `cuda` or `cuda:N`.
pub(in crate::config) fn is_cuda(device: &str) -> bool {
    device == "cuda" || device.strip_prefix("cuda:").is_some_and(|n| n.parse::<usize>().is_ok())
}
