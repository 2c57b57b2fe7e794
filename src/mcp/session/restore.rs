//! `session_restore`: a session as it was, under a new id.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::SessionView;
use super::create::settings;
use super::snapshot::{LAST_COMMAND, RESOURCES, SIZE, UNSET};
use super::start::Wanted;
use crate::engine::request::{Heritage, Inherited, NewSession};
use crate::error::{Error, Result};
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::check::is_variable;
use crate::mcp::schema;
use crate::mcp::template;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{AutoAccept, Needs};
use crate::orchestrator::brought_back;

pub(crate) const TOOL: Tool = Tool {
    name: "session_restore",
    title: "Restore a session",
    description: "Makes a session with directory, exported environment, shell, size, name and metadata as they were. Give \
        exactly one of snapshotId, state (of a snapshot), and sessionId of a session that has ended, by a restart of the \
        server too. With snapshotId or sessionId its output goes on from the old one's. autoAccept is off.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    run: |call, arguments| Box::pin(async move { restore(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    snapshot_id: Option<String>,
    state: Option<Map<String, Value>>,
    session_id: Option<String>,
}

async fn restore(call: &Call, arguments: Arguments) -> Result<Answer> {
    let new = match (arguments.snapshot_id, arguments.state, arguments.session_id) {
        (Some(id), None, None) => {
            let snapshot = call.orchestrator.snapshot(&id).await?;
            let original = call.orchestrator.session(snapshot.session.as_str()).await.ok();
            let heritage = Heritage { of: snapshot.session, variables: Inherited::Secrets, output: true };
            let new = NewSession { heir_of: Some(heritage), ..as_told(call, snapshot.state)? };
            match original {
                Some(original) => brought_back(new, &original),
                None => new,
            }
        }
        (None, Some(state), None) => as_told(call, state)?,
        (None, None, Some(session)) => {
            let revived = call.orchestrator.revive_session(&session);
            let session = call.wait(revived, Watched::Nothing).await?;
            let view = SessionView::with_agent(call, &session).await?;
            return Answer::new(view.sentence(), &view);
        }
        _ => {
            return Err(Error::invalid(
                "session_restore takes exactly one of 'snapshotId', 'state' and 'sessionId'",
            )
            .with_details(
                serde_json::json!({"field": "snapshotId", "alternatives": ["state", "sessionId"]}),
            ));
        }
    };
    let session = call.wait(call.orchestrator.bring_back(new), Watched::Nothing).await?;
    let view = SessionView::with_agent(call, &session).await?;
    Answer::new(view.sentence(), &view)
}

/// Start-up files must not undo what was exported after them.
fn as_told(call: &Call, mut state: Map<String, Value>) -> Result<NewSession> {
    state.remove(LAST_COMMAND);
    let unset = match state.remove(UNSET) {
        Some(names) => serde_json::from_value::<BTreeSet<String>>(names)
            .ok()
            .filter(|names| names.iter().all(|name| is_variable(name)))
            .ok_or_else(|| refusal("state.unset", "'state.unset' is a list of names of variables"))?,
        None => BTreeSet::new(),
    };
    if let Some(Value::Object(size)) = state.remove(SIZE) {
        state.extend(size);
    }
    let needs = match state.remove(RESOURCES) {
        Some(resources) => typed::<Wanted>(resources)?.resources()?.needs,
        None => Needs::default(),
    };
    let state = Value::Object(template::read("state", state)?);
    let new = settings(call, typed(state)?)?;
    // What answers in a caller's place is turned on by the caller alone.
    let auto_accept = AutoAccept { enabled: false, ..new.auto_accept };
    Ok(NewSession { exported: new.env.clone(), unset, needs, auto_accept, ..new })
}
