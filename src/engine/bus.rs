//! Messages between agents: who is there, and what each has yet to receive.
//!
//! A message waits for each of its receivers until that one acknowledges it, its time is over, or the
//! receiver goes. Whoever receives again before that receives it again: delivered at least once, never
//! lost. The order is by priority, then by age.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::report::{AgentView, Received, Sent};
use super::request::{BusRequest, NewMessage};
use super::{Deadline, Engine, Step, TimerKey};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::{MessageId, SessionId};
use crate::limits;
use crate::model::{Address, Agent, Delivery, Event, EventKind, Message, Priority, Record, glob};

/// The answer to a [`BusRequest`].
#[derive(Debug, PartialEq)]
pub enum BusReply {
    /// An agent as it is now, or was.
    Agent(Box<AgentView>),
    /// A message that is on its way.
    Sent(Sent),
    /// What an agent receives.
    Received(Received),
}

/// Agents, and messages that somebody has yet to receive.
#[derive(Debug, Default)]
pub(super) struct Bus {
    pub(super) agents: BTreeMap<String, Agent>,
    /// Who works in each session; changes with `agents`, by [`Bus::put`] and [`Bus::drop_agent`].
    by_session: HashMap<SessionId, BTreeSet<String>>,
    /// The pending ends of agents that are leaving.
    pub(super) leaving: HashMap<String, TimerKey>,
    queues: HashMap<String, Queue>,
    messages: HashMap<MessageId, Waiting>,
    bytes: usize,
    sent: u64,
}

/// What one agent has yet to receive: the most urgent first, then the oldest.
type Queue = BTreeMap<(Reverse<Priority>, u64), MessageId>;

#[derive(Debug)]
struct Waiting {
    message: Arc<Message>,
    bytes: usize,
    /// Agents that have yet to acknowledge it.
    receivers: usize,
    /// Its pending end.
    timer: Option<TimerKey>,
}

/// What an earlier server left of agents and messages.
#[derive(Debug, Default)]
pub struct RestoredBus {
    /// Its agents; their sessions have ended.
    pub agents: Vec<Agent>,
    /// Messages, each with those who have yet to receive it.
    pub messages: Vec<(Message, Vec<String>)>,
}

impl Bus {
    /// How many messages an agent has yet to acknowledge.
    pub(super) fn waiting(&self, agent: &str) -> usize {
        self.queues.get(agent).map_or(0, BTreeMap::len)
    }

    fn push(&mut self, message: Message, receivers: &[String], timer: Option<TimerKey>) -> Arc<Message> {
        let bytes = serde_json::to_string(&message.payload).map_or(0, |text| text.len());
        let message = Arc::new(message);
        for receiver in receivers {
            let queue = self.queues.entry(receiver.clone()).or_default();
            queue.insert(place(&message), message.id.clone());
        }
        self.bytes += bytes;
        let waiting = Waiting { message: Arc::clone(&message), bytes, receivers: receivers.len(), timer };
        self.messages.insert(message.id.clone(), waiting);
        message
    }

    /// Takes a message out of an agent's queue. Returns whether it was there, and the timer of a message
    /// that nobody is left to receive.
    fn take(&mut self, agent: &str, id: &MessageId) -> (bool, Option<TimerKey>) {
        let Some(waiting) = self.messages.get_mut(id) else { return (false, None) };
        let was_there = self.queues.get_mut(agent).and_then(|queue| queue.remove(&place(&waiting.message)));
        if was_there.is_none() {
            return (false, None);
        }
        waiting.receivers -= 1;
        if waiting.receivers > 0 {
            return (true, None);
        }
        let gone = self.messages.remove(id);
        self.bytes -= gone.as_ref().map_or(0, |gone| gone.bytes);
        (true, gone.and_then(|gone| gone.timer))
    }

    /// Takes in an agent as it is now.
    pub(super) fn put(&mut self, agent: Agent) {
        self.drop_agent(&agent.id);
        self.by_session.entry(agent.session.clone()).or_default().insert(agent.id.clone());
        self.agents.insert(agent.id.clone(), agent);
    }

    pub(super) fn drop_agent(&mut self, id: &str) {
        let Some(gone) = self.agents.remove(id) else { return };
        if let Some(there) = self.by_session.get_mut(&gone.session) {
            there.remove(id);
            if there.is_empty() {
                self.by_session.remove(&gone.session);
            }
        }
    }

    /// What an agent has yet to acknowledge.
    pub(super) fn queue_of(&self, agent: &str) -> Vec<MessageId> {
        self.queues.get(agent).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Those who work in a session, in the order of their ids.
    pub(super) fn of_session(&self, session: &SessionId) -> impl Iterator<Item = &Agent> {
        let ids = self.by_session.get(session).into_iter().flatten();
        ids.filter_map(|id| self.agents.get(id))
    }

    /// Those among them who are not leaving.
    fn there(&self, session: &SessionId) -> impl Iterator<Item = &Agent> {
        self.of_session(session).filter(|agent| !agent.draining)
    }

    /// How many things those can do that work in a session.
    pub(super) fn abilities(&self, session: &SessionId) -> usize {
        self.there(session).map(|agent| agent.capabilities.len()).sum()
    }

    /// What an agent can do beside what its session can.
    pub(super) fn can(&self, session: &SessionId, capability: &str) -> bool {
        self.there(session).any(|agent| agent.capabilities.iter().any(|own| own == capability))
    }
}

fn place(message: &Message) -> (Reverse<Priority>, u64) {
    (Reverse(message.priority), message.number)
}

impl Engine {
    pub(super) fn bus_request(&mut self, now: Now, request: BusRequest, step: &mut Step) -> Result<BusReply> {
        match request {
            BusRequest::Register { session, new } => self.register(now, &session, new, step),
            BusRequest::Deregister { agent, leave } => self.deregister(now, &agent, leave, step),
            BusRequest::Send { uuid, new } => self.send(now, uuid, *new, step),
            BusRequest::Receive { agent, received, types, most } => {
                self.receive(now, &agent, &received, &types, most, step)
            }
        }
    }

    /// Takes over what an earlier server left.
    pub fn restore_bus(&mut self, now: Now, restored: RestoredBus, step: &mut Step) {
        for agent in restored.agents {
            self.take_back_agent(now, agent);
        }
        for (mut message, receivers) in restored.messages {
            // They come in the order of sending, maybe from several servers, each with numbers of its own.
            self.bus.sent += 1;
            message.number = self.bus.sent;
            let is_late = message.expires_at.is_some_and(|end| end <= now.wall);
            let timer = message.expires_at.map(|end| self.expiry(now, &message.id, end.since(now.wall)));
            let id = message.id.clone();
            self.bus.push(message, &receivers, timer);
            if is_late {
                self.expire(now, &id, step);
            }
        }
    }

    /// Ends the wait of a message whose time is over.
    pub(super) fn expire(&mut self, now: Now, id: &MessageId, step: &mut Step) {
        let Some(place) = self.bus.messages.get(id).map(|waiting| place(&waiting.message)) else { return };
        let agents: Vec<String> = self
            .bus
            .queues
            .iter()
            .filter(|(_, queue)| queue.contains_key(&place))
            .map(|(agent, _)| agent.clone())
            .collect();
        for agent in agents {
            self.over_for(now, &agent, std::slice::from_ref(id), Delivery::Expired, step);
        }
    }

    fn send(&mut self, now: Now, uuid: Uuid, new: NewMessage, step: &mut Step) -> Result<BusReply> {
        let (receivers, not_reached) = self.receivers(&new);
        let id = MessageId::unique(uuid, |id| self.bus.messages.contains_key(&MessageId::from_text(id)));
        if receivers.is_empty() {
            return Ok(BusReply::Sent(Sent { id, receivers, not_reached }));
        }
        if let Some(full) = receivers.iter().find(|agent| self.bus.waiting(agent) >= limits::MESSAGES) {
            return Err(overloaded(format!(
                "agent '{full}' has {} messages waiting, which is the most; nobody was sent this one",
                limits::MESSAGES
            )));
        }
        if self.bus.bytes >= limits::MESSAGES_BYTES {
            return Err(overloaded(format!("{} MB of messages are waiting", limits::MESSAGES_BYTES >> 20)));
        }
        let own = self.bus.agents.get(&new.from).map_or(Priority::Normal, |agent| agent.priority);
        self.bus.sent += 1;
        let message = Message {
            id: id.clone(),
            from: new.from,
            message_type: new.message_type,
            payload: new.payload,
            priority: new.priority.unwrap_or(own),
            reply_to: new.reply_to,
            sent_at: now.wall,
            expires_at: new.ttl.map(|ttl| now.wall.after(ttl)),
            number: self.bus.sent,
        };
        let sent = EventKind::MessageSent {
            message: id.clone(),
            from: message.from.clone(),
            message_type: message.message_type.clone(),
            receivers: receivers.len(),
        };
        self.note_message(now, &message.from, sent, step);
        let timer = new.ttl.map(|ttl| self.expiry(now, &id, ttl));
        let message = self.bus.push(message, &receivers, timer);
        step.note_shared(Record::Message(message, receivers.clone()));
        Ok(BusReply::Sent(Sent { id, receivers, not_reached }))
    }

    /// Who receives a message, in the order of their ids; and the ids named that do not.
    fn receivers(&self, new: &NewMessage) -> (Vec<String>, Vec<String>) {
        let agents = &self.bus.agents;
        let takes = |agent: &Agent| agent.takes(&new.message_type);
        let (mut not_reached, mut missed) = (Vec::new(), BTreeSet::new());
        let mut receivers = BTreeSet::new();
        // Nobody empties the queue of an agent whose session has ended: when it is full, the others are sent
        // all the same what they are meant to receive.
        let is_lost = |agent: &Agent| {
            let session = self.session(&agent.session).filter(|session| session.status.is_live());
            session.is_none() && self.bus.waiting(&agent.id) >= limits::MESSAGES
        };
        let mut others = |fits: &dyn Fn(&Agent) -> bool| -> Vec<String> {
            let fitting = agents.values().filter(|agent| agent.id != new.from && takes(agent) && fits(agent));
            let (lost, found): (Vec<&Agent>, Vec<&Agent>) = fitting.partition(|agent| is_lost(agent));
            missed.extend(lost.into_iter().map(|agent| agent.id.clone()));
            found.into_iter().map(|agent| agent.id.clone()).collect()
        };
        for address in &new.to {
            match address {
                Address::Capability(capability) => receivers.extend(others(&|agent| {
                    let session = self.session(&agent.session).filter(|session| session.status.is_live());
                    agent.capabilities.contains(capability)
                        || session.is_some_and(|session| session.capabilities.contains(capability))
                })),
                Address::Name(glob) if glob.contains(['*', '?']) => {
                    receivers.extend(others(&|agent| glob::matches(glob, &agent.id)));
                }
                Address::Name(name) if agents.get(name).is_some_and(takes) => {
                    receivers.insert(name.clone());
                }
                Address::Name(name) if !not_reached.contains(name) => not_reached.push(name.clone()),
                Address::Name(_) => {}
            }
        }
        missed.retain(|agent| !receivers.contains(agent) && !not_reached.contains(agent));
        not_reached.extend(missed);
        (receivers.into_iter().collect(), not_reached)
    }

    fn receive(
        &mut self,
        now: Now,
        agent: &str,
        received: &[MessageId],
        types: &[String],
        most: usize,
        step: &mut Step,
    ) -> Result<BusReply> {
        if !self.bus.agents.contains_key(agent) {
            return Err(self.agent_not_found(agent));
        }
        let acknowledged = self.over_for(now, agent, received, Delivery::Acknowledged, step);
        let waiting = self.bus.queues.get(agent).into_iter().flat_map(BTreeMap::values);
        let mut fitting = waiting
            .filter_map(|id| self.bus.messages.get(id))
            .map(|waiting| &waiting.message)
            .filter(|message| types.is_empty() || types.contains(&message.message_type));
        let messages: Vec<Arc<Message>> = fitting.by_ref().take(most).cloned().collect();
        Ok(BusReply::Received(Received { messages, remaining: fitting.count(), acknowledged }))
    }

    /// Takes out of an agent's queue what it need not receive any more; returns what was there.
    pub(super) fn over_for(
        &mut self,
        now: Now,
        agent: &str,
        messages: &[MessageId],
        delivery: Delivery,
        step: &mut Step,
    ) -> Vec<MessageId> {
        let mut taken = Vec::new();
        for id in messages {
            let (was_there, timer) = self.bus.take(agent, id);
            if let Some(timer) = timer {
                self.deadlines.remove(&timer);
            }
            if was_there {
                taken.push(id.clone());
            }
        }
        let count = taken.len();
        if count > 0 {
            step.note_shared(Record::Received(agent.to_owned(), taken.clone()));
            let kind = EventKind::MessagesOver { agent: agent.to_owned(), count, delivery };
            self.note_message(now, agent, kind, step);
        }
        taken
    }

    /// The one place where a message becomes an event: of the session that the agent works in, if it is one.
    fn note_message(&self, now: Now, agent: &str, kind: EventKind, step: &mut Step) {
        let session = self.bus.agents.get(agent).map(|agent| agent.session.clone());
        let output_cursor =
            session.as_ref().and_then(|id| self.sessions.get(id)).map_or(0, |entry| entry.cursor);
        step.events.push(Event { session, run: None, task: None, at: now.wall, output_cursor, kind });
    }

    fn expiry(&mut self, now: Now, id: &MessageId, after: Duration) -> TimerKey {
        self.next_number += 1;
        let key = (now.moment.after(after), self.next_number);
        self.deadlines.insert(key, Deadline::Expiry(id.clone()));
        key
    }

    pub(super) fn agent_not_found(&self, agent: &str) -> Error {
        let known: Vec<&String> = self.bus.agents.keys().take(10).collect();
        let error = Error::new(ErrorCode::AgentNotFound, format!("no agent has the id '{agent}'"));
        if known.is_empty() {
            return error.with_hint("there is no agent yet: agent_register makes one of a session");
        }
        error.with_hint("list the agents with agent_list").with_details(json!({ "agents": known }))
    }
}

impl Step {
    /// Whether agents, messages or pools changed.
    pub fn changes_bus(&self) -> bool {
        !self.bus.is_empty()
    }

    pub(super) fn note_shared(&mut self, record: Record) {
        self.bus.push(record);
    }
}

fn overloaded(message: String) -> Error {
    Error::new(ErrorCode::Overloaded, message).with_hint(
        "wait until they are received with message_receive and acknowledged, or give messages a ttl",
    )
}
