//! Datasets on the host. A dataset is two lists of 3×32×32 byte images with their labels, or of
//! vectors with the outputs wanted of them, the constants that normalise images and a provenance that
//! every artefact of a run repeats: a number without the data it was measured on cannot be compared
//! with a published one. Nothing here knows a device; batches are handed over as plain arrays.

mod augment;
mod batches;
mod cifar;
mod official;
mod student;
mod subset;
mod synthetic;
mod toy_lq;
mod verify;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::path::Path;
use std::str::FromStr;

pub use augment::Augmentation;
pub(crate) use augment::PADDING;
pub use batches::{Batch, epoch_order};
pub use student::Shape as TeacherShape;
pub use synthetic::SyntheticSpec;
pub use verify::{FileCheck, Verification, verify};

/// Bytes of an image: three 32×32 planes, red, green and blue.
pub const PIXELS: usize = 3 * PLANE;
/// Training images of CIFAR-10, and of CIFAR-100.
pub const TRAIN_IMAGES: usize = 50_000;
/// Bytes of one colour plane.
pub(crate) const PLANE: usize = SIDE * SIDE;
/// Height and width of an image.
pub(crate) const SIDE: usize = 32;

/// The datasets that the program knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetKind {
    /// Made in memory: ten classes labelled by a random nonlinear teacher.
    #[default]
    Synthetic,
    /// CIFAR-10 (Krizhevsky, Nair and Hinton 2009).
    Cifar10,
    /// CIFAR-100 with its 100 fine labels (Krizhevsky, Nair and Hinton 2009).
    Cifar100,
    /// Made in memory: vectors, and targets that have nothing to do with them (protocol §14).
    #[serde(rename = "toy-lq")]
    ToyLq,
    /// Made in memory: vectors, and what a random teacher makes of them (protocol §3.4).
    Student,
}

impl DatasetKind {
    /// Every kind, in the order in which they are offered.
    pub const ALL: [Self; 5] =
        [Self::Synthetic, Self::Cifar10, Self::Cifar100, Self::ToyLq, Self::Student];

    /// The name in configurations, artefacts and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::ToyLq => "toy-lq",
            Self::Student => "student",
        }
    }

    /// The number of classes, or of outputs.
    pub fn classes(self) -> usize {
        match self {
            Self::Synthetic | Self::Cifar10 | Self::ToyLq | Self::Student => 10,
            Self::Cifar100 => 100,
        }
    }

    /// Values of an input.
    pub fn inputs(self) -> usize {
        match self {
            Self::Synthetic | Self::Cifar10 | Self::Cifar100 => PIXELS,
            Self::ToyLq => toy_lq::INPUTS,
            Self::Student => student::INPUTS,
        }
    }

    /// Whether its samples are images of classes; else they are vectors with wanted outputs.
    pub fn has_images(self) -> bool {
        match self {
            Self::Synthetic | Self::Cifar10 | Self::Cifar100 => true,
            Self::ToyLq | Self::Student => false,
        }
    }

    /// Whether it is made in memory, from a seed.
    pub fn is_generated(self) -> bool {
        match self {
            Self::Synthetic | Self::ToyLq | Self::Student => true,
            Self::Cifar10 | Self::Cifar100 => false,
        }
    }

    /// Whether a shifted or mirrored image keeps its label. A photograph does; a synthetic
    /// image is a sum of patterns at fixed places, so moving it changes what the teacher sees.
    pub fn augmentable(self) -> bool {
        !self.is_generated()
    }

    /// Mean of each channel, with pixels in 0…1. For CIFAR the published constants; for the
    /// synthetic data the centre around which it is made; vectors are taken as they are.
    pub fn mean(self) -> [f32; 3] {
        match self {
            Self::Synthetic => synthetic::MEAN,
            Self::Cifar10 => [0.4914, 0.4822, 0.4465],
            Self::Cifar100 => [0.5071, 0.4865, 0.4409],
            Self::ToyLq | Self::Student => [0.0; 3],
        }
    }

    /// Standard deviation of each channel, with pixels in 0…1; sources as for [`Self::mean`].
    pub fn std(self) -> [f32; 3] {
        match self {
            Self::Synthetic => synthetic::STD,
            Self::Cifar10 => [0.2470, 0.2435, 0.2616],
            Self::Cifar100 => [0.2673, 0.2564, 0.2762],
            Self::ToyLq | Self::Student => [1.0; 3],
        }
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DatasetKind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name);
        match Self::ALL.into_iter().find(|kind| kind.name() == text) {
            Some(kind) => Ok(kind),
            None => bail!("unknown dataset '{text}': one of {}", names.join(", ")),
        }
    }
}

/// The samples of one split, in the order of their files: images and labels, or vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// `len() × PIXELS` bytes; in each image the red, the green, then the blue plane, row by row.
    pub images: Vec<u8>,
    /// One label a sample, below the dataset's number of classes: of a vector the largest of its
    /// wanted outputs.
    pub labels: Vec<u8>,
    pub vectors: Vectors,
}

/// Vectors with the outputs wanted of them, one sample after the other; empty where samples are
/// images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    pub inputs: Vec<f32>,
    pub targets: Vec<f32>,
}

impl Vectors {
    /// The label of each sample: the largest of its `outputs` targets.
    fn labels(&self, outputs: usize) -> Vec<u8> {
        let largest =
            |row: &[f32]| (1..outputs).fold(0, |m, c| if row[c] > row[m] { c } else { m });
        self.targets.chunks(outputs).map(|row| largest(row) as u8).collect()
    }

    fn into_split(self, outputs: usize) -> Split {
        Split { images: Vec::new(), labels: self.labels(outputs), vectors: self }
    }
}

impl Split {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the split holds no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The [`PIXELS`] bytes of image `i`.
    ///
    /// # Panics
    /// If `i` is not below `len()`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.images[i * PIXELS..(i + 1) * PIXELS]
    }
}

/// Where a dataset comes from, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The published files: their first 1000 records and all their labels are those of the original.
    Official,
    /// A faithful copy: the original's labels in the original's order, but other pixels.
    Copy,
    /// Made by this program.
    Generated,
    /// The right shape, and no known hash that would tell more.
    Unrecognised,
}

impl Source {
    /// The word in artefacts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Official => "official",
            Self::Copy => "copy",
            Self::Generated => "generated",
            Self::Unrecognised => "unrecognised",
        }
    }

    /// What the word means, for a reader who meets it in a table.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Official => {
                "first 1000 records of each file and all labels match the published files"
            }
            Self::Copy => "labels and order match the published files, pixels do not",
            Self::Generated => "made in memory from a seed",
            Self::Unrecognised => "right sizes and label ranges, but no known hash matches",
        }
    }

    /// What can be said of two parts together: the weaker of the two statements.
    fn weaker(self, other: Self) -> Self {
        let strength = |source| match source {
            Self::Official => 3,
            Self::Copy => 2,
            Self::Generated => 1,
            Self::Unrecognised => 0,
        };
        if strength(other) < strength(self) { other } else { self }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One file that a dataset was read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name without the folder, so that artefacts do not depend on where the data lies.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
    /// What its hashes say.
    pub source: Source,
}

/// What an artefact says about the data behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataProvenance {
    /// The dataset's name.
    pub name: String,
    /// The weakest statement over all its files.
    pub source: Source,
    /// SHA-256, in hexadecimal, over the training images, training labels, test images and test
    /// labels in this order; of vectors, over the little-endian bytes of inputs and targets of the
    /// training and then of the test split.
    pub sha256: String,
    /// Training samples.
    pub train: usize,
    /// Test samples.
    pub test: usize,
    /// Classes, or outputs.
    pub classes: usize,
    /// The files it was read from; none for generated data.
    #[serde(default)]
    pub files: Vec<FileRecord>,
}

impl DataProvenance {
    /// That `found` are these data.
    ///
    /// # Errors
    /// Names the two, and the files that have changed.
    pub fn ensure_same(&self, found: &Self) -> Result<()> {
        if self.sha256 == found.sha256 {
            return Ok(());
        }
        let is_new = |file: &&FileRecord| {
            self.files.iter().any(|own| own.name == file.name && own.sha256 != file.sha256)
        };
        let changed: Vec<&str> =
            found.files.iter().filter(is_new).map(|file| file.name.as_str()).collect();
        let (own, other, name) = (&self.sha256, &found.sha256, &self.name);
        let which = match changed.is_empty() {
            true => String::new(),
            false => format!("; changed since: {}", changed.join(", ")),
        };
        bail!("trained on other data: {name} with SHA-256 {own}, found {other}{which}")
    }
}

/// A dataset in memory.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Which one.
    pub kind: DatasetKind,
    /// The split to train on.
    pub train: Split,
    /// The split to measure on.
    pub test: Split,
    /// Subtracted from each channel's pixels in 0…1.
    pub mean: [f32; 3],
    /// Divides each channel afterwards.
    pub std: [f32; 3],
    /// What artefacts say about it.
    pub provenance: DataProvenance,
}

impl Dataset {
    fn new(kind: DatasetKind, train: Split, test: Split, files: Vec<FileRecord>) -> Self {
        let source = match kind.is_generated() {
            true => Source::Generated,
            false => files.iter().map(|f| f.source).fold(Source::Official, Source::weaker),
        };
        let sha256 = match kind.has_images() {
            true => {
                let parts = [&train.images, &train.labels, &test.images, &test.labels];
                sha256(parts.iter().map(|part| part.as_slice()))
            }
            false => {
                let values = [&train, &test].map(|s| [&s.vectors.inputs, &s.vectors.targets]);
                let bytes = values
                    .concat()
                    .into_iter()
                    .map(|values| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
                let bytes: Vec<Vec<u8>> = bytes.collect();
                sha256(bytes.iter().map(Vec::as_slice))
            }
        };
        let provenance = DataProvenance {
            name: kind.name().to_owned(),
            source,
            sha256,
            train: train.len(),
            test: test.len(),
            classes: kind.classes(),
            files,
        };
        Self { kind, train, test, mean: kind.mean(), std: kind.std(), provenance }
    }
}

/// Loads a dataset: CIFAR from its binary files in `dir` (or in the folder inside `dir` that the
/// official archive unpacks to), what is made in memory from its `synthetic` specification.
///
/// # Errors
/// One line that names the file, what was found, what was expected and where to get it: for a
/// missing `dir`, a missing, truncated or foreign file, a label out of range. Also for a synthetic
/// specification that is empty or would not fit in memory.
pub fn load(kind: DatasetKind, dir: Option<&Path>, synthetic: &SyntheticSpec) -> Result<Dataset> {
    match kind {
        DatasetKind::Synthetic => synthetic::generate(synthetic),
        DatasetKind::ToyLq => toy_lq::generate(synthetic),
        DatasetKind::Student => student::generate(synthetic),
        DatasetKind::Cifar10 | DatasetKind::Cifar100 => cifar::load(kind, dir),
    }
}

/// SHA-256 of byte strings laid end to end, in hexadecimal.
fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_its_kind_and_no_other_does() {
        for kind in DatasetKind::ALL {
            assert_eq!(kind.name().parse::<DatasetKind>().ok(), Some(kind));
        }
        let error = "mnist".parse::<DatasetKind>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown dataset 'mnist': one of synthetic, cifar10, cifar100, toy-lq, student"
        );
    }

    #[test]
    fn hashing_parts_is_hashing_their_concatenation() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4
        assert_eq!(sha256([b"abc".as_slice()]), abc);
        assert_eq!(sha256([b"a".as_slice(), b"bc".as_slice()]), abc);
    }

    #[test]
    fn two_sources_together_are_as_good_as_the_weaker() {
        use Source::{Copy, Official, Unrecognised};
        assert_eq!(Official.weaker(Official), Official);
        assert_eq!(Official.weaker(Copy), Copy);
        assert_eq!(Unrecognised.weaker(Official), Unrecognised);
    }
}
