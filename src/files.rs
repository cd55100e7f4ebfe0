//! Files of a run and of a study: written so that a reader never sees half of one, read so that
//! one that is not what its name says takes neither all memory nor all time.

use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::Path;

/// Bytes of the longest text that is read: a run of 100,000 epochs records less.
pub const LONGEST_TEXT: u64 = 256 << 20;

/// Writes `bytes` beside `path`, flushes them to the disk and renames the file into its place.
///
/// # Errors
/// Names the file and what the system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let mut prefix = path.file_name().map(unfinished).unwrap_or_default();
        prefix.push(".");
        let mut file = builder(&prefix).tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes what a [`write_atomically`] of `names` in `directory` left behind when its program was
/// killed. Only for a directory in which no program writes these names now.
///
/// # Errors
/// Names the file that cannot be removed.
pub fn sweep(directory: &Path, names: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)) else {
            continue;
        };
        if name.rsplit_once('.').is_some_and(|(target, _)| names(target)) {
            let path = entry.path();
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

const UNFINISHED: &str = ".unfinished-";

/// What the names of unfinished files for `target` begin with.
fn unfinished(target: &OsStr) -> OsString {
    let mut name = OsString::from(UNFINISHED);
    name.push(target);
    name
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// What the system says; [`ErrorKind::FileTooLarge`] for one that is longer, before memory is taken.
pub fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let too_long = || {
        Error::new(
            ErrorKind::FileTooLarge,
            format!("it is longer than {most} bytes, the most read"),
        )
    };
    if length > most {
        return Err(too_long());
    }
    // One byte more than there is shows the end without a larger buffer.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize + 1)?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_long()) } else { Ok(bytes) }
}

/// As [`read`], for a text of at most [`LONGEST_TEXT`] bytes.
///
/// # Errors
/// As [`read`]; [`ErrorKind::InvalidData`] where it is no UTF-8.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(read(path, LONGEST_TEXT)?)
        .map_err(|e| Error::new(ErrorKind::InvalidData, format!("it is no text: {e}")))
}

/// Files with the permissions that any new file has: tempfile's own are for the owner alone.
fn builder(prefix: &OsStr) -> tempfile::Builder<'_, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        // A terabyte of nothing.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path, 1 << 30).unwrap_err().kind(), ErrorKind::FileTooLarge);
        // One that has no end and no length.
        #[cfg(unix)]
        assert_eq!(read("/dev/zero".as_ref(), 99).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn only_what_was_left_of_the_named_files_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let left =
            [".unfinished-run.json.Xy1", ".unfinished-verdict.json.Xy2", "run.json", ".lock"];
        for name in left {
            fs::write(dir.path().join(name), "").unwrap();
        }
        sweep(dir.path(), |name| name == "run.json").unwrap();
        let there = left.map(|name| dir.path().join(name).exists());
        assert_eq!(there, [false, true, true, true]);
    }
}
