//! `verdict.json`, and the one-line form of it that `--json` prints. Reading back is exact to the
//! bit, for which serde_json needs its feature `float_roundtrip`.

use crate::verdict::Audit;
use anyhow::Result;
use std::io::Write;

/// Pretty, with a newline at the end.
pub fn write(audit: &Audit, mut out: impl Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut out, audit)?;
    writeln!(out)?;
    Ok(())
}

/// One line, without the newline.
pub fn line(audit: &Audit) -> Result<String> {
    Ok(serde_json::to_string(audit)?)
}

/// Reads a `verdict.json` of this schema back.
pub fn read(text: &str) -> Result<Audit> {
    Audit::read(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::testing::{Specimen, published, with_gaps};
    use serde_json::{Value, json};

    fn value(run: &Specimen) -> Value {
        serde_json::from_str(&line(&run.audit()).unwrap()).unwrap()
    }

    #[test]
    fn the_contract_of_design_md_is_kept_key_by_key() {
        let mut dfa = published().remove(2);
        dfa.frozen = Some(0.349);
        let v = value(&dfa);
        assert_eq!(v["schema"], "fa-audit/verdict/1");
        assert_eq!(v["protocol"], "arXiv:2606.21126");
        for (key, expected) in [
            ("method", json!("dfa")),
            ("arch", json!("resmlp")),
            ("dataset", json!("cifar10")),
            ("seed", json!(42)),
            ("epoch", json!(30)),
        ] {
            assert_eq!(v["run"][key], expected, "{key}");
        }
        assert_eq!(v["accuracy"], 0.2954);
        let d = &v["diagnostics"];
        for (name, status, threshold) in [
            ("growth", "fired", 50.0),
            ("reference", "fired", 1e-7),
            ("stability", "passed", 0.30),
            ("depth_utility", "fired", 2.0),
        ] {
            assert_eq!(d[name]["status"], status, "{name}");
            assert_eq!(d[name]["threshold"], threshold, "{name}");
            assert!(d[name]["value"].is_f64(), "{name}");
        }
        assert_eq!(d["growth"]["per_block"].as_array().unwrap().len(), 4);
        assert_eq!(d["reference"]["per_layer"].as_array().unwrap().len(), 5);
        assert_eq!(d["reference"]["batch_size"], 128);
        assert_eq!(d["reference"]["loss"], "mean");
        assert_eq!((&d["stability"]["layer"], &d["stability"]["batches"]), (&json!(2), &json!(10)));
        assert_eq!(d["depth_utility"]["frozen_accuracy"], 0.349);
        assert!((d["depth_utility"]["value"].as_f64().unwrap() + 5.36).abs() < 1e-9);
        assert!(v["cosine"]["per_layer"].as_array().unwrap().iter().all(Value::is_f64));
        assert_eq!(v["cosine"]["per_layer"].as_array().unwrap().len(), 5);
        assert!((v["cosine"]["aggregate"].as_f64().unwrap() - 0.114).abs() < 1e-3);
        assert_eq!(v["verdict"], "walked back");
        assert!(v["reasons"].as_array().unwrap().iter().all(Value::is_string));
    }

    #[test]
    fn what_is_missing_is_null_with_a_reason_and_what_exploded_is_a_word() {
        let mut run = published().remove(0);
        run.frozen = None;
        run.hidden[4] = f32::INFINITY;
        run.gradient[4] = f32::NAN;
        let v = value(&run);
        let d = &v["diagnostics"];
        assert_eq!(d["depth_utility"]["status"], "not evaluated");
        assert_eq!(d["depth_utility"]["value"], Value::Null);
        assert_eq!(d["depth_utility"]["reason"], "no matched frozen-blocks run was given");
        assert_eq!(d["growth"]["value"], "inf");
        assert_eq!(d["reference"]["value"], "nan");
        assert_eq!(v["cosine"]["per_layer"][4], "nan");
    }

    #[test]
    fn an_audit_survives_the_round_trip() {
        for run in with_gaps() {
            let audit = run.audit();
            let mut pretty = Vec::new();
            write(&audit, &mut pretty).unwrap();
            let back = read(std::str::from_utf8(&pretty).unwrap()).unwrap();
            // NaN differs from itself: compare what is written.
            assert_eq!(line(&back).unwrap(), line(&audit).unwrap(), "{}", run.label);
        }
        let bp = published().remove(0).audit();
        assert_eq!(read(&line(&bp).unwrap()).unwrap(), bp);
    }

    #[test]
    fn another_schema_is_named_and_refused() {
        let error = read(r#"{"schema": "fa-audit/verdict/2"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "schema is \"fa-audit/verdict/2\", expected \"fa-audit/verdict/1\""
        );
        assert!(read("[]").is_err());
    }
}
