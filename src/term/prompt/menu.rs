//! Questions with a menu of answers below them, as agent CLIs ask: one of the answers is marked, they may be
//! numbered, and nothing but a frame and hints on keys stands below.
//!
//! A yes for good (`Yes, and don't ask again`) is never meant: only one that answers this question. The marked
//! answer is taken with Enter and another by its number, the latter only while the cursor is hidden: nobody types
//! text then. A program that only moves its mark to a number shows that, and is given the Enter then.
//!
//! The text that is asked about was often made up by a model, and may draw frames and heads of its own. So the top of
//! a menu must be the only one that it can be; and where a row may go on in the next one because its agent wrapped it,
//! the line that they would make is given too.

use unicode_width::UnicodeWidthStr;

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
/// Columns that agents leave free at the right of what they wrap, at most.
const MARGIN: usize = 6;
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
    let keys = match yes.number {
        _ if yes.is_marked => "\r",
        Some(number) if !screen.shows_cursor => DIGITS.get(number.checked_sub(1)?).copied()?,
        _ => return None,
    };
    // Text is typed behind a line, whatever stands above it.
    let typed = lines.get(screen.cursor_row).filter(|_| screen.shows_cursor && screen.cursor_row >= end);
    let is_prompt =
        |line: &String| !line.is_empty() && !is_edge(line) && screen.cursor_col >= line.chars().count();
    if typed.is_some_and(is_prompt) {
        return None;
    }
    let first = choices.first()?.row;
    let Above { shown, is_cut } = above(screen, first);
    let is_question = |line: &&String| line.trim_end().ends_with('?');
    let question = shown.iter().rev().find(is_question).or_else(|| shown.last())?.trim();
    let question = question.trim_start_matches(['?', '◆', '◇', ' ']).to_owned();
    let rows = lines[..first].iter().map(|line| inside(line)).filter(|text| !is_edge(text));
    let is_cut = is_cut || shown.iter().any(|line| is_elided(line));
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
    let begins = [
        "esc",
        "enter to ",
        "enter confirm",
        "press ",
        "tab",
        "use ",
        "ctrl",
        "↑",
        "↵",
        "(use",
        "shift",
        "confirm with",
    ];
    let says = [" cancel", " confirm", " select", " navigate", " go back", " submit", " move"];
    !lower.ends_with([':', '?', '>'])
        && begins.iter().any(|begin| lower.starts_with(begin))
        && says.iter().any(|word| lower.contains(word))
}

/// Behind the last line of the menu.
fn end_of_menu(lines: &[String]) -> Option<usize> {
    let mut hints = 0;
    // Gemini says that it waits, and has its state below that.
    let waits = |line: &String| line.to_lowercase().contains("waiting for user confirmation");
    let mut end = lines.iter().rposition(waits).unwrap_or(lines.len());
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

/// The words of an answer, without what its end says of keys: `Yes, proceed (y)`.
fn words(label: &str) -> Vec<String> {
    let lower = label.to_lowercase();
    let is_key = |key: &str| key.chars().count() == 1 || KEYS.contains(&key);
    let text = lower
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once(" ("))
        .filter(|(_, key)| is_key(key))
        .map_or(lower.as_str(), |(text, _)| text);
    let is_between = |c: char| !c.is_alphanumeric() && c != '\'' && c != '’';
    text.split(is_between).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What stands in brackets behind an answer and says how to take it, or that it is the usual one.
const KEYS: &[&str] = &["esc", "enter", "tab", "shift+tab", "default", "recommended"];

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

/// What stands above the answers.
struct Above {
    shown: Vec<String>,
    /// Whether it may begin further above than can be told.
    is_cut: bool,
}

/// What belongs to the menu whose first answer is in the row `first`: up to the top of its frame or to the one rule
/// above it. Where there is neither, the paragraph that asks, and what stands between it and the menu.
fn above(screen: &Screen, first: usize) -> Above {
    let lines = &screen.lines;
    let side = |line: &str| line.find(|c: char| c != ' ').filter(|at| line[*at..].starts_with(SIDES));
    let corner =
        |line: &str| line.find(|c: char| c != ' ').filter(|at| line[*at..].starts_with(['╭', '┌', '╔']));
    let is_long = |line: &String| is_edge(line) && line.trim().chars().count() >= EDGE;
    let framed = side(&lines[first]);
    let tops: Vec<usize> = (0..first)
        .filter(|row| is_long(&lines[*row]))
        .filter(|row| match framed {
            Some(_) => corner(&lines[*row]) == framed,
            // What is asked about is shown indented: a rule in it is none of the program's.
            None => corner(&lines[*row]).is_none() && !lines[*row].starts_with(['╌', ' ']),
        })
        .collect();
    let Some(top) = tops.last().copied() else {
        let is_question = |line: &String| inside(line).trim_end().ends_with('?');
        let asked = lines[..first].iter().rposition(is_question).unwrap_or(0);
        let blank = lines[..asked].iter().rposition(|line| inside(line).trim().is_empty());
        return Above {
            shown: rows(screen, blank.map_or(0, |at| at + 1), first, None),
            is_cut: screen.is_cut,
        };
    };
    // A frame has sides all the way down, and does not begin within another; a rule has no other above it.
    let is_whole = match framed {
        Some(_) => {
            lines[top + 1..first].iter().all(|line| side(line) == framed)
                && top.checked_sub(1).is_none_or(|above| side(&lines[above]) != framed)
        }
        None => tops.len() == 1,
    };
    let edge = framed.map(|_| lines[top].width());
    Above { shown: rows(screen, top + 1, first, edge), is_cut: !is_whole }
}

/// The rows of a menu without frames. Behind those that may be one line, which was wrapped before the column `edge`,
/// that line: broken between words, and within one.
fn rows(screen: &Screen, from: usize, to: usize, edge: Option<usize>) -> Vec<String> {
    let lines = &screen.lines[from..to];
    let edge = edge.unwrap_or(screen.cols).saturating_sub(MARGIN);
    let goes_on = |line: &str, next: &str| {
        let word = next.split_whitespace().next();
        // What has a frame of its own, as the rows of a file, is not wrapped.
        !line.trim().is_empty()
            && !line.trim_start().starts_with(SIDES)
            && word.is_some_and(|word| line.trim_end().width() + 1 + word.width() > edge)
    };
    let texts: Vec<&str> = lines.iter().map(|line| inside(line)).filter(|text| !is_edge(text)).collect();
    let mut shown: Vec<String> = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        shown.push((*text).to_owned());
        run.push(text.trim());
        if texts.get(at + 1).is_some_and(|next| goes_on(text, next)) {
            continue;
        }
        if run.len() > 1 {
            shown.extend([run.concat(), run.join(" ")]);
        }
        run.clear();
    }
    trimmed(&shown).to_vec()
}
