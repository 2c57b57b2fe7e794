//! `session_clone`: another session like this one.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SessionView;
use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::CloneAs;

pub(crate) const TOOL: Tool = Tool {
    name: "session_clone",
    title: "Clone a session",
    description: "Makes a session with the settings, directory and exported environment of another, and a shell of its \
        own. resetState: where that one was created, without what was exported there. autoAccept is off.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    run: |call, arguments| Box::pin(async move { clone(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    name: Option<String>,
    #[serde(default)]
    reset_state: bool,
    /// Limits, constraints and monitor too (default true)
    copy_resources: Option<bool>,
}

async fn clone(call: &Call, arguments: Arguments) -> Result<Answer> {
    let wanted = CloneAs {
        name: arguments.name.map(|name| check::name(&name)).transpose()?,
        is_reset: arguments.reset_state,
        copies_limits: arguments.copy_resources.unwrap_or(true),
    };
    let cloned = call.orchestrator.clone_session(&arguments.session_id, wanted);
    let session = call.wait(cloned, Watched::Nothing).await?;
    let view = SessionView::with_agent(call, &session).await?;
    Answer::new(view.sentence(), &view)
}
