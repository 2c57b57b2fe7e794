//! The screen as a person would see it now, replayed on demand: no emulator lives while nobody
//! looks. Also the questions that programs ask their terminal, and the answers to them.

use std::cell::RefCell;
use std::rc::Rc;

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, TermMode};
use alacritty_terminal::vte::ansi::{Processor, StdSyncHandler};
use alacritty_terminal::{Term, term};
use memchr::memmem;

use crate::limits;

/// A picture of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Its rows from the top, without trailing blanks; empty rows at the bottom are left out.
    pub lines: Vec<String>,
    /// For each that goes on in the next row, since it was full, with how many blanks it ends.
    pub wrapped: Vec<Option<usize>>,
    /// Whether there was something above the first row, or may be: a full-screen program tells nobody.
    pub is_cut: bool,
    /// How many rows it has, empty ones too.
    pub rows: usize,
    /// The cursor's row, from 0.
    pub cursor_row: usize,
    /// The cursor's column, from 0.
    pub cursor_col: usize,
    /// Whether the cursor shows; who draws a menu hides it.
    pub shows_cursor: bool,
    /// How many columns it has.
    pub cols: usize,
    /// The window title that the program set.
    pub title: Option<String>,
    /// Whether a full-screen program shows its own screen.
    pub alternate: bool,
}

/// The screen after `bytes` were printed on an empty terminal of that size.
pub fn replay(bytes: &[u8], rows: u16, cols: u16) -> Screen {
    let size = Size {
        rows: usize::from(rows.clamp(1, limits::TERMINAL_SIDE)),
        columns: usize::from(cols.clamp(term::MIN_COLUMNS.try_into().unwrap_or(2), limits::TERMINAL_SIDE)),
    };
    let titles = Titles::default();
    let mut terminal = Term::new(Config { scrolling_history: 1, ..Config::default() }, &size, titles.clone());
    let mut processor = Processor::<StdSyncHandler>::new();
    processor.advance(&mut terminal, bytes);
    // An update that the program has not finished is shown as far as it is.
    processor.stop_sync(&mut terminal);

    let grid = terminal.grid();
    let row_of = |row: usize| &grid[Line(i32::try_from(row).unwrap_or(i32::MAX))];
    let mut lines: Vec<String> = (0..size.rows)
        .map(|row| row_text((0..size.columns).map(|column| &row_of(row)[Column(column)])))
        .collect();
    let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    lines.truncate(used);
    let last = Column(size.columns - 1);
    let blanks = |row: usize| {
        let cells = (0..size.columns).rev().map(|column| &row_of(row)[Column(column)]);
        // A wide character that did not fit leaves a cell that is no blank.
        let text = cells.skip_while(|cell| cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER));
        text.take_while(|cell| cell.c == ' ' && !cell.flags.contains(Flags::WIDE_CHAR_SPACER)).count()
    };
    let goes_on = |row: usize| row_of(row)[last].flags.contains(Flags::WRAPLINE).then(|| blanks(row));
    let wrapped = (0..used).map(goes_on).collect();
    let cursor = grid.cursor.point;
    let alternate = terminal.mode().contains(TermMode::ALT_SCREEN);
    Screen {
        lines,
        wrapped,
        is_cut: alternate || grid.history_size() > 0,
        rows: size.rows,
        cursor_row: usize::try_from(cursor.line.0).unwrap_or(0),
        cursor_col: cursor.column.0,
        shows_cursor: terminal.mode().contains(TermMode::SHOW_CURSOR),
        cols: size.columns,
        title: titles.0.take(),
        alternate,
    }
}

impl Screen {
    /// The same with every line in one row, however many the terminal wrapped it to.
    pub(super) fn unwrapped(&self) -> Self {
        let mut whole = Self { lines: Vec::new(), wrapped: Vec::new(), ..self.clone() };
        let mut line = String::new();
        // A line that fills its last row may have its cursor in the empty one below.
        for row in 0..self.lines.len().max(self.cursor_row + 1) {
            if row == self.cursor_row {
                whole.cursor_row = whole.lines.len();
                whole.cursor_col += line.chars().count();
            }
            line.push_str(self.lines.get(row).map_or("", String::as_str));
            match self.wrapped.get(row).copied().flatten() {
                Some(blanks) => line.extend(std::iter::repeat_n(' ', blanks)),
                None => whole.lines.push(std::mem::take(&mut line)),
            }
        }
        if !line.is_empty() {
            whole.lines.push(line);
        }
        whole.wrapped = vec![None; whole.lines.len()];
        whole
    }
}

/// Where to begin a replay of `bytes`, the end of a session's output: at the entry of the alternate
/// screen if it is shown, else behind the last time the screen was cleared, else at the beginning of
/// what the ring holds.
pub fn replay_start(bytes: &[u8]) -> usize {
    let oldest = bytes.len().saturating_sub(limits::OUTPUT_RING);
    let recent = &bytes[oldest..];
    let last_of = |needles: &[&[u8]]| needles.iter().filter_map(|needle| memmem::rfind(recent, needle)).max();
    let entered = last_of(&[b"\x1b[?1049h", b"\x1b[?1047h", b"\x1b[?47h"]);
    let left = last_of(&[b"\x1b[?1049l", b"\x1b[?1047l", b"\x1b[?47l"]);
    // Only with the cursor at home does a cleared screen not depend on what was before.
    let clears: [&[u8]; 5] =
        [b"\x1bc", b"\x1b[H\x1b[2J", b"\x1b[1;1H\x1b[2J", b"\x1b[2J\x1b[H", b"\x1b[2J\x1b[1;1H"];
    // Behind it: the emulator takes a row that it clears for one that was scrolled off.
    let cleared =
        clears.into_iter().filter_map(|clear| memmem::rfind(recent, clear).map(|at| at + clear.len())).max();
    let start = match (entered, left) {
        (Some(entered), left) if left.is_none_or(|left| left < entered) => Some(entered),
        (_, left) => cleared.filter(|&cleared| left.is_none_or(|left| left < cleared)),
    };
    oldest + start.unwrap_or(0)
}

/// A question that a program asks its terminal, and waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalQuery {
    /// Primary device attributes: what are you?
    Attributes,
    /// Device status: are you well?
    Status,
    /// Where is the cursor?
    Cursor,
}

impl TerminalQuery {
    /// What the terminal types in answer. The cursor's place counts from 0, as in [`Screen`].
    pub fn answer(self, cursor_row: usize, cursor_col: usize) -> Vec<u8> {
        match self {
            Self::Attributes => b"\x1b[?62;22c".to_vec(),
            Self::Status => b"\x1b[0n".to_vec(),
            Self::Cursor => format!("\x1b[{};{}R", cursor_row + 1, cursor_col + 1).into_bytes(),
        }
    }
}

/// Finds the questions in a stream, over any chunk boundary.
#[derive(Clone, Debug, Default)]
pub struct QueryScanner {
    state: QueryState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum QueryState {
    #[default]
    Outside,
    Escape,
    Bracket,
    Digit(u8),
}

impl QueryScanner {
    /// Looks at further bytes.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(TerminalQuery)) {
        let mut rest = bytes;
        loop {
            if self.state == QueryState::Outside {
                let Some(escape) = memchr::memchr(0x1b, rest) else { return };
                rest = &rest[escape..];
            }
            let Some((&byte, behind)) = rest.split_first() else { return };
            rest = behind;
            self.state = match (self.state, byte) {
                (_, 0x1b) => QueryState::Escape,
                (QueryState::Escape, b'[') => QueryState::Bracket,
                (QueryState::Bracket, b'0' | b'5' | b'6') => QueryState::Digit(byte),
                (QueryState::Bracket | QueryState::Digit(b'0'), b'c') => {
                    found(TerminalQuery::Attributes);
                    QueryState::Outside
                }
                (QueryState::Digit(b'5'), b'n') => {
                    found(TerminalQuery::Status);
                    QueryState::Outside
                }
                (QueryState::Digit(b'6'), b'n') => {
                    found(TerminalQuery::Cursor);
                    QueryState::Outside
                }
                _ => QueryState::Outside,
            };
        }
    }
}

fn row_text<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut text = String::new();
    for cell in cells {
        if cell.flags.intersects(Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER) {
            continue;
        }
        // The emulator keeps a tab as a character in its first cell, and blanks behind it.
        text.push(if cell.c == '\t' { ' ' } else { cell.c });
        text.extend(cell.zerowidth().into_iter().flatten());
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}

struct Size {
    rows: usize,
    columns: usize,
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.rows
    }

    fn screen_lines(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }
}

/// The last title set, of all that an emulator reports.
#[derive(Clone, Default)]
struct Titles(Rc<RefCell<Option<String>>>);

impl EventListener for Titles {
    fn send_event(&self, event: Event) {
        match event {
            Event::Title(title) => {
                let title = title.chars().take(limits::NAME_BYTES).collect();
                self.0.replace(Some(title));
            }
            Event::ResetTitle => {
                self.0.take();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_screen_is_what_a_person_sees() {
        let screen = replay(b"\x1b]2;my title\x07one\r\ntwo  \r\n\x1b[31mthr\x1b[0m", 10, 20);
        assert_eq!(
            screen,
            Screen {
                lines: vec!["one".into(), "two".into(), "thr".into()],
                wrapped: vec![None; 3],
                is_cut: false,
                cursor_row: 2,
                cursor_col: 3,
                shows_cursor: true,
                cols: 20,
                title: Some("my title".into()),
                alternate: false,
                rows: 10,
            }
        );
        assert!(replay(b"x\x1b[?1049h\x1b[2;2Hvim", 10, 20).alternate);
    }

    #[test]
    fn a_screen_tells_what_goes_on_in_the_next_row_and_what_is_gone() {
        let wrapped = |text: &[u8]| replay(text, 3, 5).wrapped;
        assert_eq!(wrapped(b"12345678"), [Some(0), None]);
        assert_eq!(wrapped(b"123  678"), [Some(2), None]);
        assert_eq!(wrapped("1234日".as_bytes()), [Some(0), None]);
        assert_eq!(wrapped("123日x".as_bytes()), [Some(0), None]);
        assert_eq!(wrapped(b"12345\r\n678"), [None, None], "it was full, and no more");
        let whole = replay("12  日6\r\nab".as_bytes(), 4, 5).unwrapped();
        assert_eq!(
            (whole.lines, whole.cursor_row, whole.cursor_col),
            (vec!["12  日6".into(), "ab".into()], 1, 2)
        );
        let whole = replay(b"x\r\n1234567", 4, 5).unwrapped();
        assert_eq!(
            (whole.lines, whole.cursor_row, whole.cursor_col),
            (vec!["x".into(), "1234567".into()], 1, 7)
        );
        let is_cut = |text: &[u8]| replay(text, 3, 5).is_cut;
        assert!(!is_cut(b"1\r\n2\r\n3"));
        assert!(is_cut(b"1\r\n2\r\n3\r\n"));
        assert!(is_cut(b"12345678901234567"));
        assert!(is_cut(b"\x1b[?1049h"));
        assert_eq!(replay("日本\ta".as_bytes(), 2, 20).lines, ["日本    a"]);
    }

    #[test]
    fn a_replay_starts_where_the_past_no_longer_shows() {
        for (bytes, start) in [
            (&b"plain"[..], 0),
            (b"old\x1b[?1049hvim", 3),
            (b"old\x1b[?1049h\x1b[H\x1b[2Jvim", 3),
            (b"old\x1b[?1049hvim\x1b[?1049lmain", 0),
            (b"old\x1b[H\x1b[2Jnew", 10),
            (b"old\x1b[2Jnew", 0),
            (b"\x1b[H\x1b[2Jold\x1b[?1049hvim\x1b[?1049lmain", 0),
        ] {
            assert_eq!(replay_start(bytes), start, "{:?}", String::from_utf8_lossy(bytes));
        }
        let cleared = b"old\x1b[H\x1b[2Jnew";
        assert!(!replay(&cleared[replay_start(cleared)..], 3, 5).is_cut);
        assert_eq!(replay_start(&vec![b'x'; limits::OUTPUT_RING + 7]), 7);
    }

    #[test]
    fn queries_are_found_over_any_boundary() {
        let bytes = b"a\x1b[cb\x1b[0c\x1b\x1b[5n\x1b[6n\x1b[7n\x1b[>c\x1b[31m";
        let expected = [
            TerminalQuery::Attributes,
            TerminalQuery::Attributes,
            TerminalQuery::Status,
            TerminalQuery::Cursor,
        ];
        for size in 1..bytes.len() {
            let (mut scanner, mut found) = (QueryScanner::default(), Vec::new());
            bytes.chunks(size).for_each(|chunk| scanner.feed(chunk, |query| found.push(query)));
            assert_eq!(found, expected);
        }
        assert_eq!(TerminalQuery::Cursor.answer(0, 4), b"\x1b[1;5R");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_replayed(
            bytes in prop::collection::vec(any::<u8>(), 0..300), rows in any::<u16>(), cols in 0_u16..200
        ) {
            let start = replay_start(&bytes);
            let screen = replay(&bytes[start..], rows % 80, cols);
            prop_assert!(screen.lines.len() <= usize::from((rows % 80).max(1)));
        }
    }
}
