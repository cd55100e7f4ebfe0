//! A written report held against the directory that it was made of.

use super::difference::Place;
use super::texts;
use crate::failure::usage;
use crate::report::format::{self, Format, Look};
use crate::study::results::StudyResult;
use anyhow::Result;
use std::path::Path;

/// The format of a report, by what it begins with; `None` where it is none.
pub fn format_of(text: &str) -> Option<Format> {
    let head = text.trim_start_matches('\u{feff}').trim_start();
    if head.starts_with("<!DOCTYPE html") {
        return Some(Format::Html);
    }
    if head.starts_with("<?xml") && head.contains("<testsuites") {
        return Some(Format::Junit);
    }
    if head.starts_with('{') {
        let first = head.lines().nth(1).unwrap_or_default();
        return first.contains("\"fa-audit/study/").then_some(Format::Json);
    }
    if head.starts_with("# ") {
        return Some(Format::Md);
    }
    if head.starts_with("method,label,") {
        return Some(Format::Csv);
    }
    if head.starts_with("% fa-audit ") {
        return Some(Format::Latex);
    }
    if head.starts_with("study,run,seed,epoch,") {
        return Some(Format::Long);
    }
    head.contains("Verdict").then_some(Format::Table)
}

/// As [`format_of`].
///
/// # Errors
/// A usage error where `text` is no report.
pub fn format_of_report(file: &Path, text: &str) -> Result<Format> {
    format_of(text).ok_or_else(|| {
        usage(format!(
            "{} is no report of fa-audit: expected a directory, a verdict.json, or what `fa-audit \
             report` writes (Markdown, HTML, CSV, JSON, JUnit, LaTeX, the table)",
            file.display()
        ))
    })
}

/// The first place where `printed` is not the report of `study`.
///
/// # Errors
/// As [`format::write`].
pub fn first(study: &StudyResult, format: Format, printed: &str) -> Result<Option<Place>> {
    let with = |each_seed| format::write(study, format, Look { each_seed, colour: false });
    let plain = with(false)?;
    if format != Format::Table || plain == printed {
        return Ok(texts::first(format, printed, &plain));
    }
    // A table may have a row a seed: that one is meant which is like it for longer.
    let seeds = with(true)?;
    let like = |text: &str| texts::common(text, printed);
    let nearer = if like(&seeds) > like(&plain) { seeds } else { plain };
    Ok(texts::first(format, printed, &nearer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{study, troubled};
    use clap::ValueEnum;

    #[test]
    fn every_format_is_known_by_its_own_text_and_is_the_same_again() {
        for study in [study(), troubled()] {
            for &format in Format::value_variants() {
                let text = format::write(&study, format, Look::default()).unwrap();
                assert_eq!(format_of(&text), Some(format), "{text}");
                assert_eq!(first(&study, format, &text).unwrap(), None);
            }
        }
        for other in
            ["epoch,loss\n1,2\n", "{\n  \"schema\": \"fa-audit/run/1\"\n}\n", "{\"epoch\":1}\n"]
        {
            assert_eq!(format_of(other), None, "{other}");
        }
    }

    /// Every number of every format: each planted change is found.
    #[test]
    fn a_digit_that_is_changed_anywhere_is_found() {
        let study = study();
        for &format in Format::value_variants() {
            let text =
                format::write(&study, format, Look { each_seed: true, colour: false }).unwrap();
            let digits: Vec<usize> =
                text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
            // One in a hundred, from the first to the last.
            let step = (digits.len() / 100).max(1);
            for &at in digits.iter().step_by(step).chain(digits.last()) {
                // Half way round: the last digit of seventeen may be another and the number the same.
                let other = (text.as_bytes()[at] - b'0' + 5) % 10;
                let planted = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                let found = first(&study, format, &planted).unwrap();
                assert!(found.is_some(), "{format:?}: {}", &text[at.saturating_sub(20)..at]);
            }
        }
    }
}
