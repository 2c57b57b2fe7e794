//! `pool_status`: how pools stand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Item;
use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "pool_status",
    title: "Show pools",
    description: "Shows every pool, or the one named: how many sessions are ready, busy, starting, and were replaced.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Listing>,
    run: |call, arguments| Box::pin(async move { status(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    name: Option<String>,
}

/// There are so few pools that all of them fit.
#[derive(Debug, Serialize, JsonSchema)]
struct Listing {
    pools: Vec<Item>,
}

async fn status(call: &Call, arguments: Arguments) -> Result<Answer> {
    let pools = match &arguments.name {
        Some(name) => vec![call.orchestrator.pool(name).await?],
        None => call.orchestrator.pools().await?,
    };
    let pools: Vec<Item> = pools.iter().map(Item::of).collect();
    let lines: Vec<String> = pools.iter().map(Item::line).collect();
    let text = if lines.is_empty() { "no pools".to_owned() } else { lines.join("\n") };
    Answer::new(text, &Listing { pools })
}
