//! Agents and messages: against a model, with crashes in between.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engine::report::{AgentView, Received, Sent};
use crate::engine::request::{BusRequest, Leave, NewAgent, NewMessage};
use crate::engine::{BusReply, RestoredBus};
use crate::error::ErrorCode;
use crate::id::MessageId;
use crate::limits;
use crate::model::{Address, Agent, Delivery, Event, EventType, Message, Priority};

/// An engine with what a store would have of its agents and messages.
pub(super) struct Post {
    pub(super) play: Play,
    pub(super) agents: BTreeMap<String, Agent>,
    pub(super) messages: Vec<(Message, Vec<String>)>,
    pub(super) events: Vec<Event>,
}

impl Post {
    pub(super) fn new() -> Self {
        Self { play: Play::new(), agents: BTreeMap::new(), messages: Vec::new(), events: Vec::new() }
    }

    pub(super) fn bus(&mut self, request: BusRequest) -> Result<BusReply> {
        let reply = self.play.request(Request::Bus(request));
        self.store();
        reply.map(|reply| match reply {
            Reply::Bus(reply) => reply,
            other => panic!("{other:?}"),
        })
    }

    pub(super) fn store(&mut self) {
        for record in std::mem::take(&mut self.play.records) {
            match record {
                Record::Agent(agent) => drop(self.agents.insert(agent.id.clone(), *agent)),
                Record::AgentGone(agent) => drop(self.agents.remove(&agent)),
                Record::Message(message, receivers) => {
                    self.messages.push((Message::clone(&message), receivers));
                }
                Record::Received(agent, ids) => {
                    for (message, receivers) in &mut self.messages {
                        if ids.contains(&message.id) {
                            let before = receivers.len();
                            receivers.retain(|receiver| *receiver != agent);
                            assert_eq!(receivers.len() + 1, before, "acknowledged once");
                        }
                    }
                    self.messages.retain(|(_, receivers)| !receivers.is_empty());
                }
                Record::Event(event) => self.events.push(event),
                _ => {}
            }
        }
    }

    pub(super) fn register(&mut self, id: &str, capabilities: &[&str], types: &[&str]) -> Result<AgentView> {
        let session = self.play.idle(NewSession::default());
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let new = NewAgent {
            id: Some(id.to_owned()),
            capabilities: words(capabilities),
            message_types: words(types),
            ..NewAgent::default()
        };
        match self.bus(BusRequest::Register { session: session.to_string(), new })? {
            BusReply::Agent(view) => Ok(*view),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn send(
        &mut self,
        to: Address,
        priority: Option<Priority>,
        ttl: Option<Duration>,
    ) -> Result<Sent> {
        let uuid = self.play.uuid();
        let new = NewMessage {
            from: "a".to_owned(),
            to: vec![to],
            message_type: "note".to_owned(),
            payload: json!({"n": self.play.uuids}),
            priority,
            reply_to: None,
            ttl,
        };
        match self.bus(BusRequest::Send { uuid, new: Box::new(new) })? {
            BusReply::Sent(sent) => Ok(sent),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn receive(&mut self, agent: &str, has: &[MessageId], most: usize) -> Result<Received> {
        let request =
            BusRequest::Receive { agent: agent.to_owned(), received: has.to_vec(), types: Vec::new(), most };
        match self.bus(request)? {
            BusReply::Received(received) => Ok(received),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ids(&mut self, agent: &str) -> Vec<MessageId> {
        let received = self.receive(agent, &[], usize::MAX).expect("an agent");
        received.messages.iter().map(|message| message.id.clone()).collect()
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.play.wait(duration);
        self.store();
    }

    /// The server dies; the next one has what the store has.
    pub(super) fn crash(&mut self) {
        let (clock, uuids) = (self.play.clock, self.play.uuids);
        self.play = Play { clock, uuids, ..Play::new() };
        let restored =
            RestoredBus { agents: self.agents.values().cloned().collect(), messages: self.messages.clone() };
        let now = self.play.now();
        let mut step = Step::default();
        self.play.engine.restore_bus(now, restored, &mut step);
        self.play.take(step);
        self.store();
    }
}

pub(super) fn name(id: &str) -> Address {
    Address::Name(id.to_owned())
}

#[test]
fn a_session_can_do_what_those_can_who_work_in_it() {
    let mut post = Post::new();
    let first = post.register("a", &["rust"], &[]).expect("registers").agent.session;
    let can = |post: &Post, session: &SessionId| {
        let bus = &post.play.engine.bus;
        (bus.can(session, "rust"), bus.can(session, "go"), bus.abilities(session))
    };
    let beside = NewAgent { capabilities: vec!["go".to_owned()], ..NewAgent::default() };
    post.bus(BusRequest::Register { session: first.to_string(), new: beside }).expect("registers");
    assert_eq!(can(&post, &first), (true, true, 2));
    post.play.gone(&first, Exit::Code(0));
    let second = post.register("a", &["rust", "go"], &[]).expect("its session has ended").agent.session;
    assert_eq!(can(&post, &first), (false, true, 1), "it works elsewhere");
    assert_eq!(can(&post, &second), (true, true, 2));
    post.crash();
    assert_eq!(can(&post, &second), (true, true, 2));
    post.bus(BusRequest::Deregister { agent: "a".to_owned(), leave: Leave::Within(Duration::ZERO) })
        .expect("an agent");
    assert_eq!(can(&post, &second), (false, false, 0));
}

#[test]
fn an_address_names_who_receives() {
    let mut post = Post::new();
    post.register("a", &["rust"], &[]).expect("registers");
    post.register("b", &["rust"], &["note"]).expect("registers");
    post.register("b2", &[], &["order"]).expect("registers");
    let table: [(Address, &[&str], &[&str]); 8] = [
        (name("b"), &["b"], &[]),
        // The sender itself is reached by its name only.
        (name("a"), &["a"], &[]),
        (name("*"), &["b"], &[]),
        (name("b*"), &["b"], &[]),
        (name("?"), &["b"], &[]),
        (name("b2"), &[], &["b2"]),
        (name("nobody"), &[], &["nobody"]),
        (Address::Capability("rust".to_owned()), &["b"], &[]),
    ];
    for (address, receivers, not_reached) in table {
        let sent = post.send(address.clone(), None, None).expect("sends");
        assert_eq!(sent.receivers, receivers, "{address:?}");
        assert_eq!(sent.not_reached, not_reached, "{address:?}");
    }
}

#[test]
fn a_full_queue_refuses_and_nobody_is_sent_anything() {
    let mut post = Post::new();
    post.register("b", &[], &[]).expect("registers");
    post.register("c", &[], &[]).expect("registers");
    for _ in 0..limits::MESSAGES {
        post.send(name("b"), None, None).expect("sends");
    }
    let error = post.send(name("*"), None, None).expect_err("is full");
    assert_eq!(error.code, ErrorCode::Overloaded);
    assert!(post.ids("c").is_empty());
    let first = post.ids("b").swap_remove(0);
    assert_eq!(post.receive("b", &[first.clone(), first], 0).expect("receives").acknowledged.len(), 1);
    assert_eq!(post.send(name("*"), None, None).expect("has room").receivers, ["b", "c"]);
}

#[test]
fn an_agent_has_one_live_session_and_its_messages_outlive_it() {
    let mut post = Post::new();
    let first = post.register("a", &[], &[]).expect("registers");
    let taken = post.register("a", &[], &[]).expect_err("works elsewhere");
    assert_eq!(taken.code, ErrorCode::DuplicateId);
    post.send(name("a"), None, None).expect("sends");
    post.play.close(&first.agent.session, CloseMode::Force);
    post.play.gone(&first.agent.session, Exit::Code(0));
    assert_eq!(post.send(name("a"), None, None).expect("sends").receivers, ["a"]);
    let again = post.register("a", &[], &[]).expect("its session has ended");
    assert_eq!(again.waiting, 2);
}

#[test]
fn what_becomes_of_messages_is_told_in_events() {
    let mut post = Post::new();
    post.register("a", &[], &[]).expect("registers");
    post.register("b", &[], &[]).expect("registers");
    let session = post.play.engine.agent("b").expect("is there").agent.session;
    let ids = [(); 2].map(|()| post.send(name("b"), None, None).expect("sends").id);
    post.receive("b", &ids, 1).expect("receives");
    post.send(name("b"), None, Some(Duration::from_secs(1))).expect("sends");
    post.wait(Duration::from_secs(1));
    let told: Vec<Event> = post.events.drain(..).filter(|event| event.is(EventType::Message)).collect();
    let sent = |message: &MessageId| EventKind::MessageSent {
        message: message.clone(),
        from: "a".to_owned(),
        message_type: "note".to_owned(),
        receivers: 1,
    };
    let over = |count, delivery| EventKind::MessagesOver { agent: "b".to_owned(), count, delivery };
    assert_eq!(told.len(), 5, "{told:?}");
    let kinds: Vec<&EventKind> = told[..3].iter().map(|event| &event.kind).collect();
    assert_eq!(kinds, [&sent(&ids[0]), &sent(&ids[1]), &over(2, Delivery::Acknowledged)]);
    assert_eq!(told[4].kind, over(1, Delivery::Expired));
    assert!([2, 4].iter().all(|at: &usize| told[*at].session.as_ref() == Some(&session)), "of its session");
}

#[test]
fn an_agent_that_leaves_takes_what_it_was_sent_and_gets_nothing_more() {
    let mut post = Post::new();
    post.register("b", &["rust"], &[]).expect("registers");
    post.send(name("b"), None, None).expect("sends");
    let leave = |leave| BusRequest::Deregister { agent: "b".to_owned(), leave };
    let within = Leave::Within(Duration::from_secs(9));
    let BusReply::Agent(view) = post.bus(leave(within)).expect("leaves") else { panic!("no agent") };
    assert_eq!(view.waiting, 1);
    assert_eq!(post.send(name("*"), None, None).expect("sends").receivers, [""; 0]);
    let BusReply::Agent(view) = post.bus(leave(Leave::Now)).expect("goes") else { panic!("no agent") };
    assert_eq!(view.waiting, 1);
    assert!(post.agents.is_empty() && post.messages.is_empty());
    assert_eq!(post.receive("b", &[], 1).expect_err("is gone").code, ErrorCode::AgentNotFound);
}

#[test]
fn a_task_may_need_what_only_an_agent_can() {
    let mut post = Post::new();
    let view = post.register("a", &["gpu"], &[]).expect("registers");
    let session = view.agent.session;
    assert!(post.play.engine.bus.can(&session, "gpu") && !post.play.engine.bus.can(&session, "tpu"));
    let leave = Leave::Within(Duration::ZERO);
    post.bus(BusRequest::Deregister { agent: "a".to_owned(), leave }).expect("goes");
    assert!(!post.play.engine.bus.can(&session, "gpu"));
}

#[derive(Clone, Debug)]
enum Action {
    Send { to: usize, priority: Priority, ttl: Option<u64> },
    Receive { agent: usize, most: usize, has: usize },
    Wait(u64),
    Crash,
}

const AGENTS: [&str; 4] = ["a", "b", "c", "*"];

fn action() -> impl Strategy<Value = Action> {
    let priority = prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High),
        Just(Priority::Critical)
    ];
    prop_oneof![
        5 => (0..4_usize, priority, proptest::option::of(1_u64..50))
            .prop_map(|(to, priority, ttl)| Action::Send { to, priority, ttl }),
        4 => (0..3_usize, 0..5_usize, 0..4_usize)
            .prop_map(|(agent, most, has)| Action::Receive { agent, most, has }),
        2 => (1_u64..30).prop_map(Action::Wait),
        1 => Just(Action::Crash),
    ]
}

/// What one agent should have, in the order in which it should come.
type Expected = Vec<(std::cmp::Reverse<Priority>, usize, MessageId, Option<Duration>)>;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn nothing_is_lost_or_out_of_order_or_comes_again_once_acknowledged(
        actions in proptest::collection::vec(action(), 1..80)
    ) {
        let mut post = Post::new();
        let mut expected: BTreeMap<&str, Expected> = BTreeMap::new();
        for agent in &AGENTS[..3] {
            post.register(agent, &[], &[]).expect("registers");
            expected.insert(agent, Vec::new());
        }
        for (number, action) in actions.into_iter().enumerate() {
            match action {
                Action::Send { to, priority, ttl } => {
                    let ttl = ttl.map(Duration::from_secs);
                    let sent = post.send(name(AGENTS[to]), Some(priority), ttl).expect("sends");
                    let wanted = if to == 3 { &["b", "c"][..] } else { &AGENTS[to..=to] };
                    prop_assert_eq!(&sent.receivers, wanted);
                    for agent in wanted {
                        let end = ttl.map(|ttl| post.play.clock + ttl);
                        let queue = expected.get_mut(agent).expect("an agent");
                        queue.push((std::cmp::Reverse(priority), number, sent.id.clone(), end));
                        queue.sort();
                    }
                }
                Action::Receive { agent, most, has } => {
                    let agent = AGENTS[agent];
                    let queue = expected.get_mut(agent).expect("an agent");
                    let has: Vec<MessageId> = queue.drain(..has.min(queue.len())).map(|each| each.2).collect();
                    let received = post.receive(agent, &has, most).expect("receives");
                    prop_assert_eq!(received.acknowledged, has);
                    let ids: Vec<_> = received.messages.iter().map(|message| message.id.clone()).collect();
                    let wanted: Vec<_> = queue.iter().take(most).map(|each| each.2.clone()).collect();
                    prop_assert_eq!(ids, wanted);
                    prop_assert_eq!(received.remaining, queue.len().saturating_sub(most));
                }
                Action::Wait(seconds) => post.wait(Duration::from_secs(seconds)),
                Action::Crash => post.crash(),
            }
            let now = post.play.clock;
            for queue in expected.values_mut() {
                queue.retain(|each| each.3.is_none_or(|end| end > now));
            }
        }
        for agent in &AGENTS[..3] {
            let wanted: Vec<_> = expected[agent].iter().map(|each| each.2.clone()).collect();
            prop_assert_eq!(post.ids(agent), wanted);
        }
        let stored: usize = post.messages.iter().map(|(_, receivers)| receivers.len()).sum();
        prop_assert_eq!(stored, expected.values().map(Vec::len).sum::<usize>());
    }
}
