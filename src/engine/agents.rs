//! Agents: who works in which session, who goes, and who comes back with a session that is brought back.

use std::time::Duration;

use super::bus::BusReply;
use super::report::AgentView;
use super::request::{Leave, NewAgent, NewSession};
use super::{Deadline, Engine, Step};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::{Agent, Delivery, EventKind, Record};

/// Who will work in a session that is about to be created.
#[derive(Debug, Default)]
pub(super) struct Crew {
    /// Agents of the session that it brings back.
    back: Vec<Agent>,
    /// Agents that are to be.
    new: Vec<NewAgent>,
}

impl Engine {
    /// All agents, in the order of their ids.
    pub fn agents(&self) -> impl Iterator<Item = AgentView> {
        self.bus.agents.values().map(|agent| self.agent_view(agent))
    }

    /// Those who work in a session, likewise.
    pub fn agents_of(&self, session: &SessionId) -> Vec<Agent> {
        self.bus.of_session(session).cloned().collect()
    }

    /// An agent by its id.
    pub fn agent(&self, id: &str) -> Result<AgentView> {
        let agent = self.bus.agents.get(id).ok_or_else(|| self.agent_not_found(id))?;
        Ok(self.agent_view(agent))
    }

    fn agent_view(&self, agent: &Agent) -> AgentView {
        let (waiting, queued) = (self.bus.waiting(&agent.id), self.queued(&agent.session));
        AgentView { agent: agent.clone(), waiting, queued }
    }

    pub(super) fn register(
        &mut self,
        now: Now,
        session: &str,
        new: NewAgent,
        step: &mut Step,
    ) -> Result<BusReply> {
        let session = self.resolve(session)?;
        let entry = self.sessions.get(&session).filter(|entry| entry.session.status.is_live());
        if entry.is_none() {
            return Err(Error::new(ErrorCode::SessionClosed, format!("session {session} has ended"))
                .with_hint("an agent works in a live session: make one with session_create"));
        }
        let id = match new.id {
            Some(id) => id,
            None => self.default_agent_id(&session, |known| known.session == session),
        };
        let known = self.bus.agents.get(&id);
        if let Some(known) = known
            && known.session != session
            && self.session(&known.session).is_some_and(|session| session.status.is_live())
        {
            return Err(Error::new(
                ErrorCode::DuplicateId,
                format!("agent '{id}' works in session {}", known.session),
            )
            .with_hint("choose another agentId, or end that one with agent_deregister"));
        }
        // Who has a role keeps it until it is given another.
        let role = new.role.or_else(|| known.and_then(|known| known.role.clone()));
        if known.is_none() {
            self.check_agent_room(1)?;
        }
        self.stays(&id);
        let agent = Agent {
            id,
            session,
            role,
            capabilities: new.capabilities,
            message_types: new.message_types,
            priority: new.priority,
            draining: false,
            leaves_at: None,
            registered_at: now.wall,
        };
        let view = self.agent_view(&agent);
        self.works(agent, step);
        Ok(BusReply::Agent(Box::new(view)))
    }

    /// The one way in which an agent comes to work in a session.
    fn works(&mut self, agent: Agent, step: &mut Step) {
        step.note_shared(Record::Agent(Box::new(agent.clone())));
        // It may be the first that can do what some task requires.
        self.schedule.is_due = true;
        self.bus.put(agent);
    }

    /// Refuses more agents than the server keeps.
    fn check_agent_room(&self, more: usize) -> Result<()> {
        if self.bus.agents.len() + more <= limits::AGENTS {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::LimitExceeded,
            format!("{} agents are the most that one server has", limits::AGENTS),
        )
        .with_hint("end those that are not needed with agent_deregister"))
    }

    /// Who works in a new session: the agents of an ended one that it brings back; in one that is like a live
    /// one, others with the same roles; else one with the role that it is created with.
    pub(super) fn crew(&self, new: &NewSession) -> Result<Crew> {
        let mut crew = Crew::default();
        if let Some(heritage) = &new.heir_of {
            let there = self.bus.of_session(&heritage.of);
            let is_live = self.session(&heritage.of).is_some_and(|session| session.status.is_live());
            if heritage.output && !is_live {
                crew.back = there.cloned().collect();
            } else {
                crew.new = there.filter(|agent| !agent.draining).filter_map(alike).collect();
            }
        }
        if crew.back.is_empty()
            && crew.new.is_empty()
            && let Some(role) = &new.agent_role
        {
            crew.new.push(NewAgent { role: Some(role.clone().into()), ..NewAgent::default() });
        }
        if !crew.new.is_empty() {
            self.check_agent_room(crew.new.len())?;
        }
        Ok(crew)
    }

    /// Lets them work in a session that was just created: new ones under its name, those that are back under
    /// their own, with what waits for them.
    pub(super) fn muster(
        &mut self,
        now: Now,
        session: &SessionId,
        crew: Crew,
        step: &mut Step,
    ) -> Result<()> {
        for agent in crew.back {
            self.moves(now, agent, session, step);
        }
        for new in crew.new {
            let id = Some(self.default_agent_id(session, |_| false));
            self.register(now, session.as_str(), NewAgent { id, ..new }, step)?;
        }
        Ok(())
    }

    /// Who works in one session works in another from now on.
    pub(super) fn move_agents(&mut self, now: Now, from: &SessionId, to: &SessionId, step: &mut Step) {
        for agent in self.agents_of(from) {
            self.moves(now, agent, to, step);
        }
    }

    fn moves(&mut self, now: Now, agent: Agent, to: &SessionId, step: &mut Step) {
        let reason = format!("agent '{}' works here now", agent.id);
        self.works(Agent { session: to.clone(), ..agent }, step);
        self.note(now, to, EventKind::Decision { reason }, step);
    }

    /// The name of its session, unless an agent has it that works elsewhere: then with a number behind it. One
    /// whose session has ended works nowhere, and is `own` one that is to be changed.
    fn default_agent_id(&self, session: &SessionId, own: impl Fn(&Agent) -> bool) -> String {
        let name = self.session(session).map_or_else(|| session.to_string(), |session| session.name.clone());
        // A glob's characters would make it an address of others.
        let is_plain = |c: &char| !matches!(c, '*' | '?') && !c.is_control();
        let name: String = name.chars().filter(is_plain).take(limits::AGENT_WORD - 8).collect();
        let name = if name.trim().is_empty() { session.to_string() } else { name.trim().to_owned() };
        let is_live =
            |agent: &Agent| self.session(&agent.session).is_some_and(|session| session.status.is_live());
        let is_free = |id: &String| self.bus.agents.get(id).is_none_or(|agent| own(agent) || !is_live(agent));
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
    }

    pub(super) fn deregister(
        &mut self,
        now: Now,
        id: &str,
        leave: Leave,
        step: &mut Step,
    ) -> Result<BusReply> {
        let Some(agent) = self.bus.agents.get_mut(id) else { return Err(self.agent_not_found(id)) };
        match leave {
            Leave::Within(wait) => {
                agent.draining = true;
                agent.leaves_at = Some(now.wall.after(wait));
                let agent = agent.clone();
                self.leaves_after(now, id, wait);
                step.note_shared(Record::Agent(Box::new(agent)));
            }
            Leave::Drained | Leave::Now if !agent.draining => {
                return Err(Error::new(
                    ErrorCode::IllegalTransition,
                    format!("agent '{id}' was registered again meanwhile: it stays"),
                )
                .with_hint("call agent_deregister again if it is to go all the same"));
            }
            Leave::Drained | Leave::Now => {}
        }
        let view = self.agent(id)?;
        if view.waiting == 0 || leave == Leave::Now {
            self.let_go(now, id, step);
        }
        Ok(BusReply::Agent(Box::new(view)))
    }

    /// Ends an agent. What it has not acknowledged is dropped.
    fn let_go(&mut self, now: Now, id: &str, step: &mut Step) {
        let left = self.bus.queue_of(id);
        self.over_for(now, id, &left, Delivery::Dropped, step);
        self.stays(id);
        self.bus.drop_agent(id);
        step.note_shared(Record::AgentGone(id.to_owned()));
    }

    /// A session cannot be brought back any more: its agents go with it. Those for whom something waits are
    /// kept, until somebody registers them elsewhere or ends them.
    pub(super) fn forget_agents(&mut self, now: Now, session: &SessionId, step: &mut Step) {
        for agent in self.agents_of(session) {
            if self.bus.waiting(&agent.id) == 0 {
                self.let_go(now, &agent.id, step);
            }
        }
    }

    /// Sees to it that an agent goes when its time is up, whether or not its caller still waits for that.
    fn leaves_after(&mut self, now: Now, id: &str, wait: Duration) {
        self.stays(id);
        self.next_number += 1;
        let key = (now.moment.after(wait + limits::DRAIN_GRACE), self.next_number);
        self.deadlines.insert(key, Deadline::Leaving(id.to_owned()));
        self.bus.leaving.insert(id.to_owned(), key);
    }

    fn stays(&mut self, id: &str) {
        if let Some(key) = self.bus.leaving.remove(id) {
            self.deadlines.remove(&key);
        }
    }

    /// The time of an agent that was to leave is up.
    pub(super) fn leaving_due(&mut self, now: Now, id: &str, step: &mut Step) {
        self.bus.leaving.remove(id);
        self.let_go(now, id, step);
    }

    /// Takes in an agent of an earlier server, which may have died while the agent was leaving.
    pub(super) fn take_back_agent(&mut self, now: Now, agent: Agent) {
        if agent.draining {
            let left = agent.leaves_at.map_or(Duration::ZERO, |at| at.since(now.wall));
            self.leaves_after(now, &agent.id, left);
        }
        self.bus.put(agent);
    }
}

/// Another agent with the role of this one, if it has one.
fn alike(agent: &Agent) -> Option<NewAgent> {
    agent.role.as_ref()?;
    Some(NewAgent {
        id: None,
        role: agent.role.clone(),
        capabilities: agent.capabilities.clone(),
        message_types: agent.message_types.clone(),
        priority: agent.priority,
    })
}
