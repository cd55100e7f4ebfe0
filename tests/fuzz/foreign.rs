//! Readers of files that other programs or other people wrote.

use super::Reader;
use super::readers::{MIB, of_a_file};
use fa_audit::config::{Layer, resolve};
use fa_audit::data;
use fa_audit::import::{Names, import};
use fa_audit::regress::Baseline;
use fa_audit::trace::file::{Format, Trace};
use std::fs;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn contents(name: &str) -> Vec<u8> {
    fs::read(golden(name)).expect("a golden file")
}

/// A trace: `.safetensors`.
pub fn safetensors() -> Reader {
    let read =
        |folder: &Path| Trace::read(&folder.join("t.safetensors"), Format::Safetensors).map(drop);
    let corpus = vec![contents("golden/pytorch.safetensors")];
    of_a_file("safetensors", "t.safetensors", corpus, read, |length| 4 * MIB + 64 * length)
}

/// A trace: `.npz`. What is inflated may be a thousand times the file.
pub fn npz() -> Reader {
    let read = |folder: &Path| Trace::read(&folder.join("t.npz"), Format::Npz).map(drop);
    let corpus = vec![contents("golden/biotorch.npz")];
    of_a_file("npz", "t.npz", corpus, read, |length| 64 * MIB + 64 * length)
}

/// A baseline of `regress`.
pub fn baseline() -> Reader {
    let read = |folder: &Path| Baseline::read(&folder.join("b.json")).map(drop);
    let whole = contents("../configs/regression/baseline.json");
    of_a_file("baseline", "b.json", vec![whole], read, |length| 4 * MIB + 128 * length)
}

/// A state dict, imported as the golden network.
fn state_dict(name: &'static str, file: &'static str, table: &str) -> Reader {
    let net = "method = 'dfa'\nwidth = 6\ndepth = 3\ntrain_samples = 64\ntest_samples = 64\n";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.toml");
    fs::write(&path, format!("{net}[import]\n{table}")).expect("written");
    let mut layer = Layer::from_file(&path).expect("TOML");
    let names = Names::take(&mut layer).expect("names");
    let config = resolve(&[layer]).expect("a configuration");
    let loaded = data::load(config.dataset, None, &config.synthetic()).expect("data");
    let read = move |folder: &Path| {
        import(&folder.join(file), &names, &config, &loaded.provenance, 0).map(drop)
    };
    let corpus = vec![contents(&format!("import/golden/{file}"))];
    // Burn's autodiff keeps an entry for each parameter that ever asked for a gradient: after 97,481
    // networks in one process its table doubled to 36 MB at once. An input alone takes under 10 MB.
    of_a_file(name, file, corpus, read, |length| 96 * MIB + 64 * length)
}

/// `import` of a `.pt`.
pub fn import_pt() -> Reader {
    let keys = "prefix = 'model'\ntransposed = ['feedback']\nignore = ['dfa', 'fa']\n\
                [import.keys]\n'embed' = 'model.stem'\n'blocks.{l}' = 'model.layers.{l}'\n\
                'blocks.{l}.linear1' = 'model.layers.{l}.fc1'\n\
                'blocks.{l}.linear2' = 'model.layers.{l}.fc2'\n\
                'readout.norm' = 'model.out_ln'\n'readout.head' = 'model.out_head'\n\
                'feedback' = 'dfa'\n";
    state_dict("import .pt", "model.pt", keys)
}

/// `import` of a `.safetensors`.
pub fn import_safetensors() -> Reader {
    state_dict("import .safetensors", "model.safetensors", "ignore = ['fa']\n")
}
