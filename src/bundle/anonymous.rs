//! What a bundle for a blind review must not tell: who trained, where, and in which folders.
//!
//! Folders are where names hide. Every absolute path becomes its last part, the configuration's
//! data folder goes, and at the end every file is searched for the names of the user, the machine
//! and the home folder.

use super::sums::files;
use crate::files::read_text;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;

/// What is left out.
pub struct Veil {
    /// Words that must not be found, at least three letters long.
    names: Vec<String>,
}

impl Veil {
    /// The names of this user and this machine.
    pub fn here() -> Self {
        let variables = ["USER", "LOGNAME", "USERNAME", "HOME", "USERPROFILE", "HOSTNAME"];
        let names = variables.iter().filter_map(|name| std::env::var(name).ok());
        Self::of(names.chain(host()))
    }

    fn of(names: impl Iterator<Item = String>) -> Self {
        // A name that says nothing would be found everywhere.
        let says = |name: &String| {
            name.chars().count() > 3 && !["root", "/root", "user"].contains(&name.as_str())
        };
        let mut names: Vec<String> = names.filter(says).collect();
        names.sort();
        names.dedup();
        Self { names }
    }

    /// The text of the file `name` without them.
    ///
    /// # Errors
    /// Where a file that is JSON is none.
    pub fn over(&self, name: &str, text: &str) -> Result<String> {
        if name.ends_with(".json") {
            let mut value: Value = serde_json::from_str(text).with_context(|| name.to_string())?;
            veiled(&mut value);
            return Ok(serde_json::to_string_pretty(&value)? + "\n");
        }
        if name.ends_with(".toml") {
            let is_folder = |line: &str| {
                line.split_once('=')
                    .is_some_and(|(key, _)| key.trim().trim_matches('"') == "data_dir")
            };
            let kept = text.lines().filter(|line| !is_folder(line));
            return Ok(kept.map(|line| format!("{line}\n")).collect());
        }
        Ok(text.to_string())
    }

    /// Whether none of the names is left below `out`.
    ///
    /// # Errors
    /// Names the first file in which one is, and which.
    pub fn check(&self, out: &Path) -> Result<()> {
        for file in files(out)? {
            let text = read_text(&out.join(&file)).with_context(|| file.clone())?;
            let found = self.names.iter().find(|name| text.contains(name.as_str()));
            if let Some(name) = found {
                bail!("{} still says \"{name}\": it is not anonymous", out.join(&file).display());
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn host() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

fn veiled(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_folders(text),
        Value::Array(values) => values.iter_mut().for_each(veiled),
        Value::Object(map) => {
            map.remove("data_dir");
            // The text of a study file.
            if let Some(Value::String(source)) = map.get_mut("source")
                && source.contains('\n')
            {
                let kept = source.lines().filter(|line| !line.trim_start().starts_with("data_dir"));
                *source = kept.map(|line| format!("{line}\n")).collect();
            }
            map.values_mut().for_each(veiled);
        }
        _ => {}
    }
}

/// Absolute paths among the words of a text become their last parts.
fn without_folders(text: &str) -> String {
    let is_path = |word: &str| {
        let drive = word.as_bytes().get(1..3).is_some_and(|b| b == b":\\" || b == b":/");
        word.len() > 1
            && (word.starts_with('/')
                || word.starts_with("~/")
                || drive
                || word.starts_with("file://"))
    };
    let last = |word: &str| {
        word.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or("").to_string()
    };
    let word = |word: &str| match word.split_once('=') {
        Some((flag, path)) if is_path(path) => format!("{flag}={}", last(path)),
        _ if is_path(word) => last(word),
        _ => word.to_string(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_and_what_is_no_folder_stays() {
        assert_eq!(without_folders("/home/ada/runs/dfa --set=/x/y a/b 1/N"), "dfa --set=y a/b 1/N");
        assert_eq!(without_folders(r"C:\Users\ada\runs ~/data/"), "runs data");
        let veil = Veil::of(["ada".to_string(), "lovelace".into()].into_iter());
        let json = r#"{"config": {"data_dir": "/home/x", "seed": 1}, "command_line": ["/usr/bin/fa-audit", "train"],
            "source": "name = 'a'\ndata_dir = '/home/x'\n"}"#;
        let found: Value = serde_json::from_str(&veil.over("run.json", json).unwrap()).unwrap();
        let expected = serde_json::json!({"config": {"seed": 1}, "command_line": ["fa-audit", "train"], "source": "name = 'a'\n"});
        assert_eq!(found, expected);
        assert_eq!(
            veil.over("config.toml", "seed = 1\ndata_dir = \"/home\"\n").unwrap(),
            "seed = 1\n"
        );
    }

    #[test]
    fn a_name_that_is_left_is_an_error_that_names_the_file() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("report.md"), "by lovelace").unwrap();
        let veil = Veil::of(["lovelace".to_string()].into_iter());
        let error = veil.check(place.path()).unwrap_err().to_string();
        assert!(error.contains("report.md still says \"lovelace\""), "{error}");
        Veil::of(["ada".to_string(), "root".into()].into_iter()).check(place.path()).unwrap();
    }
}
