//! CIFAR-10 and CIFAR-100 from their binary files: records of one label byte (CIFAR-10) or a
//! coarse and a fine one (CIFAR-100), then 3072 bytes of pixels; nothing else, no header. A format
//! without a header cannot tell that it was read wrongly, so every size and every label is
//! checked, and each way to be wrong has its own sentence.
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version".

use super::official::{Recognised, recognise, recognise_whole};
use super::{Dataset, DatasetKind, FileRecord, PIXELS, Source, Split, sha256};
use crate::files::{exists, is_absence, of_words};
use crate::foreign::{self, looks_like};
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::io::{ErrorKind::NotFound, Read};
use std::path::{Path, PathBuf};

/// How the files of one dataset are laid out.
pub(super) struct Layout {
    pub(super) kind: DatasetKind,
    title: &'static str,
    /// The official archive and the folder that it unpacks to.
    archive: &'static str,
    folder: &'static str,
    /// What betrays that somebody has the Python version: its archive, its folder, a file of it.
    python: [&'static str; 3],
    train: &'static [LayoutFile],
    test: &'static [LayoutFile],
    /// What the bytes before the pixels mean and how many values each may have.
    labels: &'static [(&'static str, u8)],
    /// Which of them is the label.
    target: usize,
}

pub(super) struct LayoutFile {
    pub(super) name: &'static str,
    records: usize,
}

const fn file(name: &'static str, records: usize) -> LayoutFile {
    LayoutFile { name, records }
}

static CIFAR10: Layout = Layout {
    kind: DatasetKind::Cifar10,
    title: "CIFAR-10",
    archive: "cifar-10-binary.tar.gz",
    folder: "cifar-10-batches-bin",
    python: ["cifar-10-python.tar.gz", "cifar-10-batches-py", "data_batch_1"],
    train: &[
        file("data_batch_1.bin", 10_000),
        file("data_batch_2.bin", 10_000),
        file("data_batch_3.bin", 10_000),
        file("data_batch_4.bin", 10_000),
        file("data_batch_5.bin", 10_000),
    ],
    test: &[file("test_batch.bin", 10_000)],
    labels: &[("label", 10)],
    target: 0,
};

static CIFAR100: Layout = Layout {
    kind: DatasetKind::Cifar100,
    title: "CIFAR-100",
    archive: "cifar-100-binary.tar.gz",
    folder: "cifar-100-binary",
    python: ["cifar-100-python.tar.gz", "cifar-100-python", "meta"],
    train: &[file("train.bin", 50_000)],
    test: &[file("test.bin", 10_000)],
    labels: &[("coarse label", 20), ("fine label", 100)],
    target: 1,
};

/// The environment's variable that names the folder where nothing else does.
const FOLDER: &str = "FA_AUDIT_DATA_DIR";

impl Layout {
    pub(super) fn of(kind: DatasetKind) -> Result<&'static Self> {
        match kind {
            DatasetKind::Cifar10 => Ok(&CIFAR10),
            DatasetKind::Cifar100 => Ok(&CIFAR100),
            other => bail!("the {other} data has no files"),
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &'static LayoutFile> {
        self.train.iter().chain(self.test)
    }

    fn record(&self) -> usize {
        self.labels.len() + PIXELS
    }

    pub(super) fn bytes(&self, file: &LayoutFile) -> usize {
        file.records * self.record()
    }

    fn source(&self) -> String {
        format!("get {} from https://www.cs.toronto.edu/~kriz/cifar.html", self.archive)
    }

    /// The folder that holds the files: `dir`, or the archive's own folder inside it.
    pub(super) fn find(&self, dir: Option<&Path>) -> Result<PathBuf> {
        let (title, source) = (self.title, self.source());
        let dir = match (dir, std::env::var_os(FOLDER).filter(|dir| !dir.is_empty())) {
            (Some(dir), _) => &of_words(dir),
            (None, Some(dir)) => &PathBuf::from(dir),
            (None, None) => bail!(
                "{} needs --data-dir DIR or the variable {FOLDER}, the folder of the {title} binary files: \
                 {source}",
                self.kind
            ),
        };
        let shown = dir.display();
        let meta = match fs::metadata(dir) {
            Ok(meta) => meta,
            Err(error) if error.kind() == NotFound => bail!(
                "{shown}: found no such folder, expected the {title} binary files in it: {source}"
            ),
            Err(error) => bail!("{shown}: cannot be read ({error}): {source}"),
        };
        if !meta.is_dir() {
            bail!(
                "{shown}: found {}, expected the folder of the {title} binary files: {source}",
                a_file(dir)
            );
        }
        for file in self.files() {
            if exists(&dir.join(file.name))? {
                return Ok(dir.to_owned());
            }
        }
        let inside = dir.join(self.folder);
        match fs::metadata(&inside) {
            Ok(meta) if meta.is_dir() => Ok(inside),
            Err(error) if !is_absence(&error) => {
                bail!("{}: cannot be read ({error})", inside.display())
            }
            _ => Ok(dir.to_owned()),
        }
    }

    /// Appends a file whose length is right to `bytes`; the length is looked at first, so that no
    /// time goes into reading something else.
    pub(super) fn read(&self, dir: &Path, file: &LayoutFile, bytes: &mut Vec<u8>) -> Result<()> {
        let path = dir.join(file.name);
        let (shown, source) = (path.display(), self.source());
        let expected = format!(
            "expected {} bytes ({} {} records of {} bytes)",
            self.bytes(file),
            file.records,
            self.title,
            self.record()
        );
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == NotFound => {
                let hint = self.instead(dir).map(|h| format!("; {h}")).unwrap_or_default();
                bail!("{shown}: found no such file{hint}, {expected}: {source}");
            }
            Err(error) => bail!("{shown}: cannot be read ({error}), {expected}: {source}"),
        };
        if !meta.is_file() {
            bail!("{shown}: found a folder, {expected}: {source}");
        }
        if meta.len() != self.bytes(file) as u64 {
            bail!(
                "{shown}: found {} bytes, {}, {expected}: {source}",
                meta.len(),
                self.guess(&path, file, meta.len())
            );
        }
        let before = bytes.len();
        bytes.reserve_exact(self.bytes(file));
        // One byte more, to see a file that has grown.
        let limit = self.bytes(file) as u64 + 1;
        if let Err(error) = File::open(&path).and_then(|f| f.take(limit).read_to_end(bytes)) {
            bail!("{shown}: cannot be read ({error}), {expected}: {source}");
        }
        let found = bytes.len() - before;
        if found != self.bytes(file) {
            bail!("{shown}: found {found} bytes, changed while it was read, {expected}");
        }
        Ok(())
    }

    /// What a file of the wrong length is.
    fn guess(&self, path: &Path, file: &LayoutFile, len: u64) -> String {
        if let Some(what) = read_head(path).and_then(|head| looks_like(&head)) {
            what.to_owned()
        } else if len < self.bytes(file) as u64 {
            let record = self.record() as u64;
            match len % record {
                0 => format!("truncated after record {}", len / record),
                _ => format!("truncated inside record {}", len / record + 1),
            }
        } else {
            "too long, not this file".to_owned()
        }
    }

    /// What lies in the folder in place of the binary files; a hint within an error.
    pub(super) fn instead(&self, dir: &Path) -> Option<String> {
        let packed = self.archive;
        if dir.join(packed).exists() {
            return Some(format!("{packed} lies there still packed: unpack it"));
        }
        let python = self.python.iter().find(|name| dir.join(name).exists()).map(|name| {
            format!("{name} there is the Python version, the binary version is needed")
        });
        python.or_else(|| {
            let what = foreign::seems(dir).filter(|what| *what != foreign::A_FOLDER)?;
            Some(format!("the folder seems to be {what}"))
        })
    }

    /// Checks the labels of a file of the right size, and recognises it.
    pub(super) fn check(
        &self,
        path: &Path,
        file: &LayoutFile,
        bytes: &[u8],
    ) -> Result<(Vec<u8>, Source)> {
        let mut labels = Vec::with_capacity(file.records);
        for (i, record) in bytes.chunks_exact(self.record()).enumerate() {
            for (&(what, classes), &value) in self.labels.iter().zip(record) {
                if value >= classes {
                    bail!(
                        "{}: found {what} {value} in record {} of {}, expected 0 to {}: not a {} binary file or damaged, {}",
                        path.display(),
                        i + 1,
                        file.records,
                        classes - 1,
                        self.title,
                        self.source()
                    );
                }
            }
            labels.push(record[self.target]);
        }
        let recognised = match self.kind {
            DatasetKind::Cifar10 => recognise(file.name, bytes, self.record(), &labels),
            _ => recognise_whole(file.name, bytes),
        };
        match recognised {
            Recognised::As(source) => Ok((labels, source)),
            Recognised::OtherFile(other) => bail!(
                "{}: found the records of {other} under this name, expected {} itself: {}",
                path.display(),
                file.name,
                self.source()
            ),
        }
    }

    /// The files one after the other. They are read into the place of their images, so that no
    /// second copy of one ever lies in memory.
    fn split(
        &self,
        dir: &Path,
        files: &[LayoutFile],
        records: &mut Vec<FileRecord>,
    ) -> Result<Split> {
        let total: usize = files.iter().map(|file| file.records).sum();
        let mut images = Vec::with_capacity(total * self.record());
        let mut labels = Vec::with_capacity(total);
        for file in files {
            let start = images.len();
            self.read(dir, file, &mut images)?;
            let bytes = &images[start..];
            let (own, source) = self.check(&dir.join(file.name), file, bytes)?;
            records.push(FileRecord {
                name: file.name.to_owned(),
                bytes: bytes.len() as u64,
                sha256: sha256([bytes]),
                source,
            });
            labels.extend(own);
            for i in 0..file.records {
                let end = start + (i + 1) * self.record();
                images.copy_within(end - PIXELS..end, start + i * PIXELS);
            }
            images.truncate(start + file.records * PIXELS);
        }
        Ok(Split { images, labels, ..Split::default() })
    }
}

/// Loads CIFAR-10 or CIFAR-100; the errors are those of [`super::load`].
pub(super) fn load(kind: DatasetKind, dir: Option<&Path>) -> Result<Dataset> {
    load_as(Layout::of(kind)?, dir)
}

fn load_as(layout: &Layout, dir: Option<&Path>) -> Result<Dataset> {
    let dir = layout.find(dir)?;
    let mut records = Vec::new();
    let train = layout.split(&dir, layout.train, &mut records)?;
    let test = layout.split(&dir, layout.test, &mut records)?;
    Ok(Dataset::new(layout.kind, train, test, records))
}

/// A file that stands where a folder should.
fn a_file(path: &Path) -> String {
    match read_head(path).and_then(|head| looks_like(&head)) {
        Some(what) => format!("a file ({what})"),
        None => "a file".to_owned(),
    }
}

/// The first 512 bytes, enough for every magic number; nothing if they cannot be read.
fn read_head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(512);
    File::open(path).ok()?.take(512).read_to_end(&mut head).ok()?;
    Some(head)
}

#[cfg(test)]
pub(super) mod fixtures {
    use super::*;
    use tempfile::TempDir;

    /// CIFAR-10 and CIFAR-100 with three and two records a file.
    pub(in crate::data) static TINY10: Layout = Layout {
        train: &[file("data_batch_1.bin", 3), file("data_batch_2.bin", 3)],
        test: &[file("test_batch.bin", 2)],
        ..CIFAR10
    };
    pub(in crate::data) static TINY100: Layout =
        Layout { train: &[file("train.bin", 3)], test: &[file("test.bin", 2)], ..CIFAR100 };

    /// Pixel `p` of the record whose number in all files of the folder is `i`.
    pub(in crate::data) fn pixel(i: usize, p: usize) -> u8 {
        ((i * 31 + p) % 256) as u8
    }

    /// A folder with the files of a layout: record `i` has coarse label `i` and fine label `9 − i`.
    pub(in crate::data) fn folder(layout: &Layout) -> TempDir {
        let dir = TempDir::new().unwrap();
        let mut i = 0;
        for file in layout.files() {
            let mut bytes = Vec::new();
            for _ in 0..file.records {
                match layout.labels.len() {
                    1 => bytes.push(i as u8),
                    _ => bytes.extend([i as u8, 9 - i as u8]),
                }
                bytes.extend((0..PIXELS).map(|p| pixel(i, p)));
                i += 1;
            }
            fs::write(dir.path().join(file.name), bytes).unwrap();
        }
        dir
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{TINY10, TINY100, folder, pixel};
    use super::*;
    use tempfile::TempDir;

    fn error(layout: &Layout, dir: &Path) -> String {
        load_as(layout, Some(dir)).unwrap_err().to_string()
    }

    #[test]
    fn cifar10_is_read_file_after_file() {
        let dir = folder(&TINY10);
        let data = load_as(&TINY10, Some(dir.path())).unwrap();
        assert_eq!(data.train.labels, [0, 1, 2, 3, 4, 5]);
        assert_eq!(data.test.labels, [6, 7]);
        assert_eq!(data.train.image(4)[1025], pixel(4, 1025));
        assert_eq!(data.test.image(1)[3071], pixel(7, 3071));
        assert_eq!(data.provenance.source, Source::Unrecognised);
        let names: Vec<&str> = data.provenance.files.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"]);
        let first = fs::read(dir.path().join("data_batch_1.bin")).unwrap();
        assert_eq!(data.provenance.files[0].sha256, sha256([first.as_slice()]));
    }

    #[test]
    fn cifar100_is_read_with_its_fine_labels() {
        let dir = folder(&TINY100);
        let data = load_as(&TINY100, Some(dir.path())).unwrap();
        assert_eq!(data.train.labels, [9, 8, 7]);
        assert_eq!(data.test.labels, [6, 5]);
        assert_eq!(data.train.image(2)[0], pixel(2, 0));
        assert_eq!(data.provenance.classes, 100);
    }

    #[test]
    fn the_archives_own_folder_is_found_inside_the_given_one() {
        let (outer, inner) = (TempDir::new().unwrap(), folder(&TINY10));
        fs::rename(inner.path(), outer.path().join("cifar-10-batches-bin")).unwrap();
        assert_eq!(load_as(&TINY10, Some(outer.path())).unwrap().train.len(), 6);
    }

    #[test]
    fn the_hash_of_the_data_sees_a_single_pixel_and_a_single_label() {
        let dir = folder(&TINY10);
        let path = dir.path().join("test_batch.bin");
        let sha = || load_as(&TINY10, Some(dir.path())).unwrap().provenance.sha256;
        let original = fs::read(&path).unwrap();
        let before = sha();
        for at in [0, 6145] {
            let mut bytes = original.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_ne!(sha(), before, "byte {at}");
        }
    }

    #[test]
    fn no_folder_given_is_an_error_of_its_own() {
        let message = load_as(&TINY10, None).unwrap_err().to_string();
        assert_eq!(
            message,
            "cifar10 needs --data-dir DIR or the variable FA_AUDIT_DATA_DIR, the folder of the CIFAR-10 binary files: get \
             cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html"
        );
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = TempDir::new().unwrap();
        let message = error(&TINY10, &dir.path().join("nowhere"));
        assert!(
            message.contains("nowhere: found no such folder, expected the CIFAR-10"),
            "{message}"
        );
    }

    #[test]
    fn an_archive_in_place_of_the_folder_is_named() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("cifar-10-binary.tar.gz");
        fs::write(&path, b"\x1f\x8b\x08\0 and so on").unwrap();
        let message = error(&TINY10, &path);
        assert!(message.contains("found a file (a gzip archive: unpack it first)"), "{message}");
        let message = error(&TINY10, dir.path());
        assert!(message.contains("cifar-10-binary.tar.gz lies there still packed"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named_with_its_size_and_source() {
        let dir = folder(&TINY10);
        let path = dir.path().join("data_batch_2.bin");
        fs::remove_file(&path).unwrap();
        assert_eq!(
            error(&TINY10, dir.path()),
            format!(
                "{}: found no such file, expected 9219 bytes (3 CIFAR-10 records of 3073 bytes): get \
                 cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
                path.display()
            )
        );
    }

    #[test]
    fn the_python_version_in_place_of_the_binary_files_is_named() {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("cifar-10-batches-py")).unwrap();
        let message = error(&TINY10, dir.path());
        assert!(message.contains("cifar-10-batches-py there is the Python version"), "{message}");
    }

    #[test]
    fn a_file_of_the_wrong_size_is_named_with_what_it_seems_to_be() {
        let good = vec![0; 3 * 3073];
        let long = [good.as_slice(), &[0]].concat();
        let python = [b"\x80\x02}q\x01".as_slice(), &good].concat();
        for (bytes, found) in [
            (&good[..2 * 3073], "found 6146 bytes, truncated after record 2, expected 9219"),
            (&good[..3073 + 5], "found 3078 bytes, truncated inside record 2, expected 9219"),
            (&good[..0], "found 0 bytes, an empty file, expected 9219"),
            (long.as_slice(), "found 9220 bytes, too long, not this file, expected 9219"),
            (python.as_slice(), "found 9224 bytes, a Python pickle"),
            (b"\x1f\x8b\x08", "found 3 bytes, a gzip archive"),
        ] {
            let dir = folder(&TINY10);
            fs::write(dir.path().join("data_batch_1.bin"), bytes).unwrap();
            let message = error(&TINY10, dir.path());
            assert!(message.contains(&format!("data_batch_1.bin: {found}")), "{message}");
            assert!(message.ends_with("cifar.html") && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_named() {
        let dir = folder(&TINY10);
        let path = dir.path().join("test_batch.bin");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let message = error(&TINY10, dir.path());
        assert!(
            message.contains("test_batch.bin: found a folder, expected 6146 bytes"),
            "{message}"
        );
    }

    #[test]
    fn a_label_out_of_range_is_named_with_its_record() {
        for (layout, name, at, found) in [
            (&TINY10, "data_batch_2.bin", 3073, "found label 10 in record 2 of 3, expected 0 to 9"),
            (&TINY100, "test.bin", 0, "found coarse label 20 in record 1 of 2, expected 0 to 19"),
            (
                &TINY100,
                "train.bin",
                6149,
                "found fine label 100 in record 3 of 3, expected 0 to 99",
            ),
        ] {
            let dir = folder(layout);
            let path = dir.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] = match found.split(' ').nth(1) {
                Some("label") => 10,
                Some("coarse") => 20,
                _ => 100,
            };
            fs::write(&path, bytes).unwrap();
            let message = error(layout, dir.path());
            assert!(message.contains(&format!("{name}: {found}")), "{message}");
        }
    }

    /// `FA_AUDIT_CIFAR10=DIR cargo test cifar10_in -- --ignored`
    #[test]
    #[ignore = "needs CIFAR-10, or a copy, in the folder that FA_AUDIT_CIFAR10 names"]
    fn the_cifar10_in_fa_audit_cifar10_is_recognised_and_its_test_set_kept_apart() {
        let dir = PathBuf::from(std::env::var_os("FA_AUDIT_CIFAR10").unwrap());
        let data = load(DatasetKind::Cifar10, Some(&dir)).unwrap();
        assert_ne!(data.provenance.source, Source::Unrecognised);
        assert_eq!((data.train.len(), data.test.len()), (50_000, 10_000));
        let of_class = |c: u8| data.test.labels.iter().filter(|&&label| label == c).count();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(of_class), [1000; 10]);
        let mixed = TempDir::new().unwrap();
        let files = CIFAR10.find(Some(&dir)).unwrap();
        for file in CIFAR10.files() {
            let from = if file.name == "data_batch_3.bin" { "test_batch.bin" } else { file.name };
            fs::copy(files.join(from), mixed.path().join(file.name)).unwrap();
        }
        let message = error(&CIFAR10, mixed.path());
        assert!(
            message.contains("data_batch_3.bin: found the records of test_batch.bin"),
            "{message}"
        );
    }
}
