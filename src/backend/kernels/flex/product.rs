//! Matrix products of f32 of any strides. On x86 by the kernels that `faer` calls, without the rest of
//! it; elsewhere, and before AVX2, by `gemm`, which Flex brings along.

#[cfg(target_arch = "x86_64")]
use crate::backend::machine::{Level, level};
use gemm::Parallelism;

/// Multiplications under which a second thread costs more than it brings.
const WORTH_SHARING: usize = 192 * 192 * 192;

/// The matrix whose value at (i, j) is `values[i · down + j · right]`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    down: usize,
    right: usize,
}

impl Matrix<'_> {
    pub(super) fn transpose(self) -> Self {
        let Self { values, rows, columns, down, right } = self;
        Self { values, rows: columns, columns: rows, down: right, right: down }
    }
}

/// The matrix of `rows` × `columns` values in row-major order.
pub(super) fn matrix(values: &[f32], rows: usize, columns: usize) -> Matrix<'_> {
    assert_eq!(values.len(), rows * columns, "a {rows}x{columns} matrix");
    Matrix { values, rows, columns, down: columns, right: 1 }
}

/// a b, row-major.
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let count = a.rows * b.columns;
    if a.columns == 0 {
        return vec![0.0; count];
    }
    let mut out = Vec::with_capacity(count);
    // SAFETY: there is room for every value, and `multiply` writes each without reading it.
    unsafe {
        multiply(out.as_mut_ptr(), Onto::Nothing, a, b);
        out.set_len(count);
    }
    out
}

/// `onto` + a b, row-major.
pub(super) fn product_onto(mut onto: Vec<f32>, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    product_to(&mut onto, a, b);
    onto
}

/// Adds a b to `onto`, row-major.
pub(super) fn product_to(onto: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(onto.len(), a.rows * b.columns, "a {}x{} matrix", a.rows, b.columns);
    // SAFETY: `onto` holds every value.
    unsafe { multiply(onto.as_mut_ptr(), Onto::Values, a, b) };
}

#[derive(Clone, Copy, PartialEq)]
enum Onto {
    /// The target's values are not read.
    Nothing,
    Values,
}

/// Adds a b to what stands at `target`, row-major.
///
/// # Safety
/// `target` is valid for writes of a.rows · b.columns values, and with [`Onto::Values`] for reads.
unsafe fn multiply(target: *mut f32, onto: Onto, a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.columns, b.rows);
    let threads = threads_for(a, b);
    #[cfg(target_arch = "x86_64")]
    if let Some(set) = instructions() {
        // SAFETY: the processor has `set`. The strides reach every value of both matrices and of the
        // target and none beside; the null pointers stand for indices and scales that are not used.
        unsafe { multiply_on_x86(set, threads, target, onto, a, b) };
        return;
    }
    let parallelism = match threads {
        1 => Parallelism::None,
        more => Parallelism::Rayon(more),
    };
    // SAFETY: as above.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            target,
            1,
            b.columns as isize,
            onto == Onto::Values,
            a.values.as_ptr(),
            a.right as isize,
            a.down as isize,
            b.values.as_ptr(),
            b.right as isize,
            b.down as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Option<private_gemm_x86::InstrSet> {
    use private_gemm_x86::InstrSet;
    match level() {
        Level::Avx512 => Some(InstrSet::Avx512),
        Level::Avx2 => Some(InstrSet::Avx256),
        Level::Baseline => None,
    }
}

/// # Safety
/// As for [`multiply`], and the processor has `set`.
#[cfg(target_arch = "x86_64")]
unsafe fn multiply_on_x86(
    set: private_gemm_x86::InstrSet,
    threads: usize,
    target: *mut f32,
    onto: Onto,
    a: Matrix<'_>,
    b: Matrix<'_>,
) {
    use private_gemm_x86::{Accum, DType, DstKind, IType, gemm};
    use std::ptr::null;
    let accumulate = match onto {
        Onto::Nothing => Accum::Replace,
        Onto::Values => Accum::Add,
    };
    let scale = 1f32;
    // SAFETY: the caller's.
    unsafe {
        gemm(
            DType::F32,
            IType::U64,
            set,
            a.rows,
            b.columns,
            a.columns,
            target.cast(),
            b.columns as isize,
            1,
            null(),
            null(),
            DstKind::Full,
            accumulate,
            a.values.as_ptr().cast(),
            a.down as isize,
            a.right as isize,
            false,
            null(),
            0,
            b.values.as_ptr().cast(),
            b.down as isize,
            b.right as isize,
            false,
            (&raw const scale).cast(),
            threads,
        );
    }
}

/// A thread in no pool works alone: asking for the pool's size would start a global one.
fn threads_for(a: Matrix<'_>, b: Matrix<'_>) -> usize {
    let pooled = rayon::current_thread_index().is_some();
    if pooled && a.rows * a.columns * b.columns >= WORTH_SHARING {
        rayon::current_num_threads()
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of whole numbers, so that every order of summing gives the same.
    #[test]
    fn products_of_any_orientation_and_size_are_those_of_the_definition() {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 2),
            (64, 10, 7),
            (65, 130, 33),
            (2, 300, 200),
            (40, 1, 50),
            (1, 70, 9),
            (60, 50, 1),
        ] {
            let value = |i: usize| ((i * 7 + 3) % 11) as f32 - 5.0;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 4)).collect();
            let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
            };
            let expected: Vec<f32> = (0..m * n)
                .map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum())
                .collect();
            let (at, bt) = (turned(&a, m, k), turned(&b, k, n));
            let lefts = [matrix(&a, m, k), matrix(&at, k, m).transpose()];
            let rights = [matrix(&b, k, n), matrix(&bt, n, k).transpose()];
            for left in lefts {
                for right in rights {
                    assert_eq!(product(left, right), expected);
                    let doubled = product_onto(expected.clone(), left, right);
                    assert_eq!(doubled, expected.iter().map(|v| 2.0 * v).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn a_product_over_no_columns_is_zero_and_one_of_no_rows_is_empty() {
        assert_eq!(product(matrix(&[], 2, 0), matrix(&[], 0, 3)), [0.0; 6]);
        assert_eq!(product_onto(vec![1.0; 6], matrix(&[], 2, 0), matrix(&[], 0, 3)), [1.0; 6]);
        assert_eq!(product(matrix(&[], 0, 2), matrix(&[1.0; 6], 2, 3)), [0f32; 0]);
    }

    #[test]
    #[should_panic(expected = "a 2x2 matrix")]
    fn values_that_fill_no_matrix_are_refused() {
        matrix(&[1.0; 3], 2, 2);
    }
}
