//! Which rendered lines an excerpt shows: by pattern, trouble, range and number, as far as they fit.

use std::collections::VecDeque;

use crate::term::errors;
use crate::term::excerpt::{Lines, Page, Query};
use crate::term::tokens::estimate_tokens;

/// Lines shown before and behind one that tells of trouble, unless the caller says otherwise.
const ERROR_CONTEXT: usize = 2;
/// Lines kept before a match that may come, at most; the memory for them is bounded by that.
const MOST_CONTEXT: usize = 100;
/// What a line that tells of omissions costs at most.
pub(super) const MARKER_TOKENS: usize = 40;

/// Decides line by line what is shown, with line numbers and gaps as grep does.
pub(super) struct Filter<'a> {
    query: &'a Query,
    context: usize,
    /// Lines seen.
    pub(super) number: u64,
    /// Lines before a match, should one come.
    before: VecDeque<(u64, String)>,
    /// Lines still to show behind a match.
    behind: usize,
    last_shown: u64,
    chosen: Chosen,
}

impl<'a> Filter<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        let context = match query.context {
            0 if query.errors_only => ERROR_CONTEXT,
            context => context.min(MOST_CONTEXT),
        };
        Self {
            query,
            context,
            number: 0,
            before: VecDeque::new(),
            behind: 0,
            last_shown: 0,
            chosen: Chosen::new(query),
        }
    }

    pub(super) fn push(&mut self, line: &str) {
        self.number += 1;
        if self.query.range.is_some_and(|(first, last)| !(first..=last).contains(&self.number)) {
            return;
        }
        if self.query.grep.is_none() && !self.query.errors_only {
            self.last_shown = self.number;
            self.chosen.push(line.to_owned());
            return;
        }
        let is_match = self.query.grep.as_ref().is_none_or(|grep| grep.is_match(line))
            && (!self.query.errors_only || errors::is_trouble(line));
        if is_match {
            for (number, text) in std::mem::take(&mut self.before) {
                self.show(number, '-', &text);
            }
            self.show(self.number, ':', line);
            self.behind = self.context;
        } else if self.behind > 0 {
            self.behind -= 1;
            self.show(self.number, '-', line);
        } else if self.context > 0 {
            self.before.push_back((self.number, line.to_owned()));
            if self.before.len() > self.context {
                self.before.pop_front();
            }
        }
    }

    /// The text, and how many lines that were asked for are not in it.
    pub(super) fn finish(self, ends_with_newline: bool) -> (String, u64) {
        let Self { mut chosen, last_shown, number, .. } = self;
        chosen.tail.shrink(chosen.tail.budget, u64::MAX);
        let shown = (chosen.head.len() + chosen.tail.kept.len()) as u64;
        let asked = match chosen.asked {
            Some(Lines::Head(lines) | Lines::Tail(lines)) => chosen.seen.min(lines as u64),
            None => chosen.seen,
        };
        let omitted = asked.saturating_sub(shown);
        let marker = (omitted > 0).then(|| match omitted {
            1 => "[… 1 line omitted: it did not fit …]".to_owned(),
            _ => format!("[… {omitted} lines omitted: they did not fit …]"),
        });
        let is_last_shown = last_shown == number && !(chosen.tail.kept.is_empty() && shown < chosen.seen);
        let lines =
            chosen.head.iter().map(String::as_str).chain(marker.as_deref()).chain(chosen.tail.lines());
        (joined(lines, ends_with_newline || !is_last_shown), omitted)
    }

    fn show(&mut self, number: u64, sign: char, line: &str) {
        if self.last_shown > 0 && number > self.last_shown + 1 && self.context > 0 {
            self.chosen.push("--".to_owned());
        }
        self.last_shown = number;
        self.chosen.push(format!("{number}{sign}{line}"));
    }
}

/// The lines that passed, as far as they fit.
struct Chosen {
    head: Vec<String>,
    head_tokens: usize,
    head_budget: usize,
    head_lines: usize,
    is_head_full: bool,
    tail: Tail,
    asked: Option<Lines>,
    seen: u64,
}

impl Chosen {
    fn new(query: &Query) -> Self {
        let budget = query.budget_tokens.saturating_sub(MARKER_TOKENS).max(2);
        let (head_budget, head_lines, tail_budget, tail_lines) = match (query.lines, query.page) {
            (Some(Lines::Head(lines)), _) => (budget, lines, 0, 0),
            (Some(Lines::Tail(lines)), _) => (0, 0, budget, lines),
            (None, Page::Forward) => (budget, usize::MAX, 0, 0),
            (None, Page::Ends) => (budget / 3, usize::MAX, budget - budget / 3, usize::MAX),
        };
        Self {
            head: Vec::new(),
            head_tokens: 0,
            head_budget,
            head_lines,
            is_head_full: head_lines == 0,
            tail: Tail::new(tail_budget, tail_lines),
            asked: query.lines,
            seen: 0,
        }
    }

    fn push(&mut self, line: String) {
        self.seen += 1;
        if !self.is_head_full {
            let tokens = line_tokens(&line);
            let fits = self.head_tokens + tokens <= self.head_budget && self.head.len() < self.head_lines;
            // The first line is shown at least in part.
            if fits || (self.head.is_empty() && self.tail.most_lines == 0) {
                self.head_tokens += tokens;
                self.head.push(if fits { line } else { beginning(&line, self.head_budget).to_owned() });
                return;
            }
            self.is_head_full = true;
        }
        if self.tail.most_lines > 0 {
            self.tail.push(&line);
        }
    }
}

/// The first characters of `line`, at most so many bytes.
pub(super) fn beginning(line: &str, bytes: usize) -> &str {
    let mut end = bytes.min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

/// The last lines that fit.
pub(super) struct Tail {
    pub(super) kept: VecDeque<KeptLine>,
    pub(super) tokens: usize,
    budget: usize,
    most_lines: usize,
    pub(super) left_out: u64,
}

pub(super) struct KeptLine {
    pub(super) text: String,
    tokens: usize,
    /// Its beginning is missing.
    pub(super) is_cut: bool,
}

impl Tail {
    pub(super) fn new(budget: usize, most_lines: usize) -> Self {
        Self { kept: VecDeque::new(), tokens: 0, budget, most_lines, left_out: 0 }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|line| line.text.as_str())
    }

    pub(super) fn push(&mut self, line: &str) {
        let tokens = line_tokens(line);
        self.kept.push_back(KeptLine { text: line.to_owned(), tokens, is_cut: false });
        self.tokens += tokens;
        while self.kept.len() > 1 && (self.tokens > self.budget || self.kept.len() > self.most_lines) {
            self.drop_first();
        }
    }

    /// Keeps at most `most_lines` within `budget`; of a last line that is too long, its end.
    pub(super) fn shrink(&mut self, budget: usize, most_lines: u64) {
        while self.tokens > budget && self.kept.len() > 1 {
            self.drop_first();
        }
        while self.kept.len() as u64 > most_lines.max(1) {
            self.drop_first();
        }
        if let Some(line) = self.kept.front_mut().filter(|line| line.tokens > budget) {
            // A byte costs at most a token.
            let mut start = line.text.len().saturating_sub(budget);
            while !line.text.is_char_boundary(start) {
                start += 1;
            }
            line.text.drain(..start);
            line.is_cut = true;
            line.tokens = line_tokens(&line.text);
        }
    }

    fn drop_first(&mut self) {
        if let Some(line) = self.kept.pop_front() {
            self.tokens -= line.tokens;
            self.left_out += 1;
        }
    }
}

/// What a line costs with its newline.
pub(super) fn line_tokens(line: &str) -> usize {
    estimate_tokens(line) + 1
}

/// The lines as one text.
pub(super) fn joined<'a>(lines: impl Iterator<Item = &'a str>, ends_with_newline: bool) -> String {
    let mut text = lines.fold(String::new(), |text, line| text + line + "\n");
    if !ends_with_newline {
        text.pop();
    }
    text
}
