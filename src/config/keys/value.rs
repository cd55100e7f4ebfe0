//! A key's value without its type: what messages, labels, artefacts and identities are made of.

use crate::data::DatasetKind;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// The value of a key in one configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Flag(bool),
    Whole(u64),
    Real(f64),
    /// One of a closed list.
    Word(&'static str),
    Text(String),
    Wholes(Vec<usize>),
    /// Not given, where a key may be left out for good.
    Nothing,
}

/// The types that a key may have.
pub trait Typed {
    /// The value without its type.
    fn value(&self) -> Value;
}

impl Typed for bool {
    fn value(&self) -> Value {
        Value::Flag(*self)
    }
}

impl Typed for usize {
    fn value(&self) -> Value {
        Value::Whole(*self as u64)
    }
}

impl Typed for u64 {
    fn value(&self) -> Value {
        Value::Whole(*self)
    }
}

impl Typed for f64 {
    fn value(&self) -> Value {
        Value::Real(*self)
    }
}

impl Typed for String {
    fn value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl Typed for Vec<usize> {
    fn value(&self) -> Value {
        Value::Wholes(self.clone())
    }
}

impl Typed for Option<PathBuf> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Nothing, |path| Value::Text(path.display().to_string()))
    }
}

impl Typed for Option<String> {
    fn value(&self) -> Value {
        self.clone().map_or(Value::Nothing, Value::Text)
    }
}

impl Typed for DatasetKind {
    fn value(&self) -> Value {
        Value::Word(self.name())
    }
}

impl Value {
    /// As it stands in labels: a word bare, anything else as in JSON.
    pub fn in_label(&self) -> String {
        match self {
            Self::Word(word) => (*word).into(),
            Self::Text(text) => text.clone(),
            other => serde_json::json!(other).to_string(),
        }
    }

    /// As it stands in an identity: a form of our own, which no dependency's release can change. A
    /// real number has its shortest digits that tell it apart and an exponent; a zero has no sign.
    pub(in crate::config) fn canonical(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(n) => n.to_string(),
            Self::Real(x) => format!("{:e}", x + 0.0),
            Self::Word(word) => (*word).into(),
            // No text may look like two lines.
            Self::Text(text) => format!("{text:?}"),
            Self::Wholes(list) => format!("{list:?}"),
            Self::Nothing => "nothing".into(),
        }
    }
}

/// As it stands in messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Whole(n) => write!(f, "{n}"),
            Self::Real(x) => write!(f, "{x}"),
            Self::Word(word) => f.write_str(word),
            Self::Text(text) => f.write_str(text),
            Self::Wholes(list) => write!(f, "{list:?}"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Whole(n) => serializer.serialize_u64(*n),
            Self::Real(x) => serializer.serialize_f64(*x),
            Self::Word(word) => serializer.serialize_str(word),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Wholes(list) => list.serialize(serializer),
            Self::Nothing => serializer.serialize_none(),
        }
    }
}
