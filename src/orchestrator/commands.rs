//! Commands, as callers see them.

use uuid::Uuid;

use super::dispatcher::Read;
use super::{CommandWatch, Orchestrator};
use crate::engine::Request;
use crate::engine::request::{BroadcastTarget, CancelScope, NewCommand};
use crate::error::{Error, ErrorCode, Result};
use crate::id::CommandId;
use crate::limits;
use crate::model::{Agent, Session, glob};

impl Orchestrator {
    /// Accepts a command: committed, then queued or handed to the shell.
    pub async fn execute(&self, selector: &str, new: NewCommand) -> Result<CommandWatch> {
        let mut watches = self.execute_batch(selector, vec![new], false).await?;
        watches.pop().ok_or_else(|| Error::new(ErrorCode::Internal, "an accepted command has no record"))
    }

    /// Accepts commands that run one after the other in one session; with `stop_on_error` a failure
    /// cancels the rest.
    pub async fn execute_batch(
        &self,
        selector: &str,
        commands: Vec<NewCommand>,
        stop_on_error: bool,
    ) -> Result<Vec<CommandWatch>> {
        let commands = commands.into_iter().map(|command| (Uuid::new_v4(), command)).collect();
        let request = Request::Execute { selector: selector.to_owned(), commands, stop_on_error };
        Ok(self.change(request).await?.commands)
    }

    /// Accepts a command in every live session that fits; a session that refuses it gives its error.
    pub async fn broadcast(
        &self,
        targets: Vec<BroadcastTarget>,
        new: NewCommand,
    ) -> Result<Vec<(Session, Result<CommandWatch>)>> {
        let mut chosen: Vec<Session> = Vec::new();
        let sessions = self.sessions().await?;
        // What an agent can do its session can.
        let agents: Vec<Agent> = self.agents().await?.into_iter().map(|view| view.agent).collect();
        for target in &targets {
            let before = chosen.len();
            let fitting =
                sessions.iter().filter(|session| session.status.is_live() && fits(session, &agents, target));
            let new: Vec<Session> = fitting
                .filter(|session| chosen.iter().all(|known| known.id != session.id))
                .cloned()
                .collect();
            chosen.extend(new);
            // A plain name that fits nothing is a mistake; a group may well be empty.
            if let BroadcastTarget::Name(name) = target
                && chosen.len() == before
                && !name.contains(['*', '?'])
            {
                let named = self.session(name).await?;
                if chosen.iter().all(|known| known.id != named.id) {
                    chosen.push(named);
                }
            }
        }
        if chosen.len() > limits::BATCH {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("{} sessions fit, and one broadcast goes to at most {}", chosen.len(), limits::BATCH),
            )
            .with_hint("narrow the targets and call more than once"));
        }
        let mut accepted = Vec::with_capacity(chosen.len());
        for session in chosen {
            let watch = self.execute(session.id.as_str(), new.clone()).await;
            accepted.push((session, watch));
        }
        Ok(accepted)
    }

    /// Takes commands that have not started out of their queues.
    pub async fn cancel_queued(&self, commands: &[CommandId]) -> Result<()> {
        let scope = CancelScope::Queued;
        self.change(Request::CancelCommands { commands: commands.to_vec(), scope }).await.map(|_| ())
    }

    /// Takes a command out of its queue, or stops it. That may take a moment.
    pub async fn cancel_command(&self, command: CommandId) -> Result<()> {
        let scope = CancelScope::All;
        self.change(Request::CancelCommands { commands: vec![command], scope }).await.map(|_| ())
    }

    /// A command by its id (or a unique prefix of 4+ characters).
    pub async fn command(&self, id: &str) -> Result<CommandWatch> {
        self.read(|reply| Read::Command(id.to_owned(), reply)).await?
    }
}

fn fits(session: &Session, agents: &[Agent], target: &BroadcastTarget) -> bool {
    match target {
        BroadcastTarget::Name(pattern) => {
            glob::matches(pattern, &session.name) || glob::matches(pattern, session.id.as_str())
        }
        BroadcastTarget::Capability(capability) => {
            let can = |agent: &Agent| {
                agent.session == session.id && !agent.draining && agent.capabilities.contains(capability)
            };
            session.capabilities.contains(capability) || agents.iter().any(can)
        }
        BroadcastTarget::Metadata(path, value) => session.metadata_at(path) == Some(value),
    }
}
