//! The readers, each with files that it accepts and a bound on its memory.

use super::Reader;
pub use super::foreign::{baseline, import_pt, import_safetensors, npz, safetensors};
use anyhow::Result;
use burn::backend::{Autodiff, Flex};
use fa_audit::claims::registered::ClaimsFile;
use fa_audit::config::{Arch, Config, Layer, Method, OptimizerName, resolve};
use fa_audit::data::{self, DatasetKind};
use fa_audit::study::{Study, StudyFile, plan};
use fa_audit::train::checkpoint::{Checkpoint, Progress};
use fa_audit::train::run_dir::RunDir;
use fa_audit::train::train_quietly;
use fa_audit::verdict::Audit;
use fa_audit::verify::{Again, Nearness, verify};
use serde_bytes::Bytes;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// A reader of the file `file` of a folder.
pub fn of_a_file(
    name: &'static str,
    file: &'static str,
    corpus: Vec<Vec<u8>>,
    read: impl Fn(&Path) -> Result<()> + 'static,
    bound: fn(usize) -> usize,
) -> Reader {
    let put = move |folder: &Path, bytes: &[u8]| {
        fs::write(folder.join(file), bytes).expect("written");
    };
    Reader { name, corpus, put: Box::new(put), read: Box::new(read), bound }
}

fn small(method: Method) -> Config {
    Config {
        method,
        width: 3,
        depth: 2,
        epochs: 2,
        train_samples: 8,
        test_samples: 8,
        batch_size: 4,
        probe_batches: 2,
        probe_batch_size: 4,
        heads: 1,
        patch: 16,
        device: "cpu".into(),
        ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
    }
}

/// Runs in a folder.
fn trained(configs: &[Config]) -> (TempDir, Vec<RunDir>) {
    let folder = TempDir::new().expect("a folder");
    let train = |(i, config): (usize, &Config)| {
        let data = data::load(config.dataset, None, &config.synthetic()).expect("data");
        let run = RunDir::at(folder.path().join(i.to_string()));
        train_quietly(config, &data, &run).expect("trained");
        run.write_config(config).expect("written");
        run
    };
    let runs = configs.iter().enumerate().map(train).collect();
    (folder, runs)
}

const TRAIN: &str = "train --config small.toml --out run";

/// A folder after these calls of the program.
fn after(lines: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let config = toml::to_string(&small(Method::Dfa)).expect("TOML");
    fs::write(folder.path().join("small.toml"), config).expect("written");
    for line in lines {
        let words = line.split_whitespace();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fa-audit"));
        let output = command.args(words).current_dir(folder.path()).output().expect("it starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}

/// A file of the program's own making, after these calls.
fn written(lines: &[&str], file: &str) -> Vec<u8> {
    fs::read(after(lines).path().join(file)).expect("a file")
}

/// `checkpoint.mpk`: as it lies on the disk, and with a right checksum over a wrong content, read as
/// far as the network that is built from it.
pub fn checkpoint() -> Reader {
    let vit = Config { arch: Arch::VitMini, ..small(Method::Fa) };
    let muon = Config { optimizer: OptimizerName::Muon, ..small(Method::KolenPollack) };
    let state = Config { auxiliary_width: 4, ..small(Method::StateBridge) };
    let mlp = Config { arch: Arch::Mlp, ..small(Method::LayerFa) };
    let (_folder, runs) = trained(&[small(Method::Dfa), small(Method::Bp), vit, muon, state, mlp]);
    let files = runs.iter().map(|run| fs::read(run.checkpoint()).expect("a checkpoint"));
    let old = include_bytes!("../checkpoints/format-1/checkpoint.mpk").to_vec();
    let corpus: Vec<Vec<u8>> = files.chain([old]).flat_map(|file| [content(&file), file]).collect();
    let heads: Vec<Vec<u8>> = corpus.iter().step_by(2).map(|c| c[..2].to_vec()).collect();
    let put = move |folder: &Path, bytes: &[u8]| {
        let sealed = heads.iter().any(|head| bytes.starts_with(head)).then(|| seal(bytes));
        fs::write(folder.join("checkpoint.mpk"), sealed.as_deref().unwrap_or(bytes))
            .expect("written");
    };
    let read = |folder: &Path| {
        let checkpoint = Checkpoint::load(&folder.join("checkpoint.mpk"))?;
        checkpoint.trainee::<Autodiff<Flex>>(&Default::default())?;
        Ok(())
    };
    // A network of a million values is built whatever the file holds, 12 bytes each for a while.
    let bound = |length| 64 * MIB + 64 * length;
    Reader { name: "checkpoint", corpus, put: Box::new(put), read: Box::new(read), bound }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Envelope<'a> {
    format: &'a str,
    #[serde(borrow)]
    sha256: &'a Bytes,
    #[serde(borrow)]
    body: &'a Bytes,
}

/// The content of a checkpoint, without its checksum.
fn content(file: &[u8]) -> Vec<u8> {
    let envelope: Envelope = rmp_serde::from_slice(file).expect("a checkpoint");
    envelope.body.to_vec()
}

/// A content under its right checksum, as format 1 where it has that format's sections.
fn seal(body: &[u8]) -> Vec<u8> {
    let has = |section: &[u8]| body.windows(section.len()).any(|window| window == section);
    let format = if has(b"parameters") { "fa-audit/checkpoint/1" } else { "fa-audit/checkpoint/2" };
    let sha256 = Sha256::digest(body);
    let (sha256, body) = (Bytes::new(&sha256), Bytes::new(body));
    rmp_serde::to_vec_named(&Envelope { format, sha256, body }).expect("a checkpoint")
}

/// The CIFAR-10 binary files: what a mutant changes is the first bytes and the length of one of the
/// six files, which are otherwise black images of class 0.
pub fn cifar() -> Reader {
    const FILE: u64 = 10_000 * 3073;
    let names = [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ];
    let corpus = vec![vec![0; 16], vec![0; 2 * 3073]];
    let changed = Cell::new(None);
    let put = move |folder: &Path, bytes: &[u8]| {
        let write = |i: usize, bytes: &[u8], length: Option<u64>| {
            let path = folder.join(format!("{}.bin", names[i]));
            fs::write(&path, bytes).expect("written");
            if let Some(length) = length {
                let file = fs::File::options().write(true).open(&path).expect("a file");
                file.set_len(length).expect("a length");
            }
        };
        let black = |i| write(i, &[], Some(FILE));
        match changed.get() {
            None => (0..names.len()).for_each(black),
            Some(before) => black(before),
        }
        let i = bytes.len() % names.len();
        // One in four is left at the mutant's own length.
        let length = bytes.last().is_none_or(|b| b % 4 == 0).then_some(FILE);
        write(i, bytes, length);
        changed.set(Some(i));
    };
    let read = |folder: &Path| {
        let spec = data::SyntheticSpec::default();
        data::load(DatasetKind::Cifar10, Some(folder), &spec).map(drop)
    };
    // The images and labels of all files, and one file while it is read.
    let bound = |_| 220 * MIB;
    Reader { name: "cifar", corpus, put: Box::new(put), read: Box::new(read), bound }
}

/// A configuration file.
pub fn config() -> Reader {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let published = ["resmlp-30-penalty", "vit-mini"].map(|name| {
        fs::read(repository.join("configs").join(format!("{name}.toml"))).expect("a configuration")
    });
    let own = toml::to_string(&small(Method::Dfa)).expect("TOML").into_bytes();
    let read = |folder: &Path| {
        let layer = Layer::from_file(&folder.join("config.toml"))?;
        resolve(&[layer]).map(drop)
    };
    let corpus = published.into_iter().chain([own]).collect();
    of_a_file("config", "config.toml", corpus, read, |length| MIB + 512 * length)
}

/// A study file.
pub fn study() -> Reader {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = ["demonstration", "lambda", "ladder"].map(|name| {
        let path = repository.join("configs/studies").join(format!("{name}.toml"));
        fs::read(path).expect("a study")
    });
    let read = |folder: &Path| {
        Study::read(&folder.join("study.toml"), &Layer::new("the command line")).map(drop)
    };
    // Ten thousand runs at most.
    of_a_file("study", "study.toml", corpus.into(), read, |length| 128 * MIB + 512 * length)
}

/// `study.json`.
pub fn study_plan() -> Reader {
    let folder = TempDir::new().expect("a folder");
    let text = "name = 's'\n[[grid]]\nmethod = ['bp', 'dfa']\nseed = [1, 2]";
    let study = Study::parse("s", text, &Layer::new("the command line")).expect("a study");
    let runs = plan(folder.path(), &study).expect("a plan");
    let file = ClaimsFile { name: "claims.toml".into(), text: claims_of_the_guide().into() };
    let claiming = Study { claims: Some(file), ..study.clone() };
    let corpus = [&study, &claiming].map(|study| {
        let plan = StudyFile::of(study, &runs, None, "2026-01-01T00:00:00Z").expect("a plan");
        plan.write(folder.path(), None).expect("written");
        fs::read(folder.path().join("study.json")).expect("a file")
    });
    let read = |folder: &Path| {
        let plan = StudyFile::read(folder)?;
        match plan.and_then(|plan| plan.claims) {
            Some(registered) => registered.claims().map(drop),
            None => Ok(()),
        }
    };
    let corpus = corpus.into();
    of_a_file("study plan", "study.json", corpus, read, |length| 256 * KIB + 64 * length)
}

fn claims_of_the_guide() -> &'static str {
    let mut blocks = include_str!("../../data/guide/claims.md").split("```toml\n").skip(1);
    let file = blocks.find(|block| block.contains("[[claim]]")).expect("an example");
    file.split("```").next().expect("its text")
}

/// A claims file.
pub fn claims() -> Reader {
    let read = |folder: &Path| {
        let text = fa_audit::files::read_text(&folder.join("claims.toml"))?;
        fa_audit::claims::parse("claims.toml", &text).map(drop)
    };
    let corpus = vec![claims_of_the_guide().into()];
    of_a_file("claims", "claims.toml", corpus, read, |length| MIB + 512 * length)
}

/// A printed report, held against the run that it was made of.
pub fn printed() -> Reader {
    const FORMATS: [&str; 6] = ["csv", "md", "html", "json", "junit", "table"];
    let reports = FORMATS.map(|format| format!("report run --format {format} --out {format}"));
    let lines = [TRAIN, "diagnose run/checkpoint.mpk --controls --quiet"].into_iter();
    let place = after(&lines.chain(reports.iter().map(String::as_str)).collect::<Vec<_>>());
    let corpus = FORMATS.map(|file| fs::read(place.path().join(file)).expect("a report"));
    let read = move |folder: &Path| {
        let again = &mut Again { auditor: None, near: Nearness::default(), telling: &|_| () };
        verify(&folder.join("report"), Some(&place.path().join("run")), again).map(drop)
    };
    of_a_file("printed", "report", corpus.into(), read, |length| 64 * MIB + 64 * length)
}

/// `metrics.jsonl`, read for a report and for a resume.
pub fn metrics() -> Reader {
    let diverged = Config { learning_rate: 1e30, ..small(Method::Bp) };
    let (_folder, runs) = trained(&[Config { epochs: 5, ..small(Method::Dfa) }, diverged]);
    let corpus = runs.iter().map(|run| fs::read(run.metrics_file()).expect("a file")).collect();
    let read = |folder: &Path| {
        let run = RunDir::at(folder);
        let read = run.read_metrics().map(drop);
        let progress = Progress { epoch: 1, seen: 8, ..Progress::default() };
        read.and(run.recover_metrics(&progress).map(drop))
    };
    of_a_file("metrics", "metrics.jsonl", corpus, read, |length| 256 * KIB + 64 * length)
}

/// `run.json`.
pub fn run_record() -> Reader {
    let corpus = vec![written(&[TRAIN], "run/run.json")];
    let read = |folder: &Path| {
        let record = RunDir::at(folder).read_record()?;
        record.config.label();
        record.config.hash();
        Ok(())
    };
    of_a_file("run record", "run.json", corpus, read, |length| 256 * KIB + 64 * length)
}

/// `verdict.json`.
pub fn verdict() -> Reader {
    let line = "diagnose run/checkpoint.mpk --controls --quiet";
    let corpus = vec![written(&[TRAIN, line], "run/verdict.json")];
    let read = |folder: &Path| {
        Audit::read(&fa_audit::files::read_text(&folder.join("verdict.json"))?).map(drop)
    };
    of_a_file("verdict", "verdict.json", corpus, read, |length| MIB + 128 * length)
}
