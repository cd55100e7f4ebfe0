//! What the published CIFAR-10 files hash to. The first 1000 records (3,073,000 bytes) tell the
//! original pixels from a re-encoded copy; the 10,000 label bytes tell a faithful copy, whose
//! order and labels are those of the original, from anything else. Pixels beyond the first 1000
//! records of a file are covered by the file's own SHA-256 in the provenance, not by this table.
//!
//! The original: <https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz>.
//!
//! Of CIFAR-100's binary files the whole files' SHA-1 are public, with which MXNet verifies its downloads.
//! No hash of their labels is, so that a faithful copy of them is not told from anything else.

use super::{Source, sha256};
use sha1::{Digest, Sha1};

/// Records that the prefix hash covers.
const PREFIX_RECORDS: usize = 1000;

struct Known<'a> {
    name: &'a str,
    prefix: &'a str,
    labels: &'a str,
}

const CIFAR10: [Known; 6] = [
    Known {
        name: "data_batch_1.bin",
        prefix: "1c5f9ea0fc1111d586f29115efd3db25eecf7db27b29aaebbe84721446b052cc",
        labels: "d829dbdf32167c9d7b3687cee66d92d80d46c441308b5aca0d11e8b69e27dac9",
    },
    Known {
        name: "data_batch_2.bin",
        prefix: "4f979f9b23aaa1ed4caa123051abf301d1bf3efaafb71eb652c88915b5724f2d",
        labels: "5d18f7371ed35ea9ade77952fe958b0660a45cd6c8b8a8970030f21612cfd7e3",
    },
    Known {
        name: "data_batch_3.bin",
        prefix: "b22c7fc2fb3577032913fa43c14b40b539abf70f40cfc257fa90f035d3728e34",
        labels: "32cf77b0ee2e790b1c4384d2d82e42dc1571b87e67f6da8f444b2725b2973f65",
    },
    Known {
        name: "data_batch_4.bin",
        prefix: "998398a620412db9b26cad6a83aff2d049fef005e171474ed2676c0397c7157f",
        labels: "d2815e3f8f656272864920fc0edde56b04ec9cf81bf397c0dd3069f4aea51aeb",
    },
    Known {
        name: "data_batch_5.bin",
        prefix: "d427e63de6374fb63b5a1d61a35cf7a9457aaac5f1af2ef2ac87ecfef4877085",
        labels: "2ddf3ab27d5d04409c94ce7b56849c243129c10de1058ae0bfe14c77e934800c",
    },
    Known {
        name: "test_batch.bin",
        prefix: "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5",
        labels: "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
];

/// What the hashes of a file say.
#[derive(Debug, PartialEq)]
pub(super) enum Recognised<'a> {
    /// The file is this, under its right name.
    As(Source),
    /// It holds the labels of another official file: it was renamed. Read as what its name says,
    /// test images could be trained on.
    OtherFile(&'a str),
}

/// Name and SHA-1 of each.
const CIFAR100: [(&str, &str); 2] = [
    ("train.bin", "e207cd2e05b73b1393c74c7f5e7bea451d63e08e"),
    ("test.bin", "8fb6623e830365ff53cf14adec797474f5478006"),
];

/// Recognises a CIFAR-100 file from its name and its bytes.
pub(super) fn recognise_whole(name: &str, bytes: &[u8]) -> Recognised<'static> {
    recognise_whole_in(&CIFAR100, name, bytes)
}

fn recognise_whole_in<'a>(table: &[(&'a str, &str)], name: &str, bytes: &[u8]) -> Recognised<'a> {
    let hash = crate::hex(&Sha1::digest(bytes));
    match table.iter().find(|(_, known)| *known == hash) {
        Some((own, _)) if *own == name => Recognised::As(Source::Official),
        Some((other, _)) => Recognised::OtherFile(other),
        None => Recognised::As(Source::Unrecognised),
    }
}

/// Recognises a CIFAR-10 file from its name, its bytes (records of `record` bytes) and its labels.
pub(super) fn recognise(
    name: &str,
    bytes: &[u8],
    record: usize,
    labels: &[u8],
) -> Recognised<'static> {
    recognise_in(&CIFAR10, name, &bytes[..bytes.len().min(PREFIX_RECORDS * record)], labels)
}

fn recognise_in<'a>(
    table: &[Known<'a>],
    name: &str,
    prefix: &[u8],
    labels: &[u8],
) -> Recognised<'a> {
    let hash = sha256([labels]);
    let Some(known) = table.iter().find(|known| known.labels == hash) else {
        return Recognised::As(Source::Unrecognised);
    };
    if known.name != name {
        return Recognised::OtherFile(known.name);
    }
    if sha256([prefix]) == known.prefix {
        Recognised::As(Source::Official)
    } else {
        Recognised::As(Source::Copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_of_the_table_is_well_formed_and_its_own() {
        let mut all: Vec<&str> = CIFAR10.iter().flat_map(|k| [k.prefix, k.labels]).collect();
        assert!(all.iter().all(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit())));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 12);
    }

    /// The empty text and `abc` are those of FIPS 180.
    #[test]
    fn a_whole_file_is_official_under_its_own_name_alone() {
        let table = [
            ("a.bin", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("b.bin", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ];
        let found = |name, bytes: &[u8]| recognise_whole_in(&table, name, bytes);
        assert_eq!(found("a.bin", b"abc"), Recognised::As(Source::Official));
        assert_eq!(found("a.bin", b"abd"), Recognised::As(Source::Unrecognised));
        assert_eq!(found("a.bin", b""), Recognised::OtherFile("b.bin"));
        assert!(
            CIFAR100.iter().all(|(_, h)| h.len() == 40 && h.bytes().all(|b| b.is_ascii_hexdigit()))
        );
    }

    #[test]
    fn pixels_tell_the_original_from_a_copy_and_labels_a_copy_from_the_rest() {
        let [prefix, a, b] = [[1, 2, 3].as_slice(), &[7, 8], &[9]].map(|bytes| sha256([bytes]));
        let table = [
            Known { name: "a.bin", prefix: &prefix, labels: &a },
            Known { name: "b.bin", prefix: &prefix, labels: &b },
        ];
        let found = |name, prefix: &[u8], labels: &[u8]| recognise_in(&table, name, prefix, labels);
        assert_eq!(found("a.bin", &[1, 2, 3], &[7, 8]), Recognised::As(Source::Official));
        assert_eq!(found("a.bin", &[1, 2, 4], &[7, 8]), Recognised::As(Source::Copy));
        assert_eq!(found("a.bin", &[1, 2, 3], &[8, 7]), Recognised::As(Source::Unrecognised));
        assert_eq!(found("a.bin", &[1, 2, 3], &[9]), Recognised::OtherFile("b.bin"));
    }
}
