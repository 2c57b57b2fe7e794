//! `command_batch`: commands one after the other in one session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parsed::{all_recognised, parsed};
use super::{CommandText, CommandView, cut, deadline, failure, settled, share};
use crate::engine::request::NewCommand;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema::{self, Condensing, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Command;

pub(crate) const TOOL: Tool = Tool {
    name: "command_batch",
    title: "Run commands in order",
    description: "Runs commands one after the other in one session and returns results, one for each, with the number \
        that completed and the index of the first failure in failedAt. stopOnError leaves out what comes after a \
        failure. The call blocks at most wait (default 45 s); commands that have not ended then go on: follow them \
        with command_status.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Batch>,
    run: |call, arguments| Box::pin(async move { batch(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[schemars(length(min = 1), extend("x-items" = limits::BATCH))]
    commands: Vec<CommandText>,
    #[serde(default)]
    stop_on_error: bool,
    /// ms for each command
    timeout: Option<Milliseconds>,
    /// ms that this call blocks
    wait: Option<Milliseconds>,
    condense: Option<Condensing>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Batch {
    results: Vec<CommandView>,
    /// Commands that ended with success.
    completed: usize,
    /// The index of the first that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<usize>,
    /// Results at the end that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_results: usize,
}

async fn batch(call: &Call, arguments: Arguments) -> Result<Answer> {
    let timeout = check::timeout("timeout", arguments.timeout)?;
    let new = arguments.commands.into_iter().enumerate().map(|(index, CommandText(text))| {
        let text = check::filled(&format!("commands[{index}]"), text)?;
        Ok(NewCommand { timeout, ..NewCommand::line(text) })
    });
    let new: Vec<NewCommand> = new.collect::<Result<_>>()?;
    let condense = Condensing::or_when_cut(arguments.condense);
    let deadline = deadline(call, arguments.wait.map(Into::into));
    let selector = &arguments.session_id;
    let before = call.orchestrator.session(selector).await?.working_directory;
    let mut watches = call.orchestrator.execute_batch(selector, new, arguments.stop_on_error).await?;
    for watch in &mut watches {
        settled(call, watch, deadline).await;
    }
    // One that outlived its timeout, or asked for input, may have ended while the others were awaited.
    let commands: Vec<Command> = watches.iter().map(|watch| watch.borrow().clone()).collect();
    let failed_at = commands.iter().position(|command| failure(command).is_some());
    let completed =
        commands.iter().filter(|command| command.is_ended() && failure(command).is_none()).count();
    let summary = match failed_at {
        Some(index) => format!("command {index} of the batch failed; {completed} completed"),
        None => format!("{completed} of {} completed", commands.len()),
    };
    let found = all_recognised(call, &commands).await?;
    let mut room = call.room();
    loop {
        let (mut results, mut text) = (Vec::new(), Vec::new());
        let mut before = &before;
        for (command, found) in commands.iter().zip(&found) {
            let (parsed, budget_tokens) = parsed(found.as_ref(), room.tokens / commands.len());
            let excerpt = share(call, command, condense, budget_tokens).await?;
            let view = CommandView { parsed, ..CommandView::of(command, excerpt, Some(before)) };
            before = command.working_directory.as_ref().unwrap_or(before);
            text.push(view.text(command));
            results.push(view);
        }
        let omitted_results = cut(call, room.tokens, &mut text, &mut results);
        let batch = Batch { results, completed, failed_at, omitted_results };
        text.insert(0, summary.clone());
        let answer = Answer::new(text.join("\n"), &batch)?.failed_if(failed_at.is_some());
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
