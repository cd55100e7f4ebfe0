//! Arrays of NumPy's in a pickle, as `torch.save` writes them when they stand in a dict.
//!
//! ```text
//! numpy._core.multiarray._reconstruct(numpy.ndarray, (0,), b"b"), with the state
//! (1, shape, numpy.dtype("f4", False, True) with the state (3, "<", …), column-major?, bytes)
//! ```
//!
//! In protocol 2, which torch.save uses, bytes are `_codecs.encode(text, "latin1")`.

use super::pickle::{Pickle, Place, Value};
use super::stored::{Kind, Stored};
use crate::shown;
use anyhow::{Context, Result, bail, ensure};
use std::borrow::Cow;

/// Where `_reconstruct` lies, since NumPy 2 and before.
pub const MODULES: [&str; 2] = ["numpy._core.multiarray", "numpy.core.multiarray"];

const MALFORMED: &str = "is not described as NumPy does";

/// The array of this state.
///
/// # Errors
/// If it is described otherwise than NumPy does, or does not fill its shape.
pub fn array<'a>(pickle: &Pickle<'a>, state: Place) -> Result<Stored<'a>> {
    let Some(&[_, shape, dtype, columns, bytes]) = pickle.tuple(state) else { bail!(MALFORMED) };
    let shape = pickle.counts(shape).context(MALFORMED)?;
    let &Value::Bool(columns) = pickle.value(columns) else { bail!(MALFORMED) };
    let kind = kind(pickle, dtype)?;
    let bytes = held(pickle, bytes)?;
    if let Ok(size) = kind.size() {
        let wanted = shape.iter().try_fold(size, |bytes, &extent| bytes.checked_mul(extent));
        ensure!(
            wanted == Some(bytes.len()),
            "is an array {shape:?} of {} bytes, which do not fill it",
            bytes.len()
        );
    }
    Ok(match columns {
        true => Stored::column_major(kind, shape, bytes),
        false => Stored::row_major(kind, shape, bytes),
    })
}

fn kind(pickle: &Pickle, dtype: Place) -> Result<Kind> {
    let &Value::Call { callable, arguments, state: Some(state), .. } = pickle.value(dtype) else {
        bail!(MALFORMED)
    };
    ensure!(*pickle.value(callable) == Value::Global("numpy", "dtype"), MALFORMED);
    let code = pickle.tuple(arguments).and_then(|given| pickle.text(*given.first()?));
    let order = pickle.tuple(state).and_then(|given| pickle.text(*given.get(1)?));
    let (code, order) = (code.context(MALFORMED)?, order.context(MALFORMED)?);
    Ok(match (order, code) {
        ("<" | "=", "f2") => Kind::F16,
        ("<" | "=", "f4") => Kind::F32,
        ("<" | "=", "f8") => Kind::F64,
        (order, code) => Kind::Other(shown::line(&format!("a NumPy array of {order}{code}"))),
    })
}

fn held<'a>(pickle: &Pickle<'a>, bytes: Place) -> Result<Cow<'a, [u8]>> {
    match *pickle.value(bytes) {
        Value::Bytes(bytes) => Ok(bytes.into()),
        Value::Call { callable, arguments, altered: false, .. } => {
            ensure!(*pickle.value(callable) == Value::Global("_codecs", "encode"), MALFORMED);
            let Some(&[text, codec]) = pickle.tuple(arguments) else { bail!(MALFORMED) };
            ensure!(pickle.text(codec) == Some("latin1"), MALFORMED);
            let text = pickle.text(text).context(MALFORMED)?;
            let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
            Ok(bytes.context(MALFORMED)?.into())
        }
        _ => bail!(MALFORMED),
    }
}
