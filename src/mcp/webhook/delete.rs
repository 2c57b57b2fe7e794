//! `webhook_delete`: somebody is told of nothing any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::WebhookId;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "webhook_delete",
    title: "Delete a webhook",
    description: "Removes a webhook by its id; what waits to be delivered to it is dropped.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Deleted>,
    run: |call, arguments| Box::pin(async move { delete(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    webhook_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    webhook_id: String,
}

async fn delete(call: &Call, arguments: Arguments) -> Result<Answer> {
    let id = WebhookId::from_text(arguments.webhook_id.trim());
    call.orchestrator.delete_webhook(&id).await?;
    Answer::new(format!("{id} is deleted"), &Deleted { webhook_id: id.to_string() })
}
