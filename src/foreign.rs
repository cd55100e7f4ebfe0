//! What a file that is not the expected one seems to be: one guess for every command. Whoever has the
//! wrong file usually has the Python version, a still packed archive or a saved web page; naming it
//! saves the search.

use crate::files::entries;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What `torch.save` writes.
pub const TORCH: &str = "a PyTorch file: fa-audit import makes a checkpoint of a state dict";
/// A file of tensors without the words of a trace.
pub const SAFETENSORS: &str = "a safetensors file";
/// What `numpy.savez` writes.
pub const NPZ: &str = "an .npz, arrays of NumPy by name";
/// Any other archive.
pub const ZIP: &str = "a zip archive: unpack it first";
/// A trace as safetensors.
pub const TRACE: &str = "a trace: fa-audit diagnose reads it";
/// A file of `train`.
pub const CHECKPOINT: &str = "a checkpoint of fa-audit: fa-audit diagnose reads it";

/// Bytes that a guess looks at.
pub const HEAD: usize = 512;

/// A guess from the first bytes of the file at `path`, or from what a folder holds; `None` also where
/// it cannot be read, which whoever asks has found out already.
pub fn seems(path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        return Some(folder(path));
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
    looks_like(&head)
}

/// A guess from what lies in a folder, and in its first folders.
fn folder(path: &Path) -> &'static str {
    let own = list(path, 0);
    let has = |name: &str| own.iter().any(|path| path.file_name().is_some_and(|n| n == name));
    // Images lie in a folder for each class, and those in one for each split.
    let below = list(path, 2);
    let ends = |endings: &[&str]| {
        below.iter().any(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            endings.iter().any(|ending| name.ends_with(ending))
        })
    };
    if has("run.json") {
        "the directory of a run of fa-audit"
    } else if has("study.json") {
        "the directory of a study of fa-audit"
    } else if ends(&[".index.json"])
        || below.iter().any(|path| path.to_string_lossy().contains("-00001-of-"))
    {
        "a model in several files (shards): load it and save one state dict"
    } else if has("data.pkl") {
        "an unpacked PyTorch file"
    } else if ends(&[".parquet"]) {
        "a folder of Parquet tables"
    } else if ends(&[".png", ".jpg", ".jpeg"]) {
        "a folder of images"
    } else if ends(&[".npy"]) {
        "a folder of NumPy arrays (.npy)"
    } else if ends(&[".safetensors"]) {
        "a folder of safetensors files"
    } else {
        A_FOLDER
    }
}

/// What lies in a folder, and in its first folders down to `depth`; of one that cannot be listed, for a
/// guess, nothing.
fn list(path: &Path, depth: usize) -> Vec<PathBuf> {
    const MOST: usize = 1000;
    const MOST_FOLDERS: usize = 3;
    let mut found: Vec<PathBuf> =
        entries(path).unwrap_or_default().into_iter().take(MOST).collect();
    if depth > 0 {
        let folders = found.clone().into_iter().filter(|path| path.is_dir()).take(MOST_FOLDERS);
        found.extend(folders.flat_map(|folder| list(&folder, depth - 1)));
    }
    found
}

/// A folder of which nothing more can be said.
pub const A_FOLDER: &str = "a directory";

/// A guess from a file's first bytes, at most [`HEAD`] of them.
pub fn looks_like(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 14] = [
        (b"\x1f\x8b", "a gzip archive: unpack it first"),
        (b"BZh", "a bzip2 archive: unpack it first"),
        (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
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
    if head.starts_with(b"PK\x03\x04") {
        return Some(archive(head));
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
    let has = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
    if is_safetensors(head) {
        return Some(if has(b"\"fa_trace\"") { TRACE } else { SAFETENSORS });
    }
    if has(b"fa-audit/checkpoint/") {
        return Some(CHECKPOINT);
    }
    // An ONNX model is a protobuf whose second field names its producer.
    if head.first() == Some(&8) && head.get(2) == Some(&0x12) && has(b"pytorch") {
        return Some("an ONNX model");
    }
    is_json(text).then(|| match () {
        () if has(b"\"weight_map\"") || has(b"\"total_size\"") => {
            "JSON text, the index of a model in several files (shards): load it and save one state dict"
        }
        () if has(b"fa-audit/verdict/") => "a verdict of fa-audit",
        () if has(b"fa-audit/run/") => "the record of a run of fa-audit",
        () if has(b"fa-audit/study") => "the plan or the report of a study of fa-audit",
        () => "JSON text",
    })
}

/// By the name of its first entry.
fn archive(head: &[u8]) -> &'static str {
    let length = head.get(26..28).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let name = head.get(30..).map_or(&[][..], |rest| &rest[..length.min(rest.len())]);
    if name == b"data.pkl" || name.ends_with(b"/data.pkl") {
        TORCH
    } else if name.ends_with(b".npy") {
        NPZ
    } else {
        ZIP
    }
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
            (b"\x80\0\0\0\0\0\0\0{\"__metadata__\":{\"fa_trace\":\"1\"", "a trace"),
            (b"{\"metadata\": {\"total_size\": 3}, \"weight_map\": {", "several files"),
            (b"{\"schema\": \"fa-audit/verdict/1\"", "a verdict of fa-audit"),
            (b"\x83\xa6format\xb5fa-audit/checkpoint/2", "a checkpoint of fa-audit"),
        ] {
            let found = looks_like(head).unwrap_or("nothing");
            assert!(found.contains(word), "{found} for {word}");
        }
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(looks_like(&tar).is_some_and(|what| what.contains("tar")));
    }

    #[test]
    fn an_archive_is_named_by_its_first_entry() {
        let archive = |name: &str| {
            let mut head = b"PK\x03\x04".to_vec();
            head.resize(26, 0);
            head.extend((name.len() as u16).to_le_bytes());
            head.extend([0, 0]);
            head.extend(name.as_bytes());
            looks_like(&head)
        };
        assert_eq!(archive("model/data.pkl"), Some(TORCH));
        assert_eq!(archive("batch.0.h.0.npy"), Some(NPZ));
        assert_eq!(archive("images/1.png"), Some(ZIP));
        assert_eq!(looks_like(b"PK\x03\x04\x14\0"), Some(ZIP));
    }

    #[test]
    fn a_folder_is_named_by_what_it_holds() {
        for (file, word) in [
            ("run.json", "a run of fa-audit"),
            ("study.json", "a study of fa-audit"),
            ("train/0/cat.PNG", "images"),
            ("cat.jpeg", "images"),
            ("data/train-00000.parquet", "Parquet"),
            ("model.safetensors.index.json", "shards"),
            ("model-00001-of-00003.safetensors", "shards"),
            ("model.safetensors", "safetensors files"),
            ("archive/data.pkl", "a directory"),
            ("data.pkl", "unpacked PyTorch"),
            ("w.npy", ".npy"),
            ("readme", A_FOLDER),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            let found = seems(&dir.path().join("x")).unwrap();
            assert!(found.contains(word), "{file}: {found}");
        }
    }

    /// The first bytes of data_batch_1.bin: a label, then pixels.
    #[test]
    fn an_ordinary_record_looks_like_nothing() {
        assert_eq!(looks_like(&[6, 59, 43, 50, 68, 98, 119, 139, 145]), None);
    }
}
