//! The tools about agents, a file each, and what their arguments and results share.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::answer::is_default;
use super::arguments::refusal;
use super::call::Call;
use crate::engine::report::AgentView;
use crate::engine::request::TaskQuery;
use crate::error::Result;
use crate::limits;
use crate::model::{Session, Status};

pub(crate) mod deregister;
pub(crate) mod execute;
pub(crate) mod list;
pub(crate) mod register;

/// What an agent is doing, as seen from its session.
const STATUSES: [&str; 5] = ["starting", "idle", "busy", "draining", "offline"];

/// An agent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    agent_id: String,
    session_id: String,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Value>,
    #[serde(skip_serializing_if = "is_default")]
    capabilities: Vec<String>,
    /// Takes only these.
    #[serde(skip_serializing_if = "is_default")]
    message_types: Vec<String>,
    /// Messages that it has not acknowledged.
    #[serde(skip_serializing_if = "is_default")]
    queue_depth: usize,
    /// Commands that wait in its session.
    #[serde(skip_serializing_if = "is_default")]
    queued_commands: usize,
    /// Percent of the tasks that were given to its session, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
}

impl Item {
    async fn of(call: &Call, view: &AgentView) -> Self {
        let agent = &view.agent;
        let session = call.orchestrator.session(agent.session.as_str()).await.ok();
        let of_session = TaskQuery { session: Some(agent.session.to_string()), ..TaskQuery::default() };
        let tasks = call.orchestrator.progress(&of_session, 0).await.map(|all| all.overall);
        let percentage = tasks.ok().filter(|all| all.counts.total() > 0).map(|all| all.percentage);
        Self {
            agent_id: agent.id.clone(),
            session_id: agent.session.to_string(),
            status: if agent.draining { "draining" } else { status(session.as_ref()) },
            role: agent.role.clone(),
            capabilities: agent.capabilities.clone(),
            message_types: agent.message_types.clone(),
            queue_depth: view.waiting,
            queued_commands: view.queued,
            progress: percentage,
        }
    }
}

fn status(session: Option<&Session>) -> &'static str {
    match session.map(|session| session.status) {
        Some(Status::Initializing | Status::Recovering) => "starting",
        Some(Status::Idle) => "idle",
        Some(Status::Active | Status::Timeout) => "busy",
        Some(Status::Error | Status::Completed | Status::Terminated) | None => "offline",
    }
}

/// An agent's id, a capability or a type of message: short, on one line, and no glob.
pub(in crate::mcp) fn word(field: &str, given: &str) -> Result<String> {
    let given = given.trim().to_owned();
    if given.is_empty() || given.chars().count() > limits::AGENT_WORD {
        return Err(refusal(field, format!("'{field}' takes 1 to {} characters", limits::AGENT_WORD)));
    }
    if given.chars().any(|c| c.is_control() || matches!(c, '*' | '?')) {
        return Err(refusal(field, format!("'{field}' must not contain '*', '?' or control characters")));
    }
    Ok(given)
}

/// A list of [`word`]s.
pub(in crate::mcp) fn words(field: &str, given: &[String]) -> Result<Vec<String>> {
    let each = given.iter().enumerate();
    each.map(|(index, word)| self::word(&format!("{field}[{index}]"), word)).collect()
}
