//! Hashes: of the networks that a bundle leaves out, and of every file in it. The format is that of
//! `sha256sum`.

use crate::failure::usage;
use crate::files::{entries, exists, is_directory, read_text, sha256, write_atomically};
use anyhow::{Context, Result};
use std::path::Path;

const FILE: &str = "SHA256SUMS";

/// The SHA-256 of a file, in hexadecimal.
fn sum(path: &Path) -> Result<String> {
    sha256(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A run's checkpoints by their path in its folder.
pub fn of_checkpoints(run: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in ["", "epochs"] {
        let place = run.join(folder);
        if !is_directory(&place)? {
            continue;
        }
        for path in entries(&place)? {
            if path.extension().is_some_and(|ending| ending == "mpk") {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let name = if folder.is_empty() { name.into() } else { format!("{folder}/{name}") };
                found.push((name, sum(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files below a folder by their path in it, with `/` between its parts, in order.
pub fn files(root: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for path in entries(&root.join(&folder))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = if folder.is_empty() { name.into() } else { format!("{folder}/{name}") };
            match is_directory(&path)? {
                true => folders.push(name),
                false => found.push(name),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the hashes of all other files of a bundle.
pub fn write(root: &Path) -> Result<()> {
    let mut text = String::new();
    for name in files(root)?.iter().filter(|name| *name != FILE) {
        text += &format!("{}  {name}\n", sum(&root.join(name))?);
    }
    write_atomically(&root.join(FILE), text.as_bytes())
}

/// Whether a bundle is as it was written.
///
/// # Errors
/// A usage error that names the first file that is missing or another, or says that there is no bundle.
pub fn check(root: &Path) -> Result<()> {
    let path = root.join(FILE);
    if !exists(&path)? {
        return Err(usage(format!(
            "{} holds no bundle: expected {FILE} in it, which `fa-audit bundle` writes",
            root.display()
        )));
    }
    let text = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for line in text.lines() {
        let Some((wanted, name)) = line.split_once("  ") else {
            return Err(usage(format!("{}: `{line}` is no hash and name", path.display())));
        };
        // Nothing outside of the bundle is read.
        let inside =
            Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_)));
        if !inside {
            return Err(usage(format!("{}: {name} lies outside of the bundle", path.display())));
        }
        let file = root.join(name);
        if !exists(&file)? {
            return Err(usage(format!("{} is missing, which {FILE} lists", file.display())));
        }
        if sum(&file)? != wanted {
            return Err(usage(format!(
                "{} is not what was bundled: its hash differs",
                file.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_went_or_lies_elsewhere_is_named() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        std::fs::create_dir(root.join("a")).unwrap();
        std::fs::write(root.join("a/b"), "abc").unwrap();
        assert!(check(root).unwrap_err().to_string().contains("holds no bundle"));
        write(root).unwrap();
        let text = std::fs::read_to_string(root.join(FILE)).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(text, format!("{abc}  a/b\n"));
        check(root).unwrap();
        std::fs::write(root.join("a/b"), "abd").unwrap();
        assert!(check(root).unwrap_err().to_string().contains("b is not what was bundled"));
        std::fs::remove_file(root.join("a/b")).unwrap();
        assert!(check(root).unwrap_err().to_string().contains("b is missing"));
        std::fs::write(root.join(FILE), format!("{abc}  ../x\n")).unwrap();
        assert!(check(root).unwrap_err().to_string().contains("outside of the bundle"));
    }
}
