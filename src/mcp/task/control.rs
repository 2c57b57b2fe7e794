//! `task_control`: holds a run, lets it go on, or changes how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Summary;
use crate::engine::report::{RunStatus, RunView};
use crate::engine::request::RunChange;
use crate::error::{Error, Result};
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, standing};
use crate::mcp::schema::{self, priority_schema};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Priority;

/// A run's status on the wire.
pub(in crate::mcp) const STATUSES: [&str; 5] = ["queued", "running", "paused", "completed", "failed"];

pub(crate) const TOOL: Tool = Tool {
    name: "task_control",
    title: "Control a run",
    description: "Pauses a run (what runs goes on, nothing more starts) or resumes it, as after a restart of the \
        server, or changes its maxConcurrent or its priority beside other runs. Returns the run's state.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<State>,
    run: |call, arguments| Box::pin(async move { control(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    run_id: String,
    action: Option<Action>,
    #[schemars(range(min = 1, max = 1_000))]
    max_concurrent: Option<u32>,
    #[serde(default)]
    #[schemars(schema_with = "priority_schema")]
    priority: Option<Priority>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Pause,
    Resume,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct State {
    run_id: String,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    max_concurrent: u32,
    priority: &'static str,
    summary: Summary,
}

async fn control(call: &Call, arguments: Arguments) -> Result<Answer> {
    let change = RunChange {
        paused: arguments.action.map(|action| match action {
            Action::Pause => true,
            Action::Resume => false,
        }),
        max_concurrent: arguments.max_concurrent,
        priority: arguments.priority,
    };
    if change == RunChange::default() {
        return Err(Error::invalid("task_control takes 'action', 'maxConcurrent' or 'priority'")
            .with_details(serde_json::json!({"field": "action"})));
    }
    answer(&call.orchestrator.control_run(&arguments.run_id, change).await?)
}

fn answer(view: &RunView) -> Result<Answer> {
    let state = State {
        run_id: view.run.to_string(),
        status: view.status.as_str(),
        max_concurrent: view.max_concurrent,
        priority: view.priority.as_str(),
        summary: view.counts.into(),
    };
    let held = if view.paused && view.status != RunStatus::Paused { " (held)" } else { "" };
    let text = format!(
        "{} is {}{held}: {}, at most {} at once, priority {}",
        view.run,
        state.status,
        standing(view.counts),
        view.max_concurrent,
        state.priority
    );
    Answer::new(text, &state)
}
