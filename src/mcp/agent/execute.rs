//! `agent_execute`: gives a prompt to an agent's program. It is a command like any other, which reads the
//! prompt from its stdin.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::request::{CloseMode, NewCommand, NewSession, Targets};
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::command::execute::Limits;
use crate::mcp::command::{CommandView, Shown, deadline, excerpt, failure, settled};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Command, CommandState, EndReason, OnTimeout, Retries};
use crate::orchestrator::{CommandWatch, Orchestrator};
use crate::term::condense::Condense;

pub(crate) const TOOL: Tool = Tool {
    name: "agent_execute",
    title: "Give an agent a prompt",
    description: "Runs an agent's program (claude -p unless configured or given as command) with the prompt on its stdin, in \
        the session of an agent, in a session, or in one made for it that ends when it was idle for 10 min. Waits, goes on \
        in the background and is followed, answered and stopped like a command of command_execute; at timeout (1 h) it \
        is interrupted, then killed.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Execution>,
    run: |call, arguments| Box::pin(async move { execute(call, typed(arguments)?).await }),
};

/// How an execution stands.
const STATUSES: [&str; 6] = ["queued", "running", "completed", "failed", "timeout", "cancelled"];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    agent_id: Option<String>,
    session_id: Option<String>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    prompt: String,
    /// The agent's command line
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: Option<String>,
    /// ms for each try
    timeout: Option<Milliseconds>,
    /// After a failure or a timeout (default 0)
    #[schemars(range(max = limits::RETRIES))]
    max_retries: Option<u32>,
    /// ms, doubles (default 1000)
    retry_delay: Option<Milliseconds>,
    resource_limits: Option<Limits>,
    #[schemars(extend("x-bytes" = 4096))]
    working_directory: Option<String>,
    #[serde(default)]
    background: bool,
    /// ms that this call blocks
    wait: Option<Milliseconds>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Execution {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    retry_count: u32,
    #[serde(flatten)]
    command: CommandView,
}

/// Where it runs.
enum Place {
    Agent(String),
    Session(String),
    Made(Box<NewSession>),
}

fn request(call: &Call, arguments: Arguments) -> Result<(Place, NewCommand)> {
    let directory = arguments.working_directory.as_deref();
    let directory = directory.map(|given| check::directory("workingDirectory", given)).transpose()?;
    let place = match (arguments.agent_id, arguments.session_id) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("agent_execute takes either 'agentId' or 'sessionId'")
                .with_details(serde_json::json!({"field": "agentId", "alternatives": ["sessionId"]})));
        }
        (Some(agent), None) => Place::Agent(agent),
        (None, Some(session)) => Place::Session(session),
        (None, None) => Place::Made(Box::new(NewSession {
            directory: directory.clone(),
            shell: call.defaults.shell.clone(),
            size: call.defaults.size,
            idle_timeout: Some(limits::AGENT_IDLE),
            ..NewSession::default()
        })),
    };
    let command = match arguments.command {
        Some(command) => check::filled("command", command)?,
        None => call.defaults.agent_command.clone(),
    };
    let new = NewCommand {
        timeout: Some(check::timeout("timeout", arguments.timeout)?.unwrap_or(limits::TASK_TIMEOUT)),
        on_timeout: Some(OnTimeout::Interrupt),
        directory,
        stdin: Some(check::filled("prompt", arguments.prompt)?),
        retries: arguments.max_retries.filter(|max| *max > 0).map(|max| Retries {
            max,
            delay_ms: arguments.retry_delay.map_or(1_000, |Milliseconds(delay)| delay),
            backoff: 2.0,
        }),
        limits: Limits::checked(arguments.resource_limits)?,
        ..NewCommand::line(command)
    };
    Ok((place, new))
}

/// Accepts the command where it is to run; with the agent that is there, if any.
async fn begin(call: &Call, place: Place, new: NewCommand) -> Result<(Option<String>, CommandWatch)> {
    let orchestrator = &call.orchestrator;
    match place {
        Place::Agent(id) => {
            let agent = orchestrator.registered_agent(id.trim()).await?.agent;
            if agent.draining {
                return Err(Error::new(ErrorCode::AgentNotFound, format!("agent '{}' is leaving", agent.id))
                    .with_hint("choose another one from agent_list"));
            }
            let watch = orchestrator.execute(agent.session.as_str(), new).await?;
            Ok((Some(agent.id), watch))
        }
        Place::Session(selector) => {
            let watch = orchestrator.execute(&selector, new).await?;
            let session = watch.borrow().session.clone();
            let agent = orchestrator.agents_of(&session).await?.into_iter().next();
            Ok((agent.map(|agent| agent.id), watch))
        }
        Place::Made(session) => {
            let cancelled = CancellationToken::new();
            let guard = cancelled.clone().drop_guard();
            let begun = orchestrator.see_through(begin_apart(orchestrator.clone(), *session, new, cancelled));
            let watch = call.wait(begun, Watched::Nothing).await;
            guard.disarm();
            Ok((None, watch?))
        }
    }
}

/// The same in a session of its own. Of a call that is cancelled before the prompt was given nothing is left.
async fn begin_apart(
    orchestrator: Orchestrator,
    session: NewSession,
    new: NewCommand,
    cancelled: CancellationToken,
) -> Result<CommandWatch> {
    let session = orchestrator.create_session(session).await?.id;
    let begun = if cancelled.is_cancelled() {
        Err(Error::new(ErrorCode::Internal, "the call was cancelled"))
    } else {
        orchestrator.execute(session.as_str(), new).await
    };
    if begun.is_err() {
        give_up(&orchestrator, &session).await;
    }
    begun
}

/// Ends a session that was made for nothing.
async fn give_up(orchestrator: &Orchestrator, session: &SessionId) {
    let targets = Targets::One(session.to_string());
    let closing = orchestrator.close_sessions(targets, CloseMode::Force, Some(Duration::ZERO), None);
    if let Err(error) = closing.await {
        tracing::debug!(%error, %session, "a session that was made for nothing ends when it was idle for long");
    }
}

fn status(command: &Command) -> &'static str {
    match (command.state, command.reason) {
        (CommandState::Queued, _) => "queued",
        (CommandState::Running, _) => "running",
        (CommandState::Ended, Some(EndReason::Timeout)) => "timeout",
        (CommandState::Ended, Some(EndReason::Cancelled)) => "cancelled",
        (CommandState::Ended, _) if command.is_success() => "completed",
        (CommandState::Ended, _) => "failed",
    }
}

async fn execute(call: &Call, arguments: Arguments) -> Result<Answer> {
    let asked = if arguments.background { Some(Duration::ZERO) } else { arguments.wait.map(Into::into) };
    let until: Instant = deadline(call, asked);
    let (place, new) = request(call, arguments)?;
    let (agent_id, mut watch) = begin(call, place, new).await?;
    let command = settled(call, &mut watch, until).await;
    let mut room = call.room();
    loop {
        let shown = Shown { since: None, condense: Condense::WhenCut, budget_tokens: room.tokens };
        let mut view = CommandView::with_session(&command, excerpt(call, &command, shown).await?);
        let text = view.text(&command);
        // The number of retries says it.
        view.attempt = None;
        let execution = Execution {
            agent_id: agent_id.clone(),
            status: status(&command),
            retry_count: command.attempt.saturating_sub(1),
            command: view,
        };
        let answer = Answer::new(text, &execution)?.failed_if(failure(&command).is_some());
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ending, fixtures};

    #[test]
    fn a_status_is_what_became_of_the_command() {
        let mut command = fixtures::command(&SessionId::from_text("ses_a"));
        let mut seen = Vec::new();
        for (state, ending, reason) in [
            (CommandState::Queued, None, None),
            (CommandState::Running, None, None),
            (CommandState::Ended, Some(Ending::Exited(0)), None),
            (CommandState::Ended, Some(Ending::Exited(3)), None),
            (CommandState::Ended, Some(Ending::Exited(130)), Some(EndReason::Timeout)),
            (CommandState::Ended, Some(Ending::Lost), Some(EndReason::Cancelled)),
        ] {
            (command.state, command.ending, command.reason) = (state, ending, reason);
            seen.push(status(&command));
        }
        assert_eq!(seen, STATUSES);
        command.reason = Some(EndReason::SessionLost);
        assert_eq!(status(&command), "failed");
    }
}
