//! Reading a `verdict.json` back.

use super::{Audit, SCHEMA};
use anyhow::{Context, Result, ensure};

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
        serde_json::from_str(text).with_context(|| format!("not a valid {SCHEMA}"))
    }
}
