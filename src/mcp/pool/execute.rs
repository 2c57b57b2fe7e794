//! `pool_execute`: a command in whichever session of a pool is free.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::command::{CommandView, shown};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::TaskStatus;

pub(crate) const TOOL: Tool = Tool {
    name: "pool_execute",
    title: "Run in a pool",
    description: "Runs a command in the session of a pool that is free first, in a subshell: no directory, variable or job of \
        it stays. Blocks at most wait (default 45 s); past that runId shows it with task_status. After timeout (default \
        5 min of running) it is ended.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Outcome>,
    run: |call, arguments| Box::pin(async move { execute(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    pool: String,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: String,
    /// ms
    timeout: Option<Milliseconds>,
    /// ms
    wait: Option<Milliseconds>,
}

/// The command and its output, or what tells of it later.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(flatten)]
    command: Option<CommandView>,
    /// There while it is not over.
    #[serde(skip_serializing_if = "is_default")]
    run_id: String,
    /// Why it does not run yet.
    #[serde(skip_serializing_if = "is_default")]
    detail: String,
}

async fn execute(call: &Call, arguments: Arguments) -> Result<Answer> {
    let text = check::filled("command", arguments.command)?;
    let timeout = check::timeout("timeout", arguments.timeout)?.unwrap_or(limits::COMMAND_TIMEOUT);
    let wait = call.longest_wait(arguments.wait.map(Into::into));
    let executed = call.orchestrator.pool_execute(&arguments.pool, text, timeout, wait);
    let (run, task) = call.wait(executed, Watched::Nothing).await?;
    let task = task.ok_or_else(|| Error::new(ErrorCode::Internal, "a task of a pool is unknown"))?;
    let is_over = matches!(task.status, TaskStatus::Completed | TaskStatus::Failed);
    let run_id = if is_over { String::new() } else { run.to_string() };
    let Some(id) = task.command else {
        if is_over {
            return Err(Error::new(
                ErrorCode::SessionClosed,
                format!("pool '{}' was deleted before the command ran", arguments.pool),
            ));
        }
        let detail = task.detail.map(|detail| detail.as_str().to_owned()).unwrap_or_default();
        let text = format!("{run} waits: {detail}");
        return Answer::new(text, &Outcome { command: None, run_id, detail });
    };
    let command = call.orchestrator.command(id.as_str()).await?.borrow().clone();
    let mut room = call.room();
    loop {
        let view = shown(call, &command, room.tokens).await?;
        let (text, failed) = view.told(&command);
        let text = if is_over { text } else { format!("{text}\n{run} goes on") };
        let outcome = Outcome { command: Some(view), run_id: run_id.clone(), detail: String::new() };
        let answer = Answer::new(text, &outcome)?.failed_if(failed);
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
