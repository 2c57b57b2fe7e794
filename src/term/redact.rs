//! Keeps known secrets out of a stream: each occurrence becomes `[redacted]`, over any chunk boundary.
//!
//! Occurrences that overlap become one. It finds a secret only byte for byte as it was added: a
//! terminal prints `\r\n` for a newline, so a secret of several lines is best added line by line.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::limits;

/// What stands where a secret stood.
const PLACEHOLDER: &[u8] = b"[redacted]";

/// The secrets of one session, and what is held back of its stream.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    secrets: Vec<memmem::Finder<'static>>,
    /// The end of what was fed: it may be the beginning of a secret.
    held: Vec<u8>,
    /// So many bytes at the start of `held` belong to an occurrence that was given out already.
    covered: usize,
}

impl Redactor {
    /// Without secrets: everything passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret for what is still to come; `false` when it is known, too short, or one too many.
    pub fn add(&mut self, secret: &[u8]) -> bool {
        let is_known = self.secrets.iter().any(|known| known.needle() == secret);
        if is_known || secret.len() < limits::SECRET_BYTES || self.secrets.len() >= limits::SECRETS {
            return false;
        }
        self.secrets.push(memmem::Finder::new(secret).into_owned());
        true
    }

    /// Further bytes of the stream; what can already be given out.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(bytes);
        }
        if self.held.is_empty() {
            let until = self.open_from(bytes);
            if self.occurrences(bytes).is_empty() {
                self.held.extend_from_slice(&bytes[until..]);
                return Cow::Borrowed(&bytes[..until]);
            }
        }
        self.held.extend_from_slice(bytes);
        let until = self.open_from(&self.held);
        Cow::Owned(self.give_out(until))
    }

    /// The stream ends: what was held back.
    pub fn flush(&mut self) -> Vec<u8> {
        let output = self.give_out(self.held.len());
        self.covered = 0;
        output
    }

    /// Whether no secret is known.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// A text of its own, outside the stream.
    pub fn text(&self, text: &str) -> String {
        let occurrences = self.occurrences(text.as_bytes());
        let (mut output, end) = replace(text.as_bytes(), &occurrences, 0);
        output.extend_from_slice(&text.as_bytes()[end..]);
        String::from_utf8(output)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Takes the first `until` bytes from `held`, redacted.
    fn give_out(&mut self, until: usize) -> Vec<u8> {
        let mut occurrences = self.occurrences(&self.held);
        occurrences.retain(|occurrence| occurrence.start < until);
        let (mut output, end) = replace(&self.held, &occurrences, self.covered);
        let end = end.max(self.covered);
        if end < until {
            output.extend_from_slice(&self.held[end..until]);
        }
        self.covered = end.saturating_sub(until);
        self.held.drain(..until);
        output
    }

    /// Where an occurrence may begin that the bytes do not decide yet.
    fn open_from(&self, bytes: &[u8]) -> usize {
        let open_in = |secret: &memmem::Finder<'static>| {
            let needle = secret.needle();
            let from = bytes.len().saturating_sub(needle.len() - 1);
            memchr::memchr_iter(needle[0], &bytes[from..])
                .map(|position| from + position)
                .find(|&position| needle.starts_with(&bytes[position..]))
        };
        self.secrets.iter().filter_map(open_in).min().unwrap_or(bytes.len())
    }

    /// Every occurrence of every secret, overlapping ones too, in order.
    fn occurrences(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for secret in &self.secrets {
            let mut from = 0;
            while let Some(position) = secret.find(&bytes[from..]) {
                let start = from + position;
                found.push(start..start + secret.needle().len());
                from = start + 1;
            }
        }
        found.sort_unstable_by_key(|occurrence| (occurrence.start, occurrence.end));
        found
    }
}

/// Replaces the occurrences up to the end of the last one, and returns where that is. The first
/// `covered` bytes were replaced before.
fn replace(bytes: &[u8], occurrences: &[Range<usize>], covered: usize) -> (Vec<u8>, usize) {
    let mut output = Vec::with_capacity(bytes.len());
    let mut end = covered;
    for occurrence in occurrences {
        let continues = occurrence.start < end;
        if !continues {
            output.extend_from_slice(&bytes[end..occurrence.start]);
            output.extend_from_slice(PLACEHOLDER);
        }
        end = end.max(occurrence.end);
    }
    (output, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(secrets: &[&[u8]]) -> Redactor {
        let mut redactor = Redactor::new();
        for secret in secrets {
            assert!(redactor.add(secret));
        }
        redactor
    }

    fn stream(secrets: &[&[u8]], bytes: &[u8], size: usize) -> String {
        let mut redactor = redactor(secrets);
        let mut output = Vec::new();
        bytes.chunks(size).for_each(|chunk| output.extend_from_slice(&redactor.feed(chunk)));
        output.extend(redactor.flush());
        String::from_utf8_lossy(&output).into_owned()
    }

    #[test]
    fn secrets_are_replaced() {
        let secrets: &[&[u8]] = &[b"hunter22", b"abcabc"];
        for size in 1..30 {
            assert_eq!(stream(secrets, b"my hunter22, hunter2", size), "my [redacted], hunter2");
            assert_eq!(stream(secrets, b"xabcabcabcabx", size), "x[redacted]abx");
            assert_eq!(
                stream(secrets, b"abcabcabcabc!abcabchunter22", size),
                "[redacted]![redacted][redacted]"
            );
        }
        assert_eq!(redactor(secrets).text("é hunter22 €"), "é [redacted] €");
        assert_eq!(redactor(secrets).text("nothing"), "nothing");
    }

    #[test]
    fn unusable_secrets_are_refused() {
        let mut redactor = redactor(&[b"secret1"]);
        assert!(!redactor.add(b"short"));
        assert!(!redactor.add(b"secret1"));
        (1..limits::SECRETS).for_each(|number| assert!(redactor.add(format!("number {number}").as_bytes())));
        assert!(!redactor.add(b"one too many"));
    }

    #[test]
    fn ordinary_output_is_neither_copied_nor_held() {
        let mut without = Redactor::new();
        assert!(without.is_empty());
        assert!(matches!(without.feed(b"text"), Cow::Borrowed(b"text")));
        let mut with = redactor(&[b"secret"]);
        assert!(matches!(with.feed(b"text"), Cow::Borrowed(b"text")));
        assert!(matches!(with.feed(b"text s"), Cow::Borrowed(b"text ")));
        assert_eq!(with.feed(b"ailor").as_ref(), b"sailor");
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(text in "[ab]{0,60}", size in 1_usize..20) {
            let secrets: &[&[u8]] = &[b"aabaab", b"abaaba", b"bbbbbb", b"abbabbab"];
            let whole = stream(secrets, text.as_bytes(), usize::MAX);
            prop_assert_eq!(stream(secrets, text.as_bytes(), size), whole.clone());
            for secret in secrets {
                prop_assert!(!whole.contains(std::str::from_utf8(secret).unwrap()));
            }
        }
    }
}
