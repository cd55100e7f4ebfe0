//! State dicts that `torch.save` wrote: a zip archive of a pickle, which describes the tensors, and of
//! one stored file for each storage. Tensors keep their strides: a view saved as it is reads as
//! PyTorch shows it.

use super::StateDict;
use super::numpy;
use super::pickle::{Pickle, Place, Value};
use super::stored::{Kind, Stored};
use crate::shown;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::io::{Cursor, Read};
use zip::result::ZipResult;
use zip::{CompressionMethod, ZipArchive};

/// Larger pickles describe no state dict.
const MOST_PICKLE_BYTES: u64 = 64 << 20;
/// Names that are looked at, their length and the nesting of dicts and lists.
const MOST_NAMES: usize = 100_000;
const MOST_NAME_BYTES: usize = 1_000;
const MOST_NESTING: usize = 16;
/// The newest format of the archive that PyTorch reads, its `kMaxSupportedFileFormatVersion`.
const NEWEST_FORMAT: u32 = 10;

/// The tensors of the file, by their path through its dicts and lists: `model.embed.weight`. NumPy's
/// arrays are read as tensors; other objects are named.
///
/// # Errors
/// If the bytes are no archive of PyTorch's, are damaged, describe tensors beyond what they hold, or
/// say anything of a tensor that is not understood here.
pub fn tensors(bytes: &[u8]) -> Result<StateDict<'_>> {
    let mut archive = Archive::open(bytes)?;
    let pickled = archive.entry("data.pkl")?;
    ensure!(
        pickled.len() as u64 <= MOST_PICKLE_BYTES,
        "its data.pkl has {} bytes, at most {MOST_PICKLE_BYTES} are read",
        pickled.len()
    );
    let pickle = Pickle::read(pickled).context("data.pkl")?;
    if let Value::Call { callable, items, .. } = pickle.value(pickle.top())
        && items.is_empty()
        && let Value::Global(module, name) = pickle.value(*callable)
    {
        bail!("it holds an object of {module}.{name}: save the model's state_dict() instead");
    }
    let state = StateDict::default();
    let mut found = Found { archive, pickle: &pickle, state, looked_at: 0 };
    found.look(String::new(), pickle.top(), 0)?;
    Ok(found.state)
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
        ensure!(!zip.has_duplicate_names(), "two of its entries have the same name");
        let names = zip.file_names().collect::<ZipResult<Vec<_>>>().context("a name in it")?;
        let mut roots = names
            .iter()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|root| root.is_empty() || root.ends_with('/'));
        let root = roots.next().context("not PyTorch's: the archive holds no data.pkl")?.to_owned();
        ensure!(roots.next().is_none(), "it holds more than one data.pkl");
        let mut own = Self { bytes, zip, root, storages: HashMap::new(), unclaimed: bytes.len() };
        if own.zip.index_for_name(&format!("{}byteorder", own.root)).is_some() {
            ensure!(own.entry("byteorder")? == b"little", "its numbers are not little endian");
        }
        if own.zip.index_for_name(&format!("{}version", own.root)).is_some() {
            let version = String::from_utf8_lossy(own.entry("version")?);
            let version = version.trim();
            ensure!(
                version.parse().is_ok_and(|v: u32| v <= NEWEST_FORMAT),
                "its format is version {}, at most {NEWEST_FORMAT} is read",
                shown::line(version)
            );
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
    state: StateDict<'a>,
    looked_at: usize,
}

impl<'a> Found<'a, '_> {
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
        match pickle.value(place) {
            Value::Dict(items) => self.look_below(&name, items, nesting)?,
            Value::List(elements) | Value::Tuple(elements) => {
                for (i, &element) in elements.iter().enumerate() {
                    self.look(below(&name, &i), element, nesting + 1)?;
                }
            }
            Value::Call { items, .. } => {
                let told = || format!("the tensor {}", shown::line(&name));
                let tensor = match made(pickle, place).with_context(told)? {
                    // Whatever kind of dict it is: its items are what it holds.
                    Made::Object(_) if !items.is_empty() => {
                        return self.look_below(&name, items, nesting);
                    }
                    Made::Object(class) => {
                        self.state.objects.insert(name, class);
                        return Ok(());
                    }
                    Made::Tensor(form, arguments) => {
                        tensor(pickle, &mut self.archive, form, arguments).with_context(told)?
                    }
                    Made::Array(state) => numpy::array(pickle, state).with_context(told)?,
                    Made::Foreign(kind) => Stored::row_major(Kind::Other(kind), Vec::new(), &[]),
                };
                let twice = self.state.tensors.contains_key(&name);
                ensure!(!twice, "two of its tensors have the name {}", shown::line(&name));
                self.state.tensors.insert(name, tensor);
            }
            _ => {}
        }
        Ok(())
    }

    /// As [`Found::look`], at the items of a dict.
    fn look_below(&mut self, name: &str, items: &[(Place, Place)], nesting: usize) -> Result<()> {
        let pickle = self.pickle;
        for &(key, value) in items {
            match pickle.value(key) {
                Value::Text(text) => self.look(below(name, text), value, nesting + 1)?,
                Value::Int(number) => self.look(below(name, number), value, nesting + 1)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn below(name: &str, key: &dyn std::fmt::Display) -> String {
    match name {
        "" => key.to_string(),
        name => format!("{name}.{key}"),
    }
}

/// What a call makes.
enum Made<'p> {
    /// A tensor of these arguments.
    Tensor(Form, &'p [Place]),
    /// An array of NumPy's with this state.
    Array(Place),
    /// A tensor that is not read, by what it is made with.
    Foreign(String),
    /// What is no tensor, by its class or function.
    Object(String),
}

/// Which function rebuilds a tensor, and so what its arguments are: all begin with storage, offset, shape
/// and stride.
#[derive(Clone, Copy)]
enum Form {
    /// `_rebuild_tensor_v2`: requires_grad, backward_hooks, maybe metadata; the storage has a type.
    Typed,
    /// `_rebuild_tensor_v3`: requires_grad, backward_hooks, the type, maybe metadata.
    Untyped,
    /// `_rebuild_qtensor`: the quantiser, requires_grad, backward_hooks.
    Quantised,
}

const MALFORMED: &str = "is not described as torch.save does";

/// What the call at `place` makes: a tensor alone, or wrapped as a parameter.
fn made<'p>(pickle: &'p Pickle, mut place: Place) -> Result<Made<'p>> {
    let object =
        |module: &str, name: &str| Ok(Made::Object(shown::line(&format!("{module}.{name}"))));
    // Arguments lie before their call: each turn goes back, and the loop ends.
    loop {
        let &Value::Call { callable, arguments, altered, state, .. } = pickle.value(place) else {
            return object("", "no object");
        };
        let &Value::Global(module, function) = pickle.value(callable) else {
            return object("", "an object without a class");
        };
        let Some(given) = pickle.tuple(arguments) else { return object(module, function) };
        if function == "_reconstruct" && numpy::MODULES.contains(&module) {
            return state.map(Made::Array).context(MALFORMED);
        }
        let is_ours = ["torch._utils", "torch._tensor"].contains(&module);
        if !is_ours || !function.starts_with("_rebuild") {
            return object(module, function);
        }
        ensure!(!altered, "is changed after it was made, which torch.save never does");
        place = match (function, given) {
            ("_rebuild_tensor" | "_rebuild_tensor_v2", given) => {
                return Ok(Made::Tensor(Form::Typed, given));
            }
            ("_rebuild_tensor_v3", given) => return Ok(Made::Tensor(Form::Untyped, given)),
            ("_rebuild_qtensor", given) if given.len() == 7 => {
                return Ok(Made::Tensor(Form::Quantised, given));
            }
            ("_rebuild_parameter", &[data, _, hooks]) => {
                without_hooks(pickle, hooks)?;
                data
            }
            ("_rebuild_parameter_with_state", &[data, _, hooks, state]) => {
                without_hooks(pickle, hooks)?;
                only_attributes(pickle, state)?;
                data
            }
            // A tensor to which Python code gave attributes; or a subclass, which may be anything.
            ("_rebuild_from_type_v2", &[function, class, arguments, state]) => {
                match *pickle.value(class) {
                    Value::Global("torch", "Tensor")
                    | Value::Global("torch.nn.parameter", "Parameter" | "Buffer") => {}
                    Value::Global(module, name) => {
                        return Ok(Made::Foreign(format!("{module}.{name}")));
                    }
                    _ => bail!(MALFORMED),
                }
                only_attributes(pickle, state)?;
                match *pickle.value(function) {
                    Value::Global("torch._utils", "_rebuild_tensor_v2") => {
                        let given = pickle.tuple(arguments).context(MALFORMED)?;
                        return Ok(Made::Tensor(Form::Typed, given));
                    }
                    Value::Global(module, name) => {
                        return Ok(Made::Foreign(format!("{module}.{name}")));
                    }
                    _ => bail!(MALFORMED),
                }
            }
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", _) => bail!(MALFORMED),
            (other, _) => return Ok(Made::Foreign(format!("{module}.{other}"))),
        };
    }
}

fn is_empty(pickle: &Pickle, place: Place) -> bool {
    match pickle.value(place) {
        Value::None => true,
        Value::Dict(items) => items.is_empty(),
        Value::Tuple(elements) => elements.is_empty(),
        _ => false,
    }
}

fn without_hooks(pickle: &Pickle, hooks: Place) -> Result<()> {
    ensure!(is_empty(pickle, hooks), "has backward hooks, which cannot be run here");
    Ok(())
}

/// Attributes that Python code hung on a tensor do not change its numbers; values of slots might.
fn only_attributes(pickle: &Pickle, state: Place) -> Result<()> {
    let attributes = match (pickle.value(state), pickle.tuple(state)) {
        (_, Some(&[attributes, slots])) if is_empty(pickle, slots) => attributes,
        _ => state,
    };
    let plain = is_empty(pickle, attributes) || matches!(pickle.value(attributes), Value::Dict(_));
    ensure!(plain, "has a state that is not understood");
    Ok(())
}

/// The tensor of these arguments.
fn tensor<'a>(
    pickle: &Pickle<'a>,
    archive: &mut Archive<'a>,
    form: Form,
    given: &[Place],
) -> Result<Stored<'a>> {
    let (&[storage, offset, shape, stride], rest) = given.split_first_chunk().context(MALFORMED)?;
    let (kind, rest) = match (form, rest) {
        (Form::Typed, rest) => (None, rest.to_vec()),
        (Form::Untyped, &[requires_grad, hooks, dtype, ref metadata @ ..]) => {
            (Some(dtype_of(pickle, dtype)?), [&[requires_grad, hooks], metadata].concat())
        }
        (Form::Quantised, &[quantiser, requires_grad, hooks]) => {
            (Some(quantised(pickle, quantiser)?), vec![requires_grad, hooks])
        }
        _ => bail!(MALFORMED),
    };
    if let &[requires_grad, hooks, ref metadata @ ..] = rest.as_slice() {
        ensure!(matches!(pickle.value(requires_grad), Value::Bool(_)), MALFORMED);
        without_hooks(pickle, hooks)?;
        match *metadata {
            [] => {}
            [metadata] => plain(pickle, metadata)?,
            _ => bail!(MALFORMED),
        }
    } else {
        ensure!(rest.is_empty(), MALFORMED);
    }
    let Value::Persistent(storage) = *pickle.value(storage) else { bail!(MALFORMED) };
    // ('storage', torch.FloatStorage, key, device, elements)
    let Some(&[word, class, key, _, elements]) = pickle.tuple(storage) else { bail!(MALFORMED) };
    ensure!(pickle.text(word) == Some("storage"), MALFORMED);
    let Value::Global("torch" | "torch.cuda" | "torch.storage", class) = *pickle.value(class)
    else {
        bail!(MALFORMED)
    };
    let kind = match (class, kind) {
        ("UntypedStorage", Some(kind)) => kind,
        ("QInt8Storage", Some(Kind::Quantised { scale, zero, .. })) => {
            Kind::Quantised { signed: true, scale, zero }
        }
        ("QUInt8Storage", Some(Kind::Quantised { scale, zero, .. })) => {
            Kind::Quantised { signed: false, scale, zero }
        }
        (_, Some(other @ Kind::Other(_))) => other,
        ("HalfStorage", None) => Kind::F16,
        ("BFloat16Storage", None) => Kind::Bf16,
        ("FloatStorage", None) => Kind::F32,
        ("DoubleStorage", None) => Kind::F64,
        (other, _) => Kind::Other(other.into()),
    };
    let offset = pickle.count(offset).context(MALFORMED)?;
    let (shape, stride) = (pickle.counts(shape), pickle.counts(stride));
    let (shape, stride) = (shape.context(MALFORMED)?, stride.context(MALFORMED)?);
    ensure!(shape.len() == stride.len(), MALFORMED);
    let bytes = archive.storage(pickle.text(key).context(MALFORMED)?)?;
    let elements = pickle.count(elements).context(MALFORMED)?;
    if let Ok(size) = kind.size() {
        ensure!(
            elements.checked_mul(size) == Some(bytes.len()),
            "has a storage of {} bytes, expected {elements} elements of {size}",
            bytes.len()
        );
    }
    Ok(Stored { kind, shape, stride, offset, bytes: bytes.into() })
}

/// The type of a tensor whose storage has none.
fn dtype_of(pickle: &Pickle, dtype: Place) -> Result<Kind> {
    Ok(match *pickle.value(dtype) {
        Value::Global("torch", "float8_e4m3fn") => Kind::F8E4m3,
        Value::Global("torch", "float8_e5m2") => Kind::F8E5m2,
        Value::Global(module, name) => Kind::Other(format!("{module}.{name}")),
        _ => bail!(MALFORMED),
    })
}

/// Of one scale and zero for the whole tensor; of which sign, its storage says.
fn quantised(pickle: &Pickle, quantiser: Place) -> Result<Kind> {
    let given = pickle.tuple(quantiser).context(MALFORMED)?;
    let &[scheme, ref parameters @ ..] = given else { bail!(MALFORMED) };
    Ok(match (pickle.value(scheme), parameters) {
        (Value::Global("torch", "per_tensor_affine"), &[scale, zero]) => {
            match (pickle.value(scale), pickle.value(zero)) {
                (&Value::Real(scale), &Value::Int(zero)) => {
                    Kind::Quantised { signed: true, scale, zero }
                }
                _ => bail!(MALFORMED),
            }
        }
        (Value::Global(_, scheme), _) => {
            Kind::Other(format!("quantised by {} (save tensor.dequantize())", shown::line(scheme)))
        }
        _ => bail!(MALFORMED),
    })
}

/// Refuses what changes the meaning of a tensor's bytes.
fn plain(pickle: &Pickle, metadata: Place) -> Result<()> {
    if is_empty(pickle, metadata) {
        return Ok(());
    }
    let Value::Dict(items) = pickle.value(metadata) else { bail!(MALFORMED) };
    for &(key, value) in items {
        match (pickle.text(key), pickle.value(value)) {
            (Some("neg" | "conj"), Value::Bool(false)) => {}
            (Some("neg"), Value::Bool(true)) => bail!(
                "has its negative bit set, so that its numbers have the other sign: save \
                 tensor.resolve_neg()"
            ),
            (Some("conj"), Value::Bool(true)) => {
                bail!("has its conjugate bit set: save tensor.resolve_conj()")
            }
            (Some(other), _) => bail!("has metadata of an unknown kind, {}", shown::line(other)),
            (None, _) => bail!(MALFORMED),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
