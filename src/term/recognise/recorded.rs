//! What is recognised in recordings of real tools, small ones, of which everything is known: each error with
//! its place, and every count. Cut off at either end, they give no more than what is left of them.

use std::fmt::Write;
use std::path::Path;

use super::tests::words;
use super::{Recogniser, Recognition};
use crate::term::text::render;

/// A recording: its name, the command line, its rendered text, and what there is to be said of it.
struct Recording {
    name: String,
    command: String,
    text: String,
    expected: String,
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tools");
    let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
    let recordings: Vec<Recording> = expected
        .split("== ")
        .skip(1)
        .map(|part| {
            let (name, rest) = part.split_once("\n$ ").unwrap();
            let (command, expected) = rest.split_once('\n').unwrap();
            let raw = std::fs::read(folder.join(format!("{name}.txt"))).unwrap();
            Recording {
                name: name.to_owned(),
                command: command.to_owned(),
                text: render(&raw, 40, 120).text,
                expected: expected.trim_end().to_owned(),
            }
        })
        .collect();
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(recordings.len() + 2, files, "each recording is described, beside the list and the README");
    recordings
}

fn recognised<'a>(
    command: &str,
    is_partial: bool,
    lines: impl Iterator<Item = &'a str>,
) -> Option<Recognition> {
    let mut recogniser = Recogniser::new(command, is_partial);
    lines.for_each(|line| recogniser.push(line));
    recogniser.finish()
}

#[test]
fn recorded_tools_are_told_exactly() {
    let mut wrong = String::new();
    for Recording { name, command, text, expected } in recordings() {
        let found = words(recognised(&command, false, text.lines()).as_ref());
        if found != expected {
            let _ = writeln!(wrong, "{name}\n--- expected\n{expected}\n--- found\n{found}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Where the command line does not name the tool, the same is said or nothing.
#[test]
fn without_the_tools_name_nothing_else_is_said() {
    let mut told = 0;
    for Recording { name, text, expected, .. } in recordings() {
        let found = words(recognised("./run.sh", false, text.lines()).as_ref());
        assert!(found.is_empty() || found == expected, "{name}\n{found}");
        told += usize::from(!found.is_empty());
    }
    assert!(told > 25, "{told}");
}

/// The output of a command that was ended, and the end of one that was too large to be read whole.
#[test]
fn of_a_part_no_more_is_said_than_of_the_whole() {
    for Recording { name, command, text, .. } in recordings() {
        let lines: Vec<&str> = text.lines().collect();
        let whole = recognised(&command, false, lines.iter().copied());
        for at in 0..lines.len() {
            for (is_partial, part) in [(false, &lines[..at]), (true, &lines[at..])] {
                let found = recognised(&command, is_partial, part.iter().copied());
                // `cat` may have left out something.
                let is_told = found.as_ref().is_none_or(|found| found.is_partial == is_partial);
                assert!(is_told || command.contains('|'), "{name}");
                assert!(
                    is_within(found.as_ref(), whole.as_ref()),
                    "{name}, cut at line {at}: {found:?}\nof {whole:?}"
                );
            }
        }
    }
}

fn is_within(part: Option<&Recognition>, whole: Option<&Recognition>) -> bool {
    let Some(part) = part else { return true };
    let Some(whole) = whole else { return false };
    let errors = |found: &Recognition| found.errors.len() as u64 + found.omitted_errors;
    errors(part) <= errors(whole).max(whole.failed)
        && part.warnings <= whole.warnings
        && part.passed <= whole.passed
        && part.failed <= whole.failed
        && part.skipped <= whole.skipped
}
