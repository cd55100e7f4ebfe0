//! Claims as a study's plan keeps them: with their digest, the time, and the runs that had begun by then.

use super::{Claim, parse};
use crate::failure::usage;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The `claims` of `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// The name of the file.
    pub file: String,
    /// Of `text`, in hexadecimal.
    pub sha256: String,
    /// When the study first had this text.
    pub registered: String,
    /// The directories of the runs that had begun by then.
    pub begun: Vec<String>,
    /// When the study no longer named any claims, if runs had begun by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// What the study had before, oldest first, as far as runs had begun when it was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
    pub text: String,
}

/// Claims that were changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    pub sha256: String,
    pub registered: String,
}

/// The text of a claims file, and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimsFile {
    pub name: String,
    pub text: String,
}

fn digest(text: &str) -> String {
    crate::hex(&Sha256::digest(text))
}

impl Registered {
    /// What the plan says now, at the time `now`, where it said `before`; `begun` are the runs that have
    /// begun.
    pub fn next(
        before: Option<&Self>,
        source: Option<&ClaimsFile>,
        begun: &[String],
        now: &str,
    ) -> Option<Self> {
        let Some(source) = source else {
            let mut kept = before.filter(|_| !begun.is_empty())?.clone();
            kept.withdrawn.get_or_insert_with(|| now.into());
            return Some(kept);
        };
        let sha256 = digest(&source.text);
        if let Some(before) = before
            && before.sha256 == sha256
            && before.withdrawn.is_none()
        {
            return Some(before.clone());
        }
        let mut earlier = Vec::new();
        if let Some(before) = before.filter(|_| !begun.is_empty()) {
            earlier.clone_from(&before.earlier);
            let Self { sha256, registered, .. } = before.clone();
            earlier.push(Earlier { sha256, registered });
        }
        Some(Self {
            file: source.name.clone(),
            sha256,
            registered: now.into(),
            begun: begun.to_vec(),
            withdrawn: None,
            earlier,
            text: source.text.clone(),
        })
    }

    /// SHA-256 of the text as it is.
    pub fn digest(&self) -> String {
        digest(&self.text)
    }

    /// The claims.
    ///
    /// # Errors
    /// As [`parse()`], which a plan of this program's does not.
    pub fn claims(&self) -> Result<Vec<Claim>> {
        parse(&format!("study.json, the claims of {}", self.file), &self.text)
            .map_err(|error| usage(error.to_string()))
    }

    /// Why a claim about the run in `directory`, which began at `start`, is none that was made before;
    /// `None` where it was.
    pub fn post_hoc(&self, directory: &str, start: &str) -> Option<String> {
        if digest(&self.text) != self.sha256 {
            return Some("the text in study.json is not the one that was registered".into());
        }
        if self.begun.iter().any(|begun| begun == directory) {
            return Some(format!(
                "{directory} had begun when it was registered, {}",
                self.registered
            ));
        }
        // RFC 3339 in UTC sorts as time does.
        (self.registered.as_str() > start).then(|| {
            format!("it was registered {}, and {directory} began {start}", self.registered)
        })
    }

    /// What every report says of claims that were changed or withdrawn once runs had begun.
    pub fn remark(&self) -> Option<String> {
        if digest(&self.text) != self.sha256 {
            return Some(
                "Claims changed after training: the text in study.json is not the one whose SHA-256 \
                 was registered."
                    .into(),
            );
        }
        if let Some(when) = &self.withdrawn {
            return Some(format!(
                "Claims changed after training: the study names none since {when}, and had these \
                 when it was trained."
            ));
        }
        if let Some(earlier) = self.earlier.last() {
            return Some(format!(
                "Claims changed after training: these were registered {}, when {} had begun; before, \
                 the study had others (SHA-256 {}, registered {}).",
                self.registered,
                runs(self.begun.len()),
                earlier.sha256.chars().take(12).collect::<String>(),
                earlier.registered
            ));
        }
        (!self.begun.is_empty()).then(|| {
            format!(
                "Claims written after training: they were registered {}, when {} had begun.",
                self.registered,
                runs(self.begun.len())
            )
        })
    }
}

fn runs(count: usize) -> String {
    match count {
        1 => "1 run".into(),
        n => format!("{n} runs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> ClaimsFile {
        ClaimsFile { name: "claims.toml".into(), text: text.into() }
    }

    fn begun() -> Vec<String> {
        vec!["dfa-s1".into()]
    }

    #[test]
    fn claims_before_any_run_may_be_changed_and_keep_their_first_time() {
        let first = Registered::next(None, Some(&source("a")), &[], "1").unwrap();
        assert_eq!(first.sha256, digest("a"));
        let same = Registered::next(Some(&first), Some(&source("a")), &begun(), "2").unwrap();
        assert_eq!(same, first);
        let changed = Registered::next(Some(&first), Some(&source("b")), &[], "2").unwrap();
        assert_eq!((changed.registered.as_str(), changed.earlier.len()), ("2", 0));
        assert_eq!([first.remark(), changed.remark()], [None, None]);
        assert_eq!(Registered::next(Some(&first), None, &[], "2"), None);
        assert_eq!(first.post_hoc("dfa-s1", "1"), None);
    }

    #[test]
    fn claims_written_changed_or_withdrawn_after_a_run_began_show() {
        let late = Registered::next(None, Some(&source("a")), &begun(), "2").unwrap();
        assert!(late.remark().unwrap().starts_with("Claims written after training"));
        assert!(late.post_hoc("dfa-s1", "9").is_some());
        assert_eq!(late.post_hoc("dfa-s2", "9"), None, "another run began later");

        let first = Registered::next(None, Some(&source("a")), &[], "1").unwrap();
        let changed = Registered::next(Some(&first), Some(&source("b")), &begun(), "2").unwrap();
        let words = changed.remark().unwrap();
        assert!(
            words.contains("changed after training") && words.contains(&first.sha256[..12]),
            "{words}"
        );
        // And back: it was seen.
        let back = Registered::next(Some(&changed), Some(&source("a")), &begun(), "3").unwrap();
        assert!(back.remark().is_some() && back.earlier.len() == 2);
        let gone = Registered::next(Some(&first), None, &begun(), "2").unwrap();
        assert!(gone.remark().unwrap().contains("names none since 2"));
        assert_eq!(Registered::next(Some(&gone), None, &begun(), "3").unwrap(), gone);
    }

    #[test]
    fn a_plan_that_was_edited_by_hand_shows_by_its_digest_and_by_the_runs_own_times() {
        let first = Registered::next(None, Some(&source("a")), &[], "5").unwrap();
        let edited = Registered { text: "b".into(), ..first.clone() };
        assert!(edited.remark().is_some() && edited.post_hoc("dfa-s1", "9").is_some());
        assert!(first.post_hoc("dfa-s1", "4").unwrap().contains("began 4"));
    }
}
