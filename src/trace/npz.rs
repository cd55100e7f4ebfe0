//! Traces as .npz, a zip archive of .npy files: arrays by name, and each metadata key as an array of
//! one string or number, which is what `np.savez(path, method="dfa", accuracy=0.31)` writes.

use super::array::{Array, shown};
use super::info::TraceInfo;
use super::{LayerTrace, layout, npy};
use anyhow::{Context, Result, anyhow, ensure};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use zip::ZipArchive;
use zip::result::{ZipError, ZipResult};

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// More bytes are no metadata.
const MAX_METADATA: u64 = 1 << 16;

/// The trace in the bytes of a file, whose arrays hold together at most `limit` bytes.
///
/// # Errors
/// Says what is wrong with the archive, or names the array or key that is.
pub(super) fn read(bytes: &[u8], limit: u64) -> Result<(TraceInfo, LayerTrace)> {
    // The crate reserves memory for as many entries as the directory announces. Without zip64 they
    // are at most 65535.
    ensure!(
        !has_zip64_directory(bytes),
        "its directory is in zip64, for more than 65535 arrays or 4 GiB: record fewer batches"
    );
    let damaged = |e: ZipError| anyhow!("not an .npz, or a damaged one: {}", shown(&e.to_string()));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    ensure!(!archive.has_duplicate_names(), "two of its arrays have the same name");
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.map(Cow::into_owned))
        .collect::<ZipResult<_>>()
        .map_err(damaged)?;
    let (mut metadata, mut arrays) = (BTreeMap::new(), Vec::new());
    for file in names {
        let name = file.strip_suffix(".npy").ok_or_else(|| layout::unknown(&file))?.to_owned();
        if layout::is_array(&name) {
            arrays.push((name, file));
            continue;
        }
        let (array, _) = entry(&mut archive, &name, &file, MAX_METADATA)?;
        ensure!(array.shape.iter().all(|&d| d == 1), layout::unknown(&name));
        metadata.insert(name, npy::scalar(&array)?);
    }
    let info = TraceInfo::new(&metadata)?;
    let mut left = limit;
    let arrays = arrays.into_iter().map(|(name, file)| {
        let (array, size) = entry(&mut archive, &name, &file, left)?;
        left -= size;
        Ok(array)
    });
    let layers = layout::assemble(&info, arrays)?;
    Ok((info, layers))
}

/// One array of the archive and its inflated size, which is at most `limit` whatever its header says.
fn entry(
    archive: &mut Archive,
    name: &str,
    file: &str,
    limit: u64,
) -> Result<(Array<'static>, u64)> {
    let entry = archive.by_name(file).with_context(|| format!("`{}`", shown(name)))?;
    let within = |size: u64| -> Result<()> {
        ensure!(size <= limit, "`{}` inflates to more than {limit} bytes", shown(name));
        Ok(())
    };
    // What it says of itself spares the work; what comes out of it counts.
    within(entry.size())?;
    let mut bytes = Vec::new();
    entry
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("`{}` is damaged", shown(name)))?;
    let size = bytes.len() as u64;
    within(size)?;
    Ok((npy::parse(name, bytes)?, size))
}

/// Whether a zip64 locator stands where one must: 20 bytes before the end of the directory.
fn has_zip64_directory(bytes: &[u8]) -> bool {
    bytes.windows(24).any(|w| w.starts_with(b"PK\x06\x07") && w.ends_with(b"PK\x05\x06"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    /// An array of f64 zeros.
    fn zeros(shape: &str, count: usize) -> Vec<u8> {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + 8 * count, 0);
        bytes
    }

    /// The metadata that a trace must have, and these entries.
    fn archive(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let mut version = zeros("()", 0);
        let text = String::from_utf8_lossy(&version[10..]).replace("<f8", "<U1");
        version.splice(10.., text.bytes().chain([b'1', 0, 0, 0]));
        for (name, bytes) in [("fa_trace.npy", version)].iter().chain(entries) {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn refusal(bytes: &[u8], limit: u64) -> String {
        format!("{:#}", read(bytes, limit).map(drop).expect_err("refused"))
    }

    #[test]
    fn a_bomb_stops_at_the_limit_whatever_it_says_of_its_size() {
        let state = || zeros("(1000, 100)", 100_000);
        let bomb = archive(&[("batch.0.h.0.npy", state()), ("batch.0.h.1.npy", state())]);
        assert!(bomb.len() < 4_000, "{} bytes inflate to 1.6 MB", bomb.len());
        assert!(read(&bomb, 2_000_000).is_ok());
        assert_eq!(refusal(&bomb, 500_000), "`batch.0.h.0` inflates to more than 500000 bytes");
        // The limit holds for all arrays together.
        assert!(refusal(&bomb, 1_000_000).starts_with("`batch.0.h.1` inflates to more than"));
        // One that says it is small, wherever it says its size.
        let mut liar = bomb.clone();
        let size = (zeros("(1000, 100)", 100_000).len() as u32).to_le_bytes();
        for at in 0..liar.len() - 4 {
            if liar[at..].starts_with(&size) {
                liar[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
            }
        }
        assert!(refusal(&liar, 500_000).contains("`batch.0.h.0`"));
        let metadata = archive(&[("notes.npy", zeros("(100000,)", 100_000))]);
        assert_eq!(refusal(&metadata, 2_000_000), "`notes` inflates to more than 65536 bytes");
    }

    #[test]
    fn two_arrays_of_one_name_are_refused() {
        let state = || zeros("(2, 1)", 2);
        let mut bytes = archive(&[("batch.0.h.0.npy", state()), ("batch.0.h.1.npy", state())]);
        assert!(read(&bytes, 1_000).is_ok());
        for at in 0..bytes.len() - 11 {
            if bytes[at..].starts_with(b"batch.0.h.1") {
                bytes[at + 10] = b'0';
            }
        }
        assert_eq!(refusal(&bytes, 1_000), "two of its arrays have the same name");
    }

    #[test]
    fn names_that_would_escape_a_folder_mean_nothing() {
        for name in ["../../batch.0.h.0.npy", "/etc/passwd.npy", "..\\x.npy", "readme.txt"] {
            let error = refusal(&archive(&[(name, zeros("(2,)", 2))]), 1_000);
            assert!(error.contains("means nothing here"), "{error}");
        }
    }

    #[test]
    fn a_directory_that_may_announce_any_number_of_entries_is_refused() {
        let mut bytes = archive(&[("batch.0.h.0.npy", zeros("(2, 1)", 2))]);
        let end = bytes.len() - 22;
        assert!(bytes[end..].starts_with(b"PK\x05\x06"));
        bytes.splice(end..end, b"PK\x06\x07".iter().copied().chain([0xff; 16]));
        assert!(refusal(&bytes, 1_000).contains("zip64"));
    }
}
