//! `command_status`: follows commands that were started earlier.

use std::time::Duration;

use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::behind::behind;
use super::parsed::{Parsed, all_recognised, parsed, recognised};
use super::{CommandView, Shown, answer, cut, deadline, excerpt, settled, share};
use crate::error::{Error, Result};
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::schema::{self, Condensing, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Command;
use crate::term::excerpt::Excerpt;

pub(crate) const TOOL: Tool = Tool {
    name: "command_status",
    title: "Follow commands",
    description: "Waits for commands that were started in the background, or shows how they are, with their output as \
        command_execute shows it. With wait it blocks until each has ended or asks for input, or the time is over; \
        without, it answers at once. since (a cursor) gives only what was printed later. Several commandIds give \
        results, one for each; a failure among them does not make the call an error.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Status>,
    run: |call, arguments| Box::pin(async move { status(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    command_id: Option<String>,
    #[serde(default)]
    command_ids: Vec<String>,
    /// ms
    wait: Option<Milliseconds>,
    since: Option<u64>,
    condense: Option<Condensing>,
}

/// One command flat, or several in results.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    #[serde(flatten)]
    one: Option<CommandView>,
    #[serde(skip_serializing_if = "is_default")]
    results: Vec<ResultItem>,
    /// Results at the end that did not fit.
    #[serde(rename = "omittedResults", skip_serializing_if = "is_default")]
    omitted_results: usize,
}

/// See the fields of the command itself.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct ResultItem(CommandView);

impl PartialEq for ResultItem {
    fn eq(&self, other: &Self) -> bool {
        self.0.command_id == other.0.command_id
    }
}

async fn followed(call: &Call, id: &str, asked: Option<Duration>) -> Result<Command> {
    let mut watch = call.orchestrator.command(id).await?;
    Ok(settled(call, &mut watch, deadline(call, asked)).await)
}

fn view(command: &Command, excerpt: Excerpt, parsed: Option<Parsed>) -> CommandView {
    CommandView { parsed, ..CommandView::with_session(command, excerpt) }
}

async fn status(call: &Call, arguments: Arguments) -> Result<Answer> {
    let condense = Condensing::or_when_cut(arguments.condense);
    let asked = Some(arguments.wait.map_or(Duration::ZERO, Into::into));
    match (arguments.command_id, arguments.command_ids.as_slice()) {
        (Some(id), []) => {
            let command = followed(call, &id, asked).await?;
            let found = recognised(call, &command).await?;
            let behind = behind(call, &command).await?;
            let mut room = call.room();
            loop {
                let (parsed, budget_tokens) = parsed(found.as_ref(), room.tokens);
                let shown = Shown { since: arguments.since, condense, budget_tokens };
                let view = view(&command, excerpt(call, &command, shown).await?, parsed);
                let view = CommandView { behind: behind.clone(), ..view };
                let answer = answer(&command, &view)?;
                if room.holds(&answer) {
                    return Ok(answer);
                }
            }
        }
        (None, ids @ [_, ..]) => {
            if arguments.since.is_some() {
                return Err(refusal(
                    "since",
                    "'since' goes with one commandId only: each command has its own cursor",
                ));
            }
            let commands = try_join_all(ids.iter().map(|id| followed(call, id, asked))).await?;
            let found = all_recognised(call, &commands).await?;
            let mut room = call.room();
            loop {
                let (mut results, mut text) = (Vec::new(), Vec::new());
                for (command, found) in commands.iter().zip(&found) {
                    let (parsed, budget_tokens) = parsed(found.as_ref(), room.tokens / commands.len());
                    let view = view(command, share(call, command, condense, budget_tokens).await?, parsed);
                    text.push(view.text(command));
                    results.push(ResultItem(view));
                }
                let omitted_results = cut(call, room.tokens, &mut text, &mut results);
                let answer = Answer::new(text.join("\n\n"), &Status { one: None, results, omitted_results })?;
                if room.holds(&answer) {
                    return Ok(answer);
                }
            }
        }
        (Some(_), [_, ..]) | (None, []) => {
            Err(Error::invalid("command_status takes either 'commandId' or 'commandIds'")
                .with_details(serde_json::json!({"field": "commandId", "alternatives": ["commandIds"]})))
        }
    }
}
