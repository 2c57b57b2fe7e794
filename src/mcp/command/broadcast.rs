//! `command_broadcast`: the same command in several sessions at once.

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::parsed::{Parsed, parsed, recognised};
use super::{CommandView, cut, deadline, failure, settled, share};
use crate::engine::request::{BroadcastTarget, NewCommand};
use crate::error::{Error, Result};
use crate::limits;
use crate::mcp::answer::{Answer, error_json, is_default};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema::{self, Condensing, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Command, Session};
use crate::orchestrator::CommandWatch;
use crate::term::condense::Condense;

pub(crate) const TOOL: Tool = Tool {
    name: "command_broadcast",
    title: "Run a command in sessions",
    description: "Runs the same command in several sessions at once. sessions takes ids, names, globs (build-*), \
        {capability} and {metadata: {path: value}}; a session that fits several runs it once. Returns results, one \
        for each session; one that refused it has an error. With stopOnError, sessions where it still waits for its \
        turn are spared after a failure.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Broadcast>,
    run: |call, arguments| Box::pin(async move { broadcast(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(length(min = 1), extend("x-items" = limits::BATCH))]
    sessions: Vec<Target>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: String,
    /// ms in each session
    timeout: Option<Milliseconds>,
    /// ms that this call blocks
    wait: Option<Milliseconds>,
    #[serde(default)]
    stop_on_error: bool,
    condense: Option<Condensing>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Target {
    Name(String),
    Group(Group),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Group {
    capability: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Broadcast {
    results: Vec<Item>,
    /// Results at the end that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_results: usize,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    /// Where a session refused the command.
    #[serde(skip_serializing_if = "is_default")]
    session_id: String,
    #[serde(flatten)]
    command: Option<CommandView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Map<String, Value>>,
}

fn targets(given: Vec<Target>) -> Result<Vec<BroadcastTarget>> {
    let mut targets = Vec::new();
    for (index, target) in given.into_iter().enumerate() {
        match target {
            Target::Name(name) => targets.push(BroadcastTarget::Name(name)),
            Target::Group(Group { capability: Some(capability), metadata }) if metadata.is_empty() => {
                targets.push(BroadcastTarget::Capability(capability));
            }
            Target::Group(Group { capability: None, metadata }) if metadata.len() == 1 => {
                let pairs = metadata.into_iter();
                targets.extend(pairs.map(|(path, value)| BroadcastTarget::Metadata(path, value)));
            }
            Target::Group(_) => {
                let field = format!("sessions[{index}]");
                return Err(refusal(
                    &field,
                    format!("'{field}' takes one capability, or one metadata path with its value"),
                ));
            }
        }
    }
    Ok(targets)
}

async fn broadcast(call: &Call, arguments: Arguments) -> Result<Answer> {
    let targets = targets(arguments.sessions)?;
    let text = check::filled("command", arguments.command)?;
    let timeout = check::timeout("timeout", arguments.timeout)?;
    let new = NewCommand { timeout, ..NewCommand::line(text) };
    let condense = Condensing::or_when_cut(arguments.condense);
    let deadline = deadline(call, arguments.wait.map(Into::into));
    let accepted = call.orchestrator.broadcast(targets, new).await?;
    if accepted.is_empty() {
        return Err(Error::new(crate::error::ErrorCode::SessionNotFound, "no live session fits 'sessions'")
            .with_hint("session_list shows what there is"));
    }
    let ids: Vec<_> = accepted
        .iter()
        .filter_map(|(_, watch)| watch.as_ref().ok().map(|watch| watch.borrow().id.clone()))
        .collect();
    let one = async |(session, accepted): (Session, Result<CommandWatch>)| {
        let mut watch = match accepted {
            Ok(watch) => watch,
            Err(error) => return (session, Err(error)),
        };
        let command = settled(call, &mut watch, deadline).await;
        if failure(&command).is_some() && arguments.stop_on_error {
            // Those that have started already are left; an error says that there were none to spare.
            if let Err(error) = call.orchestrator.cancel_queued(&ids).await {
                tracing::debug!(%error, "nothing was spared");
            }
        }
        (session, Ok(command))
    };
    let outcomes = join_all(accepted.into_iter().map(one)).await;
    let has_failed = |outcome: &Result<Command>| outcome.as_ref().map_or(true, |c| failure(c).is_some());
    let failed = outcomes.iter().filter(|(_, outcome)| has_failed(outcome)).count();
    let summary = match failed {
        0 => format!("{} sessions", outcomes.len()),
        failed => format!("the command failed in {failed} of {} sessions", outcomes.len()),
    };
    let mut found = Vec::with_capacity(outcomes.len());
    for (_, outcome) in &outcomes {
        found.push(match outcome {
            Ok(command) => recognised(call, command).await?,
            Err(_) => None,
        });
    }
    let mut room = call.room();
    loop {
        let (mut results, mut text) = (Vec::new(), Vec::new());
        for ((session, outcome), found) in outcomes.iter().zip(&found) {
            let (parsed, budget_tokens) = parsed(found.as_ref(), room.tokens / outcomes.len());
            let (part, item) = item(call, session, outcome, parsed, condense, budget_tokens).await?;
            text.push(part);
            results.push(item);
        }
        let omitted_results = cut(call, room.tokens, &mut text, &mut results);
        text.insert(0, summary.clone());
        let broadcast = Broadcast { results, omitted_results };
        let answer = Answer::new(text.join("\n"), &broadcast)?.failed_if(failed > 0);
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

async fn item(
    call: &Call,
    session: &Session,
    outcome: &Result<Command>,
    parsed: Option<Parsed>,
    condense: Condense,
    budget_tokens: usize,
) -> Result<(String, Item)> {
    let session_id = session.id.to_string();
    match outcome {
        Err(error) => {
            let text = format!("session {session_id} refused it: {error}");
            let error = error_json(error).get("error").and_then(Value::as_object).cloned();
            Ok((text, Item { session_id, error, command: None }))
        }
        Ok(command) => {
            let excerpt = share(call, command, condense, budget_tokens).await?;
            let view = CommandView::of(command, excerpt, Some(&session.working_directory));
            let view = CommandView { session_id, parsed, ..view };
            Ok((view.text(command), Item { command: Some(view), ..Item::default() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::arguments::Reader;

    fn check(sessions: Value) -> Result<Vec<BroadcastTarget>> {
        let schema = (TOOL.input)();
        let reader = Reader { tool: TOOL.name, schema: &schema };
        let given =
            Map::from_iter([("sessions".to_owned(), sessions), ("command".to_owned(), "true".into())]);
        targets(typed::<Arguments>(reader.read(Some(given))?)?.sessions)
    }

    #[test]
    fn sessions_are_named_in_three_ways() {
        let wanted = vec![
            BroadcastTarget::Name("build-*".to_owned()),
            BroadcastTarget::Capability("rust".to_owned()),
            BroadcastTarget::Metadata("team.name".to_owned(), json!("core")),
        ];
        let given = json!(["build-*", {"capability": "rust"}, {"metadata": {"team.name": "core"}}]);
        assert_eq!(check(given).unwrap(), wanted);
        assert_eq!(check(json!("build-*")).unwrap(), wanted[..1]);
    }

    #[test]
    fn other_ways_are_refused() {
        for given in [
            json!([]),
            json!([5]),
            json!([{}]),
            json!([{"capabilty": "x"}]),
            json!([{"capability": "x", "metadata": {"a": 1}}]),
        ] {
            assert!(check(given.clone()).is_err(), "{given}");
        }
    }
}
