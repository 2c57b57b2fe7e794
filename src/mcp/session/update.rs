//! `session_update`: changes what a session is called, says of itself, and how large its terminal is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{SessionView, consent, status_words};
use crate::engine::request::{AutoAcceptChange, SessionChange};
use crate::error::{Error, Result};
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::schema::{self, Variable};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Status, constraint};

pub(crate) const TOOL: Tool = Tool {
    name: "session_update",
    title: "Change a session",
    description: "Renames or changes a session: name, metadata (merged; null removes a key), capabilities, constraints, terminal \
        size, environment (exported before the next command) or autoAccept (its decisions are events of type decision). \
        Of the statuses only completed and terminated can be set: they end the session.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    run: |call, arguments| Box::pin(async move { update(call, typed(arguments)?).await }),
};

const STILL_ENDING: &str = "something in it outlives its grace; session_status tells when it has ended, and \
    session_close with mode emergency ends it at once";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    name: Option<String>,
    #[schemars(with = "Option<String>", extend("enum" = status_words()))]
    status: Option<Status>,
    metadata: Option<Map<String, Value>>,
    capabilities: Option<Vec<String>>,
    constraints: Option<Vec<String>>,
    #[schemars(range(min = 1, max = 1000))]
    rows: Option<u16>,
    #[schemars(range(min = 1, max = 1000))]
    cols: Option<u16>,
    #[serde(default)]
    env: BTreeMap<String, Variable>,
    auto_accept: Option<consent::Arguments>,
}

async fn update(call: &Call, arguments: Arguments) -> Result<Answer> {
    constraint::check(arguments.constraints.as_deref().unwrap_or_default())?;
    let change = SessionChange {
        name: arguments.name.map(|name| check::name(&name)).transpose()?,
        status: arguments.status,
        metadata: arguments.metadata.map(check::metadata).transpose()?,
        capabilities: arguments.capabilities,
        constraints: arguments.constraints,
        rows: arguments.rows,
        cols: arguments.cols,
        env: check::env(arguments.env)?,
        directory: None,
        auto_accept: arguments
            .auto_accept
            .map_or_else(|| Ok(AutoAcceptChange::default()), consent::Arguments::change)?,
    };
    if change == SessionChange::default() {
        return Err(Error::invalid("session_update is given nothing to change").with_hint(
            "give at least one of name, status, metadata, capabilities, constraints, rows, cols, env and autoAccept",
        ));
    }
    let ends = change.status.is_some_and(Status::is_final);
    let id = call.orchestrator.session(&arguments.session_id).await?.id;
    let updated = call.orchestrator.update_session(id.as_str(), change);
    let session = call.wait(updated, Watched::Output(&id, None)).await?;
    let mut view = SessionView::of(&session);
    if ends && !session.status.is_final() {
        STILL_ENDING.clone_into(&mut view.hint);
    }
    Answer::new(view.sentence(), &view)
}
