//! cargo, rustc, clippy and nextest.

use super::line::{Place, number_after};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "rustc", programs: &["cargo", "rustc", "cross"], reader: || Box::<Rust>::default() };

#[derive(Default)]
struct Rust {
    /// The head of a diagnostic whose place is on the next line.
    head: Option<(Level, String)>,
    /// The place of a panic whose message is on the next line.
    panic: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Error,
    Warning,
}

/// What cargo prints on its own behalf.
const CARGO: &[&str] = &["Compiling ", "Checking ", "Finished ", "Running ", "Doc-tests "];
/// Errors that only sum up others.
const SUMS: &[&str] = &[
    "could not compile",
    "aborting due to",
    "test failed, to rerun",
    "doctest failed, to rerun",
    "build failed",
    "test run failed",
];

impl Reader for Rust {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some((place, name)) = self.panic.take() {
            let place = Place::read(&place).map(|(place, _)| place);
            let message = if name.is_empty() { line.to_owned() } else { format!("{name}: {line}") };
            report.error(place, &message);
        }
        if let Some((level, message)) = self.head.take() {
            close(level, &message, line, report);
        }
        let trimmed = line.trim_start();
        match line.as_bytes().first() {
            Some(b'e' | b'w') => self.head = head(line),
            Some(b't') => self.test(line, report),
            Some(b' ') if CARGO.iter().any(|word| trimmed.starts_with(word)) => {
                report.kind = Some("cargo");
                report.is_sure |= trimmed.starts_with("Finished `");
            }
            Some(b' ') if trimmed.starts_with("Summary [") && trimmed.contains(" tests run: ") => {
                report.kind = Some("cargo");
                report.is_sure = true;
                report.tests(trimmed);
            }
            _ => {}
        }
    }

    fn finish(&mut self, report: &mut Report) {
        if let Some((level, message)) = self.head.take() {
            close(level, &message, "", report);
        }
    }
}

impl Rust {
    fn test(&mut self, line: &str, report: &mut Report) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            if number_after(rest, "passed; ").is_some() {
                report.kind = Some("cargo");
                report.is_sure = true;
                report.tests(rest);
            }
        } else if let Some((name, rest)) =
            line.strip_prefix("thread '").and_then(|rest| rest.split_once('\''))
        {
            // Newer ones give the thread's number in between.
            let Some((_, place)) = rest.split_once("panicked at ") else { return };
            let place = place.trim_end_matches(':');
            if Place::read(place).is_some_and(|(place, rest)| rest.is_empty() && place.has_extension(&["rs"]))
            {
                let name = if name == "main" { "" } else { name };
                report.is_sure = true;
                self.panic = Some((place.to_owned(), name.to_owned()));
            }
        }
    }
}

/// The line behind a diagnostic's head says where it is.
fn close(level: Level, message: &str, line: &str, report: &mut Report) {
    let place = line.trim_start().strip_prefix("--> ").and_then(Place::read).map(|(place, _)| place);
    report.is_sure |= place.is_some_and(|place| place.has_extension(&["rs"]));
    match level {
        Level::Error if SUMS.iter().any(|sum| message.starts_with(sum)) => {
            report.is_sure |= message.starts_with("could not compile `");
        }
        Level::Error => report.error(place, message),
        // Of a crate it is told how many there were, which were counted already.
        Level::Warning if place.is_some() => report.warnings.see(),
        Level::Warning => {}
    }
}

/// The head of a diagnostic: `error[E0425]: …`, `warning: …`.
fn head(line: &str) -> Option<(Level, String)> {
    let (level, rest) = match line.strip_prefix("error") {
        Some(rest) => (Level::Error, rest),
        None => (Level::Warning, line.strip_prefix("warning")?),
    };
    let code = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(code, _)| code);
    let rest = code.map_or(rest, |code| &rest[code.len() + 2..]);
    let message = rest.strip_prefix(": ")?;
    Some((level, code.map_or_else(|| message.to_owned(), |code| format!("{message} [{code}]"))))
}
