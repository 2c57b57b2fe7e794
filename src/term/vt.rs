//! A parser of terminal streams: text, controls and escape sequences, over any chunk boundary.
//!
//! It does not know what the sequences mean. The parser of the `vte` crate was tried first; it
//! hands out text one character at a time, which costs the bulk path, and it keeps operating
//! system commands of any length in memory. This one keeps nothing of them.

/// What the parser found, in order.
pub(super) trait Actions {
    /// A run of printable ASCII.
    fn ascii(&mut self, run: &[u8]);
    /// Any other character; U+FFFD for bytes that are not UTF-8.
    fn print(&mut self, character: char);
    /// A C0 control.
    fn control(&mut self, byte: u8);
    /// A complete control sequence.
    fn csi(&mut self, sequence: &Csi);
    /// `ESC`, an intermediate (0 for none), and the final byte.
    fn escape(&mut self, intermediate: u8, last: u8);
}

/// Parameters kept of one control sequence; further ones are dropped.
const PARAMETERS: usize = 16;

/// A control sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Csi {
    parameters: [u16; PARAMETERS],
    count: usize,
    /// `?`, `>`, `<` or `=` at the start; 0 for none.
    pub(super) private: u8,
    /// The last of the intermediates; 0 for none.
    pub(super) intermediate: u8,
    /// The byte that names the function.
    pub(super) last: u8,
}

impl Csi {
    /// The parameter at `index`; 0 when it is missing.
    pub(super) fn parameter(&self, index: usize) -> usize {
        self.parameters.get(index).copied().map_or(0, usize::from)
    }

    /// A count: missing and zero mean one.
    pub(super) fn count(&self, index: usize) -> usize {
        self.parameter(index).max(1)
    }

    /// Every parameter given, at least one.
    pub(super) fn all(&self) -> impl Iterator<Item = u16> + '_ {
        self.parameters.iter().copied().take(self.count + 1)
    }

    fn digit(&mut self, digit: u8) {
        if let Some(parameter) = self.parameters.get_mut(self.count) {
            *parameter = parameter.saturating_mul(10).saturating_add(u16::from(digit - b'0'));
        }
    }

    fn next_parameter(&mut self) {
        self.count = (self.count + 1).min(PARAMETERS);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// After `ESC` and an intermediate.
    EscapeIntermediate(u8),
    Csi,
    /// In an operating system command. A line feed ends it: none is that long, and a broken one
    /// must not swallow the output behind it.
    Osc,
    /// In a device control or other string, until `ESC`, CAN or SUB.
    Text,
}

/// The parser's state between two chunks.
#[derive(Clone, Debug, Default)]
pub(super) struct Parser {
    state: State,
    csi: Csi,
    /// The beginning of a UTF-8 character.
    partial: [u8; 4],
    partial_length: usize,
}

impl Parser {
    /// Parses `bytes`, which continue those before.
    pub(super) fn feed(&mut self, bytes: &[u8], actions: &mut impl Actions) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if self.partial_length > 0 {
                rest = &rest[self.complete_character(first, actions)..];
                continue;
            }
            let consumed = match self.state {
                State::Ground => self.ground(rest, first, actions),
                State::Osc => {
                    let end = rest.iter().position(|byte| matches!(byte, 0x07 | b'\n' | 0x18 | 0x1a | 0x1b));
                    self.string_end(rest, end, actions)
                }
                State::Text => {
                    let end = rest.iter().position(|byte| matches!(byte, 0x18 | 0x1a | 0x1b));
                    self.string_end(rest, end, actions)
                }
                State::Escape | State::EscapeIntermediate(_) | State::Csi => {
                    self.sequence(first, actions);
                    1
                }
            };
            rest = &rest[consumed..];
        }
    }

    /// The stream ends: a character that never came whole shows as U+FFFD.
    pub(super) fn finish(&mut self, actions: &mut impl Actions) {
        if std::mem::take(&mut self.partial_length) > 0 {
            actions.print(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Whether the bytes so far end outside any sequence and any character.
    pub(super) fn is_at_rest(&self) -> bool {
        self.state == State::Ground && self.partial_length == 0
    }

    /// Whether the bytes so far end in a character, and outside any sequence.
    pub(super) fn is_in_character(&self) -> bool {
        self.state == State::Ground && self.partial_length > 0
    }

    fn ground(&mut self, rest: &[u8], first: u8, actions: &mut impl Actions) -> usize {
        match first {
            0x20..=0x7e => {
                let length = printable(rest);
                actions.ascii(&rest[..length]);
                length
            }
            0x1b => {
                self.state = State::Escape;
                1
            }
            0x00..=0x1f => {
                actions.control(first);
                1
            }
            0x7f => 1,
            0x80..=0xff => {
                let length = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
                self.characters(&rest[..length], length == rest.len(), actions);
                length
            }
        }
    }

    /// Decodes a run without ASCII. `at_end` says that the rest of its last character may follow.
    fn characters(&mut self, run: &[u8], at_end: bool, actions: &mut impl Actions) {
        let mut position = 0;
        for chunk in run.utf8_chunks() {
            chunk.valid().chars().for_each(|character| actions.print(character));
            position += chunk.valid().len() + chunk.invalid().len();
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            if at_end && position == run.len() && is_incomplete(invalid) {
                self.partial[..invalid.len()].copy_from_slice(invalid);
                self.partial_length = invalid.len();
            } else {
                actions.print(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// Adds a byte to the character begun in an earlier chunk; returns how many bytes that took.
    fn complete_character(&mut self, byte: u8, actions: &mut impl Actions) -> usize {
        self.partial[self.partial_length] = byte;
        let candidate = &self.partial[..=self.partial_length];
        if let Ok(text) = std::str::from_utf8(candidate) {
            text.chars().for_each(|character| actions.print(character));
            self.partial_length = 0;
            1
        } else if is_incomplete(candidate) {
            self.partial_length += 1;
            1
        } else {
            actions.print(char::REPLACEMENT_CHARACTER);
            self.partial_length = 0;
            0
        }
    }

    fn string_end(&mut self, rest: &[u8], end: Option<usize>, actions: &mut impl Actions) -> usize {
        let Some(end) = end else { return rest.len() };
        match rest[end] {
            0x1b => self.state = State::Escape,
            b'\n' => {
                self.state = State::Ground;
                actions.control(b'\n');
            }
            _ => self.state = State::Ground,
        }
        end + 1
    }

    /// One byte inside an escape or control sequence.
    fn sequence(&mut self, byte: u8, actions: &mut impl Actions) {
        match (self.state, byte) {
            (_, 0x1b) => self.state = State::Escape,
            (_, 0x18 | 0x1a) => self.state = State::Ground,
            (_, 0x00..=0x1f) => actions.control(byte),
            (State::Escape, b'[') => {
                self.csi = Csi::default();
                self.state = State::Csi;
            }
            (State::Escape, b']') => self.state = State::Osc,
            (State::Escape, b'P' | b'X' | b'^' | b'_') => self.state = State::Text,
            (State::Escape | State::EscapeIntermediate(_), 0x20..=0x2f) => {
                self.state = State::EscapeIntermediate(byte);
            }
            (State::Escape, 0x30..=0x7e) => {
                self.state = State::Ground;
                actions.escape(0, byte);
            }
            (State::EscapeIntermediate(intermediate), 0x30..=0x7e) => {
                self.state = State::Ground;
                actions.escape(intermediate, byte);
            }
            (State::Csi, 0x20..=0x7e) => self.csi_byte(byte, actions),
            // No sequence holds such a byte: it is broken, and the byte is text again.
            (_, 0x80..=0xff) => {
                self.state = State::Ground;
                self.characters(&[byte], true, actions);
            }
            // DEL is ignored; the other states do not come here.
            (_, 0x7f) | (State::Ground | State::Osc | State::Text, 0x20..=0x7e) => {}
        }
    }

    fn csi_byte(&mut self, byte: u8, actions: &mut impl Actions) {
        match byte {
            b'0'..=b'9' => self.csi.digit(byte),
            b';' | b':' => self.csi.next_parameter(),
            0x3c..=0x3f => self.csi.private = byte,
            0x20..=0x2f => self.csi.intermediate = byte,
            _ => {
                self.csi.last = byte;
                self.state = State::Ground;
                actions.csi(&self.csi);
            }
        }
    }
}

/// Length of the run of printable ASCII at the beginning, looked for a group of bytes at a time.
fn printable(bytes: &[u8]) -> usize {
    const GROUP: usize = 16;
    let is_printable = |byte: &u8| matches!(byte, 0x20..=0x7e);
    // No early end within a group: so it is compared at once.
    let is_whole = |group: &&[u8; GROUP]| group.iter().fold(true, |all, byte| all & is_printable(byte));
    let groups = bytes.as_chunks::<GROUP>().0.iter().take_while(is_whole).count();
    let rest = &bytes[groups * GROUP..];
    bytes.len() - rest.len() + rest.iter().take_while(|byte| is_printable(byte)).count()
}

/// Whether `bytes` are the beginning of one UTF-8 character.
pub(super) fn is_incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[derive(Default)]
    struct Trace(String);

    impl Actions for Trace {
        fn ascii(&mut self, run: &[u8]) {
            self.0.push_str(std::str::from_utf8(run).unwrap());
        }
        fn print(&mut self, character: char) {
            self.0.push(character);
        }
        fn control(&mut self, byte: u8) {
            write!(self.0, "<{byte:02x}>").unwrap();
        }
        fn csi(&mut self, sequence: &Csi) {
            let parameters: Vec<u16> = sequence.all().collect();
            write!(self.0, "<csi {parameters:?} {}>", char::from(sequence.last)).unwrap();
        }
        fn escape(&mut self, _: u8, last: u8) {
            write!(self.0, "<esc {}>", char::from(last)).unwrap();
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let mut whole = Trace::default();
        let mut parser = Parser::default();
        parser.feed(bytes, &mut whole);
        parser.finish(&mut whole);
        assert_eq!(whole.0, expected);
        let mut pieces = Trace::default();
        let mut parser = Parser::default();
        for byte in bytes {
            parser.feed(&[*byte], &mut pieces);
        }
        parser.finish(&mut pieces);
        assert_eq!(pieces.0, expected, "byte by byte");
    }

    #[test]
    fn text_and_sequences() {
        check(b"ab\x1b[1;31mc\x1b(B\x1b7", "ab<csi [1, 31] m>c<esc B><esc 7>");
        check(b"\x1b[99999999b\x1b[;;H", "<csi [65535] b><csi [0, 0, 0] H>");
        check(b"a\x1b]0;title\x07b\x1b]8;;x\x1b\\c\x1bPq123\x1b\\d", "ab<esc \\>c<esc \\>d");
    }

    #[test]
    fn a_broken_string_ends_with_its_line() {
        check(b"\x1b]0;never ended\nnext", "<0a>next");
    }

    #[test]
    fn invalid_bytes_show_and_incomplete_ones_wait() {
        check("aé€😀b".as_bytes(), "aé€😀b");
        check(b"a\xffb\xe2\x82c\x80", "a\u{fffd}b\u{fffd}c\u{fffd}");
        check(b"\xf0\x9f\x98", "\u{fffd}");
    }
}
