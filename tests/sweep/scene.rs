//! What is disturbed: the commands, what lies there before them, and what they leave undisturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A command in a folder.
pub struct Scene {
    pub name: &'static str,
    /// Calls that make the folder in which it begins.
    before: &'static [&'static str],
    line: &'static str,
    /// What goes on after it was disturbed, the first that can be: what runs to its end must leave
    /// what the undisturbed command leaves. Nothing where a command writes no file.
    after: &'static [&'static str],
}

const TINY: &str = "width = 2\ndepth = 1\nepochs = 2\ntrain_samples = 8\ntest_samples = 8\n\
                    batch_size = 4\nprobe_batches = 2\nprobe_batch_size = 4\ncontrol_samples = 4\n\
                    null_draws = 1\nperturbation_directions = 1\ndevice = 'cpu'\n";

const TRAIN: &str = "train --config tiny.toml --method dfa --set checkpoint_epochs=[0,1] --out run";

/// The second line is the first of a study.
pub const SCENES: [Scene; 16] = [
    Scene { name: "train", before: &[], line: TRAIN, after: &["train --resume --out run", TRAIN] },
    Scene {
        name: "resume",
        before: &[TRAIN, "cut run"],
        line: "train --resume --out run",
        after: &["train --resume --out run"],
    },
    Scene {
        name: "force",
        before: &["train --config tiny.toml --method bp --set checkpoint_epochs=[1,2] --out run"],
        line: "train --config tiny.toml --method dfa --set checkpoint_epochs=[0,1] --out run --force",
        after: &[
            "train --config tiny.toml --method dfa --set checkpoint_epochs=[0,1] --out run --force",
        ],
    },
    Scene {
        name: "diagnose",
        before: &[TRAIN, "train --config tiny.toml --method frozen --out frozen"],
        line: "diagnose run/checkpoint.mpk --controls",
        after: &["diagnose run/checkpoint.mpk --controls"],
    },
    Scene {
        name: "audit",
        before: &[],
        line: "audit study.toml --out s --workers 1",
        after: &["audit study.toml --out s --workers 1"],
    },
    Scene {
        name: "report",
        before: &["audit study.toml --out s"],
        line: "report s --format md --out page.md",
        after: &["report s --format md --out page.md"],
    },
    Scene {
        name: "regress",
        before: &["audit study.toml --out s", "regress baseline.json s --update"],
        line: "regress baseline.json s",
        after: &["regress baseline.json s"],
    },
    Scene {
        name: "import",
        before: &["network"],
        line: "import net.safetensors --config tiny.toml --out imported/checkpoint.mpk",
        after: &["import net.safetensors --config tiny.toml --out imported/checkpoint.mpk --force"],
    },
    Scene {
        name: "traces",
        before: &["traces"],
        line: "diagnose trace.safetensors other.npz --controls --out verdicts",
        after: &["diagnose trace.safetensors other.npz --controls --out verdicts"],
    },
    Scene {
        name: "update",
        before: &["audit study.toml --out s"],
        line: "regress baseline.json s --update",
        after: &["regress baseline.json s --update"],
    },
    Scene {
        name: "verify",
        before: &["audit study.toml --out s"],
        line: "verify s",
        after: &["verify s"],
    },
    Scene::of_words("data", "data info --data-dir ."),
    Scene::of_words("keys", "keys"),
    Scene::of_words("methods", "methods"),
    Scene::of_words("pitfalls", "pitfalls norm-axis"),
    Scene::of_words("man", "man train"),
];

impl Scene {
    /// A command that leaves nothing but what it prints.
    const fn of_words(name: &'static str, line: &'static str) -> Self {
        Self { name, before: &[], line, after: &[] }
    }
}

/// A scene with what it leaves undisturbed.
pub struct Stage {
    scene: &'static Scene,
    /// The folder in which the command begins.
    template: TempDir,
    work: [TempDir; 2],
    whole: Left,
    /// Calls of each kind, the most in any of its processes.
    pub counts: BTreeMap<String, usize>,
}

/// What a command leaves behind.
#[derive(PartialEq)]
struct Left {
    code: Option<i32>,
    stdout: Vec<u8>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Stage {
    pub fn new(scene: &'static Scene) -> Self {
        let folder = || TempDir::new().expect("a folder");
        let (template, work) = (folder(), [folder(), folder()]);
        let write = |name: &str, text: &str| {
            std::fs::write(template.path().join(name), text).expect("a file");
        };
        write("tiny.toml", TINY);
        write(
            "study.toml",
            &format!("name = 's'\n[base]\n{TINY}[[grid]]\nmethod = ['dfa']\nseed = [1]\n"),
        );
        for line in scene.before {
            match *line {
                "cut run" => cut(&template.path().join("run")),
                "network" => network(&template.path().join("net.safetensors")),
                "traces" => golden_traces(template.path()),
                line => {
                    let output = run(template.path(), line, &[]);
                    assert!(output.status.success(), "{line}: {}", said(&output));
                }
            }
        }
        let counts_file = template.path().with_extension("counts");
        copy(template.path(), work[0].path());
        let counted = [("FAULT_COUNTS", counts_file.display().to_string())];
        let output = run(work[0].path(), scene.line, &counted);
        assert!(output.status.success(), "{}: {}", scene.line, said(&output));
        let text = std::fs::read_to_string(&counts_file).expect("counts");
        std::fs::remove_file(&counts_file).expect("removed");
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let (kind, calls) = line.split_once(' ').expect("a kind and its calls");
            let most: &mut usize = counts.entry(kind.to_owned()).or_default();
            *most = (*most).max(calls.parse().expect("a number"));
        }
        let whole = Left::of(&output, work[0].path());
        Self { scene, template, work, whole, counts }
    }

    /// The files and folders of the scene, each by its path and, where it has an ending, its name.
    fn names(&self) -> BTreeSet<String> {
        let mut files = BTreeMap::new();
        collect(self.template.path(), self.template.path(), &mut files);
        let paths = files.keys().chain(self.whole.files.keys()).flat_map(|file| file.ancestors());
        let of = |path: &Path| {
            let name = path.file_name().filter(|name| name.to_string_lossy().contains('.'));
            let both = [Some(path.as_os_str()), name].into_iter().flatten();
            both.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        paths.flat_map(of).filter(|name| name.contains(['.', '/'])).collect()
    }

    /// Runs the command under this environment, and then what goes on from there. Whether the
    /// command named an error.
    ///
    /// # Errors
    /// Says what is not as it must be.
    pub fn disturbed(&self, worker: usize, fault: &[(&str, String)]) -> Result<bool, String> {
        let place = self.work[worker].path();
        copy(self.template.path(), place);
        let output = run(place, self.scene.line, fault);
        let killed = output.status.code().is_none();
        let text = said(&output);
        let is_an_error = fault.iter().any(|(name, _)| *name == "FAULT_ERRNO");
        if killed == is_an_error {
            return Err(format!("it ended with {}: {text}", output.status));
        }
        if !killed {
            let left = Left::of(&output, place);
            if output.status.success() {
                left.is_like(&self.whole).map_err(|what| format!("done, and yet {what}"))?;
            } else if ![1, 2].contains(&left.code.unwrap_or(-1)) {
                return Err(format!("it ended with {}: {text}", output.status));
            } else if text.contains("a defect") || text.contains("panicked") {
                return Err(format!("a defect: {text}"));
            } else if !names_the_error(&output, &call_error(fault), &self.names()) {
                let shown = String::from_utf8_lossy(&output.stdout);
                return Err(format!("it does not name its error in one line: {text}{shown}"));
            }
        }
        let named = !killed && !output.status.success();
        if self.scene.after.is_empty() {
            Left::of(&output, place).files_are_like(&self.whole)?;
            return Ok(named);
        }
        let mut last = String::new();
        for line in self.scene.after {
            let output = run(place, line, &[]);
            last = format!("{line}: {}", said(&output));
            if output.status.success() {
                let left = Left::of(&output, place);
                left.files_are_like(&self.whole).map_err(|what| format!("{what}, after {line}"))?;
                return Ok(named);
            }
        }
        Err(format!("it cannot be gone on from: {last}"))
    }
}

/// What the system says of the call that this environment makes fail.
fn call_error(fault: &[(&str, String)]) -> String {
    let number = fault.iter().find(|(name, _)| *name == "FAULT_ERRNO").map(|(_, number)| number);
    let number = number.and_then(|number| number.parse().ok()).expect("a fault that is an error");
    let said = std::io::Error::from_raw_os_error(number).to_string();
    said.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Whether a program that failed says in one line which file or which error of the system it was: in its
/// only `error: `, or, a study, of a run that failed, when it ends and in the list under the table.
fn names_the_error(output: &Output, call_error: &str, names: &BTreeSet<String>) -> bool {
    let (errors, shown) = (said(output), String::from_utf8_lossy(&output.stdout));
    let listed = shown.lines().skip_while(|line| *line != "Failed, without a verdict");
    let listed = listed.filter(|line| line.starts_with("  · "));
    let (ends, others): (Vec<_>, Vec<_>) = errors.lines().partition(|l| l.starts_with("error: "));
    let of_runs = others.into_iter().filter(|line| line.contains(": failed: ")).chain(listed);
    let says_which = |line: &str| {
        let mut words = line.split(|c: char| c.is_whitespace() || "`'\"(),:;".contains(c));
        line.contains(call_error) || words.any(|word| names.contains(word.trim_end_matches('.')))
    };
    match ends[..] {
        [] => of_runs.into_iter().any(says_which),
        [end] => says_which(end),
        _ => false,
    }
}

#[test]
fn an_error_is_named_once_with_its_file_or_what_the_system_said() {
    let names = BTreeSet::from(["run.json".to_owned(), "run/run.json".to_owned()]);
    let is_named = |stderr: &str, stdout: &str| {
        let output = Output {
            status: std::process::ExitStatus::default(),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        names_the_error(&output, "Input/output error", &names)
    };
    let list = "table\n\nFailed, without a verdict\n  · dfa: Input/output error\n    s/dfa\n";
    for (stderr, stdout) in [
        ("error: cannot read x: Input/output error (os error 5)\n", ""),
        ("note: x\nerror: run/run.json is not a run record: EOF\n", ""),
        ("dfa: failed: cannot write run.json\n", ""),
        ("", list),
    ] {
        assert!(is_named(stderr, stdout), "{stderr}{stdout}");
    }
    for (stderr, stdout) in [
        ("", ""),
        ("", "  · dfa: Input/output error\n"),
        ("", "table\n\nFailed, without a verdict\n  · dfa: something\n"),
        ("error: something\n", list),
        ("error: Input/output error\nerror: Input/output error\n", ""),
        ("note: Input/output error\n", ""),
        ("dfa: failed: something\n", ""),
    ] {
        assert!(!is_named(stderr, stdout), "{stderr}{stdout}");
    }
}

impl Left {
    fn of(output: &Output, place: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(place, place, &mut files);
        files.values_mut().for_each(|bytes| *bytes = without_place(bytes, place));
        let stdout = without_place(&output.stdout, place);
        Self { code: output.status.code(), stdout, files }
    }

    fn is_like(&self, whole: &Self) -> Result<(), String> {
        if self.code != whole.code {
            return Err(format!("exit code {:?}", self.code));
        }
        if self.stdout != whole.stdout {
            return Err(format!("standard output: {}", String::from_utf8_lossy(&self.stdout)));
        }
        self.files_are_like(whole)
    }

    fn files_are_like(&self, whole: &Self) -> Result<(), String> {
        let names = |left: &Self| left.files.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(whole) {
            return Err(format!("files {:?}, expected {:?}", names(self), names(whole)));
        }
        match whole.files.iter().find(|(name, bytes)| self.files[*name] != **bytes) {
            Some((name, _)) => Err(format!("other bytes in {}", name.display())),
            None => Ok(()),
        }
    }
}

/// Every file below `folder`, without what a clock or a process wrote into it.
fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).expect("a file");
        let bytes = match name.as_str() {
            ".lock" => Vec::new(),
            "run.json" => timeless(&bytes, &["start", "end", "command_line"]),
            "metrics.jsonl" => timeless(&bytes, &[]),
            "judged.json" => judged(&bytes, &folder.join("verdict.json")),
            "report.html" | "report.md" | "page.md" => pages(&bytes),
            _ => bytes,
        };
        files.insert(path.strip_prefix(root).expect("below").to_owned(), bytes);
    }
}

/// Text without the name of the folder, of which each worker has its own.
fn without_place(bytes: &[u8], place: &Path) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace(&place.display().to_string(), "").into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}

/// Whether a note is of the verdict beside it; what else it holds is made of times.
fn judged(note: &[u8], verdict: &Path) -> Vec<u8> {
    let note: serde_json::Value = serde_json::from_slice(note).expect("JSON");
    let own = fa_audit::files::sha256(verdict).expect("a verdict");
    format!("of its verdict: {}", note["verdict"] == own.as_str()).into_bytes()
}

/// The lines of JSON without times; of a record without these keys of its provenance.
fn timeless(bytes: &[u8], keys: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>() {
        let mut value = value.expect("JSON");
        for key in keys {
            value["provenance"][key] = serde_json::Value::Null;
        }
        // The digest of lines that have times.
        if let Some(record) = value.as_object_mut() {
            record.remove("metrics_sha256");
        }
        let is_a_line = value.get("seconds").is_some();
        let epoch = if is_a_line { &mut value } else { &mut value["last"] };
        if let Some(fields) = epoch.as_object_mut() {
            fields.retain(|name, _| !["seconds", "samples_per_second"].contains(&name.as_str()));
        }
        out.extend(value.to_string().bytes());
    }
    out
}

/// A page without the lines that tell when a run began and ended.
fn pages(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let kept: Vec<&str> = text.lines().filter(|l| !l.contains("202") || !l.contains('Z')).collect();
    kept.join("\n").into_bytes()
}

/// A trace of each format.
fn golden_traces(folder: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (from, to) in [("pytorch.safetensors", "trace.safetensors"), ("biotorch.npz", "other.npz")]
    {
        std::fs::copy(golden.join(from), folder.join(to)).expect("copied");
    }
}

/// As if the run had been killed after its first epoch.
fn cut(run: &Path) {
    std::fs::copy(run.join("epochs/epoch-0001.mpk"), run.join("checkpoint.mpk")).expect("a state");
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let first = metrics.lines().next().expect("an epoch").to_owned() + "\n";
    std::fs::write(run.join("metrics.jsonl"), first).expect("written");
    let record = std::fs::read_to_string(run.join("run.json")).expect("a record");
    let record = record.replace("\"finished\"", "\"running\"");
    std::fs::write(run.join("run.json"), record).expect("written");
}

/// The network of `TINY` under backpropagation, all zeros but for its norms.
fn network(file: &Path) {
    use safetensors::tensor::{Dtype, TensorView};
    let shapes: [(&str, &[usize]); 12] = [
        ("embed.weight", &[2, 3072]),
        ("embed.bias", &[2]),
        ("blocks.0.norm.weight", &[2]),
        ("blocks.0.norm.bias", &[2]),
        ("blocks.0.linear1.weight", &[2, 2]),
        ("blocks.0.linear1.bias", &[2]),
        ("blocks.0.linear2.weight", &[2, 2]),
        ("blocks.0.linear2.bias", &[2]),
        ("readout.norm.weight", &[2]),
        ("readout.norm.bias", &[2]),
        ("readout.head.weight", &[10, 2]),
        ("readout.head.bias", &[10]),
    ];
    let zeros = vec![0u8; 4 * 2 * 3072];
    let views = shapes.iter().map(|(name, shape)| {
        let bytes = 4 * shape.iter().product::<usize>();
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), &zeros[..bytes]).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, file).expect("written");
}

/// Makes `to` what `from` is.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(to).expect("a folder").flatten() {
        let path = entry.path();
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        removed.expect("removed");
    }
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir(&target).expect("a folder");
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Runs the program with this line in `place`; the library of faults is in its way where `fault` says
/// something.
fn run(place: &Path, line: &str, fault: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fa-audit"));
    command.args(line.split(' ')).arg("--no-progress").current_dir(place).stdin(Stdio::null());
    if !fault.is_empty() {
        command.env("LD_PRELOAD", library()).envs(fault.iter().map(|(k, v)| (*k, v.as_str())));
    }
    command.output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The library of faults, built once.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sweep/fault.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let built = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&file, &source])
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(built.is_ok_and(|status| status.success()), "{compiler:?} builds {source:?}");
        file
    })
}
