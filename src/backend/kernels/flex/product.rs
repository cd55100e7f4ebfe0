//! Matrix products of f32 through `faer`, which takes any strides.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Multiplications under which a second thread costs more than it brings.
const WORTH_SHARING: usize = 192 * 192 * 192;

pub(super) type Matrix<'a> = MatRef<'a, f32>;

/// The matrix of `rows` × `columns` values in row-major order.
pub(super) fn matrix(values: &[f32], rows: usize, columns: usize) -> Matrix<'_> {
    MatRef::from_row_major_slice(values, rows, columns)
}

/// a b, row-major.
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let (rows, columns) = (a.nrows(), b.ncols());
    let mut out = Vec::with_capacity(rows * columns);
    // SAFETY: there is room for every value, and a product that replaces its target writes each
    // without reading it.
    unsafe {
        let target =
            MatMut::from_raw_parts_mut(out.as_mut_ptr(), rows, columns, columns as isize, 1);
        matmul(target, Accum::Replace, a, b, 1.0, sharing(a, b));
        out.set_len(rows * columns);
    }
    out
}

/// `onto` + a b, row-major.
pub(super) fn product_onto(mut onto: Vec<f32>, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let target = MatMut::from_row_major_slice_mut(&mut onto, a.nrows(), b.ncols());
    matmul(target, Accum::Add, a, b, 1.0, sharing(a, b));
    onto
}

/// A thread in no pool works alone: asking for the pool's size would start a global one.
fn sharing(a: Matrix<'_>, b: Matrix<'_>) -> Par {
    let pooled = rayon::current_thread_index().is_some();
    if pooled && a.nrows() * a.ncols() * b.ncols() >= WORTH_SHARING {
        Par::rayon(rayon::current_num_threads())
    } else {
        Par::Seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of whole numbers, so that every order of summing gives the same.
    #[test]
    fn products_of_any_orientation_and_size_are_those_of_the_definition() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (64, 10, 7), (65, 130, 33), (2, 300, 200)] {
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
}
