//! Images that stay on the device as the bytes they are. A batch is gathered, cropped, mirrored and
//! normalised there, by the same table as on the host, so that its pixels are equal to the bit; what
//! goes up are five integers an image, for a whole epoch at once.

use crate::backend::float_tensor;
use crate::data::{Augmentation, PADDING, PIXELS, PLANE, SIDE, Split};
use crate::model::Target;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, Int, Tensor, TensorData};

/// A batch on the device: inputs [N, _] and what their outputs are held against.
pub type OnDevice<B> = (Tensor<B, 2>, Target<B>);

/// One image of a batch: which, cut where, mirrored or not, and its label.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub image: u32,
    pub augmentation: Augmentation,
    pub label: u32,
}

/// The columns of a [`Plan`].
const IMAGE: usize = 0;
const TOP: usize = 1;
const LEFT: usize = 2;
const FLIP: usize = 3;
const LABEL: usize = 4;
const COLUMNS: usize = 5;

/// Samples on the device: [N, 5].
pub type Plan<B> = Tensor<B, 2, Int>;

/// Puts `samples` on the device.
pub fn plan<B: Backend>(samples: impl Iterator<Item = Sample>, device: &B::Device) -> Plan<B> {
    let row = |Sample { image, augmentation: Augmentation { top, left, flip }, label }| {
        [image as i32, top as i32, left as i32, i32::from(flip), label as i32]
    };
    let rows: Vec<i32> = samples.flat_map(row).collect();
    let n = rows.len() / COLUMNS;
    Tensor::from_data(TensorData::new(rows, [n, COLUMNS]), device)
}

/// The images of a split on the device.
#[derive(Clone, Debug)]
pub struct Resident<B: Backend> {
    /// One image after the other: [images · 3072].
    bytes: Tensor<B, 1, Int>,
    /// What each byte of each channel is normalised to: [3 · 256].
    values: Tensor<B, 1>,
}

impl<B: Backend> Resident<B> {
    /// Whether places in `split` can be counted in the integers of every device.
    pub fn holds(split: &Split) -> bool {
        i32::try_from(split.images.len()).is_ok()
    }

    /// Puts the images of `split` on the device, and the table that normalises them.
    pub fn new(split: &Split, values: [[f32; 256]; 3], device: &B::Device) -> Self {
        let bytes = TensorData::new(split.images.clone(), [split.images.len()]);
        let values = TensorData::new(values.concat(), [3 * 256]);
        Self {
            bytes: Tensor::from_data(bytes, (device, DType::U8)),
            values: float_tensor(values, device),
        }
    }

    /// The images and labels of `plan`.
    pub fn batch(&self, plan: Plan<B>) -> OnDevice<B> {
        let [n, _] = plan.dims();
        let device = plan.device();
        let column = |k| plan.clone().narrow(1, k, 1);
        let line = Tensor::<B, 1, Int>::arange(0..SIDE as i64, &device).unsqueeze_dim::<2>(0);
        let channel = Tensor::<B, 1, Int>::arange(0..3, &device).reshape([1, 3, 1, 1]);

        // Where each row and column of a crop lies in its image; off it where it is padding.
        let last = SIDE as i32 - 1;
        let turned = column(FLIP) * (line.clone().mul_scalar(-2) + last);
        let rows = line.clone() + column(TOP) - PADDING as i32;
        let columns = line + turned + column(LEFT) - PADDING as i32;
        let on_image = |at: &Tensor<B, 2, Int>| at.clone().equal(at.clone().clamp(0, last)).int();
        let on_image =
            on_image(&rows).reshape([n, 1, SIDE, 1]) * on_image(&columns).reshape([n, 1, 1, SIDE]);

        let place = column(IMAGE).mul_scalar(PIXELS as i32).reshape([n, 1, 1, 1])
            + channel.clone().mul_scalar(PLANE as i32)
            + rows.clamp(0, last).mul_scalar(SIDE as i32).reshape([n, 1, SIDE, 1])
            + columns.clamp(0, last).reshape([n, 1, 1, SIDE]);
        let bytes = self.bytes.clone().select(0, place.reshape([n * PIXELS]));
        let bytes = bytes.cast(<B::IntElem as Element>::dtype()).reshape([n, 3, SIDE, SIDE]);
        let entry = bytes * on_image + channel.mul_scalar(256);
        let images = self.values.clone().select(0, entry.reshape([n * PIXELS]));
        (images.reshape([n, PIXELS]), Target::Classes(column(LABEL).squeeze_dim(1)))
    }
}
