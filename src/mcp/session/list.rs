//! `session_list`: finds sessions.

use std::collections::HashMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::filter::{Filter, Key, order};
use super::{KINDS, StatusWord, kind_word};
use crate::error::Result;
use crate::id::SessionId;
use crate::mcp::answer::{Answer, fitting, is_default, json_tokens};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Session, SessionKind};
use crate::orchestrator::Usage;

/// Sessions on a page, unless asked otherwise.
const PAGE: usize = 50;
/// A session's capabilities and metadata get this part of a result at most.
const LABELS_SHARE: usize = 8;

pub(crate) const TOOL: Tool = Tool {
    name: "session_list",
    title: "List sessions",
    description: "Lists and finds sessions, ended ones too, with status (idle, active…), cpu (percent of a core) and memory (MB) of everything \
        in them. All arguments are optional: query is searched in name and workingDirectory, name is a glob, \
        metadata is {path: value} with dots in paths.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Page>,
    run: |call, arguments| Box::pin(async move { list(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    query: Option<String>,
    #[serde(rename = "type")]
    #[schemars(with = "Option<String>", extend("enum" = KINDS))]
    kind: Option<SessionKind>,
    #[serde(default)]
    status: Vec<StatusWord>,
    /// All of these
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    name: Option<String>,
    /// Where this agent works
    agent_id: Option<String>,
    #[serde(default)]
    order_by: Vec<OrderBy>,
    #[schemars(range(min = 1, max = 100_000))]
    page: Option<usize>,
    #[schemars(range(min = 1, max = 200))]
    page_size: Option<usize>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrderBy {
    /// name, type, status, createdAt, lastActivity, cpu, memory, workingDirectory or metadata.PATH
    field: String,
    #[serde(default)]
    direction: Direction,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    #[default]
    Asc,
    Desc,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "these are the names on the wire")]
struct Page {
    sessions: Vec<Item>,
    /// Sessions that fit, on all pages.
    total: usize,
    page: usize,
    page_size: usize,
    /// Sessions of this page that were left out for its length: ask for smaller pages.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    session_id: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    /// A signal holds the shell.
    #[serde(skip_serializing_if = "is_default")]
    stopped: bool,
    /// It has used up its maxCpuTime
    #[serde(skip_serializing_if = "is_default")]
    cpu_time_spent: bool,
    /// Percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    /// MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<f64>,
    last_activity: String,
    working_directory: String,
    #[serde(skip_serializing_if = "is_default")]
    capabilities: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    metadata: Map<String, Value>,
    /// Of capabilities and metadata that are too long for a list; the status of the session has them.
    #[serde(skip_serializing_if = "is_default")]
    omitted_bytes: usize,
}

/// One decimal is what a reader can use.
pub(in crate::mcp) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "rounded to a tenth of a megabyte")]
pub(in crate::mcp) fn megabytes(bytes: u64) -> f64 {
    rounded(bytes as f64 / f64::from(1 << 20))
}

/// What a session says of itself takes at most so many tokens: one must not push the others out.
fn item(session: &Session, usage: &HashMap<SessionId, Usage>, mut label_tokens: usize) -> Item {
    let usage = usage.get(&session.id);
    let mut omitted_bytes = 0;
    let capabilities = kept(&session.capabilities, &mut label_tokens, &mut omitted_bytes);
    let metadata = kept(&session.metadata, &mut label_tokens, &mut omitted_bytes);
    Item {
        session_id: session.id.to_string(),
        name: session.name.clone(),
        kind: kind_word(session.kind),
        status: session.status.as_str(),
        stopped: session.stopped,
        cpu_time_spent: session.cpu_time_spent,
        cpu: usage.map(|usage| rounded(usage.cpu)),
        memory: usage.map(|usage| megabytes(usage.memory)),
        last_activity: session.last_activity.to_string(),
        working_directory: session.working_directory.display().to_string(),
        capabilities,
        metadata,
        omitted_bytes,
    }
}

async fn list(call: &Call, arguments: Arguments) -> Result<Answer> {
    let wrong_key = |index: usize, word: &str| {
        let known = Key::WORDS.join(", ");
        let field = format!("orderBy[{index}].field");
        refusal(&field, format!("'{field}' must be one of {known}, not {word:?}"))
    };
    let keys = arguments.order_by.iter().enumerate().map(|(index, by)| {
        let key = Key::parse(&by.field).ok_or_else(|| wrong_key(index, &by.field))?;
        Ok((key, by.direction == Direction::Desc))
    });
    let keys: Vec<(Key, bool)> = keys.collect::<Result<_>>()?;
    let among = match &arguments.agent_id {
        Some(agent) => {
            let agents = call.orchestrator.agents().await?.into_iter();
            Some(agents.filter(|view| view.agent.id == *agent).map(|view| view.agent.session).collect())
        }
        None => None,
    };
    let filter = Filter {
        query: arguments.query.map(|query| query.to_lowercase()),
        kind: arguments.kind,
        statuses: arguments.status.into_iter().map(|StatusWord(status)| status).collect(),
        capabilities: arguments.capabilities,
        metadata: arguments.metadata,
        name: arguments.name,
        among,
    };
    let mut sessions = call.orchestrator.sessions().await?;
    sessions.retain(|session| filter.admits(session));
    let usage_of = async |sessions: &[Session]| {
        let ids: Vec<SessionId> = sessions.iter().filter(|s| s.pid.is_some()).map(|s| s.id.clone()).collect();
        if ids.is_empty() { Ok(HashMap::new()) } else { call.orchestrator.usage(&ids).await }
    };
    let by_usage = keys.iter().any(|(key, _)| key.needs_usage());
    let of_all = if by_usage { usage_of(&sessions).await? } else { HashMap::new() };
    order(&mut sessions, &keys, &of_all);

    let total = sessions.len();
    let (page, page_size) = (arguments.page.unwrap_or(1), arguments.page_size.unwrap_or(PAGE));
    let shown: Vec<Session> =
        sessions.into_iter().skip((page - 1).saturating_mul(page_size)).take(page_size).collect();
    let usage = if by_usage { of_all } else { usage_of(&shown).await? };
    let mut room = call.room();
    loop {
        let items = shown.iter().map(|session| item(session, &usage, room.tokens / LABELS_SHARE)).collect();
        let page = cut(Page { sessions: items, total, page, page_size, omitted: 0 }, room.tokens);
        let answer = Answer::new(table(&page), &page)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

/// A part of a record, or nothing in place of one that does not fit into the tokens that are left, whose
/// bytes are counted.
pub(super) fn kept<T>(part: &T, left: &mut usize, omitted_bytes: &mut usize) -> T
where
    T: Clone + Default + PartialEq + Serialize,
{
    if is_default(part) {
        return T::default();
    }
    let tokens = json_tokens(part);
    if tokens <= *left {
        *left -= tokens;
        return part.clone();
    }
    *omitted_bytes += serde_json::to_string(part).map_or(0, |text| text.len());
    T::default()
}

/// Leaves out the last sessions of a page that is too long.
fn cut(mut page: Page, budget: usize) -> Page {
    let fitting = fitting(&page.sessions, budget);
    page.omitted = page.sessions.len() - fitting;
    page.sessions.truncate(fitting);
    page
}

fn table(page: &Page) -> String {
    let pages = page.total.div_ceil(page.page_size).max(1);
    let mut text = format!("{} sessions, page {} of {pages}", page.total, page.page);
    for item in &page.sessions {
        let usage = match (item.cpu, item.memory) {
            (Some(cpu), Some(memory)) => format!("  {cpu} % {memory} MB"),
            (Some(_) | None, _) => String::new(),
        };
        let _ = write!(
            text,
            "\n{}  {}  {}  {}{}{usage}  {}  {}",
            item.session_id,
            item.name,
            item.kind,
            item.status,
            if item.stopped { " (stopped)" } else { "" },
            item.working_directory,
            item.last_activity
        );
        if !item.capabilities.is_empty() {
            let _ = write!(text, "  [{}]", item.capabilities.join(", "));
        }
        if !item.metadata.is_empty() {
            let _ = write!(text, "  {}", Value::Object(item.metadata.clone()));
        }
        if item.omitted_bytes > 0 {
            let _ = write!(text, "  ({} bytes left out: session_status shows them)", item.omitted_bytes);
        }
    }
    if page.omitted > 0 {
        let _ = write!(text, "\n({} more of this page left out: ask for smaller pages)", page.omitted);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures::session;

    #[test]
    fn a_page_that_is_too_long_is_cut_and_counted() {
        let items = || (0..20).map(|n| item(&session(&format!("s{n}")), &HashMap::new(), 100)).collect();
        let page =
            |budget| cut(Page { sessions: items(), total: 20, page: 1, page_size: 50, omitted: 0 }, budget);
        assert_eq!((page(100_000).sessions.len(), page(100_000).omitted), (20, 0));
        let cut = page(300);
        assert!((1..20).contains(&cut.sessions.len()));
        assert_eq!(cut.sessions.len() + cut.omitted, 20);
        assert!(table(&cut).contains("more of this page"));
    }

    #[test]
    fn an_item_is_lean() {
        let item = serde_json::to_string(&item(&session("a"), &HashMap::new(), 100)).unwrap();
        assert!(!item.contains("null") && !item.contains("[]") && !item.contains("{}"), "{item}");
    }
}
