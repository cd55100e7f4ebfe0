//! BatchNorm in f32: sums over many rows are of f64 from some rows to the next.

use super::EPSILON_OF_BATCHES as EPSILON;
use super::rows::Norm;

/// Rows that are summed in f32.
const TOGETHER: usize = 64;

/// K sums over the rows for each of the columns; `add` adds a row to them.
fn sums<const K: usize>(
    [n, d]: [usize; 2],
    mut add: impl FnMut(usize, &mut [Vec<f32>; K]),
) -> [Vec<f64>; K] {
    let mut totals = [(); K].map(|()| vec![0.0; d]);
    let mut some = [(); K].map(|()| vec![0f32; d]);
    for start in (0..n).step_by(TOGETHER) {
        some.iter_mut().for_each(|sum| sum.fill(0.0));
        (start..n.min(start + TOGETHER)).for_each(|row| add(row, &mut some));
        for (total, some) in totals.iter_mut().zip(&some) {
            for (total, some) in total.iter_mut().zip(some) {
                *total += f64::from(*some);
            }
        }
    }
    totals
}

fn over(sum: Vec<f64>, n: usize) -> Vec<f32> {
    sum.into_iter().map(|sum| (sum / n as f64) as f32).collect()
}

/// Mean and variance of the columns of x [n, d].
pub(super) fn statistics(x: &[f32], [n, d]: [usize; 2]) -> [Vec<f32>; 2] {
    let row = |i: usize| &x[i * d..][..d];
    let [total] = sums([n, d], |i, [sum]| {
        for (sum, x) in sum.iter_mut().zip(row(i)) {
            *sum += x;
        }
    });
    let mean = over(total, n);
    let [total] = sums([n, d], |i, [sum]| {
        for ((sum, x), mean) in sum.iter_mut().zip(row(i)).zip(&mean) {
            *sum += (x - mean) * (x - mean);
        }
    });
    let variance = over(total, n);
    [mean, variance]
}

/// 1/√(var + ε)
fn inverse(variance: &[f32]) -> Vec<f32> {
    variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect()
}

/// (x − mean)/√(var + ε) γ + β in the place of x.
pub(super) fn normalise(x: &mut [f32], mean: &[f32], variance: &[f32], norm: Norm<&[f32]>) {
    let scale: Vec<f32> = inverse(variance).iter().zip(norm.gamma).map(|(i, g)| i * g).collect();
    for x in x.chunks_exact_mut(mean.len().max(1)) {
        for (((x, mean), scale), beta) in x.iter_mut().zip(mean).zip(&scale).zip(norm.beta) {
            *x = (*x - mean) * scale + beta;
        }
    }
}

/// dx in the place of dy, and ∂γ, ∂β.
pub(super) fn normalise_back(
    x: &[f32],
    [mean, variance]: [&[f32]; 2],
    gamma: &[f32],
    dy: &mut [f32],
    of_batch: bool,
) -> [Vec<f32>; 2] {
    let (d, inverse) = (mean.len(), inverse(variance));
    let n = x.len() / d.max(1);
    let (seen, row) = (&*dy, |i: usize| i * d..(i + 1) * d);
    let [along, level] = sums([n, d], |i, [along, level]| {
        let values = seen[row(i)].iter().zip(&x[row(i)]).zip(mean).zip(&inverse);
        for ((along, level), (((dy, x), mean), inverse)) in
            along.iter_mut().zip(level.iter_mut()).zip(values)
        {
            *along += dy * (x - mean) * inverse;
            *level += dy;
        }
    });
    let share = if of_batch { 1.0 / n.max(1) as f64 } else { 0.0 };
    let share = |sum: &[f64]| -> Vec<f32> { sum.iter().map(|s| (s * share) as f32).collect() };
    let (tilt, shift) = (share(&along), share(&level));
    for (dy, x) in dy.chunks_exact_mut(d.max(1)).zip(x.chunks_exact(d.max(1))) {
        for (j, (dy, x)) in dy.iter_mut().zip(x).enumerate() {
            let normed = (x - mean[j]) * inverse[j];
            *dy = (*dy - shift[j] - normed * tilt[j]) * (gamma[j] * inverse[j]);
        }
    }
    [along, level].map(|sum| over(sum, 1))
}
