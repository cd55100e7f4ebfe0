//! Traces as safetensors: arrays by name, metadata in `__metadata__`.

use super::array::{Array, Dtype, shown};
use super::info::TraceInfo;
use super::{LayerTrace, layout};
use crate::unique::UniqueKeys;
use anyhow::{Result, anyhow, bail, ensure};
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;

/// A header of more bytes is refused: one of a million arrays has fewer.
const MAX_HEADER: u64 = 64 << 20;

/// The trace in the bytes of a file.
///
/// # Errors
/// Says what is wrong with the file, or names the array or key that is.
pub(super) fn read(bytes: &[u8]) -> Result<(TraceInfo, LayerTrace)> {
    let (start, header) = header(bytes)?;
    let metadata =
        header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let info = TraceInfo::new(&metadata)?;
    let arrays = header.offset_keys().into_iter().filter_map(|name| {
        let tensor = header.info(&name)?;
        let (from, to) = tensor.data_offsets;
        Some(match bytes.get(start + from..start + to) {
            Some(values) => Ok(Array {
                name,
                shape: tensor.shape.clone(),
                dtype: dtype(tensor.dtype),
                fortran: false,
                bytes: values.into(),
            }),
            None => Err(anyhow!("`{}` lies outside of the file", shown(&name))),
        })
    });
    let layers = layout::assemble(&info, arrays)?;
    Ok((info, layers))
}

/// The header, and where the values begin. All offsets lie within the file.
fn header(bytes: &[u8]) -> Result<(usize, Metadata)> {
    const PREFIX: usize = size_of::<u64>();
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else {
        bail!("not a safetensors file: it has {} bytes", bytes.len());
    };
    let length = u64::from_le_bytes(*prefix);
    let left = (bytes.len() - PREFIX) as u64;
    ensure!(
        length <= left.min(MAX_HEADER),
        "not a safetensors file, or one cut short: it announces a header of {length} bytes, where {} \
         can be",
        left.min(MAX_HEADER)
    );
    let damaged = |error: String| anyhow!("the safetensors header is damaged: {}", shown(&error));
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
    let text = &bytes[PREFIX..PREFIX + length];
    // Of two tensors of one name, the crate keeps the last.
    serde_json::from_slice::<UniqueKeys>(text).map_err(|e| damaged(e.to_string()))?;
    Ok((PREFIX + length, header))
}

fn dtype(stored: safetensors::Dtype) -> Dtype {
    match stored {
        safetensors::Dtype::F16 => Dtype::F16,
        safetensors::Dtype::BF16 => Dtype::Bf16,
        safetensors::Dtype::F32 => Dtype::F32,
        safetensors::Dtype::F64 => Dtype::F64,
        safetensors::Dtype::I8 => Dtype::I8,
        safetensors::Dtype::I16 => Dtype::I16,
        safetensors::Dtype::I32 => Dtype::I32,
        safetensors::Dtype::I64 => Dtype::I64,
        safetensors::Dtype::U8 => Dtype::U8,
        safetensors::Dtype::U16 => Dtype::U16,
        safetensors::Dtype::U32 => Dtype::U32,
        safetensors::Dtype::U64 => Dtype::U64,
        safetensors::Dtype::BOOL => Dtype::Bool,
        other => Dtype::Other(format!("{other:?}").to_lowercase()),
    }
}
