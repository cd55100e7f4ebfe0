//! Files of a run and of a study: written so that a reader never sees half of one, read so that
//! one that is not what its name says takes neither all memory nor all time.

use crate::failure::survived;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes of the longest text that is read: a run of 100,000 epochs records less.
pub const LONGEST_TEXT: u64 = 256 << 20;

/// Whether `error` says that there is nothing, and not that the system could not look.
pub fn is_absence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whether `error` comes from a system that could not look or read: not from there being nothing, nor from
/// what was read.
pub fn is_unseen(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<Error>());
    causes.any(|cause| cause.raw_os_error().is_some() && !is_absence(cause))
}

/// Whether there is something at `path`.
///
/// # Errors
/// Names the path where the system does not tell.
pub fn exists(path: &Path) -> Result<bool> {
    Ok(looked_at(path)?.is_some())
}

/// Whether there is a directory at `path`.
///
/// # Errors
/// Names the path where the system does not tell.
pub fn is_directory(path: &Path) -> Result<bool> {
    Ok(looked_at(path)?.is_some_and(|found| found.is_dir()))
}

fn looked_at(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(e) if is_absence(&e) => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot look at {}", path.display())),
    }
}

/// The path from the root, though nothing may lie there.
///
/// # Errors
/// Names the path where the working folder it begins in is gone.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} lies", path.display()))
}

/// A path as it stands in a configuration: as it is, or where it is no UTF-8 as a URL of its bytes,
/// `file:///data/caf%E9` (RFC 8089).
///
/// # Errors
/// Where the working folder it begins in is gone.
pub fn in_words(path: &Path) -> Result<String> {
    if let Some(words) = path.to_str().filter(|words| words.starts_with(SCHEME)) {
        return Ok(words.into());
    }
    let path = absolute(path)?;
    if let Some(words) = path.to_str() {
        return Ok(words.into());
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    let word = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'~' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    Ok(SCHEME.to_owned() + &bytes.iter().map(word).collect::<String>())
}

const SCHEME: &str = "file://";

/// The path of such words.
pub fn of_words(words: &Path) -> PathBuf {
    #[cfg(unix)]
    if let Some(url) = words.to_str().and_then(|words| words.strip_prefix(SCHEME)) {
        use std::os::unix::ffi::OsStringExt;
        let mut bytes = Vec::new();
        let mut rest = url.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            let hex = after.get(..2).and_then(|two| str::from_utf8(two).ok());
            match hex.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(first);
                    rest = after;
                }
            }
        }
        return OsString::from_vec(bytes).into();
    }
    words.into()
}

/// What lies in `directory`, in order; nothing where there is no such directory.
///
/// # Errors
/// Names the directory that cannot be listed.
pub fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let mut found = match fs::read_dir(directory) {
            Err(e) if is_absence(&e) => return Ok(Vec::new()),
            other => other?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?,
        };
        found.sort();
        Ok(found)
    };
    // The standard library panics where a directory cannot be closed.
    survived(list)
        .unwrap_or_else(|text| Err(Error::other(text)))
        .with_context(|| format!("cannot list {}", directory.display()))
}

/// Writes `bytes` beside `path`, flushes them to the disk and renames the file into its place. What
/// earlier writers of `path` left there when they were killed is swept.
///
/// # Errors
/// Names the file and what the system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    let write = || -> std::io::Result<()> {
        let mut file = unfinished(directory, name)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        fs::rename(file.path(), path)?;
        // It has another name now: there is nothing to remove.
        file.disable_cleanup(true);
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    // The file is in its place: a directory that cannot be listed keeps what was left in it.
    let _ = sweep(directory, |target| OsStr::new(target) == name);
    Ok(())
}

/// A new file for what is to become `name`, locked for as long as it is open.
fn unfinished(directory: &Path, name: &OsStr) -> std::io::Result<NamedTempFile> {
    let mut prefix = OsString::from(UNFINISHED);
    prefix.push(name);
    prefix.push(".");
    loop {
        let file = builder(&prefix).tempfile_in(directory)?;
        // On a file system without locks nobody sweeps.
        let _ = file.as_file().lock();
        // Another writer may have swept it before it was locked.
        if fs::exists(file.path())? {
            return Ok(file);
        }
    }
}

/// Removes what a [`write_atomically`] of `names` in `directory` left behind when its program was
/// killed. What is being written has a lock.
///
/// # Errors
/// Names what cannot be listed or removed.
pub fn sweep(directory: &Path, names: impl Fn(&str) -> bool) -> Result<()> {
    for path in entries(directory)? {
        let name = path.file_name().and_then(OsStr::to_str);
        let target = name.and_then(|n| n.strip_prefix(UNFINISHED)).and_then(|n| n.rsplit_once('.'));
        if target.is_some_and(|(target, _)| names(target)) {
            let remove = || match File::open(&path) {
                Ok(file) if file.try_lock().is_err() => Ok(()),
                Err(e) if !is_absence(&e) => Err(e),
                _ => fs::remove_file(&path),
            };
            match remove() {
                Err(e) if !is_absence(&e) => {
                    return Err(e).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

const UNFINISHED: &str = ".unfinished-";

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

/// As [`read_text`]; `None` where there is nothing.
///
/// # Errors
/// Names the file that cannot be read.
pub fn text_if_there(path: &Path) -> Result<Option<String>> {
    match read_text(path) {
        Err(e) if is_absence(&e) => Ok(None),
        other => other.map(Some).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes a folder with all above it, if it is not there.
///
/// # Errors
/// Names the folder, with what the system said: of one that cannot be looked at, too, and not that something
/// is there.
pub fn create_folder(path: &Path) -> Result<()> {
    let made = match fs::create_dir_all(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(e),
            Err(unseen) => Err(unseen),
        },
        made => made,
    };
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// SHA-256 (hex) of a file's bytes, whatever its length.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(crate::hex(&hasher.finalize())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
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
    fn what_could_not_be_read_is_told_from_what_is_not_there_and_what_is_damaged() {
        let of = |error: Error| anyhow::Error::from(error).context("cannot read x");
        assert!(is_unseen(&of(Error::from_raw_os_error(5))));
        assert!(is_unseen(&of(Error::from_raw_os_error(24)).context("run")));
        assert!(!is_unseen(&of(Error::from_raw_os_error(2))));
        assert!(!is_unseen(&of(Error::new(ErrorKind::InvalidData, "it is no text"))));
        assert!(!is_unseen(&anyhow::anyhow!("no checkpoint")));
    }

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

    #[cfg(unix)]
    #[test]
    fn a_path_of_any_bytes_comes_back_from_its_words() {
        use std::os::unix::ffi::OsStrExt;
        for (bytes, words) in [
            (b"/data/caf\xe9 %41/x".as_slice(), "file:///data/caf%E9%20%2541/x"),
            ("/data/café 100%".as_bytes(), "/data/café 100%"),
        ] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(in_words(path).unwrap(), words);
            assert_eq!(of_words(Path::new(words)), path);
        }
        assert_eq!(of_words(Path::new("file:///a%zz%")), Path::new("/a%zz%"));
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

    #[test]
    fn the_next_writer_of_a_file_sweeps_what_was_left_of_it_and_nothing_that_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.json");
        let left = dir.path().join(".unfinished-run.json.Xy1");
        let others = dir.path().join(".unfinished-verdict.json.Xy2");
        fs::write(&left, "half").unwrap();
        fs::write(&others, "half").unwrap();
        let writing = unfinished(dir.path(), "run.json".as_ref()).unwrap();
        write_atomically(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!([&left, &others].map(|p| p.exists()), [false, true]);
        assert!(writing.path().exists(), "it has a lock");
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_what_is_not_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(exists(&file).unwrap());
        for nothing in [dir.path().join("no"), file.join("below")] {
            assert!(!exists(&nothing).unwrap());
            assert_eq!(entries(&nothing).unwrap(), Vec::<PathBuf>::new());
        }
        assert_eq!(entries(dir.path()).unwrap(), [file]);
        // A name that no system takes.
        let endless = dir.path().join("x".repeat(5000));
        for error in [exists(&endless).unwrap_err(), entries(&endless).unwrap_err()] {
            assert!(error.to_string().contains("xxx"), "{error}");
        }
    }
}
