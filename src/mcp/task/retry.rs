//! `task_retry`: runs tasks that are over once more.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Distribution, accepted, chosen};
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "task_retry",
    title: "Run tasks again",
    description: "Runs tasks that are over once more, in a run of their own: the failed ones among those named, with \
        what failed before them; onlyFailed: false takes completed ones too. Answers as task_distribute does.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Distribution>,
    run: |call, arguments| Box::pin(async move { retry(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    #[schemars(extend("x-items" = limits::TASKS))]
    task_ids: Vec<String>,
    run_id: Option<String>,
    /// Default true
    only_failed: Option<bool>,
}

async fn retry(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = chosen(arguments.task_ids, arguments.run_id, None)?;
    let only_failed = arguments.only_failed.unwrap_or(true);
    accepted(call, &call.orchestrator.retry_tasks(&query, only_failed).await?)
}
