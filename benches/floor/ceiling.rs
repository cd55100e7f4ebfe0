//! What this machine can do on one thread: matrix products by the crates that the flex backend's go to,
//! called directly, and memory.

use super::work::{Product, Role};
use std::hint::black_box;
use std::time::Instant;

/// Least seconds of one call of `f`, of as many as fit into `seconds` and three at least.
fn best(seconds: f64, mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    let (mut best, mut calls) = (f64::INFINITY, 0);
    while calls < 3 || start.elapsed().as_secs_f64() < seconds {
        let call = Instant::now();
        f();
        best = best.min(call.elapsed().as_secs_f64());
        calls += 1;
    }
    best
}

/// Values in row-major order, or the transpose of such a matrix.
struct Operand {
    values: Vec<f32>,
    /// From row to row and from column to column.
    strides: [isize; 2],
}

impl Operand {
    fn plain(value: f32, rows: usize, columns: usize) -> Self {
        Self { values: vec![value; rows * columns], strides: [columns as isize, 1] }
    }

    fn transposed(value: f32, rows: usize, columns: usize) -> Self {
        let Self { values, strides: [down, right] } = Self::plain(value, columns, rows);
        Self { values, strides: [right, down] }
    }
}

/// c = a b of a [m, k] and b [k, n].
#[cfg(target_arch = "x86_64")]
fn multiply(c: &mut [f32], a: &Operand, b: &Operand, [m, k, n]: [usize; 3]) {
    use private_gemm_x86::{Accum, DType, DstKind, IType, InstrSet, gemm};
    use std::ptr::null;
    let set = if is_x86_feature_detected!("avx512f") {
        InstrSet::Avx512
    } else {
        assert!(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"));
        InstrSet::Avx256
    };
    assert_eq!([c.len(), a.values.len(), b.values.len()], [m * n, m * k, k * n]);
    let ([a_down, a_right], [b_down, b_right]) = (a.strides, b.strides);
    let (a, b, c) = (a.values.as_ptr().cast(), b.values.as_ptr().cast(), c.as_mut_ptr().cast());
    let one = 1f32;
    let scale = &raw const one;
    // SAFETY: the processor has `set`, and the strides reach every value of the three and none beside.
    unsafe {
        gemm(
            DType::F32,
            IType::U64,
            set,
            m,
            n,
            k,
            c,
            n as isize,
            1,
            null(),
            null(),
            DstKind::Full,
            Accum::Replace,
            a,
            a_down,
            a_right,
            false,
            null(),
            0,
            b,
            b_down,
            b_right,
            false,
            scale.cast(),
            1,
        );
    }
}

/// c = a b of a [m, k] and b [k, n].
#[cfg(not(target_arch = "x86_64"))]
fn multiply(c: &mut [f32], a: &Operand, b: &Operand, [m, k, n]: [usize; 3]) {
    assert_eq!([c.len(), a.values.len(), b.values.len()], [m * n, m * k, k * n]);
    let ([a_down, a_right], [b_down, b_right]) = (a.strides, b.strides);
    let (a, b, c) = (a.values.as_ptr(), b.values.as_ptr(), c.as_mut_ptr());
    let (down, alone) = (n as isize, gemm::Parallelism::None);
    // SAFETY: the strides reach every value of the three and none beside.
    unsafe {
        gemm::gemm(
            m, n, k, c, 1, down, false, a, a_right, a_down, b, b_right, b_down, 1.0, 1.0, false,
            false, false, alone,
        );
    }
}

/// Seconds of one of the products `p`.
pub fn product(p: &Product, seconds: f64) -> f64 {
    let Product { role, m, k, n, .. } = *p;
    let a = match role {
        Role::Weight => Operand::transposed(0.5, m, k),
        _ => Operand::plain(0.5, m, k),
    };
    let b = match role {
        Role::Input => Operand::transposed(0.25, k, n),
        _ => Operand::plain(0.25, k, n),
    };
    let mut c = vec![0f32; m * n];
    best(seconds, || multiply(black_box(&mut c), &a, &b, [m, k, n]))
}

/// Operations a second of a product too large for its operands' movement to matter.
pub fn flops(seconds: f64) -> f64 {
    let large = Product { role: Role::Forward, m: 1024, k: 1024, n: 1024, count: 1 };
    large.flops() / product(&large, seconds)
}

/// Bytes a second of the triad a = b + s · c (McCalpin 1995) on arrays that no cache holds.
pub fn triad(seconds: f64) -> f64 {
    const COUNT: usize = 32 << 20;
    let (mut a, b, c) = (vec![0f32; COUNT], vec![1f32; COUNT], vec![2f32; COUNT]);
    let scale = black_box(0.5f32);
    let seconds = best(seconds, || {
        for ((a, b), c) in a.iter_mut().zip(&b).zip(&c) {
            *a = b + scale * c;
        }
        black_box(&a);
    });
    3.0 * 4.0 * COUNT as f64 / seconds
}

/// Bytes a second where the traffic is that of AdamW on `parameters` parameters: four arrays read,
/// three of them written. A small network's state stays in the cache.
pub fn optimizer_traffic(parameters: usize, seconds: f64) -> f64 {
    let gradient = vec![0.5f32; parameters];
    let mut state = [(); 3].map(|()| vec![1f32; parameters]);
    let decay = black_box(0.9f32);
    let seconds = best(seconds, || {
        let [a, b, c] = &mut state;
        for (((a, b), c), g) in a.iter_mut().zip(b).zip(c).zip(&gradient) {
            *a = decay * *a + g;
            *b = decay * *b + g;
            *c = decay * *c + g;
        }
        black_box(&state);
    });
    7.0 * 4.0 * parameters as f64 / seconds
}
