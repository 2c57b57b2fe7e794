//! `session_migrate`: the same session in another directory.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::SessionView;
use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "session_migrate",
    title: "Move a session",
    description: "Moves a session to another directory once what runs in it is over, for which it waits up to timeout. \
        Its id, environment and output stay; preserveState false puts a fresh shell there.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    run: |call, arguments| Box::pin(async move { migrate(call, typed(arguments)?).await }),
};

/// How long what runs is waited for, unless asked otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[schemars(extend("x-bytes" = 4096))]
    working_directory: String,
    /// Default true
    preserve_state: Option<bool>,
    /// ms (default 60000)
    timeout: Option<Milliseconds>,
}

async fn migrate(call: &Call, arguments: Arguments) -> Result<Answer> {
    let directory = check::directory("workingDirectory", &arguments.working_directory)?;
    let timeout = arguments.timeout.map_or(PATIENCE, Into::into);
    let keeps_state = arguments.preserve_state.unwrap_or(true);
    let id = call.orchestrator.session(&arguments.session_id).await?.id;
    let moved = call.orchestrator.migrate_session(id.as_str(), directory, keeps_state, timeout);
    let session = call.wait(moved, Watched::Output(&id, None)).await?;
    let view = SessionView::of(&session);
    Answer::new(view.sentence(), &view)
}
