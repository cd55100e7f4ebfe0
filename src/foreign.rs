//! What a file that is not the expected one seems to be: one guess for every command. Whoever has the
//! wrong file usually has the Python version, a still packed archive or a saved web page; naming it
//! saves the search.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A guess from the first bytes of the file at `path`; `None` also where it cannot be read, which
/// whoever asks has found out already.
pub fn seems(path: &Path) -> Option<&'static str> {
    const HEAD: u64 = 512;
    if path.is_dir() {
        return Some("a directory");
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    looks_like(&head)
}

/// A guess from a file's first bytes.
pub fn looks_like(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 15] = [
        (b"\x1f\x8b", "a gzip archive: unpack it first"),
        (b"BZh", "a bzip2 archive: unpack it first"),
        (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
        (b"PK\x03\x04", "a zip archive: unpack it first"),
        (b"\x80\x02", "a Python pickle: of CIFAR the binary version is needed"),
        (b"\x80\x04", "a Python pickle: of CIFAR the binary version is needed"),
        (b"MATLAB", "a MATLAB file: this is the Matlab version, the binary version is needed"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"\x89HDF", "an HDF5 file"),
        (b"GGUF", "a GGUF model"),
        (b"\x93NUMPY", "a single NumPy array (.npy): several by name are an .npz"),
        (b"\x80\x05", "a Python pickle: of CIFAR the binary version is needed"),
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
    if starts(b"<!doctype html") || starts(b"<html") {
        return Some("a web page: the download failed");
    }
    if is_safetensors(head) {
        return Some("a safetensors file");
    }
    // An ONNX model is a protobuf whose second field names its producer.
    if head.first() == Some(&8)
        && head.get(2) == Some(&0x12)
        && head.windows(7).any(|w| w == b"pytorch")
    {
        return Some("an ONNX model");
    }
    is_json(text).then_some("JSON text")
}

/// An object or a list, and in it a text or another of both.
fn is_json(text: &[u8]) -> bool {
    let [b'{' | b'[', rest @ ..] = text else { return false };
    rest.trim_ascii_start().first().is_some_and(|next| b"\"{[".contains(next))
}

/// Eight bytes of length, then the header's JSON.
fn is_safetensors(head: &[u8]) -> bool {
    let length = head.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| length < 1 << 32) && head[8..].starts_with(b"{\"")
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
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x93NUMPY\x01\0", ".npy"),
            (b"\x08\x07\x12\x07pytorch", "ONNX"),
            (b"\x40\0\0\0\0\0\0\0{\"w\":", "safetensors"),
            (b"{\"weight_map\": {", "JSON"),
            (b"PAR1\x15\x04", "Parquet"),
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
