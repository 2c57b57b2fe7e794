//! `session_logs`: what a session printed and what happened to it, in one order.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::mcp::answer::{Answer, is_default, json_tokens};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::events;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Event, TerminalSize};
use crate::term::text;
use crate::term::tokens::estimate_tokens;

/// Lines of `logs`, unless asked otherwise.
const LINES: usize = 200;
/// Bytes of output looked at for each token of the budget.
const BYTES_PER_TOKEN: usize = 3;

pub(crate) const TOOL: Tool = Tool {
    name: "session_logs",
    title: "Read a session's log",
    description: "Shows what happened in a session: its output with its events (start, command, status, input, signal, \
        timeout, exit, task, error, decision…) in between, where they happened. For output alone use session_output.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Log>,
    run: |call, arguments| Box::pin(async move { logs(call, typed(arguments)?).await }),
};

// What an entry is about: a type of event, or the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Kind(#[schemars(with = "String", extend("enum" = kinds()))] String);

const OUTPUT: &str = "output";

fn kinds() -> Vec<&'static str> {
    let mut kinds = vec![OUTPUT];
    kinds.extend(events::type_words());
    kinds
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    /// Only the last so many (default 200)
    #[schemars(range(min = 1, max = 100_000))]
    lines: Option<usize>,
    since: Option<u64>,
    /// Only these (default all)
    #[serde(default)]
    kinds: Vec<Kind>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Log {
    logs: String,
    /// The events among them.
    #[serde(skip_serializing_if = "is_default")]
    entries: Vec<Entry>,
    /// Pass it as since to go on.
    cursor: u64,
    #[serde(skip_serializing_if = "is_default")]
    omitted_lines: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Entry {
    at: String,
    #[schemars(extend("enum" = events::type_words()))]
    kind: &'static str,
    /// Where the output stood.
    cursor: u64,
    text: String,
}

fn entry(event: &Event) -> Entry {
    Entry {
        at: event.at.to_string(),
        kind: event.event_type().as_str(),
        cursor: event.output_cursor,
        text: events::text(event),
    }
}

async fn logs(call: &Call, arguments: Arguments) -> Result<Answer> {
    let observation = call.orchestrator.observe(&arguments.session_id).await?;
    let (session, end) = (observation.session.id, observation.output_cursor);
    let history =
        call.orchestrator.events(&session, arguments.since.unwrap_or(0), limits::LOG_ENTRIES).await?;
    let mut room = call.room();
    loop {
        let log = page(call, &session, end, &arguments, &history, room.tokens).await?;
        let mut text = format!("{}\n[cursor {}", log.logs, log.cursor);
        if log.omitted_lines > 0 {
            let _ = write!(text, " · {} earlier left out", log.omitted_lines);
        }
        text.push(']');
        let answer = Answer::new(text, &log)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

async fn page(
    call: &Call,
    session: &SessionId,
    end: u64,
    arguments: &Arguments,
    history: &[Event],
    budget_tokens: usize,
) -> Result<Log> {
    let wants =
        |kind: &str| arguments.kinds.is_empty() || arguments.kinds.iter().any(|Kind(wanted)| wanted == kind);
    let most = budget_tokens * BYTES_PER_TOKEN;
    let since = arguments.since.unwrap_or_else(|| end.saturating_sub(most as u64));
    let mut entries: Vec<Entry> = history.iter().map(entry).filter(|entry| wants(entry.kind)).collect();
    let (from, output) = if wants(OUTPUT) {
        let raw = call.orchestrator.raw_output(session, None, Some(since), most).await?;
        (raw.from, raw.bytes)
    } else {
        (since, Vec::new())
    };
    let cursor = if output.is_empty() { end } else { from + output.len() as u64 };
    // What happened behind this page is on the next one.
    entries.retain(|entry| cursor == end || entry.cursor < cursor);
    let lines = interleaved(from, &output, &entries);
    let most_lines = arguments.lines.unwrap_or(LINES);
    let (lines, omitted_lines) =
        last_within(lines, most_lines, budget_tokens * 2 / 3, |line| estimate_tokens(line) + 1);
    // Entries are the machine's view of the same stretch: no more of them than lines.
    let (entries, _) = last_within(entries, lines.len(), budget_tokens / 3, json_tokens);
    Ok(Log { logs: lines.join("\n"), entries, cursor, omitted_lines })
}

/// The last items, at most `most` of them and within a budget of tokens; and how many were left out.
fn last_within<T>(
    mut items: Vec<T>,
    most: usize,
    budget: usize,
    tokens: impl Fn(&T) -> usize,
) -> (Vec<T>, usize) {
    let mut left = budget;
    let fitting = items.iter().rev().take(most).take_while(|item| {
        let tokens = tokens(item);
        let fits = tokens <= left;
        left = left.saturating_sub(tokens);
        fits
    });
    let omitted = items.len() - fitting.count();
    (items.split_off(omitted), omitted)
}

/// The lines of the output, with a line for each entry where it happened.
fn interleaved(from: u64, output: &[u8], entries: &[Entry]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = output;
    let mut position = from;
    for entry in entries {
        let ahead = usize::try_from(entry.cursor.saturating_sub(position)).unwrap_or(usize::MAX);
        let (before, behind) = rest.split_at(ahead.min(rest.len()));
        lines.extend(plain(before));
        position += before.len() as u64;
        rest = behind;
        lines.push(format!("── {} {}", entry.at, entry.text));
    }
    lines.extend(plain(rest));
    lines
}

fn plain(bytes: &[u8]) -> Vec<String> {
    let size = TerminalSize::default();
    text::render(bytes, size.rows, size.cols).text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_items_within_both_bounds_are_kept() {
        let check = |most, budget| last_within(vec![5, 1, 2, 3], most, budget, |item| *item);
        assert_eq!(check(9, 100), (vec![5, 1, 2, 3], 0));
        assert_eq!(check(2, 100), (vec![2, 3], 2));
        assert_eq!(check(9, 7), (vec![1, 2, 3], 1));
        assert_eq!(check(9, 2), (vec![], 4));
    }

    #[test]
    fn events_stand_where_they_happened() {
        let event = |cursor: u64, text: &str| Entry {
            at: "T".to_owned(),
            kind: "command",
            cursor,
            text: text.to_owned(),
        };
        let output = b"one\r\n\x1b[1mtwo\x1b[0m\r\n10%\r100%\r\n";
        let lines = interleaved(100, output, &[event(50, "early"), event(105, "middle"), event(999, "late")]);
        assert_eq!(lines, ["── T early", "one", "── T middle", "two", "100%", "── T late"]);
    }
}
