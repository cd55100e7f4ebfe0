//! Stamps the git revision that a run's provenance names, and the backends that are built.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A file that is not there would count as changed each time.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success()).then(|| text.trim().to_string())
    };
    let revision = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=FA_AUDIT_GIT_REVISION={revision}");
    // The backends, as `--version` lists them.
    let backends = ["flex", "ndarray", "cuda", "wgpu"].into_iter();
    let built = backends.filter(|name| {
        std::env::var_os(format!("CARGO_FEATURE_{}", name.to_uppercase())).is_some()
    });
    let built: Vec<&str> = built.collect();
    println!("cargo::rustc-env=FA_AUDIT_FEATURES={}", built.join(", "));
}
