//! What `fa-audit data verify` looks at: every file of a dataset, also those after one that is
//! wrong, because whoever repairs a folder wants the whole list at once.

use super::cifar::{Layout, LayoutFile};
use super::{DatasetKind, Source, sha256};
use crate::files::is_absence;
use anyhow::Result;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// What `data verify` found out about one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileCheck {
    /// The expected name.
    pub name: String,
    /// The expected length in bytes.
    pub expected_bytes: u64,
    /// Whether there is no such file. One that cannot be looked at is a problem, not absent.
    pub is_absent: bool,
    /// Whether the system did not let it be looked at or read.
    pub is_unseen: bool,
    /// The length found, if there is such a file.
    pub bytes: Option<u64>,
    /// SHA-256 of the whole file, in hexadecimal, if its length is right.
    pub sha256: Option<String>,
    /// What it was recognised as, if nothing is wrong with it.
    pub source: Option<Source>,
    /// What is wrong with it, in one line.
    pub problem: Option<String>,
}

/// What `data verify` found out about a folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The dataset that was looked for.
    pub dataset: DatasetKind,
    /// The folder in which its files were looked for.
    pub dir: PathBuf,
    /// Every file that belongs to it.
    pub files: Vec<FileCheck>,
    /// What lies there in place of them, where none is there and something tells.
    pub instead: Option<String>,
}

impl Verification {
    /// Why files could not be looked at or read, one by one.
    pub fn unseen(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|file| file.is_unseen).filter_map(|file| file.problem.as_deref())
    }

    /// The source of the whole dataset, or nothing if a file is wrong.
    pub fn source(&self) -> Option<Source> {
        self.files.iter().try_fold(Source::Official, |all, file| Some(all.weaker(file.source?)))
    }
}

/// Looks at every file of a dataset and reports on each, also after one that is wrong.
///
/// # Errors
/// If there is no such folder, or the dataset has no files (`synthetic`).
pub fn verify(kind: DatasetKind, dir: Option<&Path>) -> Result<Verification> {
    verify_as(Layout::of(kind)?, dir)
}

fn verify_as(layout: &Layout, dir: Option<&Path>) -> Result<Verification> {
    let dir = layout.find(dir)?;
    let files: Vec<FileCheck> = layout.files().map(|file| check_file(layout, &dir, file)).collect();
    let nothing = files.iter().all(|file| file.is_absent);
    let instead = nothing.then(|| layout.instead(&dir)).flatten();
    Ok(Verification { dataset: layout.kind, dir, files, instead })
}

fn check_file(layout: &Layout, dir: &Path, file: &LayoutFile) -> FileCheck {
    let path = dir.join(file.name);
    let meta = fs::metadata(&path);
    let mut found = FileCheck {
        name: file.name.to_owned(),
        expected_bytes: layout.bytes(file) as u64,
        is_absent: meta.as_ref().is_err_and(is_absence),
        is_unseen: meta.as_ref().is_err_and(|error| !is_absence(error)),
        bytes: meta.as_ref().ok().filter(|meta| meta.is_file()).map(|meta| meta.len()),
        sha256: None,
        source: None,
        problem: None,
    };
    if let Err(error) = meta
        && found.is_unseen
    {
        found.problem = Some(format!("{}: cannot be read ({error})", path.display()));
        return found;
    }
    let mut bytes = Vec::new();
    let result = layout.read(dir, file, &mut bytes).and_then(|()| {
        found.sha256 = Some(sha256([bytes.as_slice()]));
        layout.check(&path, file, &bytes)
    });
    match result {
        Ok((_, source)) => found.source = Some(source),
        Err(error) => {
            // Of the right length, and yet its bytes were not to be had.
            found.is_unseen = found.bytes == Some(found.expected_bytes) && found.sha256.is_none();
            found.problem = Some(error.to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::cifar::fixtures::{TINY10, folder};
    use super::*;

    #[test]
    fn verification_reports_on_every_file_also_after_a_wrong_one() {
        let dir = folder(&TINY10);
        let good = verify_as(&TINY10, Some(dir.path())).unwrap();
        assert_eq!(good.source(), Some(Source::Unrecognised));
        fs::write(dir.path().join("data_batch_1.bin"), b"short").unwrap();
        fs::remove_file(dir.path().join("data_batch_2.bin")).unwrap();
        let bad = verify_as(&TINY10, Some(dir.path())).unwrap();
        assert_eq!(bad.source(), None);
        let sizes: Vec<Option<u64>> = bad.files.iter().map(|f| f.bytes).collect();
        assert_eq!(sizes, [Some(5), None, Some(6146)]);
        assert!(bad.files[0].problem.as_ref().is_some_and(|p| p.contains("truncated")));
        assert_eq!(bad.files[2], good.files[2]);
    }

    #[test]
    fn the_synthetic_data_has_no_files_to_verify() {
        let message = verify(DatasetKind::Synthetic, None).unwrap_err().to_string();
        assert_eq!(message, "the synthetic data has no files");
    }
}
