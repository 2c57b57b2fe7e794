//! `task_cancel`: ends tasks, and all that runs for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Which, wait};
use crate::engine::request::{CancelMode, TaskQuery};
use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tools::{Effect, Tool};
use crate::model::TaskStatus;
use crate::orchestrator::tasks::TasksUntil;

pub(crate) const TOOL: Tool = Tool {
    name: "task_cancel",
    title: "Cancel tasks",
    description: "Ends tasks that are not over: queued ones never start, running ones are interrupted, and killed after \
        5 s (mode force: killed at once). Answers when their processes are gone, or after wait (default 45 s) with \
        those that still run.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Outcome>,
    later: &[],
    run: |call, arguments| Box::pin(async move { cancel(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(flatten)]
    which: Which,
    #[serde(default)]
    mode: Mode,
    /// ms that this call blocks
    wait: Option<Milliseconds>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Graceful,
    Force,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// Tasks that were not over.
    cancelled: Vec<String>,
    /// Those of them that have not ended yet.
    #[serde(skip_serializing_if = "is_default")]
    still_running: Vec<String>,
    /// Ids that this list leaves out.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

async fn cancel(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = arguments.which.some(TOOL.name)?;
    let mode = match arguments.mode {
        Mode::Graceful => CancelMode::Graceful,
        Mode::Force => CancelMode::Force,
    };
    let cancelled: Vec<String> =
        call.orchestrator.cancel_tasks(&query, mode).await?.into_iter().map(|(_, id)| id).collect();
    let mut still_running = Vec::new();
    if !cancelled.is_empty() {
        let named = TaskQuery { tasks: cancelled.clone(), ..TaskQuery::default() };
        let longest = call.longest_wait(arguments.wait.map(Into::into));
        if !wait(call, &named, TasksUntil::Over, longest).await? {
            let report = call.orchestrator.tasks(&named, cancelled.len()).await?;
            let running = report.tasks.into_iter().filter(|view| view.status == TaskStatus::Running);
            still_running.extend(running.map(|view| view.id));
        }
    }
    let mut room = call.room();
    loop {
        let shown = fitting(&cancelled, room.tokens / 2);
        let running = fitting(&still_running, room.tokens / 2);
        let outcome = Outcome {
            cancelled: cancelled[..shown].to_vec(),
            still_running: still_running[..running].to_vec(),
            omitted: cancelled.len() - shown,
        };
        let mut text = format!("cancelled {} tasks: {}", cancelled.len(), outcome.cancelled.join(", "));
        if !still_running.is_empty() {
            text = format!("{text}\nstill running: {}", outcome.still_running.join(", "));
        }
        let answer = Answer::new(text, &outcome)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
