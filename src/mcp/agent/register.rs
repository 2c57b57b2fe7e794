//! `agent_register`: gives a session a name under which it is sent messages and tasks.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Item, word, words};
use crate::engine::request::NewAgent;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::schema::{self, priority_schema};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Priority;

pub(crate) const TOOL: Tool = Tool {
    name: "agent_register",
    title: "Register an agent",
    description: "Makes an agent of a session: others reach it with message_send by its agentId (default: the \
        session's name), and tasks that require its capabilities may run in its session. Registering an agentId again \
        changes it; after a restart of the server it takes over the messages that wait for it.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Item>,
    run: |call, arguments| Box::pin(async move { register(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    agent_id: Option<String>,
    /// A word or an object
    #[serde(default)]
    #[schemars(schema_with = "schema::anything")]
    role: Option<Value>,
    #[serde(default)]
    capabilities: Vec<String>,
    /// Takes only messages of these types
    #[serde(default)]
    message_types: Vec<String>,
    #[serde(default)]
    #[schemars(schema_with = "priority_schema")]
    priority: Priority,
}

async fn register(call: &Call, arguments: Arguments) -> Result<Answer> {
    let role = arguments.role.filter(|role| !role.is_null());
    let new = NewAgent {
        id: arguments.agent_id.map(|id| word("agentId", &id)).transpose()?,
        role,
        capabilities: words("capabilities", &arguments.capabilities)?,
        message_types: words("messageTypes", &arguments.message_types)?,
        priority: arguments.priority,
    };
    let told = serde_json::json!([new.role, new.capabilities, new.message_types]).to_string();
    if told.len() > limits::AGENT_BYTES {
        let most = limits::AGENT_BYTES;
        return Err(refusal(
            "role",
            format!("'role', 'capabilities' and 'messageTypes' together take at most {most} bytes as JSON"),
        ));
    }
    let view = call.orchestrator.register_agent(&arguments.session_id, new).await?;
    let item = Item::of(call, &view).await;
    Answer::new(format!("agent '{}' works in {}", item.agent_id, item.session_id), &item)
}
