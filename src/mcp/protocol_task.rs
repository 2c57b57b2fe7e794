//! Protocol tasks: a client that can follow a call gets a handle at once instead of the result. The handle
//! is the id of the command or the run that the call began, so nothing is kept beside their records, which
//! are bounded, and whoever has the id can ask on any connection.

use std::time::Duration;

use rmcp::model::{DetailedTask, JsonObject, Task, TaskPayload, TaskStatus};
use serde_json::{Value, json};

use super::answer::{Answer, tool_result};
use super::call::{Call, standing};
use super::{command, task};
use crate::clock::{Timestamp, now};
use crate::engine::report::RunView;
use crate::engine::request::{CancelMode, TaskQuery};
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::{Command, EndReason};

/// What is followed, by its id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    Command(String),
    Run(String),
}

/// The arguments of a call as of one that is followed, if it can be.
pub(super) fn followable(tool: &str, given: Option<&JsonObject>) -> Option<JsonObject> {
    let mut arguments = given.cloned().unwrap_or_default();
    let asks_for = |name: &str| arguments.get(name).and_then(Value::as_bool) == Some(true);
    match tool {
        // Whoever asks for the background gets the id at once, and knows how to go on with it.
        "command_execute" if !asks_for("background") => {
            arguments.insert("background".to_owned(), true.into());
            Some(arguments)
        }
        // The order alone is no work.
        "task_distribute" if !asks_for("dryRun") => Some(arguments),
        _ => None,
    }
}

impl Followed {
    /// What a call began.
    pub(super) fn begun(answer: &Answer) -> Option<Self> {
        let id = |name: &str| answer.structured.get(name).and_then(Value::as_str).map(str::to_owned);
        id("commandId").map(Self::Command).or_else(|| id("runId").map(Self::Run))
    }

    /// What a handle stands for.
    pub(super) fn of(handle: &str) -> Self {
        if handle.starts_with("run_") {
            Self::Run(handle.to_owned())
        } else {
            Self::Command(handle.to_owned())
        }
    }

    /// The tool that begins such a thing.
    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::Command(_) => command::execute::TOOL.name,
            Self::Run(_) => task::distribute::TOOL.name,
        }
    }

    /// How it is; once it is over with what the tool that shows it answers.
    pub(super) async fn state(&self, call: &Call) -> Result<DetailedTask> {
        let (id, begun, ended, message, shown_by, arguments) = match self {
            Self::Command(id) => {
                let command = self::command(call, id).await?;
                if let (Some(ended), Some(EndReason::Cancelled)) = (command.ended_at, command.reason) {
                    let shown = format!("command_status {{\"commandId\": \"{id}\"}} shows what it printed");
                    let task = handle(id, command.queued_at, ended).with_status_message(shown);
                    return Ok(DetailedTask::new(task, TaskPayload::Cancelled));
                }
                let asks = command.awaiting_input.map(|prompt| format!("asks for input: {prompt}"));
                let arguments = json!({"commandId": id});
                (id, command.queued_at, command.ended_at, asks, command::status::TOOL, arguments)
            }
            Self::Run(id) => {
                let run = run(call, id).await?;
                let counts = Some(standing(run.counts));
                (id, run.created_at, run.ended_at, counts, task::status::TOOL, json!({"runId": id}))
            }
        };
        let mut task = handle(id, begun, ended.unwrap_or_else(|| now().wall));
        task.status_message = message;
        if ended.is_none() {
            return Ok(DetailedTask::new(task, TaskPayload::Working));
        }
        let result = tool_result((shown_by.run)(call, arguments).await);
        match serde_json::to_value(result) {
            Ok(Value::Object(result)) => Ok(DetailedTask::new(task, TaskPayload::Completed { result })),
            _ => Err(Error::new(ErrorCode::Internal, "the result could not be written")),
        }
    }

    /// Asks it to end, which may take a moment.
    pub(super) async fn cancel(&self, call: &Call) -> Result<()> {
        match self {
            Self::Command(id) => {
                let command = self::command(call, id).await?;
                call.orchestrator.cancel_command(command.id).await
            }
            Self::Run(id) => {
                run(call, id).await?;
                let query = TaskQuery { run: Some(id.clone()), ..TaskQuery::default() };
                call.orchestrator.cancel_tasks(&query, CancelMode::Graceful).await.map(drop)
            }
        }
    }
}

/// What a client is told of everything that it follows.
fn handle(id: &str, begun: Timestamp, changed: Timestamp) -> Task {
    // Its record goes with its session, which stays for so long after its own end.
    let kept = changed.since(begun) + limits::CLEANUP_AFTER;
    Task::new(id, TaskStatus::Working, begun.to_string(), changed.to_string())
        .with_ttl_ms(milliseconds(kept))
        .with_poll_interval_ms(milliseconds(limits::TASK_PROGRESS_EVERY))
}

/// The command with exactly this id.
async fn command(call: &Call, id: &str) -> Result<Command> {
    let command = call.orchestrator.command(id).await?.borrow().clone();
    if command.id.as_str() == id { Ok(command) } else { Err(unknown(id)) }
}

/// The run with exactly this id.
async fn run(call: &Call, id: &str) -> Result<RunView> {
    let run = call.orchestrator.run(id).await?;
    if run.run.as_str() == id { Ok(run) } else { Err(unknown(id)) }
}

/// A handle is nobody's.
pub(super) fn unknown(handle: &str) -> Error {
    Error::invalid(format!("there is no protocol task '{}'", super::arguments::shortened(handle)))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_followed_unless_its_answer_comes_at_once_anyway() {
        let check = |tool: &str, given: Value| followable(tool, given.as_object());
        let followed = check("command_execute", json!({"command": "make", "background": false})).unwrap();
        assert_eq!(Value::from(followed), json!({"command": "make", "background": true}));
        assert!(check("command_execute", json!({"command": "make", "background": true})).is_none());
        assert!(check("task_distribute", json!({"tasks": []})).is_some());
        assert!(check("task_distribute", json!({"tasks": [], "dryRun": true})).is_none());
        assert!(check("session_create", json!({})).is_none());
    }
}
