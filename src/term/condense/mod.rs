//! Output in fewer words: errors, warnings and results with what stands around them, tracebacks whole, the
//! beginning, the end and every rare line as they were; runs of look-alike lines as one line that counts
//! them.
//!
//! Lines come one by one, are looked at once, and leave: what is kept has a bound, however long the output
//! is. Nothing here knows of bytes, cursors and commands. A line that is not shown has a number, by which it
//! can be read.
//!
//! What is left out on purpose: data that programs read (JSON, tables, diffs), short output, and whatever
//! would not get smaller are never condensed.

mod digest;
mod forms;
mod kinds;
mod layout;
mod scan;
mod templates;

use std::collections::VecDeque;
use std::fmt::Write;

use self::digest::{Digest, Line, Section};
use self::forms::Form;
use self::kinds::{Block, Kind};
use self::templates::{Release, Sighting, Templates};
use crate::term::filter::{beginning, line_tokens};

/// How much is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condense {
    /// Nothing is condensed.
    Off,
    /// As `Auto`, but only what would otherwise be cut.
    #[default]
    WhenCut,
    /// Whatever is not short.
    Auto,
    /// The same in fewer words: less context, fewer repetitions, and more is taken for alike.
    Aggressive,
}

/// The budgets of one way to condense.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// Output of fewer tokens is short.
    short_tokens: usize,
    head_lines: u64,
    tail_lines: usize,
    /// Lines shown before and behind one that tells of trouble.
    context: usize,
    /// Lines of a traceback, or of what belongs to an error.
    block_lines: usize,
    /// Errors, warnings and results of one template that are shown.
    repetitions: u64,
    /// So many templates that differ in one word leave it open.
    open_after: u32,
    /// Bytes of a line; of a longer one both ends are shown.
    line_bytes: usize,
    /// Templates that a fold names.
    fold_templates: usize,
    /// Tokens for each section of its own, in the order of [`Section`]. What one does not use is there for
    /// the others.
    section_tokens: [usize; 6],
    fold_tokens: usize,
}

const AUTO: Measure = Measure {
    short_tokens: 800,
    head_lines: 10,
    tail_lines: 20,
    context: 2,
    block_lines: 40,
    repetitions: 6,
    open_after: 8,
    line_bytes: 1_000,
    fold_templates: 3,
    section_tokens: [300, 700, 2_000, 800, 400, 1_600],
    fold_tokens: 1_200,
};

const AGGRESSIVE: Measure = Measure {
    short_tokens: 200,
    head_lines: 3,
    tail_lines: 8,
    context: 1,
    block_lines: 20,
    repetitions: 2,
    open_after: 4,
    line_bytes: 400,
    fold_templates: 2,
    section_tokens: [100, 300, 900, 200, 200, 500],
    fold_tokens: 400,
};

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condensed {
    /// The text, without a last newline.
    pub text: String,
    /// Lines of the output.
    pub total_lines: u64,
    /// Those that are not shown.
    pub omitted_lines: u64,
    /// The first of them.
    pub first_omitted: u64,
    /// Estimated tokens of the whole output as plain text.
    pub raw_tokens: usize,
    /// Estimated tokens of `text`.
    pub tokens: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Condenser {
    measure: Measure,
    templates: Templates,
    form: Form,
    digest: Digest,
    /// The latest lines, which may still become context, part of a traceback, or the tail.
    pending: VecDeque<Line>,
    /// Their texts once they have left, to be used again.
    spare: Vec<String>,
    number: u64,
    bytes: usize,
    tokens: usize,
    /// Lines behind trouble that are still shown, of this rank.
    behind: (usize, u8, Section),
    block: Option<OpenBlock>,
}

#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    block: Block,
    begun: u64,
    section: Section,
    rank: u8,
}

impl Condenser {
    /// `None` for a way that condenses nothing.
    pub fn new(way: Condense) -> Option<Self> {
        let measure = match way {
            Condense::Off => return None,
            Condense::WhenCut | Condense::Auto => AUTO,
            Condense::Aggressive => AGGRESSIVE,
        };
        Some(Self {
            measure,
            templates: Templates::new(measure.open_after),
            form: Form::new(),
            digest: Digest::default(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            number: 0,
            bytes: 0,
            tokens: 0,
            behind: (0, 0, Section::Rare),
            block: None,
        })
    }

    /// Takes the next line, without its newline.
    pub fn push(&mut self, line: &str) {
        self.number += 1;
        self.bytes += line.len() + 1;
        self.form.push(line);
        let seen = self.templates.see(self.number, line);
        self.tokens += seen.tokens;
        self.release();
        let kept = self.kept(line, &seen);
        let mut text = self.spare.pop().unwrap_or_default();
        text.clear();
        let tokens = shorten(line, self.measure.line_bytes, seen.tokens, &mut text);
        let (section, rank) = kept.map_or((None, RARE), |(section, rank)| (Some(section), rank));
        // What repeats too often to be shown as trouble is no rare line either.
        let reasons = if section.is_none() && seen.kind != Kind::Plain && seen.ordinal > NEWS {
            0
        } else {
            seen.reasons
        };
        let fold = seen.fold;
        let line = Line { number: self.number, text, section, rank, reasons, fold, tokens, outline: None };
        self.pending.push_back(line);
        if self.pending.len() > self.measure.tail_lines.max(self.measure.block_lines) {
            self.settle_first();
        }
    }

    /// The output in fewer words, within a budget of tokens; `None` where it is better given as it is.
    pub fn finish(mut self, budget_tokens: usize) -> Option<Condensed> {
        if self.tokens < self.measure.short_tokens || self.form.is_data() {
            return None;
        }
        let tail_from = self.number.saturating_sub(self.measure.tail_lines as u64);
        let number = self.number;
        for line in self.pending.iter_mut().filter(|line| line.number > tail_from && line.section.is_none()) {
            let rank = if line.number + 3 > number { MOST } else { CONTEXT };
            (line.section, line.rank) = (Some(Section::Tail), rank);
        }
        while !self.pending.is_empty() {
            self.settle_first();
        }
        let condensed =
            layout::lay_out(&self.digest, &self.templates, &self.measure, self.number, budget_tokens);
        let condensed = Condensed { raw_tokens: self.tokens, ..condensed };
        let is_smaller = condensed.text.len() < self.bytes && condensed.tokens < condensed.raw_tokens;
        (is_smaller && condensed.omitted_lines > 0).then_some(condensed)
    }

    /// Lines that turned out not to be rare.
    fn release(&mut self) {
        let first = self.pending.front().map_or(self.number, |line| line.number);
        for &Release { line, fold, is_whole } in &self.templates.released {
            let pending = line.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            match pending.and_then(|index| self.pending.get_mut(index)) {
                Some(line) => line.release(fold, is_whole),
                None => self.digest.release(line, fold, is_whole),
            }
        }
    }

    /// The section that shows the line for what it tells of, or for where it stands, and its rank.
    fn kept(&mut self, line: &str, seen: &Sighting) -> Option<(Section, u8)> {
        let section = match seen.kind {
            Kind::Error => Some(Section::Error),
            Kind::Warning => Some(Section::Warning),
            Kind::Summary => Some(Section::Summary),
            Kind::Plain => None,
        };
        let own = section.filter(|_| seen.ordinal <= self.measure.repetitions);
        let own = own.map(|section| (section, rank(section, seen.ordinal)));
        self.close_block(line, seen, own);
        let is_news = seen.ordinal <= NEWS;
        if let Some((section @ (Section::Error | Section::Warning), rank)) = own.filter(|_| is_news) {
            self.show_before(self.measure.context, section, rank + 2);
        }
        if self.block.is_none()
            && let Some(block) = Block::begun_by(line, seen.kind)
        {
            let (section, rank) = own.unwrap_or((Section::Error, CONTEXT));
            if is_news || block == Block::Traceback {
                self.block = Some(OpenBlock { block, begun: self.number, section, rank: rank + 1 });
            }
        }
        let around = self.around(own.is_some());
        let head = (self.number <= self.measure.head_lines)
            .then_some((Section::Head, if self.number <= 3 { MOST } else { CONTEXT }));
        own.or(around).or(head)
    }

    /// Ends the open block where `line` does not belong to it; it may be the one that says what a traceback
    /// is about.
    fn close_block(&mut self, line: &str, seen: &Sighting, own: Option<(Section, u8)>) {
        let Some(open) = self.block else { return };
        let length = usize::try_from(self.number - open.begun).unwrap_or(usize::MAX);
        if length < self.measure.block_lines && open.block.takes(line) {
            return;
        }
        self.block = None;
        let is_told = open.block != Block::Traceback || seen.ordinal <= NEWS;
        if open.block == Block::Traceback && is_told {
            self.show_before(length, Section::Error, own.map_or(CONTEXT, |(_, rank)| rank + 1));
        }
        if is_told {
            let (section, rank) = own.unwrap_or((open.section, open.rank));
            self.behind = (self.measure.context, rank + 2, section);
        }
    }

    /// Whether the line belongs to the trouble before it.
    fn around(&mut self, is_trouble: bool) -> Option<(Section, u8)> {
        if let Some(open) = self.block {
            if open.begun == self.number {
                return None;
            }
            // Of a traceback it is known only at its end whether it is told.
            return (open.block != Block::Traceback).then_some((open.section, open.rank));
        }
        if is_trouble {
            return None;
        }
        let (left, rank, section) = self.behind;
        self.behind.0 = left.saturating_sub(1);
        (left > 0).then_some((section, rank))
    }

    /// Shows the latest lines with the one that is coming.
    fn show_before(&mut self, lines: usize, section: Section, rank: u8) {
        for line in self.pending.iter_mut().rev().take(lines) {
            if line.section.is_none() || line.rank > rank {
                (line.section, line.rank) = (Some(section), rank);
            }
        }
    }

    fn settle_first(&mut self) {
        let Some(line) = self.pending.pop_front() else { return };
        if line.is_kept() {
            self.digest.keep(line);
        } else {
            self.digest.fold(&line);
            self.spare.push(line.text);
        }
    }
}

/// Shown before anything else.
const MOST: u8 = 0;
/// Of rare lines.
const RARE: u8 = 3;
/// Of lines that only stand around others.
const CONTEXT: u8 = 4;

/// What was seen more often brings nothing along that stands around it.
const NEWS: u64 = 2;

/// How important a line is for what it tells of, the so-manieth of its kind.
fn rank(section: Section, ordinal: u64) -> u8 {
    let (first, later) = match section {
        Section::Error => (MOST, CONTEXT),
        Section::Summary => (1, CONTEXT),
        Section::Warning => (2, 5),
        Section::Head | Section::Tail | Section::Rare => (RARE, RARE),
    };
    if ordinal <= NEWS { first } else { later }
}

/// Writes `line` to `text`, of a long one its two ends. Returns what that costs.
fn shorten(line: &str, most: usize, tokens: usize, text: &mut String) -> usize {
    if line.len() <= most {
        text.push_str(line);
        return tokens;
    }
    let head = beginning(line, most * 2 / 3);
    let tail = &line[beginning(line, line.len() - most / 3).len()..];
    text.push_str(head);
    let _ = write!(text, "…[{} bytes]…", line.len() - head.len() - tail.len());
    text.push_str(tail);
    line_tokens(text)
}

#[cfg(test)]
mod tests;
