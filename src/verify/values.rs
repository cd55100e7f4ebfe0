//! The first difference of two JSON values.

use super::difference::{NOTHING, Place};
use serde_json::Value;

/// How near is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nearness {
    /// The largest difference of two numbers as a share of the larger, or of the largest beside them in
    /// a list. At 0 only the same bits are the same.
    pub within: f64,
}

/// Sentences in which numbers stand: where those may differ, so may these.
const SENTENCES: [&str; 5] = ["reasons", "notes", "finding", "remarks", "reason"];

/// In the order of `recomputed`. A key that `printed` does not have is no printed number: earlier
/// versions did not write it.
pub fn first(printed: &Value, recomputed: &Value, near: Nearness) -> Option<Place> {
    let mut path = Vec::new();
    let (printed, recomputed) = differ(printed, recomputed, near, 0.0, &mut path)?;
    let column = path.pop().unwrap_or_default();
    Some(Place { row: path.join("."), column, printed, recomputed })
}

fn differ(
    printed: &Value,
    recomputed: &Value,
    near: Nearness,
    beside: f64,
    path: &mut Vec<String>,
) -> Option<(String, String)> {
    match (printed, recomputed) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, old) in old {
                if near.within > 0.0 && SENTENCES.contains(&key.as_str()) {
                    continue;
                }
                path.push(key.clone());
                let found = match new.get(key) {
                    Some(new) => differ(old, new, near, 0.0, path),
                    None if old.is_null() => None,
                    None => Some((words(old), NOTHING.into())),
                };
                if found.is_some() {
                    return found;
                }
                path.pop();
            }
            None
        }
        (Value::Array(old), Value::Array(new)) => {
            let sizes = new.iter().filter_map(Value::as_f64).map(f64::abs);
            let beside = sizes.fold(0.0, f64::max);
            let name = path.pop().unwrap_or_default();
            let nothing = Value::String(NOTHING.into());
            for i in 0..old.len().max(new.len()) {
                path.push(format!("{name}[{i}]"));
                let at = |list: &[Value]| list.get(i).cloned().unwrap_or(nothing.clone());
                let found = differ(&at(old), &at(new), near, beside, path);
                if found.is_some() {
                    return found;
                }
                path.pop();
            }
            path.push(name);
            None
        }
        (Value::Number(old), Value::Number(new)) => {
            let same = match (old.as_f64(), new.as_f64()) {
                (Some(a), Some(b)) => {
                    a.to_bits() == b.to_bits()
                        || (a - b).abs() <= near.within * a.abs().max(b.abs()).max(beside)
                }
                _ => old == new,
            };
            (!same).then(|| (old.to_string(), new.to_string()))
        }
        _ => (printed != recomputed).then(|| (words(printed), words(recomputed))),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(printed: Value, recomputed: Value, within: f64) -> Option<(String, String)> {
        let place = first(&printed, &recomputed, Nearness { within })?;
        Some((
            format!("{}|{}", place.row, place.column),
            format!("{} {}", place.printed, place.recomputed),
        ))
    }

    #[test]
    fn the_first_value_that_differs_is_named_by_its_path() {
        let old = json!({"a": 1.0, "b": {"c": [0.5, 0.25]}, "d": "x"});
        let new = json!({"a": 1.0, "b": {"c": [0.5, 0.26]}, "d": "y"});
        let found = of(old.clone(), new, 0.0);
        assert_eq!(found, Some(("b|c[1]".into(), "0.25 0.26".into())));
        assert_eq!(of(old.clone(), old.clone(), 0.0), None);
        let shorter = json!({"a": 1.0, "b": {"c": [0.5]}, "d": "x"});
        assert_eq!(of(old, shorter, 0.0), Some(("b|c[1]".into(), "0.25 nothing".into())));
    }

    #[test]
    fn a_key_that_came_later_is_no_printed_number_and_one_that_nobody_computes_is() {
        assert_eq!(of(json!({"a": 1}), json!({"a": 1, "b": 2}), 0.0), None);
        let found = of(json!({"a": 1, "b": 2}), json!({"a": 1}), 0.0);
        assert_eq!(found, Some(("|b".into(), "2 nothing".into())));
    }

    #[test]
    fn what_may_differ_is_a_share_of_the_larger_value_and_never_a_word() {
        let near = |a: f64, b: f64| of(json!({"v": a}), json!({"v": b}), 1e-3);
        assert_eq!(near(1.0, 1.0009), None);
        assert!(near(1.0, 1.002).is_some());
        assert!(of(json!({"v": 1.0}), json!({"v": 1.0 + f64::EPSILON}), 0.0).is_some());
        // A small cosine beside a large one.
        assert_eq!(of(json!({"v": [1e-6, 0.9]}), json!({"v": [2e-6, 0.9]}), 1e-3), None);
        assert!(of(json!({"v": "passed"}), json!({"v": "fired"}), 1e-3).is_some());
        assert!(of(json!({"v": "nan"}), json!({"v": 1.0}), 1e-3).is_some());
    }
}
