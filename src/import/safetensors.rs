//! State dicts in the safetensors format.

use super::stored::{Kind, Stored};
use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;

/// The tensors of the file, by name.
///
/// # Errors
/// If the header is not valid, or claims other lengths than the file's.
pub fn tensors<'a>(bytes: &'a [u8]) -> Result<BTreeMap<String, Stored<'a>>> {
    let file = SafeTensors::deserialize(bytes).context("not a whole safetensors file")?;
    let stored = |(name, view): (String, TensorView<'a>)| {
        let kind = match view.dtype() {
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            other => Kind::Other(format!("{other:?}")),
        };
        (name, Stored::row_major(kind, view.shape().to_vec(), view.data()))
    };
    Ok(file.tensors().into_iter().map(stored).collect())
}
