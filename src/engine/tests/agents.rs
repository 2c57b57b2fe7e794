//! Agents that leave, and those that come back with their sessions.

use std::time::Duration;

use super::messages::{Post, name};
use super::*;
use crate::engine::report::AgentView;
use crate::engine::request::{BusRequest, Heritage, Inherited, Leave, NewAgent};
use crate::engine::{BusReply, RestoredBus};
use crate::error::ErrorCode;
use crate::limits;
use crate::model::{Agent, Delivery};

const WAIT: Duration = Duration::from_secs(9);

fn heir_of(of: &SessionId, output: bool) -> Heritage {
    Heritage { of: of.clone(), variables: Inherited::All, output }
}

fn leave(post: &mut Post, leave: Leave) -> Result<AgentView> {
    match post.bus(BusRequest::Deregister { agent: "a".to_owned(), leave })? {
        BusReply::Agent(view) => Ok(*view),
        other => panic!("{other:?}"),
    }
}

fn end(post: &mut Post, session: &SessionId) {
    post.play.close(session, CloseMode::Force);
    post.play.gone(session, Exit::Code(0));
    post.store();
}

#[test]
fn an_agent_comes_back_with_its_session_and_its_messages() {
    let mut post = Post::new();
    let agent = post.register("a", &["x"], &[]).expect("registers").agent;
    let sent = post.send(name("a"), None, None).expect("sends").id;
    end(&mut post, &agent.session);
    let restored = NewSession { heir_of: Some(heir_of(&agent.session, true)), ..NewSession::default() };
    let new = post.play.create(NewSession { agent_role: Some("r".to_owned()), ..restored });
    post.store();
    assert_eq!(post.agents.len(), 1, "it needs no other: {:?}", post.agents);
    assert_eq!(post.agents["a"], Agent { session: new.clone(), ..agent });
    assert_eq!(post.play.engine.agents_of(&new).len(), 1);
    assert_eq!(post.ids("a"), [sent]);
}

#[test]
fn what_is_like_a_live_session_has_another_agent_with_its_role() {
    let mut post = Post::new();
    let names = |name: &str| Some(name.to_owned());
    let agent_role = Some("reviewer".to_owned());
    let first = post.play.idle(NewSession { name: names("ada"), agent_role, ..NewSession::default() });
    let nameless = NewAgent { id: Some("no role".to_owned()), ..NewAgent::default() };
    post.bus(BusRequest::Register { session: first.to_string(), new: nameless }).expect("registers");
    for (number, output) in [(2, false), (3, true)] {
        let heir = NewSession {
            name: names("ada"),
            heir_of: Some(heir_of(&first, output)),
            ..NewSession::default()
        };
        let heir = post.play.create(heir);
        let there = post.play.engine.agents_of(&heir);
        let told: Vec<_> = there.iter().map(|agent| (agent.id.clone(), agent.role.clone())).collect();
        assert_eq!(told, [(format!("ada-{number}"), Some("reviewer".into()))]);
    }
    assert_eq!(post.play.engine.agents_of(&first).len(), 2);
}

#[test]
fn an_agent_goes_when_its_time_is_up_though_nobody_waits() {
    for dies in [false, true] {
        let mut post = Post::new();
        post.register("a", &[], &[]).expect("registers");
        post.send(name("a"), None, None).expect("sends");
        assert_eq!(leave(&mut post, Leave::Within(WAIT)).expect("leaves").waiting, 1);
        assert_eq!(leave(&mut post, Leave::Drained).expect("is there").waiting, 1);
        post.wait(WAIT / 2);
        if dies {
            post.crash();
        }
        post.wait(WAIT / 2);
        assert!(post.agents["a"].draining, "whoever waits ends it");
        post.wait(limits::DRAIN_GRACE);
        assert!(post.agents.is_empty() && post.messages.is_empty(), "dies: {dies}");
        let told = post.events.iter().map(|event| &event.kind);
        let dropped =
            |kind: &&EventKind| matches!(kind, EventKind::MessagesOver { delivery: Delivery::Dropped, .. });
        assert_eq!(told.filter(dropped).count(), 1);
    }
}

#[test]
fn an_agent_that_is_registered_again_stays() {
    let mut post = Post::new();
    let session = post.register("a", &[], &[]).expect("registers").agent.session;
    post.send(name("a"), None, None).expect("sends");
    leave(&mut post, Leave::Within(WAIT)).expect("leaves");
    let new = NewAgent { id: Some("a".to_owned()), ..NewAgent::default() };
    post.bus(BusRequest::Register { session: session.to_string(), new }).expect("is changed");
    for step in [Leave::Drained, Leave::Now] {
        assert_eq!(leave(&mut post, step).expect_err("it stays").code, ErrorCode::IllegalTransition);
    }
    post.wait(WAIT * 2);
    assert_eq!(post.send(name("a"), None, None).expect("sends").receivers, ["a"]);
    assert_eq!(post.ids("a").len(), 2);
}

#[test]
fn who_is_gone_keeps_nobody_from_being_reached() {
    let mut post = Post::new();
    let gone = post.register("b", &[], &[]).expect("registers").agent.session;
    post.register("c", &[], &[]).expect("registers");
    end(&mut post, &gone);
    for _ in 0..limits::MESSAGES {
        let sent = post.send(name("*"), None, None).expect("there is room");
        post.receive("c", &[sent.id], 0).expect("receives");
    }
    let sent = post.send(name("*"), None, None).expect("it is for the others");
    assert_eq!((sent.receivers, sent.not_reached), (vec!["c".to_owned()], vec!["b".to_owned()]));
    assert_eq!(post.send(name("b"), None, None).expect_err("is full").code, ErrorCode::Overloaded);
}

#[test]
fn messages_of_two_servers_keep_apart() {
    let mut post = Post::new();
    post.register("a", &[], &[]).expect("registers");
    post.send(name("a"), None, None).expect("sends");
    let (agents, mut messages) = (post.agents.clone(), post.messages.clone());
    let mut other = Post::new();
    other.play.uuids = 1_000;
    other.register("a", &[], &[]).expect("registers");
    other.send(name("a"), None, None).expect("sends");
    messages.append(&mut other.messages);
    assert_eq!(messages[0].0.number, messages[1].0.number);
    let ids: Vec<_> = messages.iter().map(|(message, _)| message.id.clone()).collect();
    let mut heir = Post::new();
    let restored = RestoredBus { agents: agents.into_values().collect(), messages };
    let now = heir.play.now();
    heir.play.engine.restore_bus(now, restored, &mut Step::default());
    assert_eq!(heir.ids("a"), ids);
}

#[test]
fn an_agent_that_names_itself_after_its_session_is_the_same_each_time() {
    let mut post = Post::new();
    let named = |name: &str| NewSession { name: Some(name.to_owned()), ..NewSession::default() };
    let register = |post: &mut Post, session: &SessionId| {
        let new = NewAgent::default();
        match post.bus(BusRequest::Register { session: session.to_string(), new }) {
            Ok(BusReply::Agent(view)) => view.agent.id,
            other => panic!("{other:?}"),
        }
    };
    let first = post.play.idle(named("dn"));
    assert_eq!([(); 2].map(|()| register(&mut post, &first)), ["dn", "dn"]);
    let second = post.play.idle(named("dn"));
    assert_eq!([(); 2].map(|()| register(&mut post, &second)), ["dn-2", "dn-2"]);
    end(&mut post, &first);
    let third = post.play.idle(named("dn"));
    assert_eq!(register(&mut post, &third), "dn", "it takes over what waits");
    let odd = post.play.idle(named(" * "));
    assert_eq!(register(&mut post, &odd), odd.as_str());
}

#[test]
fn agents_go_with_the_record_of_their_session_unless_something_waits_for_them() {
    let mut post = Post::new();
    for id in ["a", "b"] {
        let session = post.register(id, &[], &[]).expect("registers").agent.session;
        end(&mut post, &session);
    }
    post.send(name("b"), None, None).expect("sends");
    let statuses = vec![Status::Terminated];
    let request = Request::CleanUp { older_than: Duration::ZERO, statuses };
    post.play.request(request).expect("cleans up");
    post.store();
    assert_eq!(post.agents.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(post.ids("b").len(), 1);
}
