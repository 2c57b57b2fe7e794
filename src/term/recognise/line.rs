//! What the lines of many tools have in common: places in files, and numbers before words.

/// Where something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
}

impl<'a> Place<'a> {
    pub(super) fn of_file(file: &'a str) -> Self {
        Self { file, line: None, column: None }
    }

    /// `file:line` or `file:line:column` at the beginning of `text`, and what follows.
    pub(super) fn read(text: &'a str) -> Option<(Self, &'a str)> {
        let (file, rest) = text.split_once(':')?;
        if file.is_empty() || file.contains([' ', '\t']) {
            return None;
        }
        let (line, rest) = number(rest)?;
        let (column, rest) = match rest.strip_prefix(':').and_then(number) {
            Some((column, rest)) => (Some(column), rest),
            None => (None, rest),
        };
        Some((Self { file, line: Some(line), column }, rest))
    }

    /// Whether the file's name ends in one of these.
    pub(super) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.file.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }
}

/// A number at the beginning of `text`, and what follows.
pub(super) fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Numbers, each with the word behind it.
pub(super) fn figures(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let words = || text.split_whitespace().map(|word| word.trim_matches(['(', ')', ',', ';', '.', '|', '=']));
    words().zip(words().skip(1)).filter_map(|(number, word)| Some((number.parse().ok()?, word)))
}

/// The number behind `name`, as in `Failures: 3`.
pub(super) fn number_after(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    number(rest.trim_start()).map(|(number, _)| number)
}
