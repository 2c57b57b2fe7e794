//! What a command that has not begun waits for.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::mcp::answer::is_default;
use crate::mcp::arguments::shortened;
use crate::mcp::call::Call;
use crate::model::{Command, CommandState};

/// The command that has the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Behind {
    command_id: String,
    /// Its text, shortened.
    command: String,
    /// It waits for input: answer with `session_input`, or the queue stands still.
    #[serde(skip_serializing_if = "is_default")]
    awaiting_input: bool,
}

impl Behind {
    pub(super) fn fact(&self) -> String {
        let asks = if self.awaiting_input { ", which awaits input" } else { "" };
        format!("behind {} ({}){asks}", self.command_id, self.command)
    }
}

/// What `command` waits for, if it waits for another one.
pub(super) async fn behind(call: &Call, command: &Command) -> Result<Option<Behind>> {
    if command.state != CommandState::Queued {
        return Ok(None);
    }
    let seen = call.orchestrator.observe(command.session.as_str()).await?;
    let running = seen.last_command.filter(|last| last.state == CommandState::Running);
    Ok(running.map(|running| Behind {
        command_id: running.id.to_string(),
        command: shortened(&running.text),
        awaiting_input: seen.awaiting_input,
    }))
}
