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
    /// Every filled line above it, without frames.
    pub above: Vec<String>,
    /// Whether `shown` may begin further above than can be seen.
    pub is_cut: bool,
    /// Whether it is a menu of answers, not a line.
    pub is_menu: bool,
    /// What types a yes. None where it is not yes or no that is asked for, but a secret.
    pub yes: Option<&'static str>,
}

impl Prompt {
    /// As a program takes it that reads single keys and no lines: a letter without Enter, which would answer
    /// what it asks next. None where a word would have to be typed, whose letters would do the same.
    pub fn for_single_keys(mut self) -> Option<Self> {
        if !self.is_menu {
            match self.yes {
                Some(line::Y) => self.yes = Some("y"),
                Some(line::YES) => return None,
                _ => {}
            }
        }
        Some(self)
    }
}

/// Lines above a question that can belong to it.
const SHOWN: usize = 40;

/// What a screen of this many columns asks. `is_hidden`: the terminal does not show what is typed.
pub fn recognise(screen: &Screen, cols: u16, is_hidden: bool) -> Option<Prompt> {
    let by_line = if screen.alternate { None } else { line::recognise(screen, cols, is_hidden) };
    by_line.or_else(|| if is_hidden { None } else { menu::recognise(screen) })
}

/// Whether rows may have left the screen at its top.
fn is_full(screen: &Screen) -> bool {
    // A program may leave the last row empty.
    screen.lines.len().max(screen.cursor_row + 1) + 1 >= screen.rows
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
