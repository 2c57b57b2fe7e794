//! `template_delete`: settings that are kept no longer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "template_delete",
    title: "Delete a template",
    description: "Removes a template; sessions made from it stay as they are.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Deleted>,
    run: |call, arguments| Box::pin(async move { delete(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    name: String,
}

async fn delete(call: &Call, Arguments { name }: Arguments) -> Result<Answer> {
    if !call.orchestrator.delete_template(&name).await? {
        return Err(super::unknown(&name, &call.orchestrator.templates().await?));
    }
    Answer::new(format!("template '{name}' is deleted"), &Deleted { name })
}
