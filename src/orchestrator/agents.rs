//! Agents and their messages, as callers see them.

use std::time::Duration;

use uuid::Uuid;

use super::Orchestrator;
use super::dispatcher::Read;
use crate::engine::report::{AgentView, Received, Sent};
use crate::engine::request::{BusRequest, Leave, NewAgent, NewMessage};
use crate::engine::{BusReply, Reply, Request};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{MessageId, SessionId};
use crate::model::Agent;

impl Orchestrator {
    /// Makes an agent of a session, or changes one.
    pub async fn register_agent(&self, session: &str, new: NewAgent) -> Result<AgentView> {
        self.agent(BusRequest::Register { session: session.to_owned(), new }).await
    }

    /// Lets an agent go once it has received and acknowledged everything, or after `wait`. Returns it as
    /// it was in the end, with the messages that it never acknowledged.
    pub async fn deregister_agent(&self, agent: &str, wait: Duration) -> Result<AgentView> {
        let mut changes = self.read(Read::Bus).await?;
        let leaving = |leave| self.agent(BusRequest::Deregister { agent: agent.to_owned(), leave });
        let mut view = leaving(Leave::Within(wait)).await?;
        let drained = async {
            while view.waiting > 0 && changes.changed().await.is_ok() {
                view = leaving(Leave::Drained).await?;
            }
            Ok(view)
        };
        match tokio::time::timeout(wait, drained).await {
            Ok(view) => view,
            Err(_) => leaving(Leave::Now).await,
        }
    }

    /// All agents, in the order of their ids.
    pub async fn agents(&self) -> Result<Vec<AgentView>> {
        self.read(Read::Agents).await
    }

    /// Those who work in a session, likewise.
    pub async fn agents_of(&self, session: &SessionId) -> Result<Vec<Agent>> {
        self.read(|reply| Read::AgentsOf(session.clone(), reply)).await
    }

    /// An agent by its id.
    pub async fn registered_agent(&self, id: &str) -> Result<AgentView> {
        self.read(|reply| Read::Agent(id.to_owned(), reply)).await?
    }

    /// Sends a message: committed, and there for its receivers.
    pub async fn send_message(&self, new: NewMessage) -> Result<Sent> {
        match self.bus(BusRequest::Send { uuid: Uuid::new_v4(), new: Box::new(new) }).await? {
            BusReply::Sent(sent) => Ok(sent),
            BusReply::Agent(_) | BusReply::Received(_) => Err(mistaken()),
        }
    }

    /// Acknowledges what an agent `has`, and gives it at most so many messages of these types. Without
    /// any, waits for one.
    pub async fn receive_messages(
        &self,
        agent: &str,
        mut has: Vec<MessageId>,
        types: &[String],
        most: usize,
        wait: Duration,
    ) -> Result<Received> {
        let mut changes = self.read(Read::Bus).await?;
        let deadline = tokio::time::Instant::now() + wait;
        let mut acknowledged = Vec::new();
        loop {
            let (agent, types, received) = (agent.to_owned(), types.to_vec(), std::mem::take(&mut has));
            let BusReply::Received(mut found) =
                self.bus(BusRequest::Receive { agent, received, types, most }).await?
            else {
                return Err(mistaken());
            };
            acknowledged.append(&mut found.acknowledged);
            // What this call acknowledged itself wakes it once more, and no harm is done.
            if !found.messages.is_empty()
                || most == 0
                || !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(())))
            {
                return Ok(Received { acknowledged, ..found });
            }
        }
    }

    async fn agent(&self, request: BusRequest) -> Result<AgentView> {
        match self.bus(request).await? {
            BusReply::Agent(view) => Ok(*view),
            BusReply::Sent(_) | BusReply::Received(_) => Err(mistaken()),
        }
    }

    async fn bus(&self, request: BusRequest) -> Result<BusReply> {
        let Reply::Bus(reply) = self.change(Request::Bus(request)).await?.reply else {
            return Err(mistaken());
        };
        Ok(reply)
    }
}

fn mistaken() -> Error {
    Error::new(ErrorCode::Internal, "a request about agents was answered with something else")
}
