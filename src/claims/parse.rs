//! From the text of a claims file to [`Claim`]s; each mistake with file, claim, key and what was expected.

use super::metric::{Layers, Metric};
use super::threshold::{Threshold, Unit};
use super::{Across, Claim, Control};
use crate::failure::usage;
use anyhow::Result;
use toml::{Table, Value};

const KEYS: [&str; 10] = [
    "claim",
    "method",
    "metric",
    "control",
    "threshold",
    "seeds",
    "layers",
    "across_layers",
    "across_seeds",
    "only",
];

/// More than anyone claims of one study.
const MOST: usize = 1000;

/// Reads the claims in `text`, the file `source`.
///
/// # Errors
/// A usage error that names source, claim and key: TOML, unknown or missing keys, values of another
/// kind, what no metric is, thresholds that do not fit their metric.
pub fn parse(source: &str, text: &str) -> Result<Vec<Claim>> {
    let wrong = |what: String| usage(format!("{source}: {what}"));
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let words = error.to_string();
        wrong(format!("not valid TOML: {}", words.split_whitespace().collect::<Vec<_>>().join(" ")))
    })?;
    if let Some(key) = table.keys().find(|key| *key != "claim") {
        return Err(wrong(format!("unknown key `{key}`: expected [[claim]] alone")));
    }
    let claims = match table.get("claim") {
        Some(Value::Array(claims)) if !claims.is_empty() => claims,
        _ => return Err(wrong("expected at least one [[claim]]".into())),
    };
    if claims.len() > MOST {
        return Err(wrong(format!("more than {MOST} claims")));
    }
    let each = (1..).zip(claims).map(|(number, claim)| {
        let Value::Table(keys) = claim else {
            return Err(wrong("claim: expected [[claim]], a table".into()));
        };
        let said = keys.get("claim").and_then(Value::as_str).map(brief).unwrap_or_default();
        one(keys).map_err(|problem| wrong(format!("claim {number}{said}: {problem}")))
    });
    each.collect()
}

/// ` ("DFA learns…")`
fn brief(sentence: &str) -> String {
    const LONGEST: usize = 40;
    let sentence = crate::shown::line(sentence);
    match sentence.char_indices().nth(LONGEST) {
        Some((end, _)) => format!(" (\"{}…\")", &sentence[..end]),
        None => format!(" (\"{sentence}\")"),
    }
}

fn one(keys: &Table) -> Result<Claim, String> {
    if let Some(unknown) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("unknown key `{unknown}`{}", instead(unknown, &KEYS)));
    }
    let claim = crate::shown::line(word(keys, "claim", "a sentence")?);
    let method =
        word(keys, "method", "a method as the reports name it, such as \"dfa\"")?.to_owned();
    let names = Metric::ALL.map(|(name, _)| name);
    let metric = word(keys, "metric", &format!("one of {}", names.join(", ")))?;
    let metric = Metric::ALL
        .iter()
        .find(|(name, _)| *name == metric)
        .map(|(_, metric)| *metric)
        .ok_or_else(|| {
            format!(
                "metric: unknown metric \"{metric}\"{}; expected one of {}",
                instead(metric, &names),
                names.join(", ")
            )
        })?;
    let control = match keys.get("control") {
        None => Control::None,
        Some(Value::String(word)) if word == "null" => Control::Null,
        Some(Value::String(word)) => Control::Method(word.clone()),
        Some(other) => return Err(found("control", "\"null\" or a method", other)),
    };
    let threshold = threshold(metric, word(keys, "threshold", "such as \"at least 1 point\"")?)?;
    let seeds = seeds(keys)?;
    let layers = layers(keys)?;
    let (across_layers, across_seeds) =
        (across(keys, "across_layers")?, across(keys, "across_seeds")?);
    let only = match keys.get("only") {
        None => Table::new(),
        Some(Value::Table(only)) => only.clone(),
        Some(other) => return Err(found("only", "a table of configuration keys", other)),
    };
    for name in only.keys() {
        if crate::config::keys::key(name).is_none() {
            let hint = crate::config::nearest_key(name).map(|k| format!("; did you mean `{k}`?"));
            return Err(format!(
                "only: unknown configuration key `{name}`{}",
                hint.unwrap_or_default()
            ));
        }
    }
    if control == Control::Null && metric != Metric::Cosine {
        return Err(format!("control: the null band is of cosines, not of {metric}"));
    }
    if metric == Metric::Verdict && control != Control::None {
        return Err("control: a verdict is held against nothing".into());
    }
    if !metric.is_per_layer() {
        for key in ["layers", "across_layers"] {
            if keys.contains_key(key) {
                return Err(format!(
                    "{key}: {metric} has one value a run, and none for each layer"
                ));
            }
        }
    } else if keys.contains_key("across_layers")
        && layers == Layers::Usual
        && !(metric == Metric::Cosine && control == Control::Null)
    {
        return Err(
            "across_layers: of which layers? `layers` says it: \"all\", \"deep\" or a list".into(),
        );
    }
    if metric == Metric::Verdict
        && keys.contains_key("across_seeds")
        && across_seeds == Across::Mean
    {
        return Err("across_seeds: verdicts have no mean: \"each\"".into());
    }
    Ok(Claim {
        claim,
        method,
        metric,
        control,
        threshold,
        seeds,
        layers,
        across_layers,
        across_seeds,
        only,
    })
}

fn word<'a>(keys: &'a Table, key: &str, expected: &str) -> Result<&'a str, String> {
    match keys.get(key) {
        Some(Value::String(word)) if !word.trim().is_empty() => Ok(word),
        Some(other) => Err(found(key, expected, other)),
        None => {
            let near = keys.keys().find(|other| {
                !KEYS.contains(&other.as_str()) && strsim::damerau_levenshtein(key, other) <= 3
            });
            let hint = near.map(|near| format!("; is `{near}` meant for it?")).unwrap_or_default();
            Err(format!("`{key}` is missing: expected {expected}{hint}"))
        }
    }
}

fn found(key: &str, expected: &str, value: &Value) -> String {
    let kind = match value {
        Value::String(text) => format!("\"{}\"", crate::shown::line(text)),
        other => format!("{} ({})", crate::shown::line(&other.to_string()), other.type_str()),
    };
    format!("{key}: expected {expected}, found {kind}")
}

/// `; did you mean "accuracy"?`
fn instead(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(known, word), *known)).min();
    match near {
        Some((distance, known)) if distance <= 3 => format!("; did you mean `{known}`?"),
        _ => format!("; expected one of {}", known.join(", ")),
    }
}

fn threshold(metric: Metric, text: &str) -> Result<Threshold, String> {
    let (threshold, unit) =
        Threshold::parse(text).map_err(|problem| format!("threshold: {problem}"))?;
    match (threshold, metric) {
        (Threshold::Verdict(_), Metric::Verdict) => Ok(threshold),
        (Threshold::Verdict(_), _) => {
            Err(format!("threshold: {metric} is a number, and \"{text}\" a verdict"))
        }
        (Threshold::Number { .. }, Metric::Verdict) => Err(format!(
            "threshold: expected \"trustworthy\" or \"walked back\" for a verdict, found \"{text}\""
        )),
        (Threshold::Number { side, value }, metric) => {
            let has_points = metric.is_a_fraction() || metric == Metric::DepthUtility;
            let value = match unit {
                Unit::Points if !has_points => {
                    return Err(format!("threshold: {metric} is not in percentage points"));
                }
                Unit::Points if metric.is_a_fraction() => value / 100.0,
                _ => value,
            };
            if metric.is_a_fraction() && value.abs() > 1.0 {
                return Err(format!(
                    "threshold: {metric} is a fraction from 0 to 1, found \"{text}\": is \"points\" meant?"
                ));
            }
            Ok(Threshold::Number { side, value })
        }
    }
}

fn seeds(keys: &Table) -> Result<Vec<u64>, String> {
    const EXPECTED: &str = "a list of seeds, such as [42, 123, 456]";
    let value = keys.get("seeds").ok_or(format!("`seeds` is missing: expected {EXPECTED}"))?;
    let wrong = || found("seeds", EXPECTED, value);
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    let mut seeds = Vec::new();
    for seed in list {
        let seed = seed.as_integer().and_then(|seed| u64::try_from(seed).ok()).ok_or_else(wrong)?;
        if seeds.contains(&seed) {
            return Err(format!("seeds: {seed} stands twice"));
        }
        seeds.push(seed);
    }
    Ok(seeds)
}

fn layers(keys: &Table) -> Result<Layers, String> {
    let Some(value) = keys.get("layers") else { return Ok(Layers::Usual) };
    let wrong = || found("layers", "\"all\", \"deep\" or a list such as [1, 2]", value);
    match value {
        Value::String(word) if word == "all" => Ok(Layers::All),
        Value::String(word) if word == "deep" => Ok(Layers::Deep),
        Value::Array(list) if !list.is_empty() => {
            let layer = |v: &Value| v.as_integer().and_then(|l| usize::try_from(l).ok());
            list.iter().map(layer).collect::<Option<_>>().map(Layers::Listed).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn across(keys: &Table, key: &str) -> Result<Across, String> {
    match keys.get(key) {
        None => Ok(Across::Mean),
        Some(Value::String(word)) if word == "mean" => Ok(Across::Mean),
        Some(Value::String(word)) if word == "each" => Ok(Across::Each),
        Some(other) => Err(found(key, "\"mean\" or \"each\"", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::threshold::Side;
    use super::*;

    const USUAL: &str = r#"
        [[claim]]
        claim = "DFA learns more than its frozen blocks."
        method = "dfa"
        metric = "accuracy"
        control = "frozen(dfa)"
        threshold = "at least 1 point"
        seeds = [42, 123, 456]
        [[claim]]
        claim = "The deep layers are aligned beyond chance."
        method = "dfa"
        metric = "cosine"
        layers = "deep"
        control = "null"
        threshold = "above 0"
        seeds = [42]
        [[claim]]
        claim = "No block runs away."
        method = "dfa"
        metric = "growth"
        threshold = "below 1.5"
        across_seeds = "each"
        seeds = [42]
        [[claim]]
        claim = "No layer's reference collapsed."
        method = "dfa"
        metric = "reference"
        layers = "all"
        across_layers = "each"
        threshold = "at least 1e-7"
        seeds = [42]
        [[claim]]
        claim = "DFA can be trusted over all seeds."
        method = "dfa"
        metric = "verdict"
        threshold = "trustworthy"
        seeds = [42, 123]
    "#;

    #[test]
    fn the_usual_claims_of_the_field_can_be_made() {
        let claims = parse("claims.toml", USUAL).unwrap();
        assert_eq!(claims.len(), 5);
        assert_eq!(claims[0].threshold, Threshold::Number { side: Side::AtLeast, value: 0.01 });
        assert_eq!(claims[0].seeds, [42, 123, 456]);
        assert_eq!(claims[0].quantity(), "accuracy of dfa minus that of frozen(dfa)");
        let deep = "mean cosine of dfa over the deep layers minus the null band's upper end";
        assert_eq!(claims[1].quantity(), deep);
        assert_eq!(claims[2].across_seeds, Across::Each);
        assert_eq!(claims[3].quantity(), "reference of dfa at each of all layers");
        assert_eq!(claims[4].quantity(), "verdict of dfa");
    }

    #[test]
    fn the_claims_of_the_guide_are_claims() {
        let guide = include_str!("../../data/guide/claims.md");
        let file = guide.split("## The file").nth(1).and_then(|rest| rest.split("```").nth(1));
        let text = file.and_then(|block| block.strip_prefix("toml")).unwrap();
        let claims = parse("claims.md", text).unwrap();
        assert_eq!(claims.len(), 6);
        for (name, _) in Metric::ALL {
            assert!(guide.contains(&format!("| `{name}` |")), "{name}");
        }
        for key in KEYS {
            assert!(guide.contains(&format!("| `{key}` |")), "{key}");
        }
    }

    /// The first claim with one line in the place of another.
    fn error(line: &str, other: &str) -> String {
        let text = USUAL.replacen(line, other, 1);
        assert_ne!(text, USUAL);
        parse("claims.toml", &text).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_names_file_claim_key_and_what_was_expected() {
        for (line, other, words) in [
            (
                "metric = \"accuracy\"",
                "metric = \"acuracy\"",
                "metric: unknown metric \"acuracy\"; did you mean `accuracy`?",
            ),
            (
                "metric = \"accuracy\"",
                "metrc = \"accuracy\"",
                "unknown key `metrc`; did you mean `metric`?",
            ),
            ("metric = \"accuracy\"", "", "`metric` is missing: expected one of accuracy, growth"),
            ("metric = \"accuracy\"", "metric = 3", "metric: expected one of"),
            ("method = \"dfa\"", "", "`method` is missing: expected a method"),
            ("at least 1 point", "at least 1.5", "threshold: accuracy is a fraction from 0 to 1"),
            ("at least 1 point", "1 point", "threshold: expected \"at least\""),
            (
                "at least 1 point",
                "trustworthy",
                "accuracy is a number, and \"trustworthy\" a verdict",
            ),
            ("[42, 123, 456]", "[]", "seeds: expected a list of seeds"),
            ("[42, 123, 456]", "[42, 42]", "seeds: 42 stands twice"),
            ("[42, 123, 456]", "[-1]", "seeds: expected a list of seeds"),
            (
                "\"frozen(dfa)\"",
                "\"null\"",
                "control: the null band is of cosines, not of accuracy",
            ),
            ("\"frozen(dfa)\"", "\"bp\"\nlayers = \"all\"", "layers: accuracy has one value a run"),
            (
                "\"frozen(dfa)\"",
                "\"bp\"\nonly = { archs = 1 }",
                "only: unknown configuration key `archs`; did you mean `arch`?",
            ),
            (
                "\"frozen(dfa)\"",
                "\"bp\"\nacross_seeds = \"all\"",
                "across_seeds: expected \"mean\" or \"each\", found \"all\"",
            ),
        ] {
            let found = error(line, other);
            assert!(found.starts_with("claims.toml: claim 1 (\"DFA learns more"), "{found}");
            assert!(found.contains(words), "{found}\n{words}");
        }
        let error = |text| parse("c.toml", text).unwrap_err().to_string();
        assert_eq!(error(""), "c.toml: expected at least one [[claim]]");
        assert_eq!(error("claims = 1"), "c.toml: unknown key `claims`: expected [[claim]] alone");
        assert!(error("[[claim]\n").starts_with("c.toml: not valid TOML: "));
        assert!(error("claim = [1]").contains("expected [[claim]], a table"));
    }
}
