//! What this machine can do on one thread: matrix products by the `faer` crate, and memory.

use super::work::{Product, Role};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
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

/// Seconds of one of the products `p`.
pub fn product(p: &Product, seconds: f64) -> f64 {
    let Product { role, m, k, n, .. } = *p;
    let (a, b, mut c) = (vec![0.5f32; m * k], vec![0.25f32; k * n], vec![0f32; m * n]);
    let a = match role {
        Role::Weight => MatRef::from_row_major_slice(&a, k, m).transpose(),
        _ => MatRef::from_row_major_slice(&a, m, k),
    };
    let b = match role {
        Role::Input => MatRef::from_row_major_slice(&b, n, k).transpose(),
        _ => MatRef::from_row_major_slice(&b, k, n),
    };
    best(seconds, || {
        let c = MatMut::from_row_major_slice_mut(black_box(&mut c), m, n);
        matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
    })
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
