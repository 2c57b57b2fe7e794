//! Questions with a menu of answers below them, as agent CLIs ask: one of the answers is marked, they may be
//! numbered, and nothing but a frame and hints on keys stands below.
//!
//! A yes for good (`Yes, and don't ask again`) is never meant: only one that answers this question. The marked
//! answer is taken with Enter and another by its number. A program that only moves its mark to a number shows
//! that, and is given the Enter then.

use super::super::screen::Screen;
use super::{Prompt, filled, trimmed};

/// What marks the chosen answer.
const MARKS: &[char] = &['❯', '›', '●', '▶', '▸', '→', '◉', '➤', '>'];
/// What marks another one.
const OTHERS: &[char] = &['○', '◯'];
/// Sides of frames.
const SIDES: &[char] = &['│', '┃', '║', '▌', '▐', '┆', '┊', '╎'];
/// Lines of hints below a menu.
const HINTS: usize = 3;
/// Further rows that one wrapped answer takes.
const WRAPPED: usize = 3;
/// A frame's edge, or a rule, is at least so long.
const EDGE: usize = 8;
const DIGITS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// One answer.
struct Choice {
    row: usize,
    number: Option<usize>,
    is_marked: bool,
    label: String,
}

/// The question whose menu ends the screen.
pub(super) fn recognise(screen: &Screen) -> Option<Prompt> {
    let lines = &screen.lines;
    let end = end_of_menu(lines)?;
    let choices = numbered(lines, end).or_else(|| marked(lines, end))?;
    if choices.iter().filter(|choice| choice.is_marked).count() != 1
        || !choices.iter().any(|choice| is_no(&choice.label))
    {
        return None;
    }
    // A program that marks its no has its reason.
    let yes = yes_among(&choices)
        .filter(|_| !choices.iter().any(|choice| choice.is_marked && is_no(&choice.label)))?;
    let keys = if yes.is_marked { "\r" } else { DIGITS.get(yes.number?.checked_sub(1)?).copied()? };
    let first = choices.first()?.row;
    let (shown, is_cut) = above(lines, first);
    let is_question = |line: &&String| line.trim_end().ends_with('?');
    let question = shown.iter().rev().find(is_question).or_else(|| shown.last())?.trim();
    let question = question.trim_start_matches(['?', '◆', '◇', ' ']).to_owned();
    let rows = lines[..first].iter().map(|line| inside(line)).filter(|text| !is_edge(text));
    let is_cut = is_cut && screen.is_cut || shown.iter().any(|line| is_elided(line));
    Some(Prompt { question, shown, above: filled(rows), is_cut, is_menu: true, yes: Some(keys) })
}

/// A line without the sides of a frame.
fn inside(line: &str) -> &str {
    let trimmed = line.trim();
    let stripped = trimmed.trim_start_matches(SIDES);
    let end = stripped.trim_end_matches(SIDES);
    if end.len() < trimmed.len() { end } else { line.trim_end() }
}

fn is_edge(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && text.chars().all(|c| {
            matches!(
                c,
                '─' | '━'
                    | '═'
                    | '╌'
                    | '╭'
                    | '╮'
                    | '╰'
                    | '╯'
                    | '┌'
                    | '┐'
                    | '└'
                    | '┘'
                    | '├'
                    | '┤'
                    | '╔'
                    | '╗'
                    | '╚'
                    | '╝'
            )
        })
}

/// Whether it stands for lines that are not shown: `… +12 lines (ctrl+o to expand)`.
fn is_elided(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    line.starts_with(['…', '.', '+']) && line.contains("line") && line.contains(|c: char| c.is_ascii_digit())
}

fn is_hint(text: &str) -> bool {
    let lower = text.trim().to_lowercase();
    let begins =
        ["esc", "enter to ", "enter confirm", "press ", "tab", "use ", "ctrl", "↑", "↵", "(use", "shift"];
    let says =
        [" to cancel", " to confirm", " to select", " to navigate", " to go back", " to submit", " to move"];
    !lower.ends_with([':', '?', '>'])
        && begins.iter().any(|begin| lower.starts_with(begin))
        && says.iter().any(|word| lower.contains(word))
}

/// Behind the last line of the menu.
fn end_of_menu(lines: &[String]) -> Option<usize> {
    let mut hints = 0;
    let mut end = lines.len();
    while let Some(line) = end.checked_sub(1).and_then(|last| lines.get(last)) {
        let text = inside(line);
        if is_hint(text) {
            hints += 1;
        } else if !text.trim().is_empty() && !is_edge(text) {
            break;
        }
        end -= 1;
    }
    (end > 0 && hints <= HINTS).then_some(end)
}

/// `❯ 2. No`
fn choice(row: usize, line: &str) -> Choice {
    let text = inside(line).trim();
    let unmarked = text.trim_start_matches(MARKS);
    let is_marked = unmarked.len() < text.len();
    let text = unmarked.trim_start_matches(OTHERS).trim_start();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, label) = match (text[..digits].parse().ok(), text[digits..].strip_prefix(['.', ')'])) {
        (Some(number), Some(label)) if label.starts_with(' ') => (Some(number), label.trim()),
        _ => (None, text),
    };
    Choice { row, number, is_marked, label: label.to_owned() }
}

/// Answers numbered from 1 on, up to `end`. A row without a number goes on with the answer above it.
fn numbered(lines: &[String], end: usize) -> Option<Vec<Choice>> {
    let mut choices: Vec<Choice> = Vec::new();
    let mut wrapped = Vec::new();
    for (row, line) in lines.iter().enumerate().take(end).rev() {
        let mut found = choice(row, line);
        let Some(number) = found.number else {
            let text = inside(line);
            let is_indented = text.starts_with("   ");
            if wrapped.len() == WRAPPED || text.trim().is_empty() || !is_indented {
                return None;
            }
            wrapped.push(text.trim().to_owned());
            continue;
        };
        if number >= DIGITS.len() || choices.last().is_some_and(|below| below.number != Some(number + 1)) {
            return None;
        }
        for more in wrapped.drain(..).rev() {
            found.label = format!("{} {more}", found.label);
        }
        choices.push(found);
        if number == 1 {
            choices.reverse();
            return (choices.len() > 1).then_some(choices);
        }
    }
    None
}

/// Answers without numbers: `Yes` and `No`, one of them marked, in two rows or in one.
fn marked(lines: &[String], end: usize) -> Option<Vec<Choice>> {
    let last = inside(lines.get(end - 1)?);
    if let Some((first, second)) = last.split_once(" / ") {
        let row = end - 1;
        let choices = vec![choice(row, first), choice(row, second)];
        return choices.iter().all(is_bare).then_some(choices);
    }
    let first = end.checked_sub(2)?;
    let choices = vec![choice(first, &lines[first]), choice(end - 1, &lines[end - 1])];
    choices.iter().all(is_bare).then_some(choices)
}

/// Whether it is a plain yes or no: there is no number to tell it from any other line.
fn is_bare(choice: &Choice) -> bool {
    choice.number.is_none() && matches!(choice.label.to_lowercase().as_str(), "yes" | "no")
}

/// The one answer that is a yes to this question alone. Where several are, the plain one among them.
fn yes_among(choices: &[Choice]) -> Option<&Choice> {
    let only = |is_meant: fn(&str) -> bool| {
        let mut found = choices.iter().filter(|choice| is_meant(&choice.label));
        found.next().filter(|_| found.next().is_none())
    };
    only(is_yes)
        .or_else(|| only(|label| is_yes(label) && words(label) == ["yes"]))
        .or_else(|| only(|label| is_yes(label) && words(label).iter().any(|word| word == "once")))
}

/// Bytes of a key behind an answer, with its brackets: ` (esc)`.
const KEY: usize = 6;

/// The words of an answer, without what its end says of keys: `Yes, proceed (y)`.
fn words(label: &str) -> Vec<String> {
    let lower = label.to_lowercase();
    let is_key = |at: &usize| lower.ends_with(')') && lower.len() - at <= KEY;
    let text = lower.rfind(" (").filter(is_key).map_or(lower.as_str(), |at| &lower[..at]);
    let is_between = |c: char| !c.is_alphanumeric() && c != '\'' && c != '’';
    text.split(is_between).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What may stand behind a yes without making it one to more than the question.
const PLAIN: &[&str] = &[
    "proceed", "continue", "allow", "approve", "run", "it", "once", "just", "only", "this", "time", "i'm",
    "i", "am", "sure", "go", "ahead", "execute",
];

/// A yes to this one question.
fn is_yes(label: &str) -> bool {
    let words = words(label);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_more = |word: &&str| PLAIN.contains(word);
    matches!(words.as_slice(), ["yes", more @ ..] if more.iter().all(is_more))
        || matches!(words.as_slice(), ["allow" | "approve" | "accept" | "proceed" | "run"])
        || matches!(words.as_slice(), ["allow" | "approve" | "accept" | "run", "once"])
}

fn is_no(label: &str) -> bool {
    let words = words(label);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words.as_slice(), ["no", ..] | ["deny" | "reject" | "cancel" | "decline" | "abort"])
}

/// What belongs to the menu whose first answer is in the row `first`: up to the top of its frame or to a rule.
/// Where there is neither, the paragraph that asks, and what stands between it and the menu; that may begin further
/// above, which is said too.
fn above(lines: &[String], first: usize) -> (Vec<String>, bool) {
    let is_side = |line: &String| line.trim_start().starts_with(SIDES);
    let is_framed = is_side(&lines[first]);
    // What is asked about is shown indented: a rule in it is none of the program's.
    let is_top = |line: &String| {
        let is_corner = line.trim_start().starts_with(['╭', '┌', '╔']);
        let is_rule = !is_framed && !line.starts_with(['╌', ' ']);
        is_edge(line) && line.trim().chars().count() >= EDGE && (is_corner || is_rule)
    };
    let top = lines[..first].iter().rposition(is_top).map(|at| at + 1);
    let top = top.filter(|top| !is_framed || lines[*top..first].iter().all(is_side));
    let clean = |from: usize| -> Vec<String> {
        let lines: Vec<String> = lines[from..first]
            .iter()
            .map(|line| inside(line))
            .filter(|text| !is_edge(text))
            .map(str::to_owned)
            .collect();
        trimmed(&lines).to_vec()
    };
    if let Some(top) = top {
        return (clean(top), false);
    }
    let is_question = |line: &String| inside(line).trim_end().ends_with('?');
    let asked = lines[..first].iter().rposition(is_question).unwrap_or(0);
    let blank = lines[..asked].iter().rposition(|line| inside(line).trim().is_empty());
    (clean(blank.map_or(0, |at| at + 1)), true)
}
