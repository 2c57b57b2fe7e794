//! What a line looks like once everything that varies from line to line is masked: numbers, times,
//! hashes, ids and paths. Lines of the same look have the same template.
//!
//! One pass over the bytes gives the template's hash, one hash for each of its words, and the small
//! numbers that stand alone: an HTTP status or an exit code tells more than a size or a duration.

use crate::term::filter::beginning;

/// Words whose place in the template is known one by one. What comes behind them is hashed as one.
pub(super) const WORDS: usize = 24;
/// Small numbers of a line that are looked at.
pub(super) const SLOTS: usize = 6;
/// Stands in a pattern where a small number was.
pub(super) const SLOT: char = '\u{1}';
/// A pattern ends here, in bytes.
const PATTERN_BYTES: usize = 160;
/// Digits of a number that may be a status or a code.
const SLOT_DIGITS: usize = 3;
/// Runs of digits between letters, from which on a word is an id.
const ID_RUNS: u64 = 4;
/// Hexadecimal digits that make a hash.
const HASH_DIGITS: u64 = 7;

const BLANK: u8 = 1;
const DELIMITER: u8 = 2;
const DIGIT: u8 = 4;
const SLASH: u8 = 8;

/// What each byte is.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0_u8;
    loop {
        class[byte as usize] = match byte {
            b' ' | b'\t' => BLANK,
            b'"' | b'\'' | b'`' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b',' | b';'
            | b'=' | b'|' => DELIMITER,
            b'0'..=b'9' => DIGIT,
            b'/' => SLASH,
            _ => 0,
        };
        if byte == u8::MAX {
            break class;
        }
        byte += 1;
    }
};

/// The look of one line.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Of the whole template.
    pub(super) hash: u64,
    /// What each word adds to the hash; zero where it cannot be left open, for it has no letters of its own.
    words: [u64; WORDS],
    word_count: usize,
    /// Words with letters of their own.
    literals: usize,
    pub(super) slots: Slots,
}

/// The small numbers of a line, in order; `None` for one that is too large to be a code.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slots {
    values: [Option<u16>; SLOTS],
    count: usize,
}

impl Slots {
    pub(super) fn all(&self) -> &[Option<u16>] {
        &self.values[..self.count]
    }

    /// How many of them are rare where none was seen before.
    pub(super) fn rare(&self) -> u8 {
        self.all().iter().map(|value| u8::from(value.is_some())).sum()
    }
}

/// What stands at a place of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a [u8]),
    Mask(&'static str),
    Number(&'a [u8]),
}

impl Look {
    /// Looks at `line`, in place of what was seen before.
    pub(super) fn read(&mut self, line: &[u8]) {
        (self.hash, self.word_count, self.literals, self.slots.count) = (0, 0, 0, 0);
        each_word(line, |flags, word| self.add(flags, word));
    }

    /// For each word that may be left open: its place, and the hash of the template without it. A template
    /// with no other word is none.
    pub(super) fn skeletons(&self) -> impl Iterator<Item = (usize, u64)> {
        let words = if self.literals >= 2 { self.word_count.min(WORDS) } else { 0 };
        (0..words).filter(|&place| self.words[place] != 0).map(|place| {
            let open = mixed(OPEN, place);
            (place, self.hash.wrapping_sub(self.words[place]).wrapping_add(open))
        })
    }

    fn add(&mut self, flags: u8, word: &[u8]) {
        let place = self.word_count;
        self.word_count += 1;
        let is_plain = flags & (DIGIT | SLASH) == 0;
        let (key, has_letters) = if is_plain {
            (hashed(word), flags & DELIMITER == 0 && word.iter().any(u8::is_ascii_alphabetic))
        } else {
            let (mut key, mut has_letters) = (SEED, false);
            parts(flags, word, |part| {
                let piece = match part {
                    Part::Literal(bytes) => {
                        has_letters |= bytes.iter().any(u8::is_ascii_alphabetic);
                        hashed(bytes)
                    }
                    Part::Mask(mask) => hashed(mask.as_bytes()),
                    Part::Number(digits) => {
                        self.number(digits);
                        NUMBER
                    }
                };
                key = (key.rotate_left(17) ^ piece).wrapping_mul(MULTIPLIER);
            });
            (key, has_letters)
        };
        let contribution = mixed(key, place.min(WORDS));
        self.hash = self.hash.wrapping_add(contribution);
        if place < WORDS {
            self.words[place] = if has_letters { contribution } else { 0 };
        }
        self.literals += usize::from(has_letters);
    }

    fn number(&mut self, digits: &[u8]) {
        if self.slots.count == SLOTS {
            return;
        }
        let is_small = digits.len() <= SLOT_DIGITS;
        let value =
            digits.iter().take(SLOT_DIGITS).fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
        self.slots.values[self.slots.count] = is_small.then_some(value);
        self.slots.count += 1;
    }
}

/// A hash of how far a line is indented, and of the set of its delimiters. Lines of one sort (calls, rows,
/// prose) share it even where no two share a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outline(u64);

impl Outline {
    pub(super) fn of(line: &str) -> Self {
        let bytes = line.as_bytes();
        let indent = bytes.iter().take_while(|byte| CLASS[usize::from(**byte)] == BLANK).count();
        let delimiters: u64 = bytes.iter().fold(0, |set, &byte| {
            let is_delimiter = u64::from(CLASS[usize::from(byte)] == DELIMITER);
            // Each delimiter has a bit of its own.
            set | is_delimiter << (byte.wrapping_add((byte >> 6) * 4) % 64)
        });
        Self(mixed(delimiters, indent))
    }
}

/// How the template of `line` reads, with the word at `open` left open too.
pub(super) fn pattern(line: &str, open: Option<usize>) -> String {
    let mut text = String::new();
    let (mut place, mut slots, mut end) = (0, 0, 0);
    let start = line.as_ptr() as usize;
    each_word(line.as_bytes(), |flags, word| {
        // Blanks are shown as one.
        let from = word.as_ptr() as usize - start;
        if from > end {
            text.push(' ');
        }
        end = from + word.len();
        if open == Some(place) {
            text.push_str("<*>");
        } else if flags & (DIGIT | SLASH) == 0 {
            text.push_str(&String::from_utf8_lossy(word));
        } else {
            parts(flags, word, |part| match part {
                Part::Literal(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                Part::Mask(mask) => text.push_str(mask),
                Part::Number(_) => {
                    text.push_str(if slots < SLOTS { "\u{1}" } else { "<n>" });
                    slots += 1;
                }
            });
        }
        place += 1;
    });
    if text.len() > PATTERN_BYTES {
        text.truncate(beginning(&text, PATTERN_BYTES).len());
        text.push('…');
    }
    text
}

/// Calls `each` with the words of a line, in order, and the classes of their bytes. A delimiter is a word; a
/// run of the same one is one word.
fn each_word<'a>(line: &'a [u8], mut each: impl FnMut(u8, &'a [u8])) {
    let mut at = 0;
    while let Some(&first) = line.get(at) {
        let class = CLASS[usize::from(first)];
        if class == BLANK {
            at += 1;
            continue;
        }
        let from = at;
        let mut flags = class;
        at += 1;
        if class == DELIMITER {
            while line.get(at) == Some(&first) {
                at += 1;
            }
        } else {
            while let Some(&byte) = line.get(at) {
                let class = CLASS[usize::from(byte)];
                if class & (BLANK | DELIMITER) != 0 {
                    break;
                }
                flags |= class;
                at += 1;
            }
        }
        each(flags, &line[from..at]);
    }
}

/// Calls `each` with the parts of a word that has digits or slashes.
fn parts<'a>(flags: u8, word: &'a [u8], mut each: impl FnMut(Part<'a>)) {
    let core = word.len() - word.iter().rev().take_while(|byte| matches!(byte, b':' | b'.' | b'%')).count();
    let (core, behind) = word.split_at(core);
    match mask(flags, core) {
        Some(mask) => each(Part::Mask(mask)),
        None => runs(core, &mut each),
    }
    if !behind.is_empty() {
        each(Part::Literal(behind));
    }
}

/// What stands for a word as a whole.
fn mask(flags: u8, word: &[u8]) -> Option<&'static str> {
    if flags & SLASH != 0 && is_path(word) {
        return Some("<path>");
    }
    if flags & DIGIT == 0 {
        return None;
    }
    let [digits, hex, dashes, colons, letters] = tallied(word);
    let length = word.len() as u64;
    if digits == length {
        return None;
    }
    if word.len() == 36 && dashes == 4 && hex == 32 {
        return Some("<uuid>");
    }
    let body = word.strip_prefix(b"0x").unwrap_or(word);
    if body.len() < word.len() && hex + 1 == length || hex == length && hex >= HASH_DIGITS {
        return Some("<hex>");
    }
    // 12:34:56.789, 2024-05-06, 2024-05-06T12:34:56Z
    if letters <= 2 && (colons >= 2 || dashes >= 2 && word.len() >= 8) && word[0].is_ascii_digit() {
        return Some("<time>");
    }
    if letters < 2 || word.contains(&b'.') {
        return None;
    }
    let runs = word.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let runs = runs.filter(|run| run[0].is_ascii_digit()).count() as u64;
    (runs >= ID_RUNS && dashes < runs).then_some("<id>")
}

/// Counters in one number: so many bits for each.
const TALLY_BITS: usize = 12;

/// What each byte adds to the counters of [`tallied`].
const TALLY: [u64; 256] = {
    let mut tally = [0; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        let counted = [
            byte.is_ascii_digit(),
            byte.is_ascii_hexdigit(),
            byte == b'-',
            byte == b':',
            byte.is_ascii_alphabetic(),
        ];
        let mut counter = 0;
        while counter < counted.len() {
            tally[byte as usize] |= (counted[counter] as u64) << (counter * TALLY_BITS);
            counter += 1;
        }
        byte += 1;
    }
    tally
};

/// How many digits, hexadecimal digits, dashes, colons and letters a word has, all counted at once.
fn tallied(word: &[u8]) -> [u64; 5] {
    const MOST: usize = (1 << TALLY_BITS) - 1;
    let mut counts = [0; 5];
    for piece in word.chunks(MOST) {
        let sum: u64 = piece.iter().map(|byte| TALLY[usize::from(*byte)]).sum();
        for (counter, count) in counts.iter_mut().enumerate() {
            *count += sum >> (counter * TALLY_BITS) & MOST as u64;
        }
    }
    counts
}

fn is_path(word: &[u8]) -> bool {
    let slashes = memchr::memchr_iter(b'/', word).count();
    if !word.iter().any(u8::is_ascii_alphabetic) || word.len() < 3 {
        return false;
    }
    let last = word.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |slash| &word[slash + 1..]);
    matches!(word[0], b'/' | b'~' | b'.')
        || slashes >= 2
        || last.is_empty()
        || last.contains(&b'.') && last.iter().any(u8::is_ascii_alphabetic)
}

/// The runs of digits in a word, and what stands between them.
fn runs<'a>(word: &'a [u8], each: &mut impl FnMut(Part<'a>)) {
    let is_whole = word.iter().all(u8::is_ascii_digit);
    // Nought is no number like the others: "0 failed".
    if word == b"0" {
        each(Part::Literal(word));
    } else if is_whole && !word.is_empty() {
        each(Part::Number(word));
    } else {
        for run in word.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
            each(if run[0].is_ascii_digit() { Part::Mask("<n>") } else { Part::Literal(run) });
        }
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xff51_afd7_ed55_8ccd;
const NUMBER: u64 = 0xc4ce_b9fe_1a85_ec53;
const OPEN: u64 = 0x2545_f491_4f6c_dd1d;

/// A hash of some bytes, eight at a time.
fn hashed(bytes: &[u8]) -> u64 {
    let mut hash = SEED ^ bytes.len() as u64;
    let (groups, rest) = bytes.as_chunks::<8>();
    for group in groups {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*group)).wrapping_mul(MULTIPLIER);
    }
    let last = rest.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    (hash.rotate_left(23) ^ last).wrapping_mul(MULTIPLIER)
}

/// What a word adds to the hash at its place.
fn mixed(key: u64, place: usize) -> u64 {
    let hash = (key ^ (place as u64).wrapping_mul(NUMBER)).wrapping_mul(SEED);
    (hash ^ hash >> 29).wrapping_mul(MULTIPLIER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked() {
        for (line, expected) in [
            ("", ""),
            ("   Compiling serde v1.0.219", " Compiling serde v<n>.<n>.<n>"),
            ("2024-05-06 12:34:56,789 INFO took 12.5 ms", "<time> <time>,\u{1} INFO took <n>.<n> ms"),
            ("commit 3f898ff0aa at 0x7ffd", "commit <hex> at <hex>"),
            ("id=550e8400-e29b-41d4-a716-446655440000", "id=<uuid>"),
            ("src/main.rs:3:5: error: x", "<path>: error: x"),
            ("GET https://a.example/x?y HTTP/1.1\" 200 5120", "GET <path> HTTP/<n>.<n>\" \u{1} \u{1}"),
            ("3 passed; 0 failed", "\u{1} passed; 0 failed"),
            ("ses_k3f9q2x7 and/or", "<id> and/or"),
            ("======  x", "====== x"),
        ] {
            // A leading blank is kept as one, so that what is indented looks so.
            assert_eq!(pattern(line, None), expected, "{line:?}");
        }
        assert_eq!(pattern("Collecting requests now", Some(1)), "Collecting <*> now");
        assert!(pattern(&"long ".repeat(100), None).len() < PATTERN_BYTES + 10);
    }

    #[test]
    fn looks_are_told_apart_by_their_words_alone() {
        let look = |line: &str| {
            let mut look = Look::default();
            look.read(line.as_bytes());
            look
        };
        assert_eq!(look("job 7 took 31 ms").hash, look("job  4711 took 2 ms").hash);
        assert_ne!(look("job 7 took 31 ms").hash, look("job 7 lost 31 ms").hash);
        assert_ne!(look("0 failed").hash, look("3 failed").hash);
        assert_ne!(look("a b").hash, look("b a").hash);
        assert_eq!(look("x 200 y 99999").slots.all(), [Some(200), None]);
        let open = |line| look(line).skeletons().collect::<Vec<_>>();
        assert_eq!(open("Collecting requests")[1], open("Collecting rich")[1]);
        assert_eq!(open("requests"), []);
    }
}
