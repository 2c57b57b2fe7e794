//! `context_add`: adds a message to a session's context.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Content, roles};
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::ContextRole;

pub(crate) const TOOL: Tool = Tool {
    name: "context_add",
    title: "Add to a context",
    description: "Keeps a message of a conversation with a session, for context_get to give back: also after a restart, \
        until the session is removed. The server does nothing else with it.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Added>,
    run: |call, arguments| Box::pin(async move { add(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[schemars(with = "String", extend("enum" = roles()))]
    role: ContextRole,
    content: Content,
    /// Default: estimated
    #[schemars(range(max = limits::CONTEXT_TOKENS))]
    token_count: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Added {
    session_id: String,
    /// Of this message
    number: u64,
    token_count: u64,
    /// Messages that can be got
    message_count: u64,
    total_tokens: u64,
}

async fn add(call: &Call, arguments: Arguments) -> Result<Answer> {
    let Content(content) = arguments.content;
    let content = check::filled("content", content)?;
    let (session, selector) = (&call.orchestrator, &arguments.session_id);
    let (session, message, totals) =
        session.add_context(selector, arguments.role, content, arguments.token_count).await?;
    let added = Added {
        session_id: session.to_string(),
        number: message.number,
        token_count: message.tokens,
        message_count: totals.left_messages,
        total_tokens: totals.left_tokens,
    };
    let text = format!(
        "message {} of {} tokens; the context of {} has {} messages of {} tokens",
        added.number, added.token_count, added.session_id, added.message_count, added.total_tokens
    );
    Answer::new(text, &added)
}
