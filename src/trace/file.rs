//! Trace files: what any program recorded of a network, as safetensors or as .npz. Files come from
//! elsewhere and are not trusted: nothing is reserved on the word of a header, and what does not fit is
//! refused with its name.

use super::info::TraceInfo;
use super::{LayerTrace, npz, safetensors};
use crate::foreign;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No file of more bytes is read, and no .npz whose arrays inflate to more. In memory the arrays take
/// at most four times as much (f16 becomes f64).
pub const MAX_BYTES: u64 = 1 << 30;

/// A network as a trace file shows it.
#[derive(Clone, Debug)]
pub struct Trace {
    pub info: TraceInfo,
    pub layers: LayerTrace,
}

/// The kinds of trace file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Safetensors,
    Npz,
}

impl Format {
    /// By the ending of a file's name; `None` for one that no trace has.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "safetensors" => Some(Self::Safetensors),
            "npz" => Some(Self::Npz),
            _ => None,
        }
    }
}

impl Trace {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(path: &Path, format: Format) -> Result<Self> {
        let open = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let named = || path.display().to_string();
        let bytes = open().with_context(|| format!("cannot read the trace {}", named()))?;
        let trace = Self::from_bytes(&bytes, format);
        // Of its own kind it is damaged, and the error says how.
        let own = match format {
            Format::Safetensors => [foreign::SAFETENSORS, foreign::TRACE],
            Format::Npz => [foreign::NPZ, foreign::ZIP],
        };
        let head = &bytes[..bytes.len().min(foreign::HEAD)];
        match foreign::looks_like(head).filter(|what| !own.contains(what)) {
            Some(what) => trace.with_context(|| format!("this seems to be {what}")),
            None => trace,
        }
        .with_context(named)
    }

    /// The trace in the bytes of a file. Reserves at most four times [`MAX_BYTES`], and for
    /// safetensors a small multiple of `bytes`.
    ///
    /// # Errors
    /// Says what is wrong with the file, or names the array or key that is.
    pub fn from_bytes(bytes: &[u8], format: Format) -> Result<Self> {
        let gibibytes = MAX_BYTES >> 30;
        ensure!(
            bytes.len() as u64 <= MAX_BYTES,
            "more than {gibibytes} GiB: record fewer samples, or only the tokens that are measured"
        );
        let (info, layers) = match format {
            Format::Safetensors => safetensors::read(bytes)?,
            Format::Npz => npz::read(bytes, MAX_BYTES)?,
        };
        Ok(Self { info, layers })
    }
}
