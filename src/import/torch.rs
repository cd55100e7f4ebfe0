//! State dicts that `torch.save` wrote: a zip archive of a pickle, which describes the tensors, and of
//! one stored file for each storage. Tensors keep their strides: a view saved as it is reads as
//! PyTorch shows it.

use super::pickle::{Pickle, Place, Value};
use super::stored::{Kind, Stored};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use zip::{CompressionMethod, ZipArchive};

/// Larger pickles describe no state dict.
const MOST_PICKLE_BYTES: u64 = 64 << 20;
/// Names that are looked at, their length and the nesting of dicts and lists.
const MOST_NAMES: usize = 100_000;
const MOST_NAME_BYTES: usize = 1_000;
const MOST_NESTING: usize = 16;

/// The tensors of the file, by their path through its dicts and lists: `model.embed.weight`.
///
/// # Errors
/// If the bytes are no archive of PyTorch's, are damaged, or describe tensors beyond what they hold.
pub fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, Stored<'_>>> {
    let mut archive = Archive::open(bytes)?;
    let pickled = archive.entry("data.pkl")?;
    ensure!(
        pickled.len() as u64 <= MOST_PICKLE_BYTES,
        "its data.pkl has {} bytes, at most {MOST_PICKLE_BYTES} are read",
        pickled.len()
    );
    let pickle = Pickle::read(pickled).context("data.pkl")?;
    if let Value::Call { callable, .. } = pickle.value(pickle.top())
        && let Value::Global(module, name) = pickle.value(*callable)
    {
        bail!("it holds an object of {module}.{name}: save the model's state_dict() instead");
    }
    let mut found = Found { archive, pickle: &pickle, tensors: BTreeMap::new(), looked_at: 0 };
    found.look(String::new(), pickle.top(), 0)?;
    Ok(found.tensors)
}

/// The archive of a file in memory.
struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder in which everything lies, with its slash.
    root: String,
    storages: HashMap<String, &'a [u8]>,
    /// Bytes of the file that no storage has claimed: entries that overlap are no work of PyTorch's.
    unclaimed: usize,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).context(
            "not a zip archive, which torch.save writes since PyTorch 1.6 (or it is cut short)",
        )?;
        let pickle =
            zip.file_names().flatten().find(|n| *n == "data.pkl" || n.ends_with("/data.pkl"));
        let pickle = pickle.context("not PyTorch's: the archive holds no data.pkl")?;
        let root = pickle.trim_end_matches("data.pkl").to_owned();
        let mut own = Self { bytes, zip, root, storages: HashMap::new(), unclaimed: bytes.len() };
        if own.zip.index_for_name(&format!("{}byteorder", own.root)).is_some() {
            ensure!(own.entry("byteorder")? == b"little", "its numbers are not little endian");
        }
        Ok(own)
    }

    /// The bytes of the entry `name`, as they lie in the file, their checksum verified.
    fn entry(&mut self, name: &str) -> Result<&'a [u8]> {
        let path = format!("{}{name}", self.root);
        let mut entry = self.zip.by_name(&path).with_context(|| path.clone())?;
        ensure!(
            entry.compression() == CompressionMethod::Stored,
            "{path} is compressed, which torch.save never does"
        );
        let length = usize::try_from(entry.compressed_size()).unwrap_or(usize::MAX);
        self.unclaimed = self
            .unclaimed
            .checked_sub(length)
            .with_context(|| format!("{path} claims {length} bytes more than the file has"))?;
        // Reading to the end is what compares the checksum.
        let read = std::io::copy(&mut entry.by_ref(), &mut std::io::sink());
        let read = read.with_context(|| format!("{path} is damaged"))?;
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let held = start.and_then(|start| self.bytes.get(start..start.checked_add(length)?));
        held.filter(|held| held.len() as u64 == read)
            .with_context(|| format!("{path} is cut short"))
    }

    fn storage(&mut self, key: &str) -> Result<&'a [u8]> {
        if let Some(&bytes) = self.storages.get(key) {
            return Ok(bytes);
        }
        let bytes = self.entry(&format!("data/{key}"))?;
        self.storages.insert(key.to_owned(), bytes);
        Ok(bytes)
    }
}

/// What was found on the way through the pickled object.
struct Found<'a, 'p> {
    archive: Archive<'a>,
    pickle: &'p Pickle<'a>,
    tensors: BTreeMap<String, Stored<'a>>,
    looked_at: usize,
}

impl Found<'_, '_> {
    /// Collects the tensors at and below `place`.
    fn look(&mut self, name: String, place: Place, nesting: usize) -> Result<()> {
        self.looked_at += 1;
        ensure!(
            self.looked_at <= MOST_NAMES
                && nesting <= MOST_NESTING
                && name.len() <= MOST_NAME_BYTES,
            "its dicts are too many, too deep or too long to be a state dict"
        );
        let pickle = self.pickle;
        let below = |key: &dyn std::fmt::Display| match name.as_str() {
            "" => key.to_string(),
            name => format!("{name}.{key}"),
        };
        match pickle.value(place) {
            Value::Dict(items) => {
                for &(key, value) in items {
                    match pickle.value(key) {
                        Value::Text(text) => self.look(below(text), value, nesting + 1)?,
                        Value::Int(number) => self.look(below(number), value, nesting + 1)?,
                        _ => {}
                    }
                }
            }
            Value::List(elements) | Value::Tuple(elements) => {
                for (i, &element) in elements.iter().enumerate() {
                    self.look(below(&i), element, nesting + 1)?;
                }
            }
            Value::Call { callable, arguments } => {
                if let Some(arguments) = rebuilt(pickle, *callable, *arguments) {
                    let tensor = tensor(pickle, &mut self.archive, arguments);
                    let tensor = tensor.with_context(|| format!("the tensor {name}"))?;
                    self.tensors.insert(name, tensor);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The arguments of `torch._utils._rebuild_tensor_v2` where the call makes a tensor, alone or wrapped
/// as a parameter or a subclass.
fn rebuilt<'p>(
    pickle: &'p Pickle,
    mut callable: Place,
    mut arguments: Place,
) -> Option<&'p [Place]> {
    // Arguments lie before their call: each turn goes back, and the loop ends.
    loop {
        let Value::Global(module, name) = *pickle.value(callable) else { return None };
        let given = pickle.tuple(arguments)?;
        match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => return Some(given),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                let Value::Call { callable: c, arguments: a } = *pickle.value(*given.first()?)
                else {
                    return None;
                };
                (callable, arguments) = (c, a);
            }
            ("torch._tensor", "_rebuild_from_type_v2") => {
                (callable, arguments) = (*given.first()?, *given.get(2)?);
            }
            _ => return None,
        }
    }
}

/// The tensor of (storage, offset, shape, stride, …).
fn tensor<'a>(
    pickle: &Pickle<'a>,
    archive: &mut Archive<'a>,
    given: &[Place],
) -> Result<Stored<'a>> {
    let malformed = "is not described as torch.save does";
    let &[storage, offset, shape, stride, ..] = given else { bail!(malformed) };
    let Value::Persistent(storage) = *pickle.value(storage) else { bail!(malformed) };
    // ('storage', torch.FloatStorage, key, device, elements)
    let Some(&[_, class, key, ..]) = pickle.tuple(storage) else { bail!(malformed) };
    let Value::Global(_, class) = *pickle.value(class) else { bail!(malformed) };
    let kind = match class {
        "HalfStorage" => Kind::F16,
        "BFloat16Storage" => Kind::Bf16,
        "FloatStorage" => Kind::F32,
        "DoubleStorage" => Kind::F64,
        other => Kind::Other(other.into()),
    };
    let offset = pickle.count(offset).context(malformed)?;
    let (shape, stride) = (pickle.counts(shape), pickle.counts(stride));
    let (shape, stride) = (shape.context(malformed)?, stride.context(malformed)?);
    ensure!(shape.len() == stride.len(), malformed);
    let bytes = archive.storage(pickle.text(key).context(malformed)?)?;
    Ok(Stored { kind, shape, stride, offset, bytes })
}
