//! `task_control`: holds a run, lets it go on, or changes its slots or urgency.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Summary;
use crate::engine::request::RunChange;
use crate::error::{Error, Result};
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tools::{Effect, Tool};
use crate::model::Priority;

pub(crate) const TOOL: Tool = Tool {
    name: "task_control",
    title: "Control a run",
    description: "Pauses a run (what runs goes on, nothing new starts) or resumes it, also one that a server left \
        unfinished; changes how many of its tasks run at once, or its priority beside other runs.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<State>,
    later: &[],
    run: |call, arguments| Box::pin(async move { control(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    run_id: String,
    action: Option<Action>,
    #[schemars(range(min = 1, max = limits::MOST_CONCURRENT))]
    max_concurrent: Option<u32>,
    #[schemars(with = "Option<String>", extend("x-kind" = "priority", "enum" = ["low", "normal", "high", "critical"]))]
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
    status: &'static str,
    max_concurrent: u32,
    #[serde(skip_serializing_if = "is_default")]
    priority: &'static str,
    summary: Summary,
}

async fn control(call: &Call, arguments: Arguments) -> Result<Answer> {
    let change = RunChange {
        paused: arguments.action.map(|action| matches!(action, Action::Pause)),
        max_concurrent: arguments.max_concurrent,
        priority: arguments.priority,
    };
    if change == RunChange::default() {
        return Err(Error::invalid(
            "task_control takes at least one of 'action', 'maxConcurrent' and 'priority'",
        )
        .with_details(
            serde_json::json!({"field": "action", "alternatives": ["maxConcurrent", "priority"]}),
        ));
    }
    let view = call.orchestrator.control_run(&arguments.run_id, change).await?;
    let state = State {
        run_id: view.run.to_string(),
        status: view.status.as_str(),
        max_concurrent: view.max_concurrent,
        priority: if view.priority == Priority::Normal { "" } else { view.priority.as_str() },
        summary: view.counts.into(),
    };
    let text = format!("{} is {}; {}", state.run_id, state.status, state.summary.text());
    Answer::new(text, &state)
}
