//! `session_cleanup`: removes sessions that have ended, with their output.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StatusWord;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Status;

pub(crate) const TOOL: Tool = Tool {
    name: "session_cleanup",
    title: "Remove ended sessions",
    description: "Removes sessions that ended more than olderThan ago (default 1h), with their output and commands; live \
        ones stay. statuses: which of completed, terminated, error (default all).",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<CleanUp>,
    run: |call, arguments| Box::pin(async move { clean_up(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// ms
    older_than: Option<Milliseconds>,
    #[serde(default)]
    statuses: Vec<StatusWord>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CleanUp {
    removed: usize,
    session_ids: Vec<String>,
    /// Ids that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

async fn clean_up(call: &Call, arguments: Arguments) -> Result<Answer> {
    let older_than = arguments.older_than.map_or(limits::CLEANUP_AFTER, Duration::from);
    let mut statuses: Vec<Status> = arguments.statuses.into_iter().map(|StatusWord(status)| status).collect();
    if statuses.is_empty() {
        statuses.extend(Status::ALL.into_iter().filter(|status| !status.is_live()));
    }
    let removed = call.orchestrator.clean_up_sessions(older_than, statuses).await?;
    let ids: Vec<String> = removed.iter().map(ToString::to_string).collect();
    let mut room = call.room();
    loop {
        let session_ids = ids[..fitting(&ids, room.tokens)].to_vec();
        let omitted = ids.len() - session_ids.len();
        let mut text = format!("{} sessions removed", ids.len());
        if !session_ids.is_empty() {
            text = format!("{text}: {}", session_ids.join(" "));
        }
        let answer = Answer::new(text, &CleanUp { removed: ids.len(), session_ids, omitted })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
