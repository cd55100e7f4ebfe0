//! JSON objects in which a key that stands twice is refused: readers keep the last without a word.
//! `serde_with` refuses such a map, too, but does not say which key.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

/// For `#[serde(deserialize_with)]`.
///
/// # Errors
/// Names the key that stands twice.
pub fn unique<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Reader<V>(PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Reader<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a map of names")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = access.next_key::<String>()? {
                match map.entry(key) {
                    Entry::Occupied(twice) => {
                        return Err(A::Error::custom(format!("{:?} stands twice", twice.key())));
                    }
                    Entry::Vacant(place) => place.insert(access.next_value()?),
                };
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Reader(PhantomData))
}

/// Whatever an object holds: only that no two of its own keys are the same.
pub struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        unique::<D, IgnoredAny>(deserializer).map(|_| Self)
    }
}
