//! `session_close`: ends sessions, with all that runs in them.

use std::collections::HashSet;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::engine::request::{CloseMode, Targets};
use crate::error::{Error, Result};
use crate::id::SessionId;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "session_close",
    title: "Close sessions",
    description: "Ends sessions and every process in them; returns when nothing is left. Give exactly one of \
        sessionId, pattern (a glob over names and ids) and all. graceful lets processes end for up to timeout, \
        force for 1 s, emergency kills at once. The call blocks at most wait (default 45 s); sessions in closing \
        have not ended then, and go on to. The output stays readable.",
    effect: Effect::Ends,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Outcome>,
    run: |call, arguments| Box::pin(async move { close(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: Option<String>,
    /// e.g. build-*
    pattern: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    mode: Mode,
    /// ms (default 30000)
    timeout: Option<Milliseconds>,
    reason: Option<String>,
    /// ms that this call blocks
    wait: Option<Milliseconds>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Graceful,
    Force,
    Emergency,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// Whether all of them have ended.
    success: bool,
    /// Those that have ended.
    session_ids: Vec<String>,
    /// Those that go on ending; a look at them tells when they have.
    #[serde(skip_serializing_if = "is_default")]
    closing: Vec<String>,
    /// Sessions that did not fit into these lists.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
    /// Some process had to be killed.
    #[serde(skip_serializing_if = "is_default")]
    forced: bool,
    closed_at: String,
}

fn targets(session_id: Option<String>, pattern: Option<String>, all: bool) -> Result<Targets> {
    match (session_id, pattern, all) {
        (Some(id), None, false) => Ok(Targets::One(check::filled("sessionId", id)?)),
        (None, Some(pattern), false) => Ok(Targets::Matching(check::filled("pattern", pattern)?)),
        (None, None, true) => Ok(Targets::All),
        _ => Err(Error::invalid("session_close takes exactly one of 'sessionId', 'pattern' and 'all': true")
            .with_details(serde_json::json!({"field": "sessionId", "alternatives": ["pattern", "all"]}))),
    }
}

async fn close(call: &Call, arguments: Arguments) -> Result<Answer> {
    let targets = targets(arguments.session_id, arguments.pattern, arguments.all)?;
    let mode = match arguments.mode {
        Mode::Graceful => CloseMode::Graceful,
        Mode::Force => CloseMode::Force,
        Mode::Emergency => CloseMode::Emergency,
    };
    let grace = arguments.timeout.map(Into::into);
    let longest = call.longest_wait(arguments.wait.map(Into::into));
    let chosen: Vec<SessionId> =
        call.orchestrator.targeted(&targets).await?.into_iter().map(|(id, _)| id).collect();
    let watched = if let [only] = chosen.as_slice() { Watched::Output(only, None) } else { Watched::Nothing };
    let orchestrator = call.orchestrator.clone();
    let ordered = async move { orchestrator.close_sessions(targets, mode, grace, arguments.reason).await };
    // Whoever gives up waiting has closed them all the same.
    let closing = tokio::time::timeout(longest, call.orchestrator.see_through(ordered));
    let (ended, going, forced) = match call.wait(closing, watched).await {
        Ok(closed) => {
            let closed = closed?;
            (closed.sessions, closed.going, closed.forced)
        }
        Err(_) => so_far(call, chosen).await?,
    };
    let closed_at = clock::now().wall.to_string();
    let mut room = call.room();
    loop {
        let shown_going = &going[..fitting(&going, room.tokens / 2)];
        let shown_ended = &ended[..fitting(&ended, room.tokens / 2)];
        let words = |ids: &[SessionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let outcome = Outcome {
            success: going.is_empty(),
            session_ids: words(shown_ended),
            closing: words(shown_going),
            omitted: ended.len() - shown_ended.len() + going.len() - shown_going.len(),
            forced,
            closed_at: closed_at.clone(),
        };
        let answer = Answer::new(text(&outcome, ended.len(), going.len()), &outcome)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

/// Those of the chosen sessions that have ended, those that have not, and whether it took force.
async fn so_far(call: &Call, chosen: Vec<SessionId>) -> Result<(Vec<SessionId>, Vec<SessionId>, bool)> {
    let sessions = call.orchestrator.sessions().await?;
    let live: HashSet<&SessionId> = sessions.iter().filter(|s| !s.status.is_final()).map(|s| &s.id).collect();
    let (going, ended): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|id| live.contains(id));
    let forced = sessions.iter().any(|session| session.ended_by_force && ended.contains(&session.id));
    Ok((ended, going, forced))
}

fn text(outcome: &Outcome, ended: usize, going: usize) -> String {
    let how = if outcome.forced { ", some by force" } else { "" };
    let ids = outcome.session_ids.join(", ");
    let mut text = format!("closed {ended} sessions{how} at {}: {ids}", outcome.closed_at);
    if going > 0 {
        let _ = write!(text, "\n{going} go on ending: {}", outcome.closing.join(", "));
    }
    if outcome.omitted > 0 {
        let _ = write!(text, "\n({} ids left out: session_list shows them)", outcome.omitted);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_exactly_one_target() {
        let one = || Some("a".to_owned());
        assert_eq!(targets(one(), None, false).unwrap(), Targets::One("a".to_owned()));
        assert_eq!(targets(None, one(), false).unwrap(), Targets::Matching("a".to_owned()));
        assert_eq!(targets(None, None, true).unwrap(), Targets::All);
        for (id, pattern, all) in
            [(None, None, false), (one(), one(), false), (one(), None, true), (None, one(), true)]
        {
            assert!(targets(id, pattern, all).is_err());
        }
    }
}
