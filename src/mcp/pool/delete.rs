//! `pool_delete`: a pool and its sessions end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "pool_delete",
    title: "Delete a pool",
    description: "Ends a pool, its sessions, what runs in them, and what waits for them.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Deleted>,
    run: |call, arguments| Box::pin(async move { delete(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Deleted {
    name: String,
    /// Sessions that end.
    sessions: usize,
}

async fn delete(call: &Call, arguments: Arguments) -> Result<Answer> {
    let view = call.orchestrator.delete_pool(&arguments.name).await?;
    let deleted = Deleted { sessions: view.members.len(), name: view.name };
    Answer::new(format!("pool '{}' is deleted, {} sessions end", deleted.name, deleted.sessions), &deleted)
}
