//! Which of the kept lines are shown within the budgets, and the text that they make with the folds
//! between them.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;

use super::digest::{Digest, Gap, Line, Section};
use super::templates::{Fold, Templates};
use super::{Condensed, Measure};
use crate::term::filter::beginning;
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
    let mut laid_out = Condensed::default();
    for percent in ATTEMPTS {
        let sections = measure.section_tokens.map(|tokens| share(tokens, percent));
        let shown = choose(&lines, &sections);
        let mut page = Page {
            templates,
            fold_templates: measure.fold_templates,
            fold_tokens: share(measure.fold_tokens, percent),
            named: HashSet::new(),
            text: String::new(),
            next: 1,
            out: Condensed { total_lines, ..Condensed::default() },
        };
        let mut gap = digest.first.clone();
        for (line, behind) in digest.kept.values() {
            if shown.contains(&line.number) {
                page.gap(&gap);
                page.line(&line.text);
                gap = behind.clone();
            } else {
                gap.push(&line.text, line.fold, line.tokens);
                gap.append(behind.clone());
            }
        }
        page.gap(&gap);
        laid_out = page.finish();
        if laid_out.tokens <= budget_tokens {
            break;
        }
    }
    laid_out
}

/// The first lines of each section within its budget, then of all with what the others left.
fn choose(lines: &[&Line], sections: &[usize; 6]) -> BTreeSet<u64> {
    let mut left = *sections;
    let mut shown = BTreeSet::new();
    let mut passed = Vec::new();
    for &line in lines {
        let left = &mut left[line.section() as usize];
        match left.checked_sub(cost(line)) {
            Some(rest) => {
                *left = rest;
                shown.insert(line.number);
            }
            None => passed.push(line),
        }
    }
    let mut left: usize = left.iter().sum();
    for line in passed {
        if let Some(rest) = left.checked_sub(cost(line)) {
            left = rest;
            shown.insert(line.number);
        }
    }
    shown
}

fn cost(line: &Line) -> usize {
    line.tokens + if line.section() == Section::Rare { FOLD_TOKENS } else { 0 }
}

/// The text as it is written.
struct Page<'a> {
    templates: &'a Templates,
    fold_templates: usize,
    fold_tokens: usize,
    /// Folds whose pattern stands above.
    named: HashSet<Fold>,
    text: String,
    /// The number of the next line.
    next: u64,
    out: Condensed,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        self.next += 1;
    }

    fn gap(&mut self, gap: &Gap) {
        if gap.lines == 0 {
            return;
        }
        let (fold, named) = self.fold(gap);
        let tokens = estimate_tokens(&fold) + 1;
        let few: usize = gap.few.iter().map(|(_, tokens)| tokens).sum();
        if !gap.few.is_empty() && few <= tokens {
            gap.few.iter().for_each(|(text, _)| self.line(text));
            return;
        }
        self.named.extend(named);
        self.fold_tokens = self.fold_tokens.saturating_sub(tokens);
        if self.out.omitted_lines == 0 {
            self.out.first_omitted = self.next;
        }
        self.out.omitted_lines += gap.lines;
        self.text.push_str(&fold);
        self.text.push('\n');
        self.next += gap.lines;
    }

    /// How the gap reads, and the folds that it names.
    fn fold(&self, gap: &Gap) -> (String, Vec<Fold>) {
        let mut text = match gap.lines {
            1 => format!("[line {}: ", self.next),
            lines => format!("[lines {}–{}: ", self.next, self.next + lines - 1),
        };
        let mut folds = gap.folds.clone();
        folds.sort_by_key(|&(fold, count)| (std::cmp::Reverse(count), fold));
        let most = if self.fold_tokens == 0 { 0 } else { self.fold_templates };
        let (mut others, mut named) = (gap.lines, Vec::new());
        for (fold, count) in folds {
            let pattern = self.templates.pattern(fold);
            if named.len() == most || pattern.is_empty() {
                continue;
            }
            let separator = if named.is_empty() { "" } else { " · " };
            let is_long = self.named.contains(&fold) && pattern.len() > SHOWN_BEFORE;
            let (shown, more) =
                if is_long { (beginning(&pattern, SHOWN_BEFORE), "…") } else { (pattern.as_str(), "") };
            let _ = write!(text, "{separator}{count} × \"{shown}{more}\"");
            others = others.saturating_sub(count);
            named.push(fold);
        }
        let _ = match (named.is_empty(), others) {
            (false, 0) => Ok(()),
            (false, others) => write!(text, " · {others} others"),
            (true, others) => write!(text, "{others} not shown"),
        };
        text.push(']');
        (text, named)
    }

    fn finish(mut self) -> Condensed {
        self.text.pop();
        Condensed { tokens: estimate_tokens(&self.text), text: self.text, ..self.out }
    }
}
