//! A screen of characters with unlimited scrollback: what was scrolled off is final and leaves as
//! lines of text, what is on the screen may still change. It knows nothing of bytes and sequences.
//!
//! Attributes are not kept. A tab is a character that fills cells up to the next stop, so that it
//! comes out as the tab it was; overwriting any cell of it turns the others into blanks, as with
//! a wide character.

use std::collections::VecDeque;

use unicode_width::UnicodeWidthChar;

use crate::limits;
use crate::term::row::{BLANK, CONTINUED, Row};

/// A tab stop every so many columns.
const TAB: usize = 8;

/// The screen, the cursor, and the unfinished line that begins above the screen.
#[derive(Debug)]
pub(super) struct Grid {
    height: usize,
    columns: usize,
    /// Rows from the top; those below the last used one need not exist.
    rows: VecDeque<Row>,
    /// A row to reuse: scrolling then allocates nothing.
    spare: Row,
    row: usize,
    /// May be `columns`: the last column is written, and the next character wraps.
    column: usize,
    saved: (usize, usize),
    /// First and last row of the scroll region.
    region: (usize, usize),
    /// The part of the top row's line that was scrolled off.
    above: String,
    last_printed: char,
}

impl Grid {
    pub(super) fn new(height: u16, columns: u16) -> Self {
        let height = usize::from(height.clamp(1, limits::TERMINAL_SIDE));
        let columns = usize::from(columns.clamp(2, limits::TERMINAL_SIDE));
        Self {
            height,
            columns,
            rows: VecDeque::new(),
            spare: Row::default(),
            row: 0,
            column: 0,
            saved: (0, 0),
            region: (0, height - 1),
            above: String::new(),
            last_printed: BLANK,
        }
    }

    /// Everything as at the beginning, but for what has left.
    pub(super) fn reset(&mut self, lines: &mut impl FnMut(&str)) {
        self.erase_all(lines);
        (self.row, self.column) = (0, 0);
        self.saved = (0, 0);
        self.region = (0, self.height - 1);
    }

    pub(super) fn print_ascii(&mut self, run: &[u8], lines: &mut impl FnMut(&str)) {
        let mut rest = run;
        while !rest.is_empty() {
            if self.column >= self.columns {
                self.wrap(lines);
            }
            let (from, columns) = (self.column, self.columns);
            let (now, later) = rest.split_at(rest.len().min(columns - from));
            self.current().print_ascii(from, now);
            self.column += now.len();
            if self.column == columns {
                self.current().is_wrapped = false;
            }
            rest = later;
        }
        self.last_printed = run.last().map_or(self.last_printed, |&byte| char::from(byte));
    }

    pub(super) fn print(&mut self, character: char, lines: &mut impl FnMut(&str)) {
        // Only a control of the C1 range has no width at all.
        let Some(width) = character.width() else { return };
        if width == 0 {
            let (column, columns) = (self.column.saturating_sub(1), self.columns);
            let row = self.current();
            row.is_used = true;
            // It belongs to the character, not to the last of its cells.
            let column = row
                .cells()
                .get(..=column)
                .map_or(column, |cells| cells.iter().rposition(|&cell| cell != CONTINUED).unwrap_or(column));
            row.mark(column, character, columns);
            return;
        }
        if self.column + width > self.columns {
            self.wrap(lines);
        }
        let (from, columns) = (self.column, self.columns);
        let row = self.current();
        row.open(from, from + width);
        let cells = row.cells();
        cells[from] = character;
        cells[from + 1..from + width].fill(CONTINUED);
        self.column += width;
        if self.column == columns {
            self.current().is_wrapped = false;
        }
        self.last_printed = character;
    }

    /// Repeats the last character; a real program does so within a line.
    pub(super) fn repeat(&mut self, count: usize, lines: &mut impl FnMut(&str)) {
        let character = self.last_printed;
        if character != BLANK {
            (0..count.min(self.columns)).for_each(|_| self.print(character, lines));
        }
    }

    pub(super) fn tab(&mut self) {
        let (from, columns) = (self.column, self.columns);
        let to = (from / TAB + 1) * TAB;
        let row = self.current();
        if from + 1 >= columns {
            // The cursor is at the edge and stays there; the tab goes behind what stands before it.
            if row.len() <= from {
                row.mark(from - 1, '\t', columns);
            }
            return;
        }
        let to = to.min(columns - 1);
        if row.len() <= from {
            row.open(from, to);
            let cells = row.cells();
            cells[from] = '\t';
            cells[from + 1..to].fill(CONTINUED);
        }
        self.column = to;
    }

    pub(super) fn carriage_return(&mut self) {
        self.column = 0;
    }

    pub(super) fn backspace(&mut self) {
        self.column = self.column.min(self.columns - 1).saturating_sub(1);
    }

    /// One row down, in the same column; at the end of the scroll region that scrolls.
    pub(super) fn line_feed(&mut self, lines: &mut impl FnMut(&str)) {
        self.current().is_used = true;
        if self.row == self.region.1 {
            self.scroll_up(1, lines);
        } else if self.row + 1 < self.height {
            self.row += 1;
        }
        self.current().is_used = true;
    }

    pub(super) fn reverse_line_feed(&mut self) {
        if self.row == self.region.0 {
            self.insert_rows(self.row, 1);
        } else {
            self.row = self.row.saturating_sub(1);
        }
    }

    pub(super) fn up(&mut self, count: usize) {
        let top = if self.row >= self.region.0 { self.region.0 } else { 0 };
        self.move_to_row(self.row.saturating_sub(count).max(top));
    }

    pub(super) fn down(&mut self, count: usize) {
        let bottom = if self.row <= self.region.1 { self.region.1 } else { self.height - 1 };
        self.move_to_row((self.row + count).min(bottom));
    }

    pub(super) fn left(&mut self, count: usize) {
        self.column = self.column.min(self.columns - 1).saturating_sub(count);
    }

    pub(super) fn right(&mut self, count: usize) {
        self.move_to_column(self.column + count);
    }

    pub(super) fn move_to_column(&mut self, column: usize) {
        self.column = column.min(self.columns - 1);
    }

    pub(super) fn move_to_row(&mut self, row: usize) {
        self.row = row.min(self.height - 1);
        // Where the next character would have wrapped, it does not any more.
        self.move_to_column(self.column);
    }

    pub(super) fn save_cursor(&mut self) {
        self.saved = (self.row, self.column);
    }

    pub(super) fn restore_cursor(&mut self) {
        (self.row, self.column) = self.saved;
    }

    /// Rows `top..=bottom` scroll from now on; anything unusable means the whole screen.
    pub(super) fn set_region(&mut self, top: usize, bottom: usize) {
        let bottom = bottom.min(self.height - 1);
        self.region = if top < bottom { (top, bottom) } else { (0, self.height - 1) };
        (self.row, self.column) = (0, 0);
    }

    /// Erases cells of the cursor's row.
    pub(super) fn erase_in_row(&mut self, from: usize, to: usize) {
        let columns = self.columns;
        if let Some(row) = self.rows.get_mut(self.row) {
            row.erase(from.min(columns), to.min(columns), columns);
        }
    }

    pub(super) fn erase_to_end(&mut self) {
        self.erase_in_row(self.cursor_column(), self.columns);
        self.rows.truncate(self.row + 1);
    }

    pub(super) fn erase_to_start(&mut self) {
        let row = self.row.min(self.rows.len());
        self.rows.iter_mut().take(row).for_each(Row::reset);
        self.erase_in_row(0, self.cursor_column() + 1);
    }

    pub(super) fn erase_all(&mut self, lines: &mut impl FnMut(&str)) {
        self.rows.clear();
        if !self.above.is_empty() {
            // Its rest was on the screen.
            lines(&std::mem::take(&mut self.above));
        }
    }

    pub(super) fn insert_cells(&mut self, count: usize) {
        let (column, columns) = (self.cursor_column(), self.columns);
        let row = self.current();
        if column < row.len() {
            row.split_at(column);
            let count = count.min(columns - column);
            row.marks.retain(|mark| mark.0 < column);
            row.cells().splice(column..column, std::iter::repeat_n(BLANK, count));
            row.split_at(columns);
            row.cells().truncate(columns);
            row.is_wrapped = false;
        }
    }

    pub(super) fn delete_cells(&mut self, count: usize) {
        let column = self.cursor_column();
        let row = self.current();
        if column < row.len() {
            let to = column.saturating_add(count).min(row.len());
            row.split_at(column);
            row.split_at(to);
            row.marks.retain(|mark| mark.0 < column);
            row.cells().drain(column..to);
            row.is_wrapped = false;
        }
    }

    /// Inserts blank rows at the cursor, within the scroll region.
    pub(super) fn insert_lines(&mut self, count: usize) {
        if (self.region.0..=self.region.1).contains(&self.row) {
            self.insert_rows(self.row, count);
        }
    }

    /// Deletes rows from the cursor on, within the scroll region.
    pub(super) fn delete_lines(&mut self, count: usize) {
        if (self.region.0..=self.region.1).contains(&self.row) {
            self.delete_rows(self.row, count);
        }
    }

    pub(super) fn scroll_down(&mut self, count: usize) {
        self.insert_rows(self.region.0, count);
    }

    /// Scrolls the region up. What leaves at the top of the screen is final.
    pub(super) fn scroll_up(&mut self, count: usize, lines: &mut impl FnMut(&str)) {
        let (top, bottom) = self.region;
        if top > 0 {
            self.delete_rows(top, count);
            return;
        }
        for _ in 0..count.min(bottom + 1) {
            let Some(mut row) = self.rows.pop_front() else { return };
            self.leave(&row, lines);
            row.reset();
            if bottom < self.rows.len() {
                self.rows.insert(bottom, row);
            } else {
                self.spare = row;
            }
        }
    }

    pub(super) fn cursor_column(&self) -> usize {
        self.column.min(self.columns - 1)
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the cursor stands at the beginning of an empty last line.
    pub(super) fn is_at_line_start(&self) -> bool {
        let follows_a_wrap = match self.row.checked_sub(1) {
            Some(row) => self.rows.get(row).is_some_and(|row| row.is_wrapped),
            None => !self.above.is_empty(),
        };
        self.column == 0
            && !follows_a_wrap
            && self.row + 1 >= self.rows.len()
            && self.rows.get(self.row).is_none_or(Row::is_blank)
    }

    /// Gives out the lines on the screen as they stand; `true` if the last of them has no end yet.
    pub(super) fn live_lines(&self, lines: &mut impl FnMut(&str)) -> bool {
        let mut text = self.above.clone();
        let used = self.rows.iter().rposition(|row| row.is_used).map_or(0, |last| last + 1);
        for (index, row) in self.rows.iter().take(used).enumerate() {
            append_split(row, &mut text, lines);
            let is_last = index + 1 == used;
            if is_last && text.is_empty() {
                return false;
            }
            if is_last || (!row.is_wrapped && (row.is_used || !text.is_empty())) {
                lines(&text);
                text.clear();
            }
        }
        if used == 0 && !text.is_empty() {
            lines(&text);
            return true;
        }
        used > 0
    }

    /// The cursor's whole line.
    pub(super) fn cursor_line(&self) -> String {
        let wraps = |row: usize| self.rows.get(row).is_some_and(|row| row.is_wrapped);
        let mut first = self.row;
        while first > 0 && wraps(first - 1) {
            first -= 1;
        }
        let mut text = if first == 0 { self.above.clone() } else { String::new() };
        let mut row = first;
        while let Some(cells) = self.rows.get(row) {
            cells.append_to(&mut text);
            if !cells.is_wrapped {
                break;
            }
            row += 1;
        }
        text
    }

    fn current(&mut self) -> &mut Row {
        while self.rows.len() <= self.row {
            self.rows.push_back(std::mem::take(&mut self.spare));
        }
        &mut self.rows[self.row]
    }

    fn wrap(&mut self, lines: &mut impl FnMut(&str)) {
        self.current().is_wrapped = true;
        self.line_feed(lines);
        self.column = 0;
    }

    /// Moves the rows of the region from `at` on down by `count`; the last ones are lost.
    fn insert_rows(&mut self, at: usize, count: usize) {
        let end = (self.region.1 + 1).min(self.rows.len() + count).min(self.height);
        if at >= self.rows.len() {
            return;
        }
        self.rows.resize_with(self.rows.len().max(end), Row::default);
        let first = (at + count).min(end);
        (first..end).rev().for_each(|row| self.rows.swap(row, row - (first - at)));
        self.rows.range_mut(at..first).for_each(Row::reset);
    }

    /// Moves the rows of the region behind `at` up by `count`; those at `at` are lost.
    fn delete_rows(&mut self, at: usize, count: usize) {
        let end = (self.region.1 + 1).min(self.rows.len());
        if at >= end {
            return;
        }
        let count = count.min(end - at);
        (at..end - count).for_each(|row| self.rows.swap(row, row + count));
        self.rows.range_mut(end - count..end).for_each(Row::reset);
    }

    /// A row leaves the screen for good.
    fn leave(&mut self, row: &Row, lines: &mut impl FnMut(&str)) {
        if let Some(plain) = row.as_plain().filter(|_| self.above.is_empty() && !row.is_wrapped) {
            lines(plain);
            return;
        }
        append_split(row, &mut self.above, lines);
        if !row.is_wrapped && (row.is_used || !self.above.is_empty()) {
            lines(&self.above);
            self.above.clear();
        }
    }
}

/// Adds a row to the line that it continues, which is cut where it grows too long.
fn append_split(row: &Row, text: &mut String, lines: &mut impl FnMut(&str)) {
    if text.len() >= limits::LINE_BYTES {
        lines(text);
        text.clear();
    }
    row.append_to(text);
}
