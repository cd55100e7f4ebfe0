//! What a file that is not the expected one seems to be. Whoever has the wrong file usually has
//! the Python version, a still packed archive or a saved web page; naming it saves the search.

/// A guess from a file's first bytes.
pub(super) fn looks_like(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 10] = [
        (b"\x1f\x8b", "a gzip archive: unpack it first"),
        (b"BZh", "a bzip2 archive: unpack it first"),
        (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
        (b"PK\x03\x04", "a zip archive: unpack it first"),
        (b"\x80\x02", "a Python pickle: this is the Python version, the binary version is needed"),
        (b"\x80\x04", "a Python pickle: this is the Python version, the binary version is needed"),
        (b"MATLAB", "a MATLAB file: this is the Matlab version, the binary version is needed"),
        (b"\x89PNG", "a PNG image"),
        (b"PAR1", "a Parquet table"),
        (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
    ];
    if head.is_empty() {
        return Some("an empty file");
    }
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive: unpack it first");
    }
    let text = head.trim_ascii_start();
    let starts =
        |tag: &[u8]| text.len() >= tag.len() && text[..tag.len()].eq_ignore_ascii_case(tag);
    (starts(b"<!doctype html") || starts(b"<html")).then_some("a web page: the download failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_wrong_files_are_named() {
        for (head, word) in [
            (b"\x1f\x8b\x08\0".as_slice(), "gzip"),
            (b"\x80\x02}q\x01(U\x0bbatch_label", "pickle"),
            (b"PK\x03\x04\x14\0", "zip"),
            (b"\n<!DOCTYPE html><title>404", "web page"),
            (b"version https://git-lfs.github.com/spec/v1", "LFS"),
            (b"", "empty"),
        ] {
            let found = looks_like(head).unwrap_or("nothing");
            assert!(found.contains(word), "{found} for {word}");
        }
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(looks_like(&tar).is_some_and(|what| what.contains("tar")));
    }

    /// The first bytes of data_batch_1.bin: a label, then pixels.
    #[test]
    fn an_ordinary_record_looks_like_nothing() {
        assert_eq!(looks_like(&[6, 59, 43, 50, 68, 98, 119, 139, 145]), None);
    }
}
