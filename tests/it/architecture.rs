//! The rules that hold the layers apart, checked on the source text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with the layers that it may import, besides itself and the base.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("term", &[]),
    ("engine", &["model"]),
    ("pty", &["model", "term"]),
    ("store", &["model", "term"]),
    ("sample", &["model", "term"]),
    ("webhook", &[]),
    ("orchestrator", &["model", "term", "engine", "pty", "store", "sample", "webhook"]),
    // Of the engine only the plain data of its requests, of pty only signals and probes.
    ("mcp", &["orchestrator", "model", "term", "engine", "pty"]),
    // The same, for the verb that works off a run.
    ("cli", &["orchestrator", "model", "mcp", "engine", "pty"]),
];

/// Modules that every layer may import.
const BASE: &[&str] = &["id", "limits", "error", "clock", "config"];

/// Each foreign crate with the one place that may name it.
const HOMES: &[(&str, &str)] = &[
    ("rmcp", "mcp"),
    ("hyper", "mcp"),
    ("hyper_util", "mcp"),
    ("http_body_util", "mcp"),
    ("rusqlite", "store"),
    ("portable_pty", "pty"),
    ("sysinfo", "sample"),
    ("ureq", "webhook"),
    ("ring", "webhook"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("indicatif", "cli"),
    ("quick_junit", "cli"),
    ("serde_saphyr", "cli"),
    ("alacritty_terminal", "term"),
    ("similar", "term"),
];

/// Files may be longer than the style asks for by this much: tables of cases read better in one piece.
const LINES: usize = 520;

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the source folder is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first folder below `src` that a file is in; a file in `src` itself is its own.
fn layer(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a source file");
    let first = inside.components().next().expect("a file name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules of this crate that a file names by `crate::`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            let list = rest.trim_start_matches('{').split('}').next().unwrap_or_default();
            let first_words =
                list.split(',').map(|item| item.trim().split("::").next().unwrap_or_default().to_owned());
            names.extend(first_words.filter(|word| !word.is_empty()));
        } else {
            names.insert(name);
        }
    }
    names
}

#[test]
fn layers_import_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("a source file is text");
        let own = layer(&path);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == own) else { continue };
        for name in imports(&text) {
            let is_layer = LAYERS.iter().any(|(layer, _)| *layer == name);
            if is_layer && name != own && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} imports {name}", path.display()));
            }
        }
        if BASE.contains(&own.as_str()) {
            wrong.push(format!("{} is a folder named like a base module", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn foreign_crates_have_one_home() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("a source file is text");
        for (name, home) in HOMES {
            let named = text.lines().any(|line| {
                !line.trim_start().starts_with("//")
                    && line.match_indices(name).any(|(at, _)| {
                        line[at + name.len()..].starts_with("::")
                            && !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                    })
            });
            if named && layer(&path) != *home {
                wrong.push(format!("{} names {name}, whose home is {home}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_say_what_they_own_and_stay_short() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            if !text.starts_with("//!") {
                wrong.push(format!("{} does not begin with what it owns", path.display()));
            }
            if text.lines().count() > LINES {
                wrong.push(format!("{} has {} lines", path.display(), text.lines().count()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let with_unsafe: Vec<PathBuf> = sources(&root().join("src"))
        .into_iter()
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("unsafe {")))
        .collect();
    assert!(with_unsafe.len() <= 1, "{with_unsafe:?}");
}

#[test]
fn every_integration_test_file_is_declared() {
    let main = fs::read_to_string(root().join("tests/it/main.rs")).expect("main.rs is text");
    for path in fs::read_dir(root().join("tests/it")).expect("the folder is readable").flatten() {
        let name = path.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        assert!(
            name == "main" || main.contains(&format!("mod {name};")),
            "{name} is not declared in main.rs"
        );
    }
}

#[test]
fn error_codes_are_listed_once_each() {
    let text = fs::read_to_string(root().join("src/error.rs")).expect("error.rs is text");
    let codes: Vec<&str> =
        text.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).collect();
    let unique: BTreeSet<&&str> = codes.iter().collect();
    assert!(codes.len() > 10 && unique.len() == codes.len(), "{codes:?}");
}
