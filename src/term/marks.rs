//! Takes the marks of our shell hooks out of a raw stream, so that they never enter the log.
//!
//! A mark is `ESC ] 133 ; … BEL` with the session's nonce in it:
//! `A;k=NONCE` (a prompt), `C;k=NONCE;n=NUMBER` (a command begins), `D;STATUS;k=NONCE;n=NUMBER` (it
//! ended; with `;x=1` behind when only the prompt hook noticed, so that it was aborted). What
//! looks alike but is no mark to the byte is output. The search is for the text of a mark and not
//! by a terminal parser: binary junk or an open string before a mark cannot swallow it.

use memchr::memmem;

use crate::limits;

const START: &[u8] = b"\x1b]133;";

/// What a shell hook said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The shell shows its prompt.
    Prompt,
    /// A command begins.
    Begin {
        /// The number that it was handed over with.
        number: u64,
    },
    /// A command ended.
    End {
        /// The number that it was handed over with.
        number: u64,
        /// Its exit status.
        status: i32,
        /// It did not come to its own end: interrupted, or a syntax error.
        aborted: bool,
    },
}

/// One piece of a stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Ordinary output.
    Output(&'a [u8]),
    /// A mark that stood here.
    Mark(Mark),
}

/// Scans one session's stream.
#[derive(Debug)]
pub struct MarkScanner {
    nonce: Vec<u8>,
    start: memmem::Finder<'static>,
    /// A possible beginning of a mark, at the end of what was fed. It has one `ESC`, its first byte.
    held: Vec<u8>,
}

impl MarkScanner {
    /// A scanner for the marks with this nonce.
    pub fn new(nonce: &str) -> Self {
        Self { nonce: nonce.as_bytes().to_vec(), start: memmem::Finder::new(START), held: Vec::new() }
    }

    /// Scans further bytes.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(Piece<'_>)) {
        let mut rest = self.resolve_held(bytes, &mut sink);
        let mut search_from = 0;
        while let Some(found) = self.start.find(&rest[search_from..]) {
            let at = search_from + found;
            match parse(&rest[at..], &self.nonce) {
                Ok((mark, length)) => {
                    output(&rest[..at], &mut sink);
                    sink(Piece::Mark(mark));
                    rest = &rest[at + length..];
                    search_from = 0;
                }
                Err(Miss::Short) => {
                    output(&rest[..at], &mut sink);
                    self.held.extend_from_slice(&rest[at..]);
                    return;
                }
                Err(Miss::Other) => search_from = at + 1,
            }
        }
        let tail = rest.len().saturating_sub(START.len() - 1);
        let split = memchr::memrchr(0x1b, &rest[tail..])
            .map(|escape| tail + escape)
            .filter(|&at| at >= search_from && START.starts_with(&rest[at..]))
            .unwrap_or(rest.len());
        output(&rest[..split], &mut sink);
        self.held.extend_from_slice(&rest[split..]);
    }

    /// Gives out what is held back: the stream or a command ended, and no mark did.
    pub fn flush(&mut self, mut sink: impl FnMut(Piece<'_>)) {
        output(&std::mem::take(&mut self.held), &mut sink);
    }

    /// Continues the beginning of a mark that is held, byte by byte; returns what is left to scan.
    fn resolve_held<'a>(&mut self, bytes: &'a [u8], sink: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        let mut rest = bytes;
        while let (false, Some((&byte, behind))) = (self.held.is_empty(), rest.split_first()) {
            self.held.push(byte);
            match parse(&self.held, &self.nonce) {
                Ok((mark, _)) => {
                    self.held.clear();
                    sink(Piece::Mark(mark));
                }
                Err(Miss::Short) => {}
                Err(Miss::Other) => {
                    // This byte may begin a mark itself: it is scanned with the rest.
                    self.held.pop();
                    output(&std::mem::take(&mut self.held), sink);
                    return rest;
                }
            }
            rest = behind;
        }
        rest
    }
}

fn output(bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        sink(Piece::Output(bytes));
    }
}

/// Why bytes are not a mark.
enum Miss {
    /// They are the beginning of one.
    Short,
    /// They are something else.
    Other,
}

/// The mark at the beginning of `bytes`, and its length.
fn parse(bytes: &[u8], nonce: &[u8]) -> Result<(Mark, usize), Miss> {
    let window = &bytes[..bytes.len().min(limits::MARK_BYTES)];
    let mut reader = Reader { rest: window };
    match reader.mark(nonce) {
        Ok(mark) => Ok((mark, window.len() - reader.rest.len())),
        Err(Miss::Short) if window.len() < limits::MARK_BYTES => Err(Miss::Short),
        Err(Miss::Short | Miss::Other) => Err(Miss::Other),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn mark(&mut self, nonce: &[u8]) -> Result<Mark, Miss> {
        self.literal(START)?;
        match self.byte()? {
            b'A' => {
                self.nonce(nonce)?;
                self.literal(b"\x07")?;
                Ok(Mark::Prompt)
            }
            b'C' => {
                self.nonce(nonce)?;
                self.literal(b";n=")?;
                let number = self.number()?;
                self.literal(b"\x07")?;
                Ok(Mark::Begin { number })
            }
            b'D' => {
                self.literal(b";")?;
                let status = i32::try_from(self.number()?).map_err(|_| Miss::Other)?;
                self.nonce(nonce)?;
                self.literal(b";n=")?;
                let number = self.number()?;
                let aborted = match self.byte()? {
                    0x07 => false,
                    b';' => {
                        self.literal(b"x=1\x07")?;
                        true
                    }
                    _ => return Err(Miss::Other),
                };
                Ok(Mark::End { number, status, aborted })
            }
            _ => Err(Miss::Other),
        }
    }

    fn nonce(&mut self, nonce: &[u8]) -> Result<(), Miss> {
        self.literal(b";k=")?;
        self.literal(nonce)
    }

    fn literal(&mut self, expected: &[u8]) -> Result<(), Miss> {
        let (here, wanted) = (&self.rest[..self.rest.len().min(expected.len())], expected);
        if !wanted.starts_with(here) {
            return Err(Miss::Other);
        }
        self.rest = &self.rest[here.len()..];
        if here.len() == wanted.len() { Ok(()) } else { Err(Miss::Short) }
    }

    fn byte(&mut self) -> Result<u8, Miss> {
        let (&byte, rest) = self.rest.split_first().ok_or(Miss::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, Miss> {
        let digits = self.rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..digits]
            .iter()
            .try_fold(0_u64, |number, byte| {
                number.checked_mul(10).and_then(|number| number.checked_add(u64::from(byte - b'0')))
            })
            .ok_or(Miss::Other)?;
        self.rest = &self.rest[digits..];
        match (digits, self.rest.is_empty()) {
            (_, true) => Err(Miss::Short),
            (0, false) => Err(Miss::Other),
            (1.., false) => Ok(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<(usize, Mark)>) {
        let (mut output, mut marks) = (Vec::new(), Vec::new());
        let mut scanner = MarkScanner::new("k9");
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Output(bytes) => output.extend_from_slice(bytes),
            Piece::Mark(mark) => marks.push((output.len(), mark)),
        };
        bytes.chunks(size).for_each(|chunk| scanner.feed(chunk, &mut sink));
        scanner.flush(&mut sink);
        (output, marks)
    }

    #[test]
    fn marks_are_taken_out() {
        let (output, marks) = scan(
            b"$ \x1b]133;A;k=k9\x07\x1b]133;C;k=k9;n=7\x07out\x1b]133;D;130;k=k9;n=7;x=1\x07\
              \x1bPopen\x1b]133;D;0;k=k9;n=8\x07end",
            usize::MAX,
        );
        assert_eq!(output, b"$ out\x1bPopenend");
        assert_eq!(
            marks,
            [
                (2, Mark::Prompt),
                (2, Mark::Begin { number: 7 }),
                (5, Mark::End { number: 7, status: 130, aborted: true }),
                (11, Mark::End { number: 8, status: 0, aborted: false }),
            ]
        );
    }

    #[test]
    fn look_alikes_are_output() {
        for bytes in [
            &b"\x1b]133;A;k=other\x07"[..],
            b"\x1b]133;A\x07",
            b"\x1b]133;A;k=k9\x1b\\",
            b"\x1b]133;C;k=k9;n=\x07",
            b"\x1b]133;D;-1;k=k9;n=1\x07",
            b"\x1b]133;D;0;k=k9;n=99999999999999999999\x07",
            b"\x1b]133;D;0;k=k9;n=1;x=2\x07",
            b"\x1b]133;D;0;k=k9",
            b"\x1b]133;D;00000000000000000000000000000000000000000000000000000000000000000000000000000000\
              0000000000000000000000000000000000000000000000000000000000000000000000000000000;k=k9;n=1\x07",
        ] {
            assert_eq!(scan(bytes, usize::MAX), (bytes.to_vec(), vec![]));
            assert_eq!(scan(bytes, 1), (bytes.to_vec(), vec![]));
        }
    }

    #[test]
    fn only_a_possible_mark_is_held_back() {
        let mut scanner = MarkScanner::new("k9");
        let mut output = Vec::new();
        let mut feed = |bytes: &[u8]| {
            scanner.feed(bytes, |piece| match piece {
                Piece::Output(bytes) => output.extend_from_slice(bytes),
                Piece::Mark(_) => {}
            });
            output.len()
        };
        assert_eq!(feed(b"abc\x1b"), 3);
        assert_eq!(feed(b"[1m"), 7);
        assert_eq!(feed(b"\x1b]133;A;k="), 7);
        assert_eq!(feed(b"x"), 18);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            pieces in prop::collection::vec(prop_oneof![
                "[a-c\x1b\\]13;]{0,6}".prop_map(String::into_bytes),
                "\x1b\\]133;[ACD](;[0-9x]{1,3})?;k=k[89](;n=[0-9]{1,2})?(;x=1)?[\x07\x1b]?".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..5),
            ], 0..20),
            size in 1_usize..40,
        ) {
            let bytes = pieces.concat();
            prop_assert_eq!(scan(&bytes, size), scan(&bytes, usize::MAX));
        }
    }
}
