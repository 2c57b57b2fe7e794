//! `agent_deregister`: lets an agent go.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "agent_deregister",
    title: "Let an agent go",
    description: "Takes an agent's name from its session, which lives on. The agent is sent nothing more, and has until \
        timeout (30 s; 0: at once) to receive and acknowledge what waits for it; the rest is dropped and counted.",
    effect: Effect::Destroys,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Gone>,
    run: |call, arguments| Box::pin(async move { deregister(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    agent_id: String,
    /// ms to drain
    timeout: Option<Milliseconds>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Gone {
    agent_id: String,
    drained: bool,
    /// Messages that it never acknowledged.
    #[serde(skip_serializing_if = "is_default")]
    dropped: usize,
}

async fn deregister(call: &Call, arguments: Arguments) -> Result<Answer> {
    let wait = arguments.timeout.map_or(limits::DRAIN_WAIT, Duration::from);
    let wait = wait.min(call.longest_wait(None).max(limits::DRAIN_WAIT));
    let agent = arguments.agent_id.trim();
    let view = call.wait(call.orchestrator.deregister_agent(agent, wait), Watched::Nothing).await?;
    let gone = Gone { agent_id: view.agent.id, drained: view.waiting == 0, dropped: view.waiting };
    let dropped = if gone.drained { String::new() } else { format!("; {} messages dropped", gone.dropped) };
    Answer::new(format!("agent '{}' is gone{dropped}", gone.agent_id), &gone)
}
