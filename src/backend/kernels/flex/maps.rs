//! Convolution and pooling in f32: of each map the patches are laid out as a matrix that fits the
//! cache, and multiplied.

use super::product::{matrix, product_to};
use crate::backend::kernels::Window;

/// About as many values of patches as are laid out at once.
const AT_ONCE: usize = 1 << 18;

/// y [N · outputs, C'] of maps x, onto what stands there.
pub(super) fn convolve(x: &[f32], channels: usize, window: Window, weight: &[f32], y: &mut [f32]) {
    let (inputs, outputs) = (window.covered() * channels, window.outputs());
    let features = weight.len() / inputs.max(1);
    let mut patches = Patches::new(window, channels);
    let maps = patches.maps * window.inputs() * channels;
    for (x, y) in x.chunks(maps).zip(y.chunks_mut(patches.maps * outputs * features)) {
        let rows = y.len() / features;
        let patches = matrix(patches.of(x), rows, inputs);
        product_to(y, patches, matrix(weight, inputs, features));
    }
}

/// dx of dy, onto zeros.
pub(super) fn convolve_back(
    weight: &[f32],
    channels: usize,
    window: Window,
    dy: &[f32],
    dx: &mut [f32],
) {
    let (inputs, outputs) = (window.covered() * channels, window.outputs());
    let features = weight.len() / inputs.max(1);
    let mut patches = Patches::new(window, channels);
    let maps = patches.maps * window.inputs() * channels;
    let turned = matrix(weight, inputs, features).transpose();
    for (dx, dy) in dx.chunks_mut(maps).zip(dy.chunks(patches.maps * outputs * features)) {
        let rows = dy.len() / features;
        let room = &mut patches.values[..rows * inputs];
        room.fill(0.0);
        product_to(room, matrix(dy, rows, features), turned);
        patches.spread(dx);
    }
}

/// dW of maps x and dy, onto zeros.
pub(super) fn weigh(x: &[f32], channels: usize, window: Window, dy: &[f32], dweight: &mut [f32]) {
    let (inputs, outputs) = (window.covered() * channels, window.outputs());
    let features = dweight.len() / inputs.max(1);
    let mut patches = Patches::new(window, channels);
    let maps = patches.maps * window.inputs() * channels;
    for (x, dy) in x.chunks(maps).zip(dy.chunks(patches.maps * outputs * features)) {
        let rows = dy.len() / features;
        let patches = matrix(patches.of(x), rows, inputs).transpose();
        product_to(dweight, patches, matrix(dy, rows, features));
    }
}

/// The patches of some maps.
struct Patches {
    window: Window,
    channels: usize,
    /// How many maps at once.
    maps: usize,
    values: Vec<f32>,
}

impl Patches {
    fn new(window: Window, channels: usize) -> Self {
        let of_one = window.outputs() * window.covered() * channels;
        let maps = (AT_ONCE / of_one.max(1)).max(1);
        Self { window, channels, maps, values: vec![0.0; maps * of_one] }
    }

    /// Those of the maps x, [_, k · k · C].
    fn of(&mut self, x: &[f32]) -> &[f32] {
        let Self { window, channels, values, .. } = self;
        let (of_map, line) = (window.inputs() * *channels, window.kernel * *channels);
        let of_patches = window.outputs() * window.covered() * *channels;
        let count = x.len() / of_map;
        for (x, values) in x.chunks_exact(of_map).zip(values.chunks_exact_mut(of_patches)) {
            each_line(*window, *channels, |at, source| {
                let line = &mut values[at * line..][..line];
                let Some((from, to)) = source else { return line.fill(0.0) };
                line[..to.start].fill(0.0);
                line[to.clone()].copy_from_slice(&x[from..][..to.len()]);
                line[to.end..].fill(0.0);
            });
        }
        &values[..count * of_patches]
    }

    /// Adds them to the maps dx that they came from.
    fn spread(&self, dx: &mut [f32]) {
        let Self { window, channels, ref values, .. } = *self;
        let (of_map, line) = (window.inputs() * channels, window.kernel * channels);
        let of_patches = window.outputs() * window.covered() * channels;
        for (dx, values) in dx.chunks_exact_mut(of_map).zip(values.chunks_exact(of_patches)) {
            each_line(window, channels, |at, source| {
                let Some((from, to)) = source else { return };
                let values = &values[at * line..][to.clone()];
                for (dx, value) in dx[from..][..to.len()].iter_mut().zip(values) {
                    *dx += value;
                }
            });
        }
    }
}

/// Every line of k · C values of every patch of a map, in order: where its values lie in the map, and
/// which of the line's they are; `None` for one in the padding.
fn each_line(
    window: Window,
    channels: usize,
    mut each: impl FnMut(usize, Option<(usize, std::ops::Range<usize>)>),
) {
    let ([height, width], k) = (window.output(), window.kernel);
    for y in 0..height {
        for x in 0..width {
            let (first, count, column) = window.columns(x);
            for i in 0..k {
                let source = window.row(y, i).map(|row| {
                    let from = (row * window.sides[1] + column) * channels;
                    (from, first * channels..(first + count) * channels)
                });
                each((y * width + x) * k + i, source);
            }
        }
    }
}

/// The largest value of each channel over squares of `size`, y [N · H/s · W/s, C].
pub(super) fn max_pool(x: &[f32], channels: usize, sides: [usize; 2], size: usize, y: &mut [f32]) {
    each_square(channels, sides, size, y.len() / channels.max(1), |square, corners| {
        let y = &mut y[square * channels..][..channels];
        y.copy_from_slice(&x[corners(0)..][..channels]);
        for k in 1..size * size {
            for (y, &x) in y.iter_mut().zip(&x[corners(k)..][..channels]) {
                *y = if x > *y || x.is_nan() { x } else { *y };
            }
        }
    });
}

/// dy where the first of the largest values stands; onto zeros.
pub(super) fn max_pool_back(
    x: &[f32],
    channels: usize,
    sides: [usize; 2],
    size: usize,
    dy: &[f32],
    dx: &mut [f32],
) {
    let (mut best, mut places) = (vec![0.0; channels], vec![0usize; channels]);
    each_square(channels, sides, size, dy.len() / channels.max(1), |square, corners| {
        best.copy_from_slice(&x[corners(0)..][..channels]);
        places.fill(corners(0));
        for k in 1..size * size {
            let corner = corners(k);
            let here = &x[corner..][..channels];
            for ((best, place), &x) in best.iter_mut().zip(&mut places).zip(here) {
                if x > *best || x.is_nan() {
                    (*best, *place) = (x, corner);
                }
            }
        }
        let dy = &dy[square * channels..][..channels];
        for (c, (place, dy)) in places.iter().zip(dy).enumerate() {
            dx[place + c] = *dy;
        }
    });
}

/// Every square in order, with where the values of its k-th position begin.
fn each_square(
    channels: usize,
    [height, width]: [usize; 2],
    size: usize,
    squares: usize,
    mut each: impl FnMut(usize, &dyn Fn(usize) -> usize),
) {
    let (down, right) = (height / size, width / size);
    for square in 0..squares {
        let (map, row, column) =
            (square / (down * right), square / right % down * size, square % right * size);
        let corner =
            |k: usize| ((map * height + row + k / size) * width + column + k % size) * channels;
        each(square, &corner);
    }
}
