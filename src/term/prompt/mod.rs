//! Recognises a question that a program waits to have answered with yes or no, from what the screen shows:
//! the line that it left its cursor in (`line`), or the menu at the bottom (`menu`). Says what would type a
//! yes, and nothing of whether one should.
//!
//! Nothing but the last thing on the screen counts: a question with an answer or any other text behind it is
//! history, as is one that a pager or an editor shows. Whether the program waits for input at all is for others
//! to see. Which forms are known is what the recorded screens of the tests hold.
//!
//! How the terminal reads decides what can be typed: see [`Reading`].

mod line;
mod menu;
#[cfg(test)]
mod tests;

use super::screen::Screen;

/// What a program asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The question, in one line.
    pub question: String,
    /// The lines above it that belong to it, without frames and without blank lines at both ends.
    pub shown: Vec<String>,
    /// Every filled line above it, without frames.
    pub above: Vec<String>,
    /// Whether it may begin further above than can be seen.
    pub is_cut: bool,
    /// Whether it is a menu of answers, not a line.
    pub is_menu: bool,
    /// What types a yes. None where it is not yes or no that is asked for, but a secret.
    pub yes: Option<&'static str>,
}

/// How what is typed is read, as the modes of the terminal tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// In lines: a word is typed with an Enter behind it.
    Lines,
    /// In lines that do not show: a secret is asked for.
    HiddenLines,
    /// In keys that the terminal shows: a letter is typed alone, since an Enter would answer what is asked next. No
    /// line editor leaves it to the terminal to show what is typed, as it would stand there twice.
    Keys,
    /// By the program, which also shows what is typed. It may take single keys or edit a line (as `read` of fish
    /// does), so nothing is typed but what both take: an Enter, or a key that a menu of its own names.
    Itself,
}

impl Reading {
    /// What types this word, or this letter.
    fn types(self, lines: &'static str) -> Option<&'static str> {
        match (self, lines) {
            (Self::Lines, _) | (_, ENTER) => Some(lines),
            (Self::Keys, Y) => Some("y"),
            (Self::HiddenLines | Self::Keys | Self::Itself, _) => None,
        }
    }
}

const ENTER: &str = "\r";
const Y: &str = "y\r";
const YES: &str = "yes\r";

/// What a screen asks; nothing where the answer could not be typed.
pub fn recognise(screen: &Screen, reading: Reading) -> Option<Prompt> {
    // What the terminal wrapped is one line to whoever reads it.
    let screen = &screen.unwrapped();
    let by_line =
        if screen.alternate { None } else { line::recognise(screen, reading == Reading::HiddenLines) };
    if let Some(prompt) = by_line {
        let Some(yes) = prompt.yes else { return Some(prompt) };
        return reading.types(yes).map(|yes| Prompt { yes: Some(yes), ..prompt });
    }
    // A menu moves its mark without a line being typed.
    if reading == Reading::Itself { menu::recognise(screen) } else { None }
}

/// The filled ones among lines.
fn filled<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<String> {
    lines.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// Without blank lines at both ends.
fn trimmed(lines: &[String]) -> &[String] {
    let is_filled = |line: &String| !line.trim().is_empty();
    let Some(first) = lines.iter().position(is_filled) else { return &[] };
    let last = lines.iter().rposition(is_filled).unwrap_or(first);
    &lines[first..=last]
}
