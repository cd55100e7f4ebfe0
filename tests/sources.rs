//! What holds for the project's own sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every Rust file of the project, as its path from the root.
fn rust_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> =
        ["src", "tests", "benches", "data"].iter().map(|folder| root.join(folder)).collect();
    let mut files = vec![PathBuf::from("build.rs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(root).expect("under the root").into());
            }
        }
    }
    files
}

/// How often the keyword stands in a text, outside of comments.
fn uses_of_unsafe(text: &str) -> usize {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let follows = |rest: &str| {
        let rest = rest.trim_start();
        ["{", "fn ", "impl", "extern", "trait"].iter().any(|word| rest.starts_with(word))
    };
    code.map(|line| line.split("unsafe").skip(1).filter(|rest| follows(rest)).count()).sum()
}

#[test]
fn the_guide_lists_every_use_of_unsafe_by_file() {
    let guide = include_str!("../data/guide/unsafe.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let file = cells.next()?.trim().trim_end_matches('`').to_string();
        let count: usize = cells.next()?.trim().parse().expect("a number of uses");
        assert!(cells.next().is_some_and(|reason| reason.trim().len() > 20), "{file}: why?");
        Some((file, count))
    };
    let listed: BTreeMap<String, usize> = guide.lines().filter_map(row).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    for file in rust_files() {
        let text = std::fs::read_to_string(root.join(&file)).expect("a source file");
        let count = uses_of_unsafe(&text);
        // The strings below are no uses.
        if count > 0 && !file.ends_with(Path::new(file!()).file_name().expect("a name")) {
            let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
            found.insert(parts.join("/"), count);
        }
    }
    assert_eq!(listed, found, "data/guide/unsafe.md, left, and what the files hold");
    assert!(found.contains_key("src/backend/kernels/flex/product.rs"), "the files are found");
}

/// Every name of a test in the guide's list of cases is one of a test.
#[test]
fn the_guides_cases_name_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorders = std::fs::read_dir(root.join("tests/recorders")).expect("a folder");
    let scripts = recorders.map(|entry| entry.expect("an entry").path());
    let files = scripts.filter(|path| path.extension().is_some_and(|ending| ending == "py"));
    let texts: Vec<String> = files
        .chain(rust_files())
        .map(|file| std::fs::read_to_string(root.join(file)).expect("a source file"))
        .collect();
    let is_test = |name: &str| {
        let (rust, python) = (format!("fn {name}() {{"), format!("def {name}("));
        texts.iter().any(|text| text.contains(&rust) || text.contains(&python))
    };
    let guide = include_str!("../data/guide/cases.md");
    let rows = guide.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().expect("the last cell");
        for name in tests.split(", ").map(|name| name.trim_matches('`')) {
            assert!(is_test(name), "data/guide/cases.md: no test is called {name}");
            named += 1;
        }
    }
    assert!(named > 100, "{named}");
}

#[test]
fn the_keyword_is_counted_in_code_alone() {
    assert_eq!(uses_of_unsafe("unsafe fn f() {\n    unsafe { g() } // unsafe { }\n}"), 2);
    assert_eq!(uses_of_unsafe("type F = unsafe extern \"C\" fn();\nunsafe impl Send for S {}"), 2);
    assert_eq!(uses_of_unsafe("// SAFETY: unsafe fn\nlet s = \"unsafe-inline\";"), 0);
}
