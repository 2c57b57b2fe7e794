//! `pool_create`: warm sessions.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Item;
use crate::error::{Error, Result};
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema;
use crate::mcp::session::create::settings;
use crate::mcp::template;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "pool_create",
    title: "Create a pool",
    description: "Starts size sessions, all like config (what session_create takes), for pool_execute. One that breaks is \
        replaced, and the next server makes it again. Tasks that require the capability pool:NAME run in it too.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Item>,
    run: |call, arguments| Box::pin(async move { create(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// Letters, digits, - and _
    name: String,
    #[schemars(range(min = 1, max = limits::POOL_SIZE))]
    size: usize,
    #[serde(default)]
    config: Map<String, Value>,
}

async fn create(call: &Call, arguments: Arguments) -> Result<Answer> {
    let name = arguments.name;
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if name.is_empty() || name.len() > limits::AGENT_WORD - "pool:".len() || !is_plain {
        return Err(refusal("name", "'name' is made of letters, digits, '-' and '_', at most 120"));
    }
    let config = template::read("config", arguments.config)?;
    if let Some(key) =
        ["name", "command", "autoStart", "agentRole"].into_iter().find(|key| config.contains_key(*key))
    {
        return Err(Error::invalid(format!(
            "'config.{key}' does not go with a pool, whose members are all alike"
        ))
        .with_details(json!({"field": format!("config.{key}")})));
    }
    if config.contains_key("autoAccept") {
        return Err(Error::invalid(
            "'config.autoAccept' does not go with a pool, whose commands read an empty input and ask nothing",
        )
        .with_hint("answer yes by an option of the command, or run it in a session of its own")
        .with_details(json!({"field": "config.autoAccept"})));
    }
    let new = settings(call, typed(config.into())?)?;
    let made = call.orchestrator.create_pool(name, arguments.size, new);
    let item = Item::of(&call.wait(made, Watched::Nothing).await?);
    Answer::new(item.line(), &item)
}
