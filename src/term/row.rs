//! One row of a screen: its characters, cell by cell, and how they become text.

/// A cell that was never written, or erased. At the end of a line it is not printed.
pub(super) const BLANK: char = '\0';
/// A further cell of the wide character or tab to its left.
pub(super) const CONTINUED: char = '\u{1}';
/// Zero-width characters kept in one row, for each of its columns.
const MARKS_A_COLUMN: usize = 8;

/// One row of a screen. It has only as many cells as were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// All of its characters, as long as they are printable ASCII without a gap: most rows never are anything
    /// else, and a byte is cheaper than a cell. Then there are no cells and no marks.
    plain: Vec<u8>,
    cells: Vec<char>,
    /// Characters without a width, each printed behind the cell of its column; in order of columns.
    pub(super) marks: Vec<(usize, char)>,
    /// The text goes on in the next row.
    pub(super) is_wrapped: bool,
    /// Written to, or entered by a line feed. Others are no lines.
    pub(super) is_used: bool,
}

impl Row {
    /// As if never written to.
    pub(super) fn reset(&mut self) {
        self.plain.clear();
        self.cells.clear();
        self.marks.clear();
        self.is_wrapped = false;
        self.is_used = false;
    }

    /// Writes printable ASCII from column `from` on.
    pub(super) fn print_ascii(&mut self, from: usize, run: &[u8]) {
        if self.cells.is_empty() && self.marks.is_empty() && from <= self.plain.len() {
            let over = run.len().min(self.plain.len() - from);
            self.plain[from..from + over].copy_from_slice(&run[..over]);
            self.plain.extend_from_slice(&run[over..]);
            self.is_used = true;
            return;
        }
        self.open(from, from + run.len());
        let cells = &mut self.cells[from..from + run.len()];
        cells.iter_mut().zip(run).for_each(|(cell, &byte)| *cell = char::from(byte));
    }

    /// The row's cells, to be changed one by one.
    pub(super) fn cells(&mut self) -> &mut Vec<char> {
        self.cells.extend(self.plain.drain(..).map(char::from));
        &mut self.cells
    }

    /// How many cells were written.
    pub(super) fn len(&self) -> usize {
        self.plain.len() + self.cells.len()
    }

    /// Its text, where it is nothing but ASCII.
    pub(super) fn as_plain(&self) -> Option<&str> {
        std::str::from_utf8(&self.plain).ok().filter(|plain| !plain.is_empty())
    }

    /// Whether nothing is to be seen.
    pub(super) fn is_blank(&self) -> bool {
        self.plain.is_empty() && self.cells.iter().all(|&cell| cell == BLANK) && self.marks.is_empty()
    }

    /// Turns the rest of a wide character or tab into blanks, where `column` cuts through it.
    pub(super) fn split_at(&mut self, column: usize) {
        if self.cells().get(column) != Some(&CONTINUED) {
            return;
        }
        let lead = self.cells[..column].iter().rposition(|&cell| cell != CONTINUED).unwrap_or(0);
        let behind = self.cells[column..].iter().take_while(|&&cell| cell == CONTINUED).count();
        self.cells[lead..column + behind].fill(BLANK);
        self.unmark(lead, column + behind);
    }

    /// Makes `from..to` writable: filled up with blanks, with no character reaching in or out.
    pub(super) fn open(&mut self, from: usize, to: usize) {
        self.split_at(from);
        self.split_at(to);
        if self.cells.len() < to {
            self.cells.resize(to, BLANK);
        }
        self.unmark(from, to);
        self.is_used = true;
    }

    fn unmark(&mut self, from: usize, to: usize) {
        if !self.marks.is_empty() {
            self.marks.retain(|&(column, _)| column < from || column >= to);
        }
    }

    /// Erases `from..to`; at the edge of the terminal that also ends a wrapped line.
    pub(super) fn erase(&mut self, from: usize, to: usize, columns: usize) {
        if to >= columns {
            self.is_wrapped = false;
        }
        if !self.plain.is_empty() && to >= self.plain.len() {
            self.plain.truncate(from);
            return;
        }
        self.split_at(from);
        self.split_at(to);
        if to >= self.cells.len() {
            self.cells.truncate(from);
        } else {
            self.cells[from.min(to)..to].fill(BLANK);
        }
        self.unmark(from, to);
    }

    /// Adds a character without a width behind the cell at `column`.
    pub(super) fn mark(&mut self, column: usize, character: char, columns: usize) {
        self.cells();
        if self.marks.len() < columns * MARKS_A_COLUMN {
            let position = self.marks.partition_point(|&(other, _)| other <= column);
            self.marks.insert(position, (column, character));
        }
    }

    /// Adds the row's text, without what is blank at its end.
    pub(super) fn append_to(&self, text: &mut String) {
        text.push_str(self.as_plain().unwrap_or_default());
        let written = self.cells.iter().rposition(|&cell| cell != BLANK).map_or(0, |last| last + 1);
        let mut marks = self.marks.iter().peekable();
        for (column, &cell) in self.cells[..written].iter().enumerate() {
            match cell {
                BLANK => text.push(' '),
                CONTINUED => {}
                _ => text.push(cell),
            }
            while let Some((_, mark)) = marks.next_if(|mark| mark.0 == column) {
                text.push(*mark);
            }
        }
        marks.for_each(|(_, mark)| text.push(*mark));
    }
}
