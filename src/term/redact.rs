//! Keeps known secrets out of a stream: each occurrence becomes `[redacted]`, over any chunk boundary.
//!
//! Occurrences that overlap become one. It finds a secret only byte for byte as it was added, in one
//! line: a secret of several lines is looked for line by line, because a terminal prints `\r\n` for a
//! newline. What is held back as the possible beginning of a secret is given out when the stream
//! pauses; when the rest of the secret comes after that, the rest is kept out.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use memchr::memmem;

use super::pattern::Pattern;
use crate::error::{Error, Result};
use crate::limits;

/// What stands where a secret stood.
const PLACEHOLDER: &[u8] = b"[redacted]";

/// So much of a text that is no secret must have come before it is held back: the first byte, because fish
/// writes what it complains about byte by byte.
const HELD_TEXT: usize = 1;

/// What is looked for, and what takes its place.
#[derive(Clone, Debug)]
struct Needle {
    finder: memmem::Finder<'static>,
    shown: &'static [u8],
    /// So many of its first bytes are held back when they are the last that came.
    held_from: usize,
}

/// Where a needle was found, and what takes its place.
struct Occurrence {
    range: Range<usize>,
    shown: &'static [u8],
}

/// The secrets of one session, and what is held back of its stream.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    needles: Vec<Needle>,
    /// So many of them are secrets.
    secrets: usize,
    patterns: Vec<Pattern>,
    /// The end of what was fed: it may be the beginning of a secret.
    held: Vec<u8>,
    /// So many bytes at the start of `held` were given out already.
    given: usize,
    /// So many of them as part of an occurrence. That may reach beyond what was given.
    covered: usize,
}

impl Redactor {
    /// Without secrets: everything passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret for what is still to come. `false` when there are too many; lines that are too
    /// short to be looked for are passed over.
    pub fn add(&mut self, secret: &[u8]) -> bool {
        let lines = secret.split(|byte| matches!(byte, b'\r' | b'\n'));
        lines.filter(|line| line.len() >= limits::SECRET_BYTES).all(|line| self.add_line(line))
    }

    fn add_line(&mut self, secret: &[u8]) -> bool {
        if self.needles.iter().any(|known| known.finder.needle() == secret) {
            return true;
        }
        let has_room = self.secrets < limits::SECRETS;
        if has_room {
            self.secrets += 1;
            self.look_for(secret, PLACEHOLDER, 1);
        }
        has_room
    }

    /// Adds a regular expression: what it matches within a line, up to [`limits::SECRET_MATCH`], is a secret.
    pub fn add_pattern(&mut self, text: &str) -> Result<()> {
        if self.patterns.len() >= limits::SECRET_PATTERNS {
            return Err(Error::invalid(format!("redact takes at most {} patterns", limits::SECRET_PATTERNS)));
        }
        self.patterns.push(Pattern::new(text)?);
        Ok(())
    }

    /// Puts `shown` in the place of a text that is no secret. Where one text begins with another, the
    /// longer one counts. It is missed when a chunk ends in its very beginning: for an ordinary `/` at the
    /// end of a prompt nothing is held back.
    pub fn replace(&mut self, text: &[u8], shown: &'static [u8]) {
        self.look_for(text, shown, HELD_TEXT);
    }

    fn look_for(&mut self, text: &[u8], shown: &'static [u8], held_from: usize) {
        self.needles.push(Needle { finder: memmem::Finder::new(text).into_owned(), shown, held_from });
    }

    /// Further bytes of the stream; what can already be given out.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_empty() {
            return Cow::Borrowed(bytes);
        }
        if self.held.is_empty() {
            let until = self.open_from(bytes);
            if self.occurrences(bytes).is_empty() {
                let kept = self.context_from(bytes).min(until);
                self.held.extend_from_slice(&bytes[kept..]);
                self.given = until - kept;
                return Cow::Borrowed(&bytes[..until]);
            }
        }
        self.held.extend_from_slice(bytes);
        let until = self.open_from(&self.held);
        let output = self.give_out(until);
        self.forget(self.context_from(&self.held).min(until));
        Cow::Owned(output)
    }

    /// The stream pauses: what was held back. It is remembered as long as it may begin a secret.
    pub fn flush(&mut self) -> Vec<u8> {
        let open = self.open_from(&self.held);
        let output = self.give_out(self.held.len());
        self.forget(self.context_from(&self.held).min(open));
        output
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty() && self.patterns.is_empty()
    }

    /// Takes the secrets out of a text of its own, outside the stream.
    pub fn blot(&self, text: &mut String) {
        let occurrences = self.occurrences(text.as_bytes());
        if occurrences.is_empty() {
            return;
        }
        let (mut output, end) = replace(text.as_bytes(), &occurrences, 0, 0);
        output.extend_from_slice(&text.as_bytes()[end..]);
        *text = String::from_utf8(output)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }

    /// What is to be given out of `held` up to `until`, redacted.
    fn give_out(&mut self, until: usize) -> Vec<u8> {
        let mut occurrences = self.occurrences(&self.held);
        // Those that ended in what was given out were seen to then.
        occurrences.retain(|occurrence| occurrence.range.start < until && occurrence.range.end > self.given);
        let (mut output, end) = replace(&self.held, &occurrences, self.covered, self.given);
        let from = end.max(self.given);
        if from < until {
            output.extend_from_slice(&self.held[from..until]);
        }
        self.covered = end;
        self.given = self.given.max(until);
        output
    }

    /// Drops the first bytes of `held`, which no secret can begin in any more.
    fn forget(&mut self, count: usize) {
        self.held.drain(..count);
        self.given -= self.given.min(count);
        self.covered -= self.covered.min(count);
    }

    /// Where an occurrence may begin that the bytes do not decide yet.
    fn open_from(&self, bytes: &[u8]) -> usize {
        let open_in = |Needle { finder, shown: _, held_from }: &Needle| {
            let needle = finder.needle();
            let from = bytes.len().saturating_sub(needle.len() - 1);
            let to = (bytes.len() + 1).saturating_sub(*held_from).max(from);
            memchr::memchr_iter(needle[0], &bytes[from..to])
                .map(|position| from + position)
                .find(|&position| needle.starts_with(&bytes[position..]))
        };
        let by_needles = self.needles.iter().filter_map(open_in);
        let line = self.context_from(bytes);
        let by_patterns = self.patterns.iter().filter_map(|pattern| pattern.open_from(&bytes[line..], 0));
        by_needles.chain(by_patterns.map(|open| line + open)).min().unwrap_or(bytes.len())
    }

    /// From where on the patterns need to see bytes again: the beginning of an unfinished line.
    fn context_from(&self, bytes: &[u8]) -> usize {
        if self.patterns.is_empty() {
            return bytes.len();
        }
        let longest = bytes.len().saturating_sub(limits::SECRET_MATCH);
        let line = memchr::memrchr2(b'\r', b'\n', &bytes[longest..]);
        line.map_or(longest, |end| longest + end + 1)
    }

    /// Every occurrence of every needle, overlapping ones too, in order.
    fn occurrences(&self, bytes: &[u8]) -> Vec<Occurrence> {
        let mut found = Vec::new();
        for Needle { finder, shown, held_from: _ } in &self.needles {
            let mut from = 0;
            while let Some(position) = finder.find(&bytes[from..]) {
                let start = from + position;
                found.push(Occurrence { range: start..start + finder.needle().len(), shown });
                from = start + 1;
            }
        }
        if !self.patterns.is_empty() {
            let mut start = 0;
            for line in bytes.split(|byte| matches!(byte, b'\r' | b'\n')) {
                let matches = self.patterns.iter().flat_map(|pattern| pattern.matches(line));
                found.extend(matches.map(|range| Occurrence {
                    range: start + range.start..start + range.end,
                    shown: PLACEHOLDER,
                }));
                start += line.len() + 1;
            }
        }
        found.sort_unstable_by_key(|found| (found.range.start, Reverse(found.range.end)));
        found
    }
}

/// Replaces the occurrences up to the end of the last one, and returns where that is. The first
/// `given` bytes were given out before, the first `covered` ones as part of an occurrence.
fn replace(bytes: &[u8], occurrences: &[Occurrence], covered: usize, given: usize) -> (Vec<u8>, usize) {
    let mut output = Vec::with_capacity(bytes.len());
    let mut end = covered;
    for Occurrence { range, shown } in occurrences {
        // What was given out behind the one before stands between the two.
        let continues = range.start < end && given <= end;
        if !continues {
            let from = end.max(given);
            output.extend_from_slice(&bytes[from..range.start.max(from)]);
            output.extend_from_slice(shown);
        }
        end = end.max(range.end);
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
        for (text, blotted) in [("é hunter22 €", "é [redacted] €"), ("nothing", "nothing")] {
            let mut told = text.to_owned();
            redactor(secrets).blot(&mut told);
            assert_eq!(told, blotted);
        }
    }

    #[test]
    fn short_secrets_are_passed_over_and_too_many_refused() {
        let mut redactor = redactor(&[b"secret1"]);
        assert!(redactor.add(b"short"));
        assert!(redactor.add(b"secret1"));
        (1..limits::SECRETS).for_each(|number| assert!(redactor.add(format!("number {number}").as_bytes())));
        assert!(!redactor.add(b"one too many"));
    }

    #[test]
    fn what_is_no_secret_gets_another_name() {
        let text = b"sh: /dev/shm/private/c: line 3: bad secret /dev/shm/private/c, /dev/shm/";
        for at in 0..text.len() {
            let mut redactor = redactor(&[b"secret"]);
            redactor.replace(b"/dev/shm/private/c", b"command");
            redactor.replace(b"/dev/shm/private/c: line ", b"line ");
            let (before, after) = text.split_at(at);
            let mut output = redactor.feed(before).into_owned();
            output.extend_from_slice(&redactor.feed(after));
            output.extend(redactor.flush());
            let told = String::from_utf8(output).unwrap();
            let is_missed = [4, 43].iter().any(|path| (path + 1..path + HELD_TEXT).contains(&at));
            if is_missed {
                assert!(told.contains("/dev/shm/private/c"), "split at {at}: {told}");
            } else {
                assert_eq!(told, "sh: line 3: bad [redacted] command, /dev/shm/", "split at {at}");
            }
        }
        let mut redactor = Redactor::new();
        redactor.replace(b"/dev/shm/private/c", b"command");
        assert_eq!(redactor.feed(b"cd /dev/").as_ref(), b"cd ");
        assert_eq!(redactor.flush(), b"/dev/", "an ordinary path is held back only for a moment");
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

    #[test]
    fn a_secret_of_several_lines_is_found_line_by_line() {
        assert_eq!(
            stream(&[b"first line\nsecond line\n"], b"<first line\r\nsecond line>", 9),
            "<[redacted]\r\n[redacted]>"
        );
    }

    #[test]
    fn the_rest_of_a_secret_that_comes_after_a_pause_is_kept_out() {
        let mut redactor = redactor(&[b"hunter22", b"unter2x"]);
        let mut output = redactor.feed(b"my hunt").into_owned();
        assert_eq!(output, b"my ");
        output.extend(redactor.flush());
        assert_eq!(output, b"my hunt", "a prompt may look like the beginning of a secret");
        output.extend(redactor.flush());
        output.extend_from_slice(&redactor.feed(b"er"));
        output.extend(redactor.flush());
        output.extend_from_slice(&redactor.feed(b"22, hunt"));
        output.extend(redactor.flush());
        output.extend_from_slice(&redactor.feed(b"ing"));
        assert_eq!(String::from_utf8_lossy(&output), "my hunter[redacted], hunting");
    }

    fn with_patterns() -> Redactor {
        let mut redactor = redactor(&[b"hunter22"]);
        for pattern in ["AKIA[0-9A-Z]{8}", r"\btoken=\S+", "^pin [0-9]{4}$"] {
            redactor.add_pattern(pattern).unwrap();
        }
        redactor
    }

    #[test]
    fn patterns_match_within_a_line() {
        let cases = [
            ("key AKIA12345678.", "key [redacted]."),
            ("token=abc def token=\r\n token=x", "[redacted] def token=\r\n [redacted]"),
            ("mytoken=abc", "mytoken=abc"),
            ("pin 1234\r\npin 12345\nno pin 1234\r\n", "[redacted]\r\npin 12345\nno pin 1234\r\n"),
            ("token=hunter22x AKIA1234567", "[redacted] AKIA1234567"),
        ];
        for (text, told) in cases {
            for size in 1..text.len() {
                let mut redactor = with_patterns();
                let mut output = Vec::new();
                text.as_bytes()
                    .chunks(size)
                    .for_each(|chunk| output.extend_from_slice(&redactor.feed(chunk)));
                output.extend(redactor.flush());
                assert_eq!(String::from_utf8_lossy(&output), told, "in chunks of {size}");
            }
            let mut whole = text.to_owned();
            with_patterns().blot(&mut whole);
            assert_eq!(whole, told);
        }
    }

    #[test]
    fn a_prompt_is_not_held_back_for_a_pattern_that_it_cannot_begin() {
        let mut redactor = with_patterns();
        assert_eq!(redactor.feed(b"a line\r\n$ echo").as_ref(), b"a line\r\n$ echo");
        assert_eq!(redactor.feed(b" tok").as_ref(), b" ");
        assert_eq!(redactor.flush(), b"tok");
        assert_eq!(redactor.feed(b"en=secret").as_ref(), b"");
        assert_eq!(redactor.flush(), b"[redacted]");
        assert_eq!(redactor.feed(b"continues\n").as_ref(), b"\n");
        assert_eq!(redactor.feed(&[b'x'; 5_000]).len(), 5_000);
        assert!(redactor.held.len() <= limits::SECRET_MATCH);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["(", "x*", r"[a-z]{999}{999}", &"x".repeat(1_001)] {
            assert!(Redactor::new().add_pattern(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn patterns_tell_nothing_however_the_stream_is_cut(
            text in "[ab\n]{0,60}", cuts in prop::collection::vec((1_usize..20, any::<bool>()), 0..12)
        ) {
            let pattern = "ab+a|bbb[ab]b";
            let mut redactor = Redactor::new();
            redactor.add_pattern(pattern).unwrap();
            let (mut output, mut rest) = (Vec::new(), text.as_bytes());
            for (size, pauses) in cuts {
                let (chunk, behind) = rest.split_at(size.min(rest.len()));
                output.extend_from_slice(&redactor.feed(chunk));
                if pauses {
                    output.extend(redactor.flush());
                }
                rest = behind;
            }
            output.extend_from_slice(&redactor.feed(rest));
            output.extend(redactor.flush());
            let told = String::from_utf8(output).unwrap();
            prop_assert!(!regex::Regex::new(pattern).unwrap().is_match(&told), "{}", told);
            prop_assert_eq!(told.matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn pauses_lose_nothing_and_tell_no_secret(text in "[ab]{0,60}", pauses in prop::collection::vec(1_usize..20, 0..8)) {
            let secrets: &[&[u8]] = &[b"aabaab", b"abaaba", b"bbbbbb", b"abbabbab"];
            let mut redactor = redactor(secrets);
            let (mut output, mut rest) = (Vec::new(), text.as_bytes());
            for pause in pauses {
                let (chunk, behind) = rest.split_at(pause.min(rest.len()));
                output.extend_from_slice(&redactor.feed(chunk));
                output.extend(redactor.flush());
                rest = behind;
            }
            output.extend_from_slice(&redactor.feed(rest));
            output.extend(redactor.flush());
            let told = String::from_utf8(output).unwrap();
            for secret in secrets {
                prop_assert!(!told.contains(std::str::from_utf8(secret).unwrap()));
            }
            let has_secret = secrets.iter().any(|secret| memmem::find(text.as_bytes(), secret).is_some());
            prop_assert_eq!(told != text, has_secret);
        }

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
