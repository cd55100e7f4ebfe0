//! From bytes to normalised floats, with or without augmentation. This runs on the training
//! thread, so a table of 256 floats a channel replaces the arithmetic: a pixel costs one look-up.
//!
//! Augmentation is that of the published runs: `RandomCrop(32, padding=4)`, then
//! `RandomHorizontalFlip()`, then normalisation. As in torchvision the padding is a raw 0, black,
//! and therefore not 0 after normalisation.

use super::{Dataset, PIXELS, PLANE, SIDE};
use crate::rng::Stream;
use rand::RngExt;

/// Black pixels added on each side before cropping.
pub(crate) const PADDING: usize = 4;

/// Where to cut and whether to mirror.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// First row of the crop in the padded image, 0…8; 4 is the image's own place.
    pub top: usize,
    /// First column of the crop, likewise.
    pub left: usize,
    /// Whether the crop is mirrored.
    pub flip: bool,
}

impl Augmentation {
    /// The image as it is.
    pub const NONE: Self = Self { top: PADDING, left: PADDING, flip: false };

    /// Draws one: every crop equally likely, mirrored with probability ½.
    pub fn draw(stream: &mut Stream) -> Self {
        Self {
            top: stream.random_range(0..=2 * PADDING as u32) as usize,
            left: stream.random_range(0..=2 * PADDING as u32) as usize,
            flip: stream.random_bool(0.5),
        }
    }
}

/// The normalised value of each byte, a table for each channel.
pub(super) struct Normaliser([[f32; 256]; 3]);

impl Normaliser {
    /// The tables of a dataset, computed in the steps of torchvision's `ToTensor` and `Normalize`
    /// so that their rounding is the same.
    pub(super) fn new(dataset: &Dataset) -> Self {
        let table = |c: usize| {
            std::array::from_fn(|v| (v as f32 / 255.0 - dataset.mean[c]) / dataset.std[c])
        };
        Self([table(0), table(1), table(2)])
    }

    /// The table of each channel.
    pub(super) fn tables(&self) -> &[[f32; 256]; 3] {
        &self.0
    }

    /// Appends an image as it is.
    pub(super) fn plain(&self, image: &[u8], out: &mut Vec<f32>) {
        for (table, plane) in self.0.iter().zip(image.chunks_exact(PLANE)) {
            out.extend(plane.iter().map(|&v| table[usize::from(v)]));
        }
    }

    /// Appends a cropped and perhaps mirrored image.
    pub(super) fn augmented(&self, image: &[u8], how: Augmentation, out: &mut Vec<f32>) {
        let start = out.len();
        // The columns of the crop that lie on the image, and where they start in it.
        let x0 = PADDING.saturating_sub(how.left);
        let x1 = (SIDE + PADDING - how.left).min(SIDE);
        let from = how.left.saturating_sub(PADDING);
        for (table, plane) in self.0.iter().zip(image.chunks_exact(PLANE)) {
            let end = out.len() + PLANE;
            out.resize(end, table[0]);
            let rows = out[end - PLANE..].chunks_exact_mut(SIDE);
            for (y, row) in rows.enumerate() {
                let Some(y) = (y + how.top).checked_sub(PADDING).filter(|&y| y < SIDE) else {
                    continue;
                };
                let source = &plane[y * SIDE + from..y * SIDE + from + (x1 - x0)];
                for (pixel, &v) in row[x0..x1].iter_mut().zip(source) {
                    *pixel = table[usize::from(v)];
                }
                if how.flip {
                    row.reverse();
                }
            }
        }
        debug_assert_eq!(out.len() - start, PIXELS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DatasetKind, SyntheticSpec, load};
    use crate::rng::stream;
    use std::collections::HashSet;

    fn cifar_constants() -> Normaliser {
        let spec = SyntheticSpec { train: 1, test: 1, ..SyntheticSpec::default() };
        let mut dataset = load(DatasetKind::Synthetic, None, &spec).unwrap();
        dataset.mean = DatasetKind::Cifar10.mean();
        dataset.std = DatasetKind::Cifar10.std();
        Normaliser::new(&dataset)
    }

    fn image() -> Vec<u8> {
        (0..PIXELS).map(|i| (1 + i * 7919 % 255) as u8).collect()
    }

    /// The definition, pixel by pixel: pad with 0, cut, mirror, normalise.
    fn slow(image: &[u8], how: Augmentation) -> Vec<f32> {
        let (mean, std) = (DatasetKind::Cifar10.mean(), DatasetKind::Cifar10.std());
        let mut out = Vec::new();
        for c in 0..3 {
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let x = if how.flip { SIDE - 1 - x } else { x };
                    let (py, px) = (y + how.top, x + how.left);
                    let inside = |p: usize| (PADDING..SIDE + PADDING).contains(&p);
                    let value = if inside(py) && inside(px) {
                        image[c * PLANE + (py - PADDING) * SIDE + (px - PADDING)]
                    } else {
                        0
                    };
                    out.push((f32::from(value) / 255.0 - mean[c]) / std[c]);
                }
            }
        }
        out
    }

    #[test]
    fn every_crop_and_flip_agrees_with_the_definition() {
        let (normaliser, image) = (cifar_constants(), image());
        for top in 0..=8 {
            for left in 0..=8 {
                for flip in [false, true] {
                    let how = Augmentation { top, left, flip };
                    let mut out = Vec::new();
                    normaliser.augmented(&image, how, &mut out);
                    assert_eq!(out, slow(&image, how), "{how:?}");
                }
            }
        }
    }

    #[test]
    fn the_central_crop_is_the_plain_image() {
        let (normaliser, image) = (cifar_constants(), image());
        let (mut plain, mut cropped) = (Vec::new(), Vec::new());
        normaliser.plain(&image, &mut plain);
        normaliser.augmented(&image, Augmentation::NONE, &mut cropped);
        assert_eq!(plain, cropped);
    }

    /// The arithmetic of torchvision's `ToTensor` and `Normalize`, in PyTorch 2.x, float32:
    /// ```python
    /// mean = torch.tensor([.4914, .4822, .4465]).view(-1, 1)
    /// std = torch.tensor([.2470, .2435, .2616]).view(-1, 1)
    /// torch.tensor([0, 128, 255]).float().div(255).expand(3, 3).clone().sub_(mean).div_(std)
    /// ```
    #[test]
    fn the_tables_hold_torchvisions_numbers() {
        let tables = cifar_constants().0;
        let got = tables.map(|table| [table[0], table[128], table[255]]);
        assert_eq!(got, GOLDEN);
    }

    #[test]
    fn all_crops_and_both_orientations_are_drawn_about_equally_often() {
        let mut stream = stream(42, "augmentation/test");
        let draws: Vec<Augmentation> = (0..8100).map(|_| Augmentation::draw(&mut stream)).collect();
        let places: HashSet<(usize, usize)> = draws.iter().map(|a| (a.top, a.left)).collect();
        assert_eq!(places.len(), 81);
        assert!(draws.iter().all(|a| a.top <= 8 && a.left <= 8));
        // Half of 8100 mirrored, within 5 standard deviations (45 each).
        let flips = draws.iter().filter(|a| a.flip).count();
        assert!(flips.abs_diff(4050) < 225, "{flips}");
    }

    const GOLDEN: [[f32; 3]; 3] = [
        [-1.989_473_7, 0.042_756_32, 2.059_109_4],
        [-1.980_287_6, 0.081_153_26, 2.126_488_7],
        [-1.706_804_4, 0.212_006_17, 2.115_826],
    ];
}
