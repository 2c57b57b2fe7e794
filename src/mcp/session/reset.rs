//! `session_reset`: a fresh shell under the same id.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SessionView;
use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "session_reset",
    title: "Reset a session",
    description: "Kills everything that runs in a session and puts a fresh shell in its place, as session_create \
        made it: its directory and what was exported since are lost (error_recover keeps them).",
    effect: Effect::Destroys,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    run: |call, arguments| Box::pin(async move { reset(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
}

async fn reset(call: &Call, arguments: Arguments) -> Result<Answer> {
    let id = call.orchestrator.session(&arguments.session_id).await?.id;
    let reset = call.orchestrator.reset_session(id.as_str());
    let session = call.wait(reset, Watched::Output(&id, None)).await?;
    let view = SessionView::of(&session);
    Answer::new(view.sentence(), &view)
}
