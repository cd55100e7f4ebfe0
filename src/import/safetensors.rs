//! State dicts in the safetensors format.

use super::stored::{Kind, Stored};
use crate::unique::UniqueKeys;
use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;

/// The tensors of the file, by name.
///
/// # Errors
/// If the header is not valid, claims other lengths than the file's, or names a tensor twice.
pub fn tensors<'a>(bytes: &'a [u8]) -> Result<BTreeMap<String, Stored<'a>>> {
    let whole = "not a whole safetensors file";
    let (length, _) = SafeTensors::read_metadata(bytes).context(whole)?;
    let header = &bytes[size_of::<u64>()..size_of::<u64>() + length];
    // Of two tensors of one name, the crate keeps the last.
    serde_json::from_slice::<UniqueKeys>(header).context("its header")?;
    let file = SafeTensors::deserialize(bytes).context(whole)?;
    let stored = |(name, view): (String, TensorView<'a>)| {
        let kind = match view.dtype() {
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            Dtype::F8_E4M3 => Kind::F8E4m3,
            Dtype::F8_E5M2 => Kind::F8E5m2,
            other => Kind::Other(format!("{other:?}")),
        };
        (name, Stored::row_major(kind, view.shape().to_vec(), view.data()))
    };
    Ok(file.tensors().into_iter().map(stored).collect())
}
