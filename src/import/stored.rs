//! A tensor as it lies in a foreign file, and its values as f32.

use anyhow::{Context, Result, bail, ensure};
use half::{bf16, f16};
use std::borrow::Cow;

/// What the elements of a stored tensor are.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// PyTorch's float8_e4m3fn: 4 bits of exponent, 3 of mantissa, no infinity.
    F8E4m3,
    /// float8_e5m2: the upper byte of an f16.
    F8E5m2,
    /// qint8 (signed) or quint8: the number n stands for scale · (n − zero).
    Quantised {
        signed: bool,
        scale: f64,
        zero: i64,
    },
    F16,
    Bf16,
    F32,
    F64,
    /// Nothing that a parameter can be, by its name in the file.
    Other(String),
}

/// A tensor in the bytes of a file: element (i, j, …) lies at `offset` + i · `stride[0]` + …
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    pub kind: Kind,
    pub shape: Vec<usize>,
    /// In elements, one for each dimension.
    pub stride: Vec<usize>,
    /// In elements.
    pub offset: usize,
    /// Little endian.
    pub bytes: Cow<'a, [u8]>,
}

impl Kind {
    /// The size of an element in bytes.
    ///
    /// # Errors
    /// Of what no parameter can be.
    pub fn size(&self) -> Result<usize> {
        Ok(match self {
            Self::F8E4m3 | Self::F8E5m2 | Self::Quantised { .. } => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(name) => bail!("is {name}, expected floating-point numbers"),
        })
    }

    /// The name of a kind that f32 does not hold as it is; shorter ones are exact in f32, but were
    /// rounded before.
    pub fn converted(&self) -> Option<&'static str> {
        match self {
            Self::F8E4m3 => Some("float8_e4m3fn"),
            Self::F8E5m2 => Some("float8_e5m2"),
            Self::Quantised { signed: true, .. } => Some("qint8"),
            Self::Quantised { signed: false, .. } => Some("quint8"),
            Self::F16 => Some("float16"),
            Self::Bf16 => Some("bfloat16"),
            Self::F64 => Some("float64"),
            Self::F32 | Self::Other(_) => None,
        }
    }
}

impl<'a> Stored<'a> {
    /// A tensor whose elements fill `bytes` in row-major order.
    pub fn row_major(kind: Kind, shape: Vec<usize>, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let stride = row_major(&shape);
        Self { kind, shape, stride, offset: 0, bytes: bytes.into() }
    }

    /// A tensor whose first index runs fastest.
    pub fn column_major(kind: Kind, shape: Vec<usize>, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let mut backwards = shape.clone();
        backwards.reverse();
        let mut stride = row_major(&backwards);
        stride.reverse();
        Self { kind, shape, stride, offset: 0, bytes: bytes.into() }
    }

    /// The `part`-th of `parts` equal parts along the first dimension, where it can be divided.
    pub fn part(&self, part: usize, parts: usize) -> Option<Self> {
        let rows = *self.shape.first()?;
        let height = rows.is_multiple_of(parts).then_some(rows / parts)?;
        let skipped = part.checked_mul(height)?.checked_mul(*self.stride.first()?)?;
        let mut own = self.clone();
        own.shape[0] = height;
        own.offset = self.offset.checked_add(skipped)?;
        Some(own)
    }

    /// The tensor with its first dimension last: the transpose of a matrix, and a convolution's kernel
    /// [out, in, height, width] as rows of a patch.
    pub fn outputs_last(mut self) -> Self {
        self.shape.rotate_left(1);
        self.stride.rotate_left(1);
        self
    }

    /// The same elements with dimension `at` split into `parts`; `None` where those do not fill it.
    pub fn split(mut self, at: usize, parts: &[usize]) -> Option<Self> {
        let (extent, mut stride) = (*self.shape.get(at)?, *self.stride.get(at)?);
        if parts.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(extent) {
            return None;
        }
        let mut strides = vec![0; parts.len()];
        for (own, part) in strides.iter_mut().zip(parts).rev() {
            *own = stride;
            stride = stride.checked_mul(*part)?;
        }
        self.shape.splice(at..=at, parts.iter().copied());
        self.stride.splice(at..=at, strides);
        Some(self)
    }

    /// The tensor with its dimensions in another order.
    ///
    /// # Panics
    /// If `axes` does not name each of them.
    pub fn permuted(mut self, axes: &[usize]) -> Self {
        assert_eq!(axes.len(), self.shape.len());
        self.shape = axes.iter().map(|&axis| self.shape[axis]).collect();
        self.stride = axes.iter().map(|&axis| self.stride[axis]).collect();
        self
    }

    /// The elements in row-major order. They are as many as the shape says, whatever the file
    /// holds: compare the shape with what is wanted first.
    ///
    /// # Errors
    /// If the elements are no floating-point numbers, or lie outside of the file's bytes.
    pub fn values(&self) -> Result<Vec<f32>> {
        let size = self.kind.size()?;
        let end = self.end().context("has dimensions beyond all bounds")?;
        let held = self.bytes.len() / size;
        ensure!(end <= held, "reaches to element {end} of a storage of {held}");
        let count = self.shape.iter().product();
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let at =
                self.offset + index.iter().zip(&self.stride).map(|(i, s)| i * s).sum::<usize>();
            values.push(self.element(&self.bytes[at * size..(at + 1) * size]));
            for (i, extent) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *extent {
                    break;
                }
                *i = 0;
            }
        }
        Ok(values)
    }

    /// One past the last element; `None` where it does not fit a machine word.
    fn end(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last = self
            .shape
            .iter()
            .zip(&self.stride)
            .try_fold(self.offset, |last, (n, s)| last.checked_add((n - 1).checked_mul(*s)?))?;
        last.checked_add(1)
    }

    fn element(&self, bytes: &[u8]) -> f32 {
        match *bytes {
            [a] => match self.kind {
                Kind::F8E4m3 => e4m3(a),
                Kind::F8E5m2 => f16::from_bits(u16::from(a) << 8).to_f32(),
                Kind::Quantised { signed, scale, zero } => {
                    let whole = if signed { i64::from(a as i8) } else { i64::from(a) };
                    // PyTorch multiplies in f32.
                    scale as f32 * whole.saturating_sub(zero) as f32
                }
                _ => unreachable!("no other element has one byte"),
            },
            [a, b] if self.kind == Kind::F16 => f16::from_le_bytes([a, b]).to_f32(),
            [a, b] => bf16::from_le_bytes([a, b]).to_f32(),
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => unreachable!("an element has 1, 2, 4 or 8 bytes"),
        }
    }
}

/// A sign, four bits of exponent (bias 7), three of mantissa; all ones is no number.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let size = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 8.0 * 2f32.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if byte >> 7 == 1 { -size } else { size }
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut stride = vec![1usize; shape.len()];
    for d in (1..shape.len()).rev() {
        stride[d - 1] = stride[d].saturating_mul(shape[d]);
    }
    stride
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn strides_offsets_transposes_and_parts_are_pytorchs() {
        let held = bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // x = torch.arange(7.)[1:].view(2, 3); x, x.T, x.T[1:], x[1:2]
        let x = Stored { offset: 1, ..Stored::row_major(Kind::F32, vec![2, 3], &held) };
        assert_eq!(x.values().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let t = x.clone().outputs_last();
        assert_eq!(
            (t.shape.clone(), t.values().unwrap()),
            (vec![3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])
        );
        assert_eq!(t.part(1, 3).unwrap().values().unwrap(), [2.0, 5.0]);
        assert_eq!(x.part(1, 2).unwrap().values().unwrap(), [4.0, 5.0, 6.0]);
        assert!(x.part(0, 3).is_none());
        let columns = Stored::column_major(Kind::F32, vec![2, 3], &held[..24]);
        assert_eq!(columns.values().unwrap(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let scalar = Stored::row_major(Kind::F32, vec![], &held);
        assert_eq!(scalar.values().unwrap(), [0.0]);
        let expanded = Stored { stride: vec![0], ..Stored::row_major(Kind::F32, vec![3], &held) };
        assert_eq!(expanded.values().unwrap(), [0.0; 3]);
    }

    #[test]
    fn other_precisions_become_f32() {
        // torch.tensor([1.5, -2.25]) in each dtype.
        let half = Stored::row_major(Kind::F16, vec![2], &[0x00, 0x3e, 0x80, 0xc0]);
        assert_eq!(half.values().unwrap(), [1.5, -2.25]);
        let brain = Stored::row_major(Kind::Bf16, vec![2], &[0xc0, 0x3f, 0x10, 0xc0]);
        assert_eq!(brain.values().unwrap(), [1.5, -2.25]);
        let double: Vec<u8> = [1.5f64, 0.1].iter().flat_map(|v| v.to_le_bytes()).collect();
        let double = Stored::row_major(Kind::F64, vec![2], &double);
        assert_eq!(double.values().unwrap(), [1.5, 0.1]);
        // torch.tensor([1.5, -2.25, 448., 2**-9, nan]).to(torch.float8_e4m3fn): -2.25 is exact.
        let short = Stored::row_major(Kind::F8E4m3, vec![5], &[0x3c, 0xc1, 0x7e, 0x01, 0x7f]);
        let short = short.values().unwrap();
        assert_eq!(short[..4], [1.5, -2.25, 448.0, 0.001953125]);
        assert!(short[4].is_nan());
        // ….to(torch.float8_e5m2) of [1.5, -2.5, inf].
        let short = Stored::row_major(Kind::F8E5m2, vec![3], &[0x3e, 0xc1, 0x7c]);
        assert_eq!(short.values().unwrap(), [1.5, -2.5, f32::INFINITY]);
        // torch.quantize_per_tensor(torch.tensor([0., .25, -.5]), .25, 3, torch.qint8)
        let kind = |signed| Kind::Quantised { signed, scale: 0.25, zero: 3 };
        let whole = Stored::row_major(kind(true), vec![3], &[3, 4, 1]);
        assert_eq!(whole.values().unwrap(), [0.0, 0.25, -0.5]);
        let whole = Stored::row_major(kind(false), vec![1], &[255]);
        assert_eq!(whole.values().unwrap(), [63.0]);
        let int = Stored::row_major(Kind::Other("int64".into()), vec![1], &[0; 8]);
        assert_eq!(
            int.values().unwrap_err().to_string(),
            "is int64, expected floating-point numbers"
        );
    }

    #[test]
    fn elements_beyond_the_bytes_are_refused() {
        let held = bytes(&[0.0; 4]);
        let at = |shape: &[usize], stride: &[usize], offset| {
            let (shape, stride) = (shape.to_vec(), stride.to_vec());
            Stored { kind: Kind::F32, shape, stride, offset, bytes: held.as_slice().into() }
                .values()
        };
        assert!(at(&[2, 2], &[2, 1], 0).is_ok());
        for (shape, stride, offset) in [
            (vec![2, 2], vec![2, 1], 1),
            (vec![5], vec![1], 0),
            (vec![2], vec![usize::MAX], 0),
            (vec![1], vec![1], usize::MAX),
            (vec![usize::MAX, usize::MAX], vec![0, 0], 0),
        ] {
            assert!(at(&shape, &stride, offset).is_err(), "{shape:?} {stride:?} {offset}");
        }
    }
}
