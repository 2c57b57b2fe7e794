//! Output that a program is to read: JSON, CSV, diffs. It is never condensed, for every line of it counts.
//! Recognised line by line while the output passes, in constant memory.

/// Values within values; deeper output is not taken for JSON.
const DEPTH: usize = 512;
/// Columns of a table without a header.
const COLUMNS: usize = 3;
/// A column's name is shorter.
const NAME_BYTES: usize = 40;

/// What the output so far may be.
#[derive(Debug)]
pub(super) struct Form {
    json: Json,
    csv: Option<Table>,
    diff: Option<Diff>,
    lines: u64,
}

impl Form {
    pub(super) fn new() -> Self {
        Self { json: Json::default(), csv: None, diff: None, lines: 0 }
    }

    pub(super) fn push(&mut self, line: &str) {
        self.lines += 1;
        if self.lines == 1 {
            self.csv = Table::headed_by(line);
            self.diff = Diff::begun_by(line);
        } else {
            self.csv =
                self.csv.take().filter(|table| line.is_empty() || table.fields(line) == Some(table.columns));
            self.diff = self.diff.take().and_then(|diff| diff.then(line));
        }
        self.json.push(line);
    }

    /// Whether it is for a program to read.
    pub(super) fn is_data(&self) -> bool {
        self.json.is_complete()
            || self.csv.is_some() && self.lines > 1
            || self.diff.is_some_and(|diff| diff.has_hunks)
    }
}

/// A table with the same number of columns in each line.
#[derive(Clone, Copy, Debug)]
struct Table {
    separator: u8,
    columns: usize,
}

impl Table {
    fn headed_by(line: &str) -> Option<Self> {
        let tables = [b',', b'\t', b';'].map(|separator| {
            let mut table = Self { separator, columns: 0 };
            table.columns = table.fields(line).unwrap_or(0);
            table
        });
        let is_name = |name: &str| {
            let name = name.trim().trim_matches('"');
            (1..NAME_BYTES).contains(&name.len())
                && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.split(' ').count() <= 3
                && !name.contains(": ")
        };
        tables.into_iter().find(|table| {
            let is_header = line.split(char::from(table.separator)).all(is_name);
            table.columns >= COLUMNS || table.columns == 2 && is_header
        })
    }

    /// Fields of a line; `None` when a quote is open at its end.
    fn fields(self, line: &str) -> Option<usize> {
        let (mut fields, mut is_quoted) = (1, false);
        for &byte in line.as_bytes() {
            is_quoted ^= byte == b'"';
            fields += usize::from(byte == self.separator && !is_quoted);
        }
        (!is_quoted).then_some(fields)
    }
}

/// A patch, or a commit with one.
#[derive(Clone, Copy, Debug)]
struct Diff {
    has_hunks: bool,
}

impl Diff {
    fn begun_by(line: &str) -> Option<Self> {
        let is_commit = line
            .strip_prefix("commit ")
            .is_some_and(|id| id.len() >= 40 && id.bytes().take(40).all(|byte| byte.is_ascii_hexdigit()));
        (is_commit || ["diff ", "--- ", "Index: "].iter().any(|start| line.starts_with(start)))
            .then_some(Self { has_hunks: false })
    }

    fn then(self, line: &str) -> Option<Self> {
        const HEADS: [&str; 18] = [
            "diff ",
            "index ",
            "new file ",
            "deleted file ",
            "old mode ",
            "new mode ",
            "similarity ",
            "rename ",
            "copy ",
            "dissimilarity ",
            "Binary files ",
            "Only in ",
            "Index: ",
            "=====",
            "commit ",
            "Author: ",
            "Date: ",
            "Merge: ",
        ];
        let is_part = line.is_empty()
            || line.starts_with([' ', '+', '-', '@', '\\', '\t'])
            || HEADS.iter().any(|head| line.starts_with(head));
        is_part.then_some(Self { has_hunks: self.has_hunks || line.starts_with("@@ ") })
    }
}

/// A JSON document that goes over any number of lines.
#[derive(Debug)]
struct Json {
    state: State,
    /// Of the values that are open: whether each is an object.
    open: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// A value, or the end of an array.
    ValueOrEnd,
    /// A key, or the end of an object.
    KeyOrEnd,
    Key,
    Colon,
    /// A value is over.
    Behind,
    /// It is none.
    Broken,
}

impl Default for Json {
    fn default() -> Self {
        Self { state: State::Value, open: Vec::new() }
    }
}

impl Json {
    /// Only objects and lists: a log whose single line is a number is no document.
    fn is_complete(&self) -> bool {
        self.state == State::Behind && self.open.is_empty()
    }

    fn push(&mut self, line: &str) {
        if self.state == State::Broken {
            return;
        }
        let mut rest = line.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            if matches!(byte, b' ' | b'\t' | b'\r') {
                rest = behind;
                continue;
            }
            let Some(length) = self.step(byte, rest) else {
                (self.state, self.open) = (State::Broken, Vec::new());
                return;
            };
            rest = &rest[length..];
        }
    }

    /// Takes the token that begins with `byte`; gives its length.
    fn step(&mut self, byte: u8, rest: &[u8]) -> Option<usize> {
        let value = matches!(self.state, State::Value | State::ValueOrEnd);
        match (byte, self.state) {
            (b'{' | b'[', _) if value && self.open.len() < DEPTH => {
                self.open.push(byte == b'{');
                self.state = if byte == b'{' { State::KeyOrEnd } else { State::ValueOrEnd };
            }
            (b'}', State::KeyOrEnd | State::Behind) if self.open.last() == Some(&true) => self.close(),
            (b']', State::ValueOrEnd | State::Behind) if self.open.last() == Some(&false) => self.close(),
            (b',', State::Behind) => {
                self.state = if *self.open.last()? { State::Key } else { State::Value };
            }
            (b':', State::Colon) => self.state = State::Value,
            (b'"', State::Key | State::KeyOrEnd) => {
                self.state = State::Colon;
                return string(rest);
            }
            (b'"', _) if value && !self.open.is_empty() => {
                self.state = State::Behind;
                return string(rest);
            }
            (_, _) if value && !self.open.is_empty() => {
                self.state = State::Behind;
                return scalar(rest);
            }
            _ => return None,
        }
        Some(1)
    }

    fn close(&mut self) {
        self.open.pop();
        self.state = State::Behind;
    }
}

/// Length of the string at the beginning.
fn string(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// Length of the number or the word at the beginning.
fn scalar(bytes: &[u8]) -> Option<usize> {
    let length =
        bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let word = std::str::from_utf8(&bytes[..length]).ok()?;
    let is_number = || word.parse::<f64>().is_ok() && word.ends_with(|c: char| c.is_ascii_digit());
    (matches!(word, "true" | "false" | "null") || is_number()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_data(text: &str) -> bool {
        let mut form = Form::new();
        text.lines().for_each(|line| form.push(line));
        form.is_data()
    }

    #[test]
    fn what_programs_read_is_recognised() {
        for text in [
            r#"{"a": [1, -2.5e3, true, null, "x\"y\\"], "b": {}}"#,
            "[\n  {\"a\": 1},\n  {\"a\": 2}\n]\n",
            "name,size\na,1\nb,2\n",
            "1,2,3\n4,5,6\n",
            "id;label;note\n1;\"a;b\";x\n",
            "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
            "commit 3f898ff0aa3f898ff0aa3f898ff0aa3f898ff0aa\nAuthor: x\n\n    text\n\ndiff --git a/x b/x\n@@ -1 +1 @@\n+a\n",
        ] {
            assert!(is_data(text), "{text}");
        }
    }

    #[test]
    fn logs_are_not() {
        for text in [
            "",
            "[INFO] started\n[INFO] stopped\n",
            "1\n2\n3\n",
            "{\"a\": 1}\n{\"a\": 2}\n",
            "[1, 2\n",
            "2024-05-06 12:00:00,123 INFO a\n2024-05-06 12:00:00,124 INFO b\n",
            "name,size\na,1\nerror: broken pipe\n",
            "diff: x\ny\n",
            "commit 3f898ff0aa3f898ff0aa3f898ff0aa3f898ff0aa\nAuthor: x\n\n    text\n",
        ] {
            assert!(!is_data(text), "{text}");
        }
    }
}
