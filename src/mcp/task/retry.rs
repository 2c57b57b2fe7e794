//! `task_retry`: runs tasks that are over once more.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Distribution, Which, accepted};
use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tools::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "task_retry",
    title: "Retry tasks",
    description: "Runs tasks that failed once more, in a new run, with what failed before them. onlyFailed false takes \
        completed ones too. Answers like task_distribute.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Distribution>,
    later: &[],
    run: |call, arguments| Box::pin(async move { retry(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(flatten)]
    which: Which,
    /// Default true
    only_failed: Option<bool>,
}

async fn retry(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = arguments.which.some(TOOL.name)?;
    let run = call.orchestrator.retry_tasks(&query, arguments.only_failed.unwrap_or(true)).await?;
    accepted(call, &run)
}
