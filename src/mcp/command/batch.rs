//! `command_batch`: commands one after the other in one session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommandText, CommandView, Shown, deadline, excerpt, failure, settled};
use crate::engine::request::NewCommand;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tools::{Effect, Tool};

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
    later: &["condense"],
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
}

async fn batch(call: &Call, arguments: Arguments) -> Result<Answer> {
    let new = arguments.commands.into_iter().enumerate().map(|(index, CommandText(text))| {
        let text = check::filled(&format!("commands[{index}]"), text)?;
        Ok(NewCommand { timeout: arguments.timeout.map(Into::into), ..NewCommand::line(text) })
    });
    let new: Vec<NewCommand> = new.collect::<Result<_>>()?;
    let deadline = deadline(call, arguments.wait.map(Into::into));
    let selector = &arguments.session_id;
    let mut before = call.orchestrator.session(selector).await?.working_directory;
    let watches = call.orchestrator.execute_batch(selector, new, arguments.stop_on_error).await?;
    let shown = Shown { since: None, budget_tokens: call.budget() / watches.len().max(1) };
    let (mut results, mut text) = (Vec::new(), Vec::new());
    let (mut completed, mut failed_at) = (0, None);
    for (index, mut watch) in watches.into_iter().enumerate() {
        let command = settled(call, &mut watch, deadline).await;
        let view = CommandView::of(&command, excerpt(call, &command, shown).await?, Some(&before));
        before = command.working_directory.clone().unwrap_or(before);
        if failure(&command).is_some() {
            failed_at = failed_at.or(Some(index));
        } else if command.is_ended() {
            completed += 1;
        }
        text.push(view.text(&command));
        results.push(view);
    }
    let batch = Batch { results, completed, failed_at };
    text.insert(
        0,
        match failed_at {
            Some(index) => format!("command {index} of the batch failed; {completed} completed"),
            None => format!("{completed} of {} completed", batch.results.len()),
        },
    );
    Ok(Answer::new(text.join("\n"), &batch)?.failed_if(failed_at.is_some()))
}
