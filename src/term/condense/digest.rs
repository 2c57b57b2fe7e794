//! What remains of the lines that have passed: the ones to show, and for each gap between them how many
//! lines of which fold it has.

use std::collections::{BTreeMap, HashMap};

use super::scan::Outline;
use super::templates::{Fold, Keyed};

/// Lines kept at a time, and their bytes. Beyond that the least important are folded.
const LINES: usize = 4_096;
const BYTES: usize = 1 << 20;
/// Folds counted in a gap; what is beyond counts among the others.
const FOLDS: usize = 24;
/// The lines of a gap are kept too as long as they are few, and short.
const FEW: usize = 3;
const FEW_BYTES: usize = 240;

/// Why a line is shown, and which of several budgets it is shown from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Head,
    Tail,
    Error,
    Warning,
    Summary,
    Rare,
}

/// A line that may be shown.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) text: String,
    pub(super) section: Option<Section>,
    /// Lower is more important.
    pub(super) rank: u8,
    /// For how many reasons it is rare.
    pub(super) reasons: u8,
    pub(super) fold: Fold,
    pub(super) tokens: usize,
    /// Of a line that is kept only because it is rare.
    pub(super) outline: Option<Outline>,
}

impl Line {
    pub(super) fn is_kept(&self) -> bool {
        self.section.is_some() || self.reasons > 0
    }

    /// Where it belongs: to no other section than that of rare lines, unless it was told.
    pub(super) fn section(&self) -> Section {
        self.section.unwrap_or(Section::Rare)
    }
}

/// Lines in a row that are not shown. Their texts are its own, or borrowed while a text is laid out.
#[derive(Debug)]
pub(super) struct Gap<T = String> {
    pub(super) lines: u64,
    /// How many of each fold; the rest has none.
    pub(super) folds: Vec<(Fold, u64)>,
    /// All of its lines, with what they cost, or nothing when they are not few.
    pub(super) few: Vec<(T, usize)>,
}

impl<T> Default for Gap<T> {
    fn default() -> Self {
        Self { lines: 0, folds: Vec::new(), few: Vec::new() }
    }
}

impl<T: AsRef<str>> Gap<T> {
    /// Empties it, and keeps its room.
    pub(super) fn clear(&mut self) {
        self.lines = 0;
        self.folds.clear();
        self.few.clear();
    }

    /// Adds a line behind.
    pub(super) fn push<'a>(&mut self, text: &'a str, fold: Fold, tokens: usize)
    where
        T: From<&'a str>,
    {
        let are_few = self.few.len() as u64 == self.lines && self.few.len() < FEW;
        if are_few && self.few_bytes() + text.len() <= FEW_BYTES {
            self.few.push((text.into(), tokens));
        } else {
            self.few.clear();
        }
        self.lines += 1;
        self.count(fold, 1);
    }

    /// Adds the lines of a gap behind.
    pub(super) fn append<'a>(&mut self, behind: &'a Gap)
    where
        T: From<&'a str>,
    {
        let are_few = self.few.len() as u64 == self.lines && behind.few.len() as u64 == behind.lines;
        if are_few
            && self.few.len() + behind.few.len() <= FEW
            && self.few_bytes() + behind.few_bytes() <= FEW_BYTES
        {
            self.few.extend(behind.few.iter().map(|(text, tokens)| (text.as_str().into(), *tokens)));
        } else {
            self.few.clear();
        }
        self.lines += behind.lines;
        behind.folds.iter().for_each(|&(fold, count)| self.count(fold, count));
    }

    fn few_bytes(&self) -> usize {
        self.few.iter().map(|(text, _)| text.as_ref().len()).sum()
    }

    fn count(&mut self, fold: Fold, count: u64) {
        if fold == Fold::OTHER {
            return;
        }
        // The latest is the likeliest.
        match self.folds.iter().rposition(|(known, _)| *known == fold) {
            Some(place) => self.folds[place].1 += count,
            None if self.folds.len() < FOLDS => self.folds.push((fold, count)),
            None => {}
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Digest {
    /// The gap before the first kept line.
    pub(super) first: Gap,
    /// Kept lines by number, each with the gap behind it.
    pub(super) kept: BTreeMap<u64, (Line, Gap)>,
    bytes: usize,
}

impl Digest {
    pub(super) fn keep(&mut self, mut line: Line) {
        self.bytes += line.text.len();
        line.outline = line.section.is_none().then(|| Outline::of(&line.text));
        self.kept.insert(line.number, (line, Gap::default()));
        if self.kept.len() > LINES || self.bytes > BYTES {
            self.make_room();
        }
    }

    /// Counts a line behind the last one.
    pub(super) fn fold(&mut self, line: &Line) {
        let gap = self.kept.last_entry().map_or(&mut self.first, |last| &mut last.into_mut().1);
        gap.push(&line.text, line.fold, line.tokens);
    }

    /// A kept line loses a reason to be rare, or all; without any it is folded.
    pub(super) fn release(&mut self, number: u64, fold: Fold, is_whole: bool) {
        let Some((line, _)) = self.kept.get_mut(&number) else { return };
        line.release(fold, is_whole);
        if !line.is_kept() {
            self.drop_line(number);
        }
    }

    /// Folds a kept line.
    pub(super) fn drop_line(&mut self, number: u64) {
        let Some((line, behind)) = self.kept.remove(&number) else { return };
        self.bytes -= line.text.len();
        let before = self.kept.range_mut(..number).next_back().map_or(&mut self.first, |(_, (_, gap))| gap);
        before.push(&line.text, line.fold, line.tokens);
        before.append(&behind);
    }

    /// The kept lines, the most important first. Of rare lines those are, of whose outline there are few: where
    /// nearly every line is rare, as in prose, they are what stands out.
    pub(super) fn by_importance(&self) -> Vec<&Line> {
        let mut outlines: HashMap<Outline, usize, Keyed> = HashMap::with_hasher(Keyed::secret());
        for outline in self.kept.values().filter_map(|(line, _)| line.outline) {
            *outlines.entry(outline).or_default() += 1;
        }
        let mut lines: Vec<(u8, usize, u64, &Line)> = self
            .kept
            .values()
            .map(|(line, _)| {
                let alike = line.outline.and_then(|outline| outlines.get(&outline)).copied().unwrap_or(0);
                // Of the end the last lines matter most.
                let is_tail = line.section == Some(Section::Tail);
                let order = if is_tail { u64::MAX - line.number } else { line.number };
                (line.rank, alike, order, line)
            })
            .collect();
        lines.sort_unstable_by_key(|&(rank, alike, order, _)| (rank, alike, order));
        lines.into_iter().map(|(_, _, _, line)| line).collect()
    }

    /// Folds the quarter of the lines that is least important.
    fn make_room(&mut self) {
        let lines = self.by_importance();
        let least: Vec<u64> = lines[lines.len() * 3 / 4..].iter().map(|line| line.number).collect();
        least.into_iter().rev().for_each(|number| self.drop_line(number));
    }
}

impl Line {
    pub(super) fn release(&mut self, fold: Fold, is_whole: bool) {
        self.reasons = if is_whole { 0 } else { self.reasons.saturating_sub(1) };
        self.fold = fold;
    }
}
