//! `agent_list`: who can be reached.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Item;
use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::glob;

pub(crate) const TOOL: Tool = Tool {
    name: "agent_list",
    title: "List agents",
    description: "Lists agents with their sessions, what they can do, whether they are busy, and how many messages wait \
        for each. An offline agent's session has ended; its messages wait until that is restored or it is \
        registered again.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Listing>,
    run: |call, arguments| Box::pin(async move { list(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// A glob over ids
    pattern: Option<String>,
    capability: Option<String>,
    /// A cursor
    #[serde(default)]
    since: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Listing {
    agents: Vec<Item>,
    total: usize,
    /// Pass it as since to see the rest.
    #[serde(skip_serializing_if = "is_default")]
    cursor: usize,
}

async fn list(call: &Call, arguments: Arguments) -> Result<Answer> {
    let mut views = call.orchestrator.agents().await?;
    views.retain(|view| {
        arguments.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, &view.agent.id))
            && arguments.capability.as_ref().is_none_or(|wanted| view.agent.capabilities.contains(wanted))
    });
    let total = views.len();
    let mut items = Vec::new();
    // Every agent takes some tokens: no more than these can fit.
    for view in views.iter().skip(arguments.since).take(call.room().tokens / 8) {
        items.push(Item::of(call, view).await);
    }
    let mut room = call.room();
    loop {
        // One agent always fits: no larger one could be registered.
        let fits = fitting(&items, room.tokens).max(usize::from(room.tokens > 0)).min(items.len());
        let agents = items[..fits].to_vec();
        let mut text = format!("{total} agents");
        for agent in &agents {
            let _ = write!(text, "\n{} {} [{}", agent.agent_id, agent.status, agent.session_id);
            if agent.queue_depth > 0 {
                let _ = write!(text, " · {} messages", agent.queue_depth);
            }
            if agent.queued_commands > 0 {
                let _ = write!(text, " · {} commands", agent.queued_commands);
            }
            if let Some(progress) = agent.progress {
                let _ = write!(text, " · {progress} %");
            }
            let _ = write!(text, "]");
            if !agent.capabilities.is_empty() {
                let _ = write!(text, " can {}", agent.capabilities.join(", "));
            }
            if !agent.message_types.is_empty() {
                let _ = write!(text, " takes {}", agent.message_types.join(", "));
            }
            if let Some(role) = &agent.role {
                let _ = write!(text, " is {role}");
            }
        }
        let shown = arguments.since.saturating_add(agents.len());
        let cursor = if shown < total { shown } else { 0 };
        if cursor > 0 {
            let _ = write!(text, "\n({} more: pass since: {cursor})", total - cursor);
        }
        let answer = Answer::new(text, &Listing { agents, total, cursor })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
