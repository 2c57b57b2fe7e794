//! `task_cancel`: ends tasks, and waits until nothing of them runs any more.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen;
use crate::engine::report::Cancelled;
use crate::engine::request::{CancelMode, TaskQuery};
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::tasks::TasksUntil;

pub(crate) const TOOL: Tool = Tool {
    name: "task_cancel",
    title: "Cancel tasks",
    description: "Ends tasks, by taskIds, a whole run, or a pattern over ids. mode graceful: SIGINT, and SIGKILL after \
        5 s; force: SIGKILL at once. Returns those that were not over when nothing of them runs any more; \
        stillRunning names any that do.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Ending>,
    run: |call, arguments| Box::pin(async move { cancel(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    #[schemars(extend("x-items" = limits::TASKS))]
    task_ids: Vec<String>,
    run_id: Option<String>,
    pattern: Option<String>,
    #[serde(default)]
    mode: Mode,
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
struct Ending {
    /// Ids.
    cancelled: Vec<String>,
    /// Ids of tasks among them whose processes are not gone yet.
    #[serde(skip_serializing_if = "is_default")]
    still_running: Vec<String>,
    /// Ids that are unknown.
    #[serde(skip_serializing_if = "is_default")]
    not_found: Vec<String>,
    /// Ids that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

async fn cancel(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = chosen(arguments.task_ids, arguments.run_id, arguments.pattern)?;
    let mode = match arguments.mode {
        Mode::Graceful => CancelMode::Graceful,
        Mode::Force => CancelMode::Force,
    };
    let mut ended = call.orchestrator.cancel_tasks(&query, mode).await?;
    if !ended.running.is_empty() {
        let running = TaskQuery { tasks: ended.running, ..TaskQuery::default() };
        let longest = call.longest_wait(None).min(limits::SILENT_WAIT);
        let over = call.orchestrator.wait_tasks(&running, TasksUntil::Over, longest);
        call.wait(over, Watched::Tasks(&running)).await?;
        let after = call.orchestrator.tasks(&running, limits::TASKS).await?.tasks;
        let going = after.into_iter().filter(|view| !view.status.is_terminal());
        ended.running = going.map(|view| view.id).collect();
    }
    answer(call, &ended)
}

fn answer(call: &Call, ended: &Cancelled) -> Result<Answer> {
    let Cancelled { tasks: cancelled, running: still_running, unknown: not_found } = ended;
    let mut room = call.room();
    loop {
        // What needs attention gets as much as what went well.
        let third = |ids: &[String]| ids[..fitting(ids, room.tokens / 3)].to_vec();
        let shown = Ending {
            cancelled: third(cancelled),
            still_running: third(still_running),
            not_found: third(not_found),
            omitted: 0,
        };
        let omitted = cancelled.len() + still_running.len() + not_found.len()
            - shown.cancelled.len()
            - shown.still_running.len()
            - shown.not_found.len();
        let shown = Ending { omitted, ..shown };
        let mut text = format!("{} tasks cancelled", cancelled.len());
        let lists =
            [("", &shown.cancelled), ("still running", &shown.still_running), ("unknown", &shown.not_found)];
        for (what, ids) in lists {
            if !ids.is_empty() {
                let what = if what.is_empty() { String::new() } else { format!("\n{what}") };
                let _ = write!(text, "{what}: {}", ids.join(", "));
            }
        }
        if omitted > 0 {
            let _ = write!(text, "\n({omitted} ids left out: task_status shows them)");
        }
        let answer = Answer::new(text, &shown)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
