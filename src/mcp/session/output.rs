//! `session_output`: reads what a terminal printed, or what it shows.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WaitUntil;
use crate::error::{Error, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::mcp::answer::{Answer, Saved, is_default};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::schema::{self, Condensing, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::{OutputQuery, RawOutput, ScreenShot, Until};
use crate::term::excerpt::{Excerpt, Page};
use crate::term::tokens::estimate_tokens;

/// No output for this long is quiet.
const QUIET: Duration = Duration::from_millis(500);
/// Bytes of raw output for each token of the budget: escapes are dense.
const RAW_BYTES_PER_TOKEN: usize = 2;
/// Tokens of output that are shown however little room there is: each page must bring its reader on.
const SMALLEST: usize = 16;

pub(crate) const TOOL: Tool = Tool {
    name: "session_output",
    title: "Read a session's output",
    description: "Reads a session's output. mode text (default): plain lines, the whole of it or cut down by since (a \
        cursor), commandId, the last lines, range (\"120-4560\"), grep, or errorsOnly; screen: what a full-screen \
        program shows now (range: its rows); raw: with escape sequences. wait blocks until output, quiet, exit, or a match of pattern \
        (in the last command's output, or behind since). What is too long is cut and counted; omittedFrom is the \
        cursor to go on reading from.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Reading>,
    run: |call, arguments| Box::pin(async move { read(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[serde(default)]
    mode: Mode,
    /// Only the last so many
    #[schemars(range(min = 1, max = 1_000_000))]
    lines: Option<usize>,
    since: Option<u64>,
    command_id: Option<String>,
    /// Regular expression
    #[schemars(extend("x-bytes" = limits::PATTERN_BYTES))]
    grep: Option<String>,
    #[serde(default)]
    errors_only: bool,
    #[schemars(extend("x-kind" = "range"))]
    range: Option<String>,
    wait: Option<Wait>,
    condense: Option<Condensing>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Text,
    Screen,
    Raw,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-short" = "until"))]
struct Wait {
    #[schemars(with = "String", extend("enum" = ["output", "quiet", "exit", "match"]))]
    until: WaitUntil,
    /// Regular expression
    #[schemars(extend("x-bytes" = limits::PATTERN_BYTES))]
    pattern: Option<String>,
    timeout: Option<Milliseconds>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Reading {
    output: String,
    /// Raw output that is not UTF-8; output is empty then.
    #[serde(skip_serializing_if = "is_default")]
    output_base64: String,
    /// Pass it as since to go on.
    cursor: u64,
    #[serde(skip_serializing_if = "is_default")]
    total_lines: u64,
    #[serde(skip_serializing_if = "is_default")]
    truncated: bool,
    #[serde(skip_serializing_if = "is_default")]
    omitted_lines: u64,
    #[serde(skip_serializing_if = "is_default")]
    omitted_bytes: u64,
    /// The cursor where the omission begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_from: Option<u64>,
    #[serde(flatten)]
    condensed: Option<Saved>,
    /// What was waited for did not come in time, or before the command's end.
    #[serde(skip_serializing_if = "is_default")]
    timed_out: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cols: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor_row: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor_col: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    alternate_screen: bool,
}

impl Arguments {
    fn until(&self) -> Result<Option<Until>> {
        let Some(wait) = &self.wait else { return Ok(None) };
        let until = match (wait.until, &wait.pattern) {
            (WaitUntil::Match, Some(given)) => Until::Match(check::pattern("wait.pattern", given)?),
            (WaitUntil::Match, None) => {
                return Err(refusal("wait.pattern", "'wait.pattern' is required with until \"match\""));
            }
            (_, Some(_)) => {
                return Err(refusal("wait.pattern", "'wait.pattern' goes with until \"match\" only"));
            }
            (WaitUntil::Output, None) => Until::Output,
            (WaitUntil::Quiet | WaitUntil::Idle, None) => Until::Quiet(QUIET),
            (WaitUntil::Exit, None) => Until::Exit,
        };
        Ok(Some(until))
    }

    /// Fields that the mode has no use for are refused, not left unheeded.
    fn check_mode(&self) -> Result<()> {
        let only_text = [
            ("lines", self.lines.is_some()),
            ("grep", self.grep.is_some()),
            ("errorsOnly", self.errors_only),
            ("condense", self.condense.is_some()),
        ];
        let only_lines = [("range", self.range.is_some())];
        let only_stream = [("since", self.since.is_some()), ("commandId", self.command_id.is_some())];
        let refused: &[&[(&str, bool)]] = match self.mode {
            Mode::Text => &[],
            Mode::Raw => &[&only_text, &only_lines],
            Mode::Screen => &[&only_text, &only_stream],
        };
        let picks = [
            ("lines", self.lines.is_some()),
            ("grep", self.grep.is_some()),
            ("errorsOnly", self.errors_only),
            ("range", self.range.is_some()),
        ];
        let is_condensed = matches!(self.condense, Some(Condensing::Auto | Condensing::Aggressive));
        if let Some((field, _)) = picks.iter().find(|(_, given)| *given && is_condensed) {
            let message = format!("'condense' does not go with '{field}', which gives the lines as they are");
            return Err(refusal("condense", message));
        }
        match refused.iter().copied().flatten().find(|(_, given)| *given) {
            Some((field, _)) => Err(refusal(
                field,
                format!("'{field}' does not go with this mode; it goes with mode \"text\""),
            )),
            None => Ok(()),
        }
    }

    fn query(&self) -> Result<OutputQuery> {
        Ok(OutputQuery {
            command: None,
            since: self.since,
            tail_lines: self.lines,
            range: self.range.as_deref().map(check::range).transpose()?,
            grep: self.grep.as_deref().map(|given| check::pattern("grep", given)).transpose()?,
            errors_only: self.errors_only,
            // Whoever reads by cursors wants the next piece, not the ends.
            condense: Condensing::or_when_cut(self.condense),
            page: if self.since.is_some() { Page::Forward } else { Page::Ends },
            budget_tokens: 0,
        })
    }
}

async fn read(call: &Call, arguments: Arguments) -> Result<Answer> {
    arguments.check_mode()?;
    let until = arguments.until()?;
    let query = arguments.query()?;
    let session = call.orchestrator.session(&arguments.session_id).await?.id;
    let command = match &arguments.command_id {
        None => None,
        Some(id) => Some(command_of(call, &session, id).await?),
    };
    let timed_out = match until {
        None => false,
        Some(until) => {
            let asked = arguments.wait.as_ref().and_then(|wait| wait.timeout);
            let longest = call.longest_wait(asked.map(Into::into));
            let (named, since) = (command.as_ref(), arguments.since);
            let come = call.orchestrator.wait_output(&session, named, since, until, longest);
            !call.wait(come, Watched::Output(&session, command.as_ref())).await?
        }
    };
    let query = OutputQuery { command, ..query };
    let mut room = call.room();
    loop {
        let budget_tokens = room.tokens.max(SMALLEST);
        let reading = match arguments.mode {
            Mode::Text => {
                let query = OutputQuery { budget_tokens, ..query.clone() };
                of_excerpt(call.orchestrator.output(&session, query).await?)
            }
            Mode::Screen => of_screen(call.orchestrator.screen(&session).await?, query.range, budget_tokens),
            Mode::Raw => {
                let (command, most) = (query.command.as_ref(), budget_tokens * RAW_BYTES_PER_TOKEN);
                of_bytes(call.orchestrator.raw_output(&session, command, arguments.since, most).await?)
            }
        };
        let reading = Reading { timed_out, ..reading };
        let answer = Answer::new(text(&reading), &reading)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

async fn command_of(call: &Call, session: &SessionId, id: &str) -> Result<CommandId> {
    let watch = call.orchestrator.command(id).await?;
    let command = watch.borrow();
    if command.session == *session {
        return Ok(command.id.clone());
    }
    let message = format!("'commandId' {} ran in session {}, not in {session}", command.id, command.session);
    Err(Error::invalid(message).with_hint(format!("use sessionId {}", command.session)))
}

fn of_excerpt(excerpt: Excerpt) -> Reading {
    Reading {
        output: excerpt.text,
        cursor: excerpt.cursor,
        total_lines: excerpt.total_lines,
        truncated: excerpt.truncated,
        omitted_lines: excerpt.omitted_lines,
        omitted_bytes: excerpt.omitted_bytes,
        omitted_from: excerpt.omitted_from,
        condensed: excerpt.condensed.map(Into::into),
        ..Reading::default()
    }
}

/// The rows that were asked for, as far as they fit.
fn of_screen(screen: ScreenShot, range: Option<(u64, u64)>, budget_tokens: usize) -> Reading {
    let (first, last) = range.unwrap_or((1, u64::MAX));
    let numbered = (1..).zip(&screen.lines);
    let asked: Vec<&str> =
        numbered.filter(|(row, _)| (first..=last).contains(row)).map(|(_, line)| line.as_str()).collect();
    let mut left = budget_tokens;
    let fitting = asked.iter().take_while(|line| {
        let tokens = estimate_tokens(line) + 1;
        let fits = tokens <= left;
        left = left.saturating_sub(tokens);
        fits
    });
    let shown = fitting.count();
    let omitted = &asked[shown..];
    Reading {
        output: asked[..shown].join("\n"),
        cursor: screen.cursor,
        truncated: !omitted.is_empty(),
        omitted_lines: omitted.len() as u64,
        omitted_bytes: omitted.iter().map(|line| line.len() as u64 + 1).sum(),
        rows: Some(screen.rows),
        cols: Some(screen.cols),
        cursor_row: Some(screen.cursor_row),
        cursor_col: Some(screen.cursor_col),
        title: screen.title,
        alternate_screen: screen.alternate,
        ..Reading::default()
    }
}

fn of_bytes(raw: RawOutput) -> Reading {
    let RawOutput { from, mut bytes, asked: (asked_from, asked_to), readable_from } = raw;
    let is_cut = from + (bytes.len() as u64) < asked_to;
    // A character that is cut off at the end is left for the next page.
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
        && error.valid_up_to() > 0
    {
        bytes.truncate(error.valid_up_to());
    }
    let cursor = from + bytes.len() as u64;
    let behind = if is_cut { asked_to - cursor } else { 0 };
    let omitted_bytes = from - asked_from + behind;
    let reading = Reading {
        cursor,
        truncated: omitted_bytes > 0,
        omitted_bytes,
        omitted_from: if readable_from < from { Some(readable_from) } else { is_cut.then_some(cursor) },
        ..Reading::default()
    };
    match String::from_utf8(bytes) {
        Ok(output) => Reading { output, ..reading },
        Err(error) => Reading { output_base64: base64(error.as_bytes()), ..reading },
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= group.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

fn text(reading: &Reading) -> String {
    let mut text = String::new();
    for part in [&reading.output, &reading.output_base64] {
        if !part.is_empty() {
            text.push_str(part.strip_suffix('\n').unwrap_or(part));
            text.push('\n');
        }
    }
    let _ = write!(text, "[cursor {}", reading.cursor);
    if let (Some(row), Some(col), Some(rows), Some(cols)) =
        (reading.cursor_row, reading.cursor_col, reading.rows, reading.cols)
    {
        let _ = write!(text, " · at row {row}, column {col} of {rows}×{cols}");
    }
    if reading.alternate_screen {
        text.push_str(" · alternate screen");
    }
    if let Some(title) = &reading.title {
        let _ = write!(text, " · title \"{title}\"");
    }
    if reading.total_lines > 0 {
        let _ = write!(text, " · lines: {}", reading.total_lines);
    }
    if reading.truncated {
        let _ = match reading.omitted_lines {
            0 => write!(text, " · {} bytes left out", reading.omitted_bytes),
            lines => write!(text, " · {lines} lines ({} bytes) left out", reading.omitted_bytes),
        };
    }
    if let Some(condensed) = &reading.condensed {
        let _ = write!(text, " · {}", condensed.fact());
    }
    if let Some(from) = reading.omitted_from {
        let _ = write!(text, " from cursor {from}");
    }
    if reading.timed_out {
        text.push_str(" · what was waited for did not come");
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }

    #[test]
    fn raw_output_keeps_escapes_and_never_splits_a_character() {
        let raw =
            |bytes: &[u8], asked| RawOutput { from: 10, bytes: bytes.to_vec(), asked, readable_from: 10 };
        let reading = of_bytes(raw(b"\x1b[1mh\xc3", (10, 16)));
        assert_eq!((reading.output.as_str(), reading.cursor), ("\u{1b}[1mh", 15));
        assert!(!reading.truncated, "the rest of the character is still to come");
        let reading = of_bytes(raw(b"a\xffb", (10, 13)));
        assert_eq!((reading.output_base64.as_str(), reading.cursor), ("Yf9i", 13));
    }

    #[test]
    fn raw_output_tells_what_was_left_out_and_where() {
        let check = |from, asked, readable_from| {
            let reading = of_bytes(RawOutput { from, bytes: b"abcd".to_vec(), asked, readable_from });
            (reading.truncated, reading.omitted_bytes, reading.omitted_from)
        };
        assert_eq!(check(10, (10, 14), 10), (false, 0, None));
        assert_eq!(check(10, (10, 20), 10), (true, 6, Some(14)), "the rest");
        assert_eq!(check(10, (2, 14), 2), (true, 8, Some(2)), "what came before");
        assert_eq!(check(10, (2, 14), 5), (true, 8, Some(5)), "what came before, and is dropped in part");
        assert_eq!(check(10, (2, 14), 10), (true, 8, None), "what was dropped cannot be read");
    }

    #[test]
    fn a_screen_is_shown_as_far_as_it_fits() {
        let screen = || ScreenShot {
            lines: (1..=9).map(|row| format!("row {row}")).collect(),
            rows: 9,
            cols: 9,
            cursor_row: 0,
            cursor_col: 0,
            title: None,
            alternate: true,
            cursor: 5,
        };
        let check = |range, budget| {
            let reading = of_screen(screen(), range, budget);
            (reading.output, reading.truncated, reading.omitted_lines, reading.omitted_bytes)
        };
        assert_eq!(check(Some((3, 4)), 100), ("row 3\nrow 4".to_owned(), false, 0, 0));
        assert_eq!(check(Some((8, 99)), 4), ("row 8".to_owned(), true, 1, 6));
        assert_eq!(check(None, 100).2, 0);
    }

    #[test]
    fn fields_that_do_not_fit_the_mode_are_refused() {
        let arguments = |value: serde_json::Value| serde_json::from_value::<Arguments>(value).unwrap();
        let with = |mode: &str, field: &str, value: serde_json::Value| {
            arguments(serde_json::json!({"sessionId": "s", "mode": mode, field: value})).check_mode().is_ok()
        };
        assert!(with("text", "grep", "x".into()));
        assert!(!with("screen", "grep", "x".into()));
        assert!(!with("screen", "since", 1.into()));
        assert!(with("raw", "since", 1.into()));
        assert!(!with("raw", "lines", 1.into()));
        assert!(!with("raw", "condense", "auto".into()));
        let grep = serde_json::json!({"sessionId": "s", "grep": "x", "condense": "auto"});
        assert!(arguments(grep).check_mode().unwrap_err().message.contains("'grep'"));
    }
}
