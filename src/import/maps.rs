//! Tensors of networks of feature maps: here positions come first and channels last, in PyTorch channels first.

use super::stored::Stored;
use crate::learn::FEEDBACK;
use crate::model::Outline;

/// Of CIFAR's images.
const CHANNELS: usize = 3;

/// How PyTorch orders a matrix whose rows here are positions first and channels last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum OfMap {
    /// A Conv2d's kernel [out, C, k, k].
    Kernel { channels: usize, side: usize },
    /// A Linear [out, C · H · W] of a flattened map.
    Linear { sides: [usize; 2] },
    /// Feedback [C · H · W, classes] to a flattened map.
    Feedback { sides: [usize; 2] },
}

impl OfMap {
    /// Of the weight `name`, here [rows, _]; `None` where PyTorch has it as any other.
    pub(super) fn of_weight(outline: &Outline, name: &str, rows: usize) -> Option<Self> {
        let map = name.strip_suffix(".weight")?;
        let below = below(outline, map)?;
        let [height, width, channels] = below;
        if map.rsplit('.').next().is_some_and(|last| last.starts_with("conv")) {
            return Some(Self::Kernel { channels, side: (rows / channels).isqrt() });
        }
        // One that sees the mean over positions is as any other.
        (rows == height * width * channels).then_some(Self::Linear { sides: [height, width] })
    }

    /// Of the feedback matrix `name`, here [rows, _]. A tiled one is a kernel already, and stays.
    pub(super) fn of_feedback(outline: &Outline, name: &str, rows: usize) -> Option<Self> {
        let l: usize = name.strip_prefix(FEEDBACK)?.parse().ok()?;
        let [height, width, channels] = *outline.feature_maps.get(l)?;
        (rows == height * width * channels).then_some(Self::Feedback { sides: [height, width] })
    }

    /// PyTorch's shape of what is [rows, columns] here.
    pub(super) fn shape(self, [rows, columns]: [usize; 2]) -> Vec<usize> {
        match self {
            Self::Kernel { channels, side } => vec![columns, channels, side, side],
            Self::Linear { .. } => vec![columns, rows],
            Self::Feedback { .. } => vec![rows, columns],
        }
    }

    /// A tensor of that shape in the order it has here.
    pub(super) fn reordered(self, tensor: Stored) -> Option<Stored> {
        Some(match self {
            Self::Kernel { .. } => tensor.permuted(&[2, 3, 1, 0]),
            Self::Linear { sides } => split_at(tensor, 1, sides)?.permuted(&[2, 3, 1, 0]),
            Self::Feedback { sides } => split_at(tensor, 0, sides)?.permuted(&[1, 2, 0, 3]),
        })
    }
}

/// Splits dimension `at` of C · H · W into its three.
fn split_at<'a>(tensor: Stored<'a>, at: usize, [height, width]: [usize; 2]) -> Option<Stored<'a>> {
    let channels = tensor.shape[at] / (height * width);
    tensor.split(at, &[channels, height, width])
}

/// [H, W, C] of what the map of this name is given.
fn below(outline: &Outline, map: &str) -> Option<[usize; 3]> {
    let last = outline.feature_maps.last()?;
    let mut words = map.split('.');
    match (words.next()?, words.next()?.parse::<usize>()) {
        ("embed", _) => Some([0, 0, CHANNELS]),
        // The second convolution of a block sees as many features as the block makes.
        ("blocks", Ok(l)) if map.ends_with(".conv2") => outline.feature_maps.get(l + 1).copied(),
        ("blocks", Ok(l)) => outline.feature_maps.get(l).copied(),
        _ => Some(*last),
    }
}
