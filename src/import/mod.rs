//! Checkpoints from PyTorch: a state dict of the same architecture, with its feedback matrices,
//! becomes a [`Checkpoint`] that an audit accepts.
//!
//! Nothing of the file is executed. Its length bounds the memory: what a header claims is compared
//! with the bytes that are there, and a tensor is read only once its shape is the wanted one.

mod maps;
mod names;
mod numpy;
mod pickle;
mod safetensors;
mod stored;
mod torch;
mod usual;

pub use names::{Names, TABLE};

use crate::backend::{self, Differentiable, Task};
use crate::config::Config;
use crate::config::keys::Role;
use crate::data::DataProvenance;
use crate::files::{self, is_directory};
use crate::foreign;
use crate::learn::{Entry, draw, layout};
use crate::model::{NamedTensors, Net, export, outline};
use crate::train::checkpoint::{Checkpoint, Imported, Progress, pack};
use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::TensorData;
use maps::OfMap;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use stored::Stored;

/// Files above this are not read into memory.
const MOST_BYTES: u64 = 4 << 30;

/// An imported network.
#[derive(Debug)]
pub struct Import {
    pub checkpoint: Checkpoint,
    /// What was done to the numbers on the way, a sentence each.
    pub notes: Vec<String>,
}

/// Reads the state dict at `path` as the network of `config`, trained on `data` for `epoch` epochs.
///
/// # Errors
/// Names the file, and lists every tensor that is missing, of another shape, no floating-point numbers, or
/// not part of the network.
pub fn import(
    path: &Path,
    names: &Names,
    config: &Config,
    data: &DataProvenance,
    epoch: usize,
) -> Result<Import> {
    let bytes = files::read(path, MOST_BYTES).with_context(|| match is_directory(path) {
        Ok(true) => format!("{} {}", path.display(), instead(foreign::seems(path))),
        _ => format!("cannot read {}", path.display()),
    })?;
    let sha256 = crate::hex(&Sha256::digest(&bytes));
    let StateDict { tensors: stored, objects } = match tensors(path, &bytes) {
        Err(error) => {
            let what = foreign::looks_like(&bytes[..bytes.len().min(foreign::HEAD)]);
            let what = what.filter(|what| ![foreign::TORCH, foreign::SAFETENSORS].contains(what));
            return Err(match what {
                Some(_) => error.context(instead(what)),
                None => error,
            })
            .with_context(|| path.display().to_string());
        }
        Ok(state) => state,
    };
    let wanted = backend::run(config, Layout { config, classes: data.classes })?;
    let (found, notes) = fill(names, &wanted, stored, &objects).map_err(|problems| {
        let problems = problems.join("\n  ");
        anyhow!("{} does not fit {}:\n  {problems}", path.display(), described(config))
    })?;
    // What no draw decides is in no file.
    let mut learner = draw(config, data.classes, config.seed);
    let mut network = found;
    for (name, matrix) in &mut learner {
        if let Some(found) = network.remove(name) {
            *matrix = found;
        }
    }
    let buffers = outline(config, data.classes).buffers.into_iter();
    let buffers: NamedTensors =
        buffers.filter_map(|of| Some((of.name.clone(), network.remove(&of.name)?))).collect();
    let checkpoint = Checkpoint {
        config: config.clone(),
        data: data.clone(),
        progress: Progress { epoch, ..Progress::default() },
        network: pack(&network),
        buffers: pack(&buffers),
        learner: pack(&learner),
        slots: BTreeMap::new(),
        trajectory: Default::default(),
        imported: Some(Imported {
            file: path.file_name().unwrap_or_default().to_string_lossy().into(),
            sha256,
        }),
    };
    backend::run(config, Check(&checkpoint))?;
    Ok(Import { checkpoint, notes })
}

/// What a file holds.
#[derive(Debug, Default)]
struct StateDict<'a> {
    /// By their path through its dicts and lists.
    tensors: BTreeMap<String, Stored<'a>>,
    /// Likewise what is neither a tensor nor an array, by its class.
    objects: BTreeMap<String, String>,
}

/// What is not what was expected.
fn instead(what: Option<&str>) -> String {
    format!(
        "seems to be {}; expected a state dict that torch.save or safetensors wrote",
        what.unwrap_or("something else")
    )
}

/// By the content, not by the name: a zip archive begins with `PK`, a safetensors file with the
/// length of its header.
fn tensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<StateDict<'a>> {
    ensure!(!bytes.is_empty(), "the file is empty");
    if bytes.starts_with(b"PK") {
        torch::tensors(bytes)
    } else if path.extension().is_some_and(|e| e == "safetensors") || bytes.get(8) == Some(&b'{') {
        let tensors = safetensors::tensors(bytes)?;
        Ok(StateDict { tensors, ..StateDict::default() })
    } else {
        bail!(
            "neither a safetensors file nor a zip archive, which torch.save writes since PyTorch 1.6: \
             load an older file there and save its state_dict() again"
        )
    }
}

fn described(config: &Config) -> String {
    format!("the configuration ({} on {})", config.method, config.in_words(Role::Shape))
}

/// A tensor that the checkpoint needs.
#[derive(Debug)]
struct Wanted {
    /// In checkpoints: `blocks.0.norm.gamma`.
    name: String,
    /// In a PyTorch module of the same structure: `blocks.0.norm.weight`.
    pytorch: String,
    /// As PyTorch holds it.
    shape: Vec<usize>,
    /// Whether the checkpoint holds it transposed: Burn's Linear is [in, out], PyTorch's [out, in].
    transposed: bool,
    /// The shape of a Conv2d's kernel in the place of a Linear over flattened patches.
    kernel: Option<[usize; 4]>,
    /// How PyTorch orders it, where it belongs to a feature map.
    map: Option<OfMap>,
    /// Those that it usually has besides.
    usual: Vec<String>,
}

/// Every parameter and feedback matrix of a configuration.
struct Layout<'a> {
    config: &'a Config,
    classes: usize,
}

impl Task for Layout<'_> {
    type Output = Vec<Wanted>;

    fn run<B: Differentiable>(self, device: B::Device) -> Result<Vec<Wanted>> {
        let Self { config, classes } = self;
        let net = Net::<B>::new(config, classes, &device);
        let outline = outline(config, classes);
        let parameters = export(&net).into_iter().map(|(name, data)| {
            let mut shape = data.shape.to_vec();
            let transposed = shape.len() == 2;
            if transposed {
                shape.reverse();
            }
            let kernel = [config.width, 3, config.patch, config.patch];
            let pytorch = pytorch_name(&name);
            let mut map = None;
            if let [columns, rows] = shape[..] {
                map = OfMap::of_weight(&outline, &name, rows);
                shape = map.map_or(shape, |map| map.shape([rows, columns]));
            }
            Wanted {
                usual: usual::names(config, &pytorch),
                pytorch,
                kernel: (name == "embed.patch.weight").then_some(kernel),
                map,
                shape,
                transposed,
                name,
            }
        });
        let own = layout(config, classes).into_iter().filter(Entry::is_random);
        let feedback = own.map(|Entry { name, shape, .. }| Wanted {
            pytorch: name.clone(),
            map: OfMap::of_feedback(&outline, &name, shape[0]),
            name,
            shape: shape.to_vec(),
            transposed: false,
            kernel: None,
            usual: Vec::new(),
        });
        let buffers = outline.buffers.iter().map(|buffer| Wanted {
            pytorch: buffer.name.clone(),
            name: buffer.name.clone(),
            shape: vec![buffer.length],
            transposed: false,
            kernel: None,
            map: None,
            usual: usual::names(config, &buffer.name),
        });
        Ok(parameters.chain(feedback).chain(buffers).collect())
    }
}

/// PyTorch calls a LayerNorm's γ and β weight and bias.
fn pytorch_name(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((above, "gamma")) => format!("{above}.weight"),
        Some((above, "beta")) => format!("{above}.bias"),
        _ => name.into(),
    }
}

/// That the network can be built from the checkpoint.
struct Check<'a>(&'a Checkpoint);

impl Task for Check<'_> {
    type Output = ();

    fn run<B: Differentiable>(self, device: B::Device) -> Result<()> {
        self.0.trainee::<B>(&device).map(drop)
    }
}

/// Finds what is wanted among what is stored; or all that keeps the two from fitting.
fn fill(
    names: &Names,
    wanted: &[Wanted],
    stored: BTreeMap<String, Stored>,
    objects: &BTreeMap<String, String>,
) -> Result<(NamedTensors, Vec<String>), Vec<String>> {
    let known: Vec<&str> = wanted.iter().map(|w| w.pytorch.as_str()).collect();
    let mut problems: Vec<String> = names
        .idle(&known)
        .into_iter()
        .map(|key| format!("[{TABLE}] {key:?} fits no tensor of the network"))
        .collect();
    let mut rest = parts_of_attention(stored, &mut problems);
    let mut found = NamedTensors::new();
    let mut converted = BTreeMap::<&str, usize>::new();
    for want in wanted {
        let mut in_file = names.in_file(&want.pytorch);
        if !rest.contains_key(&in_file)
            && let Some(usual) = want
                .usual
                .iter()
                .map(|usual| names.in_file(usual))
                .find(|usual| rest.contains_key(usual))
        {
            in_file = usual;
        }
        let Some(tensor) = rest.remove(&in_file) else {
            problems.push(match object_above(&in_file, objects) {
                Some(object) => object,
                None => missing(&in_file, want, &rest),
            });
            continue;
        };
        let kind = tensor.kind.converted();
        match take(want, tensor, names.is_transposed(&want.pytorch)) {
            Ok(data) => {
                found.insert(want.name.clone(), data);
                if let Some(kind) = kind {
                    *converted.entry(kind).or_default() += 1;
                }
            }
            Err(problem) => problems.push(format!("{in_file} {problem:#}")),
        }
    }
    // How many batches a BatchNorm has seen weighs nothing where its momentum is a number.
    let counts = |name: &&String| name.ends_with(".num_batches_tracked");
    let unknown = rest.keys().filter(|name| names.is_of_interest(name) && !counts(name));
    problems.extend(unknown.map(|name| format!("{name} is not part of the network")));
    if !problems.is_empty() {
        return Err(problems);
    }
    let notes = converted.into_iter().map(|(kind, n)| format!("{n} tensors of {kind} are now f32"));
    Ok((found, notes.collect()))
}

/// The values of one tensor as the checkpoint holds them.
fn take(want: &Wanted, mut tensor: Stored, turned: bool) -> Result<TensorData> {
    // Of what is no floating-point number the shape does not count.
    tensor.kind.size()?;
    if let Some(map) = want.map {
        if turned && tensor.shape.len() == 2 {
            tensor = tensor.permuted(&[1, 0]);
        }
        ensure!(tensor.shape == want.shape, "is {:?}, expected {:?}", tensor.shape, want.shape);
        let reordered = map.reordered(tensor).context("does not divide into feature maps")?;
        let columns = reordered.shape[3];
        let rows = reordered.shape[..3].iter().product::<usize>();
        return Ok(TensorData::new(reordered.values()?, [rows, columns]));
    }
    let matrix = want.shape.len() == 2;
    let mut shape = want.shape.clone();
    if turned && matrix {
        shape.reverse();
    }
    let is_kernel = !turned && want.kernel.is_some_and(|kernel| tensor.shape == kernel);
    if tensor.shape != shape && !is_kernel {
        let reversed = tensor.shape.iter().rev().eq(&shape) && matrix;
        let advice = match (reversed, turned) {
            (false, _) => String::new(),
            (true, false) => format!(
                ": it is stored transposed, which `transposed = [{:?}]` in [{TABLE}] says",
                want.pytorch
            ),
            (true, true) => format!(": it is not stored transposed, as [{TABLE}] says"),
        };
        bail!("is {:?}, expected {shape:?}{advice}", tensor.shape);
    }
    if matrix && turned != want.transposed {
        tensor = tensor.outputs_last();
        shape.reverse();
    }
    Ok(TensorData::new(tensor.values()?, shape))
}

/// The object in whose place a tensor is wanted, or inside of which it may lie.
fn object_above(in_file: &str, objects: &BTreeMap<String, String>) -> Option<String> {
    let mut above = in_file;
    loop {
        if let Some(class) = objects.get(above) {
            return Some(format!(
                "{in_file} is not to be read: the file has an object of {class} as {above}; save its \
                 state_dict()"
            ));
        }
        above = above.rsplit_once('.')?.0;
    }
}

fn missing(in_file: &str, want: &Wanted, rest: &BTreeMap<String, Stored>) -> String {
    let below = format!(".{in_file}");
    let hint = rest.keys().find_map(|name| name.strip_suffix(&below)).map(|prefix| {
        format!(": the file has {prefix}{below}, which `prefix = {prefix:?}` in [{TABLE}] finds")
    });
    format!("{in_file} is missing, expected {:?}{}", want.shape, hint.unwrap_or_default())
}

/// Splits what `nn.MultiheadAttention` keeps in one piece: `in_proj_weight` into `query.weight`,
/// `key.weight` and `value.weight`, the bias likewise.
///
/// `problems` get those that would then have the name of another tensor.
fn parts_of_attention<'a>(
    stored: BTreeMap<String, Stored<'a>>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Stored<'a>> {
    let mut split = BTreeMap::new();
    let mut put = |name: String, tensor| {
        if split.contains_key(&name) {
            problems.push(format!("{name} is there twice: alone, and as a part of attention"));
        }
        split.insert(name, tensor);
    };
    for (name, tensor) in stored {
        let fused =
            name.rsplit_once("in_proj_").filter(|(_, kind)| ["weight", "bias"].contains(kind));
        let parts: Option<Vec<Stored>> = (0..3).map(|i| tensor.part(i, 3)).collect();
        match (fused, parts) {
            (Some((above, kind)), Some(parts)) => {
                let own = ["query", "key", "value"].map(|part| format!("{above}{part}.{kind}"));
                own.into_iter().zip(parts).for_each(|(name, part)| put(name, part));
            }
            _ => put(name, tensor),
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use rand::{Rng, RngExt};

    const PT: (&str, &[u8]) = ("model.pt", include_bytes!("../../tests/import/golden/model.pt"));
    const SAFE: (&str, &[u8]) =
        ("model.safetensors", include_bytes!("../../tests/import/golden/model.safetensors"));

    /// Every tensor of a file, as the bits of its values.
    /// Name, shape and bits.
    type Content = (String, Vec<usize>, Vec<u32>);

    fn contents(name: &str, bytes: &[u8]) -> Result<Vec<Content>> {
        let bits = |(name, tensor): (String, Stored)| {
            // What `fill` compares with the wanted shape.
            let fits = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            ensure!(fits.is_some_and(|n| n <= bytes.len()), "{name} is larger than the file");
            let values = match tensor.kind {
                stored::Kind::Other(_) => Vec::new(),
                _ => tensor.values()?.into_iter().map(f32::to_bits).collect(),
            };
            Ok((name, tensor.shape, values))
        };
        tensors(Path::new(name), bytes)?.tensors.into_iter().map(bits).collect()
    }

    /// PyTorch's archive has checksums: it is read as it was written, or refused.
    #[test]
    fn a_flipped_bit_never_changes_what_is_read_from_an_archive() {
        let (name, whole) = PT;
        let intact = contents(name, whole).unwrap();
        let mut stream = rng::stream(1, "import/flips");
        let mut refused = 0;
        // All of the pickle and the directory, and anywhere.
        let ends = (0..2_000).chain(whole.len() - 6_000..whole.len());
        let anywhere = (0..2_000).map(|_| stream.random_range(0..whole.len() as u64) as usize);
        for at in ends.chain(anywhere.collect::<Vec<_>>()) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (stream.next_u32() % 8);
            match contents(name, &bytes) {
                Ok(found) => assert!(found == intact, "a bit of byte {at} went unnoticed"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 2_000, "{refused}");
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        for (name, whole) in [PT, SAFE] {
            let mut stream = rng::stream(1, "import/cuts");
            let near = (0..400).chain(whole.len() - 400..whole.len());
            let anywhere = (0..400).map(|_| stream.random_range(0..whole.len() as u64) as usize);
            for length in near.chain(anywhere) {
                assert!(contents(name, &whole[..length]).is_err(), "{name} cut to {length}");
            }
        }
    }

    /// Without a checksum the numbers may change; nothing may panic or read beyond the file.
    #[test]
    fn random_bytes_in_a_header_are_refused_or_read() {
        let mut stream = rng::stream(1, "import/noise");
        for (name, whole) in [PT, SAFE] {
            for _ in 0..4_000 {
                let mut bytes = whole.to_vec();
                for _ in 0..1 + stream.next_u32() % 4 {
                    let near = stream.random_range(0..4_000u64) as usize;
                    let at = if stream.random_bool(0.5) { near } else { bytes.len() - 1 - near };
                    bytes[at] = stream.next_u32() as u8;
                }
                let _ = contents(name, &bytes);
            }
        }
        // Programs for the pickle machine, without an archive's checksum around them.
        for _ in 0..200_000 {
            let mut program = b"\x80\x02".to_vec();
            program.extend((0..64).map(|_| {
                let operations =
                    b"(.012NJKMX)t]l}daesucRbQqhj\x81\x85\x86\x87\x88\x94\x95\x00\x01\n";
                operations[stream.next_u32() as usize % operations.len()]
            }));
            let _ = pickle::Pickle::read(&program);
        }
    }
}
