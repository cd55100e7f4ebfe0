//! One array of a trace file: its bytes as they were stored, decoded where they are wanted.

use super::Matrix;
use anyhow::{Result, bail, ensure};
use std::borrow::Cow;

/// How an element is stored, always little-endian.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    /// One that no array of a trace has, by its name in the file.
    Other(String),
}

/// Which tokens of a state [N, tokens, d] are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    /// The first.
    Cls,
    Mean,
}

/// An array; `bytes` hold one element after the other.
pub(super) struct Array<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// The first index runs fastest, where else the last does.
    pub fortran: bool,
    pub bytes: Cow<'a, [u8]>,
}

/// A hidden state, gradient or credit at the tokens that are measured.
pub(super) struct State {
    /// How many there were to choose from.
    pub tokens: usize,
    pub matrix: Matrix,
}

impl Dtype {
    /// Bytes of an element; `None` for one that no array of a trace has.
    pub fn width(&self) -> Option<usize> {
        Some(match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Other(_) => return None,
        })
    }

    fn name(&self) -> String {
        match self {
            Self::Other(name) => shown(name),
            known => format!("{known:?}").to_lowercase(),
        }
    }

    /// Reads one element of a floating-point array.
    fn float(&self) -> Option<fn(&[u8]) -> f64> {
        Some(match self {
            Self::F16 => |b| half::f16::from_le_bytes(word(b)).to_f64(),
            Self::Bf16 => |b| half::bf16::from_le_bytes(word(b)).to_f64(),
            Self::F32 => |b| f32::from_le_bytes(word(b)).into(),
            Self::F64 => |b| f64::from_le_bytes(word(b)),
            _ => return None,
        })
    }

    /// Reads one element of an integer array.
    fn integer(&self) -> Option<fn(&[u8]) -> i128> {
        Some(match self {
            Self::I8 => |b| i8::from_le_bytes(word(b)).into(),
            Self::I16 => |b| i16::from_le_bytes(word(b)).into(),
            Self::I32 => |b| i32::from_le_bytes(word(b)).into(),
            Self::I64 => |b| i64::from_le_bytes(word(b)).into(),
            Self::U8 => |b| u8::from_le_bytes(word(b)).into(),
            Self::U16 => |b| u16::from_le_bytes(word(b)).into(),
            Self::U32 => |b| u32::from_le_bytes(word(b)).into(),
            Self::U64 => |b| u64::from_le_bytes(word(b)).into(),
            Self::Bool => |b| i128::from(b[0] != 0),
            _ => return None,
        })
    }
}

/// # Panics
/// If there are fewer than `W` bytes.
fn word<const W: usize>(bytes: &[u8]) -> [u8; W] {
    std::array::from_fn(|i| bytes[i])
}

impl Array<'_> {
    /// The array [N, d] or, at the chosen tokens, [N, tokens, d].
    ///
    /// # Errors
    /// Names the array whose dtype or shape is another.
    pub fn state(&self, tokens: Tokens) -> Result<State> {
        let name = &self.name;
        let Some(read) = self.dtype.float() else {
            bail!("`{name}` is {}: expected f16, bf16, f32 or f64", self.dtype.name())
        };
        let (n, t, d) = match self.shape[..] {
            [n, d] => (n, 1, d),
            [n, t, d] => (n, t, d),
            // A feature map is one token of all its values.
            [n, a, b, c] => match a.checked_mul(b).and_then(|v| v.checked_mul(c)) {
                Some(d) => (n, 1, d),
                None => bail!("`{name}` is {:?}: more values than there can be", self.shape),
            },
            _ => bail!("`{name}` is {:?}: expected [N, d] or [N, tokens, d]", self.shape),
        };
        ensure!(t > 0 && d > 0, "`{name}` is {:?}: an axis has length 0", self.shape);
        let width = self.whole(n.checked_mul(t).and_then(|v| v.checked_mul(d)))?;
        if n == 0 {
            return Ok(State { tokens: t, matrix: Matrix::new(0, d, Vec::new()) });
        }
        let [of_sample, of_token, of_feature] =
            if self.fortran { [1, n, n * t] } else { [t * d, d, 1] };
        let feature = |j: usize| match (self.fortran, &self.shape[..]) {
            (true, &[_, a, b, c]) => j / (b * c) + a * (j / c % b + b * (j % c)),
            _ => j,
        };
        let at = |i: usize, k: usize, j: usize| {
            read(&self.bytes[(i * of_sample + k * of_token + feature(j) * of_feature) * width..])
        };
        let mut values = Vec::with_capacity(n * d);
        for i in 0..n {
            for j in 0..d {
                values.push(match tokens {
                    Tokens::Cls => at(i, 0, j),
                    Tokens::Mean => (0..t).map(|k| at(i, k, j)).sum::<f64>() / t as f64,
                });
            }
        }
        Ok(State { tokens: t, matrix: Matrix::new(n, d, values) })
    }

    /// The class numbers [N].
    ///
    /// # Errors
    /// Names the array whose dtype or shape is another, or that holds something else.
    pub fn labels(&self) -> Result<Vec<u32>> {
        let name = &self.name;
        let Some(read) = self.dtype.integer() else {
            bail!("`{name}` is {}: class numbers are integers", self.dtype.name())
        };
        let [n] = self.shape[..] else { bail!("`{name}` is {:?}: expected [N]", self.shape) };
        let width = self.whole(Some(n))?;
        let label = |bytes| {
            let value = read(bytes);
            u32::try_from(value)
                .map_err(|_| anyhow::anyhow!("`{name}` holds {value}: no class number"))
        };
        self.bytes.chunks_exact(width).map(label).collect()
    }

    /// The number in an array of one element, as text.
    pub fn number(&self) -> Option<String> {
        let width = self.dtype.width()?;
        let bytes = self.bytes.get(..width)?;
        match (self.dtype.float(), self.dtype.integer()) {
            _ if self.dtype == Dtype::Bool => Some((bytes[0] != 0).to_string()),
            (Some(read), _) => Some(read(bytes).to_string()),
            (_, Some(read)) => Some(read(bytes).to_string()),
            _ => None,
        }
    }

    /// Bytes of an element, once the array is known to hold `count` of them.
    fn whole(&self, count: Option<usize>) -> Result<usize> {
        let width = self.dtype.width().unwrap_or(0);
        let expected = count.and_then(|count| count.checked_mul(width));
        ensure!(
            expected == Some(self.bytes.len()),
            "`{}` holds {} bytes, which do not fill {:?} of {}",
            self.name,
            self.bytes.len(),
            self.shape,
            self.dtype.name()
        );
        Ok(width)
    }
}

/// A word from a file as it may stand in a message: short, and without control characters.
pub(crate) fn shown(word: &str) -> String {
    const LONGEST: usize = 160;
    let mut text: String = word.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if word.chars().nth(LONGEST).is_some() {
        text += "…";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], dtype: Dtype, fortran: bool, bytes: Vec<u8>) -> Array<'static> {
        Array { name: "x".into(), shape: shape.to_vec(), dtype, fortran, bytes: bytes.into() }
    }

    /// 0, 1, 2, … in the order in which they are stored.
    fn counted(shape: &[usize], fortran: bool) -> Array<'static> {
        let bytes = (0..shape.iter().product()).flat_map(|i: usize| (i as f64).to_le_bytes());
        array(shape, Dtype::F64, fortran, bytes.collect())
    }

    fn rows(state: &State) -> Vec<Vec<f64>> {
        state.matrix.iter_rows().map(<[f64]>::to_vec).collect()
    }

    #[test]
    fn both_orders_put_each_element_where_numpy_does() {
        let c = counted(&[2, 3], false).state(Tokens::Cls).unwrap();
        assert_eq!(rows(&c), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
        let fortran = counted(&[2, 3], true).state(Tokens::Cls).unwrap();
        assert_eq!(rows(&fortran), [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]);
        // np.arange(12.).reshape(2, 3, 2), and the same with order="F".
        let c = counted(&[2, 3, 2], false);
        assert_eq!(rows(&c.state(Tokens::Cls).unwrap()), [[0.0, 1.0], [6.0, 7.0]]);
        assert_eq!(rows(&c.state(Tokens::Mean).unwrap()), [[2.0, 3.0], [8.0, 9.0]]);
        let fortran = counted(&[2, 3, 2], true);
        assert_eq!(rows(&fortran.state(Tokens::Cls).unwrap()), [[0.0, 6.0], [1.0, 7.0]]);
        assert_eq!(rows(&fortran.state(Tokens::Mean).unwrap()), [[2.0, 8.0], [3.0, 9.0]]);
    }

    #[test]
    fn a_feature_map_is_flattened_as_numpy_reshapes_it() {
        // np.arange(24.).reshape(2, 2, 3, 2).reshape(2, -1), and the same with order="F".
        let c = counted(&[2, 2, 3, 2], false).state(Tokens::Cls).unwrap();
        assert_eq!((c.tokens, c.matrix.cols()), (1, 12));
        assert_eq!(rows(&c)[1], (12..24).map(f64::from).collect::<Vec<_>>());
        let fortran = counted(&[2, 2, 3, 2], true).state(Tokens::Cls).unwrap();
        let first = [0.0, 12.0, 4.0, 16.0, 8.0, 20.0, 2.0, 14.0, 6.0, 18.0, 10.0, 22.0];
        assert_eq!(rows(&fortran)[0], first);
    }

    #[test]
    fn every_floating_point_type_keeps_its_value() {
        let value = 1.5;
        for (dtype, bytes) in [
            (Dtype::F16, half::f16::from_f64(value).to_le_bytes().to_vec()),
            (Dtype::Bf16, half::bf16::from_f64(value).to_le_bytes().to_vec()),
            (Dtype::F32, (value as f32).to_le_bytes().to_vec()),
            (Dtype::F64, value.to_le_bytes().to_vec()),
        ] {
            let state = array(&[1, 1], dtype, false, bytes).state(Tokens::Cls).unwrap();
            assert_eq!(state.matrix.row(0), [value]);
        }
    }

    #[test]
    fn every_integer_type_keeps_its_label_and_no_other_number_is_one() {
        for (dtype, bytes) in [
            (Dtype::I8, vec![7]),
            (Dtype::U8, vec![7]),
            (Dtype::I16, vec![7, 0]),
            (Dtype::U16, vec![7, 0]),
            (Dtype::I32, 7i32.to_le_bytes().to_vec()),
            (Dtype::U32, 7u32.to_le_bytes().to_vec()),
            (Dtype::I64, 7i64.to_le_bytes().to_vec()),
            (Dtype::U64, 7u64.to_le_bytes().to_vec()),
        ] {
            assert_eq!(array(&[1], dtype, false, bytes).labels().unwrap(), [7]);
        }
        let error =
            |dtype, bytes| array(&[1], dtype, false, bytes).labels().unwrap_err().to_string();
        assert_eq!(error(Dtype::I8, vec![255]), "`x` holds -1: no class number");
        assert!(error(Dtype::U64, vec![255; 8]).contains("18446744073709551615"));
        assert_eq!(error(Dtype::F32, vec![0; 4]), "`x` is f32: class numbers are integers");
    }

    #[test]
    fn shapes_that_no_state_has_are_refused() {
        let error = |shape: &[usize], bytes| {
            let refused = array(shape, Dtype::F32, false, bytes).state(Tokens::Cls);
            refused.map(drop).expect_err("refused").to_string()
        };
        assert_eq!(error(&[2], vec![0; 8]), "`x` is [2]: expected [N, d] or [N, tokens, d]");
        assert_eq!(error(&[2, 0], vec![]), "`x` is [2, 0]: an axis has length 0");
        assert_eq!(error(&[2, 0, 3], vec![]), "`x` is [2, 0, 3]: an axis has length 0");
        assert!(error(&[2, 2], vec![0; 15]).contains("holds 15 bytes"));
        assert!(error(&[usize::MAX, 2], vec![0; 8]).contains("do not fill"));
        assert!(error(&[usize::MAX / 2, 1], vec![0; 8]).contains("do not fill"));
        let empty = array(&[0, 3], Dtype::F32, false, vec![]).state(Tokens::Mean).unwrap();
        assert_eq!((empty.matrix.rows(), empty.matrix.cols()), (0, 3));
        let vast = array(&[0, usize::MAX, usize::MAX], Dtype::F32, true, vec![]);
        assert_eq!(vast.state(Tokens::Mean).unwrap().matrix.rows(), 0);
    }

    #[test]
    fn words_of_a_file_neither_flood_nor_steer_a_terminal() {
        assert_eq!(shown("batch.0.h.1"), "batch.0.h.1");
        assert_eq!(shown("\x1b[2J\n"), "\\u{1b}[2J\\n");
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), 161);
    }
}
