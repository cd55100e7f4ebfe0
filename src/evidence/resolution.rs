//! What an array can resolve, read from its values: those of a half-precision array are all
//! representable in half precision, whatever type they were stored in later.

use crate::trace::Matrix;
use half::{bf16, f16};

/// The precision that the values show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32 or better.
    Full,
    Half,
    Brain,
}

impl Precision {
    /// Half the distance of neighbours, relative.
    pub fn unit(self) -> f64 {
        match self {
            Self::Full => 2f64.powi(-24),
            Self::Half => 2f64.powi(-11),
            Self::Brain => 2f64.powi(-8),
        }
    }

    /// Of matrices that were recorded alike. Zeros say nothing, and few values might fit by chance:
    /// small whole numbers are representable everywhere.
    pub fn of<'a>(matrices: impl IntoIterator<Item = &'a Matrix>) -> Self {
        const TELLING: usize = 16;
        let (mut half, mut brain, mut telling) = (true, true, 0);
        for value in matrices.into_iter().flat_map(|m| m.iter_rows()).flatten() {
            half &= f16::from_f64(*value).to_f64() == *value;
            brain &= bf16::from_f64(*value).to_f64() == *value;
            telling += usize::from(value.fract() != 0.0);
            if !half && !brain {
                return Self::Full;
            }
        }
        match (half, brain) {
            _ if telling < TELLING => Self::Full,
            (_, true) => Self::Brain,
            (true, _) => Self::Half,
            _ => Self::Full,
        }
    }
}

/// Below this f16 loses digits, and below a thousandth of it everything.
pub const F16_NORMAL: f64 = 6.103_515_625e-5;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(round: impl Fn(f64) -> f64) -> Precision {
        let values = (1..40).map(|i| round((0.7 * f64::from(i)).sin())).collect();
        Precision::of([&Matrix::new(1, 39, values)])
    }

    #[test]
    fn the_precision_is_that_of_the_values_and_not_of_their_type() {
        assert_eq!(of(|v| v), Precision::Full);
        assert_eq!(of(|v| f64::from(v as f32)), Precision::Full);
        assert_eq!(of(|v| f16::from_f64(v).to_f64()), Precision::Half);
        assert_eq!(of(|v| bf16::from_f64(v).to_f64()), Precision::Brain);
        assert_eq!(of(|_| 0.0), Precision::Full);
        assert_eq!(of(f64::round), Precision::Full);
    }
}
