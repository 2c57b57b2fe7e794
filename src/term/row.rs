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
    pub(super) cells: Vec<char>,
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
        self.cells.clear();
        self.marks.clear();
        self.is_wrapped = false;
        self.is_used = false;
    }

    /// Whether nothing is to be seen.
    pub(super) fn is_blank(&self) -> bool {
        self.cells.iter().all(|&cell| cell == BLANK) && self.marks.is_empty()
    }

    /// Turns the rest of a wide character or tab into blanks, where `column` cuts through it.
    pub(super) fn split_at(&mut self, column: usize) {
        if self.cells.get(column) != Some(&CONTINUED) {
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
        self.split_at(from);
        self.split_at(to);
        if to >= self.cells.len() {
            self.cells.truncate(from);
        } else {
            self.cells[from.min(to)..to].fill(BLANK);
        }
        self.unmark(from, to);
        if to >= columns {
            self.is_wrapped = false;
        }
    }

    /// Adds a character without a width behind the cell at `column`.
    pub(super) fn mark(&mut self, column: usize, character: char, columns: usize) {
        if self.marks.len() < columns * MARKS_A_COLUMN {
            let position = self.marks.partition_point(|&(other, _)| other <= column);
            self.marks.insert(position, (column, character));
        }
    }

    /// Adds the row's text, without what is blank at its end.
    pub(super) fn append_to(&self, text: &mut String) {
        let written = self.cells.iter().rposition(|&cell| cell != BLANK).map_or(0, |last| last + 1);
        let plain = if self.marks.is_empty() { append_ascii(&self.cells[..written], text) } else { 0 };
        let mut marks = self.marks.iter().peekable();
        for (column, &cell) in self.cells[..written].iter().enumerate().skip(plain) {
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

/// Adds the printable ASCII that `cells` begin with, as far as it fills whole groups and their rest; returns
/// how many cells that are. Most rows are nothing else, and a group at a time costs a tenth of its characters.
fn append_ascii(cells: &[char], text: &mut String) -> usize {
    const GROUP: usize = 32;
    let mut done = 0;
    for group in cells.chunks(GROUP) {
        let mut bytes = [0; GROUP];
        let mut is_plain = true;
        for (byte, &cell) in bytes.iter_mut().zip(group) {
            is_plain &= matches!(cell, ' '..='~');
            #[expect(clippy::cast_possible_truncation, reason = "what is more than a byte is not plain")]
            {
                *byte = u32::from(cell) as u8;
            }
        }
        match std::str::from_utf8(&bytes[..group.len()]) {
            Ok(plain) if is_plain => text.push_str(plain),
            _ => break,
        }
        done += group.len();
    }
    done
}
