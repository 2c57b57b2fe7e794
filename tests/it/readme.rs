//! The README: its tables, links, picture and commands are those of this program.

use std::path::{Path, PathBuf};

use crate::support::{Scratch, program};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What `shellherd schemas --check` says of a README.
fn check(readme: &Path) -> (bool, String) {
    let home = Scratch::new("readme");
    let mut command = program(home.path());
    command.arg("schemas").arg("--check").arg("--readme").arg(readme).arg(root().join("tool-schemas"));
    let output = command.output().expect("it runs");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn the_tables_are_those_of_the_program() {
    let (fine, told) = check(&root().join("README.md"));
    assert!(fine, "run `shellherd schemas --readme README.md`: {told}");

    let folder = Scratch::new("stale");
    let copy = folder.path().join("README.md");
    let readme = text("README.md");
    std::fs::write(&copy, readme.replace("a queue is full", "a queue is long")).expect("it can be written");
    let (fine, told) = check(&copy);
    assert!(!fine && told.contains("README.md: not up to date"), "{told}");
    std::fs::write(&copy, readme.replace("<!-- /tools -->", "")).expect("it can be written");
    let (fine, told) = check(&copy);
    assert!(!fine && told.contains("<!-- /tools -->"), "{told}");
}

#[test]
fn it_is_short_and_its_links_lead_somewhere() {
    let readme = text("README.md");
    let lines = readme.lines().count();
    assert!(lines <= 500, "{lines} lines");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let own: Vec<&str> = links.filter(|link| !link.starts_with("https://")).collect();
    assert!(own.len() > 20, "{own:?}");
    let lost: Vec<_> = own.iter().filter(|link| !root().join(link).exists()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn it_tells_the_two_commands() {
    let readme = text("README.md");
    for command in ["cargo run --release --locked -- run examples/parallel-build.yaml", "cargo test --locked"]
    {
        assert!(readme.lines().any(|line| line == command), "{command}");
    }
}

/// Nothing is loaded or run by whoever looks at it, and what it shows is a run that went well.
#[test]
fn the_picture_needs_nothing_else() {
    let picture = text("docs/parallel-build.svg");
    assert!(picture.len() < 150_000, "{} bytes", picture.len());
    assert_eq!(picture.matches("http").count(), 1, "only the namespace");
    assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "no SVG");
    for foreign in ["<script", "<image", "<foreignObject", "@import", "url(h", "@font-face"] {
        assert!(!picture.contains(foreign), "{foreign}");
    }
    assert!(picture.contains("$ shellherd run examples/parallel-build.yaml"), "not this run");
    assert!(picture.contains("9 of 9 tasks completed"), "not its end");
}
