//! Tensors of networks of feature maps: here positions come first and channels last, in PyTorch channels first.

use super::stored::Stored;
use crate::config::Arch;
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
        if map.ends_with(".conv") {
            let [_, _, channels] = below;
            return Some(Self::Kernel { channels, side: (rows / channels).isqrt() });
        }
        let [height, width, _] = below;
        Some(Self::Linear { sides: [height, width] })
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
        ("blocks", Ok(l)) => outline.feature_maps.get(l).copied(),
        _ => Some(*last),
    }
}

/// The name that PyTorch programs usually give to the tensor that is called `name` in a module of this
/// structure.
pub(super) fn usual_name(arch: Arch, name: &str) -> Option<String> {
    const SMALL_CNN: [(&str, &str); 8] = [
        ("embed.conv", "conv1"),
        ("embed.norm", "bn1"),
        ("blocks.0.conv", "conv2"),
        ("blocks.0.norm", "bn2"),
        ("blocks.1.conv", "conv3"),
        ("blocks.1.norm", "bn3"),
        ("blocks.2.linear", "fc1"),
        ("readout.head", "fc2"),
    ];
    if arch != Arch::SmallCnn {
        return None;
    }
    let (above, last) = name.rsplit_once('.')?;
    let (_, usual) = SMALL_CNN.iter().find(|(own, _)| *own == above)?;
    Some(format!("{usual}.{last}"))
}
