//! Recognises a question that a program waits to have answered with yes or no, from what the screen shows:
//! the line that it left its cursor in (`line`), or the menu at the bottom (`menu`). Says what would type a
//! yes, and nothing of whether one should.
//!
//! Nothing but the last thing on the screen counts: a question with an answer or any other text behind it is
//! history, as is one that a pager or an editor shows. Whether the program waits for input at all is for others
//! to see. Which forms are known is what the recorded screens of the tests hold.

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
    /// What types a yes. None where it is not yes or no that is asked for, but a secret.
    pub yes: Option<&'static str>,
}

/// Lines above a question that can belong to it.
const SHOWN: usize = 40;

/// What a screen of this many columns asks. `is_hidden`: the terminal does not show what is typed.
pub fn recognise(screen: &Screen, cols: u16, is_hidden: bool) -> Option<Prompt> {
    let by_line = if screen.alternate { None } else { line::recognise(screen, cols, is_hidden) };
    by_line.or_else(|| if is_hidden { None } else { menu::recognise(&screen.lines) })
}

/// Without blank lines at both ends.
fn trimmed(lines: &[String]) -> &[String] {
    let is_filled = |line: &String| !line.trim().is_empty();
    let Some(first) = lines.iter().position(is_filled) else { return &[] };
    let last = lines.iter().rposition(is_filled).unwrap_or(first);
    &lines[first..=last]
}
