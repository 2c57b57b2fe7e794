//! What a line tells of, and which lines belong to the one before: the context without which an error
//! is of little use.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::Regex;

use crate::term::errors;

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An error or a failure.
    Error,
    /// A warning.
    Warning,
    /// How it all went.
    Summary,
    /// Anything else.
    Plain,
}

const SUMMARY: &str = r"(?x-u)
      ^test\ result: | ^Tests?:?\ |^Test\ (?:Suites|Files): | ^Time:\ | ^Snapshots:
    | ^=+\ [\ -~]*\b(?:passed|failed|skipped|no\ tests\ ran)\b[\ -~]*\ =+$
    | \b\d+\ (?:tests?|specs?|examples?|passing|failing|pending|passed|problems?)\b
    | ^\s*Finished\ | ^(?:ok|FAIL|PASS)\s+[!-~]+\s+[\d(\[] | BUILD\ SUCCESS | ^Built\ target\b
    | ^(?:added|removed|changed|up\ to\ date)\b[\ -~]*\bpackages?\b | ^Successfully\ | \bupgraded,\ \d+
    | ^Found\ \d+ | ^Ran\ \d+ | ^(?:Total|Summary|real|Done)\b | \bfiles?\ changed\b
    | generated\ \d+\ warnings?
";

/// Begins a traceback whose last line says what happened.
static TRACEBACK: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("Traceback (most recent call last)"));

/// What `line` tells of.
pub(super) fn kind(line: &str) -> Kind {
    static SUMMARIES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(SUMMARY).ok());
    static MARKED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(&format!("(?:{})|(?:{SUMMARY})", errors::TROUBLE)).ok());
    // Most lines are neither, which one search tells.
    if line.is_empty() || MARKED.as_ref().is_some_and(|marked| !marked.is_match(line)) {
        return Kind::Plain;
    }
    // What a traceback is about, its last line says.
    if TRACEBACK.find(line.as_bytes()).is_some() {
        return Kind::Plain;
    }
    if errors::is_trouble(line) {
        return if warns_only(line) { Kind::Warning } else { Kind::Error };
    }
    // `None` never happens: a test compiles it.
    let is_summary = SUMMARIES.as_ref().is_some_and(|summary| summary.is_match(line));
    if is_summary { Kind::Summary } else { Kind::Plain }
}

/// Whether a line that tells of trouble tells of nothing worse than a warning.
fn warns_only(line: &str) -> bool {
    let rest = line.replacen("Warning", "", 1).replacen("WARNING", "", 1).replacen("warning", "", 1);
    let rest = if rest.len() == line.len() { rest.replacen("WARN", "", 1) } else { rest };
    rest.len() < line.len() && !errors::is_trouble(&rest)
}

/// Lines that belong to a head: where in the code it is, and who called it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Everything that is indented more than the head, and what compilers and runtimes put behind it.
    Indented(usize),
    /// Up to the next empty line.
    Paragraph,
    /// Python's: up to and with the first line that is not indented.
    Traceback,
}

impl Block {
    /// The block that `line` begins.
    pub(super) fn begun_by(line: &str, kind: Kind) -> Option<Self> {
        let start = line.trim_start();
        if TRACEBACK.find(start.as_bytes()).is_some() {
            return Some(Self::Traceback);
        }
        if start.starts_with("goroutine ") || start.starts_with("stack backtrace:") {
            return Some(Self::Paragraph);
        }
        matches!(kind, Kind::Error | Kind::Warning).then_some(Self::Indented(line.len() - start.len()))
    }

    /// Whether `line` goes on with it.
    pub(super) fn takes(self, line: &str) -> bool {
        let start = line.trim_start();
        let indent = line.len() - start.len();
        match self {
            Self::Paragraph => !start.is_empty(),
            Self::Traceback => indent > 0,
            Self::Indented(head) => {
                !start.is_empty()
                    && (indent > head
                        || ["at ", "Caused by", "... ", "note:", "help:", "= ", "| "]
                            .iter()
                            .any(|word| start.starts_with(word))
                        || start
                            .trim_start_matches(|c: char| c.is_ascii_digit())
                            .trim_start()
                            .starts_with('|'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert!(Regex::new(SUMMARY).is_ok(), "{:?}", Regex::new(SUMMARY));
        for (line, expected) in [
            ("error[E0308]: mismatched types", Kind::Error),
            ("src/a.c:3:1: warning: unused variable", Kind::Warning),
            ("2024-01-01 WARN slow query", Kind::Warning),
            ("warning: 3 errors were ignored", Kind::Error),
            ("test result: ok. 12 passed; 0 failed", Kind::Summary),
            ("===== 3 passed in 0.12s =====", Kind::Summary),
            ("added 214 packages in 3s", Kind::Summary),
            ("    Finished `dev` profile in 3.2s", Kind::Summary),
            ("ok  \tshop/a\t0.003s", Kind::Summary),
            ("   Compiling serde v1.0.0", Kind::Plain),
            ("Traceback (most recent call last):", Kind::Plain),
            ("", Kind::Plain),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
    }

    #[test]
    fn blocks_end_where_they_should() {
        let taken = |head: &str, lines: &[&str]| {
            let block = Block::begun_by(head, kind(head)).unwrap();
            lines.iter().take_while(|line| block.takes(line)).count()
        };
        assert_eq!(
            taken("error[E1]: x", &[" --> a.rs:1:2", "  |", "3 | let x;", "  | ^", "", "  Compiling"]),
            4
        );
        assert_eq!(
            taken("Exception in thread x: Error: y", &["\tat a.b", "Caused by: z", "\t... 3 more", "INFO"]),
            3
        );
        assert_eq!(taken("Traceback (most recent call last):", &["  File x", "    y()", "KeyError: 1"]), 2);
        assert_eq!(taken("goroutine 1 [running]:", &["main.main()", "\t/x.go:3", "", "exit status 2"]), 2);
        assert_eq!(taken("ERROR: x", &["INFO: y"]), 0);
        assert_eq!(taken("  3:1  error  x", &["  4:1  error  y"]), 0);
    }
}
