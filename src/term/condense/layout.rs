//! Which of the kept lines are shown within the budgets, and the text that they make with the folds
//! between them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::digest::{Digest, Gap, Line, Section};
use super::templates::{Fold, Templates};
use super::{Condensed, Measure};
use crate::term::filter::{beginning, line_tokens};
use crate::term::tokens::estimate_tokens;

/// What the fold beside a line that stands alone costs at least.
const FOLD_TOKENS: usize = 10;
/// A pattern that was shown before is shown so far, in bytes.
const SHOWN_BEFORE: usize = 32;
/// How much of the budgets is tried, in percent. Folds cost something too.
const ATTEMPTS: [usize; 8] = [100, 80, 60, 45, 30, 20, 10, 0];

/// Lays the digest out within `budget_tokens`.
pub(super) fn lay_out(
    digest: &Digest,
    templates: &Templates,
    measure: &Measure,
    total_lines: u64,
    budget_tokens: usize,
) -> Condensed {
    let wanted = measure.section_tokens.iter().sum::<usize>() + measure.fold_tokens;
    let share = |tokens: usize, percent: usize| tokens * budget_tokens.min(wanted) / wanted * percent / 100;
    let lines = digest.by_importance();
    let mut page = Page {
        templates,
        patterns: HashMap::new(),
        fold_templates: measure.fold_templates,
        fold_tokens: 0,
        named: HashSet::new(),
        fold: String::new(),
        text: String::new(),
        tokens: 0,
        next: 1,
        out: Condensed::default(),
    };
    let mut laid_out = Condensed::default();
    for percent in ATTEMPTS {
        let sections = measure.section_tokens.map(|tokens| share(tokens, percent));
        page.begin(total_lines, share(measure.fold_tokens, percent));
        let mut shown = choose(&lines, &sections).into_iter().peekable();
        let mut gap = Gap::default();
        gap.append(&digest.first);
        for (line, behind) in digest.kept.values() {
            if shown.next_if_eq(&line.number).is_some() {
                page.gap(&gap);
                page.line(&line.text, line.tokens);
                gap.clear();
            } else {
                gap.push(&line.text, line.fold, line.tokens);
            }
            gap.append(behind);
        }
        page.gap(&gap);
        // From the last attempt, which shows hardly more than folds, nothing can be taken away.
        if page.tokens > budget_tokens && percent > 0 {
            continue;
        }
        laid_out = page.finish();
        if laid_out.tokens <= budget_tokens {
            break;
        }
    }
    laid_out
}

/// The numbers of the first lines of each section within its budget, then of all with what the others left.
fn choose(lines: &[&Line], sections: &[usize; 6]) -> Vec<u64> {
    let mut left = *sections;
    let mut shown = Vec::new();
    let mut passed = Vec::new();
    for &line in lines {
        let left = &mut left[line.section() as usize];
        match left.checked_sub(cost(line)) {
            Some(rest) => {
                *left = rest;
                shown.push(line.number);
            }
            None => passed.push(line),
        }
    }
    let mut left: usize = left.iter().sum();
    for line in passed {
        if let Some(rest) = left.checked_sub(cost(line)) {
            left = rest;
            shown.push(line.number);
        }
    }
    shown.sort_unstable();
    shown
}

fn cost(line: &Line) -> usize {
    line.tokens + if line.section() == Section::Rare { FOLD_TOKENS } else { 0 }
}

/// The text as it is written.
struct Page<'a> {
    templates: &'a Templates,
    /// Patterns that were asked for.
    patterns: HashMap<Fold, String>,
    fold_templates: usize,
    fold_tokens: usize,
    /// Folds whose pattern stands above.
    named: HashSet<Fold>,
    /// The latest fold.
    fold: String,
    text: String,
    /// What the text costs, as far as that is known line by line.
    tokens: usize,
    /// The number of the next line.
    next: u64,
    out: Condensed,
}

impl Page<'_> {
    /// An empty page.
    fn begin(&mut self, total_lines: u64, fold_tokens: usize) {
        self.fold_tokens = fold_tokens;
        self.named.clear();
        self.text.clear();
        (self.tokens, self.next) = (0, 1);
        self.out = Condensed { total_lines, ..Condensed::default() };
    }

    fn line(&mut self, text: &str, tokens: usize) {
        self.text.push_str(text);
        self.text.push('\n');
        // Newlines in a row cost as much as one.
        self.tokens += if text.is_empty() { 0 } else { tokens };
        self.next += 1;
    }

    fn gap(&mut self, gap: &Gap<&str>) {
        if gap.lines == 0 {
            return;
        }
        let named = self.fold(gap);
        let tokens = line_tokens(&self.fold);
        let few: usize = gap.few.iter().map(|(_, tokens)| tokens).sum();
        if !gap.few.is_empty() && few <= tokens {
            gap.few.iter().for_each(|(text, tokens)| self.line(text, *tokens));
            return;
        }
        self.named.extend(named);
        self.fold_tokens = self.fold_tokens.saturating_sub(tokens);
        if self.out.omitted_lines == 0 {
            self.out.first_omitted = self.next;
        }
        self.out.omitted_lines += gap.lines;
        self.text.push_str(&self.fold);
        self.text.push('\n');
        self.tokens += tokens;
        self.next += gap.lines;
    }

    /// Writes how the gap reads to `fold`, and returns the folds that it names.
    fn fold(&mut self, gap: &Gap<&str>) -> Vec<Fold> {
        let text = &mut self.fold;
        text.clear();
        let _ = match gap.lines {
            1 => write!(text, "[line {}: ", self.next),
            lines => write!(text, "[lines {}–{}: ", self.next, self.next + lines - 1),
        };
        let (mut others, mut named) = (gap.lines, Vec::new());
        if self.fold_tokens > 0 {
            let mut folds = gap.folds.clone();
            folds.sort_unstable_by_key(|&(fold, count)| (std::cmp::Reverse(count), fold));
            for (fold, count) in folds {
                if named.len() == self.fold_templates {
                    break;
                }
                let pattern = self.patterns.entry(fold).or_insert_with(|| self.templates.pattern(fold));
                if pattern.is_empty() {
                    continue;
                }
                let separator = if named.is_empty() { "" } else { " · " };
                let is_long = self.named.contains(&fold) && pattern.len() > SHOWN_BEFORE;
                let (shown, more) =
                    if is_long { (beginning(pattern, SHOWN_BEFORE), "…") } else { (pattern.as_str(), "") };
                let _ = write!(text, "{separator}{count} × \"{shown}{more}\"");
                others = others.saturating_sub(count);
                named.push(fold);
            }
        }
        let _ = match (named.is_empty(), others) {
            (false, 0) => Ok(()),
            (false, others) => write!(text, " · {others} others"),
            (true, others) => write!(text, "{others} not shown"),
        };
        text.push(']');
        named
    }

    /// What came of it; the page is empty then.
    fn finish(&mut self) -> Condensed {
        let mut text = std::mem::take(&mut self.text);
        text.pop();
        Condensed { tokens: estimate_tokens(&text), text, ..std::mem::take(&mut self.out) }
    }
}
