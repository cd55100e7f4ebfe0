//! Matrix products of f32 through `gemm`, which takes any strides.

use gemm::Parallelism;

/// Multiplications under which a second thread costs more than it brings.
const WORTH_SHARING: usize = 192 * 192 * 192;

/// A matrix in memory that is not its own.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` × `columns` in row-major order.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "the values fill the matrix");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// a b, row-major.
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let mut out = Vec::with_capacity(a.rows * b.columns);
    // SAFETY: there is room for every value, and `gemm` writes each without reading it.
    unsafe {
        multiply(a, b, out.as_mut_ptr(), false);
        out.set_len(a.rows * b.columns);
    }
    out
}

/// `onto` + a b, row-major.
pub(super) fn product_onto(mut onto: Vec<f32>, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    assert_eq!(onto.len(), a.rows * b.columns, "the sum has the product's shape");
    // SAFETY: the values are all there.
    unsafe { multiply(a, b, onto.as_mut_ptr(), true) };
    onto
}

/// # Safety
/// `out` has room for `a.rows · b.columns` values, which are initialised if they are to be read.
unsafe fn multiply(a: Matrix<'_>, b: Matrix<'_>, out: *mut f32, add: bool) {
    assert_eq!(a.columns, b.rows, "the matrices fit");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    // A thread in no pool works alone: asking for the pool's size would start a global one.
    let pooled = rayon::current_thread_index().is_some();
    let parallelism = if pooled && m * n * k >= WORTH_SHARING {
        Parallelism::Rayon(rayon::current_num_threads())
    } else {
        Parallelism::None
    };
    let stride = |s: usize| s as isize;
    // SAFETY: `Matrix::new` has checked that each matrix lies in its slice, the caller has `out`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            stride(n),
            add,
            a.values.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.values.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
