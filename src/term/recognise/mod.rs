//! What a known tool says in its output, as figures: errors with their places, warnings, tests passed, failed
//! and skipped.
//!
//! Each family of tools has a file, which reads rendered lines one by one and keeps no more than the first
//! errors. All families read all lines; what one makes of them counts where its own words leave no doubt
//! (a summary, a diagnostic that no other tool writes), or where the command line names the tool. Of several
//! the one that tells of trouble is believed, then the more specific. What is unsure is not said: figures
//! that were counted, not told by the tool, are left out where only a part of the output was there.

mod c;
mod command;
mod eslint;
mod git;
mod go;
mod java;
mod jest;
mod line;
mod make;
mod npm;
mod pytest;
mod python;
mod rust;
mod terraform;
mod typescript;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use self::command::CommandLine;
use self::line::Place;
use crate::limits;
use crate::term::filter::beginning;
use crate::term::log::Chunk;
use crate::term::source::Source;

/// Bytes of a line that are looked at.
const LINE_BYTES: usize = 1_000;
/// Errors that are known again: some tools tell each of theirs twice.
const KNOWN_ERRORS: usize = 4_096;

/// What was recognised. Counts that nothing is known of are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recognition {
    /// The tool.
    pub kind: &'static str,
    /// The first errors, at most [`limits::PARSED_ERRORS`].
    pub errors: Vec<Problem>,
    /// Further errors.
    pub omitted_errors: u64,
    /// Warnings.
    pub warnings: u64,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were not run.
    pub skipped: u64,
    /// Something of the output was not there to be read: there may be more of everything.
    pub is_partial: bool,
}

/// One error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Problem {
    /// As the tool names it; empty where it names none.
    pub file: String,
    /// From 1.
    pub line: Option<u64>,
    /// From 1, as the tool counts.
    pub column: Option<u64>,
    /// In the tool's words, in one line.
    pub message: String,
}

/// What there is in the output that a command line printed, from one cursor to another, on a terminal of so
/// many rows and columns. Of a large one the end is read, at most [`limits::PARSED_BYTES`].
pub fn recognise(
    command_line: &str,
    (from, to): (u64, u64),
    (rows, cols): (u16, u16),
    read: impl FnMut(u64, u64, usize) -> Chunk,
) -> Option<Recognition> {
    let mut source = Source { read, rows, cols };
    let mut start = source.skip_dropped(from, to);
    if to.saturating_sub(start) > limits::PARSED_BYTES {
        start = source.line_start_within(to - limits::PARSED_BYTES, to);
    }
    let mut recogniser = Recogniser::new(command_line, start > from);
    source.render(start, to, &mut |line| recogniser.push(line));
    recogniser.finish()
}

/// Reads the output of one command.
struct Recogniser {
    readers: Vec<(&'static Family, Box<dyn Reader>, Report)>,
    is_partial: bool,
    command: CommandLine,
}

/// Tools whose output looks alike.
struct Family {
    kind: &'static str,
    /// The programs' names.
    programs: &'static [&'static str],
    reader: fn() -> Box<dyn Reader>,
}

/// The more specific before those that run them.
const FAMILIES: &[Family] = &[
    pytest::FAMILY,
    jest::FAMILY,
    go::FAMILY,
    rust::FAMILY,
    typescript::FAMILY,
    eslint::FAMILY,
    python::MYPY,
    python::RUFF,
    c::FAMILY,
    java::FAMILY,
    terraform::FAMILY,
    git::FAMILY,
    npm::FAMILY,
    make::FAMILY,
];

/// Reads lines for one family.
trait Reader: Send {
    /// The next line, without its newline and what blanks stand before that.
    fn line(&mut self, line: &str, report: &mut Report);

    /// There are no more.
    fn finish(&mut self, _: &mut Report) {}
}

/// What a family has found so far.
#[derive(Debug, Default)]
struct Report {
    /// Where it is not the family's own.
    kind: Option<&'static str>,
    /// Something stood there that only this family writes.
    is_sure: bool,
    problems: Vec<Problem>,
    /// Hashes of all of them, as many as are told apart.
    known: HashSet<u64>,
    errors: Count,
    warnings: Count,
    passed: Count,
    failed: Count,
    skipped: Count,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    seen: u64,
    told: Option<u64>,
}

impl Count {
    fn see(&mut self) {
        self.seen += 1;
    }

    /// The tool says so; what it says in several places adds up.
    fn tell(&mut self, number: u64) {
        self.told = Some(self.told.unwrap_or(0).saturating_add(number));
    }

    /// The tool says so, and of all that there was before.
    fn tell_all(&mut self, number: u64) {
        self.told = Some(number);
    }

    fn get(self, is_partial: bool) -> u64 {
        self.told.unwrap_or(if is_partial { 0 } else { self.seen })
    }
}

impl Report {
    /// An error; the same one is told once.
    fn error(&mut self, place: Option<Place>, message: &str) {
        let place = place.unwrap_or_default();
        let problem = Problem {
            file: beginning(place.file, limits::PARSED_TEXT_BYTES).to_owned(),
            line: place.line,
            column: place.column,
            message: beginning(message.trim(), limits::PARSED_TEXT_BYTES).to_owned(),
        };
        let mut hash = DefaultHasher::new();
        problem.hash(&mut hash);
        let hash = hash.finish();
        if self.known.contains(&hash) {
            return;
        }
        if self.known.len() < KNOWN_ERRORS {
            self.known.insert(hash);
        }
        self.errors.see();
        if self.problems.len() < limits::PARSED_ERRORS {
            self.problems.push(problem);
        }
    }

    /// Tests by outcome, as in `2 failed, 3 passed`.
    fn tests(&mut self, text: &str) {
        for (number, word) in line::figures(text) {
            match word {
                "passed" => self.passed.tell(number),
                "failed" => self.failed.tell(number),
                "skipped" | "ignored" => self.skipped.tell(number),
                _ => {}
            }
        }
    }
}

impl Recogniser {
    /// For the output of a command line; `is_partial` where its beginning is missing.
    fn new(command_line: &str, is_partial: bool) -> Self {
        let command = CommandLine::of(command_line);
        Self {
            readers: FAMILIES
                .iter()
                .filter(|_| !command.only_reads)
                .map(|family| (family, (family.reader)(), Report::default()))
                .collect(),
            is_partial: is_partial || command.is_filtered,
            command,
        }
    }

    /// Takes the next rendered line, without its newline.
    fn push(&mut self, line: &str) {
        let line = beginning(line, LINE_BYTES).trim_end();
        for (_, reader, report) in &mut self.readers {
            reader.line(line, report);
        }
    }

    /// What there is to say.
    fn finish(mut self) -> Option<Recognition> {
        for (_, reader, report) in &mut self.readers {
            reader.finish(report);
        }
        let is_partial = self.is_partial;
        let is_named = |family: &Family| self.command.names(family.programs);
        let mut believed: Vec<Recognition> = self
            .readers
            .into_iter()
            .filter(|(family, _, report)| report.is_sure || is_named(family))
            .map(|(family, _, report)| recognition(family.kind, report, is_partial))
            .filter(|recognition| {
                *recognition != Recognition { kind: recognition.kind, is_partial, ..Recognition::default() }
            })
            .collect();
        let has_trouble = |found: &Recognition| found.failed > 0 || !found.errors.is_empty();
        let best = believed.iter().position(has_trouble).unwrap_or(0);
        (best < believed.len()).then(|| believed.swap_remove(best))
    }
}

fn recognition(kind: &'static str, report: Report, is_partial: bool) -> Recognition {
    // The list is never longer than what there is, whatever the tool says of it.
    let shown = report.problems.len() as u64;
    let errors = report.errors.told.unwrap_or(report.errors.seen).max(shown);
    Recognition {
        kind: report.kind.unwrap_or(kind),
        errors: report.problems,
        omitted_errors: errors - shown,
        warnings: report.warnings.get(is_partial),
        passed: report.passed.get(is_partial),
        failed: report.failed.get(is_partial),
        skipped: report.skipped.get(is_partial),
        is_partial,
    }
}
