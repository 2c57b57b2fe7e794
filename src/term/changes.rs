//! What changed from one output to another, line by line: what is new, what is gone, one line around each
//! change, and the rest as a line that names its numbers.
//!
//! Lines that differ only in clock times, dates, durations and addresses are as before, and it is said of
//! them. Nothing else is masked: a count that changed is news. Knows of no commands and no cursors.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::limits;
use crate::term::log::Chunk;
use crate::term::source::Source;
use crate::term::tokens::estimate_tokens;

/// What varies from run to run and says nothing.
const PASSING: &str = r"(?x-u)
      \b \d{4}-\d\d-\d\d \b | (?:^|[\ \t\[(T]) \d\d:\d\d:\d\d (?:[.,]\d+)? Z?
    | \b (?:\d+m\ ?)? \d+ (?:\.\d+)? \ ? (?:ns|us|ms|s|secs?|seconds?|mins?|minutes?) \b
    | \b 0x[0-9a-fA-F]{6,} \b
";
/// Lines shown before and behind a change.
const CONTEXT: usize = 1;
/// So many more tokens than the output itself the changes may take. What is gone stands in no output.
const ALLOWANCE: usize = 100;

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The text: `+` before what is new, `-` before what is gone.
    pub text: String,
    /// Lines that are new and lines that are gone.
    pub changed_lines: u64,
    /// Lines of the new output.
    pub total_lines: u64,
    /// Those that are not shown.
    pub omitted_lines: u64,
}

/// The rendered lines of a part of a log.
pub fn lines(
    (from, to): (u64, u64),
    (rows, cols): (u16, u16),
    read: impl FnMut(u64, u64, usize) -> Chunk,
) -> Vec<String> {
    let mut lines = Vec::new();
    Source { read, rows, cols }.render(from, to, &mut |line| lines.push(line.to_owned()));
    lines
}

/// What changed from `old` to `new`; `None` where so much did that the new output says it better, or where
/// more lines changed than can be compared.
pub fn changes(old: &[String], new: &[String]) -> Option<Changes> {
    let mut numbers = HashMap::new();
    let (old_keys, new_keys) = (keys(old, &mut numbers), keys(new, &mut numbers));
    let head = old_keys.iter().zip(&new_keys).take_while(|(a, b)| a == b).count();
    let behind = old_keys[head..].iter().rev().zip(new_keys[head..].iter().rev());
    let tail = behind.take_while(|(a, b)| a == b).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    // What is left is compared in time that may grow with its square.
    if (old_end - head).max(new_end - head) > limits::COMPARED_LINES {
        return None;
    }
    let middle = capture_diff_slices(Algorithm::Myers, &old_keys[head..old_end], &new_keys[head..new_end]);
    let mut layout = Layout { old, new, changes: Changes::default() };
    let mut same = head;
    for op in middle {
        let (gone, come) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            same += come.len();
        } else {
            layout.same(head + gone.start, head + come.start, same);
            layout.changed(head + gone.start..head + gone.end, head + come.start..head + come.end);
            same = 0;
        }
    }
    layout.same(old_end + tail, new_end + tail, same + tail);
    let changes = layout.changes;
    let plain: usize = new.iter().map(|line| estimate_tokens(line)).sum();
    let is_worth = changes.changed_lines == 0 || estimate_tokens(&changes.text) <= plain + ALLOWANCE;
    is_worth.then_some(changes)
}

/// The same number for lines that are the same.
fn keys(lines: &[String], numbers: &mut HashMap<String, usize>) -> Vec<usize> {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PASSING).ok());
    let masked = |line: &String| match &*PATTERN {
        Some(pattern) => pattern.replace_all(line, "\u{1}").into_owned(),
        None => line.clone(),
    };
    let mut keys = Vec::with_capacity(lines.len());
    for line in lines {
        let next = numbers.len();
        keys.push(*numbers.entry(masked(line)).or_insert(next));
    }
    keys
}

/// The text as it grows.
struct Layout<'a> {
    old: &'a [String],
    new: &'a [String],
    changes: Changes,
}

impl Layout<'_> {
    /// So many lines that are the same, which end before these.
    fn same(&mut self, old_end: usize, new_end: usize, count: usize) {
        if count == 0 {
            return;
        }
        let start = new_end - count;
        let before = if start == 0 { 0 } else { CONTEXT };
        let behind = if new_end == self.new.len() { 0 } else { CONTEXT };
        self.changes.total_lines += count as u64;
        // A line that tells of one line is no shorter than it.
        if count <= before + behind + 1 && count < self.new.len() {
            (start..new_end).for_each(|index| self.line(' ', &self.new[index]));
            return;
        }
        (start..start + before).for_each(|index| self.line(' ', &self.new[index]));
        let (from, to) = (start + before, new_end - behind);
        let (old_from, old_to) = (from + old_end - new_end, to + old_end - new_end);
        let aside = if self.old[old_from..old_to] == self.new[from..to] { "" } else { " but for times" };
        self.changes.omitted_lines += (to - from) as u64;
        let _ = match to - from {
            1 => writeln!(self.changes.text, "[line {to} as before{aside}]"),
            _ => writeln!(self.changes.text, "[lines {}–{to} as before{aside}]", from + 1),
        };
        (to..new_end).for_each(|index| self.line(' ', &self.new[index]));
    }

    fn changed(&mut self, gone: Range<usize>, come: Range<usize>) {
        self.changes.total_lines += come.len() as u64;
        self.changes.changed_lines += (gone.len() + come.len()) as u64;
        gone.for_each(|index| self.line('-', &self.old[index]));
        come.for_each(|index| self.line('+', &self.new[index]));
    }

    fn line(&mut self, mark: char, line: &str) {
        self.changes.text.push(mark);
        self.changes.text.push_str(line);
        self.changes.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn check(old: &str, new: &str, expected: &str) {
        let found = changes(&owned(old), &owned(new)).map(|changes| changes.text);
        assert_eq!(found.as_deref().unwrap_or("too much"), expected, "{old:?} {new:?}");
    }

    fn numbered(lines: usize) -> String {
        (1..=lines).fold(String::new(), |text, number| text + &format!("line {number}\n"))
    }

    #[test]
    fn the_pattern_compiles() {
        assert!(Regex::new(PASSING).is_ok(), "{:?}", Regex::new(PASSING));
    }

    #[test]
    fn what_changed_is_shown_with_a_line_around_it() {
        check("a\n", "a\n", "[line 1 as before]\n");
        check(&numbered(9), &numbered(9), "[lines 1–9 as before]\n");
        check("a\nb\nc\n", "a\nB\nc\n", " a\n-b\n+B\n c\n");
        let long = numbered(9);
        let news = long.replace("line 5\n", "");
        check(&long, &news, "[lines 1–3 as before]\n line 4\n-line 5\n line 6\n[lines 6–8 as before]\n");
        check(&news, &long, "[lines 1–3 as before]\n line 4\n+line 5\n line 6\n[lines 7–9 as before]\n");
        check("", "", "");
        check("gone\n", "", "-gone\n");
    }

    #[test]
    fn times_are_as_before_and_counts_are_not() {
        check("12 tests in 0.12s\n", "12 tests in 0.34s\n", "[line 1 as before but for times]\n");
        check("3 failed in 1 ms\n", "4 failed in 1 ms\n", "-3 failed in 1 ms\n+4 failed in 1 ms\n");
        check("at a.rs:10:12\n", "at a.rs:10:13\n", "-at a.rs:10:12\n+at a.rs:10:13\n");
        check("[09:12:53] up\n", "[10:00:00] up\n", "[line 1 as before but for times]\n");
    }

    #[test]
    fn where_all_changed_the_new_output_says_it_better() {
        let all = numbered(1_000);
        check(&all.replace("line", "row"), &all, "too much");
        // More lines than are compared.
        let many = numbered(limits::COMPARED_LINES + 1);
        check(&many.replace("line", "row"), &many, "too much");
        check(&many, &many, &format!("[lines 1–{} as before]\n", limits::COMPARED_LINES + 1));
    }

    proptest! {
        /// Whatever changed: every line of the new output is shown or counted, in order, and every line that
        /// is gone is told.
        #[test]
        fn nothing_is_lost(old in prop::collection::vec("[abc]", 0..30), new in prop::collection::vec("[abc]", 0..30)) {
            let changes = changes(&old, &new).unwrap();
            let (mut old_at, mut new_at, mut changed) = (0, 0, 0);
            for line in changes.text.lines() {
                if let Some(range) = line.strip_prefix("[line") {
                    let range = range.trim_start_matches('s').trim_start().split(' ').next().unwrap();
                    let (first, last) = range.split_once('–').unwrap_or((range, range));
                    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                    prop_assert_eq!(first, new_at + 1);
                    prop_assert_eq!(&old[old_at..old_at + last - new_at], &new[new_at..last]);
                    old_at += last - new_at;
                    new_at = last;
                    continue;
                }
                if !line.starts_with('+') {
                    prop_assert_eq!(&line[1..], &old[old_at]);
                    old_at += 1;
                }
                if !line.starts_with('-') {
                    prop_assert_eq!(&line[1..], &new[new_at]);
                    new_at += 1;
                }
                changed += u64::from(!line.starts_with(' '));
            }
            prop_assert_eq!((old_at, new_at, changed), (old.len(), new.len(), changes.changed_lines));
            prop_assert_eq!(changes.total_lines, new.len() as u64);
        }
    }
}
