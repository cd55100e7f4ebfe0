//! The arrays inside of an .npz: NumPy's .npy format, versions 1 to 3.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use super::array::{Array, Dtype, shown};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A header of more bytes is refused: NumPy's own have about a hundred.
const MAX_HEADER: usize = 1 << 16;

/// What the header says, a Python dictionary.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    descr: serde_json::Value,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// The array in the bytes of an .npy file.
///
/// # Errors
/// Names the array and what is wrong with it.
pub(super) fn parse(name: &str, mut bytes: Vec<u8>) -> Result<Array<'static>> {
    let (start, header) = header(&bytes).with_context(|| format!("`{}`", shown(name)))?;
    bytes.drain(..start);
    let dtype = match &header.descr {
        serde_json::Value::String(word) => {
            let (word, width) = little(word);
            if width > 1 {
                bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            }
            dtype(&word)
        }
        // Structured arrays have a list of fields.
        other => Dtype::Other(other.to_string()),
    };
    if let Some(width) = dtype.width() {
        let size = header.shape.iter().try_fold(width, |n, &d| n.checked_mul(d));
        ensure!(
            size == Some(bytes.len()),
            "`{}` announces {:?} of {}, and {} bytes follow",
            shown(name),
            header.shape,
            header.descr,
            bytes.len()
        );
    }
    Ok(Array {
        name: name.into(),
        shape: header.shape,
        dtype,
        fortran: header.fortran_order,
        bytes: bytes.into(),
    })
}

/// The header, and where the values begin.
fn header(bytes: &[u8]) -> Result<(usize, Header)> {
    let (length, start) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
            (u16::from_le_bytes([*a, *b]).into(), 10)
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12)
        }
        _ => bail!("not an array of NumPy"),
    };
    ensure!(length <= MAX_HEADER, "a header of {length} bytes: expected at most {MAX_HEADER}");
    let text = bytes.get(start..start + length).context("cut short within its header")?;
    let text = str::from_utf8(text).context("its header is no text")?;
    let header = serde_json::from_str(&json(text))
        .with_context(|| format!("its header is `{}`", shown(text.trim())))?;
    Ok((start + length, header))
}

/// NumPy writes the `repr` of a dictionary of strings, booleans and tuples of numbers.
fn json(dictionary: &str) -> String {
    let mut text = dictionary.to_owned();
    for (python, json) in [
        ("'", "\""),
        ("(", "["),
        (")", "]"),
        ("True", "true"),
        ("False", "false"),
        (",]", "]"),
        (", }", "}"),
        (",}", "}"),
    ] {
        text = text.replace(python, json);
    }
    text
}

/// The little-endian name of a type, and how many bytes are to be turned round at a time (1: none).
fn little(descr: &str) -> (String, usize) {
    let Some(word) = descr.strip_prefix('>') else { return (descr.into(), 1) };
    let width = match word.split_at_checked(1) {
        // A letter has four bytes.
        Some(("U", _)) => 4,
        Some(("f" | "i" | "u" | "V", width)) => width.parse().unwrap_or(1),
        _ => return (descr.into(), 1),
    };
    (format!("<{word}"), width.max(1))
}

fn dtype(descr: &str) -> Dtype {
    match descr {
        // NumPy has no bfloat16: those of ml_dtypes, which JAX uses, are two bytes of no kind.
        "<V2" | "|V2" | "bfloat16" => Dtype::Bf16,
        "|b1" => Dtype::Bool,
        "<f2" => Dtype::F16,
        "<f4" => Dtype::F32,
        "<f8" => Dtype::F64,
        "|i1" | "<i1" => Dtype::I8,
        "<i2" => Dtype::I16,
        "<i4" => Dtype::I32,
        "<i8" => Dtype::I64,
        "|u1" | "<u1" => Dtype::U8,
        "<u2" => Dtype::U16,
        "<u4" => Dtype::U32,
        "<u8" => Dtype::U64,
        other => Dtype::Other(other.into()),
    }
}

/// The text of an array with one element, a string or a number: how NumPy saves a Python scalar.
///
/// # Errors
/// Names the array that is something else.
pub(super) fn scalar(array: &Array) -> Result<String> {
    let name = shown(&array.name);
    let one = array.shape.iter().all(|&d| d == 1);
    ensure!(one, "metadata `{name}` is {:?}: expected one string or number", array.shape);
    if let Some(number) = array.number() {
        return Ok(number);
    }
    let Dtype::Other(descr) = &array.dtype else { bail!("metadata `{name}` is empty") };
    let text = if descr.starts_with("<U") {
        // UTF-32, filled up with zeros.
        let code = |b: &[u8]| b.try_into().map_or(0, u32::from_le_bytes);
        let letters = array.bytes.chunks(4).map(code).take_while(|&c| c != 0);
        letters.map(char::from_u32).collect::<Option<String>>()
    } else if descr.starts_with("|S") {
        let bytes: Vec<u8> = array.bytes.iter().copied().take_while(|&b| b != 0).collect();
        String::from_utf8(bytes).ok()
    } else {
        bail!("metadata `{name}` is of dtype {}: expected a string or a number", shown(descr))
    };
    text.with_context(|| format!("metadata `{name}` is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `numpy.lib.format` writes it.
    fn npy(header: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    #[test]
    fn headers_as_numpy_writes_them_are_read() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }          \n";
        let array = parse("x", npy(header, &[0; 8])).unwrap();
        assert_eq!((array.shape.as_slice(), array.fortran), ([2, 1].as_slice(), false));
        assert_eq!((array.dtype, array.bytes.len()), (Dtype::F32, 8));
        let header = "{'descr': '|i1', 'fortran_order': True, 'shape': (3,), }\n";
        let array = parse("x", npy(header, &[1, 2, 3])).unwrap();
        assert_eq!((array.labels().unwrap(), array.fortran), (vec![1, 2, 3], true));
        let mut second = npy(header, &[1, 2, 3]);
        second[6] = 2;
        second.splice(10..10, [0, 0]);
        assert_eq!(parse("x", second).unwrap().labels().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn big_endian_and_bfloat16_arrays_are_read() {
        let values = |descr: &str, bytes: &[u8]| {
            let header =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 2), }}");
            let array = parse("x", npy(&header, bytes)).unwrap();
            array.state(super::super::array::Tokens::Cls).unwrap().matrix.row(0).to_vec()
        };
        let both = |a: &[u8], b: &[u8]| [a, b].concat();
        let (one, half) = (1.0f32.to_be_bytes(), 0.5f32.to_be_bytes());
        assert_eq!(values(">f4", &both(&one, &half)), [1.0, 0.5]);
        let (one, half) = (1.0f64.to_be_bytes(), 0.5f64.to_be_bytes());
        assert_eq!(values(">f8", &both(&one, &half)), [1.0, 0.5]);
        let brain = |v: f64| half::bf16::from_f64(v).to_le_bytes();
        assert_eq!(values("<V2", &both(&brain(1.0), &brain(0.5))), [1.0, 0.5]);
        assert_eq!(values("|V2", &both(&brain(1.0), &brain(0.5))), [1.0, 0.5]);
    }

    #[test]
    fn headers_that_lie_are_refused_in_a_sentence() {
        let error =
            |bytes: Vec<u8>| format!("{:#}", parse("x", bytes).map(drop).expect_err("refused"));
        let of = |shape: &str| {
            error(npy(
                &format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"),
                &[0; 8],
            ))
        };
        assert!(of("(1000000000000,)").contains("and 8 bytes follow"));
        assert!(of("(4294967296, 4294967296, 4294967296)").contains("and 8 bytes follow"));
        assert!(of("(99999999999999999999999,)").contains("its header is"));
        assert!(of("(-1,)").contains("its header is"));
        assert!(of("None").contains("its header is"));
        assert!(error(vec![]).contains("not an array of NumPy"));
        assert!(error(b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()).contains("4294967295"));
        assert!(error(b"\x93NUMPY\x01\x00\x10\x00{".to_vec()).contains("cut short"));
        assert!(error(npy("{'descr': '<f8'}", &[])).contains("its header is"));
    }

    #[test]
    fn python_scalars_are_metadata() {
        let text = |descr: &str, values: &[u8]| {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (), }}");
            scalar(&parse("x", npy(&header, values)).unwrap())
        };
        assert_eq!(text("<U4", b"d\0\0\0f\0\0\0a\0\0\0\0\0\0\0").unwrap(), "dfa");
        assert_eq!(text("|S4", b"dfa\0").unwrap(), "dfa");
        assert_eq!(text("<f8", &0.25f64.to_le_bytes()).unwrap(), "0.25");
        assert_eq!(text("<i8", &42i64.to_le_bytes()).unwrap(), "42");
        assert_eq!(text(">i8", &42i64.to_be_bytes()).unwrap(), "42");
        assert_eq!(text(">U3", b"\0\0\0d\0\0\0f\0\0\0a").unwrap(), "dfa");
        assert_eq!([text("|b1", &[1]).unwrap(), text("|b1", &[0]).unwrap()], ["true", "false"]);
        assert!(text("|O", b"").unwrap_err().to_string().contains("dtype |O"));
        assert!(text("<U1", &[0xff; 4]).unwrap_err().to_string().contains("no text"));
    }
}
