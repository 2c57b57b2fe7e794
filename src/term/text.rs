//! Raw terminal output as plain lines of text, the way a person would have read them on a terminal
//! with unlimited scrollback: carriage returns, cursor movement and erasing are resolved, rows
//! that the terminal wrapped are one line again, attributes and titles are gone.
//!
//! Where it differs from a terminal, on purpose: a line feed also returns the carriage (output of a
//! pipe has no `\r`), tabs stay tabs, rows that the cursor only passed are no lines, and the
//! alternate screen of full-screen programs leaves nothing.

use crate::limits;
use crate::term::grid::Grid;
use crate::term::vt::{Actions, Csi, Parser, is_incomplete};

/// An open escape sequence longer than this is taken as broken, and no longer waited for.
const SEQUENCE_BYTES: usize = 64 << 10;

/// Renders a stream. Lines that have left the screen are final and go to the caller's function.
#[derive(Debug)]
pub struct Renderer {
    parser: Parser,
    screen: Screen,
}

#[derive(Debug)]
struct Screen {
    grid: Grid,
    /// The alternate screen is shown: nothing is printed until it is left.
    is_alternate: bool,
}

/// The text of one piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its lines, with exactly the newlines that were there.
    pub text: String,
    /// Whether the last line is finished.
    pub ends_with_newline: bool,
}

impl Renderer {
    /// An empty screen with the cursor at the top left. Sizes are brought into the allowed bounds.
    pub fn new(rows: u16, cols: u16) -> Self {
        Self {
            parser: Parser::default(),
            screen: Screen { grid: Grid::new(rows, cols), is_alternate: false },
        }
    }

    /// Renders further bytes; `lines` gets the lines that became final, without their newlines.
    pub fn feed(&mut self, bytes: &[u8], lines: &mut impl FnMut(&str)) {
        self.parser.feed(bytes, &mut Sink { screen: &mut self.screen, lines });
    }

    /// The stream ends: gives out the lines on the screen. Returns whether the last line has a
    /// newline; an unfinished one is given out too.
    pub fn finish(mut self, lines: &mut impl FnMut(&str)) -> bool {
        self.parser.finish(&mut Sink { screen: &mut self.screen, lines });
        self.live_lines(lines)
    }

    /// The lines that are still on the screen, and may change; returns as [`Self::finish`] does.
    pub fn live_lines(&self, lines: &mut impl FnMut(&str)) -> bool {
        !self.screen.grid.live_lines(lines)
    }

    /// The line that the cursor is in, as it stands: a prompt, or progress.
    pub fn last_line(&self) -> String {
        self.screen.grid.cursor_line()
    }

    /// Whether the bytes so far end outside any escape sequence and any character.
    pub fn is_at_rest(&self) -> bool {
        self.parser.is_at_rest()
    }

    /// Whether the bytes so far end where a new last line begins.
    pub fn is_at_line_start(&self) -> bool {
        self.is_at_rest() && !self.screen.is_alternate && self.screen.grid.is_at_line_start()
    }
}

/// Renders `bytes` in one go, as printed on an empty screen.
pub fn render(bytes: &[u8], rows: u16, cols: u16) -> Rendered {
    let mut text = String::new();
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let mut renderer = Renderer::new(rows, cols);
    renderer.feed(bytes, &mut add);
    let ends_with_newline = renderer.finish(&mut add);
    if !ends_with_newline {
        text.pop();
    }
    Rendered { text, ends_with_newline }
}

/// Length of the prefix of `bytes` that can be rendered while more may follow: it ends neither in
/// an escape sequence nor in a character. `bytes` begin outside both.
pub fn complete_prefix(bytes: &[u8]) -> usize {
    let mut end = whole_characters(bytes);
    // Every `ESC` begins anew, so the state behind the last one decides; but when a sequence is
    // open there, what stands before may be a string that only now is being ended.
    for escape in memchr::memrchr_iter(0x1b, bytes) {
        let mut parser = Parser::default();
        parser.feed(&bytes[escape..end], &mut Nothing);
        if parser.is_at_rest() || parser.is_in_character() {
            break;
        }
        end = whole_characters(&bytes[..escape]);
        if bytes.len() - end > SEQUENCE_BYTES {
            return bytes.len();
        }
    }
    end
}

/// Length of `bytes` without the character that only begins at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    (start..bytes.len()).find(|&from| is_incomplete(&bytes[from..])).unwrap_or(bytes.len())
}

/// The parser's output on its way to the grid.
struct Sink<'a, F> {
    screen: &'a mut Screen,
    lines: &'a mut F,
}

impl<F: FnMut(&str)> Actions for Sink<'_, F> {
    fn ascii(&mut self, run: &[u8]) {
        if !self.screen.is_alternate {
            self.screen.grid.print_ascii(run, self.lines);
        }
    }

    fn print(&mut self, character: char) {
        if !self.screen.is_alternate {
            self.screen.grid.print(character, self.lines);
        }
    }

    fn control(&mut self, byte: u8) {
        let grid = &mut self.screen.grid;
        if self.screen.is_alternate {
            return;
        }
        match byte {
            b'\n' => {
                grid.carriage_return();
                grid.line_feed(self.lines);
            }
            b'\r' => grid.carriage_return(),
            0x08 => grid.backspace(),
            b'\t' => grid.tab(),
            0x0b | 0x0c => grid.line_feed(self.lines),
            _ => {}
        }
    }

    fn csi(&mut self, sequence: &Csi) {
        match (sequence.private, sequence.last) {
            (b'?', b'h' | b'l') if sequence.all().any(|mode| matches!(mode, 47 | 1047 | 1049)) => {
                self.screen.is_alternate = sequence.last == b'h';
            }
            (0, _) if sequence.intermediate == 0 && !self.screen.is_alternate => self.edit(sequence),
            _ => {}
        }
    }

    fn escape(&mut self, intermediate: u8, last: u8) {
        if (intermediate, last) == (0, b'c') {
            self.screen.is_alternate = false;
            self.screen.grid.reset(self.lines);
        }
        if intermediate != 0 || self.screen.is_alternate {
            return;
        }
        let grid = &mut self.screen.grid;
        match last {
            b'7' => grid.save_cursor(),
            b'8' => grid.restore_cursor(),
            b'D' => grid.line_feed(self.lines),
            b'E' => {
                grid.carriage_return();
                grid.line_feed(self.lines);
            }
            b'M' => grid.reverse_line_feed(),
            _ => {}
        }
    }
}

impl<F: FnMut(&str)> Sink<'_, F> {
    fn edit(&mut self, sequence: &Csi) {
        let grid = &mut self.screen.grid;
        let count = sequence.count(0);
        let (column, columns) = (grid.cursor_column(), grid.columns());
        match sequence.last {
            b'A' => grid.up(count),
            b'B' | b'e' => grid.down(count),
            b'C' | b'a' => grid.right(count),
            b'D' => grid.left(count),
            b'E' => {
                grid.down(count);
                grid.carriage_return();
            }
            b'F' => {
                grid.up(count);
                grid.carriage_return();
            }
            b'G' | b'`' => grid.move_to_column(count - 1),
            b'd' => grid.move_to_row(count - 1),
            b'H' | b'f' => {
                grid.move_to_row(count - 1);
                grid.move_to_column(sequence.count(1) - 1);
            }
            b'J' => match sequence.parameter(0) {
                0 => grid.erase_to_end(),
                1 => grid.erase_to_start(),
                2 => grid.erase_all(self.lines),
                _ => {}
            },
            b'K' => match sequence.parameter(0) {
                0 => grid.erase_in_row(column, columns),
                1 => grid.erase_in_row(0, column + 1),
                2 => grid.erase_in_row(0, columns),
                _ => {}
            },
            b'X' => grid.erase_in_row(column, column + count),
            b'@' => grid.insert_cells(count),
            b'P' => grid.delete_cells(count),
            b'L' => grid.insert_lines(count),
            b'M' => grid.delete_lines(count),
            b'S' => grid.scroll_up(count, self.lines),
            b'T' => grid.scroll_down(count),
            b'b' => grid.repeat(count, self.lines),
            b'r' => {
                let bottom = match sequence.parameter(1) {
                    0 => usize::from(limits::TERMINAL_SIDE),
                    bottom => bottom,
                };
                grid.set_region(count - 1, bottom - 1);
            }
            b's' => grid.save_cursor(),
            b'u' => grid.restore_cursor(),
            _ => {}
        }
    }
}

/// Ignores everything: only the parser's state is of interest.
struct Nothing;

impl Actions for Nothing {
    fn ascii(&mut self, _: &[u8]) {}
    fn print(&mut self, _: char) {}
    fn control(&mut self, _: u8) {}
    fn csi(&mut self, _: &Csi) {}
    fn escape(&mut self, _: u8, _: u8) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::screen;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(render(bytes, 5, 20).text, expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn newlines_are_kept_as_they_were() {
        check(b"", "");
        check(b"abc", "abc");
        check(b"abc\r\n", "abc\n");
        check(b"abc\n\n\ndef\n", "abc\n\n\ndef\n");
        check(b"\r\n\r\n", "\n\n");
        check(b"1\n2\n3\n4\n5\n6\n7\n8", "1\n2\n3\n4\n5\n6\n7\n8");
        check(b"trailing  \r\n", "trailing  \n");
    }

    #[test]
    fn progress_shows_its_last_state() {
        check(b"10%\r50%\r100%\r\ndone\r\n", "100%\ndone\n");
        check(b"long progress\r\x1b[Kdone\r\n", "done\n");
        check(b"abc\x08\x08X\r\n", "aXc\n");
        check(b"a: 1\r\nb: 1\r\n\x1b[2Aa: 2\r\nb: 2\r\n", "a: 2\nb: 2\n");
        check(b"\x1b[?25l\x1b[31mred\x1b[0m\x1b]0;title\x07!\x1b[?25h\r\n", "red!\n");
        // A bar wider than the terminal: the cursor goes up a row and the whole is drawn again.
        let bar = [&[b'#'; 30][..], b"\r\x1b[A\x1b[J", &[b'='; 30][..], b"\r\n"].concat();
        check(&bar, &format!("{}\n", "=".repeat(30)));
    }

    #[test]
    fn editing() {
        check(b"abcdef\r\x1b[2P\r\n", "cdef\n");
        check(b"abcdef\r\x1b[2@xy\r\n", "xyabcdef\n");
        check(b"abcdef\x1b[3D\x1b[2X\r\n", "abc  f\n");
        check(b"abc\x1b[10Gx\r\n", "abc      x\n");
        check(b"a\nb\nc\x1b[2;1H\x1b[Mx", "a\nx");
        check(b"a\nb\x1b[1;1H\x1b[Lx", "x\na\nb");
        check(b"one\ntwo\nthree\x1b[H\x1b[2Jnew", "new");
        check(b"=\x1b[9b\n", "==========\n");
    }

    #[test]
    fn the_alternate_screen_leaves_nothing() {
        check(b"before\r\n\x1b[?1049h\x1b[2J\x1b[5;5Hvim\r\n\x1b[?1049lafter\r\n", "before\nafter\n");
    }

    #[test]
    fn tabs_and_wide_characters() {
        check(b"a\tb\tc\td\te\n", "a\tb\tc\td\te\n");
        check(b"a\tb\r1234\n", "1234    b\n");
        check("日本語日本語日本語日本語\n".as_bytes(), "日本語日本語日本語日本語\n");
        check("日本\x1b[2Gx\n".as_bytes(), " x本\n");
        check("e\u{301}\u{302}x👩\u{200d}🚀\n".as_bytes(), "e\u{301}\u{302}x👩\u{200d}🚀\n");
    }

    #[test]
    fn rows_that_were_only_passed_are_no_lines() {
        check(b"abc\x1b[999;999H\x1b[6n\x1b[1;4H\r\n", "abc\n");
        check(b"x\r\n\x1b7\x1b[5;1Hprogress\x1b8y\r\n", "x\ny\n\nprogress");
    }

    #[test]
    fn the_last_line_is_the_cursors() {
        let mut renderer = Renderer::new(5, 10);
        renderer.feed(b"x\r\nlonger than ten columns? ", &mut |_| {});
        assert_eq!(renderer.last_line(), "longer than ten columns? ");
        renderer.feed(b"\r\n", &mut |_| {});
        assert_eq!(renderer.last_line(), "");
    }

    #[test]
    fn hostile_counts_stay_bounded() {
        let mut bytes = Vec::new();
        for last in b"ABCDEFGHJKLMPSTXbdrsu@" {
            for start in ["x\x1b[99999999", "\x1b[99999;99999", "\x1b[0;0"] {
                bytes.extend_from_slice(start.as_bytes());
                bytes.push(*last);
            }
        }
        assert!(render(&bytes.repeat(50), 40, 120).text.len() < 1 << 20);
        assert!(
            render(&vec![b'x'; 3 << 20], 40, 120).text.lines().all(|l| l.len() < limits::LINE_BYTES + 999)
        );
    }

    #[test]
    fn complete_prefixes() {
        for (bytes, length) in [
            (&b"abc"[..], 3),
            (b"abc\x1b", 3),
            (b"abc\x1b[1;", 3),
            (b"abc\x1b[1m", 7),
            (b"abc\x1b]0;title", 3),
            (b"abc\x1b]0;title\x1b", 3),
            (b"abc\x1b]0;title\x1b\\", 14),
            ("ab€".as_bytes(), 5),
            (&"ab€".as_bytes()[..4], 2),
            (b"\x1b[1mab\xe2\x82", 6),
            (b"ab\xff", 3),
            (b"ab\x1b\xc2", 2),
            (b"ab\x1b\xc2\x1b[", 2),
        ] {
            assert_eq!(complete_prefix(bytes), length, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    /// Pieces of a stream that exercise everything that is implemented.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let sequence = ("[0-9;?]{0,4}", "[A-HJ-MPSTXabdefhlmrsu@`]")
            .prop_map(|(parameters, last)| format!("\x1b[{parameters}{last}").into_bytes());
        let piece = prop_oneof![
            "[ -~]{1,30}".prop_map(String::into_bytes),
            "[a-z日é€😀\u{301}]{1,9}".prop_map(String::into_bytes),
            "[\r\n\t\u{8}]".prop_map(String::into_bytes),
            Just(b"\r\n".to_vec()),
            sequence,
            "\x1b[78DEMc]".prop_map(String::into_bytes),
            Just(b"\x1b[?1049h".to_vec()),
            Just(b"\x1b[?1049l".to_vec()),
            prop::collection::vec(any::<u8>(), 1..6),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(bytes in stream(), size in 1_usize..9) {
            let whole = render(&bytes, 4, 12);
            let mut text = String::new();
            let mut add = |line: &str| { text.push_str(line); text.push('\n'); };
            let mut renderer = Renderer::new(4, 12);
            bytes.chunks(size).for_each(|chunk| renderer.feed(chunk, &mut add));
            if !renderer.finish(&mut add) { text.pop(); }
            prop_assert_eq!(text, whole.text);
        }

        #[test]
        fn plain_lines_come_out_as_they_went_in(
            lines in prop::collection::vec("([ -~]|[é日😀\t]){0,60}", 0..12), cols in 2_u16..30
        ) {
            let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
            prop_assert_eq!(render(text.as_bytes(), 4, cols).text, text.clone());
            prop_assert_eq!(render(text.replace('\n', "\r\n").as_bytes(), 4, cols).text, text);
        }

        #[test]
        fn complete_prefixes_end_at_rest(bytes in stream()) {
            let length = complete_prefix(&bytes);
            let mut renderer = Renderer::new(4, 12);
            renderer.feed(&bytes[..length], &mut |_| {});
            // Behind bytes that are no character there is no better place.
            prop_assert!(renderer.is_at_rest() || bytes[length - 1] >= 0x80);
        }

        /// On a screen that never scrolls, the text is what an emulator shows. Left out is what the
        /// emulator does differently from xterm: DCH near the edge, ED 1 in the second row, and EL 0 behind a full
        /// row, of which xterm erases the last character.
        #[test]
        fn simple_editing_agrees_with_an_emulator(
            operations in prop::collection::vec(prop_oneof![
                "[a-z]{1,15}", Just("\r".to_string()), Just("\u{8}".to_string()),
                "[1-9]".prop_map(|n| format!("\x1b[{n}A")), "[1-9]".prop_map(|n| format!("\x1b[{n}C")),
                "[1-9]".prop_map(|n| format!("\x1b[{n}D")), "[12]".prop_map(|n| format!("\x1b[{n}K")),
                Just("\r\x1b[K".to_string()),
                "[1-9]".prop_map(|n| format!("\x1b[{n}X")), "[1-9]".prop_map(|n| format!("\x1b[{n}@")), Just("\x1b[J".to_string()),
                "[1-9];[1-9]".prop_map(|n| format!("\x1b[{n}H")), Just("\x1b7".to_string()),
                Just("\x1b8".to_string()), "[1-3]".prop_map(|n| format!("\x1b[{n}L")),
                "[1-3]".prop_map(|n| format!("\x1b[{n}M")),
            ], 0..12)
        ) {
            let bytes = operations.concat().into_bytes();
            let emulated = screen::replay(&bytes, 60, 20);
            // Wrapped rows are one line here: compare what is left without the wraps.
            let ours = render(&bytes, 60, 20).text;
            let compact = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(compact(&ours), compact(&emulated.lines.concat()));
        }
    }
}
