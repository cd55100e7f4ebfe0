//! Reading a `verdict.json` back.

use super::{Audit, SCHEMA};
use crate::shown;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

impl Audit {
    /// Reads the text of a `verdict.json` of this schema.
    ///
    /// # Errors
    /// If it is another schema's, or none.
    pub fn read(text: &str) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Header {
            schema: String,
        }
        let header: Header = serde_json::from_str(text).context("not a verdict.json")?;
        ensure!(header.schema == SCHEMA, "schema is \"{}\", expected \"{SCHEMA}\"", header.schema);
        let parse = || -> serde_json::Result<Self> {
            let mut value = serde_json::from_str(text)?;
            make_safe_to_show(&mut value);
            serde_json::from_value(value)
        };
        parse().with_context(|| format!("not a valid {SCHEMA}"))
    }
}

/// Other programs may have written it: no text of theirs breaks a line or steers a terminal.
fn make_safe_to_show(value: &mut Value) {
    match value {
        Value::String(text) => *text = shown::line(text),
        Value::Array(elements) => elements.iter_mut().for_each(make_safe_to_show),
        Value::Object(fields) => {
            // Names of methods and layers are keys here and there.
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    make_safe_to_show(&mut value);
                    (shown::line(&key), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::testing::published;

    #[test]
    fn what_another_program_wrote_is_read_as_it_may_be_shown() {
        let mut audit = published().remove(0).audit();
        let text = serde_json::to_string(&audit).unwrap();
        assert_eq!(Audit::read(&text).unwrap(), audit, "nothing else changes");
        audit.run.method = "dfa\u{1b}[2J\nerror: gone".into();
        audit.reasons = vec!["a\rb\u{202e}".into()];
        let read = Audit::read(&serde_json::to_string(&audit).unwrap()).unwrap();
        assert_eq!(read.run.method, "dfa\\u{1b}[2J\\nerror: gone");
        assert_eq!(read.reasons, ["a\\rb\\u{202e}"]);
    }
}
