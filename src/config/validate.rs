//! What a configuration's values must satisfy.

use super::Config;
use super::keys::{KEYS, Key, expect};

/// A value that means nothing, and what was expected.
#[derive(Debug)]
pub struct Invalid {
    pub key: &'static str,
    pub problem: String,
}

/// Checks ranges, and then what a key asks of the others.
///
/// # Errors
/// The first key whose value is out of range, with the expectation.
pub fn validate(config: &Config) -> Result<(), Invalid> {
    let in_range = |key: &Key| {
        let value = key.value(config);
        expect(key.range.holds(&value), &value, key.range.wanted())
    };
    let of_key = |key: &Key, problem| Invalid { key: key.name, problem };
    for key in KEYS {
        in_range(key).map_err(|problem| of_key(key, problem))?;
    }
    for key in KEYS {
        (key.fits)(config).map_err(|problem| of_key(key, problem))?;
    }
    Ok(())
}
