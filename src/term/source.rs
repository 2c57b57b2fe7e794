//! A range of the log as an excerpt reads it: in pieces, forwards or from its end.

use crate::term::log::Chunk;
use crate::term::text::{Renderer, complete_prefix};

/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

/// The log, and the terminal to render it on.
pub(super) struct Source<F> {
    pub(super) read: F,
    pub(super) rows: u16,
    pub(super) cols: u16,
}

impl<F: FnMut(u64, u64, usize) -> Chunk> Source<F> {
    /// Calls `each` with the bytes of the range in pieces, until it returns `false`.
    pub(super) fn pieces(&mut self, from: u64, to: u64, mut each: impl FnMut(u64, &[u8]) -> bool) {
        let mut at = from;
        while at < to {
            let chunk = (self.read)(at, to, READ_BYTES);
            if chunk.bytes.is_empty() || !each(chunk.from, &chunk.bytes) {
                return;
            }
            at = chunk.end();
        }
    }

    /// Renders the range; returns whether the last line has a newline.
    pub(super) fn render(&mut self, from: u64, to: u64, lines: &mut impl FnMut(&str)) -> bool {
        let mut renderer = Renderer::new(self.rows, self.cols);
        self.pieces(from, to, |_, bytes| {
            renderer.feed(bytes, lines);
            true
        });
        renderer.finish(lines)
    }

    /// The first cursor from `from` on that can be read.
    pub(super) fn skip_dropped(&mut self, from: u64, to: u64) -> u64 {
        (self.read)(from, to, 1).from.max(from)
    }

    /// The last cursor up to `to` at which neither a character nor a sequence is open.
    pub(super) fn complete_end(&mut self, from: u64, to: u64) -> u64 {
        let tail_from = to.saturating_sub(2 * READ_BYTES as u64).max(from);
        let mut tail = Vec::new();
        self.pieces(tail_from, to, |_, bytes| {
            tail.extend_from_slice(bytes);
            true
        });
        to.max(from) - (tail.len() - complete_prefix(&tail)) as u64
    }

    /// Lines, for ranges too large to render.
    pub(super) fn count_newlines(&mut self, from: u64, to: u64) -> u64 {
        let mut newlines = 0;
        self.pieces(from, to, |_, bytes| {
            newlines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            true
        });
        newlines
    }

    /// The first beginning of a line behind `from`, or of a character when no line ends soon.
    pub(super) fn line_start_within(&mut self, from: u64, to: u64) -> u64 {
        let chunk = (self.read)(from, to, READ_BYTES);
        let skipped = memchr::memchr(b'\n', &chunk.bytes).map_or_else(
            || chunk.bytes.iter().take_while(|byte| **byte & 0xc0 == 0x80).count(),
            |newline| newline + 1,
        );
        chunk.from + skipped as u64
    }

    /// Where the rendered line of this number begins, from 1; `from` where a program that moves the cursor
    /// leaves that open.
    pub(super) fn line_start(&mut self, from: u64, to: u64, line: u64) -> u64 {
        let (mut missing, mut found) = (line.saturating_sub(1), from);
        let mut is_redrawn = false;
        self.pieces(from, to, |_, bytes| {
            is_redrawn = moves_up(bytes);
            !is_redrawn
        });
        if is_redrawn {
            return from;
        }
        self.pieces(from, to, |cursor, bytes| {
            for newline in memchr::memchr_iter(b'\n', bytes) {
                if missing == 0 {
                    return false;
                }
                missing -= 1;
                found = cursor + newline as u64 + 1;
            }
            missing > 0
        });
        let mut lines = 0;
        let ends_with_newline = self.render(from, found, &mut |_| lines += 1);
        if lines + 1 == line && (ends_with_newline || lines == 0) { found } else { from }
    }

    /// Where the last `lines` lines of the range begin.
    pub(super) fn line_start_from_end(
        &mut self,
        from: u64,
        to: u64,
        lines: usize,
        ends_with_newline: bool,
    ) -> u64 {
        let mut missing = lines + usize::from(ends_with_newline);
        let mut end = to;
        while end > from {
            let start = end.saturating_sub(READ_BYTES as u64).max(from);
            let mut bytes = Vec::new();
            self.pieces(start, end, |_, piece| {
                bytes.extend_from_slice(piece);
                true
            });
            for newline in memchr::memrchr_iter(b'\n', &bytes) {
                missing = missing.saturating_sub(1);
                if missing == 0 {
                    return start + newline as u64 + 1;
                }
            }
            end = start;
        }
        from
    }
}

/// Whether a program goes back to lines that it has left.
fn moves_up(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0x1b, bytes).any(|escape| {
        let Some(sequence) = bytes[escape + 1..].strip_prefix(b"[") else { return false };
        let last = sequence.iter().find(|byte| !matches!(byte, b'0'..=b'9' | b';'));
        last.is_some_and(|last| b"AFHLMdf".contains(last))
    })
}
