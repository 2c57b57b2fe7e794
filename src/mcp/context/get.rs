//! `context_get`: gives back a session's context, or a part of it.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roles;
use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{ContextMessage, Kept};
use crate::orchestrator::context::{ContextPart, ContextQuery};

pub(crate) const TOOL: Tool = Tool {
    name: "context_get",
    title: "Read a context",
    description: "Gives the messages that context_add kept of a session, in their order, as context_compress left them: all, \
        the last few (recent), or what fits into maxTokens: system messages first, then the latest. original gives every \
        message as it came. What did not fit is read on with offset and since.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Context>,
    run: |call, arguments| Box::pin(async move { get(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    /// Only the last so many messages
    recent: Option<usize>,
    max_tokens: Option<u64>,
    #[serde(default)]
    original: bool,
    /// A cursor
    #[serde(default)]
    since: usize,
    #[serde(default)]
    offset: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    number: u64,
    #[schemars(extend("enum" = roles()))]
    role: &'static str,
    content: String,
    token_count: u64,
    added_at: String,
    /// It stands for messages that were left out.
    #[serde(skip_serializing_if = "is_default")]
    summary: bool,
    /// Only some of its lines are left.
    #[serde(skip_serializing_if = "is_default")]
    cut: bool,
    /// The rest comes with cursor and offset.
    #[serde(skip_serializing_if = "is_default")]
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Context {
    session_id: String,
    messages: Vec<Item>,
    /// Of the whole context
    message_count: u64,
    total_tokens: u64,
    /// Of the messages as they came, where that is more
    #[serde(skip_serializing_if = "is_default")]
    original_tokens: u64,
    #[serde(skip_serializing_if = "is_default")]
    cursor: Option<usize>,
    #[serde(skip_serializing_if = "is_default")]
    offset: usize,
}

impl Item {
    /// A message as it is asked for, from this byte on.
    fn of(message: &ContextMessage, original: bool, from: usize) -> Self {
        let (content, tokens) = match message.left() {
            Some(left) if !original => left,
            Some(_) | None => (message.content.as_str(), message.tokens),
        };
        Self {
            number: message.number,
            role: message.role.as_str(),
            content: content[boundary(content, from)..].to_owned(),
            token_count: tokens,
            added_at: message.added_at.to_string(),
            summary: message.is_summary,
            cut: !original && message.kept != Kept::Whole,
            truncated: false,
        }
    }
}

/// The nearest place at or before `at` where a character begins or the text ends.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// As many items as fit; of one that is larger than everything, its beginning. Returns where the next
/// answer goes on: in which of the items, and how many bytes behind where this one began.
fn page(items: &[Item], tokens: usize) -> (Vec<Item>, usize, usize) {
    let fits = fitting(items, tokens);
    if fits > 0 || items.is_empty() {
        return (items[..fits].to_vec(), fits, 0);
    }
    let mut first = items[0].clone();
    // No text costs more tokens than it has bytes; what JSON escapes makes of it is seen when it is there.
    let end = boundary(&first.content, tokens);
    let end = if end == 0 { first.content.chars().next().map_or(0, char::len_utf8) } else { end };
    if end == first.content.len() {
        return (vec![first], 1, 0);
    }
    first.content.truncate(end);
    first.truncated = true;
    (vec![first], 0, end)
}

async fn get(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = ContextQuery {
        recent: arguments.recent,
        max_tokens: arguments.max_tokens,
        original: arguments.original,
    };
    let part = call.orchestrator.context(&arguments.session_id, query).await?;
    let ContextPart { session, messages, totals } = part;
    // Each takes some tokens: no more than these can fit.
    let shown = messages.iter().skip(arguments.since).take(call.room().tokens / 8);
    let items: Vec<Item> = shown
        .enumerate()
        .map(|(index, message)| {
            Item::of(message, query.original, if index == 0 { arguments.offset } else { 0 })
        })
        .collect();
    let mut room = call.room();
    loop {
        let (shown, whole, bytes) = page(&items, room.tokens);
        let next = arguments.since.saturating_add(whole);
        let is_all = next >= messages.len();
        let offset = match bytes {
            0 => 0,
            bytes => arguments.offset + bytes,
        };
        let context = Context {
            session_id: session.to_string(),
            messages: shown,
            message_count: if query.original { totals.messages } else { totals.left_messages },
            total_tokens: if query.original { totals.tokens } else { totals.left_tokens },
            original_tokens: if totals.tokens == totals.left_tokens { 0 } else { totals.tokens },
            cursor: (!is_all).then_some(next),
            offset,
        };
        let answer = Answer::new(text(&context), &context)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

fn text(context: &Context) -> String {
    let mut text = format!("{} messages of {} tokens", context.message_count, context.total_tokens);
    for item in &context.messages {
        let _ = write!(text, "\n#{} {}", item.number, item.role);
        for (is_so, what) in [(item.summary, "summary"), (item.cut, "cut"), (item.truncated, "truncated")] {
            if is_so {
                let _ = write!(text, " ({what})");
            }
        }
        let _ = write!(text, ": {}", item.content);
    }
    if let Some(cursor) = context.cursor {
        let _ = write!(text, "\n(more: pass since: {cursor}");
        if context.offset > 0 {
            let _ = write!(text, ", offset: {}", context.offset);
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(content: &str) -> Item {
        Item {
            number: 1,
            role: "user",
            content: content.to_owned(),
            token_count: 1,
            added_at: String::new(),
            summary: false,
            cut: false,
            truncated: false,
        }
    }

    #[test]
    fn a_message_larger_than_a_page_is_read_in_parts() {
        let long = "ä word ".repeat(400);
        let (mut read, mut from, mut pages) = (String::new(), 0, 0);
        while from < long.len() {
            let (shown, whole, bytes) = page(&[item(&long[from..]), item("next")], 300);
            read.push_str(&shown[0].content);
            from = if whole > 0 { long.len() } else { from + bytes };
            pages += 1;
        }
        assert_eq!(read, long);
        assert!((3..20).contains(&pages), "{pages}");
    }

    #[test]
    fn a_page_without_any_room_still_moves_on() {
        let (shown, whole, bytes) = page(&[item("äb"), item("next")], 0);
        assert_eq!((shown[0].content.as_str(), whole, bytes), ("ä", 0, 2));
    }
}
