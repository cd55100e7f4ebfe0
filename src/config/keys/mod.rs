//! The keys of a configuration, in one table: [`table`] has an entry for each, with its type, its
//! meaning, its default, its range and its roles, and nothing else in the program lists keys. An
//! entry that lacks one of them does not compile; a new key is a new entry.
//!
//! The table makes [`Config`], a field for each key, and [`KEYS`], what is known of each.

mod range;
mod role;
mod table;
mod value;

pub use range::Range;
pub use role::{Comparison, Label, Role};
pub use table::{Config, KEYS};
pub use value::{Typed, Value};

pub(super) use range::is_cuda;

use super::Arch;
use crate::data::DatasetKind;
use serde::{Deserialize, Deserializer};

/// What is known of a key.
pub struct Key {
    pub name: &'static str,
    /// A line for each line of the table.
    doc: &'static str,
    pub range: Range,
    pub role: Role,
    pub label: Label,
    /// Whether an epoch's time depends on it.
    pub takes_time: bool,
    pub(super) value: fn(&Config) -> Value,
    /// Sets it in the first to what it is in the second.
    pub(super) copy: fn(&mut Config, &Config),
    /// What artefacts from before the key mean by not having it.
    absent: fn() -> Option<Value>,
    matters: fn(&Config) -> bool,
    /// What else must hold, beside the range.
    pub(super) fits: fn(&Config) -> Result<(), String>,
}

/// The key of this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// Its value in `config`.
    pub fn value(&self, config: &Config) -> Value {
        (self.value)(config)
    }

    /// Whether the run of `config` depends on it, or what measures that run does: another value
    /// would change no number where it does not.
    pub fn matters(&self, config: &Config) -> bool {
        (self.matters)(config)
    }

    /// What runs from before there was the key had; `None` for a key of the first version. A run that
    /// has it is named as it was then.
    pub fn before_it_was_there(&self) -> Option<Value> {
        (self.absent)()
    }

    /// What it means, where its default comes from: sentences in one line.
    pub fn meaning(&self) -> String {
        self.doc.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Its default; where that depends on the network or the data, each with the words that bring it:
    /// `128 (vit-mini), 256 (resmlp)`.
    pub fn default_in_words(&self) -> String {
        let mut found: Vec<(String, Vec<(Arch, DatasetKind)>)> = Vec::new();
        for &arch in Arch::ALL {
            for dataset in DatasetKind::ALL {
                let value = self.value(&Config::published(arch, dataset)).to_string();
                match found.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, places)) => places.push((arch, dataset)),
                    None => found.push((value, vec![(arch, dataset)])),
                }
            }
        }
        if let [(value, _)] = &found[..] {
            return value.clone();
        }
        let in_words = |(value, places): &(String, Vec<(Arch, DatasetKind)>)| {
            format!("{value} ({})", conditions(places))
        };
        found.iter().map(in_words).collect::<Vec<_>>().join(", ")
    }
}

/// The networks and data of `places`, each where it does not go without saying.
fn conditions(places: &[(Arch, DatasetKind)]) -> String {
    let has = |wanted: (Arch, DatasetKind)| places.contains(&wanted);
    let archs = Arch::ALL.iter().filter(|&&arch| DatasetKind::ALL.iter().any(|&d| has((arch, d))));
    let sets = DatasetKind::ALL.iter().filter(|&&d| Arch::ALL.iter().any(|&arch| has((arch, d))));
    let archs: Vec<&str> = archs.map(|arch| arch.word()).collect();
    let sets: Vec<&str> = sets.map(|dataset| dataset.name()).collect();
    let mut words = Vec::new();
    if archs.len() < Arch::ALL.len() {
        words.push(archs.join(", "));
    }
    if sets.len() < DatasetKind::ALL.len() {
        words.push(sets.join(", "));
    }
    words.join(" on ")
}

/// The expectation that a value does not meet, as every message has it.
pub(super) fn expect(
    holds: bool,
    value: impl std::fmt::Display,
    wanted: impl std::fmt::Display,
) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{value} is not valid, expected {wanted}")) }
}

/// A key that stands in an artefact, whatever its value.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// Makes the table: what stands around the entries. `$arch` and `$dataset` are what a default may
/// depend on, `$c` the configuration that `when`, `fits` and a label look at.
macro_rules! keys {
    (
        default of ($arch:ident, $dataset:ident), all else of $c:ident;
        $(
            $(#[doc = $doc:literal])+
            $name:ident: $type:ty {
                default: $default:expr, range: $range:expr, absent: $absent:expr,
                role: $role:ident, label: $label:expr, time: $time:literal, when: $when:expr
                $(, fits: $fits:expr)? $(,)?
            }
        )+
    ) => {
        /// A resolved configuration: all keys present, all values validated.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(try_from = "Given")]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Config {
            /// The published settings of an architecture on a dataset.
            pub fn published($arch: Arch, $dataset: DatasetKind) -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// What is known of each key, in the order in which they are written.
        pub static KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            doc: concat!($($doc, "\n"),+),
            range: $range,
            role: Role::$role,
            label: $label,
            takes_time: $time,
            value: |config| config.$name.value(),
            copy: |to, from| to.$name = from.$name.clone(),
            absent: || {
                let absent: Option<$type> = $absent;
                absent.map(|value| value.value())
            },
            matters: |$c| {
                let _ = $c;
                $when
            },
            fits: |$c| {
                let _ = $c;
                $($fits?;)?
                Ok(())
            },
        }),+];

        /// The keys that an artefact has.
        #[derive(Deserialize)]
        #[serde(rename = "Config", deny_unknown_fields)]
        struct Given {
            $(#[serde(default, deserialize_with = "given")] $name: Option<$type>,)+
        }

        impl TryFrom<Given> for Config {
            type Error = String;

            fn try_from(given: Given) -> Result<Self, String> {
                let missing = |name: &str| format!("missing field `{name}`");
                Ok(Self {
                    $($name: match (given.$name, $absent) {
                        (Some(value), _) | (None, Some(value)) => value,
                        (None, None) => return Err(missing(stringify!($name))),
                    },)+
                })
            }
        }
    };
}
use keys;

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
