//! Questions in a line: the cursor stands behind them, and a key or a word is typed there.

use super::super::screen::Screen;
use super::{ENTER, Prompt, Y, YES, filled, trimmed};

/// Choices in one pair of brackets, such as git's `[y,n,q,a,d,j,J,g,/,e,p,?]`.
const CHOICES: usize = 20;

/// Choices that are words.
const WORDS: &[&str] = &[
    "yes",
    "no",
    "all",
    "none",
    "always",
    "never",
    "quit",
    "cancel",
    "skip",
    "abort",
    "help",
    "edit",
    "fingerprint",
];

/// Programs that ask about one file at a time, with no word on how to answer.
const FILE_TOOLS: &[&str] = &["rm", "rmdir", "unlink", "cp", "mv", "ln", "install"];
/// What they ask.
const FILE_QUESTIONS: &[&str] = &[
    "remove ",
    "descend into ",
    "overwrite ",
    "replace ",
    "unlink ",
    "try to overwrite ",
    "attempt removal of ",
];
/// What a program asks for that only its user knows.
const SECRETS: &[&str] = &[
    "password",
    "passphrase",
    "passwd",
    "passwort",
    "kennwort",
    "mot de passe",
    "contraseña",
    "wachtwoord",
    "passcode",
    "credential",
    "credentials",
    "private key",
    "pin",
    "secret",
    "token",
    "api key",
    "otp",
    "one-time code",
    "verification code",
    "authentication code",
    "two-factor",
    "2fa",
];

/// The question in the line that the cursor stands behind.
pub(super) fn recognise(screen: &Screen, is_hidden: bool) -> Option<Prompt> {
    let row = screen.cursor_row;
    if screen.lines.len() > row + 1 {
        return None;
    }
    let last = screen.lines.get(row).map_or("", |line| line.trim_end());
    if screen.cursor_col < last.chars().count() || (last.is_empty() && !is_hidden) {
        return None;
    }
    let question = last.trim().to_owned();
    let before = &screen.lines[..row.min(screen.lines.len())];
    let lower = question.to_lowercase();
    let shown = block_above(before);
    let above = filled(before.iter().map(String::as_str));
    let prompt = |yes, shown| Prompt {
        question: question.clone(),
        shown,
        above: above.clone(),
        is_cut: screen.is_cut,
        is_menu: false,
        yes,
    };
    let bare = |yes| Some(prompt(yes, Vec::new()));
    if is_hidden {
        return bare(None);
    }
    if is_about_a_file(&lower) {
        // It says all itself, if its first row is here.
        let is_cut = screen.is_cut && row == 0;
        return bare(Some(Y)).map(|prompt| Prompt { is_cut, ..prompt });
    }
    let yes = yes_of(&lower).or_else(|| typed_out(&lower, &shown));
    if names_secret(&lower) && (yes.is_some() || lower.ends_with([':', '?'])) {
        return bare(None);
    }
    yes.map(|yes| prompt(Some(yes), shown))
}

/// `rm: remove regular file 'a'?`
fn is_about_a_file(question: &str) -> bool {
    let Some((program, rest)) = question.split_once(": ") else { return false };
    let name = program.rsplit('/').next().unwrap_or(program);
    question.ends_with('?')
        && FILE_TOOLS.contains(&name)
        && FILE_QUESTIONS.iter().any(|asked| rest.starts_with(asked))
}

/// What the choices at the end of a question call yes: `[Y/n]`, `(yes/no)`, `(Y)es/(N)o`, `(y)`.
fn yes_of(question: &str) -> Option<&'static str> {
    for (yes, no) in [("(y)es", "(n)o"), ("[y]es", "[n]o")] {
        if let Some(at) = question.find(yes)
            && question[at..].contains(no)
            && !question[at..].contains(". ")
        {
            return Some(Y);
        }
    }
    let asked = question.trim_end_matches([' ', ':', '?', '>', '›', '.']);
    let (before, choices) = last_brackets(asked)?;
    match choices.as_slice() {
        [only @ ("y" | "yes" | "n" | "no" | "default=y" | "default=n" | "default=yes" | "default=no")] => {
            // What is taken when nothing is typed stands behind the choices, or alone.
            let is_asked = before.trim_end().ends_with('?');
            let before = before.trim_end_matches([' ', ':', '?']);
            let named = last_brackets(before).and_then(|(_, choices)| yes_among(&choices));
            // What is asked for may be a text, with this as its default.
            let alone = match *only {
                "y" if is_asked => Some(Y),
                "yes" if is_asked => Some(YES),
                _ => None,
            };
            named.or_else(|| slashed(before)).or(alone)
        }
        ["yn"] => Some(Y),
        choices => yes_among(choices),
    }
    .or_else(|| slashed(asked))
}

/// `Continue y/n`
fn slashed(question: &str) -> Option<&'static str> {
    let word = question.rsplit(' ').next().unwrap_or_default();
    match word {
        "y/n" | "n/y" => Some(Y),
        "yes/no" => Some(YES),
        _ => None,
    }
}

fn yes_among(choices: &[&str]) -> Option<&'static str> {
    let has = |word: &str| choices.contains(&word);
    // Other words in brackets are prose.
    let is_choice = |choice: &&str| choice.chars().count() == 1 || WORDS.contains(choice);
    if choices.len() > CHOICES || !(has("n") || has("no")) || !choices.iter().all(is_choice) {
        return None;
    }
    if has("y") {
        return Some(Y);
    }
    has("yes").then_some(YES)
}

/// What stands in the brackets that end a text, as choices, and what stands before them. A text without any
/// is all before.
fn last_brackets(text: &str) -> Option<(&str, Vec<&str>)> {
    let (open, close) = match text.chars().next_back() {
        Some(')') => ('(', ')'),
        Some(']') => ('[', ']'),
        _ => return slashed(text).map(|_| (text, Vec::new())),
    };
    let mut depth = 0_usize;
    let start = text.char_indices().rev().find_map(|(at, c)| {
        if c == close {
            depth += 1;
        } else if c == open {
            depth -= 1;
        }
        (depth == 0).then_some(at)
    })?;
    let inside = &text[start + 1..text.len() - 1];
    let separators = ['/', ',', '|', ' ', '[', ']', '(', ')'];
    Some((&text[..start], inside.split(separators).filter(|choice| !choice.is_empty()).collect()))
}

/// Words that say what to type.
fn typed_out(question: &str, shown: &[String]) -> Option<&'static str> {
    let says = |text: &str| ["'yes'", "\"yes\"", "`yes`", "type yes"].iter().any(|word| text.contains(word));
    let presses = |key: &str| question.contains(&format!("{key} to continue"));
    if question.contains("press") || question.contains("hit ") {
        let keys = ["enter", "[enter]", "<enter>", "return", "[return]", "any key"];
        return keys.into_iter().any(presses).then_some(ENTER);
    }
    let is_value = question.starts_with("enter a value") || question.starts_with("enter value");
    let is_accepted = shown.iter().any(|line| {
        let line = line.to_lowercase();
        says(&line) && line.contains("accepted")
    });
    if is_value && is_accepted {
        return Some(YES);
    }
    (question.ends_with([':', '?', '>']) && says(question)).then_some(YES)
}

fn names_secret(question: &str) -> bool {
    let words = |secret: &&str| {
        question.match_indices(*secret).any(|(at, found)| {
            let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !is_letter(question[..at].chars().next_back())
                && !is_letter(question[at + found.len()..].chars().next())
        })
    };
    SECRETS.iter().any(words)
}

/// The lines above that belong to a question: up to a blank line or an earlier question, whichever is nearer.
/// Where a blank line stands directly above it, those above that.
fn block_above(before: &[String]) -> Vec<String> {
    let mut end = before.len();
    while end > 0 && before[end - 1].trim().is_empty() {
        end -= 1;
    }
    let is_part = |line: &&String| !line.trim().is_empty() && !is_answered(line);
    let count = before[..end].iter().rev().take_while(is_part).count();
    trimmed(&before[end - count..end]).to_vec()
}

/// Whether a line is a question that has been answered.
fn is_answered(line: &str) -> bool {
    let lower = line.to_lowercase();
    let marks = ["[y/n]", "(y/n)", "(yes/no", "[yes/no", "(y)es/(n)o", "y/n", "(y)"];
    marks.iter().any(|mark| lower.contains(mark))
}
